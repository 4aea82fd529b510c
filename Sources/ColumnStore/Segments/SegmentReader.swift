package import ByteCoding

/// Reads a segment file through a mapping. Opening verifies header, trailer, footer and layout;
/// every chunk's checksum is verified when the chunk is read.
package struct SegmentReader: Sendable {
    /// The form in which a text column is handed out.
    package enum TextForm: Sendable {
        /// `ColumnData.coded`: for few distinct values.
        case coded
        /// `ColumnData.text`: for many.
        case texts
    }

    let file: MappedFile
    private let footer: SegmentFooter
    private let columnIndices: [String: Int]

    package init(path: String) throws(StoreError) {
        file = try MappedFile(path: path)
        footer = try Self.readFooter(file)
        columnIndices = Dictionary(
            uniqueKeysWithValues: footer.schema.enumerated().map { ($1.name, $0) })
    }

    package var path: String { file.path }
    package var byteCount: Int { file.byteCount }
    package var rowCount: Int { footer.rowCount }
    package var blockCount: Int { footer.blockCount }
    package var version: SegmentVersion { footer.version }
    package var schema: [ColumnSchema] { footer.schema }

    /// The rows of a block: 16,384, fewer in the last.
    package func rows(ofBlock block: Int) -> Range<Int> { footer.rows(ofBlock: block) }

    /// The position of a column; nil where there is none of this name.
    package func columnIndex(named name: String) -> Int? { columnIndices[name] }

    /// Minimum, maximum and null count of a block of a column.
    package func zoneMap(column: Int, block: Int) -> ZoneMap { entry(column, block).zone }

    /// How a block of a column is stored.
    package func encoding(
        column: Int, block: Int
    ) -> (encoding: Encoding, isCompressed: Bool, hasZones: Bool, storedByteCount: Int) {
        let entry = entry(column, block)
        return (entry.encoding, entry.isCompressed, entry.hasZones, entry.storedByteCount)
    }

    /// Bytes of a block's chunks as they are encoded, before LZ4: texts that differ count one by one.
    package func encodedByteCount(ofBlock block: Int) -> Int {
        schema.indices.reduce(0) { $0 + entry($1, block).plainByteCount }
    }

    /// A whole column.
    /// - Parameter form: for text columns.
    /// - Throws: `missingPart` for an unknown name; what `block` throws.
    package func column(
        named name: String, as form: TextForm = .texts
    ) throws(StoreError) -> Column {
        guard let index = columnIndices[name] else {
            throw .missingPart(path: path, part: "column \"\(name)\"")
        }
        return try column(index, blocks: 0..<blockCount, as: form)
    }

    /// One block of a column.
    /// - Throws: `checksumMismatch` or `corrupt` for damaged bytes.
    package func block(
        _ block: Int, column: Int, as form: TextForm = .texts
    ) throws(StoreError) -> Column {
        try self.column(column, blocks: block..<block + 1, as: form)
    }

    /// A text column of few distinct values.
    /// - Throws: `missingPart` where there is no text column of this name.
    package func coded(named name: String) throws(StoreError) -> CodedText {
        guard case .coded(let coded) = try column(named: name, as: .coded).data else {
            throw .missingPart(path: path, part: "text column \"\(name)\"")
        }
        return coded
    }

    /// An int64 column; rows without a value hold 0.
    /// - Throws: `missingPart` where there is no int64 column of this name.
    package func integers(named name: String) throws(StoreError) -> [Int64] {
        guard case .int64(let values) = try column(named: name).data else {
            throw .missingPart(path: path, part: "int64 column \"\(name)\"")
        }
        return values
    }

    /// Consecutive blocks of a column as one.
    package func column(
        _ index: Int, blocks: Range<Int>, as form: TextForm = .texts
    ) throws(StoreError) -> Column {
        precondition(
            blocks.lowerBound >= 0 && blocks.upperBound <= blockCount, "blocks outside the segment")
        let schema = schema[index]
        var validity = Validity(
            isNeeded: blocks.contains { entry(index, $0).zone.nullCount > 0 })
        let data: ColumnData
        switch schema.type {
        case .int64: data = .int64(try fixed(index, blocks, &validity))
        case .float32: data = .float32(try fixed(index, blocks, &validity))
        case .float64: data = .float64(try fixed(index, blocks, &validity))
        case .text: data = try texts(index, blocks, form, &validity)
        }
        return Column(name: schema.name, data: data, validity: validity.rows)
    }

    /// Some rows of consecutive blocks of an int64 column; a row without a value holds 0. Blocks with
    /// none of them are not read, and of the others there is never more than one in memory.
    /// - Parameter rows: ascending, counted from the first of the blocks.
    package func integers(
        _ column: Int, blocks: Range<Int>, rows: [Range<Int>]
    ) throws(StoreError) -> [Int64] {
        try some(rows, of: blocks) { (block, validity) throws(StoreError) in
            try fixed(column, block..<block + 1, &validity)
        }
    }

    /// The same of a float32 column.
    package func floats(
        _ column: Int, blocks: Range<Int>, rows: [Range<Int>]
    ) throws(StoreError) -> [Float] {
        try some(rows, of: blocks) { (block, validity) throws(StoreError) in
            try fixed(column, block..<block + 1, &validity)
        }
    }

    private func some<Value>(
        _ rows: [Range<Int>], of blocks: Range<Int>,
        decode: (_ block: Int, inout Validity) throws(StoreError) -> [Value]
    ) throws(StoreError) -> [Value] {
        var result: [Value] = []
        result.reserveCapacity(rows.reduce(0) { $0 + $1.count })
        // A row without a value holds 0 anyway.
        var validity = Validity(isNeeded: false)
        var next = 0
        for block in blocks {
            let first = (block - blocks.lowerBound) * Limits.blockRowCount
            let end = first + self.rows(ofBlock: block).count
            guard next < rows.count, rows[next].lowerBound < end else { continue }
            let values = try decode(block, &validity)
            while next < rows.count, rows[next].lowerBound < end {
                let part = rows[next].clamped(to: first..<end)
                result += values[part.lowerBound - first..<part.upperBound - first]
                // The rest of the range is in the next block.
                if rows[next].upperBound > end { break }
                next += 1
            }
        }
        return result
    }

    /// Decodes every chunk and throws the results away.
    package func verify() throws(StoreError) {
        for block in 0..<blockCount {
            for column in schema.indices { _ = try self.block(block, column: column) }
        }
    }

    /// Gives the memory of mapped blocks back to the system until they are read again; for passes
    /// over files that memory need not hold.
    package func forget(blocks: Range<Int>) {
        guard !blocks.isEmpty else { return }
        let last = entry(schema.count - 1, blocks.upperBound - 1)
        let start = entry(0, blocks.lowerBound).byteOffset
        file.forget(at: start, count: last.byteOffset + last.storedByteCount - start)
    }

    func entry(_ column: Int, _ block: Int) -> ChunkEntry {
        precondition(
            column >= 0 && column < schema.count && block >= 0 && block < blockCount,
            "column or block outside the segment")
        return footer.entries[block * schema.count + column]
    }

    /// Lends a chunk's bytes after checksum and LZ4 and maps what the decoder finds to the file.
    func withChunk(
        _ column: Int, _ block: Int, _ memory: DecodeMemory,
        _ body: (inout ChunkBytes) throws(ChunkFlaw) -> Void
    ) throws(StoreError) {
        let entry = entry(column, block)
        let name = schema[column].name
        try file.requireChecksum(
            entry.checksum, at: entry.byteOffset, count: entry.storedByteCount,
            part: "block \(block) of column \(name)")
        let end = entry.byteOffset + entry.storedByteCount
        try file.requireZeros(end..<end.roundedUp(to: SegmentFormat.alignment))
        do throws(ChunkFlaw) {
            try file.withChunkBytes(entry, memory, body)
        } catch {
            throw .corrupt(
                path: path, byteOffset: entry.byteOffset,
                reason: "block \(block) of column \(name): \(error.reason)")
        }
    }

    private static func readFooter(_ file: MappedFile) throws(StoreError) -> SegmentFooter {
        let path = file.path
        let minimum = SegmentFormat.headerByteCount + SegmentFormat.trailerByteCount
        let number = try file.requireFormat(
            magic: SegmentFormat.magic,
            versions: SegmentVersion.one.rawValue...SegmentVersion.latest.rawValue,
            name: "a segment file", minimumByteCount: minimum)
        let version = SegmentVersion(rawValue: number) ?? .one
        let header = try file.bytes(at: 0, count: SegmentFormat.headerByteCount)
        var cursor = ByteCursor(path: path, bytes: header, base: 0)
        _ = try cursor.slice(SegmentFormat.headerChecksumOffset)
        try requireHeaderChecksum(
            header, fieldAt: SegmentFormat.headerChecksumOffset,
            stored: try cursor.integer(UInt32.self), path: path, base: 0, part: "the header")
        guard try cursor.integer(UInt32.self) == UInt32(Limits.blockRowCount) else {
            throw cursor.corrupt("the rows a block are not \(Limits.blockRowCount)")
        }
        try cursor.reserved(SegmentFormat.headerByteCount - 20)

        let trailerOffset = file.byteCount - SegmentFormat.trailerByteCount
        let trailer = try file.bytes(at: trailerOffset, count: SegmentFormat.trailerByteCount)
        guard trailer.suffix(8) == SegmentFormat.endMagic[...] else {
            throw .corrupt(
                path: path, byteOffset: file.byteCount - 8,
                reason: "the file does not end like a segment file: it is truncated or damaged")
        }
        cursor = ByteCursor(path: path, bytes: trailer, base: trailerOffset)
        let footerOffset = try cursor.count("the footer's offset", limit: Int.max)
        let footerByteCount = try cursor.count(
            "the footer's byte count", limit: Limits.footerByteCount)
        let footerChecksum = try cursor.integer(UInt32.self)
        try requireHeaderChecksum(
            trailer, fieldAt: SegmentFormat.trailerChecksumOffset,
            stored: try cursor.integer(UInt32.self), path: path, base: trailerOffset,
            part: "the trailer")
        guard footerOffset >= SegmentFormat.headerByteCount, footerOffset <= trailerOffset,
            footerByteCount == trailerOffset - footerOffset
        else { throw cursor.corrupt("the footer does not end where the trailer starts", at: 0) }
        try file.requireChecksum(
            footerChecksum, at: footerOffset, count: footerByteCount, part: "the footer")
        cursor = ByteCursor(
            path: path, bytes: try file.bytes(at: footerOffset, count: footerByteCount),
            base: footerOffset)
        let footer = try SegmentFooter(reading: &cursor, version: version)
        var end = SegmentFormat.headerByteCount
        for entry in footer.entries {
            guard entry.byteOffset == end, entry.storedByteCount <= footerOffset - end else {
                throw cursor.corrupt("a chunk does not start where the one before ends")
            }
            end = (end + entry.storedByteCount).roundedUp(to: SegmentFormat.alignment)
        }
        guard end == footerOffset else {
            throw cursor.corrupt("the chunks do not end where the footer starts")
        }
        return footer
    }

    private static func requireHeaderChecksum(
        _ bytes: [UInt8], fieldAt position: Int, stored: UInt32, path: String, base: Int,
        part: String
    ) throws(StoreError) {
        let actual = headerChecksum(bytes, fieldAt: position)
        guard actual == stored else {
            throw .checksumMismatch(
                path: path, byteOffset: base, part: part, actual: actual, expected: stored)
        }
    }
}

/// Collects the validity of a column's blocks, unless all of its rows have a value.
struct Validity {
    private(set) var rows: [Bool]?

    init(isNeeded: Bool) { rows = isNeeded ? [] : nil }

    mutating func append(_ block: [Bool]?, rowCount: Int) {
        if let block {
            rows?.append(contentsOf: block)
        } else {
            rows?.append(contentsOf: repeatElement(true, count: rowCount))
        }
    }
}
