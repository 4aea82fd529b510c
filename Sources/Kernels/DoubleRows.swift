// Rows of doubles, for the decomposition of one small symmetric matrix.

/// Scalar product.
@inline(never)
package func doubleDot(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, _ count: Int
) -> Double {
    var (s, t) = (DoubleLanes.zero, DoubleLanes.zero)
    var i = 0
    while i + 2 * doubleLaneCount <= count {
        s += load(x + i) * load(y + i)
        t += load(x + i + doubleLaneCount) * load(y + i + doubleLaneCount)
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
        store(load(z + i) + (a * load(x + i) + b * load(y + i)), z + i)
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
        let (a, b) = (load(x + i), load(y + i))
        store(cosine * a - sine * b, x + i)
        store(sine * a + cosine * b, y + i)
        i += doubleLaneCount
    }
    while i < count {
        let (a, b) = (x[i], y[i])
        x[i] = cosine * a - sine * b
        y[i] = sine * a + cosine * b
        i += 1
    }
}
