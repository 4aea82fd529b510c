import Numerical

/// Rows dealt out into folds with the same share of customers who left in each, for cross-validation.
package struct StratifiedFolds: Sendable, Equatable {
    /// The fold of every row.
    package let foldOfRow: [Int]
    package let foldCount: Int

    /// Rows of each label are shuffled by the seed and dealt out in turn.
    /// - Parameter foldCount: 2 up to the rows of the rarer label.
    /// - Throws: `outOfRange`.
    package init(_ labels: [Bool], foldCount: Int, seed: UInt64) throws(ModelError) {
        let left = labels.count(where: { $0 })
        let rarer = min(left, labels.count - left)
        guard foldCount >= 2, foldCount <= rarer else {
            throw .outOfRange(
                what: "foldCount", actual: Double(foldCount),
                allowed: "2 up to the rows of the rarer label, \(rarer)")
        }
        var folds = [Int](repeating: 0, count: labels.count)
        var next = 0
        for (stream, label) in [true, false].enumerated() {
            var random = SeededRandom(seed: seed, stream: UInt64(stream))
            var rows = labels.indices.filter { labels[$0] == label }
            rows.shuffle(using: &random)
            for row in rows {
                folds[row] = next % foldCount
                next += 1
            }
        }
        foldOfRow = folds
        self.foldCount = foldCount
    }

    package func rows(in fold: Int) -> [Int] {
        foldOfRow.indices.filter { foldOfRow[$0] == fold }
    }

    package func rows(outside fold: Int) -> [Int] {
        foldOfRow.indices.filter { foldOfRow[$0] != fold }
    }

    /// The prediction of every row by a model fitted without its fold.
    /// - Parameter predict: fits on the first table and predicts the rows of the second.
    package func predictions(
        _ table: PredictorTable, _ outcome: ChurnOutcome,
        _ predict: (
            _ training: PredictorTable, _ outcome: ChurnOutcome, _ held: PredictorTable
        ) throws(ModelError) -> [Double]
    ) throws(ModelError) -> [Double] {
        try requireCount(table.rowCount, foldOfRow.count, "rows of the table")
        try requireCount(outcome.rowCount, foldOfRow.count, "churn labels")
        var all = [Double](repeating: 0, count: foldOfRow.count)
        for fold in 0..<foldCount {
            let (inside, outside) = (rows(in: fold), rows(outside: fold))
            let held = try predict(
                table.rows(outside), outcome.rows(outside), table.rows(inside))
            try requireCount(held.count, inside.count, "predictions of fold \(fold)")
            for (row, value) in zip(inside, held) { all[row] = value }
        }
        return all
    }
}
