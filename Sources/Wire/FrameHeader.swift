import ByteCoding

/// The 32 bytes in front of every frame; integers little-endian. protocol/WIRE.md, "Frame".
///
///     off size field
///      0   4   length       bytes after this field: 28 + header excess + meta + body
///      4   2   magic        D7 50
///      6   1   version      1
///      7   1   headerWords  header bytes / 4: 8, or more with the excess skipped
///      8   2   opcode       bit 15: answer
///     10   2   flags        bits 0-7 critical, 8-15 optional
///     12   4   requestID
///     16   4   rawLength    body bytes after decompression
///     20   4   aux          request: deadline in ms; answer: status
///     24   4   bodyCRC      CRC-32C of every byte from 32 to the end, as on the wire
///     28   4   headerCRC    CRC-32C of bytes 0..27
///
/// A PING request with requestID 7 begins `24 00 00 00 D7 50 01 08 02 00 00 00 07 00 00 00`.
package struct FrameHeader: Sendable, Equatable {
    package static let magic: UInt16 = 0x50D7
    package static let version: UInt8 = 1
    package static let byteCount = 32
    /// Bytes of the header that `length` counts.
    package static let countedBytes = 28

    /// The `length` field. At least 28.
    package var length: Int
    package var version: UInt8
    /// Header bytes / 4. 8 … 255.
    package var headerWords: UInt8
    /// With bit 15 in an answer.
    package var rawOpcode: UInt16
    package var flags: FrameFlags
    package var requestID: UInt32
    package var rawLength: UInt32
    package var aux: UInt32
    package var bodyCRC: UInt32

    /// Bytes of the whole frame, the length field included.
    package var frameBytes: Int { length + 4 }
    package var isResponse: Bool { rawOpcode & Opcode.responseBit != 0 }
    /// Nil where this release does not know the number.
    package var opcode: Opcode? { Opcode(rawValue: rawOpcode & ~Opcode.responseBit) }
    /// Whether it may be one of several frames: the answers of streams.
    var isStreamed: Bool { isResponse && (opcode == .audience || opcode == .scan) }
    /// Whether it may name the snapshot that answers.
    var takesLabel: Bool { !isResponse && opcode?.takesLabel == true }
    /// The status of an answer.
    package var status: Status { Status(rawValue: aux) }
    /// The deadline of a request, from its arrival; 0 means the server's default.
    package var deadlineMilliseconds: UInt32 { aux }

    /// Reads and checks the header at the start of `bytes`. Order: magic, header checksum,
    /// version, header size, length. Nil where fewer than 32 bytes are there and those that are
    /// could begin a frame; a wrong magic is found as soon as its two bytes are there.
    ///
    /// Throws: badMagic, headerChecksumMismatch, unsupportedVersion, badHeaderSize,
    /// frameTooSmall, frameTooLarge; all close the connection.
    package static func parse(
        _ bytes: RawSpan, maximumLength: Int
    ) throws(WireError) -> FrameHeader? {
        if let magic = bytes.integer(at: 4, as: UInt16.self), magic != Self.magic {
            throw .badMagic(actual: magic)
        }
        guard bytes.byteCount >= byteCount,
            let length = bytes.integer(at: 0, as: UInt32.self),
            let version = bytes.integer(at: 6, as: UInt8.self),
            let headerWords = bytes.integer(at: 7, as: UInt8.self),
            let opcode = bytes.integer(at: 8, as: UInt16.self),
            let flags = bytes.integer(at: 10, as: UInt16.self),
            let requestID = bytes.integer(at: 12, as: UInt32.self),
            let rawLength = bytes.integer(at: 16, as: UInt32.self),
            let aux = bytes.integer(at: 20, as: UInt32.self),
            let bodyCRC = bytes.integer(at: 24, as: UInt32.self),
            let headerCRC = bytes.integer(at: 28, as: UInt32.self)
        else { return nil }
        let computed = CRC32C.checksum(bytes.extracting(0..<28))
        guard computed == headerCRC else {
            throw .headerChecksumMismatch(actual: headerCRC, expected: computed)
        }
        let header = FrameHeader(
            length: Int(length), version: version, headerWords: headerWords, rawOpcode: opcode,
            flags: FrameFlags(rawValue: flags), requestID: requestID, rawLength: rawLength,
            aux: aux, bodyCRC: bodyCRC)
        if let fault = header.fault(maximumLength: maximumLength) { throw fault }
        return header
    }

    /// What is wrong with a header whose checksum is right, or nil.
    package func fault(maximumLength: Int) -> WireError? {
        if version != Self.version {
            return .unsupportedVersion(actual: Int(version), supported: Int(Self.version))
        }
        if length < Self.countedBytes {
            return .frameTooSmall(actual: length, minimum: Self.countedBytes)
        }
        if length > maximumLength { return .frameTooLarge(actual: length, limit: maximumLength) }
        if headerWords < 8 || Int(headerWords) * 4 > frameBytes {
            return .badHeaderSize(words: Int(headerWords), frameBytes: frameBytes)
        }
        return nil
    }
}

/// A whole frame whose checksums are right, as places in the bytes it was found in.
package struct Frame: Sendable, Equatable {
    package var header: FrameHeader
    /// The frame, from its length field to its last byte.
    package var range: Range<Int>
    /// Meta and body: everything after the header and its excess.
    package var payloadRange: Range<Int>
}

package enum FrameScan: Sendable, Equatable {
    /// The buffer ends within a frame; nothing can be said before it holds this many bytes.
    case needMore(byteCount: Int)
    case frame(Frame)
}

/// Finds the frame that begins at `start` of `bytes`. Stateless: the caller keeps the bytes, adds
/// to them in pieces of any size, and calls again with the same start.
///
/// - maximumLength: largest length field to accept, `WireLimits.frameBytesBeforeHello` until
///   HELLO has succeeded.
/// - Throws: only errors after which the connection closes.
package func scanFrame(
    _ bytes: RawSpan, from start: Int = 0, maximumLength: Int
) throws(WireError) -> FrameScan {
    let available = bytes.extracting(start..<bytes.byteCount)
    guard let header = try FrameHeader.parse(available, maximumLength: maximumLength) else {
        return .needMore(byteCount: start + FrameHeader.byteCount)
    }
    guard available.byteCount >= header.frameBytes else {
        return .needMore(byteCount: start + header.frameBytes)
    }
    let computed = CRC32C.checksum(available.extracting(FrameHeader.byteCount..<header.frameBytes))
    guard computed == header.bodyCRC else {
        throw .bodyChecksumMismatch(actual: header.bodyCRC, expected: computed)
    }
    let end = start + header.frameBytes
    return .frame(
        Frame(
            header: header, range: start..<end,
            payloadRange: start + Int(header.headerWords) * 4..<end))
}

/// The parts of a frame's payload, once its flags and meta block have been accepted.
package struct Payload: Sendable, Equatable {
    /// In order of appearance; unknown optional tags left out.
    package var meta: [MetaItem]
    /// The body's place in the payload.
    package var bodyRange: Range<Int>
    /// Where the body is an LZ4 block, for `decompressBody`: how many bytes it stands for.
    package var rawLength: Int?

    /// Of the snapshot that shall answer; nil for the current one.
    package var label: String? {
        for case .modelLabel(let label) in meta { return label }
        return nil
    }
}

extension Frame {
    /// Checks flags, meta block and rawLength. `payload` is the bytes of `payloadRange`.
    ///
    /// - acceptsLZ4: whether compressed bodies were agreed on. Who says so looks at the result's
    ///   `rawLength`.
    /// - limits: what a compressed body may become.
    ///
    /// Throws: unsupportedFlag, compressionNotNegotiated, invalidMeta, unsupportedTag,
    /// rawLengthMismatch, overBudget and invalidBlock for a rawLength that no block of that size
    /// should or can have; these fail the request and leave the connection open.
    package func open(
        _ payload: RawSpan, acceptsLZ4: Bool = false, limits: WireLimits = .standard
    ) throws(WireError) -> Payload {
        let unknown = header.flags.intersection(.criticalMask).subtracting(.known)
        guard unknown.isEmpty else { throw .unsupportedFlag(actual: unknown.rawValue) }
        guard !header.flags.contains(.more) || header.isStreamed else {
            throw .unsupportedFlag(actual: FrameFlags.more.rawValue)
        }
        let isCompressed = header.flags.contains(.lz4)
        guard acceptsLZ4 || !isCompressed else { throw .compressionNotNegotiated }
        var meta: [MetaItem] = []
        var bodyStart = 0
        if header.flags.contains(.meta) {
            bodyStart = try MetaItem.decode(payload, takesLabel: header.takesLabel, into: &meta)
        }
        let bodyBytes = payload.byteCount - bodyStart
        if isCompressed {
            try checkRawLength(blockBytes: bodyBytes, limit: limits.rawBytes)
            return Payload(
                meta: meta, bodyRange: bodyStart..<payload.byteCount,
                rawLength: Int(header.rawLength))
        }
        guard Int(header.rawLength) == bodyBytes else {
            throw .rawLengthMismatch(actual: Int(header.rawLength), expected: bodyBytes)
        }
        return Payload(meta: meta, bodyRange: bodyStart..<payload.byteCount)
    }

    /// Before memory is taken for it.
    private func checkRawLength(blockBytes: Int, limit: Int) throws(WireError) {
        let rawLength = Int(header.rawLength)
        guard rawLength <= limit else {
            throw .overBudget(field: .body, actual: rawLength, limit: limit, byteOffset: 0)
        }
        let possible = WireLimits.largestLZ4Ratio * blockBytes + WireLimits.lz4Slack
        guard rawLength > 0, rawLength <= possible else {
            throw .invalidBlock(rawLength: rawLength, blockBytes: blockBytes)
        }
    }
}
