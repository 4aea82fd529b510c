#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `dot`.
@inline(never)
package func scalarDot(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int
) -> Float {
    var sum: Float = 0
    for i in 0..<count { sum += x[i] * y[i] }
    return sum
}

/// Scalar twin of `axpy`.
@inline(never)
package func scalarAxpy(
    _ a: Float, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) {
    for i in 0..<count { y[i] += a * x[i] }
}

/// Scalar twin of `gatherRows`.
@inline(never)
package func scalarGatherRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ scales: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    _ panel: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let source = rows + Int(indices[i]) * width
        for j in 0..<width {
            panel[i * width + j] = source[j] * scales[i]
            rightSide[j] += source[j] * weights[i]
        }
    }
}

/// Scalar twin of `addOuterProducts`.
@inline(never)
package func scalarAddOuterProducts(
    _ panel: UnsafePointer<Float>, _ count: Int, _ width: Int,
    _ matrix: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let row = panel + i * width
        for r in 0..<width {
            for c in r..<width { matrix[r * width + c] += row[r] * row[c] }
        }
    }
}

/// Scalar twin of `solvePositiveDefinite`.
@inline(never)
package func scalarSolvePositiveDefinite(
    _ matrix: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>,
    _ width: Int, _ smallestPivot: Float
) -> Int32 {
    for j in 0..<width {
        let pivot = matrix[j * width + j]
        guard pivot > smallestPivot else { return 0 }
        let scale = 1 / pivot.squareRoot()
        for c in j..<width { matrix[j * width + c] *= scale }
        for i in j + 1..<width {
            let factor = matrix[j * width + i]
            for c in i..<width { matrix[i * width + c] -= factor * matrix[j * width + c] }
        }
        rightSide[j] *= scale
        for c in j + 1..<width {
            rightSide[c] -= rightSide[j] * matrix[j * width + c]
        }
    }
    var j = width - 1
    while j >= 0 {
        var sum = rightSide[j]
        for c in j + 1..<width { sum -= matrix[j * width + c] * rightSide[c] }
        rightSide[j] = sum / matrix[j * width + j]
        j -= 1
    }
    return 1
}

/// Scalar twin of `addWeightedRows`.
@inline(never)
package func scalarAddWeightedRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ following: Int, _ alpha: Float,
    _ base: Float, _ scratch: UnsafeMutablePointer<Float>,
    _ matrix: UnsafeMutablePointer<Float>, _ rightSide: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let row = rows + Int(indices[i]) * width
        let difference = base - 1 + alpha * values[i]
        let weight = difference < 0 ? 0 : difference
        for r in 0..<width {
            rightSide[r] += (weight + 1) * row[r]
            for c in r..<width { matrix[r * width + c] += weight * row[r] * row[c] }
        }
    }
}

/// Scalar twin of `multiplyTriangle`.
@inline(never)
package func scalarMultiplyTriangle(
    _ rows: UnsafePointer<Float>, _ rowCount: Int, _ width: Int,
    _ matrix: UnsafePointer<Float>, _ isUpper: Int32, _ output: UnsafeMutablePointer<Float>
) {
    for row in 0..<rowCount {
        for c in 0..<width {
            var sum: Float = 0
            for f in isUpper != 0 ? 0..<c + 1 : c..<width {
                sum += rows[row * width + f] * matrix[f * width + c]
            }
            output[row * width + c] = sum
        }
    }
}

/// Scalar twin of `scoreEntries`.
@inline(never)
package func scalarScoreEntries(
    _ x: UnsafePointer<Float>, _ rows: UnsafePointer<Float>, _ width: Int,
    _ indices: UnsafePointer<Int32>, _ count: Int, _ scores: UnsafeMutablePointer<Float>
) {
    for i in 0..<count { scores[i] = scalarDot(x, rows + Int(indices[i]) * width, width) }
}

#endif
