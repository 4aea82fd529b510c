import ByteCoding
import NIOCore
import Wire

/// An answer as it came: its header and what follows it.
struct Reply: Sendable {
    let frame: Frame
    let payload: ByteBuffer
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
    }

    /// Where answers go.
    enum Receiver {
        case one(EventLoopPromise<Reply>)
        /// All frames of one answer.
        case many(AsyncThrowingStream<Reply, any Error>.Continuation)

        func fail(_ error: any Error) {
            switch self {
            case .one(let promise): promise.fail(error)
            case .many(let continuation): continuation.finish(throwing: error)
            }
        }

        /// - Returns: false for a frame that cannot be part of the answer.
        func receive(_ reply: Reply) -> Bool {
            let hasMore = reply.frame.header.flags.contains(.more)
            switch self {
            case .one(let promise):
                guard !hasMore else { return false }
                promise.succeed(reply)
            case .many(let continuation):
                continuation.yield(reply)
                if !hasMore { continuation.finish() }
            }
            return true
        }
    }

    private struct Open {
        let receiver: Receiver
        var timer: Scheduled<Void>?
    }

    /// What is sent as soon as the connection stands: the server waits a few seconds for it, and
    /// the task that connects may wait longer than that for its turn in a busy process.
    private var greeting: Outgoing?
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
    private let usesTLS: Bool

    /// - Parameter usesTLS: whether TLS stands before this handler.
    init(greeting: Outgoing, usesTLS: Bool) {
        self.greeting = greeting
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
        greeting.take()?.receiver.fail(PatronError.connectionClosed(reason: "it was never made"))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        failAll(ending ?? closed(because: "the server closed it"))
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
    func greeted(maximumLength: Int, maximumInFlight: Int) {
        self.maximumLength = maximumLength
        self.maximumInFlight = max(1, maximumInFlight)
        hasGreeted = true
    }

    // MARK: Requests

    func send(_ outgoing: Outgoing) {
        let requestID = outgoing.requestID
        if let ending {
            outgoing.receiver.fail(ending)
            return
        }
        guard let context else {
            outgoing.receiver.fail(PatronError.connectionClosed(reason: "it is closed"))
            return
        }
        guard open[requestID] == nil, !abandoned.contains(requestID) else {
            outgoing.receiver.fail(
                PatronError.malformedAnswer(reason: "request ids wrapped around"))
            return
        }
        var request = Open(receiver: outgoing.receiver)
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
        guard let request = open.removeValue(forKey: requestID) else { return }
        if let index = waiting.firstIndex(where: { $0.requestID == requestID }) {
            waiting.remove(at: index)
        } else {
            abandoned.insert(requestID)
        }
        request.receiver.fail(PatronError.deadlinePassed)
        // A stream would go on for ever without credit.
        if case .many = request.receiver { sendCancel(requestID) }
        closeIfDone()
    }

    /// Says something of an open request; it has no answer.
    func send(_ frame: ByteBuffer, about requestID: UInt32) {
        guard open[requestID] != nil, let context else { return }
        write(frame, context)
    }

    /// Ends a stream that is not read any more.
    func cancel(_ requestID: UInt32) {
        guard let request = open.removeValue(forKey: requestID) else { return }
        request.timer?.cancel()
        if let index = waiting.firstIndex(where: { $0.requestID == requestID }) {
            waiting.remove(at: index)
        } else {
            abandoned.insert(requestID)
            sendCancel(requestID)
        }
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
        let reply = Reply(frame: frame, payload: payload)
        if header.opcode == .goAway {
            try goAway(reply)
            return
        }
        let hasMore = header.flags.contains(.more)
        if let request = open[header.requestID] {
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
        ending = .goingAway(reason: reason)
        for request in waiting {
            open.removeValue(forKey: request.requestID)?.receiver.fail(
                PatronError.goingAway(reason: reason))
        }
        waiting = []
        closeIfDone()
    }

    /// After GOAWAY the connection lives until its open requests are answered.
    private func closeIfDone() {
        guard ending != nil, open.isEmpty, abandoned.isEmpty else { return }
        context?.close(promise: nil)
    }

    private func end(_ error: PatronError) {
        ending = error
        failAll(error)
    }

    private func failAll(_ error: PatronError) {
        if ending == nil { ending = error }
        let failed = open
        open = [:]
        waiting = []
        for request in failed.values {
            request.timer?.cancel()
            request.receiver.fail(error)
        }
    }
}

extension Reply {
    /// The message in it, its flags and meta block checked.
    func decode() throws(WireError) -> Response {
        let bytes = payload.readableBytesSpan
        let body = try frame.open(bytes).bodyRange
        return try Response(decoding: bytes.extracting(body), of: frame.header)
    }

    var meta: [MetaItem] {
        (try? frame.open(payload.readableBytesSpan).meta) ?? []
    }
}

func refusal(_ status: Status, _ body: ErrorBody, _ meta: [MetaItem]) -> PatronError.Refusal {
    var retryAfter: Duration?
    for case .retryAfterMilliseconds(let value) in meta { retryAfter = .milliseconds(value) }
    return PatronError.Refusal(
        status: status.rawValue, name: status.description, text: body.text, hint: body.hint,
        field: body.field, byteOffset: body.byteOffset.map { Int($0) }, retryAfter: retryAfter)
}
