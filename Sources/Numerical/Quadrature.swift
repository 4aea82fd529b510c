import Foundation

/// A quadrature rule: the integral of f is close to Σ weights[i] · f(nodes[i]).
package struct QuadratureRule: Sendable, Equatable {
    /// Inside the interval; ascending in the rules made here.
    package let nodes: [Double]
    /// Not negative, as many as `nodes`.
    package let weights: [Double]

    /// - Precondition: equal counts.
    package init(nodes: [Double], weights: [Double]) {
        precondition(nodes.count == weights.count)
        self.nodes = nodes
        self.weights = weights
    }

    /// Gauss–Legendre on (0, 1): exact for polynomials of degree 2 · count − 1; the weights sum
    /// to 1. Newton's method on the Legendre polynomial; nodes and weights to about 2e-15.
    /// Source: Davis & Rabinowitz, "Methods of Numerical Integration", 2.7.
    /// - Parameter count: 1 and above.
    package static func gaussLegendre(count: Int) -> QuadratureRule {
        precondition(count >= 1, "a quadrature rule has at least one node")
        var nodes = [Double](repeating: 0, count: count)
        var weights = nodes
        for i in 0..<(count + 1) / 2 {
            var z = cos(Double.pi * (Double(i) + 0.75) / (Double(count) + 0.5))
            var slope = 1.0
            // Newton converges in four or five steps from this start; ten is a safe bound.
            for _ in 0..<10 {
                var previous = 0.0
                var value = 1.0
                for j in 1...count {
                    let n = Double(j)
                    (previous, value) = (
                        value, ((2 * n - 1) * z * value - (n - 1) * previous) / n
                    )
                }
                slope = Double(count) * (z * value - previous) / (z * z - 1)
                let step = value / slope
                z -= step
                if abs(step) < 1e-16 { break }
            }
            let weight = 1 / ((1 - z * z) * slope * slope)
            nodes[i] = (1 - z) / 2
            nodes[count - 1 - i] = (1 + z) / 2
            weights[i] = weight
            weights[count - 1 - i] = weight
        }
        return QuadratureRule(nodes: nodes, weights: weights)
    }

    /// The expectation over a Beta(alpha, beta) variable p: Gauss–Jacobi on (0, 1) for the weight
    /// p^(alpha − 1) (1 − p)^(beta − 1) / B(alpha, beta); the weights sum to 1.
    ///
    /// Golub–Welsch: eigenvalues of the Jacobi matrix and first components of its eigenvectors.
    /// The recurrence is written on (0, 1) so that no entry is a difference of nearly equal
    /// numbers when the mass sits at one end. Node error about 1e-15 times the largest node.
    /// Source: Golub & Welsch 1969; Gautschi, "Orthogonal Polynomials", 1.5.
    /// - Parameters:
    ///   - count: 1 and above.
    ///   - alpha: above 0.
    ///   - beta: above 0.
    package static func gaussJacobi(count: Int, alpha: Double, beta: Double) -> QuadratureRule {
        precondition(count >= 1 && alpha > 0 && beta > 0)
        let sum = alpha + beta
        var diagonal = [alpha / sum]
        var offDiagonal: [Double] = []
        for i in 1..<max(count, 1) + 1 where i < count {
            let n = Double(i)
            // Integers first: alpha + beta − 2 would lose all digits of a tiny sum.
            let even = 2 * (n - 1) + sum
            // At i = 1 factors of alpha + beta cancel; dividing by them would fail where the sum
            // is 1 or its square underflows.
            if i == 1 {
                diagonal.append((2 * (beta / sum) + alpha) / (sum + 2))
                offDiagonal.append((alpha / sum * (beta / sum) / (sum + 1)).squareRoot())
            } else {
                let numerator = 2 * (n * (n - 1) - alpha) + (2 * n + alpha) * sum
                diagonal.append(numerator / (even * (even + 2)))
                let square =
                    n * (n - 1 + beta) * (n - 1 + alpha) * (n - 2 + sum)
                    / (even * even * (even + 1) * (even - 1))
                offDiagonal.append(square.squareRoot())
            }
        }
        let (values, first) = symmetricTridiagonalEigen(
            diagonal: diagonal, offDiagonal: offDiagonal)
        let order = values.indices.sorted { values[$0] < values[$1] }
        let tiny = Double.leastNormalMagnitude
        return QuadratureRule(
            nodes: order.map { min(max(values[$0], tiny), 1) },
            weights: order.map { first[$0] * first[$0] })
    }
}

/// Eigenvalues of a symmetric tridiagonal matrix and the first component of each normalised
/// eigenvector, in no particular order. Implicit QL with Wilkinson's shift.
/// Source: Bowdler, Martin, Reinsch & Wilkinson 1968 (tql2), restricted to the first row.
func symmetricTridiagonalEigen(
    diagonal: [Double], offDiagonal: [Double]
) -> (values: [Double], firstComponents: [Double]) {
    let n = diagonal.count
    var d = diagonal
    var e = offDiagonal + [0]
    var first = [Double](repeating: 0, count: n)
    first[0] = 1
    for l in 0..<n {
        // Convergence is cubic; 60 sweeps an eigenvalue is far above what any matrix needs.
        for _ in 0..<60 {
            var m = l
            while m < n - 1 {
                let scale = abs(d[m]) + abs(d[m + 1])
                if abs(e[m]) <= Double.ulpOfOne / 2 * scale { break }
                m += 1
            }
            if m == l { break }
            var g = (d[l + 1] - d[l]) / (2 * e[l])
            var r = hypot(g, 1)
            g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r))
            var s = 1.0
            var c = 1.0
            var p = 0.0
            var i = m - 1
            var underflow = false
            while i >= l {
                let f = s * e[i]
                let b = c * e[i]
                r = length(f, g)
                e[i + 1] = r
                if r == 0 {
                    d[i + 1] -= p
                    e[m] = 0
                    underflow = true
                    break
                }
                s = f / r
                c = g / r
                g = d[i + 1] - p
                r = (d[i] - g) * s + 2 * c * b
                p = s * r
                d[i + 1] = g + p
                g = c * r - b
                let z = first[i + 1]
                first[i + 1] = s * first[i] + c * z
                first[i] = c * first[i] - s * z
                i -= 1
            }
            if underflow { continue }
            d[l] -= p
            e[l] = g
            e[m] = 0
        }
    }
    return (d, first)
}

/// √(f² + g²): by `hypot`, which is several times slower, only where a square could underflow or
/// overflow.
@inline(__always)
private func length(_ f: Double, _ g: Double) -> Double {
    let square = f * f + g * g
    return square > 1e-280 && square < 1e280 ? square.squareRoot() : hypot(f, g)
}
