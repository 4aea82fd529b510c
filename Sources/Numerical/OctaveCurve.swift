import Foundation

/// A smooth function of ln t between two neighbouring powers of two, by Chebyshev interpolation: where
/// a costly function is wanted at many places, it is computed at sixteen an octave.
///
/// The error is at most 2.7 times that of the best polynomial. A function that is analytic and
/// bounded by M for |Im ln t| <= π/2 has 4 M ρ^−15 / (ρ − 1) with ρ = 9.2, which is 2e-15 M; rounding
/// adds some 1e-15 of the largest value in the octave. Octaves are fixed, so that what is found at a
/// place depends on no other place that was asked for.
/// Source: Trefethen, "Approximation Theory and Approximation Practice", 2013, theorems 8.2 and 15.1.
package struct OctaveCurve: Sendable {
    package static let nodeCount = 16

    /// z = cos θ in −1...1, and 2^u for u = (1 + z) / 2 in 0...1.
    private static let nodes: [(angle: Double, factor: Double)] = (0..<nodeCount).map { j in
        let angle = Double.pi * (Double(j) + 0.5) / Double(nodeCount)
        return (angle, exp2((1 + cos(angle)) / 2))
    }

    /// `[m][j]`: cos(m θ_j), of which coefficients are made.
    private static let cosines: [[Double]] = (0..<nodeCount).map { m in
        nodes.map { cos(Double(m) * $0.angle) }
    }

    /// k with 2^k <= t < 2^(k+1).
    /// - Precondition: t is finite and above 0.
    package static func octave(of t: Double) -> Int {
        precondition(t > 0 && t.isFinite)
        return Int(t.exponent)
    }

    /// The places of an octave at which the function has to be known.
    package static func places(in octave: Int) -> [Double] {
        nodes.map { Double(sign: .plus, exponent: octave, significand: $0.factor) }
    }

    private let coefficients: [Double]

    /// - Parameter values: of the function at `places(in:)`.
    package init(_ values: [Double]) {
        precondition(values.count == Self.nodeCount)
        coefficients = Self.cosines.enumerated().map { m, cosines in
            let scale = (m == 0 ? 1 : 2) / Double(Self.nodeCount)
            return scale * zip(cosines, values).reduce(0) { $0 + $1.0 * $1.1 }
        }
    }

    /// The function at the place of an octave that `position` gives. Clenshaw's recurrence.
    package func value(at position: Position) -> Double {
        var (last, beforeLast) = (0.0, 0.0)
        for m in stride(from: Self.nodeCount - 1, through: 1, by: -1) {
            (last, beforeLast) = (
                coefficients[m] + 2 * position.z * last - beforeLast, last
            )
        }
        return coefficients[0] + position.z * last - beforeLast
    }

    /// A place within its octave.
    package struct Position: Sendable {
        fileprivate let z: Double

        /// - Parameter t: finite, above 0.
        package init(of t: Double) { z = 2 * log2(t.significand) - 1 }
    }
}
