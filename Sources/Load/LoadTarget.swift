import ByteCoding
package import Wire

/// The server that is loaded.
package struct LoadTarget: Sendable {
    package let host: String
    package let port: Int
    package let speaks: LoadProtocol
    /// What Patron's HELLO shows; nil where the server is open.
    private let token: [UInt8]?
    /// Nil connects in plain.
    private let tls: LoadTLS?

    /// - Parameters:
    ///   - token: for Patron, at most 1,024 bytes; goes in clear without TLS.
    ///   - tls: for Patron; nil connects in plain.
    package init(
        host: String, port: Int, speaks: LoadProtocol, token: String? = nil, tls: LoadTLS? = nil
    ) {
        self.token = token.map { Array($0.utf8) }
        self.tls = tls
        self.host = host
        self.port = port
        self.speaks = speaks
    }

    package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    package var isSecured: Bool { tls != nil }

    private var expected: String {
        switch speaks {
        case .patron: "Patron's protocol"
        case .redis: "RESP (Redis)"
        case .memcached: "memcached's text protocol"
        }
    }

    /// Connects and greets, so that whatever else listens there is found before load is made.
    /// - Returns: what the calling thread may use, and closes.
    package func open() throws(LoadError) -> Transport {
        switch speaks {
        case .patron: try greet().transport
        case .redis: try openText("*1\r\n$4\r\nPING\r\n", "+PONG\r\n")
        case .memcached: try openText("version\r\n", "VERSION ")
        }
    }

    /// What a server of Patron says of itself, and of the snapshot with a label; nil: the current one.
    package func describe(
        label: String? = nil
    ) throws(LoadError) -> (limits: HelloResponse, facts: DescribeResponse) {
        var (transport, limits) = try greet()
        let answer = try ask(
            .describe, label: label, on: &transport, maximumLength: WireLimits.largestFrameBytes)
        transport.close()
        guard case .describe(let facts) = answer else { throw refusal(answer) }
        return (limits, facts)
    }

    private func greet() throws(LoadError) -> (transport: Transport, limits: HelloResponse) {
        var transport = try Transport(host: host, port: port, tls: tls)
        let hello = Request.hello(HelloRequest(token: token, clientName: "patron load"))
        let answer = try ask(
            hello, on: &transport, maximumLength: WireLimits.frameBytesBeforeHello)
        guard case .hello(let limits) = answer else { throw refusal(answer) }
        return (transport, limits)
    }

    private func refusal(_ answer: Response) -> LoadError {
        let reason =
            switch answer {
            case .failure(_, let status, let body): "\(status): \(body.text)"
            case .goAway(let status, let goodbye): "\(status): \(goodbye.reason.text)"
            default: "an answer to another request"
            }
        return .refused(address: address, reason: reason)
    }

    /// Sends a request on a blocking socket and waits for its answer.
    private func ask(
        _ request: Request, label: String? = nil, on transport: inout Transport,
        maximumLength: Int
    ) throws(LoadError) -> Response {
        var writer = ByteWriter()
        request.encodeFrame(
            requestID: 1, meta: label.map { [.modelLabel($0)] } ?? [], into: &writer)
        guard transport.send(all: writer.bytes) else { throw silence }
        var bytes: [UInt8] = []
        while true {
            try receive(&transport, &bytes)
            let span = bytes.span
            let view = span.bytes
            do throws(WireError) {
                guard
                    case .frame(let frame) = try scanFrame(view, maximumLength: maximumLength)
                else { continue }
                let payloadBytes = view.extracting(frame.payloadRange)
                let payload = try frame.open(payloadBytes)
                return try Response(
                    decoding: payloadBytes.extracting(payload.bodyRange), of: frame.header)
            } catch {
                throw wrongProtocol(bytes)
            }
        }
    }

    private func openText(_ greeting: String, _ answer: String) throws(LoadError) -> Transport {
        var transport = try Transport(host: host, port: port, tls: nil)
        guard transport.send(all: Array(greeting.utf8)) else { throw silence }
        var bytes: [UInt8] = []
        let wanted = Array(answer.utf8)
        while bytes.count < wanted.count || bytes.last != UInt8(ascii: "\n") {
            let common = min(bytes.count, wanted.count)
            if bytes[..<common] != wanted[..<common] { break }
            try receive(&transport, &bytes)
        }
        if bytes.starts(with: wanted) { return transport }
        // Redis that wants a password says so.
        if speaks == .redis, bytes.first == UInt8(ascii: "-") {
            throw .refused(address: address, reason: Self.shown(bytes.dropFirst()))
        }
        throw wrongProtocol(bytes)
    }

    private func receive(
        _ transport: inout Transport, _ bytes: inout [UInt8]
    ) throws(LoadError) {
        guard let count = try transport.receive(into: &bytes) else { throw silence }
        guard count > 0 else {
            throw bytes.isEmpty
                ? .wrongProtocol(
                    address: address, expected: expected, found: "a connection closed unanswered")
                : wrongProtocol(bytes)
        }
    }

    private var silence: LoadError {
        .noAnswer(address: address, expected: expected, seconds: StreamSocket.greetingSeconds)
    }

    private func wrongProtocol(_ bytes: [UInt8]) -> LoadError {
        let known: [(start: [UInt8], name: String)] = [
            (Array("HTTP/".utf8), "HTTP"), (Array("-ERR".utf8), "RESP (Redis)"),
            (Array("ERROR\r\n".utf8), "memcached's text protocol"), ([0x15, 0x03], "TLS"),
        ]
        if let match = known.first(where: { bytes.starts(with: $0.start) }) {
            return .wrongProtocol(address: address, expected: expected, found: match.name)
        }
        if bytes.count >= 6, bytes[4] == 0xD7, bytes[5] == 0x50 {
            return .wrongProtocol(address: address, expected: expected, found: "Patron's protocol")
        }
        return .wrongProtocol(
            address: address, expected: expected, found: "\"\(Self.shown(bytes[...]))\"")
    }

    /// The first bytes as text, what cannot be shown as dots.
    private static func shown(_ bytes: ArraySlice<UInt8>) -> String {
        let line = bytes.prefix(60).prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        return String(
            decoding: line.map { (32..<127).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
    }
}
