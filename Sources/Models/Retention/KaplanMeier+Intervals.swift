import Foundation

/// The scale on which a survival interval is symmetric.
package enum SurvivalTransform: String, Codable, CaseIterable, Sendable {
    /// S ± z · se, cut to 0...1. Poor near 0 and 1.
    case plain
    /// ln(−ln S) ± …: always inside 0...1. The default here.
    /// Source: Kalbfleisch & Prentice, "The Statistical Analysis of Failure Time Data", 1.4.
    case logLog
}

/// A value with its standard error and confidence limits.
package struct SurvivalEstimate: Codable, Equatable, Sendable {
    package let value: Double
    package let standardError: Double
    package let lower: Double
    package let upper: Double
}

/// A time at which a share of customers has had the event, with its confidence limits; nil where
/// the curve, or the limit of its band, does not come down that far while anybody is watched.
package struct SurvivalQuantile: Codable, Equatable, Sendable {
    package let time: Double?
    package let lower: Double?
    package let upper: Double?
}

extension KaplanMeierCurve {
    /// Pointwise confidence limits at every step, as many as `times`; 0...1 and never NaN.
    ///
    /// Where S is 1 both limits are 1. Where S is 0 Greenwood's variance does not exist: the
    /// lower limit is 0 and the upper one stays what it was before.
    /// - Throws: `outOfRange` for a level that is not between 0 and 1.
    package func band(
        level: Double = 0.95, transform: SurvivalTransform = .logLog
    ) throws(ModelError) -> (lower: [Double], upper: [Double]) {
        let z = try Significance.criticalValue(level)
        var lower: [Double] = []
        var upper: [Double] = []
        lower.reserveCapacity(times.count)
        upper.reserveCapacity(times.count)
        for step in times.indices {
            let limits = survival[step] > 0 ? limits(step, z, transform) : (0, upper.last ?? 1)
            lower.append(limits.0)
            upper.append(limits.1)
        }
        return (lower, upper)
    }

    /// The limits at a step where S is above 0.
    private func limits(
        _ step: Int, _ z: Double, _ transform: SurvivalTransform
    ) -> (lower: Double, upper: Double) {
        let s = survival[step]
        let spread = z * greenwoodSums[step].squareRoot()
        switch transform {
        case .plain:
            return (max(0, s - s * spread), min(1, s + s * spread))
        case .logLog:
            let logarithm = log(s)
            guard logarithm < 0 else { return (1, 1) }
            let factor = spread / logarithm
            return (exp(logarithm * exp(-factor)), exp(logarithm * exp(factor)))
        }
    }

    /// S(time) with its pointwise limits; see `band`. O(log steps), and the steps at 0 where S is.
    /// - Throws: as `band`.
    package func estimate(
        at time: Double, level: Double = 0.95, transform: SurvivalTransform = .logLog
    ) throws(ModelError) -> SurvivalEstimate {
        let z = try Significance.criticalValue(level)
        guard let step = step(at: time) else {
            return SurvivalEstimate(value: 1, standardError: 0, lower: 1, upper: 1)
        }
        let s = survival[step]
        let error = s * greenwoodSums[step].squareRoot()
        if s > 0 {
            let limits = limits(step, z, transform)
            return SurvivalEstimate(
                value: s, standardError: error, lower: limits.lower, upper: limits.upper)
        }
        // The upper limit stays what it was at the last step above 0.
        var last = step
        while last >= 0, survival[last] == 0 { last -= 1 }
        let upper = last < 0 ? 1 : limits(last, z, transform).upper
        return SurvivalEstimate(value: 0, standardError: error, lower: 0, upper: upper)
    }

    /// The first time at which S is at most `share`, with limits from where the band's limits
    /// are: Brookmeyer & Crowley, Biometrics 1982. The median has share .5.
    /// - Parameter share: above 0 and below 1; S within 1e-12 above it counts as reaching it.
    /// - Throws: `outOfRange` for a share or level outside its range.
    package func quantile(
        share: Double = 0.5, level: Double = 0.95, transform: SurvivalTransform = .logLog
    ) throws(ModelError) -> SurvivalQuantile {
        guard share > 0, share < 1 else {
            throw .outOfRange(
                what: "survival share", actual: share, allowed: "above 0 and below 1")
        }
        let limits = try band(level: level, transform: transform)
        func first(_ values: [Double]) -> Double? {
            values.firstIndex { $0 <= share + 1e-12 }.map { times[$0] }
        }
        return SurvivalQuantile(
            time: first(survival), lower: first(limits.lower), upper: first(limits.upper))
    }

    /// The mean time without the event up to `horizon`: the area under the curve, with Greenwood's
    /// variance and a normal interval.
    /// Source: Klein & Moeschberger, "Survival Analysis", 4.5.
    /// - Throws: `outOfRange` for a negative horizon, or one beyond `lastTime` while S is above 0
    ///   there: the curve knows nothing of later times.
    package func restrictedMean(
        horizon: Double, level: Double = 0.95
    ) throws(ModelError) -> SurvivalEstimate {
        let z = try Significance.criticalValue(level)
        guard horizon >= 0, horizon.isFinite, horizon <= lastTime || survival.last == 0 else {
            throw .outOfRange(
                what: "horizon of the restricted mean", actual: horizon,
                allowed: "0 ... \(lastTime), the last time at which anybody was watched")
        }
        // From the right, so that the area beyond each step is at hand.
        var area = 0.0
        var variance = 0.0
        var right = horizon
        for step in times.indices.reversed() where times[step] <= horizon {
            area += survival[step] * (right - times[step])
            right = times[step]
            let left = numberAtRisk[step] - eventCounts[step]
            if area > 0, left > 0 {
                variance += area * area * eventCounts[step] / (numberAtRisk[step] * left)
            }
        }
        area += right
        let error = variance.squareRoot()
        return SurvivalEstimate(
            value: area, standardError: error, lower: max(0, area - z * error),
            upper: min(horizon, area + z * error))
    }
}
