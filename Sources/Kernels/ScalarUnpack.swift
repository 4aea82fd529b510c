#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `unpackWords`.
@inline(never)
package func scalarUnpackWords(
    _ source: UnsafeRawPointer, _ width: Int, _ groupCount: Int, _ reference: UInt32,
    _ target: UnsafeMutablePointer<UInt32>
) {
    for i in 0..<512 * groupCount { target[i] = scalarNumber(source, width, i) &+ reference }
}

/// Number i of groups of numbers of `width` bits, 1 to 32.
@inline(__always)
private func scalarNumber(_ source: UnsafeRawPointer, _ width: Int, _ i: Int) -> UInt32 {
    let (bit, lane) = (i % 512 / 16 * width, i % 16)
    let place = source + (i / 512 * 64 * width + bit / 32 * 64 + lane * 4)
    var bits = UInt64(place.loadUnaligned(as: UInt32.self))
    if bit % 32 + width > 32 {
        bits |= UInt64(place.loadUnaligned(fromByteOffset: 64, as: UInt32.self)) << 32
    }
    return UInt32(truncatingIfNeeded: bits >> UInt64(bit % 32) & (1 << UInt64(width) - 1))
}

@inline(__always)
private func scalarNumber(
    _ source: UnsafeRawPointer, _ steps: UnsafePointer<UInt32>, _ mask: UInt32, _ i: Int
) -> UInt32 {
    let step = steps + 4 * (i / 16)
    let lane = source + 4 * (i % 16)
    let first = lane.loadUnaligned(fromByteOffset: Int(step[0]), as: UInt32.self)
    let last = lane.loadUnaligned(fromByteOffset: Int(step[1]), as: UInt32.self)
    return (first &>> step[2] | last &<< step[3]) & mask
}

/// Scalar twin of `unpackLongs`.
@inline(never)
package func scalarUnpackLongs(
    _ source: UnsafeRawPointer, _ width: Int, _ groupCount: Int, _ reference: UInt64,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<512 * groupCount {
        target[i] = UInt64(scalarNumber(source, width, i)) &+ reference
    }
}

/// Scalar twin of `joinLongs`.
@inline(never)
package func scalarJoinLongs(
    _ low: UnsafePointer<UInt32>, _ high: UnsafePointer<UInt32>, _ reference: UInt64,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<512 { target[i] = (UInt64(high[i]) << 32 + UInt64(low[i])) &+ reference }
}

/// Scalar twin of `unpackFloats`, which divides.
@inline(never)
package func scalarUnpackFloats(
    _ source: UnsafeRawPointer, _ steps: UnsafePointer<UInt32>, _ mask: UInt32,
    _ groupBytes: Int, _ reference: UInt32, _ power: Float,
    _ target: UnsafeMutablePointer<Float>, _ runStride: Int
) {
    for i in 0..<(groupBytes == 0 ? 512 : 1_024) {
        let group = source + i / 512 * groupBytes
        let integer = scalarNumber(group, steps, mask, i % 512) &+ reference
        target[i / 64 * runStride + i % 64] = Float(Int32(bitPattern: integer)) / power
    }
}

/// Scalar twin of `divideLongs`.
@inline(never)
package func scalarDivideLongs(_ values: UnsafeMutablePointer<UInt64>, _ power: Double) {
    let origin = (0x1.8p52 as Double).bitPattern
    for i in 0..<512 {
        let integer = Int64(bitPattern: values[i] &- origin)
        values[i] = (Double(integer) / power).bitPattern
    }
}

/// Scalar twin of `runningSum`.
@inline(never)
package func scalarRunningSum(
    _ values: UnsafeMutablePointer<UInt64>, _ count: Int, _ first: UInt64, _ step: UInt64
) {
    if count == 0 { return }
    values[0] = first
    for i in 1..<max(1, count) { values[i] = values[i - 1] &+ step &+ values[i] }
}

/// Scalar twin of `lookUpWords`.
@inline(never)
package func scalarLookUpWords(
    _ codes: UnsafePointer<UInt32>, _ count: Int, _ table: UnsafeRawPointer,
    _ target: UnsafeMutablePointer<UInt32>
) {
    for i in 0..<count {
        target[i] = table.loadUnaligned(fromByteOffset: 4 * Int(codes[i]), as: UInt32.self)
    }
}

/// Scalar twin of `lookUpLongs`.
@inline(never)
package func scalarLookUpLongs(
    _ codes: UnsafePointer<UInt32>, _ count: Int, _ table: UnsafeRawPointer,
    _ target: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<count {
        target[i] = table.loadUnaligned(fromByteOffset: 8 * Int(codes[i]), as: UInt64.self)
    }
}

/// Scalar twin of `spreadWords`.
@inline(never)
package func scalarSpreadWords(
    _ bits: UnsafeRawPointer, _ count: Int, _ others: UnsafePointer<UInt32>,
    _ frequent: UInt32, _ target: UnsafeMutablePointer<UInt32>
) {
    var next = 0
    for row in 0..<count {
        let byte = bits.load(fromByteOffset: row / 8, as: UInt8.self)
        if byte >> UInt8(row % 8) & 1 == 1 {
            target[row] = others[next]
            next += 1
        } else {
            target[row] = frequent
        }
    }
}

/// Scalar twin of `spreadLongs`.
@inline(never)
package func scalarSpreadLongs(
    _ bits: UnsafeRawPointer, _ count: Int, _ others: UnsafePointer<UInt64>,
    _ frequent: UInt64, _ target: UnsafeMutablePointer<UInt64>
) {
    var next = 0
    for row in 0..<count {
        let byte = bits.load(fromByteOffset: row / 8, as: UInt8.self)
        if byte >> UInt8(row % 8) & 1 == 1 {
            target[row] = others[next]
            next += 1
        } else {
            target[row] = frequent
        }
    }
}

#endif
