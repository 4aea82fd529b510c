import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels on rows of doubles, of one instruction-set level.
struct DoubleRowKernels: Sendable {
    let dot: @Sendable (UnsafePointer<Double>, UnsafePointer<Double>, Int) -> Double
    let addTwo:
        @Sendable (
            Double, UnsafePointer<Double>, Double, UnsafePointer<Double>,
            UnsafeMutablePointer<Double>, Int
        ) -> Void
    let rotate:
        @Sendable (
            UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>, Double, Double, Int
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            dot = scalarDoubleDot
            addTwo = scalarDoubleAddTwo
            rotate = scalarDoubleRotate
        case .baseline:
            dot = Kernels.doubleDot
            addTwo = Kernels.doubleAddTwo
            rotate = Kernels.doubleRotate
        #if arch(x86_64)
        case .avx2:
            dot = KernelsAVX2.doubleDot
            addTwo = KernelsAVX2.doubleAddTwo
            rotate = KernelsAVX2.doubleRotate
        case .avx512:
            dot = KernelsAVX512.doubleDot
            addTwo = KernelsAVX512.doubleAddTwo
            rotate = KernelsAVX512.doubleRotate
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

extension KernelTable {
    /// The eigenvalues and eigenvectors of a symmetric matrix, in no particular order.
    ///
    /// Householder's reduction to a tridiagonal matrix, then implicit QL steps, which take the
    /// vectors along: for hundreds of rows; `SymmetricMatrix.eigenDecomposition` is for a few.
    /// Source: J. H. Wilkinson and C. Reinsch, "Handbook for Automatic Computation II: Linear
    /// Algebra", 1971, procedures tred2 and tql2.
    /// - Parameter matrix: `[size × size]`, row-major; the upper triangle is read.
    /// - Returns: values `[size]`, and vectors `[size × size]` of which row i belongs to value i,
    ///   orthonormal to about 1e-15 · size; nil where an element is not finite.
    /// - Complexity: O(size³).
    package func symmetricEigen(
        _ matrix: [Double], size: Int
    ) -> (values: [Double], vectors: [Double])? {
        precondition(size >= 0 && matrix.count == size * size)
        guard matrix.allSatisfy(\.isFinite) else { return nil }
        if size == 0 { return ([], []) }
        var reduced = matrix
        for r in 0..<size { for c in 0..<r { reduced[r * size + c] = matrix[c * size + r] } }
        var values = [Double](repeating: 0, count: size)
        var couplings = [Double](repeating: 0, count: size)
        var vectors = [Double](repeating: 0, count: size * size)
        var work = [Double](repeating: 0, count: 2 * size)
        // Every row below is `size` elements of an array that has `size` rows.
        let isDone = reduced.withUnsafeMutableBufferPointer { reduced in
            vectors.withUnsafeMutableBufferPointer { vectors in
                work.withUnsafeMutableBufferPointer { work in
                    tridiagonalize(
                        address(reduced), size, address(work), &values, &couplings)
                    accumulateReflections(
                        address(reduced), size, address(work), address(vectors))
                    return diagonalize(&values, &couplings, size, address(vectors))
                }
            }
        }
        return isDone ? (values, vectors) : nil
    }

    /// Leaves in row k, from the diagonal's right neighbour on, the vector v of reflection k
    /// (I - v vᵀ) and in `diagonal`, `couplings` the tridiagonal matrix.
    private func tridiagonalize(
        _ a: UnsafeMutablePointer<Double>, _ n: Int, _ work: UnsafeMutablePointer<Double>,
        _ diagonal: inout [Double], _ couplings: inout [Double]
    ) {
        for k in 0..<n {
            diagonal[k] = a[k * n + k]
            if k + 1 == n { break }
            let count = n - k - 1
            let v = a + k * n + k + 1
            // Scaled, so that no square overflows or vanishes.
            var largest = 0.0
            for i in 0..<count { largest = max(largest, abs(v[i])) }
            guard largest > 0, count > 1 else {
                couplings[k] = v[0]
                for i in 0..<count { v[i] = 0 }
                continue
            }
            for i in 0..<count { v[i] /= largest }
            let norm = doubleRowKernels.dot(v, v, count).squareRoot()
            let head = v[0] < 0 ? norm : -norm
            couplings[k] = head * largest
            v[0] -= head
            // |v|² = 2 norm (norm + |v0|): scaled by its root, the reflection is I - v vᵀ.
            let scale = (2 / doubleRowKernels.dot(v, v, count)).squareRoot()
            for i in 0..<count { v[i] *= scale }
            let block = a + (k + 1) * n + k + 1
            for i in 0..<count { work[i] = doubleRowKernels.dot(block + i * n, v, count) }
            let half = doubleRowKernels.dot(work, v, count) / 2
            for i in 0..<count { work[i] -= half * v[i] }
            for i in 0..<count {
                doubleRowKernels.addTwo(-v[i], work, -work[i], v, block + i * n, count)
            }
        }
    }

    /// The product of the reflections, transposed: symmetric ones, so applied in reverse order.
    private func accumulateReflections(
        _ a: UnsafeMutablePointer<Double>, _ n: Int, _ work: UnsafeMutablePointer<Double>,
        _ q: UnsafeMutablePointer<Double>
    ) {
        for i in 0..<n { q[i * n + i] = 1 }
        var k = n - 2
        while k >= 0 {
            let count = n - k - 1
            let v = a + k * n + k + 1
            // Rows of the transposed product: row ← row - (row · v) v.
            for i in 0..<count {
                let row = q + (k + 1 + i) * n + k + 1
                let product = doubleRowKernels.dot(row, v, count)
                if product != 0 { doubleRowKernels.addTwo(-product, v, 0, v, row, count) }
            }
            k -= 1
        }
    }

    /// Implicit QL steps, whose rotations turn the rows of `vectors` into eigenvectors.
    private func diagonalize(
        _ d: inout [Double], _ e: inout [Double], _ n: Int,
        _ vectors: UnsafeMutablePointer<Double>
    ) -> Bool {
        // Couplings that no double of the matrix's magnitude notices are zero.
        var least = 0.0
        for i in 0..<n { least = max(least, 0x1p-60 * max(abs(d[i]), abs(e[i]))) }
        for l in 0..<n {
            // Two or three steps a value are usual.
            for step in 0...60 {
                var m = l
                while m + 1 < n, abs(e[m]) > least,
                    abs(e[m]) > 0x1p-53 * (abs(d[m]) + abs(d[m + 1]))
                {
                    m += 1
                }
                if m == l { break }
                if step == 60 { return false }
                var g = (d[l + 1] - d[l]) / (2 * e[l])
                let root = (g * g + 1).squareRoot()
                g = d[m] - d[l] + e[l] / (g + (g < 0 ? -root : root))
                var (sine, cosine, p) = (1.0, 1.0, 0.0)
                var i = m - 1
                while i >= l {
                    let (f, b) = (sine * e[i], cosine * e[i])
                    let r = (f * f + g * g).squareRoot()
                    e[i + 1] = r
                    if r == 0 { break }
                    (sine, cosine) = (f / r, g / r)
                    g = d[i + 1] - p
                    let t = (d[i] - g) * sine + 2 * cosine * b
                    p = sine * t
                    d[i + 1] = g + p
                    g = cosine * t - b
                    doubleRowKernels.rotate(
                        vectors + i * n, vectors + (i + 1) * n, cosine, sine, n)
                    i -= 1
                }
                if i >= l {
                    d[i + 1] -= p
                } else {
                    d[l] -= p
                    e[l] = g
                }
                e[m] = 0
            }
        }
        return true
    }
}
