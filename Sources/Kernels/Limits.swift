// What bounds every other kernel: multiplications, bytes read, written and copied, and the time of
// one dependent load. They compute nothing of use; `patron roofline` times them.

/// Values that `multiplyAddChains` updates an iteration: 12 independent chains of one register.
/// The fastest machines start two a cycle and finish each four cycles later, so eight would do;
/// twelve leave the sixteen registers of AVX2 room for the two factors.
package let multiplyAddChainValues = 12 * laneCount

/// Runs `x = x · factor + addend` on twelve registers, `iterations` times.
/// - Returns: the sum of all values at the end.
@inline(never)
package func multiplyAddChains(_ iterations: Int, _ factor: Float, _ addend: Float) -> Float {
    let (f, a) = (splat(factor), splat(addend))
    var (x0, x1, x2, x3) = (splat(0), splat(1), splat(2), splat(3))
    var (x4, x5, x6, x7) = (splat(4), splat(5), splat(6), splat(7))
    var (x8, x9, x10, x11) = (splat(8), splat(9), splat(10), splat(11))
    for _ in 0..<iterations {
        x0 = multiplyAdd(a, x0, f)
        x1 = multiplyAdd(a, x1, f)
        x2 = multiplyAdd(a, x2, f)
        x3 = multiplyAdd(a, x3, f)
        x4 = multiplyAdd(a, x4, f)
        x5 = multiplyAdd(a, x5, f)
        x6 = multiplyAdd(a, x6, f)
        x7 = multiplyAdd(a, x7, f)
        x8 = multiplyAdd(a, x8, f)
        x9 = multiplyAdd(a, x9, f)
        x10 = multiplyAdd(a, x10, f)
        x11 = multiplyAdd(a, x11, f)
    }
    let first = ((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7))
    return horizontalSum(first + ((x8 + x9) + (x10 + x11)))
}

/// Exclusive or of the bit patterns of all values, read `passes` times: one load and the cheapest
/// operation that uses it. The order does not matter, so every build gives the same word.
@inline(never)
package func combineBits(
    _ values: UnsafePointer<Float>, _ count: Int, _ passes: Int
) -> UInt32 {
    let bytes = UnsafeRawPointer(values)
    var (w0, w1, w2, w3) = (BitLanes.zero, BitLanes.zero, BitLanes.zero, BitLanes.zero)
    var (w4, w5, w6, w7) = (BitLanes.zero, BitLanes.zero, BitLanes.zero, BitLanes.zero)
    var tail: UInt32 = 0
    for _ in 0..<passes {
        var i = 0
        while i + 8 * laneCount <= count {
            w0 ^= words(bytes, i)
            w1 ^= words(bytes, i + laneCount)
            w2 ^= words(bytes, i + 2 * laneCount)
            w3 ^= words(bytes, i + 3 * laneCount)
            w4 ^= words(bytes, i + 4 * laneCount)
            w5 ^= words(bytes, i + 5 * laneCount)
            w6 ^= words(bytes, i + 6 * laneCount)
            w7 ^= words(bytes, i + 7 * laneCount)
            i += 8 * laneCount
        }
        while i < count {
            tail ^= values[i].bitPattern
            i += 1
        }
    }
    let all = ((w0 ^ w1) ^ (w2 ^ w3)) ^ ((w4 ^ w5) ^ (w6 ^ w7))
    for lane in 0..<laneCount { tail ^= all[lane] }
    return tail
}

@inline(__always)
private func words(_ bytes: UnsafeRawPointer, _ index: Int) -> BitLanes {
    bytes.loadUnaligned(fromByteOffset: 4 * index, as: BitLanes.self)
}

/// Writes one value everywhere, by ordinary stores.
@inline(never)
package func fillValues(_ values: UnsafeMutablePointer<Float>, _ count: Int, _ value: Float) {
    let v = splat(value)
    var i = 0
    while i + 4 * laneCount <= count {
        store4(values + i, v, v, v, v)
        i += 4 * laneCount
    }
    while i < count {
        values[i] = value
        i += 1
    }
}

/// Copies values, by ordinary loads and stores; the two must not overlap.
@inline(never)
package func copyValues(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ count: Int
) {
    var i = 0
    while i + 4 * laneCount <= count {
        let (a, b, c, d) = load4(source + i)
        store4(target + i, a, b, c, d)
        i += 4 * laneCount
    }
    while i < count {
        target[i] = source[i]
        i += 1
    }
}

/// Follows links, each of which cannot be loaded before the last one has arrived.
/// - Parameters:
///   - links: the bit pattern of `links[i]` is the index of the next link.
///   - start: the first index.
/// - Returns: the index after `steps` steps.
@inline(never)
package func followLinks(_ links: UnsafePointer<Float>, _ steps: Int, _ start: UInt32) -> UInt32 {
    var index = start
    for _ in 0..<steps { index = links[Int(index)].bitPattern }
    return index
}
