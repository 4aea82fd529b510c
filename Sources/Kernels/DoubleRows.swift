// Rows of doubles, for the decomposition of one small symmetric matrix.

#if KERNELS_AVX512
private typealias DoubleLanes = SIMD8<Double>
private let doubleLaneCount = 8
#elseif KERNELS_AVX2
private typealias DoubleLanes = SIMD4<Double>
private let doubleLaneCount = 4
#else
private typealias DoubleLanes = SIMD2<Double>
private let doubleLaneCount = 2
#endif

@inline(__always)
private func loadDoubles(_ source: UnsafePointer<Double>) -> DoubleLanes {
    UnsafeRawPointer(source).loadUnaligned(as: DoubleLanes.self)
}

@inline(__always)
private func storeDoubles(_ value: DoubleLanes, _ target: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: DoubleLanes.self)
}

/// Scalar product.
@inline(never)
package func doubleDot(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, _ count: Int
) -> Double {
    var (s, t) = (DoubleLanes.zero, DoubleLanes.zero)
    var i = 0
    while i + 2 * doubleLaneCount <= count {
        s += loadDoubles(x + i) * loadDoubles(y + i)
        t += loadDoubles(x + i + doubleLaneCount) * loadDoubles(y + i + doubleLaneCount)
        i += 2 * doubleLaneCount
    }
    s += t
    var sum = 0.0
    for lane in 0..<doubleLaneCount { sum += s[lane] }
    while i < count {
        sum += x[i] * y[i]
        i += 1
    }
    return sum
}

/// `z += a x + b y`.
@inline(never)
package func doubleAddTwo(
    _ a: Double, _ x: UnsafePointer<Double>, _ b: Double, _ y: UnsafePointer<Double>,
    _ z: UnsafeMutablePointer<Double>, _ count: Int
) {
    var i = 0
    while i + doubleLaneCount <= count {
        storeDoubles(
            loadDoubles(z + i) + (a * loadDoubles(x + i) + b * loadDoubles(y + i)), z + i)
        i += doubleLaneCount
    }
    while i < count {
        z[i] += a * x[i] + b * y[i]
        i += 1
    }
}

/// A plane rotation: `(x, y)` becomes `(cosine x - sine y, sine x + cosine y)`.
@inline(never)
package func doubleRotate(
    _ x: UnsafeMutablePointer<Double>, _ y: UnsafeMutablePointer<Double>, _ cosine: Double,
    _ sine: Double, _ count: Int
) {
    var i = 0
    while i + doubleLaneCount <= count {
        let (a, b) = (loadDoubles(x + i), loadDoubles(y + i))
        storeDoubles(cosine * a - sine * b, x + i)
        storeDoubles(sine * a + cosine * b, y + i)
        i += doubleLaneCount
    }
    while i < count {
        let (a, b) = (x[i], y[i])
        x[i] = cosine * a - sine * b
        y[i] = sine * a + cosine * b
        i += 1
    }
}
