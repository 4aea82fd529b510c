#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `doubleDot`.
@inline(never)
package func scalarDoubleDot(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, _ count: Int
) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += x[i] * y[i] }
    return sum
}

/// Scalar twin of `doubleAddTwo`.
@inline(never)
package func scalarDoubleAddTwo(
    _ a: Double, _ x: UnsafePointer<Double>, _ b: Double, _ y: UnsafePointer<Double>,
    _ z: UnsafeMutablePointer<Double>, _ count: Int
) {
    for i in 0..<count { z[i] += a * x[i] + b * y[i] }
}

/// Scalar twin of `doubleRotate`.
@inline(never)
package func scalarDoubleRotate(
    _ x: UnsafeMutablePointer<Double>, _ y: UnsafeMutablePointer<Double>, _ cosine: Double,
    _ sine: Double, _ count: Int
) {
    for i in 0..<count {
        let (a, b) = (x[i], y[i])
        x[i] = cosine * a - sine * b
        y[i] = sine * a + cosine * b
    }
}

#endif
