extension MutableRawSpan {
    /// Replaces the bytes from `offset` on. Traps where they reach past the end.
    mutating func replace(at offset: Int, by bytes: [UInt8]) {
        precondition(
            offset >= 0 && offset <= byteCount - bytes.count, "bytes past the end of a span")
        withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + source.count])
                    .copyMemory(from: source)
            }
        }
    }
}
