package import ByteCoding

extension MappedFile {
    /// Lends the bytes of a chunk after LZ4; checks that the entry lies within the file.
    func withChunkBytes(
        _ entry: ChunkEntry, _ memory: DecodeMemory,
        _ body: (inout ChunkBytes) throws(ChunkFlaw) -> Void
    ) throws(ChunkFlaw) {
        defer { extendLifetime(self) }
        guard let slice = try? buffer(at: entry.byteOffset, count: entry.storedByteCount) else {
            throw ChunkFlaw(reason: "a chunk leaves the file")
        }
        let stored = UnsafeRawBufferPointer(rebasing: slice)
        guard entry.isCompressed else {
            var bytes = ChunkBytes(stored)
            return try body(&bytes)
        }
        guard let plain = memory.decompress(stored, byteCount: entry.plainByteCount) else {
            throw ChunkFlaw(reason: "the LZ4 block is not \(entry.plainByteCount) bytes")
        }
        var bytes = ChunkBytes(plain)
        try body(&bytes)
    }
}

/// A number of 4 or 8 bytes whose bit pattern a chunk holds.
protocol FixedWidthValue: BitwiseCopyable {
    associatedtype Pattern: LanePattern
    static var isInteger: Bool { get }
}

extension Int64: FixedWidthValue {
    typealias Pattern = UInt64
    static var isInteger: Bool { true }
}
extension Float: FixedWidthValue {
    typealias Pattern = UInt32
    static var isInteger: Bool { false }
}
extension Double: FixedWidthValue {
    typealias Pattern = UInt64
    static var isInteger: Bool { false }
}

extension SegmentReader {
    /// Decodes blocks of a fixed-width column, each straight into its place in the result.
    func fixed<Value: FixedWidthValue>(
        _ column: Int, _ blocks: Range<Int>, _ validity: inout Validity
    ) throws(StoreError) -> [Value] {
        let first = blocks.isEmpty ? 0 : rows(ofBlock: blocks.lowerBound).lowerBound
        let rowCount =
            blocks.isEmpty ? 0 : rows(ofBlock: blocks.upperBound - 1).upperBound - first
        let memory = DecodeMemory()
        try requireSound(column, blocks, as: Value.self, memory)
        var failure: StoreError?
        let values = [Value](unsafeUninitializedCapacity: rowCount) { buffer, count in
            // Value and Pattern have the same size and alignment, and both are bitwise copyable.
            let patterns = UnsafeMutableRawBufferPointer(buffer).bindMemory(
                to: Value.Pattern.self)
            do throws(StoreError) {
                for block in blocks {
                    let rows = rows(ofBlock: block)
                    let target = UnsafeMutableBufferPointer(
                        rebasing: patterns[rows.lowerBound - first..<rows.upperBound - first])
                    let blockValidity = try fixedBlock(
                        column, block, isInteger: Value.isInteger, into: target, memory)
                    validity.append(blockValidity, rowCount: rows.count)
                }
                count = rowCount
            } catch {
                failure = error
                count = 0
            }
        }
        if let failure { throw failure }
        return values
    }

    /// Decodes blocks that hold far more rows than bytes, one after the other in the same memory: rows
    /// that a file merely claims are found before memory is taken for all of them.
    private func requireSound<Value: FixedWidthValue>(
        _ column: Int, _ blocks: Range<Int>, as type: Value.Type, _ memory: DecodeMemory
    ) throws(StoreError) {
        var (claimed, stored) = (0, 0)
        for block in blocks {
            claimed += rows(ofBlock: block).count * MemoryLayout<Value>.size
            stored += entry(column, block).storedByteCount
        }
        if claimed <= stored * Limits.expansion { return }
        var scratch = [Value.Pattern](repeating: 0, count: Limits.blockRowCount)
        try scratch.withUnsafeMutableBufferPointer { scratch throws(StoreError) in
            for block in blocks {
                _ = try fixedBlock(
                    column, block, isInteger: Value.isInteger,
                    into: UnsafeMutableBufferPointer(
                        rebasing: scratch[..<rows(ofBlock: block).count]), memory)
            }
        }
    }

    private func fixedBlock<Pattern: LanePattern>(
        _ column: Int, _ block: Int, isInteger: Bool,
        into target: UnsafeMutableBufferPointer<Pattern>, _ memory: DecodeMemory
    ) throws(StoreError) -> [Bool]? {
        let entry = entry(column, block)
        var validity: [Bool]?
        try withChunk(column, block, memory) { (bytes) throws(ChunkFlaw) in
            if entry.zone.nullCount > 0 {
                validity = try ChunkDecoder.validity(
                    &bytes, rowCount: target.count, nullCount: entry.zone.nullCount)
            }
            if entry.hasZones {
                _ = try Zones<Pattern>(parsing: &bytes, entry.zone, isInteger: isInteger)
            }
            if entry.encoding.isOfVersionOneOnly {
                try ChunkDecoder.fixed(&bytes, entry.encoding, isInteger: isInteger, into: target)
            } else {
                let chunk = try NumberChunk<Pattern>(
                    parsing: &bytes, entry.encoding, rowCount: target.count, isInteger: isInteger,
                    memory)
                chunk.decodeAll(into: target, memory)
            }
            if let validity {
                for row in target.indices where !validity[row] { target[row] = 0 }
            }
        }
        return validity
    }

    /// Consecutive blocks of a text column, each with its own codes and values, as it is stored:
    /// equal texts of two blocks are not looked for, which takes most of the time of `column` where
    /// texts are mostly distinct.
    /// - Throws: `checksumMismatch` or `corrupt` for damaged bytes.
    package func codedBlocks(
        _ column: Int, _ blocks: Range<Int>
    ) throws(StoreError) -> [CodedText] {
        precondition(
            blocks.lowerBound >= 0 && blocks.upperBound <= blockCount
                && schema[column].type == .text, "blocks of a text column of the segment")
        var result: [CodedText] = []
        let memory = DecodeMemory()
        for block in blocks {
            let entry = entry(column, block)
            try withChunk(column, block, memory) { (bytes) throws(ChunkFlaw) in
                var validity: [Bool]?
                if entry.zone.nullCount > 0 {
                    validity = try ChunkDecoder.validity(
                        &bytes, rowCount: entry.zone.rowCount, nullCount: entry.zone.nullCount)
                }
                let decoded = try ChunkDecoder.texts(
                    &bytes, entry.encoding, rowCount: entry.zone.rowCount,
                    nullCount: entry.zone.nullCount, memory)
                guard case .dictionary(let values, var codes) = decoded else {
                    var collector = TextCollector(form: .coded)
                    collector.append(decoded, validity)
                    if case .coded(let text) = collector.data { result.append(text) }
                    return
                }
                if let validity {
                    for row in codes.indices where !validity[row] {
                        codes[row] = CodedText.missing
                    }
                }
                result.append(CodedText(codes: codes, values: values))
            }
        }
        return result
    }

    /// Decodes blocks of a text column into one of its two forms.
    func texts(
        _ column: Int, _ blocks: Range<Int>, _ form: TextForm, _ validity: inout Validity
    ) throws(StoreError) -> ColumnData {
        var collector = TextCollector(form: form)
        let memory = DecodeMemory()
        for block in blocks {
            let entry = entry(column, block)
            var blockValidity: [Bool]?
            try withChunk(column, block, memory) { (bytes) throws(ChunkFlaw) in
                if entry.zone.nullCount > 0 {
                    blockValidity = try ChunkDecoder.validity(
                        &bytes, rowCount: entry.zone.rowCount, nullCount: entry.zone.nullCount)
                }
                let decoded = try ChunkDecoder.texts(
                    &bytes, entry.encoding, rowCount: entry.zone.rowCount,
                    nullCount: entry.zone.nullCount, memory)
                collector.append(decoded, blockValidity)
            }
            validity.append(blockValidity, rowCount: entry.zone.rowCount)
        }
        return collector.data
    }
}
