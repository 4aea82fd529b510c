import Foundation

/// Value, gradient and Hessian of an objective at one point.
package struct ObjectiveEvaluation: Sendable {
    package var value: Double
    package var gradient: [Double]
    package var hessian: SymmetricMatrix

    package init(value: Double, gradient: [Double], hessian: SymmetricMatrix) {
        self.value = value
        self.gradient = gradient
        self.hessian = hessian
    }

    var isFinite: Bool {
        value.isFinite && gradient.allSatisfy(\.isFinite) && hessian.elements.allSatisfy(\.isFinite)
    }
}

/// Minimises a smooth function of a few parameters inside a box, by Newton's method in a trust
/// region (Levenberg's shift from the eigenvalues of the Hessian, so that indefinite regions are
/// left downhill too). Deterministic; every accepted step lowers the objective.
/// Source: Conn, Gould & Toint, "Trust-Region Methods", 7.3.
package struct DampedNewton: Sendable {
    /// Default 200, at least 1. One iteration is one evaluation of the objective.
    package var maximumIterations = 200
    /// Ends where every component of the gradient that could still move is at most this. Default
    /// 1e-10: with objectives of order 1 (means, not sums) rounding allows it.
    package var gradientTolerance = 1e-10
    /// Ends after a full Newton step shorter than this in every component, since the next step
    /// would be its square. Default 1e-8.
    package var stepTolerance = 1e-8
    /// First trust radius, Euclidean. Default 1: in log-parameters a factor of e.
    package var initialRadius = 1.0
    package var maximumRadius = 4.0

    package init() {}

    package enum Outcome: String, Codable, Sendable {
        /// A stationary point inside the box.
        case converged
        /// A stationary point on the box's border: the optimum lies outside, or at infinity.
        case atBound
        /// The limit of iterations came first.
        case iterationLimit
        /// The objective was not finite at the start.
        case notFinite
    }

    package struct Result: Sendable {
        package var point: [Double]
        package var evaluation: ObjectiveEvaluation
        package var iterations: Int
        package var outcome: Outcome
        /// The largest absolute component of the gradient that does not point out of the box.
        package var gradientNorm: Double
    }

    /// - Parameters:
    ///   - start: inside the box.
    ///   - lower: lower bounds, as many as `start`.
    ///   - upper: upper bounds, above the lower ones.
    ///   - objective: may be not finite away from the start; such points are stepped back from.
    package func minimize(
        from start: [Double], lower: [Double], upper: [Double],
        objective: ([Double]) -> ObjectiveEvaluation
    ) -> Result {
        precondition(start.count == lower.count && start.count == upper.count && !start.isEmpty)
        var point = start
        var current = objective(point)
        var radius = initialRadius
        var iterations = 1
        func result(_ outcome: Outcome) -> Result {
            let free = freeIndices(point, current.gradient, lower, upper)
            let final = outcome == .converged && free.count < point.count ? .atBound : outcome
            return Result(
                point: point, evaluation: current, iterations: iterations, outcome: final,
                gradientNorm: free.map { abs(current.gradient[$0]) }.max() ?? 0)
        }
        guard current.isFinite else { return result(.notFinite) }
        while true {
            let free = freeIndices(point, current.gradient, lower, upper)
            let norm = free.map { abs(current.gradient[$0]) }.max() ?? 0
            if norm <= gradientTolerance { return result(.converged) }
            if iterations >= maximumIterations { return result(.iterationLimit) }

            let gradient = free.map { current.gradient[$0] }
            let (step, isFullNewton) = trustRegionStep(
                gradient: gradient, hessian: current.hessian.restricted(to: free), radius: radius)
            var candidate = point
            for (k, index) in free.enumerated() {
                candidate[index] = min(max(point[index] + step[k], lower[index]), upper[index])
            }
            let moved = zip(candidate, point).map { $0 - $1 }
            let predicted = -quadraticChange(moved, current)
            let trial = objective(candidate)
            iterations += 1
            let length = moved.map { $0 * $0 }.reduce(0, +).squareRoot()
            // Below this the difference of two values is rounding, and tells nothing of the step.
            let noise = 1e-14 * max(1, abs(current.value))
            let actual = current.value - trial.value
            let ratio =
                !trial.isFinite
                ? -1
                : predicted <= noise
                    ? (actual >= -noise ? 1 : -1)
                    : actual / predicted
            if ratio > 1e-4 {
                point = candidate
                current = trial
                if isFullNewton, moved.allSatisfy({ abs($0) <= stepTolerance }) {
                    return result(.converged)
                }
            } else if length < 1e-12 {
                // Nothing below rounding is left to gain.
                return result(norm <= 1e-6 ? .converged : .iterationLimit)
            }
            if ratio < 0.25 {
                radius = length / 4
            } else if ratio > 0.75 && !isFullNewton {
                radius = min(maximumRadius, 2 * radius)
            }
        }
    }

    /// The lowest of the optima found from several starts, and which start led to it; nil where the
    /// objective is finite at none.
    ///
    /// A later start must be better by more than rounding, so that the choice among equal optima does
    /// not hang on the last bit.
    package func best(
        from starts: [[Double]], lower: [Double], upper: [Double],
        objective: ([Double]) -> ObjectiveEvaluation
    ) -> (result: Result, start: Int)? {
        var best: (result: Result, start: Int)?
        for (index, start) in starts.enumerated() {
            let result = minimize(from: start, lower: lower, upper: upper, objective: objective)
            guard result.outcome != .notFinite else { continue }
            let margin = 1e-12 * max(1, abs(result.evaluation.value))
            if let held = best, result.evaluation.value >= held.result.evaluation.value - margin {
                continue
            }
            best = (result, index)
        }
        return best
    }

    /// What may move: not at a bound, or pulled back inside by the gradient.
    private func freeIndices(
        _ point: [Double], _ gradient: [Double], _ lower: [Double], _ upper: [Double]
    ) -> [Int] {
        point.indices.filter {
            !(point[$0] <= lower[$0] && gradient[$0] > 0)
                && !(point[$0] >= upper[$0] && gradient[$0] < 0)
        }
    }

    private func quadraticChange(_ step: [Double], _ at: ObjectiveEvaluation) -> Double {
        var change = 0.0
        for i in step.indices {
            var row = 0.0
            for j in step.indices { row += at.hessian[i, j] * step[j] }
            change += step[i] * (at.gradient[i] + row / 2)
        }
        return change
    }

    /// The step −(H + μ)⁻¹ g with the least μ >= 0 that makes H + μ positive definite and the
    /// step no longer than the radius; true beside it where μ = 0.
    private func trustRegionStep(
        gradient: [Double], hessian: SymmetricMatrix, radius: Double
    ) -> ([Double], Bool) {
        let (values, vectors) = hessian.eigenDecomposition()
        let projected = vectors.map { vector in zip(vector, gradient).map(*).reduce(0, +) }
        let scale = values.map(abs).max() ?? 1
        let smallest = values.min() ?? 0
        func length(_ shift: Double) -> Double {
            var sum = 0.0
            for (value, part) in zip(values, projected) {
                let component = part / (value + shift)
                sum += component * component
            }
            return sum.squareRoot()
        }
        var shift = 0.0
        let floor = max(1e-12 * scale, Double.leastNormalMagnitude)
        if smallest < floor { shift = floor - smallest }
        let isFullNewton = shift == 0 && length(0) <= radius
        if length(shift) > radius {
            var low = shift
            var high = max(2 * shift, scale * 1e-3, floor)
            while length(high) > radius { high *= 4 }
            for _ in 0..<60 {
                let middle = (low + high) / 2
                if length(middle) > radius { low = middle } else { high = middle }
                if high - low <= 1e-6 * high { break }
            }
            shift = high
        }
        var step = [Double](repeating: 0, count: gradient.count)
        for k in values.indices {
            let component = -projected[k] / (values[k] + shift)
            for i in step.indices { step[i] += component * vectors[k][i] }
        }
        return (step, isFullNewton)
    }
}
