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

    /// - Parameter target: of the size that the plain bytes have.
    /// - Returns: whether `compressed` is a block of exactly as many bytes; else the target holds
    ///   anything.
    static func decompress(
        _ compressed: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard compressed.count <= Int(Int32.max), target.count <= Int(Int32.max) else {
            return false
        }
        let written = LZ4_decompress_safe(
            compressed.baseAddress, target.baseAddress, Int32(compressed.count),
            Int32(target.count))
        return Int(written) == target.count
    }
}
