import Foundation
import Numerical

/// The partial log-likelihood with gradient and information matrix, in coefficients of the
/// standardised columns.
///
/// The sums over risk sets run from the last time back. Second moments of risk sets are never
/// summed: with H(i) the hazard accumulated while row i was at risk, Σ over events of S₂/S₀ is
/// Σ over rows of risk(i) · H(i) · x xᵀ, one weighted Gram matrix, and the gradient is
/// Σ (event(i) − risk(i) H(i)) x. So a pass costs O(rows · p²) whatever the number of times.
/// Source: Cox, JRSS B 1972; ties: Breslow, Biometrics 1974, and Efron, JASA 1977, weighted as in
/// Therneau & Grambsch, "Modeling Survival Data", 3.3.
struct CoxLikelihood: Sendable {
    let design: CoxDesign
    let ties: CoxRegression.Ties
    let threadCount: Int

    /// Linear predictors beyond this are refused: e^300 risks leave no digits in a risk set.
    static let largestPredictor = 300.0

    struct Evaluation: Sendable {
        /// −∞ where a linear predictor is too large.
        var value = -Double.infinity
        var gradient: [Double]
        /// `[p × p]`, row-major, the negative Hessian.
        var information: [Double]
        /// Accumulated baseline hazard up to and including each group, anew in each stratum.
        var hazards: [Double] = []
    }

    /// - Parameter coefficients: one a column, on the standardised scale.
    func evaluate(_ coefficients: [Double]) -> Evaluation {
        let p = design.columnCount
        let none = Evaluation(
            gradient: [Double](repeating: 0, count: p),
            information: [Double](repeating: 0, count: p * p))
        guard let risks = risks(coefficients) else { return none }
        let carries = carries(risks)
        let parts = parallelMap(
            count: design.chunkCount, chunkSize: 1, threadCount: threadCount
        ) { chunk, _ in riskSets(chunk, carries[chunk], risks) }
        var result = none
        result.value = 0
        var own: [Double] = []
        result.hazards.reserveCapacity(design.groupCount)
        own.reserveCapacity(design.groupCount)
        for part in parts {
            result.value += part.value
            for index in result.information.indices {
                result.information[index] -= part.correction[index]
            }
            result.hazards += part.hazards
            own += part.own
        }
        var sum = 0.0
        for group in 0..<design.groupCount {
            sum += result.hazards[group]
            result.hazards[group] = sum
            if design.isLastOfStratum(group) { sum = 0 }
        }
        addRows(risks, coefficients, own, &result)
        for j in 0..<p {
            for k in 0..<j { result.information[k * p + j] = result.information[j * p + k] }
        }
        return result
    }

    /// weight · e^(x β) of every row; nil where a predictor is too large.
    private func risks(_ coefficients: [Double]) -> [Double]? {
        let p = design.columnCount
        var risks = [Double](repeating: 0, count: design.rowCount)
        parallelFill(&risks, chunkRows: CoxDesign.chunkRows, threadCount: threadCount) {
            rows, slice in
            let values = design.values.span
            for row in rows {
                let x = values.extracting(row * p..<row * p + p)
                var predictor = 0.0
                for j in 0..<p { predictor += x[j] * coefficients[j] }
                // 0 marks what is too large; a risk itself is never 0.
                slice[row - rows.lowerBound] =
                    abs(predictor) <= Self.largestPredictor
                    ? design.weight(row) * exp(predictor) : 0
            }
        }
        return risks.contains(0) ? nil : risks
    }

    /// Adds the rows of a group to the running sums (S₀ last) and takes out those not yet entered.
    private func move(
        _ group: Int, _ risks: Span<Double>, _ values: Span<Double>,
        _ sums: inout MutableSpan<Double>
    ) {
        let p = design.columnCount
        for row in design.rows(ofGroup: group) {
            let risk = risks[row]
            let x = values.extracting(row * p..<row * p + p)
            for j in 0..<p { sums[j] += risk * x[j] }
            sums[p] += risk
        }
        guard design.entryGroupOfRow != nil else { return }
        for index in design.entryOffsets[group]..<design.entryOffsets[group + 1] {
            let row = Int(design.entryRows[index])
            let risk = risks[row]
            let x = values.extracting(row * p..<row * p + p)
            for j in 0..<p { sums[j] -= risk * x[j] }
            sums[p] -= risk
        }
    }

    /// For every chunk the sums over the later groups of the stratum that its last group is in.
    private func carries(_ risks: [Double]) -> [[Double]] {
        let width = design.columnCount + 1
        let totals = parallelMap(
            count: design.chunkCount, chunkSize: 1, threadCount: threadCount
        ) { chunk, _ in
            var sums = [Double](repeating: 0, count: width)
            let groups = design.chunkBounds[chunk]..<design.chunkBounds[chunk + 1]
            let stratum = design.stratumOfGroup[groups.lowerBound]
            let values = design.values.span
            let riskSpan = risks.span
            var span = sums.mutableSpan
            for group in groups.reversed() where design.stratumOfGroup[group] == stratum {
                move(group, riskSpan, values, &span)
            }
            return sums
        }
        var carries = [[Double]](
            repeating: [Double](repeating: 0, count: width), count: design.chunkCount)
        for chunk in stride(from: design.chunkCount - 2, through: 0, by: -1) {
            let next = design.chunkBounds[chunk + 1]
            let stratum = design.stratumOfGroup[next]
            guard design.stratumOfGroup[next - 1] == stratum else { continue }
            let last = design.chunkBounds[chunk + 2] - 1
            for j in 0..<width {
                let later = design.stratumOfGroup[last] == stratum ? carries[chunk + 1][j] : 0
                carries[chunk][j] = later + totals[chunk + 1][j]
            }
        }
        return carries
    }

    private struct RiskSetPart: Sendable {
        /// −Σ w ln S₀.
        var value = 0.0
        /// `[p × p]`, lower half: Σ w m mᵀ with m = S₁ / S₀.
        var correction: [Double]
        /// Hazard of each group, and how much less of it its own events take (Efron).
        var hazards: [Double]
        var own: [Double]
    }

    private func riskSets(_ chunk: Int, _ carry: [Double], _ risks: [Double]) -> RiskSetPart {
        let p = design.columnCount
        let groups = design.chunkBounds[chunk]..<design.chunkBounds[chunk + 1]
        let zeros = [Double](repeating: 0, count: groups.count)
        var part = RiskSetPart(
            correction: [Double](repeating: 0, count: p * p), hazards: zeros, own: zeros)
        var sums = carry
        var tied = [Double](repeating: 0, count: p + 1)
        var mean = [Double](repeating: 0, count: p)
        let values = design.values.span
        let riskSpan = risks.span
        for group in groups.reversed() {
            if design.isLastOfStratum(group) {
                for j in 0...p { sums[j] = 0 }
            }
            do {
                var span = sums.mutableSpan
                move(group, riskSpan, values, &span)
            }
            let eventCount = Int(design.eventCounts[group])
            guard eventCount > 0 else { continue }
            let events = design.groupOffsets[group]..<design.groupOffsets[group] + eventCount
            for j in 0...p { tied[j] = 0 }
            var weight = 0.0
            for row in events {
                let risk = riskSpan[row]
                for j in 0..<p { tied[j] += risk * values[row * p + j] }
                tied[p] += risk
                weight += design.weight(row)
            }
            // The events are at risk themselves, whatever rounding left of the others.
            let total = max(sums[p], tied[p])
            let slot = group - groups.lowerBound
            if eventCount == 1 || ties == .breslow {
                part.value -= weight * log(total)
                part.hazards[slot] = weight / total
                for j in 0..<p { mean[j] = sums[j] / total }
                for j in 0..<p {
                    let scaled = weight * mean[j]
                    for k in 0...j { part.correction[j * p + k] += scaled * mean[k] }
                }
            } else {
                efron(
                    &part, slot: slot, count: eventCount, weight: weight / Double(eventCount),
                    total: total, sums: sums, tied: tied)
            }
        }
        return part
    }

    /// The events of a group leave one after the other, each order as likely: before the l-th a
    /// share l / d of them has left. With f = l / d and q = S₀ − f D₀ all sums over l are scalars.
    private func efron(
        _ part: inout RiskSetPart, slot: Int, count: Int, weight: Double, total: Double,
        sums: [Double], tied: [Double]
    ) {
        let p = design.columnCount
        var (both, mixed, own) = (0.0, 0.0, 0.0)
        for l in 0..<count {
            let f = Double(l) / Double(count)
            let left = total - f * tied[p]
            let term = weight / left
            part.value -= weight * log(left)
            part.hazards[slot] += term
            part.own[slot] += term * f
            both += term / left
            mixed += term / left * f
            own += term / left * f * f
        }
        for j in 0..<p {
            let (s, t) = (sums[j], tied[j])
            for k in 0...j {
                part.correction[j * p + k] +=
                    both * s * sums[k] - mixed * (s * tied[k] + t * sums[k]) + own * t * tied[k]
            }
        }
    }

    /// Gradient, the Gram matrix, and the events' share of the value.
    private func addRows(
        _ risks: [Double], _ coefficients: [Double], _ own: [Double], _ result: inout Evaluation
    ) {
        let p = design.columnCount
        struct Part: Sendable {
            var value = 0.0
            var gradient: [Double]
            var gram: [Double]
        }
        let hazards = result.hazards
        let parts = parallelMap(
            count: design.rowCount, chunkSize: CoxDesign.chunkRows, threadCount: threadCount
        ) { _, rows in
            var part = Part(
                gradient: [Double](repeating: 0, count: p),
                gram: [Double](repeating: 0, count: p * p))
            let values = design.values.span
            var gradient = [Double](repeating: 0, count: p)
            var gram = [Double](repeating: 0, count: p * p)
            var value = 0.0
            do {
                var gradientSpan = gradient.mutableSpan
                var gramSpan = gram.mutableSpan
                for row in rows {
                    let x = values.extracting(row * p..<row * p + p)
                    let group = Int(design.groupOfRow[row])
                    let entry = Int(design.entryGroupOfRow?[row] ?? -1)
                    var taken = hazards[group] - (entry >= 0 ? hazards[entry] : 0)
                    var residual = 0.0
                    if row - design.groupOffsets[group] < Int(design.eventCounts[group]) {
                        taken -= own[group]
                        residual = design.weight(row)
                        var predictor = 0.0
                        for j in 0..<p { predictor += x[j] * coefficients[j] }
                        value += residual * predictor
                    }
                    let share = risks[row] * taken
                    residual -= share
                    for j in 0..<p {
                        let xj = x[j]
                        gradientSpan[j] += residual * xj
                        let scaled = share * xj
                        let base = j * p
                        for k in 0...j { gramSpan[base + k] += scaled * x[k] }
                    }
                }
            }
            part.value = value
            part.gradient = gradient
            part.gram = gram
            return part
        }
        for part in parts {
            result.value += part.value
            for j in 0..<p { result.gradient[j] += part.gradient[j] }
            for index in part.gram.indices { result.information[index] += part.gram[index] }
        }
    }
}
