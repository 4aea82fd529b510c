import Foundation
package import Numerical

/// 1 / (1 + e^-x), without overflow.
func logisticFunction(_ x: Double) -> Double {
    let power = exp(-abs(x))
    return x < 0 ? power / (1 + power) : 1 / (1 + power)
}

/// An ensemble in the order in which tiles of 64 rows are scored; made once, used for many tables.
///
/// Adds leaf values in double precision, tree after tree: the same bits at every instruction-set
/// level and for any thread count.
package struct ForestScorer: Sendable {
    /// A column as splits compare it.
    private struct Slot: Hashable {
        enum Form { case number, numberWithoutZero, code }
        let column: Int
        let form: Form
    }

    package let ensemble: TreeEnsemble
    private let stream: ForestStream
    private let slots: [Slot]
    /// By column: the code that stands for a missing category.
    private let missingCodes: [UInt32]

    /// Code of no category: in no set.
    private static let noCode: UInt32 = 0x7FFF_FFFF

    package init(_ ensemble: TreeEnsemble) {
        self.ensemble = ensemble
        let missingCodes = ensemble.schema.map { column in
            switch column.kind {
            case .number: Self.noCode
            case .category(let names): UInt32(names.count)
            }
        }
        self.missingCodes = missingCodes
        // First the columns in their order: a matrix of them is then a tile as it is.
        var slots = ensemble.schema.enumerated().map { index, column in
            Slot(column: index, form: column.kind == .number ? .number : .code)
        }
        var places: [Slot: Int] = [:]
        for (place, slot) in slots.enumerated() { places[slot] = place }
        var stream = ForestStream()
        for tree in ensemble.trees {
            let splits = tree.splits.map { split in
                let (form, rule) = Self.rule(split, missing: missingCodes[split.column])
                let slot = Slot(column: split.column, form: form)
                let place = places[slot] ?? slots.count
                if place == slots.count {
                    places[slot] = place
                    slots.append(slot)
                }
                return ForestStream.Split(
                    slot: place, rule: rule, left: split.left, right: split.right)
            }
            stream.append(splits, leaves: tree.leafValues)
        }
        self.slots = slots
        self.stream = stream
    }

    private static func rule(
        _ split: DecisionTree.Split, missing: UInt32
    ) -> (Slot.Form, ForestStream.Rule) {
        switch split.rule {
        case .atMost(let threshold, let missingGoesLeft, let zeroIsMissing):
            // The largest single-precision number that is not above the threshold divides single-
            // precision values in the same way.
            var single = Float(threshold)
            if Double(single) > threshold { single = single.nextDown }
            return (
                zeroIsMissing ? .numberWithoutZero : .number,
                .atMost(single, missingGoesLeft: missingGoesLeft)
            )
        case .known: return (.number, .atMost(.infinity, missingGoesLeft: false))
        case .among(var set, let missingGoesLeft):
            let word = Int(missing) / 32
            if missingGoesLeft, missing != noCode {
                set += [UInt32](repeating: 0, count: max(0, word + 1 - set.count))
                set[word] |= 1 << (missing % 32)
            } else if word < set.count {
                set[word] &= ~(1 << (missing % 32))
            }
            return (.code, .among(set))
        }
    }

    /// Raw scores of a table's rows, before the link.
    /// - Throws: `badColumn` where the table has not the model's columns.
    package func scores(
        _ table: PredictorTable, threadCount: Int = 1, kernels: KernelTable = .current
    ) throws(ModelError) -> [Double] {
        let columns = try table.matched(to: ensemble.schema).columns.map(\.values)
        return scores(rowCount: table.rowCount, threadCount) { rows, output in
            var tile = [Float](repeating: 0, count: 64 * slots.count)
            var first = rows.lowerBound
            while first < rows.upperBound {
                let count = min(64, rows.upperBound - first)
                var span = tile.mutableSpan
                for (place, slot) in slots.enumerated() {
                    fill(
                        &span, at: 64 * place, count, slot, columns[slot.column], first: first)
                }
                add(tile.span, at: first - rows.lowerBound, count, &output, kernels)
                first += count
            }
        }
    }

    /// Raw scores of the rows of a matrix, whose columns are the schema's.
    /// - Throws: `countMismatch`; `badColumn` where the model has category columns.
    package func scores(
        _ matrix: FeatureMatrix, threadCount: Int = 1, kernels: KernelTable = .current
    ) throws(ModelError) -> [Double] {
        let width = ensemble.schema.count
        try requireCount(matrix.featureCount, width, "columns of the matrix")
        if let column = ensemble.schema.first(where: { $0.kind != .number }) {
            throw .badColumn(
                name: column.name, reason: "it has categories; score a table with their names")
        }
        let storage = matrix.storage
        let isWhole = slots.count == width
        return scores(rowCount: matrix.rowCount, threadCount) { rows, output in
            var tile = [Float](repeating: 0, count: isWhole ? 0 : 64 * slots.count)
            var first = rows.lowerBound
            while first < rows.upperBound {
                let count = min(64, rows.upperBound - first)
                let values = storage.span
                let block = values.extracting(first * width..<(first + 64) * width)
                if isWhole {
                    add(block, at: first - rows.lowerBound, count, &output, kernels)
                } else {
                    for (place, slot) in slots.enumerated() {
                        for row in 0..<64 {
                            let value = block[64 * slot.column + row]
                            tile[64 * place + row] = formed(value, slot)
                        }
                    }
                    add(tile.span, at: first - rows.lowerBound, count, &output, kernels)
                }
                first += count
            }
        }
    }

    /// Predictions: probabilities of leaving under a logistic link.
    package func predictions(
        _ table: PredictorTable, threadCount: Int = 1, kernels: KernelTable = .current
    ) throws(ModelError) -> [Double] {
        try scores(table, threadCount: threadCount, kernels: kernels).map(ensemble.prediction)
    }

    private func scores(
        rowCount: Int, _ threadCount: Int,
        _ body: @Sendable (_ rows: Range<Int>, _ output: inout MutableSpan<Double>) -> Void
    ) -> [Double] {
        let ensemble = ensemble
        let divisor = ensemble.isAveraged ? Double(max(1, ensemble.trees.count)) : 1
        return parallelArray(count: rowCount, chunkRows: 4096, threadCount: threadCount) {
            rows, output in
            body(rows, &output)
            if ensemble.baseScore == 0 && divisor == 1 { return }
            for index in output.indices {
                output[index] = output[index] / divisor + ensemble.baseScore
            }
        }
    }

    /// Scores one tile into the output's `count` values from a place on.
    private func add(
        _ tile: Span<Float>, at place: Int, _ count: Int, _ output: inout MutableSpan<Double>,
        _ kernels: KernelTable
    ) {
        var sums = InlineArray<64, Double>(repeating: 0)
        var span = sums.mutableSpan
        kernels.score(tile, stream, into: &span)
        for row in 0..<count { output[place + row] = span[row] }
    }

    private func formed(_ value: Float, _ slot: Slot) -> Float {
        switch slot.form {
        case .number: return value
        case .numberWithoutZero: return abs(value) <= DecisionTree.zeroLimit ? .nan : value
        case .code:
            let code = DecisionTree.Split.code(value)
            return Float(bitPattern: code < 0 ? Self.noCode : UInt32(code))
        }
    }

    private func fill(
        _ tile: inout MutableSpan<Float>, at place: Int, _ count: Int, _ slot: Slot,
        _ values: PredictorTable.Values, first: Int
    ) {
        switch values {
        case .numbers(let all):
            let rows = all.span.extracting(first..<first + count)
            if slot.form == .number { return copyValues(rows, to: &tile, at: place) }
            for row in 0..<count { tile[place + row] = formed(rows[row], slot) }
        case .categories(let codes, let names):
            let missing = missingCodes[slot.column]
            for row in 0..<count {
                let code = codes[first + row]
                let known = code < names.count ? UInt32(max(0, code)) : Self.noCode
                tile[place + row] = Float(bitPattern: code < 0 ? missing : known)
            }
        }
    }
}
