import ByteCoding
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Wire

/// One connection to a Patron server. Any number of tasks may use it at once: requests are
/// multiplexed, and an answer that takes long does not hold up the others.
///
/// ```swift
/// let connection = try await PatronConnection.connect(host: "127.0.0.1", port: 7070)
/// let answer = try await connection.lookup([.integer(17850)])
/// await connection.close()
/// ```
public final class PatronConnection: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<ClientHandler>
    private let hello: HelloResponse
    private let defaultDeadline: Duration?
    private let nextRequestID = Atomic<UInt32>(2)

    private init(
        channel: any Channel, handler: NIOLoopBound<ClientHandler>, hello: HelloResponse,
        defaultDeadline: Duration?
    ) {
        self.channel = channel
        self.handler = handler
        self.hello = hello
        self.defaultDeadline = defaultDeadline
    }

    /// The most ids one look-up may have.
    public var maximumLookupIDs: Int { Int(hello.maximumLookupIDs) }

    /// Connects and says HELLO.
    /// - Parameters:
    ///   - tls: nil connects in plain.
    ///   - token: what the server gave out; goes in clear where `tls` is nil.
    ///   - clientName: name and version of the calling software, for the server's log.
    ///   - timeout: for connecting, and again for the server's answer.
    ///   - defaultDeadline: of requests that name none; nil waits for ever.
    public static func connect(
        host: String, port: Int, tls: PatronTLS? = nil, token: String? = nil,
        clientName: String = "patron-swift",
        timeout: Duration = .seconds(5), defaultDeadline: Duration? = .seconds(30)
    ) async throws(PatronError) -> PatronConnection {
        let timeAmount = TimeAmount(timeout)
        let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        let credential = token.map { Array($0.utf8) }
        guard credential?.count ?? 0 <= WireLimits.credentialBytes else {
            throw .invalidOption(
                name: "the token", reason: "has more than \(WireLimits.credentialBytes) bytes")
        }
        let context = try tls?.context()
        let hello = try encoded(
            .hello(HelloRequest(token: credential, clientName: clientName)), id: 1,
            deadline: timeout,
            limit: WireLimits.frameBytesBeforeHello)
        let channel: any Channel
        let handler: NIOLoopBound<ClientHandler>
        let greeted: EventLoopFuture<Reply>
        do {
            (channel, handler, greeted) =
                try await bootstrap
                .connectTimeout(timeAmount)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let (greeting, greeted) = outgoing(
                            hello, id: 1, deadline: timeout, channel)
                        let handler = ClientHandler(greeting: greeting, usesTLS: context != nil)
                        do {
                            if let context {
                                try channel.pipeline.syncOperations.addHandler(
                                    try tlsHandler(context, host: host))
                            }
                            try channel.pipeline.syncOperations.addHandler(handler)
                        } catch {
                            greeting.receiver.fail(error)
                            throw error
                        }
                        return (
                            channel, NIOLoopBound(handler, eventLoop: channel.eventLoop), greeted
                        )
                    }
                }
        } catch {
            let cause = (error as? NIOConnectionError).flatMap { attempts in
                attempts.connectionErrors.first?.error ?? attempts.dnsAError
                    ?? attempts.dnsAAAAError
            }
            throw .cannotConnect(
                host: host, port: port, reason: connectionFailure(cause ?? error, host: host))
        }
        do throws(PatronError) {
            let reply = try await answer(to: greeted)
            guard case .hello(let hello) = try decode(reply) else {
                throw .malformedAnswer(reason: "HELLO was answered with something else")
            }
            let inFlight = Int(hello.maximumInFlight)
            channel.eventLoop.execute {
                handler.value.greeted(
                    maximumLength: WireLimits.standard.frameBytes, maximumInFlight: inFlight)
            }
            return PatronConnection(
                channel: channel, handler: handler, hello: hello, defaultDeadline: defaultDeadline)
        } catch {
            try? await channel.close()
            throw error
        }
    }

    /// An address is verified as such; only names are told to the server.
    private static func tlsHandler(
        _ context: NIOSSLContext, host: String
    ) throws -> NIOSSLClientHandler {
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }

    /// Ends the connection; requests without an answer fail. Returns when it is closed.
    public func close() async {
        try? await channel.close()
    }

    /// Whether requests can still be sent.
    public var isOpen: Bool { channel.isActive }

    // MARK: Operations

    /// Asks for a sign of life.
    /// - Returns: the generation that the server serves now.
    @discardableResult
    public func ping(deadline: Duration? = nil) async throws(PatronError) -> UInt64 {
        let token = UInt64(nextRequestID.load(ordering: .relaxed))
        guard case .ping(let answer) = try await ask(.ping(PingRequest(token: token)), deadline),
            answer.token == token
        else { throw unexpected("PING") }
        return answer.generation
    }

    /// Columns, counts, kinds of ids and the snapshot.
    public func describe(deadline: Duration? = nil) async throws(PatronError) -> Description {
        guard case .describe(let answer) = try await ask(.describe, deadline) else {
            throw unexpected("DESCRIBE")
        }
        return Description(answer)
    }

    /// Scores of many customers, a row an id.
    /// - Parameters:
    ///   - ids: 1 … `maximumLookupIDs`, of one kind; may repeat.
    ///   - columns: ids of the columns wanted, in the order of the answer; nil for all.
    public func lookup(
        _ ids: [PatronID], columns: [UInt16]? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> LookupResult {
        let request = LookupRequest(
            ids: try idColumn(ids), columns: columns?.map { ColumnID(rawValue: $0) })
        guard case .lookup(let answer) = try await ask(.lookup(request), deadline) else {
            throw unexpected("LOOKUP")
        }
        return LookupResult(answer)
    }

    /// Products with the highest affinity for a customer, best first.
    /// - Parameter excludingPurchased: leaves out what the customer has bought already.
    public func topProducts(
        customer: PatronID, count: Int = 10, excludingPurchased: Bool = true,
        deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        let request = TopRequest(
            id: EntityID(customer), count: count, excludesPurchased: excludingPurchased)
        guard case .topProducts(let answer) = try await ask(.topProducts(request), deadline)
        else { throw unexpected("TOP_PRODUCTS") }
        return try TopResult(answer)
    }

    /// Customers with the highest affinity for a product, best first.
    /// - Parameter excludingPurchased: leaves out those who have bought it already.
    public func topCustomers(
        product: PatronID, count: Int = 10, excludingPurchased: Bool = true,
        deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        let request = TopRequest(
            id: EntityID(product), count: count, excludesPurchased: excludingPurchased)
        guard case .topCustomers(let answer) = try await ask(.topCustomers(request), deadline)
        else { throw unexpected("TOP_CUSTOMERS") }
        return try TopResult(answer)
    }

    /// The segments of one segmentation; of all where the name is nil.
    public func segments(
        of segmentation: String? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> SegmentsResult {
        let request = SegmentsRequest(segmentation: segmentation)
        guard case .segments(let answer) = try await ask(.segments(request), deadline) else {
            throw unexpected("SEGMENTS")
        }
        return try SegmentsResult(answer)
    }

    /// What the segments of one segmentation are like, feature by feature; of all where the name is
    /// nil. Empty for a snapshot that does not say.
    public func segmentProfiles(
        of segmentation: String? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> SegmentProfilesResult {
        let request = Request.segmentProfiles(SegmentsRequest(segmentation: segmentation))
        guard case .segmentProfiles(let answer) = try await ask(request, deadline) else {
            throw unexpected("SEGMENT_PROFILES")
        }
        return try SegmentProfilesResult(answer)
    }

    // MARK: Exchange

    func ask(
        _ request: Request, _ deadline: Duration?
    ) async throws(PatronError) -> Response {
        let reply = try await Self.exchange(
            request, id: newRequestID(), deadline: deadline ?? defaultDeadline,
            limit: Int(hello.maximumFrameBytes), channel, handler)
        do throws(PatronError) {
            return try Self.decode(reply)
        } catch {
            // After bytes that cannot be read nothing of the stream can be trusted.
            if case .malformedAnswer = error { channel.close(promise: nil) }
            throw error
        }
    }

    private func newRequestID() -> UInt32 {
        let id = nextRequestID.wrappingAdd(1, ordering: .relaxed).oldValue
        // 0 is GOAWAY's.
        return id == 0 ? nextRequestID.wrappingAdd(1, ordering: .relaxed).oldValue : id
    }

    /// Sends a request that is answered by several frames.
    func stream(
        _ request: Request, _ deadline: Duration?
    ) throws(PatronError) -> (UInt32, AsyncThrowingStream<Reply, any Error>) {
        let id = newRequestID()
        let bytes = try Self.encoded(
            request, id: id, deadline: deadline, limit: Int(hello.maximumFrameBytes))
        let (replies, continuation) = AsyncThrowingStream.makeStream(of: Reply.self)
        let (handler, eventLoop) = (handler, channel.eventLoop)
        continuation.onTermination = { reason in
            // Who leaves a loop early does not want the rest.
            if case .cancelled = reason { eventLoop.execute { handler.value.cancel(id) } }
        }
        let outgoing = ClientHandler.Outgoing(
            requestID: id, frame: channel.allocator.buffer(bytes: bytes),
            timeout: deadline.map { TimeAmount($0) }, receiver: .many(continuation))
        eventLoop.execute { handler.value.send(outgoing) }
        return (id, replies)
    }

    /// Lets the server send more of a stream.
    func give(credit: UInt32, to requestID: UInt32) {
        var writer = ByteWriter()
        Request.credit(CreditMessage(credit: credit))
            .encodeFrame(requestID: requestID, into: &writer)
        let (handler, frame) = (handler, channel.allocator.buffer(bytes: writer.bytes))
        channel.eventLoop.execute { handler.value.send(frame, about: requestID) }
    }

    /// Encodes on the calling task and decodes there too: the event loop only pairs ids.
    private static func exchange(
        _ request: Request, id: UInt32, deadline: Duration?, limit: Int, _ channel: any Channel,
        _ handler: NIOLoopBound<ClientHandler>
    ) async throws(PatronError) -> Reply {
        let bytes = try encoded(request, id: id, deadline: deadline, limit: limit)
        let (outgoing, answered) = outgoing(bytes, id: id, deadline: deadline, channel)
        channel.eventLoop.execute { handler.value.send(outgoing) }
        return try await answer(to: answered)
    }

    private static func encoded(
        _ request: Request, id: UInt32, deadline: Duration?, limit: Int
    ) throws(PatronError) -> [UInt8] {
        var writer = ByteWriter()
        // 0 would mean that there is no deadline.
        let milliseconds = deadline.map { max(1, TimeAmount($0).nanoseconds / 1_000_000) } ?? 0
        let length = request.encodeFrame(
            requestID: id, deadlineMilliseconds: UInt32(clamping: milliseconds), into: &writer)
        guard length <= limit else { throw .requestTooLarge(byteCount: length, limit: limit) }
        return writer.bytes
    }

    private static func outgoing(
        _ bytes: [UInt8], id: UInt32, deadline: Duration?, _ channel: any Channel
    ) -> (ClientHandler.Outgoing, EventLoopFuture<Reply>) {
        let promise = channel.eventLoop.makePromise(of: Reply.self)
        let outgoing = ClientHandler.Outgoing(
            requestID: id, frame: channel.allocator.buffer(bytes: bytes),
            timeout: deadline.map { TimeAmount($0) }, receiver: .one(promise))
        return (outgoing, promise.futureResult)
    }

    private static func answer(to future: EventLoopFuture<Reply>) async throws(PatronError) -> Reply
    {
        do {
            return try await future.get()
        } catch let error as PatronError {
            throw error
        } catch {
            throw .connectionClosed(reason: connectionFailure(error, host: "the server"))
        }
    }

    static func decode(_ reply: Reply) throws(PatronError) -> Response {
        let response: Response
        do throws(WireError) {
            response = try reply.decode()
        } catch {
            throw .malformedAnswer(reason: "\(error)")
        }
        if case .failure(_, let status, let body) = response {
            throw .refused(refusal(status, body, reply.meta))
        }
        return response
    }

    func unexpected(_ operation: String) -> PatronError {
        channel.close(promise: nil)
        return .malformedAnswer(reason: "\(operation) was answered with something else")
    }

    private func idColumn(_ ids: [PatronID]) throws(PatronError) -> IDColumn {
        if case .integer? = ids.first {
            var integers: [Int64] = []
            integers.reserveCapacity(ids.count)
            for case .integer(let value) in ids { integers.append(value) }
            guard integers.count == ids.count else { throw .mixedIDs }
            return .integers(integers)
        }
        var texts = TextArray()
        for case .text(let value) in ids { texts.append(value) }
        guard texts.count == ids.count else { throw .mixedIDs }
        return .texts(texts)
    }
}

extension TimeAmount {
    /// Saturates at about 292 years.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        self = .nanoseconds(overflow ? .max : product + attoseconds / 1_000_000_000)
    }
}
