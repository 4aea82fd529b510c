import ByteCoding
import Engine
import NIOCore
import Wire

/// One connection: finds frames in whatever pieces the bytes arrive, answers them, and ends the
/// connection where the protocol says so. Everything happens on the connection's event loop.
///
/// Answers of one read are encoded into the loop's writer and leave as one buffer. TOP requests
/// run on the scan threads and are answered when they are done, so later look-ups overtake them.
final class FrameHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let shared: ServerShared
    let loop: LoopState
    private let isPlain: Bool
    /// Nil before the channel is active and after it is inactive.
    var context: ChannelHandlerContext?
    /// Bytes of a frame that is not complete yet, or of frames that wait in `isHeld`.
    private var partial: ByteBuffer?
    /// Whether `partial` waits for the client to take its answers.
    private var isHeld = false
    /// When the first of them arrived.
    private var partialSince = NIODeadline.distantFuture
    /// Bytes of its whole frame as far as known.
    private var partialByteCount = 0
    private var acceptedAt = NIODeadline.now()
    private var lastActivity = NIODeadline.now()
    /// Bytes of answers given to the channel so far.
    private var writtenByteCount = 0
    /// How many of them the client's socket had taken at the latest tick.
    private var takenByteCount = 0
    /// When that number last grew, or the first byte began to wait.
    private var takenAt = NIODeadline.now()
    /// Whether bytes were waiting at the latest tick or have been written since.
    private var hasOutput = false
    /// Whether bytes were given to the channel since its last flush.
    private var isFlushDue = false
    /// Whether the channel may hold bytes that the socket has not taken.
    private var mayHoldBytes = false
    /// With or without TLS.
    private var transport: DirectSocket?
    /// Nil where bytes go through TLS.
    private(set) var socket: DirectSocket?
    /// What the scan threads have of it.
    var lending = SocketLending()
    /// Whether the server does not read at the moment, because the client does not take its answers.
    private(set) var isReadingPaused = false
    /// Whether the server ever stopped reading because the client did not take its answers.
    private var hasWaited = false
    /// Set when the last frame for the client is written: what still arrives is discarded.
    private var closingSince: NIODeadline?
    /// The client's address without its port, where the connection is counted.
    private var admittedFrom: String?
    /// Set when the credential was refused: what still arrives is discarded, and the answer comes
    /// after a pause.
    private var isRefused = false
    /// When the bytes of the frames that are being answered were read; uptime in nanoseconds.
    var readAt: UInt64 = 0
    /// When the work on the latest frame began, where times were agreed on; likewise.
    var begunAt: UInt64 = 0
    /// Whether HELLO has succeeded.
    var hasGreeted = false
    /// What HELLO agreed on.
    var features: Features = []
    /// What the credential of HELLO allows.
    var scopes: Scopes = []
    /// Of the credential, as the file of tokens calls it; nil without one.
    var tokenName: String?
    /// What the file of tokens said of it at HELLO, or when that last changed.
    var credential: TokenTable.Entry?
    /// The largest `length` field that the client accepts.
    var peerFrameByteCount = WireLimits.frameBytesBeforeHello
    /// The answer to the latest look-up of one customer that the client could take.
    var template: LookupTemplate?
    /// The bytes of the frame that is being answered, where they are many.
    var largePayload: ByteBuffer?
    /// Requests that the scan threads answer, by their ids.
    var open: [UInt32: OpenRequest] = [:]

    /// How long a client may take to close after it was sent the last frame.
    private static let lingerTime = TimeAmount.seconds(1)
    /// How long nothing arrives from a client that has nothing more to send.
    private static let quietTime = LoopState.tickInterval * 2
    /// Answers of one read are handed over in pieces of about this size, so that a client that
    /// does not take them is noticed before all of its requests are answered.
    private static let outputPieceByteCount = 64 << 10

    /// - Parameter isPlain: whether the bytes that it writes are those that go over the wire.
    init(shared: ServerShared, loop: LoopState, isPlain: Bool) {
        self.isPlain = isPlain
        self.shared = shared
        self.loop = loop
    }

    var isClosing: Bool { closingSince != nil }

    // MARK: Channel events

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        transport = DirectSocket(context)
        if isPlain { socket = transport }
        acceptedAt = loop.now
        lastActivity = loop.now
        let address = context.remoteAddress?.ipAddress ?? "local"
        loop.add(self)
        switch shared.admitConnection(from: address) {
        case .admitted:
            admittedFrom = address
            context.fireChannelActive()
        case .tooMany:
            refuseConnection(
                "too many connections are open", shared.limits.connectionCount, isOfAddress: false)
        case .tooManyFromAddress:
            refuseConnection(
                "too many connections of this address are open",
                shared.limits.connectionsPerAddress, isOfAddress: true)
        }
    }

    private func refuseConnection(_ reason: String, _ limit: Int, isOfAddress: Bool) {
        loop.counters.refusedConnections += 1
        shared.refusals.note(
            isOfAddress ? .tooManyOfAddress : .tooManyConnections, .warning,
            "connection refused: too many are open",
            ["peer": "\(peerName)", "reason": "\(reason)", "limit": "\(limit)"])
        endConnection(
            .tooManyConnections, reason, hint: "try again later, or raise the limit")
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let partial, partial.readableBytes > 0, !isClosing {
            shared.refusals.note(
                .wentAway, .debug, "connection ended within a frame",
                ["peer": "\(peerName)", "bytes": "\(partial.readableBytes)"])
        }
        partial = nil
        self.context = nil
        lending = SocketLending()
        for request in open.values { request.ticket.cancel() }
        open = [:]
        loop.remove(self)
        if let admittedFrom { shared.releaseConnection(from: admittedFrom) }
        admittedFrom = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isClosing {
            shared.refusals.note(
                .wentAway, .debug, "closing connection failed",
                ["peer": "\(peerName)", "error": "\(error)"])
        } else if let failure = TLSFailure(error) {
            // Who only looks whether somebody listens goes away without a handshake.
            let matters = !hasGreeted && !failure.isDeparture
            if matters { loop.counters.tlsFailures += 1 }
            shared.refusals.note(
                matters ? .tlsFailed : .wentAway, matters ? .warning : .debug,
                "connection closed: TLS failed",
                ["peer": "\(peerName)", "error": "\(failure.reason)"])
        } else {
            shared.refusals.note(
                .wentAway, .debug, "connection failed",
                ["peer": "\(peerName)", "error": "\(error)"])
        }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is PlainTextGuard.Refused { closingSince = loop.now }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // A client that does not take its answers gets no new ones: its requests stay in the
        // socket until it has read.
        if context.channel.isWritable {
            // Not at once: this may be in the middle of a flush, and other connections have their
            // turn first.
            let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
            loop.eventLoop.execute { handler.value.resume() }
        } else {
            pauseReading()
        }
        context.fireChannelWritabilityChanged()
    }

    /// Whether answers to more requests may be given to the connection.
    private var takesAnswers: Bool {
        (context?.channel.isWritable ?? false) && lending.hasRoom
    }

    private func pauseReading() {
        (hasWaited, isReadingPaused) = (true, true)
        try? context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    /// Goes on with the requests that waited for the client to take its answers.
    func resume() {
        guard let context, !isClosing, takesAnswers else { return }
        resumeStreams()
        // The time in which the server did not read is not the client's.
        partialSince = loop.now
        lastActivity = loop.now
        if isHeld, let rest = partial.take() {
            isHeld = false
            readAt = NIODeadline.now().uptimeNanoseconds
            readFrames(of: rest)
            send()
        }
        guard !isHeld, !isClosing, takesAnswers else { return }
        isReadingPaused = false
        try? context.channel.syncOptions?.setOption(.autoRead, value: true)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        guard !isClosing, !isRefused else { return }
        lastActivity = loop.now
        readAt = NIODeadline.now().uptimeNanoseconds
        loop.meters.bytesRead += incoming.readableBytes
        if var joined = partial.take() {
            joined.writeBuffer(&incoming)
            if isHeld {
                partial = joined
                return
            }
            readFrames(of: joined)
        } else {
            partialSince = loop.now
            readFrames(of: incoming)
        }
        send()
    }

    // MARK: Frames

    private func readFrames(of buffer: ByteBuffer) {
        let bytes = buffer.readableBytesSpan
        var offset = 0
        var isWritable = takesAnswers
        do throws(WireError) {
            while offset < bytes.byteCount, !isClosing, !isRefused {
                guard isWritable else {
                    isHeld = true
                    pauseReading()
                    keep(buffer, from: offset, expecting: 0)
                    return
                }
                let maximumLength =
                    hasGreeted
                    ? shared.limits.wire.frameBytes : WireLimits.frameBytesBeforeHello
                switch try scanFrame(bytes, from: offset, maximumLength: maximumLength) {
                case .frame(let frame):
                    offset = frame.range.upperBound
                    let payload = bytes.extracting(frame.payloadRange)
                    if takeLookup(frame.header, payload) {
                        if mayHoldBytes { isWritable = takesAnswers }
                        continue
                    }
                    if payload.byteCount >= Self.referredByteCount {
                        largePayload = buffer.getSlice(
                            at: buffer.readerIndex + frame.payloadRange.lowerBound,
                            length: payload.byteCount)
                    }
                    answer(frame, payload)
                    largePayload = nil
                    if loop.output.count >= Self.outputPieceByteCount { send() }
                    isWritable = takesAnswers
                case .needMore(let byteCount):
                    keep(buffer, from: offset, expecting: byteCount - offset)
                    return
                }
            }
        } catch {
            endConnection(error, buffer)
        }
    }

    /// Keeps the bytes from `offset` on until the rest of their frame arrives.
    private func keep(_ buffer: ByteBuffer, from offset: Int, expecting byteCount: Int) {
        var rest = buffer
        rest.moveReaderIndex(forwardBy: offset)
        partialByteCount = byteCount
        // No room is made for the rest: anybody can announce 16 MiB on thousands of connections.
        // The buffer doubles as the bytes arrive.
        if offset > 0 {
            rest.discardReadBytes()
            partialSince = loop.now
        }
        partial = rest
    }

    /// Sends the answers encoded so far.
    func send() {
        guard loop.output.count > 0 else { return }
        deliver(loop.output.bytes)
        loop.output.removeAll()
        loop.meters.handedOver(since: readAt)
    }

    /// Sends what the channel was given.
    func flush() {
        guard isFlushDue, let context else { return }
        isFlushDue = false
        context.flush()
    }

    /// Hands bytes to the channel; they leave with the next flush.
    func write(_ bytes: [UInt8]) {
        guard let context else { return }
        if holds(bytes.span.bytes) { return }
        write(context.channel.allocator.buffer(bytes: bytes))
    }

    func write(_ buffer: ByteBuffer) {
        guard let context else { return }
        if !hasOutput {
            hasOutput = true
            takenAt = loop.now
        }
        writtenByteCount += buffer.readableBytes
        loop.meters.bytesWritten += buffer.readableBytes
        isFlushDue = true
        mayHoldBytes = true
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    private func deliver(_ bytes: [UInt8]) { deliver(bytes.span.bytes) }

    /// Sends bytes at once: straight to the socket where nothing waits for it, so that an answer
    /// costs no buffer and no place in a queue; what the socket does not take waits in the channel.
    func deliver(_ bytes: RawSpan) {
        guard let context else { return }
        if holds(bytes) { return }
        var sent = 0
        // Active after the flush that this may be: one that fails closes the descriptor.
        if let socket, channelIsEmpty(context), context.channel.isActive {
            sent = socket.give(bytes)
            count(sent: sent)
            if sent == bytes.byteCount { return }
        }
        var rest = context.channel.allocator.buffer(capacity: bytes.byteCount - sent)
        rest.writeBytes(bytes.extracting(sent..<bytes.byteCount))
        write(rest)
        flush()
    }

    /// Counts bytes that the socket was given without the channel.
    func count(sent byteCount: Int) {
        writtenByteCount += byteCount
        loop.meters.bytesWritten += byteCount
    }

    /// Whether the channel holds no bytes for the socket.
    func channelIsEmpty(_ context: ChannelHandlerContext) -> Bool {
        guard mayHoldBytes else { return true }
        flush()
        let waiting = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        mayHoldBytes = waiting != 0
        return !mayHoldBytes
    }

    // MARK: Credentials

    /// The least pause before a refused credential is answered, and what chance may add to it: who
    /// tries tokens learns nothing from the time, and little from each connection.
    private static let refusalPause = TimeAmount.milliseconds(100)
    private static let largestJitterMicroseconds: Int64 = 50_000

    /// Answers a HELLO with the same words whatever is wrong with its credential, later.
    func refuseCredential(_ header: FrameHeader, because reason: String) {
        loop.counters.authenticationFailures += 1
        isRefused = true
        shared.refusals.note(
            .credentialRefused, .warning, "credential refused",
            ["peer": "\(peerName)", "reason": "\(reason)"])
        let jitter = Int64.random(in: 0...Self.largestJitterMicroseconds)
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let start = readAt
        loop.eventLoop.scheduleTask(in: Self.refusalPause + .microseconds(jitter)) {
            let handler = handler.value
            guard handler.context != nil, !handler.isClosing else { return }
            handler.readAt = start
            handler.refuse(
                header,
                Refusal(
                    .authenticationFailed, "the credential is not accepted",
                    hint: "give a valid token"))
            handler.send()
            handler.startClosing()
        }
    }

    // MARK: Ends

    func sendGoAway() {
        guard hasGreeted, !isClosing else { return }
        Response.goAway(
            .draining,
            GoAway(
                graceMilliseconds: UInt32(clamping: shared.drainMilliseconds),
                reason: ErrorBody(
                    text: "the server is stopping", hint: "connect again",
                    generation: loop.served.generation))
        ).encodeFrame(requestID: 0, into: &loop.output)
        send()
    }

    /// While the server stops: ends the connection when nothing of it is in flight. Requests that
    /// wait, here or in the socket, for the client to take its answers or for this loop are in flight
    /// too.
    func closeIfDrained() {
        if loop.phase == .refusing { loop.answerLookups() }
        guard loop.phase == .refusing, open.isEmpty, partial == nil, !isClosing,
            context?.channel.isWritable ?? true
        else { return }
        // What such a client sent while the server did not read is only now read.
        guard !hasWaited || loop.now - lastActivity > Self.quietTime else { return }
        let isActive = context?.channel.isActive ?? false
        guard !isActive || !(transport?.hasUnreadBytes ?? false) else { return }
        startClosing()
    }

    func close() {
        context?.close(promise: nil)
    }

    /// Closes, and tells whoever waits for an answer that none comes.
    func closeUnfinished() {
        let refusal = Refusal(
            .draining, "the server stopped before the answer was complete",
            hint: "connect again and ask again; a stream goes on from its last token")
        for requestID in Array(open.keys) { end(requestID, refusal) }
        close()
    }

    /// Called at every tick.
    func closeIfLate(_ tick: NIODeadline) {
        let limits = shared.limits
        // What happened since the last tick carries that tick's time: nobody is cut off early.
        let now = tick - LoopState.tickInterval
        if isStalled(now) {
            // Nothing is said: it would not be read either.
            shared.refusals.note(
                .answersNotRead, .warning, "connection closed: answers are not read",
                ["peer": "\(peerName)"])
            close()
        } else if let since = closingSince {
            if hasOutput || lending.isOut {
                closingSince = now
            } else if now - since > Self.lingerTime {
                close()
            }
        } else if !hasGreeted, now - acceptedAt > TimeAmount(limits.handshakeTimeout) {
            shared.refusals.note(
                .helloMissing, .info, "connection closed: no HELLO in time",
                ["peer": "\(peerName)"])
            endConnection(
                .handshakeTimeout, "no HELLO in time", hint: "send HELLO when connected, at once")
        } else if !(context?.channel.isWritable ?? false) {
            // The server does not read, so the client cannot be late.
        } else if partial != nil, !isHeld, now - partialSince > patience {
            shared.refusals.note(
                .frameTooSlow, .info, "connection closed: a frame took too long",
                ["peer": "\(peerName)"])
            endConnection(
                .peerTooSlow, "a frame was not complete in time",
                hint: "begin a frame when all of it can be sent, or send smaller ones")
        } else if open.isEmpty, !hasOutput,
            now - lastActivity > TimeAmount(limits.idleTimeout)
        {
            endConnection(
                .idleTimeout, "nothing was sent for too long", hint: "send PING when idle")
        } else {
            if !open.isEmpty { endLateStreams(now) }
            closeIfDrained()
        }
    }

    /// Whether answers wait and the client's socket has taken no byte of them for too long. A
    /// client that reads slowly but steadily is not cut off.
    private func isStalled(_ now: NIODeadline) -> Bool {
        guard hasOutput, let context else { return false }
        let waiting = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let taken = writtenByteCount - waiting
        if taken > takenByteCount || waiting == 0 {
            takenByteCount = taken
            takenAt = now
        }
        hasOutput = waiting > 0
        return now - takenAt > TimeAmount(shared.limits.writeStallTimeout)
    }

    /// How long the frame that has begun may take.
    private var patience: TimeAmount {
        TimeAmount(shared.limits.frameTimeout)
            + .seconds(Int64(partialByteCount / shared.limits.minimumBytesPerSecond))
    }

    /// Ends the connection after bytes that cannot be understood.
    private func endConnection(_ error: WireError, _ buffer: ByteBuffer) {
        loop.counters.protocolErrors += 1
        var metadata = ["peer": "\(peerName)", "error": "\(error)"]
        if case .badMagic = error {
            metadata["looksLike"] = foreignProtocol(buffer) ?? "unknown"
        }
        shared.refusals.note(
            .badFrame, .warning, "connection closed: not a valid frame",
            .init(uniqueKeysWithValues: metadata.map { ($0, .string($1)) }))
        endConnection(error.status, ErrorBody(error))
    }

    /// Ends the connection for a reason that GOAWAY carries.
    func endConnection(_ status: Status, _ text: String, hint: String = "") {
        endConnection(status, ErrorBody(text: text, hint: hint))
    }

    func endConnection(_ status: Status, _ body: ErrorBody) {
        loop.answerLookups()
        var reason = body
        reason.generation = loop.served.generation
        Response.goAway(status, GoAway(graceMilliseconds: 0, reason: reason))
            .encodeFrame(requestID: 0, into: &loop.output)
        send()
        startClosing()
    }

    /// Says that nothing more comes, and waits a moment for the client to close: closing at once,
    /// with bytes of the client unread, would reset the connection and lose the last answer.
    func startClosing() {
        guard !isClosing, let context else { return }
        closingSince = loop.now
        partial = nil
        // After what waits for the socket.
        if lending.isOut, !reclaimSocket() { return }
        flush()
        context.close(mode: .output, promise: nil)
    }

    var peerName: String { context?.remoteAddress.map(PatronServer.name(of:)) ?? "unknown" }
}

/// What the first bytes of a connection that does not speak this protocol look like.
func foreignProtocol(_ buffer: ByteBuffer) -> String? {
    let bytes = Array(buffer.readableBytesView.prefix(8))
    if bytes.starts(with: [0x16, 0x03]) { return "TLS" }
    let text = String(decoding: bytes, as: UTF8.self)
    for method in ["GET ", "POST", "HEAD", "PUT ", "OPTI", "PRI "] where text.hasPrefix(method) {
        return "HTTP"
    }
    if text.hasPrefix("*") || text.hasPrefix("PING") { return "RESP (Redis)" }
    if text.hasPrefix("SSH-") { return "SSH" }
    if bytes.dropFirst(4).starts(with: [0xD7, 0x50]) { return "Patron without TLS" }
    return nil
}

extension TimeAmount {
    /// Saturates at about 292 years.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        self = .nanoseconds(overflow ? .max : product + attoseconds / 1_000_000_000)
    }
}
