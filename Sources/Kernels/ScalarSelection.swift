#if !KERNELS_AVX2 && !KERNELS_AVX512

@inline(__always)
private func scalarSelect(
    _ selection: UnsafeMutablePointer<UInt32>, _ i: Int, _ isSelected: Bool
) {
    if isSelected { selection[i % 16] |= 1 << UInt32(i / 16) }
}

/// Scalar twin of `selectWords`.
@inline(never)
package func scalarSelectWords(
    _ values: UnsafePointer<UInt32>, _ lower: UInt32, _ span: UInt32,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    for lane in 0..<16 { selection[lane] = 0 }
    for i in 0..<512 { scalarSelect(selection, i, values[i] &- lower <= span) }
}

/// Scalar twin of `selectLongs`.
@inline(never)
package func scalarSelectLongs(
    _ values: UnsafePointer<UInt64>, _ lower: UInt64, _ span: UInt64,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    for lane in 0..<16 { selection[lane] = 0 }
    for i in 0..<512 { scalarSelect(selection, i, values[i] &- lower <= span) }
}

/// Scalar twin of `selectFloats`.
@inline(never)
package func scalarSelectFloats(
    _ values: UnsafePointer<Float>, _ lower: Float, _ upper: Float,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    for lane in 0..<16 { selection[lane] = 0 }
    for i in 0..<512 { scalarSelect(selection, i, values[i] >= lower && values[i] <= upper) }
}

/// Scalar twin of `selectDoubles`.
@inline(never)
package func scalarSelectDoubles(
    _ values: UnsafePointer<Double>, _ lower: Double, _ upper: Double,
    _ selection: UnsafeMutablePointer<UInt32>
) {
    for lane in 0..<16 { selection[lane] = 0 }
    for i in 0..<512 { scalarSelect(selection, i, values[i] >= lower && values[i] <= upper) }
}

@inline(__always)
private func isSelected(_ selection: UnsafePointer<UInt32>, _ i: Int) -> Bool {
    selection[i % 16] >> UInt32(i / 16) & 1 == 1
}

/// Scalar twin of `sumFloats`.
@inline(never)
package func scalarSumFloats(
    _ values: UnsafePointer<Float>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for i in 0..<512 where isSelected(selection, i) { sums[i % 16] += Double(values[i]) }
}

/// Scalar twin of `sumDoubles`.
@inline(never)
package func scalarSumDoubles(
    _ values: UnsafePointer<Double>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<Double>
) {
    for i in 0..<512 where isSelected(selection, i) { sums[i % 16] += values[i] }
}

/// Scalar twin of `sumLongs`.
@inline(never)
package func scalarSumLongs(
    _ values: UnsafePointer<UInt64>, _ selection: UnsafePointer<UInt32>,
    _ sums: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<512 where isSelected(selection, i) {
        let value = values[i] ^ 1 << 63
        sums[i % 16] &+= value & 0xFFFF_FFFF
        sums[16 + i % 16] &+= value >> 32
    }
}

#endif
