#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `scanText`.
@inline(never)
package func scalarScanText(
    _ bytes: UnsafePointer<UInt8>, _ blockCount: Int, _ first: UInt8, _ second: UInt8,
    _ base: UInt32, _ positions: UnsafeMutablePointer<UInt32>, _ flags: UnsafeMutablePointer<UInt8>
) -> Int {
    var count = 0
    for block in 0..<blockCount {
        flags[block] = 0
        for index in 64 * block..<64 * (block + 1) {
            let byte = bytes[index]
            if byte == first || byte == second || byte == 0x22 || byte == 0x0A {
                positions[count] = base &+ UInt32(truncatingIfNeeded: index)
                count += 1
            }
            if byte == 0 || byte >= 128 { flags[block] = 1 }
        }
    }
    return count
}

#endif
