import CLZ4

/// Compressed bodies: one block of liblz4 (lz4_Block_format.md), without a frame; both sizes travel
/// in the header. The only unsafe code of this module.
enum LZ4Block {
    /// - Parameter byteCount: what the block may take.
    /// - Returns: nil where it would take more.
    static func compress(_ bytes: RawSpan, to byteCount: Int) -> [UInt8]? {
        guard bytes.byteCount > 0, bytes.byteCount <= Int(LZ4_MAX_INPUT_SIZE), byteCount > 0 else {
            return nil
        }
        // LZ4_compress_default writes at most `byteCount` bytes and gives 0 where they do not
        // suffice; both buffers live for the whole call.
        let block = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            unsafe bytes.withUnsafeBytes { source in
                unsafe count = Int(
                    LZ4_compress_default(
                        source.baseAddress, buffer.baseAddress, Int32(source.count),
                        Int32(buffer.count)))
            }
        }
        return block.isEmpty ? nil : block
    }

    /// - Parameter rawLength: what the block must become, checked against the limits before.
    /// - Returns: nil where `block` is not one block of exactly so many bytes.
    static func decompress(_ block: RawSpan, rawLength: Int) -> [UInt8]? {
        guard block.byteCount > 0, block.byteCount <= Int(Int32.max), rawLength > 0,
            rawLength <= Int(LZ4_MAX_INPUT_SIZE), isChain(block, rawLength: rawLength)
        else { return nil }
        // LZ4_decompress_safe reads only the block and writes at most `rawLength` bytes, whatever
        // the block says; below 0 where it is none.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: rawLength) { buffer, count in
            unsafe block.withUnsafeBytes { source in
                unsafe count = max(
                    0,
                    Int(
                        LZ4_decompress_safe(
                            source.baseAddress, buffer.baseAddress, Int32(source.count),
                            Int32(rawLength))))
            }
        }
        return bytes.count == rawLength ? bytes : nil
    }
}

extension [UInt8] {
    /// The bytes, for readers: a byte has no padding that must not be read.
    package var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get { unsafe span.bytes }
    }
}

/// The bytes of a compressed body, whose `rawLength` `Frame.open` has checked.
///
/// Throws: invalidBlock.
package func decompressBody(_ block: RawSpan, rawLength: Int) throws(WireError) -> [UInt8] {
    guard let bytes = LZ4Block.decompress(block, rawLength: rawLength) else {
        throw .invalidBlock(rawLength: rawLength, blockBytes: block.byteCount)
    }
    return bytes
}
