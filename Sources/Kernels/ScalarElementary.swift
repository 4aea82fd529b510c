// The scalar twins of the elementary functions are the C library's: independent code, correct to
// about half a unit in the last place.
#if !KERNELS_AVX2 && !KERNELS_AVX512
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Scalar twin of `exponentials`.
@inline(never)
package func scalarExponentials(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    for i in 0..<count { output[i] = expf(x[i]) }
}

/// Scalar twin of `exponentials`.
@inline(never)
package func scalarExponentials(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    for i in 0..<count { output[i] = exp(x[i]) }
}

/// Scalar twin of `logarithms`.
@inline(never)
package func scalarLogarithms(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    for i in 0..<count { output[i] = logf(x[i]) }
}

/// Scalar twin of `logarithms`.
@inline(never)
package func scalarLogarithms(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    for i in 0..<count { output[i] = log(x[i]) }
}

/// Scalar twin of `logistics`.
@inline(never)
package func scalarLogistics(
    _ x: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ count: Int
) {
    for i in 0..<count {
        let power = expf(-abs(x[i]))
        output[i] = (x[i] < 0 ? power : 1) / (1 + power)
    }
}

/// Scalar twin of `logistics`.
@inline(never)
package func scalarLogistics(
    _ x: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>, _ count: Int
) {
    for i in 0..<count {
        let power = exp(-abs(x[i]))
        output[i] = (x[i] < 0 ? power : 1) / (1 + power)
    }
}
#endif
