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
public final class PatronConnection: PatronOperations, Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<ClientHandler>
    private let hello: HelloResponse
    public let defaultDeadline: Duration?
    private let nextRequestID = Atomic<UInt32>(ClientHandler.ownRequestID + 1)
    private let openCount = Atomic<Int>(0)
    /// Of the snapshot that answers; nil for the current one.
    public let label: String?
    /// The connection that this one is a view of.
    private let root: PatronConnection?

    private init(
        channel: any Channel, handler: NIOLoopBound<ClientHandler>, hello: HelloResponse,
        defaultDeadline: Duration?, label: String? = nil, root: PatronConnection? = nil
    ) {
        self.channel = channel
        self.handler = handler
        self.hello = hello
        self.defaultDeadline = defaultDeadline
        self.label = label
        self.root = root
    }

    /// The same connection, whose look-ups and reports are answered from the snapshot with a label,
    /// such as `canary`. Closing either closes both.
    /// - Throws: `invalidOption` for a label that none can be.
    public func labelled(_ label: String) throws(PatronError) -> PatronConnection {
        try checkLabel(label)
        return PatronConnection(
            channel: channel, handler: handler, hello: hello, defaultDeadline: defaultDeadline,
            label: label, root: root ?? self)
    }

    /// Whether large bodies may be compressed: the server agreed to it.
    public var isCompressed: Bool { hello.activeFeatures.contains(.lz4) }

    /// The most ids one request for scores may have.
    public var maximumLookupIDs: Int { Int(hello.maximumLookupIDs) }

    /// Requests that wait for their answers, streams left out.
    var load: Int { openCount.load(ordering: .relaxed) }
    var eventLoop: any EventLoop { channel.eventLoop }

    /// Connects and says HELLO.
    /// - Parameters:
    ///   - tls: nil connects in plain.
    ///   - token: what the server gave out; goes in clear where `tls` is nil.
    ///   - clientName: name and version of the calling software, for the server's log.
    ///   - compression: whether large answers and requests may be compressed (LZ4), where the server
    ///     can. It pays on a slow network and costs time on a fast one.
    ///   - timeout: for connecting, and again for the server's answer.
    ///   - defaultDeadline: of requests that name none; nil waits for ever.
    public static func connect(
        host: String, port: Int, tls: PatronTLS? = nil, token: String? = nil,
        clientName: String = "patron-swift", compression: Bool = false,
        timeout: Duration = .seconds(5), defaultDeadline: Duration? = .seconds(30)
    ) async throws(PatronError) -> PatronConnection {
        let greeting = try Greeting(
            tls: tls, token: token, clientName: clientName, compression: compression,
            timeout: timeout, defaultDeadline: defaultDeadline)
        do {
            return try await open(
                PatronAddress(host: host, port: port), greeting,
                on: NIOSingletons.posixEventLoopGroup.next()
            ).get()
        } catch {
            throw Self.patronError(error)
        }
    }

    /// How every connection of a client begins, checked once.
    struct Greeting: Sendable {
        let hello: [UInt8]
        let context: NIOSSLContext?
        let timeout: Duration
        let defaultDeadline: Duration?

        /// - Throws: `invalidOption`.
        init(
            tls: PatronTLS?, token: String?, clientName: String, compression: Bool = false,
            timeout: Duration, defaultDeadline: Duration?
        ) throws(PatronError) {
            let credential = token.map { Array($0.utf8) }
            guard credential?.count ?? 0 <= WireLimits.credentialBytes else {
                throw .invalidOption(
                    name: "the token", reason: "has more than \(WireLimits.credentialBytes) bytes")
            }
            context = try tls?.context()
            let features = Features.usual.union(compression ? [.clientJunk, .lz4] : .clientJunk)
            hello = try PatronConnection.encoded(
                .hello(
                    HelloRequest(
                        optionalFeatures: features, token: credential, clientName: clientName)),
                id: ClientHandler.ownRequestID, deadline: timeout,
                limit: WireLimits.frameBytesBeforeHello)
            self.timeout = timeout
            self.defaultDeadline = defaultDeadline
        }
    }

    /// Connects and says HELLO, without a task.
    /// - Returns: a connection, or a failure that is a `PatronError`.
    static func open(
        _ server: PatronAddress, _ greeting: Greeting, on eventLoop: any EventLoop
    ) -> EventLoopFuture<PatronConnection> {
        // Where a name has several addresses, each gets a channel; one of them stands in the end.
        let handlers = NIOLoopBoundBox.makeEmptyBox(
            valueType: [ObjectIdentifier: ClientHandler].self, eventLoop: eventLoop)
        let timeout = TimeAmount(greeting.timeout)
        return ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ClientHandler(
                        hello: channel.allocator.buffer(bytes: greeting.hello), timeout: timeout,
                        usesTLS: greeting.context != nil, eventLoop: channel.eventLoop)
                    do {
                        if let context = greeting.context {
                            try channel.pipeline.syncOperations.addHandler(
                                try Self.tlsHandler(context, host: server.host))
                        }
                        try channel.pipeline.syncOperations.addHandler(handler)
                    } catch {
                        handler.helloAnswer.fail(error)
                        throw error
                    }
                    handlers.value = (handlers.value ?? [:]).merging(
                        [ObjectIdentifier(channel): handler], uniquingKeysWith: { $1 })
                }
            }
            .connect(host: server.host, port: server.port)
            .flatMapErrorThrowing { error in
                let cause = (error as? NIOConnectionError).flatMap { attempts in
                    attempts.connectionErrors.first?.error ?? attempts.dnsAError
                        ?? attempts.dnsAAAAError
                }
                throw PatronError.cannotConnect(
                    host: server.host, port: server.port,
                    reason: connectionFailure(cause ?? error, host: server.host))
            }
            .flatMap { channel in
                guard let handler = handlers.value?[ObjectIdentifier(channel)] else {
                    return channel.eventLoop.makeFailedFuture(
                        PatronError.connectionClosed(reason: "it was never made"))
                }
                handlers.value = nil
                let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
                return handler.helloAnswer.futureResult.flatMapThrowing { reply in
                    guard case .hello(let hello) = try decode(reply) else {
                        throw PatronError.malformedAnswer(
                            reason: "HELLO was answered with something else")
                    }
                    bound.value.greeted(hello)
                    return PatronConnection(
                        channel: channel, handler: bound, hello: hello,
                        defaultDeadline: greeting.defaultDeadline)
                }.flatMapErrorThrowing { error in
                    channel.close(promise: nil)
                    throw patronError(error)
                }
            }
    }

    private static func patronError(_ error: any Error) -> PatronError {
        (error as? PatronError)
            ?? .connectionClosed(reason: connectionFailure(error, host: "the server"))
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

    /// Takes no more requests; returns when it is closed: once what is open is answered, or after
    /// `grace`.
    func finish(grace: Duration) async {
        let (channel, handler) = (channel, handler)
        channel.eventLoop.execute { handler.value.finish() }
        let end = channel.eventLoop.scheduleTask(in: TimeAmount(grace)) {
            channel.close(promise: nil)
        }
        // It cannot fail.
        try? await channel.closeFuture.get()
        end.cancel()
    }

    /// Closes after bytes that cannot be read: nothing of the stream can be trusted then.
    func closeNow() { channel.close(promise: nil) }

    /// Tells what becomes of the connection, on its event loop.
    func watch(_ watcher: @escaping @Sendable (ClientHandler.Event) -> Void) {
        let handler = handler
        channel.eventLoop.execute { handler.value.watch(watcher) }
    }

    /// Sends PING where nothing comes for an interval.
    func keepAlive(every interval: Duration, patience: Duration) {
        let (handler, interval, patience) = (handler, TimeAmount(interval), TimeAmount(patience))
        channel.eventLoop.execute { handler.value.keepAlive(every: interval, patience: patience) }
    }

    // MARK: Exchange

    /// Asks once, and reads the answer.
    public func perform<Answer: Sendable>(
        _ operation: PatronOperation<Answer>, deadline: Duration? = nil
    ) async throws(PatronError) -> Answer {
        let response = try await ask(
            operation.request, deadline, meta: operation.meta(label: label),
            progress: operation.progress)
        guard let answer = try operation.read(response) else { throw unexpected(operation.name) }
        return answer
    }

    private func ask(
        _ request: Request, _ deadline: Duration?, meta: [MetaItem],
        progress: (@Sendable (RequestProgress) -> Void)?
    ) async throws(PatronError) -> Response {
        guard !Task.isCancelled else { throw .cancelled }
        let timeout = deadline ?? defaultDeadline
        let id = newRequestID()
        let frame = try encode(request, meta, id: id, deadline: timeout)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<Reply, Unanswered>, Never>) in
                submit(
                    frame, id: id, timeout: timeout.map { TimeAmount($0) }, progress: progress
                ) {
                    continuation.resume(returning: $0)
                }
                // Cancelled before it was sent: the handler below was too early.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
        let reply: Reply
        switch result {
        case .success(let answer): reply = answer
        case .failure(let failure): throw failure.error
        }
        do throws(PatronError) {
            return try Self.decode(reply)
        } catch {
            // After bytes that cannot be read nothing of the stream can be trusted.
            if case .malformedAnswer = error { closeNow() }
            throw error
        }
    }

    func newRequestID() -> UInt32 {
        if let root { return root.newRequestID() }
        // 0 is GOAWAY's, and 1 the handler's.
        while true {
            let id = nextRequestID.wrappingAdd(1, ordering: .relaxed).oldValue
            if id > ClientHandler.ownRequestID { return id }
        }
    }

    /// A request's frame, made on the calling task: the event loop only pairs ids.
    func encode(
        _ request: Request, _ meta: [MetaItem] = [], id: UInt32, deadline: Duration?
    ) throws(PatronError) -> ByteBuffer {
        channel.allocator.buffer(
            bytes: try Self.encoded(
                request, meta, id: id, deadline: deadline, limit: Int(hello.maximumFrameBytes),
                compresses: isCompressed))
    }

    /// Sends a frame.
    /// - Parameters:
    ///   - progress: is told how far the server is, where it says so.
    ///   - receive: gets its answer, once, on the event loop.
    func submit(
        _ frame: ByteBuffer, id: UInt32, timeout: TimeAmount?,
        progress: (@Sendable (RequestProgress) -> Void)? = nil,
        receive: @escaping @Sendable (Result<Reply, Unanswered>) -> Void
    ) {
        openCount.add(1, ordering: .relaxed)
        let outgoing = ClientHandler.Outgoing(
            requestID: id, frame: frame, timeout: timeout,
            receiver: .one { [self] result in
                openCount.subtract(1, ordering: .relaxed)
                receive(result)
            }, progress: progress)
        let handler = handler
        channel.eventLoop.execute { handler.value.send(outgoing) }
    }

    /// Ends a request whose answer nobody wants any more.
    func cancel(_ requestID: UInt32) {
        let handler = handler
        channel.eventLoop.execute { handler.value.cancel(requestID) }
    }

    /// Sends a request that is answered by several frames.
    func stream(
        _ request: Request, _ deadline: Duration?
    ) throws(PatronError) -> (UInt32, AsyncThrowingStream<Reply, any Error>) {
        let id = newRequestID()
        let frame = try encode(
            request, label.map { [.modelLabel($0)] } ?? [], id: id, deadline: deadline)
        let (replies, continuation) = AsyncThrowingStream.makeStream(of: Reply.self)
        let (handler, eventLoop) = (handler, channel.eventLoop)
        continuation.onTermination = { reason in
            // Who leaves a loop early does not want the rest.
            if case .cancelled = reason { eventLoop.execute { handler.value.cancel(id) } }
        }
        let outgoing = ClientHandler.Outgoing(
            requestID: id, frame: frame, timeout: deadline.map { TimeAmount($0) },
            receiver: .many(continuation))
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

    private static func encoded(
        _ request: Request, _ meta: [MetaItem] = [], id: UInt32, deadline: Duration?, limit: Int,
        compresses: Bool = false
    ) throws(PatronError) -> [UInt8] {
        var writer = ByteWriter()
        // 0 would mean that there is no deadline.
        let milliseconds = deadline.map { max(1, TimeAmount($0).nanoseconds / 1_000_000) } ?? 0
        let length = request.encodeFrame(
            requestID: id, deadlineMilliseconds: UInt32(clamping: milliseconds), meta: meta,
            compressing: compresses ? WireLimits.compressedSizes : nil, into: &writer)
        guard length <= limit else { throw .requestTooLarge(byteCount: length, limit: limit) }
        return writer.bytes
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
}

extension TimeAmount {
    /// Saturates at about 292 years.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        self = .nanoseconds(overflow ? .max : product + attoseconds / 1_000_000_000)
    }
}
