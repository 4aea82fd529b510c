import ByteCoding

/// Collects named arrays and writes them as one array file (layout: `ArrayFile`).
package struct ArrayFileWriter: Sendable {
    private struct Entry: Sendable {
        let name: String
        let type: ElementType
        let shape: [Int]
        let contents: any ArrayBytes
    }

    private let kind: String
    private let card: [UInt8]
    private var entries: [Entry] = []

    /// - Parameters:
    ///   - kind: what the file is for, such as `lookup`; 1 to 255 bytes.
    ///   - card: a JSON object in UTF-8, or nothing. The container does not interpret it.
    package init(kind: String, card: [UInt8] = []) {
        self.kind = kind
        self.card = card
    }

    /// Adds an array.
    /// - Parameter shape: row-major dimensions, 1 to 4, whose product is the count; `[count]`
    ///   where nil.
    package mutating func add<T: ArrayElement>(_ name: String, _ values: [T], shape: [Int]? = nil) {
        entries.append(
            Entry(
                name: name, type: T.elementType, shape: shape ?? [values.count],
                contents: TypedBytes(values: values)))
    }

    /// Adds an array whose little-endian bytes are at hand.
    package mutating func add(_ name: String, bytes: [UInt8], of type: ElementType, shape: [Int]) {
        entries.append(
            Entry(name: name, type: type, shape: shape, contents: TypedBytes(values: bytes)))
    }

    /// Adds an array of words that is made while it is written, some rows at a time: there is never
    /// more of it in memory.
    /// - Parameter make: gets the words of some rows, zeros, and fills them in.
    package mutating func add(
        _ name: String, rowCount: Int, wordsPerRow: Int,
        make:
            @escaping @Sendable (
                _ rows: Range<Int>, _ words: inout MutableSpan<UInt64>
            ) throws(StoreError) -> Void
    ) {
        entries.append(
            Entry(
                name: name, type: .uint64, shape: [rowCount, wordsPerRow],
                contents: WordsInTheMaking(
                    rowCount: rowCount, wordsPerRow: wordsPerRow, make: make)))
    }

    /// Writes the file; it becomes visible whole (`AtomicFile`).
    /// - Parameters:
    ///   - syncs: false for a file that can be made anew (`AtomicFile.commitWithoutSync`).
    ///   - isProvisional: as `AtomicFile.commit` says, of a file that is synced.
    /// - Returns: the file's byte count and its CRC-32C.
    @discardableResult
    package func write(
        to path: String, syncs: Bool = true, isProvisional: Bool = false
    ) throws(StoreError) -> (byteCount: Int, checksum: UInt32) {
        try validate(path)
        let file = try AtomicFile(path: path)
        try file.reserveHead(byteCount: headerByteCount)
        var checksums: [UInt32] = []
        for entry in entries {
            try pad(file)
            checksums.append(try entry.contents.write(to: file))
        }
        try pad(file)
        // It holds the checksums, each of which is known once its array is written.
        try file.writeHead(makeHeader(checksums).bytes)
        let result = (file.byteCount, file.checksum)
        if syncs {
            try file.commit(isProvisional: isProvisional)
        } else {
            try file.commitWithoutSync()
        }
        return result
    }

    private func pad(_ file: AtomicFile) throws(StoreError) {
        let count = file.byteCount.roundedUp(to: ArrayFile.alignment) - file.byteCount
        try file.write([UInt8](repeating: 0, count: count))
    }

    private var headerByteCount: Int {
        ArrayFile.fixedHeaderByteCount + entries.count * ArrayFile.entryByteCount
            + kind.utf8.count + card.count + entries.reduce(0) { $0 + $1.name.utf8.count }
    }

    private func makeHeader(_ checksums: [UInt32]) -> ByteWriter {
        let names = entries.map { Array($0.name.utf8) }
        var offsets: [Int] = []
        var end = headerByteCount.roundedUp(to: ArrayFile.alignment)
        for entry in entries {
            offsets.append(end)
            end = (end + entry.contents.byteCount).roundedUp(to: ArrayFile.alignment)
        }
        var header = ByteWriter()
        header.append(contentsOf: ArrayFile.magic)
        header.append(ArrayFile.version)
        header.append(UInt32(0))
        header.append(UInt64(end))
        header.append(UInt32(headerByteCount))
        header.append(UInt32(entries.count))
        header.append(UInt32(kind.utf8.count))
        header.append(UInt32(card.count))
        header.pad(to: ArrayFile.fixedHeaderByteCount)
        for (index, entry) in entries.enumerated() {
            header.append(UInt64(offsets[index]))
            header.append(UInt64(entry.contents.byteCount))
            header.append(checksums[index])
            header.append(entry.type.rawValue)
            header.append(UInt8(entry.shape.count))
            header.append(UInt16(names[index].count))
            header.append(UInt64(0))
            for dimension in 0..<Limits.dimensionCount {
                header.append(
                    dimension < entry.shape.count ? UInt64(entry.shape[dimension]) : UInt64(0))
            }
        }
        header.append(contentsOf: kind.utf8)
        header.append(contentsOf: card)
        for name in names { header.append(contentsOf: name) }
        header.overwrite(
            headerChecksum(header.bytes, fieldAt: ArrayFile.checksumOffset),
            at: ArrayFile.checksumOffset)
        return header
    }

    private func validate(_ path: String) throws(StoreError) {
        func invalid(_ reason: String) -> StoreError { .invalidInput(path: path, reason: reason) }
        guard (1...Limits.nameByteCount).contains(kind.utf8.count) else {
            throw invalid("a kind has 1 to \(Limits.nameByteCount) bytes")
        }
        guard entries.count <= Limits.arrayCount, card.count <= Limits.cardByteCount else {
            throw invalid("too many arrays or too large a card")
        }
        var seen: Set<String> = []
        for entry in entries {
            guard (1...Limits.nameByteCount).contains(entry.name.utf8.count),
                seen.insert(entry.name).inserted
            else { throw invalid("array name \"\(entry.name)\" is empty, too long or repeated") }
            guard (1...Limits.dimensionCount).contains(entry.shape.count),
                let count = ArrayFile.elementCount(entry.shape),
                count <= entry.contents.byteCount,
                count * entry.type.byteCount == entry.contents.byteCount
            else {
                throw invalid(
                    """
                    array \(entry.name): shape \(entry.shape) does not match its \
                    \(entry.contents.byteCount) bytes
                    """)
            }
        }
    }
}

/// Hides the element type of an array that waits to be written, so that it need not be copied.
private protocol ArrayBytes: Sendable {
    var byteCount: Int { get }
    /// - Returns: the checksum of the bytes.
    func write(to file: AtomicFile) throws(StoreError) -> UInt32
}

/// Bytes that are written at a time, few enough to be in the cache still when the system copies them.
private let pieceByteCount = 256 << 10

private struct TypedBytes<T: ArrayElement>: ArrayBytes {
    let values: [T]

    var byteCount: Int { values.count * MemoryLayout<T>.stride }

    func write(to file: AtomicFile) throws(StoreError) -> UInt32 {
        var crc = CRC32C()
        let bytes = values.span.bytes
        for start in stride(from: 0, to: byteCount, by: pieceByteCount) {
            let end = min(byteCount, start + pieceByteCount)
            try crc.write(bytes.extracting(start..<end), to: file)
        }
        return crc.value
    }
}

private struct WordsInTheMaking: ArrayBytes {
    let rowCount: Int
    let wordsPerRow: Int
    let make: @Sendable (Range<Int>, inout MutableSpan<UInt64>) throws(StoreError) -> Void

    var byteCount: Int { rowCount * wordsPerRow * 8 }

    func write(to file: AtomicFile) throws(StoreError) -> UInt32 {
        var crc = CRC32C()
        let pieceRowCount = max(1, pieceByteCount / (8 * wordsPerRow))
        var piece: [UInt64] = []
        for start in stride(from: 0, to: rowCount, by: pieceRowCount) {
            let rows = start..<min(rowCount, start + pieceRowCount)
            piece.removeAll(keepingCapacity: true)
            piece.append(contentsOf: repeatElement(0, count: rows.count * wordsPerRow))
            var words = piece.mutableSpan
            try make(rows, &words)
            let bytes = piece.span.bytes
            try crc.write(bytes, to: file)
        }
        return crc.value
    }
}

extension CRC32C {
    /// Writes bytes and adds them, which are read once for both checksums.
    fileprivate mutating func write(_ bytes: RawSpan, to file: AtomicFile) throws(StoreError) {
        var own = CRC32C()
        own.add(bytes)
        try file.write(bytes, checksum: own.value)
        add(count: bytes.byteCount, withChecksum: own.value)
    }
}
