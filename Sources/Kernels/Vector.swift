/// Scalar product of two vectors. Four accumulators, then the tail value by value.
@inline(never)
package func dot(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) -> Float {
    var (s0, s1, s2, s3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var i = 0
    while i + 4 * laneCount <= count {
        s0 = multiplyAdd(s0, load(x + i), load(y + i))
        s1 = multiplyAdd(s1, load(x + i + laneCount), load(y + i + laneCount))
        s2 = multiplyAdd(s2, load(x + i + 2 * laneCount), load(y + i + 2 * laneCount))
        s3 = multiplyAdd(s3, load(x + i + 3 * laneCount), load(y + i + 3 * laneCount))
        i += 4 * laneCount
    }
    while i + laneCount <= count {
        s0 = multiplyAdd(s0, load(x + i), load(y + i))
        i += laneCount
    }
    var sum = horizontalSum((s0 + s1) + (s2 + s3))
    while i < count {
        sum += x[i] * y[i]
        i += 1
    }
    return sum
}

/// `y += a x`.
@inline(never)
package func axpy(
    _ a: Float, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) {
    let factor = splat(a)
    var i = 0
    while i + laneCount <= count {
        store(multiplyAdd(load(y + i), factor, load(x + i)), y + i)
        i += laneCount
    }
    while i < count {
        y[i] += a * x[i]
        i += 1
    }
}
