package import ByteCoding

/// The first request of every connection: what the client speaks, may use and can take.
///
///      0  u8 minimumVersion   1  u8 maximumVersion   2  u16 zero   4  u32 maximumFrameBytes
///      8  u64 requiredFeatures      16  u64 optionalFeatures
///     24  u16 credentialKind (0 none, 1 token)   26  u16 credentialBytes
///     28  u16 clientNameBytes   30  u16 zero   32  credential, client name
package struct HelloRequest: Sendable, Equatable {
    package var minimumVersion: UInt8
    package var maximumVersion: UInt8
    /// Largest `length` field the client accepts, in bytes. 4,096 … 64 MiB.
    package var maximumFrameBytes: UInt32
    package var requiredFeatures: Features
    /// Includes a junk bit that the server ignores.
    package var optionalFeatures: Features
    /// The token, or nil for none. At most 1,024 bytes.
    package var token: [UInt8]?
    /// Name and version of the client software, for the log. At most 4,096 bytes.
    package var clientName: String

    package init(
        minimumVersion: UInt8 = 1, maximumVersion: UInt8 = 1,
        maximumFrameBytes: UInt32 = 16 << 20, requiredFeatures: Features = [],
        optionalFeatures: Features = Features.usual.union(.clientJunk),
        token: [UInt8]? = nil, clientName: String
    ) {
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
        self.maximumFrameBytes = maximumFrameBytes
        self.requiredFeatures = requiredFeatures
        self.optionalFeatures = optionalFeatures
        self.token = token
        self.clientName = clientName
    }

    package func encode(into writer: inout ByteWriter) {
        let credential = (token ?? []).prefix(WireLimits.credentialBytes)
        let name = ByteWriter.clipped(clientName, to: WireLimits.textBytes)
        writer.append(minimumVersion)
        writer.append(maximumVersion)
        writer.append(UInt16(0))
        writer.append(maximumFrameBytes)
        writer.append(requiredFeatures.rawValue)
        writer.append(optionalFeatures.rawValue)
        writer.append(UInt16(token == nil ? 0 : 1))
        writer.append(UInt16(credential.count))
        writer.append(UInt16(name.utf8.count))
        writer.append(UInt16(0))
        writer.append(contentsOf: credential)
        writer.append(contentsOf: name.utf8)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        minimumVersion = try body.read(.versionRange, at: 0)
        maximumVersion = try body.read(.versionRange, at: 1)
        guard minimumVersion >= 1, minimumVersion <= maximumVersion else {
            throw .valueOutOfRange(
                field: .versionRange, actual: Int64(minimumVersion),
                range: 1...max(1, Int64(maximumVersion)), byteOffset: 0)
        }
        try body.requireZero(at: 2, count: 2)
        maximumFrameBytes = try readFrameBytes(body, at: 4)
        requiredFeatures = Features(rawValue: try body.read(.body, at: 8))
        optionalFeatures = Features(rawValue: try body.read(.body, at: 16))
        let kind: UInt16 = try body.read(.credential, at: 24)
        guard kind <= 1 else {
            throw .valueOutOfRange(
                field: .credential, actual: Int64(kind), range: 0...1, byteOffset: 24)
        }
        let credentialBytes = try body.readCount(
            .credential, at: 26, as: UInt16.self, limit: kind == 0 ? 0 : WireLimits.credentialBytes)
        let nameBytes = try body.readCount(
            .clientName, at: 28, as: UInt16.self, limit: WireLimits.textBytes)
        try body.requireZero(at: 30, count: 2)
        let credential = try body.readBytes(.credential, at: 32, count: credentialBytes)
        token = kind == 0 ? nil : credential
        clientName = try body.readText(.clientName, at: 32 + credentialBytes, count: nameBytes)
        try body.requireEnd(at: 32 + credentialBytes + nameBytes)
    }
}

/// What both sides will use from here on.
package struct Negotiation: Sendable, Equatable {
    package var version: UInt8
    package var features: Features

    /// The server's choice: version 1, and the features both want. Unknown optional features of
    /// the client, junk among them, are ignored.
    ///
    /// Throws: unsupportedVersion (closes), unsupportedFeature for an unmet required feature.
    package init(
        of request: HelloRequest, supported: Features = .supported
    ) throws(WireError) {
        guard request.minimumVersion <= FrameHeader.version else {
            throw .unsupportedVersion(
                actual: Int(request.minimumVersion), supported: Int(FrameHeader.version))
        }
        let unmet = request.requiredFeatures.subtracting(supported)
        guard unmet.isEmpty else { throw .unsupportedFeature(actual: unmet.rawValue) }
        version = FrameHeader.version
        features = request.requiredFeatures.union(request.optionalFeatures)
            .intersection(supported)
    }
}

/// The server's answer to HELLO: what holds on this connection.
///
///      0  u8 version   1  3 zero   4  u32 maximumFrameBytes
///      8  u64 activeFeatures       16  u64 offeredFeatures
///     24  u32 maximumLookupIDs     28  u32 maximumInFlight
///     32  u32 idleMilliseconds     36  u32 defaultDeadlineMilliseconds
///     40  u64 generation (0: none) 48  i32 asOfDay
///     52  u16 serverNameBytes      54  u16 zero    56  server name
package struct HelloResponse: Sendable, Equatable {
    package var version: UInt8 = FrameHeader.version
    /// Largest `length` field the server accepts, in bytes.
    package var maximumFrameBytes: UInt32 = 16 << 20
    package var activeFeatures: Features = []
    /// Everything the server could do, with a junk bit that the client ignores.
    package var offeredFeatures: Features = Features.supported.union(.serverJunk)
    package var maximumLookupIDs: UInt32 = 65_536
    /// Requests open at a time on this connection.
    package var maximumInFlight: UInt32 = 1_024
    /// A connection without a frame for this long is closed; PING keeps it open.
    package var idleMilliseconds: UInt32 = 600_000
    /// The deadline of a request that names none.
    package var defaultDeadlineMilliseconds: UInt32 = 0
    /// 0 while nothing is published.
    package var generation: UInt64 = 0
    /// Days since 1970-01-01; 0 with generation 0.
    package var asOfDay: Int32 = 0
    package var serverName: String

    package init(serverName: String) { self.serverName = serverName }

    package func encode(into writer: inout ByteWriter) {
        let name = ByteWriter.clipped(serverName, to: WireLimits.textBytes)
        writer.append(version)
        writer.appendZeros(3)
        writer.append(maximumFrameBytes)
        writer.append(activeFeatures.rawValue)
        writer.append(offeredFeatures.rawValue)
        writer.append(maximumLookupIDs)
        writer.append(maximumInFlight)
        writer.append(idleMilliseconds)
        writer.append(defaultDeadlineMilliseconds)
        writer.append(generation)
        writer.append(asOfDay)
        writer.append(UInt16(name.utf8.count))
        writer.append(UInt16(0))
        writer.append(contentsOf: name.utf8)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        version = try body.read(.versionRange, at: 0)
        try body.requireZero(at: 1, count: 3)
        maximumFrameBytes = try readFrameBytes(body, at: 4)
        activeFeatures = Features(rawValue: try body.read(.body, at: 8))
        offeredFeatures = Features(rawValue: try body.read(.body, at: 16))
        maximumLookupIDs = try body.read(.body, at: 24)
        maximumInFlight = try body.read(.body, at: 28)
        idleMilliseconds = try body.read(.body, at: 32)
        defaultDeadlineMilliseconds = try body.read(.body, at: 36)
        generation = try body.read(.body, at: 40)
        asOfDay = try body.read(.body, at: 48)
        let nameBytes = try body.readCount(
            .serverName, at: 52, as: UInt16.self, limit: WireLimits.textBytes)
        try body.requireZero(at: 54, count: 2)
        serverName = try body.readText(.serverName, at: 56, count: nameBytes)
        try body.requireEnd(at: 56 + nameBytes)
        guard version == FrameHeader.version else {
            throw .unsupportedVersion(
                actual: Int(version), supported: Int(FrameHeader.version))
        }
    }
}

private func readFrameBytes(_ body: RawSpan, at offset: Int) throws(WireError) -> UInt32 {
    let value: UInt32 = try body.read(.maximumFrameBytes, at: offset)
    guard (WireLimits.frameBytesBeforeHello...WireLimits.largestFrameBytes).contains(Int(value))
    else {
        throw .valueOutOfRange(
            field: .maximumFrameBytes, actual: Int64(value),
            range: Int64(WireLimits.frameBytesBeforeHello)...Int64(WireLimits.largestFrameBytes),
            byteOffset: offset)
    }
    return value
}
