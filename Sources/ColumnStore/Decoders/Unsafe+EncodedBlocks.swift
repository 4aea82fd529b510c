import ByteCoding
import Numerical

/// The numbers of a column, encoded block by block in memory: what a segment file would hold
/// without LZ4, for measurements of one encoding. For one thread: all blocks are decoded into the
/// same memory.
package final class EncodedBlocks {
    private enum Storage {
        case four([EncodedColumn.Copy], [NumberChunk<UInt32>], UnsafeMutableBufferPointer<UInt32>)
        case eight([EncodedColumn.Copy], [NumberChunk<UInt64>], UnsafeMutableBufferPointer<UInt64>)
    }

    package let rowCount: Int
    /// Encoded bytes, each block padded to 8.
    package let byteCount: Int
    /// The encoding of each block.
    package let encodings: [Encoding]
    package let elementByteCount: Int
    /// What the chunks point at lies in the copies beside them, and the buffer in `output`.
    private let storage: Storage
    private let output: EncodedColumn.Copy

    /// - Parameters:
    ///   - data: a column of numbers, at least one row.
    ///   - encoding: nil chooses for each block as a writer does.
    /// - Returns: nil where the encoding does not fit the values of some block.
    package init?(_ data: ColumnData, as encoding: Encoding?, _ memory: DecodeMemory) {
        rowCount = data.count
        elementByteCount = data.type == .float32 ? 4 : 8
        guard rowCount > 0 else { return nil }
        let output = EncodedColumn.Copy(byteCount: Limits.blockRowCount * elementByteCount)
        self.output = output
        func make<W: LanePattern>(
            _ values: UnsafeBufferPointer<W>
        ) -> (copies: [EncodedColumn.Copy], chunks: [NumberChunk<W>], [Encoding], byteCount: Int)? {
            let encoder = LaneEncoder()
            var copies: [EncodedColumn.Copy] = []
            var chunks: [NumberChunk<W>] = []
            var encodings: [Encoding] = []
            var byteCount = 0
            let isInteger = data.type == .int64
            for start in stride(from: 0, to: values.count, by: Limits.blockRowCount) {
                let rows = start..<min(values.count, start + Limits.blockRowCount)
                let block = UnsafeBufferPointer(rebasing: values[rows])
                let used: Encoding
                let payload: ByteWriter
                if let encoding {
                    guard
                        let forced = encoder.encode(block, isInteger: isInteger, as: encoding)
                    else { return nil }
                    (used, payload) = (encoding, forced)
                } else {
                    (used, payload) = encoder.encode(block, isInteger: isInteger)
                }
                let copy = EncodedColumn.Copy(byteCount: payload.count)
                let bytes = UnsafeMutableRawBufferPointer(start: copy.start, count: payload.count)
                payload.bytes.withUnsafeBytes { bytes.copyMemory(from: $0) }
                var parts = ChunkBytes(UnsafeRawBufferPointer(bytes))
                guard
                    let chunk = try? NumberChunk<W>(
                        parsing: &parts, used, rowCount: block.count, isInteger: isInteger, memory)
                else { return nil }
                copies.append(copy)
                chunks.append(chunk)
                encodings.append(used)
                byteCount += payload.count.roundedUp(to: 8)
            }
            return (copies, chunks, encodings, byteCount)
        }
        switch data {
        case .float32(let values):
            guard
                let made = values.withUnsafeBytes({ make($0.assumingMemoryBound(to: UInt32.self)) })
            else { return nil }
            (encodings, byteCount) = (made.2, made.byteCount)
            storage = .four(made.copies, made.chunks, output.buffer())
        case .float64(let values):
            guard
                let made = values.withUnsafeBytes({ make($0.assumingMemoryBound(to: UInt64.self)) })
            else { return nil }
            (encodings, byteCount) = (made.2, made.byteCount)
            storage = .eight(made.copies, made.chunks, output.buffer())
        case .int64(let values):
            guard
                let made = values.withUnsafeBytes({ make($0.assumingMemoryBound(to: UInt64.self)) })
            else { return nil }
            (encodings, byteCount) = (made.2, made.byteCount)
            storage = .eight(made.copies, made.chunks, output.buffer())
        case .coded, .text:
            return nil
        }
    }

    package var blockCount: Int { encodings.count }

    /// Decodes blocks one after the other into the same memory, which stays in a cache.
    package func decode(blocks: Range<Int>, _ memory: DecodeMemory) {
        precondition(blocks.lowerBound >= 0 && blocks.upperBound <= blockCount)
        switch storage {
        case .four(_, let chunks, let output):
            for block in blocks {
                let chunk = chunks[block]
                chunk.decodeAll(
                    into: UnsafeMutableBufferPointer(rebasing: output[..<chunk.rowCount]), memory)
            }
        case .eight(_, let chunks, let output):
            for block in blocks {
                let chunk = chunks[block]
                chunk.decodeAll(
                    into: UnsafeMutableBufferPointer(rebasing: output[..<chunk.rowCount]), memory)
            }
        }
    }

    /// Decodes the vectors of a block one after the other into the same memory of 1,024 values, which
    /// stays in the first-level cache: a tile at a time, as kernels take them.
    package func decodeTiles(block: Int, _ memory: DecodeMemory) {
        precondition((0..<blockCount).contains(block))
        func decode<W: LanePattern>(
            _ chunk: NumberChunk<W>, _ output: UnsafeMutableBufferPointer<W>
        ) {
            // Room for a block, which is more than a vector.
            guard let target = output.baseAddress else { return }
            for vector in 0..<chunk.vectorCount {
                chunk.decode(vector: vector, into: target, memory)
            }
        }
        switch storage {
        case .four(_, let chunks, let output): decode(chunks[block], output)
        case .eight(_, let chunks, let output): decode(chunks[block], output)
        }
    }

    /// Copies 1,024 values as often as decoding the tiles of a block writes them: the same writes of
    /// the same cache lines, with nothing to decode.
    package func copyTiles(block: Int, _ memory: DecodeMemory) {
        let rows = min(Limits.blockRowCount, rowCount - block * Limits.blockRowCount)
        let target = output.start
        for start in stride(from: 0, to: rows, by: Limits.vectorRowCount) {
            let count = min(Limits.vectorRowCount, rows - start)
            target.copyMemory(from: memory.vector, byteCount: count * elementByteCount)
        }
    }

    /// Whether every block decodes to these values, bit for bit.
    package func isExact(_ data: ColumnData, _ memory: DecodeMemory) -> Bool {
        for block in 0..<blockCount {
            decode(blocks: block..<block + 1, memory)
            let start = block * Limits.blockRowCount
            let rows = start..<min(rowCount, start + Limits.blockRowCount)
            let isEqual =
                switch (data, storage) {
                case (.float32(let values), .four(_, _, let output)):
                    rows.allSatisfy { values[$0].bitPattern == output[$0 - start] }
                case (.float64(let values), .eight(_, _, let output)):
                    rows.allSatisfy { values[$0].bitPattern == output[$0 - start] }
                case (.int64(let values), .eight(_, _, let output)):
                    rows.allSatisfy { UInt64(bitPattern: values[$0]) == output[$0 - start] }
                default: false
                }
            if !isEqual { return false }
        }
        return true
    }
}

extension EncodedColumn.Copy {
    /// The memory of a block as numbers.
    fileprivate func buffer<W: LanePattern>() -> UnsafeMutableBufferPointer<W> {
        UnsafeMutableBufferPointer(
            start: start.bindMemory(to: W.self, capacity: Limits.blockRowCount),
            count: Limits.blockRowCount)
    }
}

/// The plain numbers of a column under LZ4, block by block in memory, for comparison.
package struct LZ4Blocks: Sendable {
    /// Plain blocks where LZ4 saves nothing.
    package let blocks: [[UInt8]]
    private let plainByteCounts: [Int]

    package init(_ data: ColumnData) {
        func cut<T: BitwiseCopyable>(_ values: [T]) -> [[UInt8]] {
            stride(from: 0, to: values.count, by: Limits.blockRowCount).map { start in
                var writer = ByteWriter()
                writer.append(
                    lanes: Array(values[start..<min(values.count, start + Limits.blockRowCount)]))
                return writer.bytes
            }
        }
        let plain: [[UInt8]] =
            switch data {
            case .float32(let values): cut(values)
            case .float64(let values): cut(values)
            case .int64(let values): cut(values)
            case .coded, .text: []
            }
        plainByteCounts = plain.map(\.count)
        blocks = plain.map { LZ4.compress($0, maximumShare: 1) ?? $0 }
    }

    package var byteCount: Int { blocks.reduce(0) { $0 + $1.count } }

    /// The size of a block's numbers; equal to its count where LZ4 saved nothing.
    package func plainByteCount(block: Int) -> Int { plainByteCounts[block] }

    /// Decodes a block as a reader does.
    /// - Returns: whether it was compressed and gave as many bytes as it should.
    package func decode(block: Int, _ memory: DecodeMemory) -> Bool {
        guard blocks[block].count < plainByteCounts[block] else { return false }
        return blocks[block].withUnsafeBytes {
            memory.decompress($0, byteCount: plainByteCounts[block]) != nil
        }
    }
}
