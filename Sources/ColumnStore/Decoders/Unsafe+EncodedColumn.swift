import Numerical

/// The numbers of a column as they are encoded, checked once when opened: then any value or vector
/// of 1,024 rows is decoded without the others, by any number of threads.
///
/// A chunk under LZ4 or in an encoding of version 1 is decoded when the column is opened and kept
/// in memory; every other one stays in the mapped file.
package struct EncodedColumn: Sendable {
    package static let vectorRowCount = Limits.vectorRowCount

    /// Decoded bytes that a block lives in instead of the file.
    final class Copy: @unchecked Sendable {
        let start: UnsafeMutableRawPointer

        init(byteCount: Int) { start = .allocate(byteCount: max(8, byteCount), alignment: 64) }

        deinit { start.deallocate() }
    }

    struct Block<Pattern: LanePattern> {
        let chunk: NumberChunk<Pattern>
        /// A bit a row, 1 where it has a value; nil where all have.
        let validity: UnsafeRawPointer?
        let zones: Zones<Pattern>?
        let zone: ZoneMap

        @inline(__always)
        func isValid(_ row: Int) -> Bool {
            guard let validity else { return true }
            let byte = validity.load(fromByteOffset: row / 8, as: UInt8.self)
            return byte >> UInt8(row % 8) & 1 == 1
        }
    }

    /// Blocks in memory of their own: reaching one counts no references and copies nothing. Never
    /// written after the column is opened; the pointers lie in the column's file and in `copies`.
    final class Blocks<Pattern: LanePattern>: @unchecked Sendable {
        private let base: UnsafeMutablePointer<Block<Pattern>>
        private let count: Int
        /// What keeps those parts alive that are not in the file.
        private let copies: [Copy]

        init(_ blocks: [Block<Pattern>], _ copies: [Copy]) {
            count = blocks.count
            base = .allocate(capacity: max(1, count))
            for (index, block) in blocks.enumerated() { (base + index).initialize(to: block) }
            self.copies = copies
        }

        deinit {
            base.deinitialize(count: count)
            base.deallocate()
        }

        @inline(__always)
        subscript(index: Int) -> Block<Pattern> {
            unsafeAddress {
                precondition(index >= 0 && index < count, "block outside the column")
                return UnsafePointer(base + index)
            }
        }
    }

    enum Storage {
        case four(Blocks<UInt32>)
        case eight(Blocks<UInt64>)
    }

    package let schema: ColumnSchema
    package let rowCount: Int
    let storage: Storage
    let file: MappedFile

    /// Opens a column of numbers: checks the checksum and the contents of every chunk.
    /// - Throws: `missingPart` where there is no such column of numbers; `checksumMismatch` or
    ///   `corrupt` for damaged bytes.
    package init(_ reader: SegmentReader, column name: String) throws(StoreError) {
        guard let column = reader.columnIndex(named: name), reader.schema[column].type != .text
        else { throw .missingPart(path: reader.path, part: "column of numbers \"\(name)\"") }
        schema = reader.schema[column]
        rowCount = reader.rowCount
        file = reader.file
        let memory = DecodeMemory()
        if schema.type == .float32 {
            storage = .four(try reader.encodedBlocks(column, memory))
        } else {
            storage = .eight(try reader.encodedBlocks(column, memory))
        }
    }

    package var vectorCount: Int {
        (rowCount + Self.vectorRowCount - 1) / Self.vectorRowCount
    }

    /// The rows of a vector: 1,024, fewer in the last.
    package func rows(ofVector vector: Int) -> Range<Int> {
        vector * Self.vectorRowCount..<min(rowCount, (vector + 1) * Self.vectorRowCount)
    }

    /// The bit pattern of one value: of an Int64, Double or, in the low half, Float. Nil where the
    /// row has no value. Traps outside the column.
    package func pattern(row: Int) -> UInt64? {
        precondition(row >= 0 && row < rowCount, "row outside the column")
        defer { extendLifetime(file) }
        let (index, place) = (row / Limits.blockRowCount, row % Limits.blockRowCount)
        switch storage {
        case .four(let blocks):
            return blocks[index].isValid(place) ? UInt64(blocks[index].chunk.value(place)) : nil
        case .eight(let blocks):
            return blocks[index].isValid(place) ? blocks[index].chunk.value(place) : nil
        }
    }

    /// Decodes vectors of a float32 column into the tile of a feature-major matrix: value i of the
    /// first vector goes to `tile[first + i / 64 × runStride + i % 64]`. Rows without a value become
    /// 0.
    /// - Parameters:
    ///   - vectors: within the column; only the last may be short, and then its rest is 0.
    ///   - tile: `vectors.count × 16` runs of 64 values.
    ///   - runStride: values between the starts of two runs: 64 times the features.
    package func decode(
        vectors: Range<Int>, into tile: inout MutableSpan<Float>, at first: Int = 0,
        runStride: Int,
        _ memory: DecodeMemory
    ) {
        guard case .four(let blocks) = storage else {
            preconditionFailure("a tile of a column that is not float32")
        }
        precondition(vectors.lowerBound >= 0 && vectors.upperBound <= vectorCount)
        precondition(
            runStride >= 64 && first >= 0
                && (vectors.isEmpty
                    || tile.count - first >= (vectors.count * 16 - 1) * runStride + 64)
        )
        defer { extendLifetime(file) }
        tile.withUnsafeMutableBufferPointer { tile in
            guard let base = tile.baseAddress else { return }
            for vector in vectors {
                let target = base + first + (vector - vectors.lowerBound) * 16 * runStride
                blocks[vector / 16].decode(
                    vector: vector % 16, into: target, runStride: runStride, memory)
            }
        }
    }
}

extension EncodedColumn.Block where Pattern == UInt32 {
    /// Decodes a vector into runs of 64 floats.
    func decode(
        vector: Int, into target: UnsafeMutablePointer<Float>, runStride: Int,
        _ memory: DecodeMemory
    ) {
        let rows = chunk.rows(ofVector: vector)
        if rows.count == EncodedColumn.vectorRowCount, validity == nil,
            case .direct(let direct) = chunk.body,
            case .decimal(let numbers, let reference, let exponent, let exceptions) = direct.body
        {
            // Straight into the tile.
            numbers.withGroup(vector * 2, groupCount: 2, memory) { bytes, width in
                memory.kernels.unpackDecimals(
                    bytes, groupCount: 2, width: width,
                    reference: Int32(truncatingIfNeeded: reference), exponent: exponent,
                    into: UnsafeMutableBufferPointer(start: target, count: 15 * runStride + 64),
                    runStride: runStride)
            }
            exceptions.patch(vector: vector, target, runStride: runStride)
            return
        }
        let values = memory.vector.assumingMemoryBound(to: UInt32.self)
        chunk.decode(vector: vector, into: values, memory)
        for row in 0..<rows.count where !isValid(rows.lowerBound + row) { values[row] = 0 }
        for row in rows.count..<EncodedColumn.vectorRowCount { values[row] = 0 }
        for run in 0..<16 {
            UnsafeMutableRawPointer(target + run * runStride).copyMemory(
                from: values + run * 64, byteCount: 256)
        }
    }
}

extension Exceptions where Pattern == UInt32 {
    /// Puts the exceptions of a vector in their places of a tile.
    fileprivate func patch(vector: Int, _ tile: UnsafeMutablePointer<Float>, runStride: Int) {
        if count == 0 { return }
        let first = vector * EncodedColumn.vectorRowCount
        var index = lowerBound(first)
        while index < count, row(index) < first + EncodedColumn.vectorRowCount {
            let row = row(index) - first
            tile[row / 64 * runStride + row % 64] = Float(bitPattern: value(index))
            index += 1
        }
    }
}

extension SegmentReader {
    /// Checks all chunks of a column.
    fileprivate func encodedBlocks<Pattern: LanePattern>(
        _ column: Int, _ memory: DecodeMemory
    ) throws(StoreError) -> EncodedColumn.Blocks<Pattern> {
        var blocks: [EncodedColumn.Block<Pattern>] = []
        var copies: [EncodedColumn.Copy] = []
        for block in 0..<blockCount {
            blocks.append(try encodedBlock(column, block, memory, &copies))
        }
        return EncodedColumn.Blocks(blocks, copies)
    }

    /// Checks a chunk and says where its parts are.
    private func encodedBlock<Pattern: LanePattern>(
        _ column: Int, _ block: Int, _ memory: DecodeMemory, _ copies: inout [EncodedColumn.Copy]
    ) throws(StoreError) -> EncodedColumn.Block<Pattern> {
        let entry = entry(column, block)
        let isInteger = schema[column].type == .int64
        var result: EncodedColumn.Block<Pattern>?
        let (rowCount, isOld) = (entry.zone.rowCount, entry.encoding.isOfVersionOneOnly)
        try withChunk(column, block, memory) { (bytes) throws(ChunkFlaw) in
            // What does not lie in the file as it is used is copied.
            var parts = bytes
            if entry.isCompressed {
                let plain = EncodedColumn.Copy(byteCount: entry.plainByteCount)
                let all = try bytes.take(entry.plainByteCount)
                UnsafeMutableRawBufferPointer(start: plain.start, count: all.count)
                    .copyMemory(from: all)
                parts = ChunkBytes(UnsafeRawBufferPointer(start: plain.start, count: all.count))
                copies.append(plain)
            }
            var validity: UnsafeRawPointer?
            if entry.zone.nullCount > 0 {
                var peek = parts
                _ = try ChunkDecoder.validity(
                    &peek, rowCount: rowCount, nullCount: entry.zone.nullCount)
                validity = try parts.words(count: rowCount, width: 1)
            }
            let zones =
                entry.hasZones
                ? try Zones<Pattern>(parsing: &parts, entry.zone, isInteger: isInteger) : nil
            guard isOld else {
                result = EncodedColumn.Block(
                    chunk: try NumberChunk(
                        parsing: &parts, entry.encoding, rowCount: rowCount, isInteger: isInteger,
                        memory),
                    validity: validity, zones: zones, zone: entry.zone)
                return
            }
            let decoded = EncodedColumn.Copy(
                byteCount: rowCount * MemoryLayout<Pattern>.size)
            let values = UnsafeMutableBufferPointer(
                start: decoded.start.bindMemory(to: Pattern.self, capacity: rowCount),
                count: rowCount)
            try ChunkDecoder.fixed(&parts, entry.encoding, isInteger: isInteger, into: values)
            copies.append(decoded)
            result = EncodedColumn.Block(
                chunk: NumberChunk(plain: decoded.start, rowCount: rowCount),
                validity: validity, zones: zones, zone: entry.zone)
        }
        guard let result else { preconditionFailure("a chunk is read or thrown on") }
        return result
    }
}
