import ByteCoding
import Wire

/// A frame with every field free, so that each can be wrong while the others are right.
struct RawFrame {
    var length: UInt32?
    var magic: UInt16 = FrameHeader.magic
    var version: UInt8 = 1
    var headerWords: UInt8 = 8
    var opcode: UInt16
    var flags: UInt16 = 0
    var requestID: UInt32 = 7
    var rawLength: UInt32?
    var aux: UInt32 = 0
    var bodyCRC: UInt32?
    var headerCRC: UInt32?
    var excess: [UInt8] = []
    /// The meta block with its count; empty for none.
    var meta: [UInt8] = []
    var body: [UInt8] = []

    init(_ opcode: Opcode, response: Bool = false, body: [UInt8] = []) {
        self.opcode = opcode.rawValue | (response ? Opcode.responseBit : 0)
        self.body = body
    }

    var bytes: [UInt8] {
        var writer = ByteWriter()
        let payload = excess + meta + body
        writer.append(length ?? UInt32(28 + payload.count))
        writer.append(magic)
        writer.append(version)
        writer.append(headerWords)
        writer.append(opcode)
        writer.append(flags)
        writer.append(requestID)
        writer.append(rawLength ?? UInt32(body.count))
        writer.append(aux)
        writer.append(bodyCRC ?? CRC32C.checksum(payload))
        writer.append(headerCRC ?? CRC32C.checksum(writer.bytes))
        writer.append(contentsOf: payload)
        return writer.bytes
    }
}

/// A meta block of the given items.
func metaBlock(_ items: [(tag: UInt16, value: [UInt8])]) -> [UInt8] {
    var inner = ByteWriter()
    for item in items {
        inner.append(item.tag)
        inner.append(UInt16(item.value.count))
        inner.append(contentsOf: item.value)
    }
    var writer = ByteWriter()
    writer.append(UInt32(inner.count))
    writer.append(contentsOf: inner.bytes)
    return writer.bytes
}

/// What a whole frame decodes to.
enum Decoded: Equatable {
    case request(FrameHeader, [MetaItem], Request)
    case response(FrameHeader, [MetaItem], Response)
}

/// The bytes end before the frame does.
struct Incomplete: Error {}

/// Reads one frame that must fill `bytes`, as a server (`asServer`) or a client does.
func decodeFrame(
    _ bytes: [UInt8], asServer: Bool, maximumLength: Int = WireLimits.standard.frameBytes,
    limits: WireLimits = .standard, features: Features = []
) throws(WireError) -> Decoded {
    let span = bytes.span.bytes
    let frame: Frame
    switch try scanFrame(span, maximumLength: maximumLength) {
    case .needMore(let byteCount):
        throw .unexpectedEnd(actual: bytes.count, expected: byteCount)
    case .frame(let found): frame = found
    }
    let payloadSpan = span.extracting(frame.payloadRange)
    let payload = try frame.open(
        payloadSpan, acceptsLZ4: features.contains(.lz4), limits: limits)
    let body = payloadSpan.extracting(payload.bodyRange)
    guard let rawLength = payload.rawLength else {
        return try decodeBody(body, frame.header, payload.meta, asServer, limits, features)
    }
    let plain = try decompressBody(body, rawLength: rawLength)
    return try decodeBody(
        plain.span.bytes, frame.header, payload.meta, asServer, limits, features)
}

private func decodeBody(
    _ body: RawSpan, _ header: FrameHeader, _ meta: [MetaItem], _ asServer: Bool,
    _ limits: WireLimits, _ features: Features
) throws(WireError) -> Decoded {
    guard asServer else {
        return .response(header, meta, try Response(decoding: body, of: header, limits: limits))
    }
    let request = try Request(decoding: body, of: header, limits: limits)
    if case .hello(let hello) = request {
        _ = try Negotiation(of: hello, supported: Features.usual.union(features))
    }
    return .request(header, meta, request)
}

func encoded(_ request: Request, requestID: UInt32 = 7, meta: [MetaItem] = []) -> [UInt8] {
    var writer = ByteWriter()
    request.encodeFrame(requestID: requestID, meta: meta, into: &writer)
    return writer.bytes
}

func encoded(_ response: Response, requestID: UInt32 = 7, meta: [MetaItem] = []) -> [UInt8] {
    var writer = ByteWriter()
    response.encodeFrame(requestID: requestID, meta: meta, into: &writer)
    return writer.bytes
}

/// The body of a frame with an ordinary header.
func body(of frame: [UInt8]) -> [UInt8] { Array(frame[32...]) }
