package import ByteCoding

/// PING: `0 u64 token`. Any number; the answer repeats it.
package struct PingRequest: Sendable, Equatable {
    package var token: UInt64

    package init(token: UInt64) { self.token = token }

    package func encode(into writer: inout ByteWriter) { writer.append(token) }

    package init(decoding body: RawSpan) throws(WireError) {
        token = try body.read(.token, at: 0)
        try body.requireEnd(at: 8)
    }
}

/// The answer to PING: `0 u64 token`, `8 u64 generation` (0: nothing published).
package struct PingResponse: Sendable, Equatable {
    package var token: UInt64
    package var generation: UInt64

    package init(token: UInt64, generation: UInt64) {
        self.token = token
        self.generation = generation
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(token)
        writer.append(generation)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        token = try body.read(.token, at: 0)
        generation = try body.read(.token, at: 8)
        try body.requireEnd(at: 16)
    }
}

/// The body of every answer whose status is not 0.
///
///      0  u16 textBytes   2  u16 hintBytes   4  u16 fieldBytes   6  u16 zero
///      8  u32 byteOffset (0xFFFFFFFF: none)  12  u32 zero
///     16  u64 generation (0: none)           24  text, hint, field
package struct ErrorBody: Sendable, Equatable {
    /// What is wrong, for a person.
    package var text: String
    /// What to do about it; may be empty.
    package var hint: String
    /// The field at fault, by its name in the specification; may be empty.
    package var field: String
    /// Where in the request's body (of a frame error: in the frame) the fault lies.
    package var byteOffset: UInt32?
    /// The snapshot that the answer was found in, 0 for none.
    package var generation: UInt64

    package init(
        text: String, hint: String = "", field: String = "", byteOffset: UInt32? = nil,
        generation: UInt64 = 0
    ) {
        self.text = text
        self.hint = hint
        self.field = field
        self.byteOffset = byteOffset
        self.generation = generation
    }

    /// What a peer is told about bytes that could not be read.
    package init(_ error: WireError, generation: UInt64 = 0) {
        self.init(
            text: error.description, hint: error.hint, field: error.field?.rawValue ?? "",
            byteOffset: error.byteOffset.flatMap { UInt32(exactly: $0) },
            generation: generation)
    }

    package func encode(into writer: inout ByteWriter) {
        let parts = [text, hint, field].map { ByteWriter.clipped($0, to: 1_024) }
        for part in parts { writer.append(UInt16(part.utf8.count)) }
        writer.append(UInt16(0))
        writer.append(byteOffset ?? .max)
        writer.append(UInt32(0))
        writer.append(generation)
        for part in parts { writer.append(contentsOf: part.utf8) }
    }

    package init(decoding body: RawSpan) throws(WireError) {
        var end = 0
        try self.init(decoding: body, from: 0, end: &end)
        try body.requireEnd(at: end)
    }

    init(decoding body: RawSpan, from start: Int, end: inout Int) throws(WireError) {
        let textBytes = try body.readCount(
            .errorText, at: start, as: UInt16.self, limit: WireLimits.textBytes)
        let hintBytes = try body.readCount(
            .errorHint, at: start + 2, as: UInt16.self, limit: WireLimits.textBytes)
        let fieldBytes = try body.readCount(
            .errorField, at: start + 4, as: UInt16.self, limit: WireLimits.textBytes)
        try body.requireZero(at: start + 6, count: 2)
        let place: UInt32 = try body.read(.errorText, at: start + 8)
        byteOffset = place == .max ? nil : place
        try body.requireZero(at: start + 12, count: 4)
        generation = try body.read(.errorText, at: start + 16)
        var offset = start + 24
        text = try body.readText(.errorText, at: offset, count: textBytes)
        offset += textBytes
        hint = try body.readText(.errorHint, at: offset, count: hintBytes)
        offset += hintBytes
        field = try body.readText(.errorField, at: offset, count: fieldBytes)
        end = offset + fieldBytes
    }
}

/// GOAWAY, sent by the server unasked with requestID 0 and the reason as status: the connection
/// ends. `0 u32 graceMilliseconds`, `4 u32 zero`, then an error body.
package struct GoAway: Sendable, Equatable {
    /// New requests are refused from now on; those under way have this long. 0: closed at once.
    package var graceMilliseconds: UInt32
    package var reason: ErrorBody

    package init(graceMilliseconds: UInt32, reason: ErrorBody) {
        self.graceMilliseconds = graceMilliseconds
        self.reason = reason
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(graceMilliseconds)
        writer.append(UInt32(0))
        reason.encode(into: &writer)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        graceMilliseconds = try body.read(.body, at: 0)
        try body.requireZero(at: 4, count: 4)
        var end = 0
        reason = try ErrorBody(decoding: body, from: 8, end: &end)
        try body.requireEnd(at: end)
    }
}
