#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Values that `scalarMultiplyAddChains` updates an iteration.
package let scalarMultiplyAddChainValues = 12

/// Scalar twin of `multiplyAddChains`: plain code, which the compiler is free to pack.
@inline(never)
package func scalarMultiplyAddChains(
    _ iterations: Int, _ factor: Float, _ addend: Float
) -> Float {
    var (x0, x1, x2, x3): (Float, Float, Float, Float) = (0, 1, 2, 3)
    var (x4, x5, x6, x7): (Float, Float, Float, Float) = (4, 5, 6, 7)
    var (x8, x9, x10, x11): (Float, Float, Float, Float) = (8, 9, 10, 11)
    for _ in 0..<iterations {
        x0 = x0 * factor + addend
        x1 = x1 * factor + addend
        x2 = x2 * factor + addend
        x3 = x3 * factor + addend
        x4 = x4 * factor + addend
        x5 = x5 * factor + addend
        x6 = x6 * factor + addend
        x7 = x7 * factor + addend
        x8 = x8 * factor + addend
        x9 = x9 * factor + addend
        x10 = x10 * factor + addend
        x11 = x11 * factor + addend
    }
    let first = ((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7))
    return first + ((x8 + x9) + (x10 + x11))
}

/// Scalar twin of `combineBits`.
@inline(never)
package func scalarCombineBits(
    _ values: UnsafePointer<Float>, _ count: Int, _ passes: Int
) -> UInt32 {
    var word: UInt32 = 0
    for _ in 0..<passes { for i in 0..<count { word ^= values[i].bitPattern } }
    return word
}

/// Scalar twin of `fillValues`.
@inline(never)
package func scalarFillValues(
    _ values: UnsafeMutablePointer<Float>, _ count: Int, _ value: Float
) {
    for i in 0..<count { values[i] = value }
}

/// Scalar twin of `copyValues`.
@inline(never)
package func scalarCopyValues(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ count: Int
) {
    for i in 0..<count { target[i] = source[i] }
}

#endif
