import ByteCoding

/// A block is a chain of sequences: a token (literals in the high half, match length - 4 in the low
/// one), more bytes of the literals' length where that half is 15, the literals, then u16 distance
/// of the match and more bytes of its length. The last sequence ends after its literals.
///
/// liblz4 reads no byte outside its buffers, but takes a distance of 0, which the format forbids, for
/// a match of bytes that nobody has written. So the chain is walked first: what it becomes is known
/// before memory is taken for it.
extension LZ4Block {
    /// - Returns: whether `block` is one that becomes `rawLength` bytes, but for what its last bytes
    ///   must be, which liblz4 checks.
    static func isChain(_ block: RawSpan, rawLength: Int) -> Bool {
        var (at, written) = (0, 0)
        while let token = block.integer(at: at, as: UInt8.self) {
            at += 1
            guard let literals = length(Int(token >> 4), block, &at),
                literals <= block.byteCount - at, literals <= rawLength - written
            else { return false }
            at += literals
            written += literals
            if at == block.byteCount { return written == rawLength }
            guard let distance = block.integer(at: at, as: UInt16.self), distance > 0,
                Int(distance) <= written
            else { return false }
            at += 2
            guard let match = length(Int(token & 15), block, &at), match + 4 <= rawLength - written
            else { return false }
            written += match + 4
        }
        return false
    }

    /// A length that goes on in the bytes from `at` where it is 15.
    private static func length(_ half: Int, _ block: RawSpan, _ at: inout Int) -> Int? {
        guard half == 15 else { return half }
        var sum = half
        while let more = block.integer(at: at, as: UInt8.self) {
            at += 1
            sum += Int(more)
            if more < 255 { return sum }
        }
        return nil
    }
}
