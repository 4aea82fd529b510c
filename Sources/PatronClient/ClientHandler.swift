import ByteCoding
import NIOCore
import Wire

/// An answer as it came: its header and what follows it.
struct Reply: Sendable {
    let frame: Frame
    let payload: ByteBuffer
    /// Whether its body may be compressed.
    let acceptsLZ4: Bool
}

/// Why a request has no answer.
struct Unanswered: Error {
    let error: PatronError
    /// Whether any of it may have left: what did not can be asked elsewhere, whatever it does.
    let wasSent: Bool
}

/// The client's end of a connection: pairs answers with requests by their id. Runs on the
/// connection's event loop.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A request as it leaves, and where its answer goes.
    struct Outgoing {
        let requestID: UInt32
        let frame: ByteBuffer
        /// Nil waits for ever.
        let timeout: TimeAmount?
        let receiver: Receiver
        /// Is told how far the server is, where it says so.
        var progress: (@Sendable (RequestProgress) -> Void)?
    }

    /// Where answers go.
    enum Receiver {
        /// Called once, on the event loop.
        case one(@Sendable (Result<Reply, Unanswered>) -> Void)
        /// All frames of one answer.
        case many(AsyncThrowingStream<Reply, any Error>.Continuation)

        func fail(_ error: PatronError, wasSent: Bool = false) {
            switch self {
            case .one(let receive):
                receive(.failure(Unanswered(error: error, wasSent: wasSent)))
            case .many(let continuation): continuation.finish(throwing: error)
            }
        }

        /// - Returns: false for a frame that cannot be part of the answer.
        func receive(_ reply: Reply) -> Bool {
            let hasMore = reply.frame.header.flags.contains(.more)
            switch self {
            case .one(let receive):
                guard !hasMore else { return false }
                receive(.success(reply))
            case .many(let continuation):
                continuation.yield(reply)
                if !hasMore { continuation.finish() }
            }
            return true
        }
    }

    private struct Open {
        let receiver: Receiver
        var progress: (@Sendable (RequestProgress) -> Void)?
        let rawOpcode: UInt16
        var timer: Scheduled<Void>?
    }

    /// What is sent as soon as the connection stands: the server waits a few seconds for it, and
    /// the task that connects may wait longer than that for its turn in a busy process.
    private var greeting: Outgoing?
    /// The answer to it.
    let helloAnswer: EventLoopPromise<Reply>
    private var context: ChannelHandlerContext?
    private var partial: ByteBuffer?
    private var open: [UInt32: Open] = [:]
    /// Requests whose deadline passed: their answers are dropped, but they count as open.
    private var abandoned: Set<UInt32> = []
    /// Requests beyond what the server takes at once, oldest first.
    private var waiting: [(requestID: UInt32, frame: ByteBuffer)] = []
    private var ending: PatronError?
    private var flushIsPlanned = false
    private var maximumLength = WireLimits.frameBytesBeforeHello
    private var maximumInFlight = 1
    private var hasGreeted = false
    private var acceptsLZ4 = false
    private let usesTLS: Bool
    /// Whether the server understands CANCEL.
    private var cancels = false
    private var watcher: (@Sendable (Event) -> Void)?
    private var lastReceived = NIODeadline.now()
    private var keepAlive: RepeatedTask?

    /// What becomes of a connection, beside its answers.
    enum Event { case goingAway, closed }

    /// The id of the handler's own requests, HELLO and PING.
    static let ownRequestID: UInt32 = 1

    /// - Parameters:
    ///   - hello: the first frame.
    ///   - usesTLS: whether TLS stands before this handler.
    init(hello: ByteBuffer, timeout: TimeAmount, usesTLS: Bool, eventLoop: any EventLoop) {
        let promise = eventLoop.makePromise(of: Reply.self)
        helloAnswer = promise
        greeting = Outgoing(
            requestID: Self.ownRequestID, frame: hello, timeout: timeout,
            receiver: .one { promise.completeWith($0.mapError { $0.error as any Error }) })
        self.usesTLS = usesTLS
    }

    /// A server that refuses TLS may end the connection before its reason arrives.
    private func closed(because reason: String) -> PatronError {
        usesTLS && !hasGreeted
            ? .notSecured(reason: "\(reason) before it said HELLO; it may want a certificate")
            : .connectionClosed(reason: reason)
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        if let hello = greeting.take() { send(hello) }
        context.fireChannelActive()
    }

    /// A connection that was never made is never inactive either.
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        greeting.take()?.receiver.fail(.connectionClosed(reason: "it was never made"))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        keepAlive?.cancel()
        failAll(ending ?? closed(because: "the server closed it"))
        watcher.take()?(.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let reason = tlsFailure(error), !hasGreeted {
            failAll(.notSecured(reason: reason))
        } else {
            failAll(closed(because: connectionFailure(error, host: "the server")))
        }
        context.close(promise: nil)
    }

    /// What HELLO agreed on.
    func greeted(_ hello: HelloResponse) {
        maximumLength = WireLimits.standard.frameBytes
        maximumInFlight = max(1, Int(hello.maximumInFlight))
        cancels = hello.activeFeatures.contains(.streams)
        acceptsLZ4 = hello.activeFeatures.contains(.lz4)
        hasGreeted = true
    }

    /// Tells what becomes of the connection: at most once that it goes away, and once that it is
    /// closed.
    func watch(_ watcher: @escaping @Sendable (Event) -> Void) {
        if context == nil {
            watcher(.closed)
        } else {
            self.watcher = watcher
            if ending != nil { watcher(.goingAway) }
        }
    }

    /// Ends the connection as soon as nothing is open.
    func finish() {
        if ending == nil { ending = .clientClosed }
        closeIfDone()
    }

    // MARK: Signs of life

    /// Sends PING where nothing has come for an interval, and closes the connection where it has no
    /// answer within `patience`.
    func keepAlive(every interval: TimeAmount, patience: TimeAmount) {
        guard let context else { return }
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        keepAlive = context.eventLoop.scheduleRepeatedTask(
            initialDelay: interval, delay: interval,
            maximumAllowableJitter: .nanoseconds(interval.nanoseconds / 8)
        ) { _ in handler.value.ping(ifSilentFor: interval, patience) }
    }

    private func ping(ifSilentFor interval: TimeAmount, _ patience: TimeAmount) {
        guard let context, ending == nil, NIODeadline.now() - lastReceived >= interval,
            open[Self.ownRequestID] == nil, !abandoned.contains(Self.ownRequestID)
        else { return }
        var writer = ByteWriter()
        Request.ping(PingRequest(token: 0))
            .encodeFrame(requestID: Self.ownRequestID, into: &writer)
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        send(
            Outgoing(
                requestID: Self.ownRequestID,
                frame: context.channel.allocator.buffer(bytes: writer.bytes), timeout: patience,
                receiver: .one { result in
                    if case .failure(let failure) = result, failure.error == .deadlinePassed {
                        handler.value.end(
                            .connectionClosed(reason: "the server gives no sign of life"))
                        handler.value.context?.close(promise: nil)
                    }
                }))
    }

    // MARK: Requests

    func send(_ outgoing: Outgoing) {
        let requestID = outgoing.requestID
        if let ending {
            outgoing.receiver.fail(ending)
            return
        }
        guard let context else {
            outgoing.receiver.fail(.connectionClosed(reason: "it is closed"))
            return
        }
        guard open[requestID] == nil, !abandoned.contains(requestID) else {
            outgoing.receiver.fail(.malformedAnswer(reason: "request ids wrapped around"))
            return
        }
        let rawOpcode: UInt16? = outgoing.frame.getInteger(
            at: outgoing.frame.readerIndex + 8, endianness: .little)
        var request = Open(
            receiver: outgoing.receiver, progress: outgoing.progress, rawOpcode: rawOpcode ?? 0)
        if let timeout = outgoing.timeout {
            let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
            request.timer = context.eventLoop.scheduleTask(in: timeout) {
                handler.value.abandon(requestID)
            }
        }
        let inFlight = open.count - waiting.count + abandoned.count
        open[requestID] = request
        if inFlight < maximumInFlight {
            write(outgoing.frame, context)
        } else {
            waiting.append((requestID, outgoing.frame))
        }
    }

    /// Frames of one turn of the event loop leave together.
    private func write(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(frame), promise: nil)
        guard !flushIsPlanned else { return }
        flushIsPlanned = true
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            handler.value.flushIsPlanned = false
            handler.value.context?.flush()
        }
    }

    private func abandon(_ requestID: UInt32) {
        forget(requestID, .deadlinePassed)
    }

    /// Says something of an open request; it has no answer.
    func send(_ frame: ByteBuffer, about requestID: UInt32) {
        guard open[requestID] != nil, let context else { return }
        write(frame, context)
    }

    /// Ends a request whose answer nobody wants any more.
    func cancel(_ requestID: UInt32) {
        forget(requestID, .cancelled)
    }

    /// What was sent is cancelled at the server, and its answer dropped.
    private func forget(_ requestID: UInt32, _ error: PatronError) {
        guard let request = open.removeValue(forKey: requestID) else { return }
        request.timer?.cancel()
        var wasSent = true
        if let index = waiting.firstIndex(where: { $0.requestID == requestID }) {
            waiting.remove(at: index)
            wasSent = false
        } else {
            abandoned.insert(requestID)
            if cancels { sendCancel(requestID) }
        }
        request.receiver.fail(error, wasSent: wasSent)
        closeIfDone()
    }

    private func sendCancel(_ requestID: UInt32) {
        guard let context else { return }
        var writer = ByteWriter()
        Request.cancel.encodeFrame(requestID: requestID, into: &writer)
        write(context.channel.allocator.buffer(bytes: writer.bytes), context)
    }

    // MARK: Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        lastReceived = .now()
        if var joined = partial.take() {
            joined.writeBuffer(&incoming)
            readFrames(of: joined, context)
        } else {
            readFrames(of: incoming, context)
        }
    }

    private func readFrames(of buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        var rest = buffer
        do throws(WireError) {
            while rest.readableBytes > 0, self.context != nil {
                let scan = try scanFrame(rest.readableBytesSpan, maximumLength: maximumLength)
                switch scan {
                case .frame(let frame):
                    guard let bytes = rest.readSlice(length: frame.range.count) else { return }
                    try receive(frame, bytes)
                case .needMore(let byteCount):
                    if byteCount > rest.capacity {
                        rest.discardReadBytes()
                        rest.reserveCapacity(minimumWritableBytes: byteCount - rest.readableBytes)
                    }
                    partial = rest
                    return
                }
            }
        } catch {
            end(.malformedAnswer(reason: "\(error)"))
            context.close(promise: nil)
        }
    }

    private func receive(_ frame: Frame, _ bytes: ByteBuffer) throws(WireError) {
        let header = frame.header
        guard header.isResponse else { throw .wrongDirection(opcode: header.rawOpcode) }
        var payload = bytes
        payload.moveReaderIndex(forwardBy: frame.payloadRange.lowerBound)
        let reply = Reply(frame: frame, payload: payload, acceptsLZ4: acceptsLZ4)
        if header.opcode == .goAway {
            try goAway(reply)
            return
        }
        if header.opcode == .progress {
            guard let progress = open[header.requestID]?.progress else { return }
            if case .progress(let message) = try reply.decode() {
                progress(RequestProgress(message))
            }
            return
        }
        let hasMore = header.flags.contains(.more)
        if let request = open[header.requestID] {
            guard header.rawOpcode == request.rawOpcode | Opcode.responseBit else {
                throw .valueOutOfRange(
                    field: .body, actual: Int64(header.rawOpcode),
                    range: Int64(request.rawOpcode)...Int64(request.rawOpcode), byteOffset: 8)
            }
            guard request.receiver.receive(reply) else {
                throw .unsupportedFlag(actual: FrameFlags.more.rawValue)
            }
            if hasMore { return }
            open[header.requestID] = nil
            request.timer?.cancel()
        } else if abandoned.contains(header.requestID) {
            if hasMore { return }
            abandoned.remove(header.requestID)
        } else {
            throw .valueOutOfRange(
                field: .id, actual: Int64(header.requestID), range: 1...Int64(UInt32.max),
                byteOffset: 12)
        }
        if let next = waiting.first, let context {
            waiting.removeFirst()
            write(next.frame, context)
        }
        closeIfDone()
    }

    private func goAway(_ reply: Reply) throws(WireError) {
        let response = try reply.decode()
        guard case .goAway(let status, let message) = response else { return }
        let reason = message.reason.text
        if status.closesConnection {
            end(.refused(refusal(status, message.reason, [])))
            context?.close(promise: nil)
            return
        }
        if ending == nil {
            ending = .goingAway(reason: reason)
            watcher?(.goingAway)
        }
        // These go elsewhere.
        let unsent = waiting
        waiting = []
        for request in unsent {
            guard let request = open.removeValue(forKey: request.requestID) else { continue }
            request.timer?.cancel()
            request.receiver.fail(.goingAway(reason: reason))
        }
        closeIfDone()
    }

    /// After GOAWAY the connection lives until its open requests are answered.
    private func closeIfDone() {
        guard ending != nil, open.isEmpty, abandoned.isEmpty else { return }
        context?.close(promise: nil)
    }

    private func end(_ error: PatronError) {
        if ending == nil { watcher?(.goingAway) }
        ending = error
        failAll(error)
    }

    private func failAll(_ error: PatronError) {
        if ending == nil { ending = error }
        let failed = open
        let unsent = Set(waiting.map(\.requestID))
        open = [:]
        waiting = []
        for (requestID, request) in failed {
            request.timer?.cancel()
            request.receiver.fail(error, wasSent: !unsent.contains(requestID))
        }
    }
}

extension Reply {
    /// The message in it, its flags and meta block checked.
    func decode() throws(WireError) -> Response {
        let bytes = payload.readableBytesSpan
        let opened = try frame.open(bytes, acceptsLZ4: acceptsLZ4)
        let body = bytes.extracting(opened.bodyRange)
        guard let rawLength = opened.rawLength else {
            return try Response(decoding: body, of: frame.header)
        }
        let plain = try decompressBody(body, rawLength: rawLength)
        return try Response(decoding: plain.rawSpan, of: frame.header)
    }

    var meta: [MetaItem] {
        (try? frame.open(payload.readableBytesSpan, acceptsLZ4: acceptsLZ4).meta) ?? []
    }
}

func refusal(_ status: Status, _ body: ErrorBody, _ meta: [MetaItem]) -> PatronError.Refusal {
    var retryAfter: Duration?
    for case .retryAfterMilliseconds(let value) in meta { retryAfter = .milliseconds(value) }
    return PatronError.Refusal(
        status: status.rawValue, name: status.description, text: body.text, hint: body.hint,
        field: body.field, byteOffset: body.byteOffset.map { Int($0) }, retryAfter: retryAfter)
}
