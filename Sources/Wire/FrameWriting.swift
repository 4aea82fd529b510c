package import ByteCoding

/// A frame that is being written: where it and its body begin in the writer.
package struct OpenFrame: Sendable {
    package let start: Int
    /// Alignment inside the body counts from here.
    package let bodyStart: Int
    let flags: FrameFlags
}

extension ByteWriter {
    /// Appends a header with its counts and checksums still zero, and the meta block.
    package mutating func beginFrame(
        rawOpcode: UInt16, requestID: UInt32, aux: UInt32, flags: FrameFlags = [],
        meta: [MetaItem] = []
    ) -> OpenFrame {
        let start = count
        let allFlags = meta.isEmpty ? flags : flags.union(.meta)
        // Four words instead of eleven fields: length, rawLength and checksums are still zero.
        append(
            UInt64(FrameHeader.magic) << 32 | UInt64(FrameHeader.version) << 48
                | UInt64(FrameHeader.byteCount / 4) << 56)
        append(
            UInt64(rawOpcode) | UInt64(allFlags.rawValue) << 16 | UInt64(requestID) << 32)
        append(UInt64(aux) << 32)
        append(UInt64(0))
        if !meta.isEmpty {
            let countOffset = count
            append(UInt32(0))
            for item in meta { item.encode(into: &self) }
            overwrite(UInt32(count - countOffset - 4), at: countOffset)
        }
        return OpenFrame(start: start, bodyStart: count, flags: allFlags)
    }

    /// Fills in length, rawLength and both checksums of the frame that ends here, and returns the
    /// `length` that it has without compression. The caller compares that with the peer's limit,
    /// which holds for what the body means too, and may truncate to `frame.start` instead of
    /// sending. A body is below 4 GiB.
    ///
    /// - compressing: a body of such a size becomes an LZ4 block, where that is at least an eighth
    ///   smaller; nil where this was not agreed on.
    /// - encodeTime: microseconds, for the item timings that ends the frame's meta block.
    @discardableResult
    package mutating func finishFrame(
        _ frame: OpenFrame, compressing sizes: ClosedRange<Int>? = nil,
        encodeTime: (() -> UInt32)? = nil
    ) -> Int {
        let plainLength = count - frame.start - 4
        let rawLength = count - frame.bodyStart
        if let sizes, sizes.contains(rawLength), let block = compressedBody(of: frame) {
            truncate(to: frame.bodyStart)
            append(contentsOf: block)
            overwrite(frame.flags.union(.lz4).rawValue, at: frame.start + 10)
        }
        if let encodeTime { overwrite(encodeTime(), at: frame.bodyStart - 4) }
        overwrite(UInt32(count - frame.start - 4), at: frame.start)
        overwrite(UInt32(rawLength), at: frame.start + 16)
        overwrite(
            checksum(of: frame.start + FrameHeader.byteCount..<count), at: frame.start + 24)
        overwrite(checksum(of: frame.start..<frame.start + 28), at: frame.start + 28)
        return plainLength
    }

    /// The body as a block, where that pays.
    private func compressedBody(of frame: OpenFrame) -> [UInt8]? {
        let bytes = bytes
        let body = bytes.rawSpan.extracting(frame.bodyStart..<bytes.count)
        return LZ4Block.compress(body, to: body.byteCount - body.byteCount / 8)
    }

    /// Appends zeros until the body that began at `bodyStart` is a multiple of 64 bytes long.
    mutating func alignBody(_ bodyStart: Int) {
        appendZeros((64 - (count - bodyStart) % 64) % 64)
    }
}
