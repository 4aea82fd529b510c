// Scalar twins of the loops over binned rows: the plainest code that says what they do.
#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `binValues`.
@inline(never)
package func scalarBinValues(
    _ values: UnsafePointer<Float>, _ count: Int, _ bounds: UnsafePointer<Float>,
    _ missingBin: UInt8, _ bins: UnsafeMutablePointer<UInt8>
) {
    for i in 0..<count {
        var bin = 0
        while bin < 255, bounds[bin] < values[i] { bin += 1 }
        bins[i] = values[i].isNaN ? missingBin : UInt8(bin)
    }
}

/// Scalar twin of `addPackedGradients`.
@inline(never)
package func scalarAddPackedGradients(
    _ bins: UnsafePointer<UInt8>, _ stride: Int, _ groupCount: Int,
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ packed: UnsafePointer<UInt64>,
    _ sums: UnsafeMutablePointer<UInt64>
) {
    for column in 0..<8 * groupCount {
        for i in 0..<count {
            let row = Int(rows[i])
            sums[256 * column + Int(bins[row * stride + column])] &+= packed[row]
        }
    }
}

/// Scalar twin of `flushPackedGradients`.
@inline(never)
package func scalarFlushPackedGradients(
    _ packed: UnsafeMutablePointer<UInt64>, _ count: Int, _ gradients: UnsafeMutablePointer<Int64>,
    _ hessians: UnsafeMutablePointer<Int64>, _ rows: UnsafeMutablePointer<Int64>
) {
    for i in 0..<count {
        rows[i] += Int64(packed[i] % 8192)
        hessians[i] += Int64(packed[i] / 8192 % 16_777_216)
        let rest = packed[i] / 137_438_953_472
        gradients[i] += rest < 67_108_864 ? Int64(rest) : Int64(rest) - 134_217_728
        packed[i] = 0
    }
}

/// Scalar twin of `splitRows`.
@inline(never)
package func scalarSplitRows(
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ bins: UnsafePointer<UInt8>,
    _ goesLeft: UnsafePointer<UInt8>, _ left: UnsafeMutablePointer<UInt32>,
    _ right: UnsafeMutablePointer<UInt32>
) -> Int {
    var (leftCount, rightCount) = (0, 0)
    for i in 0..<count {
        if goesLeft[Int(bins[Int(rows[i])])] == 1 {
            left[leftCount] = rows[i]
            leftCount += 1
        } else {
            right[rightCount] = rows[i]
            rightCount += 1
        }
    }
    return leftCount
}

/// Scalar twin of `sumGradients`, to rounding.
@inline(never)
package func scalarSumGradients(
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ pairs: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Double>
) {
    var (gradient, hessian) = (0.0, 0.0)
    for i in 0..<count {
        gradient += Double(pairs[2 * Int(rows[i])])
        hessian += Double(pairs[2 * Int(rows[i]) + 1])
    }
    sums[0] = gradient
    sums[1] = hessian
}
#endif
