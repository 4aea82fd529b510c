import Foundation

/// Turns scores into probabilities that agree with what happened, fitted on rows that the model was
/// not fitted on.
package enum Calibration: Equatable, Sendable {
    /// A non-decreasing function: linear between points, constant outside them.
    case isotonic(scores: [Double], probabilities: [Double])
    /// 1 / (1 + e^-(slope · score + intercept)), slope at least 0.
    case platt(slope: Double, intercept: Double)

    /// The calibrated probability of a score; NaN counts as the least one.
    package func probability(_ score: Double) -> Double {
        switch self {
        case .platt(let slope, let intercept):
            return score.isNaN ? 0 : logisticFunction(slope * score + intercept)
        case .isotonic(let scores, let probabilities):
            guard let first = scores.first, score > first else { return probabilities.first ?? 0 }
            var (low, high) = (0, scores.count)
            while high - low > 1 {
                let middle = (low + high) / 2
                if scores[middle] <= score { low = middle } else { high = middle }
            }
            guard low + 1 < scores.count, score > scores[low] else { return probabilities[low] }
            let share = (score - scores[low]) / (scores[low + 1] - scores[low])
            return probabilities[low] + share * (probabilities[low + 1] - probabilities[low])
        }
    }

    /// The closest non-decreasing function, by weighted squares; equal scores are one point first.
    /// O(n log n).
    /// Source: M. Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete
    /// Information", 1955 (pool adjacent violators); B. Zadrozny and C. Elkan, 2002.
    /// - Throws: `countMismatch`, `noRows`, `nonFiniteValue`, `notIdentified` for one label.
    package static func isotonic(
        scores: [Double], _ outcome: ChurnOutcome
    ) throws(ModelError) -> Calibration {
        try check(scores, outcome)
        struct Block {
            var low: Double
            var high: Double
            var sum: Double
            var weight: Double
            var mean: Double { sum / weight }
        }
        var blocks: [Block] = []
        let order = scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }
        var place = 0
        while place < order.count {
            let score = scores[order[place]]
            var block = Block(low: score, high: score, sum: 0, weight: 0)
            while place < order.count, scores[order[place]] == score {
                let weight = outcome.weight(order[place])
                block.sum += outcome.labels[order[place]] ? weight : 0
                block.weight += weight
                place += 1
            }
            if block.weight == 0 { continue }
            while let last = blocks.last, last.mean >= block.mean {
                block.low = last.low
                block.sum += last.sum
                block.weight += last.weight
                blocks.removeLast()
            }
            blocks.append(block)
        }
        var points: [Double] = []
        var probabilities: [Double] = []
        for block in blocks {
            for score in block.low == block.high ? [block.low] : [block.low, block.high] {
                points.append(score)
                probabilities.append(block.mean)
            }
        }
        return .isotonic(scores: points, probabilities: probabilities)
    }

    /// The same curve with probabilities held within a range.
    func held(within range: ClosedRange<Double>) -> Calibration {
        guard case .isotonic(let scores, let probabilities) = self else { return self }
        return .isotonic(
            scores: scores,
            probabilities: probabilities.map {
                min(max($0, range.lowerBound), range.upperBound)
            })
    }

    /// A logistic curve through the scores, with targets (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2) instead
    /// of 1 and 0. Its slope is at least 0: scores that rank the wrong way give one probability for all.
    /// Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999; H.-T. Lin,
    /// C.-J. Lin and R. Weng, 2007 (Newton's method, starting point).
    /// - Throws: as for `isotonic`.
    package static func platt(
        scores: [Double], _ outcome: ChurnOutcome
    ) throws(ModelError) -> Calibration {
        try check(scores, outcome)
        var (left, stayed) = (0.0, 0.0)
        for row in scores.indices {
            if outcome.labels[row] {
                left += outcome.weight(row)
            } else {
                stayed += outcome.weight(row)
            }
        }
        let (high, low) = ((left + 1) / (left + 2), 1 / (stayed + 2))
        // Centred and scaled, so that one step size serves both parameters.
        let total = left + stayed
        var mean = 0.0
        for row in scores.indices { mean += outcome.weight(row) / total * scores[row] }
        var variance = 0.0
        for row in scores.indices {
            variance += outcome.weight(row) / total * (scores[row] - mean) * (scores[row] - mean)
        }
        let deviation = variance > 0 ? variance.squareRoot() : 1
        func loss(_ a: Double, _ b: Double) -> Double {
            var sum = 0.0
            for row in scores.indices {
                let score = a * (scores[row] - mean) / deviation + b
                let target = outcome.labels[row] ? high : low
                sum +=
                    outcome.weight(row)
                    * (max(0, score) + log1p(exp(-abs(score))) - target * score)
            }
            return sum
        }
        var (a, b) = (0.0, log((left + 1) / (stayed + 1)))
        var value = loss(a, b)
        for _ in 0..<100 {
            var (g0, g1, h00, h01, h11) = (0.0, 0.0, 1e-12, 0.0, 1e-12)
            for row in scores.indices {
                let x = (scores[row] - mean) / deviation
                let p = logisticFunction(a * x + b)
                let weight = outcome.weight(row)
                let residual = weight * (p - (outcome.labels[row] ? high : low))
                let curvature = weight * p * (1 - p)
                g0 += residual * x
                g1 += residual
                h00 += curvature * x * x
                h01 += curvature * x
                h11 += curvature
            }
            let determinant = h00 * h11 - h01 * h01
            guard determinant > 0 else { break }
            var (stepA, stepB) = (
                (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
            )
            var next = loss(a - stepA, b - stepB)
            var halvings = 0
            while next > value, halvings < 40 {
                (stepA, stepB) = (stepA / 2, stepB / 2)
                next = loss(a - stepA, b - stepB)
                halvings += 1
            }
            guard next <= value else { break }
            (a, b, value) = (a - stepA, b - stepB, next)
            if max(abs(stepA), abs(stepB)) < 1e-12 { break }
        }
        guard a >= 0 else {
            // The loss is convex: where its least is below 0, slope 0 is the best that is allowed.
            let share = (left * high + stayed * low) / total
            return .platt(slope: 0, intercept: log(share / (1 - share)))
        }
        return .platt(slope: a / deviation, intercept: b - a * mean / deviation)
    }

    private static func check(_ scores: [Double], _ outcome: ChurnOutcome) throws(ModelError) {
        try requireCount(outcome.rowCount, scores.count, "calibration labels")
        guard !scores.isEmpty else { throw .noRows(model: "calibration") }
        if let row = scores.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(what: "scores to calibrate", row: row, column: 0)
        }
        var (left, stayed) = (0.0, 0.0)
        for row in scores.indices {
            if outcome.labels[row] {
                left += outcome.weight(row)
            } else {
                stayed += outcome.weight(row)
            }
        }
        guard left > 0, stayed > 0 else {
            throw .notIdentified(
                model: "calibration", reason: "all customers have one label or the weight 0")
        }
    }
}
