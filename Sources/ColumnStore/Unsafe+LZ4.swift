import CLZ4

/// The block format of liblz4, without a frame; lengths travel beside the bytes.
enum LZ4 {
    /// Chunks below this are left alone: a few bytes saved are not worth a call a read.
    private static let minimumByteCount = 128

    /// The compressed bytes, or nil where they would be more than a share of the plain ones.
    static func compress(_ bytes: [UInt8], maximumShare: Double) -> [UInt8]? {
        guard bytes.count >= minimumByteCount, bytes.count <= Int(LZ4_MAX_INPUT_SIZE) else {
            return nil
        }
        // LZ4_compress_default writes at most `target` bytes and gives 0 where they do not suffice.
        let target = bytes.count * Int(maximumShare * 100) / 100
        let result = [UInt8](unsafeUninitializedCapacity: target) { buffer, count in
            bytes.withUnsafeBytes { source in
                count = Int(
                    LZ4_compress_default(
                        source.baseAddress, buffer.baseAddress, Int32(source.count), Int32(target)))
            }
        }
        return result.isEmpty ? nil : result
    }

    /// The bytes, or nil where `compressed` is not a block of exactly `byteCount` bytes.
    /// - Precondition: `byteCount` is at most `Limits.chunkByteCount`.
    static func decompress(_ compressed: UnsafeRawBufferPointer, byteCount: Int) -> [UInt8]? {
        guard compressed.count <= Int(Int32.max), byteCount <= Limits.chunkByteCount else {
            return nil
        }
        let result = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let written = LZ4_decompress_safe(
                compressed.baseAddress, buffer.baseAddress, Int32(compressed.count),
                Int32(byteCount))
            count = max(0, Int(written))
        }
        return result.count == byteCount ? result : nil
    }
}
