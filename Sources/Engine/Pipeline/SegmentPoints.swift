package import ColumnStore
package import Models
package import Numerical
import Synchronization

/// Columns of a segment file as rows of features, decoded block by block: a pass over any number of
/// rows holds one decoded block a thread.
///
/// Integers are taken as they are; values should be on comparable scales.
package final class SegmentPoints: PointSource {
    /// A decoded block.
    private struct Block: Sendable {
        let index: Int
        let matrix: FeatureMatrix
    }

    package let featureCount: Int
    private let reader: SegmentReader
    private let columns: [Int]
    /// Blocks that no call holds now, the last used ones last. A thread reads a block's chunks one
    /// after the other and finds its block here.
    private let spares: Mutex<[Block]>
    private let mostSpares: Int

    package var rowCount: Int { reader.rowCount }

    /// - Parameters:
    ///   - columns: names of numeric columns, in the order of the features; at least one.
    ///   - threadCount: threads that will read at the same time; decoded blocks kept.
    /// - Throws: `missingPart` for an unknown or a text column.
    package init(
        _ reader: SegmentReader, columns names: [String], threadCount: Int
    ) throws(StoreError) {
        precondition(!names.isEmpty && threadCount >= 1)
        var columns: [Int] = []
        for name in names {
            guard let index = reader.columnIndex(named: name), reader.schema[index].type != .text
            else {
                throw .missingPart(path: reader.path, part: "numeric column \"\(name)\"")
            }
            columns.append(index)
        }
        self.reader = reader
        self.columns = columns
        featureCount = columns.count
        mostSpares = threadCount
        spares = Mutex([])
    }

    package func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        let first = rows.lowerBound / Limits.blockRowCount
        let last = max(first, (rows.upperBound - 1) / Limits.blockRowCount)
        // Chunks that divide a block are the usual case; others are decoded for themselves.
        let block = first == last ? try self.block(first) : try decoded(first..<last + 1)
        defer { if first == last { keep(block) } }
        let offset = first * Limits.blockRowCount
        return try body(block.matrix, rows.lowerBound - offset..<rows.upperBound - offset)
    }

    private func block(_ index: Int) throws(ModelError) -> Block {
        let spare = spares.withLock { blocks -> Block? in
            guard let place = blocks.lastIndex(where: { $0.index == index }) else { return nil }
            return blocks.remove(at: place)
        }
        if let spare { return spare }
        return try decoded(index..<index + 1)
    }

    private func keep(_ block: Block) {
        spares.withLock { blocks in
            blocks.append(block)
            if blocks.count > mostSpares { blocks.removeFirst() }
        }
    }

    /// - Throws: `unreadable` for damaged bytes; `nonFiniteValue` for a row without a value.
    private func decoded(_ blocks: Range<Int>) throws(ModelError) -> Block {
        let first = blocks.lowerBound * Limits.blockRowCount
        let count = min(rowCount, blocks.upperBound * Limits.blockRowCount) - first
        var matrix = FeatureMatrix(rowCount: count, featureCount: featureCount)
        for (feature, column) in columns.enumerated() {
            let part: Column
            do throws(StoreError) {
                part = try reader.column(column, blocks: blocks)
            } catch {
                throw .unreadable(
                    what: "column \"\(reader.schema[column].name)\"", reason: error.description)
            }
            if let row = part.validity?.firstIndex(of: false) {
                throw .nonFiniteValue(
                    what: "column \"\(part.name)\"", row: first + row, column: feature)
            }
            let values = Self.floats(part.data)
            matrix.setColumn(feature, values.span)
        }
        return Block(index: blocks.lowerBound, matrix: matrix)
    }

    private static func floats(_ data: ColumnData) -> [Float] {
        switch data {
        case .float32(let values): values
        case .float64(let values): values.map { Float($0) }
        case .int64(let values): values.map { Float($0) }
        case .coded, .text: preconditionFailure("text columns are refused at the start")
        }
    }
}
