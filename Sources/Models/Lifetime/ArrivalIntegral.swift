import Foundation
import Numerical

/// Integrals ∫₀ᵗ u^(k−1) (A/(A+u))^p (B/(B+u))^q du of a time u at which a purchase of a large
/// number arrives, of which the Pareto/NBD model's counts are made.
///
/// In w = ln u the logarithm of the integrand is strictly concave, with slope
/// k − p u/(A+u) − q u/(B+u): one mode, found by bisection, and on either side of it an end where
/// the integrand has fallen below e^(−40) of its greatest. Gauss–Legendre with 32 nodes on panels of
/// at most 6 from the mode to each end follows any peak, however narrow: relative error about 1e-12,
/// and that of the logarithm of the greatest, 1e-15 · k ln t.
struct ArrivalIntegral {
    private static let rule = QuadratureRule.gaussLegendre(count: 32)
    private static let fall = 40.0
    private static let panel = 6.0

    private let power: Double
    private let a: Double
    private let p: Double
    private let b: Double
    private let q: Double
    private let top: Double

    /// - Precondition: power at least 1 and below p + q; a, b, p, q, t above 0; all finite.
    init(power: Double, a: Double, p: Double, b: Double, q: Double, t: Double) {
        self.power = power
        self.a = a
        self.p = p
        self.b = b
        self.q = q
        top = log(t)
    }

    private func exponent(_ w: Double) -> Double {
        let u = exp(w)
        return power * w - p * log1p(u / a) - q * log1p(u / b)
    }

    private func slope(_ w: Double) -> Double {
        let u = exp(w)
        return power - p * (u / (a + u)) - q * (u / (b + u))
    }

    /// The w at which the integrand is greatest, at most ln t.
    private var mode: Double {
        guard slope(top) < 0 else { return top }
        var high = top
        var step = 1.0
        // The slope nears `power`, above 0, on the left.
        while slope(high - step) < 0 { step *= 2 }
        var low = high - step
        while high - low > 1e-9 * max(1, abs(high)) {
            let middle = (low + high) / 2
            if slope(middle) < 0 { high = middle } else { low = middle }
        }
        return low
    }

    /// Where, from the mode in this direction, the integrand has fallen far enough.
    private func end(from mode: Double, _ direction: Double, limit: Double) -> Double {
        let floor = exponent(mode) - Self.fall
        var far = 1e-3
        while far < limit, exponent(mode + direction * far) > floor { far *= 2 }
        guard far < limit || exponent(mode + direction * limit) < floor else { return limit }
        var low = 0.0
        var high = min(far, limit)
        while high - low > 0.05 * high {
            let middle = (low + high) / 2
            if exponent(mode + direction * middle) < floor { high = middle } else { low = middle }
        }
        return high
    }

    /// ln of the integral.
    var logarithm: Double {
        let mode = mode
        let greatest = exponent(mode)
        var sum = 0.0
        func add(_ length: Double, _ direction: Double) {
            guard length > 0 else { return }
            let panels = max(1, Int((length / Self.panel).rounded(.up)))
            let width = length / Double(panels)
            for panel in 0..<panels {
                for (node, weight) in zip(Self.rule.nodes, Self.rule.weights) {
                    let w = mode + direction * width * (Double(panel) + node)
                    sum += width * weight * exp(exponent(w) - greatest)
                }
            }
        }
        add(end(from: mode, -1, limit: .greatestFiniteMagnitude), -1)
        add(end(from: mode, 1, limit: top - mode), 1)
        return greatest + log(sum)
    }
}
