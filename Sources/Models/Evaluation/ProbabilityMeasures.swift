import Foundation

/// How good predicted probabilities of leaving are: how well they rank, and whether they are true.
package struct ProbabilitySummary: Codable, Equatable, Sendable {
    package let rowCount: Int
    package let meanPredicted: Double
    package let observedShare: Double
    /// Mean of -log of the probability of what happened, each held 1e-15 from 0.
    package let logLoss: Double
    /// Mean of (probability - outcome)².
    package let brierScore: Double
    /// Nil where all rows have one label.
    package let areaUnderROC: Double?
    /// Mean over the rows of |mean predicted - observed| of their bin.
    package let calibrationError: Double
    /// By predicted probability, about equally many rows each, lowest first.
    package let bins: [CalibrationBin]
    /// By predicted probability, highest first; rows of one probability are taken together.
    package let lift: [LiftRow]

    package struct CalibrationBin: Codable, Equatable, Sendable {
        package let rowCount: Int
        package let lowest: Double
        package let highest: Double
        package let meanPredicted: Double
        package let observedShare: Double
        /// Wilson's 95 % interval of the observed share.
        package let interval: ClosedRange<Double>
    }

    package struct LiftRow: Codable, Equatable, Sendable {
        /// Share of all rows that have this or a higher place.
        package let share: Double
        package let rowCount: Int
        /// Of these rows, who left.
        package let observedShare: Double
        /// Of all who left, those among these rows.
        package let foundShare: Double
        /// observedShare / that of all rows.
        package let lift: Double
    }

    /// - Parameters:
    ///   - probabilities: 0 ... 1.
    ///   - binCount: of the calibration and lift tables, at least 1; rows of one probability stay in
    ///     one bin, so there may be fewer.
    /// - Throws: `countMismatch`, `noRows`; `outOfRange` for a number that is no probability.
    package init(
        probabilities: [Double], positive: [Bool], binCount: Int = 10
    ) throws(ModelError) {
        try requireCount(positive.count, probabilities.count, "labels")
        guard !probabilities.isEmpty else { throw .noRows(model: "summary of probabilities") }
        guard binCount >= 1 else {
            throw .outOfRange(what: "binCount", actual: Double(binCount), allowed: "1 or more")
        }
        if let row = probabilities.firstIndex(where: { !($0 >= 0 && $0 <= 1) }) {
            throw .outOfRange(
                what: "the probability of row \(row)", actual: probabilities[row],
                allowed: "0 ... 1")
        }
        let n = Double(probabilities.count)
        rowCount = probabilities.count
        meanPredicted = probabilities.reduce(0, +) / n
        let found = positive.count(where: { $0 })
        observedShare = Double(found) / n
        var (loss, squares) = (0.0, 0.0)
        for (p, isPositive) in zip(probabilities, positive) {
            let ofOutcome = isPositive ? p : 1 - p
            loss -= log(min(max(ofOutcome, 1e-15), 1))
            squares += (1 - ofOutcome) * (1 - ofOutcome)
        }
        logLoss = loss / n
        brierScore = squares / n
        areaUnderROC = Models.areaUnderROC(scores: probabilities, positive: positive)
        let order = probabilities.indices.sorted {
            (probabilities[$0], $0) < (probabilities[$1], $1)
        }
        let bins = Self.bins(order, probabilities, positive, binCount)
        self.bins = bins
        calibrationError = bins.reduce(0) {
            $0 + Double($1.rowCount) / n * abs($1.meanPredicted - $1.observedShare)
        }
        lift = Self.lift(Array(order.reversed()), probabilities, positive, found: found, binCount)
    }

    private static func bins(
        _ order: [Int], _ probabilities: [Double], _ positive: [Bool], _ binCount: Int
    ) -> [CalibrationBin] {
        var bins: [CalibrationBin] = []
        var start = 0
        for bin in 1...binCount {
            var end = max(start, order.count * bin / binCount)
            guard end > start else { continue }
            while end < order.count,
                probabilities[order[end]] == probabilities[order[end - 1]]
            { end += 1 }
            let rows = order[start..<end]
            let left = rows.count(where: { positive[$0] })
            bins.append(
                CalibrationBin(
                    rowCount: rows.count, lowest: probabilities[order[start]],
                    highest: probabilities[order[end - 1]],
                    meanPredicted: rows.reduce(0) { $0 + probabilities[$1] } / Double(rows.count),
                    observedShare: Double(left) / Double(rows.count),
                    interval: wilsonInterval(left, of: rows.count)))
            start = end
        }
        return bins
    }

    private static func lift(
        _ order: [Int], _ probabilities: [Double], _ positive: [Bool], found: Int, _ binCount: Int
    ) -> [LiftRow] {
        var rows: [LiftRow] = []
        var (taken, left) = (0, 0)
        for bin in 1...binCount {
            var end = order.count * bin / binCount
            guard end > taken else { continue }
            // Nothing tells which of the rows of one probability come first.
            while end < order.count,
                probabilities[order[end]] == probabilities[order[end - 1]]
            { end += 1 }
            left += order[taken..<end].count(where: { positive[$0] })
            taken = end
            let observed = Double(left) / Double(taken)
            let all = Double(found) / Double(order.count)
            rows.append(
                LiftRow(
                    share: Double(taken) / Double(order.count), rowCount: taken,
                    observedShare: observed,
                    foundShare: found > 0 ? Double(left) / Double(found) : 0,
                    lift: all > 0 ? observed / all : 0))
        }
        return rows
    }
}

/// The 95 % interval of a share of which `count` of `total` were seen; 0 ... 1 for no rows.
/// Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
package func wilsonInterval(_ count: Int, of total: Int) -> ClosedRange<Double> {
    guard total > 0 else { return 0...1 }
    let (n, z) = (Double(total), 1.959963984540054)
    let share = Double(count) / n
    let centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    let reach =
        z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    return max(0, centre - reach)...min(1, centre + reach)
}
