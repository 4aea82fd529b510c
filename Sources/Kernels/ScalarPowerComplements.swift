#if !KERNELS_AVX2 && !KERNELS_AVX512
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Scalar twin of `powerComplements`, by the C library's functions.
@inline(never)
package func scalarPowerComplements(
    _ points: UnsafePointer<Double>, _ weights: UnsafePointer<Double>, _ count: Int,
    _ times: UnsafePointer<Double>, _ timeCount: Int, _ shape: Double,
    _ output: UnsafeMutablePointer<Double>
) {
    for j in 0..<timeCount {
        var sum = 0.0
        for i in 0..<count {
            sum -= weights[i] * expm1(-shape * log1p(points[i] * times[j]))
        }
        output[j] = sum
    }
}
#endif
