import ByteCoding
import Numerical

/// A read-only container of named, typed, shaped arrays, memory-mapped.
///
/// ```
/// 0    8  magic "PATRNARR"
/// 8    4  version 1
/// 12   4  CRC-32C of the header (these four bytes as zeros)
/// 16   8  bytes of the file
/// 24   4  bytes of the header: all up to the last name, without the padding after it
/// 28   4  arrays n      32  4  bytes of the kind      36  4  bytes of the card
/// 40  24  zeros
/// 64  64n directory: offset u64, bytes u64, CRC-32C u32, type u8, dimensions u8,
///         name bytes u16, zeros 8, four dimensions u64 (unused: 0)
/// …       kind, card, the names in order; zeros up to a multiple of 64
/// …       the arrays in order, each followed by zeros up to a multiple of 64
/// ```
/// All numbers are little-endian. A worked hex example is in protocol/STORE.md.
package struct ArrayFile: Sendable {
    static let magic = Array("PATRNARR".utf8)
    static let version: UInt32 = 1
    static let checksumOffset = 12
    static let fixedHeaderByteCount = 64
    static let entryByteCount = 64
    static let alignment = 64

    /// What the file says about one array.
    package struct Entry: Sendable, Equatable {
        package let name: String
        package let type: ElementType
        /// Row-major dimensions, 1 to 4.
        package let shape: [Int]
        package let byteOffset: Int
        package let byteCount: Int
        package let checksum: UInt32
    }

    package let kind: String
    /// JSON in UTF-8, or empty.
    package let card: [UInt8]
    /// In file order.
    package let entries: [Entry]
    private let file: MappedFile
    private let entryIndices: [String: Int]

    /// Maps and verifies a file.
    /// - Parameter verifiesArrays: whether every array's checksum is computed too (about 10 GB/s);
    ///   header, layout and padding are always verified.
    package init(path: String, verifiesArrays: Bool = true) throws(StoreError) {
        file = try MappedFile(path: path)
        try file.requireFormat(
            magic: Self.magic, versions: Self.version...Self.version, name: "an array file",
            minimumByteCount: Self.fixedHeaderByteCount)
        let header = try Self.readHeader(file)
        kind = header.kind
        card = header.card
        entries = header.entries
        entryIndices = Dictionary(
            uniqueKeysWithValues: header.entries.enumerated().map { ($1.name, $0) })
        if verifiesArrays { try verify() }
    }

    package var path: String { file.path }
    package var byteCount: Int { file.byteCount }
    package var names: [String] { entries.map(\.name) }

    /// Nil where the file has no such array.
    package func entry(_ name: String) -> Entry? { entryIndices[name].map { entries[$0] } }

    /// Computes the checksum of every array.
    package func verify() throws(StoreError) {
        for entry in entries { try verify(entry) }
    }

    /// Computes the checksums of some arrays, on several threads; names that the file lacks are
    /// left to who asks for their arrays.
    package func verify(_ names: [String], threadCount: Int) throws(StoreError) {
        for entry in names.compactMap({ entry($0) }) {
            // In pieces: one array may be most of the file.
            let pieces = parallelMap(
                count: entry.byteCount, chunkSize: 16 << 20, threadCount: threadCount
            ) { _, range in
                file.withBytes { bytes in
                    let start = entry.byteOffset + range.lowerBound
                    return (
                        count: range.count,
                        checksum: CRC32C.checksum(bytes.extracting(start..<start + range.count))
                    )
                }
            }
            var crc = CRC32C()
            for piece in pieces { crc.add(count: piece.count, withChecksum: piece.checksum) }
            // It says which array it is.
            if crc.value != entry.checksum { try verify(entry) }
        }
    }

    private func verify(_ entry: Entry) throws(StoreError) {
        try file.requireChecksum(
            entry.checksum, at: entry.byteOffset, count: entry.byteCount,
            part: "array \(entry.name)")
    }

    /// CRC-32C of the whole file by what it says of its arrays, which are not read: the right one
    /// where `verify` finds nothing.
    package var checksum: UInt32 {
        var crc = CRC32C()
        var end = 0
        file.withBytes { bytes in
            for entry in entries {
                crc.add(bytes.extracting(end..<entry.byteOffset))
                crc.add(count: entry.byteCount, withChecksum: entry.checksum)
                end = entry.byteOffset + entry.byteCount
            }
            crc.add(bytes.extracting(end..<bytes.byteCount))
        }
        return crc.value
    }

    /// One checksum of the card and of what all arrays are: two files of equal ones hold the same.
    package var contentChecksum: UInt32 {
        var crc = CRC32C()
        crc.add(card)
        for entry in entries {
            crc.add(Array("\(entry.name) \(entry.shape) \(entry.checksum)\n".utf8))
        }
        return crc.value
    }

    /// An array of the stated type.
    /// - Parameter shape: expected dimensions, where -1 stands for any; nil accepts any shape.
    /// - Throws: `missingPart` where there is none of this name, type and shape.
    package func array<T: ArrayElement>(
        _ name: String, of type: T.Type, shape: [Int]? = nil
    ) throws(StoreError) -> MappedArray<T> {
        let wanted = shape.map { " of shape \($0)" } ?? ""
        guard let entry = entry(name), entry.type == T.elementType,
            shape.map({ Self.matches($0, entry.shape) }) ?? true
        else {
            throw .missingPart(path: path, part: "\(T.elementType) array \"\(name)\"\(wanted)")
        }
        return try MappedArray(file: file, byteOffset: entry.byteOffset, shape: entry.shape)
    }

    /// An array of nothing, for a part that a file may leave out.
    func noElements<T: ArrayElement>() throws(StoreError) -> MappedArray<T> {
        try MappedArray(file: file, byteOffset: 0, shape: [0])
    }

    /// Lends an array's elements.
    package func withSpan<T: ArrayElement, Result>(
        _ name: String, of type: T.Type, _ body: (Span<T>) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try array(name, of: type).withSpan(body)
    }

    /// The product of the dimensions, or nil where it overflows or one is negative.
    static func elementCount(_ shape: [Int]) -> Int? {
        var count = 1
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if dimension < 0 || overflow { return nil }
            count = product
        }
        return count
    }

    private static func matches(_ wanted: [Int], _ actual: [Int]) -> Bool {
        wanted.count == actual.count && zip(wanted, actual).allSatisfy { $0 == -1 || $0 == $1 }
    }
}

extension ArrayFile {
    private struct Header {
        var kind = ""
        var card: [UInt8] = []
        var entries: [Entry] = []
    }

    private static func readHeader(_ file: MappedFile) throws(StoreError) -> Header {
        let path = file.path
        var cursor = ByteCursor(
            path: path, bytes: try file.bytes(at: 0, count: fixedHeaderByteCount), base: 0)
        _ = try cursor.slice(checksumOffset)
        let checksum = try cursor.integer(UInt32.self)
        let fileByteCount = try cursor.count("the file's byte count", limit: Int.max)
        let headerByteCount = try cursor.shortCount(
            "the header's byte count", limit: Int(UInt32.max))
        let arrayCount = try cursor.shortCount("the array count", limit: Limits.arrayCount)
        let kindByteCount = try cursor.shortCount("the kind", limit: Limits.nameByteCount)
        let cardByteCount = try cursor.shortCount("the card", limit: Limits.cardByteCount)
        guard fileByteCount == file.byteCount else {
            if fileByteCount < file.byteCount {
                throw cursor.corrupt("bytes follow the end of the file", at: 16)
            }
            throw .truncated(
                path: path, byteOffset: 16, actual: file.byteCount, expected: fileByteCount)
        }
        let bytes = try file.bytes(at: 0, count: headerByteCount)
        guard headerByteCount >= fixedHeaderByteCount else {
            throw cursor.corrupt("the header is too short", at: 24)
        }
        let actual = headerChecksum(bytes, fieldAt: checksumOffset)
        guard actual == checksum else {
            throw .checksumMismatch(
                path: path, byteOffset: 0, part: "the header", actual: actual, expected: checksum)
        }
        cursor = ByteCursor(path: path, bytes: bytes, base: 0)
        _ = try cursor.slice(40)
        try cursor.reserved(fixedHeaderByteCount - 40)
        return try readDirectory(
            &cursor, file, arrayCount: arrayCount, kindByteCount: kindByteCount,
            cardByteCount: cardByteCount)
    }

    private static func readDirectory(
        _ cursor: inout ByteCursor, _ file: MappedFile, arrayCount: Int, kindByteCount: Int,
        cardByteCount: Int
    ) throws(StoreError) -> Header {
        var directory: [(entry: Entry, nameByteCount: Int)] = []
        var end = cursor.bytes.count
        for _ in 0..<arrayCount {
            let item = try readEntry(&cursor)
            let start = end.roundedUp(to: alignment)
            guard item.entry.byteOffset == start else {
                throw cursor.corrupt("an array does not start where the one before ends")
            }
            try file.requireZeros(end..<start)
            _ = try file.buffer(at: start, count: item.entry.byteCount)
            end = start + item.entry.byteCount
            directory.append(item)
        }
        guard end.roundedUp(to: alignment) == file.byteCount else {
            throw cursor.corrupt("the arrays do not fill the file")
        }
        try file.requireZeros(end..<file.byteCount)
        var header = Header()
        header.kind = try cursor.text(kindByteCount)
        header.card = Array(try cursor.slice(cardByteCount))
        var seen: Set<String> = []
        for (entry, nameByteCount) in directory {
            let name = try cursor.text(nameByteCount)
            guard !name.isEmpty, seen.insert(name).inserted else {
                throw cursor.corrupt("an array's name is empty or repeated")
            }
            header.entries.append(
                Entry(
                    name: name, type: entry.type, shape: entry.shape,
                    byteOffset: entry.byteOffset, byteCount: entry.byteCount,
                    checksum: entry.checksum))
        }
        guard cursor.isAtEnd else { throw cursor.corrupt("bytes follow the last name") }
        return header
    }

    private static func readEntry(
        _ cursor: inout ByteCursor
    ) throws(StoreError) -> (entry: Entry, nameByteCount: Int) {
        let start = cursor.offset
        let byteOffset = try cursor.count("an array's offset", limit: Int.max)
        let byteCount = try cursor.count("an array's byte count", limit: Int.max)
        let checksum = try cursor.integer(UInt32.self)
        let rawType = try cursor.integer(UInt8.self)
        let dimensionCount = Int(try cursor.integer(UInt8.self))
        let nameByteCount = Int(try cursor.integer(UInt16.self))
        try cursor.reserved(8)
        var dimensions: [Int] = []
        for _ in 0..<Limits.dimensionCount {
            dimensions.append(try cursor.count("a dimension", limit: Int.max))
        }
        guard let type = ElementType(rawValue: rawType),
            (1...Limits.dimensionCount).contains(dimensionCount),
            dimensions[dimensionCount...].allSatisfy({ $0 == 0 }),
            nameByteCount <= Limits.nameByteCount
        else { throw cursor.corrupt("an array's type, rank or name is invalid", at: start) }
        let shape = Array(dimensions[..<dimensionCount])
        guard let count = elementCount(shape),
            count.multipliedReportingOverflow(by: type.byteCount) == (byteCount, false)
        else { throw cursor.corrupt("an array's shape does not match its bytes", at: start) }
        let entry = Entry(
            name: "", type: type, shape: shape, byteOffset: byteOffset, byteCount: byteCount,
            checksum: checksum)
        return (entry, nameByteCount)
    }
}
