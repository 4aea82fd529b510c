import Foundation

/// A small dense symmetric matrix (a few parameters wide), row-major `[size × size]`.
package struct SymmetricMatrix: Sendable, Equatable {
    package let size: Int
    package private(set) var elements: [Double]

    /// All zeros.
    package init(size: Int) {
        precondition(size >= 1)
        self.size = size
        elements = [Double](repeating: 0, count: size * size)
    }

    /// Setting (i, j) sets (j, i) too.
    package subscript(_ i: Int, _ j: Int) -> Double {
        get { elements[i * size + j] }
        set {
            elements[i * size + j] = newValue
            elements[j * size + i] = newValue
        }
    }

    /// The rows and columns named by `indices`, in that order.
    package func restricted(to indices: [Int]) -> SymmetricMatrix {
        var result = SymmetricMatrix(size: indices.count)
        for (i, row) in indices.enumerated() {
            for (j, column) in indices.enumerated() where j <= i {
                result[i, j] = self[row, column]
            }
        }
        return result
    }

    /// The inverse by Cholesky's factorisation; nil where the matrix is not positive definite
    /// (or a pivot falls below 1e-14 of its diagonal element, where the inverse means nothing).
    package func inverseIfPositiveDefinite() -> SymmetricMatrix? {
        var lower = [Double](repeating: 0, count: size * size)
        for i in 0..<size {
            for j in 0...i {
                var sum = self[i, j]
                for k in 0..<j { sum -= lower[i * size + k] * lower[j * size + k] }
                if i == j {
                    guard sum > 1e-14 * self[i, i], sum.isFinite else { return nil }
                    lower[i * size + i] = sum.squareRoot()
                } else {
                    lower[i * size + j] = sum / lower[j * size + j]
                }
            }
        }
        var result = SymmetricMatrix(size: size)
        for column in 0..<size {
            var solution = [Double](repeating: 0, count: size)
            for i in 0..<size {
                var sum = i == column ? 1.0 : 0
                for k in 0..<i { sum -= lower[i * size + k] * solution[k] }
                solution[i] = sum / lower[i * size + i]
            }
            for i in stride(from: size - 1, through: 0, by: -1) {
                var sum = solution[i]
                for k in i + 1..<size { sum -= lower[k * size + i] * solution[k] }
                solution[i] = sum / lower[i * size + i]
            }
            for i in column..<size { result[i, column] = solution[i] }
        }
        return result
    }

    /// Eigenvalues and eigenvectors by cyclic Jacobi rotations: `vectors[k]` belongs to
    /// `values[k]`; order unspecified. Orthogonality and values to about 1e-15 · norm.
    ///
    /// For a few parameters; `KernelTable.symmetricEigen` is for hundreds of rows.
    /// Source: Golub & Van Loan, "Matrix Computations", 8.5.
    package func eigenDecomposition() -> (values: [Double], vectors: [[Double]]) {
        var a = self
        var vectors = (0..<size).map { k in (0..<size).map { $0 == k ? 1.0 : 0 } }
        for _ in 0..<50 {
            var offDiagonal = 0.0
            var total = 0.0
            for i in 0..<size {
                for j in 0..<size {
                    total += a[i, j] * a[i, j]
                    if i != j { offDiagonal += a[i, j] * a[i, j] }
                }
            }
            if offDiagonal <= 1e-32 * total { break }
            for p in 0..<size - 1 {
                for q in p + 1..<size where a[p, q] != 0 {
                    let theta = (a[q, q] - a[p, p]) / (2 * a[p, q])
                    let t = (theta >= 0 ? 1 : -1) / (abs(theta) + hypot(theta, 1))
                    let c = 1 / hypot(t, 1)
                    let s = t * c
                    let apq = a[p, q]
                    a[p, p] -= t * apq
                    a[q, q] += t * apq
                    a[p, q] = 0
                    for k in 0..<size where k != p && k != q {
                        let akp = a[k, p]
                        let akq = a[k, q]
                        a[k, p] = c * akp - s * akq
                        a[k, q] = s * akp + c * akq
                    }
                    for k in 0..<size {
                        let vp = vectors[p][k]
                        let vq = vectors[q][k]
                        vectors[p][k] = c * vp - s * vq
                        vectors[q][k] = s * vp + c * vq
                    }
                }
            }
        }
        return ((0..<size).map { a[$0, $0] }, vectors)
    }
}
