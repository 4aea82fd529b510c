import Numerical

/// L⁻¹ of G = L Lᵀ, the part of the normal equations that all rows share, in double precision and
/// then as two matrices for tables of rows: z = L⁻¹ y and x = L⁻ᵀ x'.
struct Whitening {
    /// Below this share of the largest diagonal entry a pivot has no correct digit in single
    /// precision.
    private static let smallestPivot = 16 * Double(Float.ulpOfOne)

    /// `rows · toWhite` has the rows L⁻¹ y; upper triangular `[width × width]`.
    let toWhite: AlignedFloats
    /// `rows · fromWhite` has the rows L⁻ᵀ x'; lower triangular `[width × width]`.
    let fromWhite: AlignedFloats

    /// - Parameter gram: upper triangle of G without regularization, `[width × width]`.
    /// - Returns: nil where G is not positive definite in single precision.
    init?(gram: [Double], factorCount f: Int, width: Int, regularization: Double) {
        // L by rows, then its inverse by rows, both lower triangles.
        var l = [Double](repeating: 0, count: f * f)
        var largest = 0.0
        for i in 0..<f { largest = max(largest, gram[i * width + i] + regularization) }
        for i in 0..<f {
            for j in 0...i {
                var sum = gram[j * width + i] + (i == j ? regularization : 0)
                for k in 0..<j { sum -= l[i * f + k] * l[j * f + k] }
                if i > j {
                    l[i * f + j] = sum / l[j * f + j]
                } else {
                    guard sum > Self.smallestPivot * largest else { return nil }
                    l[i * f + i] = sum.squareRoot()
                }
            }
        }
        var inverse = [Double](repeating: 0, count: f * f)
        for i in 0..<f {
            inverse[i * f + i] = 1
            for k in 0..<i {
                let factor = l[i * f + k]
                for j in 0...k { inverse[i * f + j] -= factor * inverse[k * f + j] }
            }
            for j in 0...i { inverse[i * f + j] /= l[i * f + i] }
        }
        var toWhite = AlignedFloats(count: width * width)
        var fromWhite = toWhite
        var upper = toWhite.mutableSpan
        var lower = fromWhite.mutableSpan
        for i in 0..<f {
            for j in 0...i {
                upper[j * width + i] = Float(inverse[i * f + j])
                lower[i * width + j] = Float(inverse[i * f + j])
            }
        }
        self.toWhite = toWhite
        self.fromWhite = fromWhite
    }
}
