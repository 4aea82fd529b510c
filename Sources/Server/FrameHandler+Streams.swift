import NIOCore
import Wire

/// A request that the scan threads answer, as its connection's event loop sees it.
struct OpenRequest {
    let header: FrameHeader
    /// When its bytes were read; uptime in nanoseconds.
    let readAt: UInt64
    let ticket: ScanTicket
    /// Of what waits for other threads; nil where its body was read at once.
    var share: HeldBytes.Share?
    /// Nil for one that is answered at once.
    var stream: Stream?

    struct Stream {
        let work: StreamWork
        let deadline: NIODeadline
        /// Bytes that it may still send; nil where its answer is one frame.
        var credit: Int? { work.remainingCredit }
        /// Whether a turn of it is on the scan threads.
        var isRunning = false
        /// Why it ends when its turn is over.
        var end: Refusal?
        /// When the client was last told how far it is, or its beginning.
        var toldAt: NIODeadline
        /// Since when it has waited for credit.
        var parkedAt = NIODeadline.distantFuture
    }

    init(
        header: FrameHeader, readAt: UInt64, ticket: ScanTicket, share: HeldBytes.Share? = nil,
        stream: Stream? = nil
    ) {
        self.header = header
        self.readAt = readAt
        self.ticket = ticket
        self.share = share
        self.stream = stream
    }
}

/// Answers in slices: SCAN, AUDIENCE and COUNT. Each stream has a turn at a time on the scan threads;
/// a stream without credit waits and holds its snapshot, its place in it and the memory of a few frames.
extension FrameHandler {
    /// Begins a stream.
    /// - Parameter credit: nil for one whose answer is one frame.
    func stream(
        _ header: FrameHeader, credit: Int?,
        _ make: @escaping @Sendable () throws(Refusal) -> any SlicedAnswer
    ) throws(Refusal) {
        guard credit == nil || features.contains(.streams) else {
            throw Refusal(
                .unsupportedFeature, "streams were not agreed on",
                hint: "name feature bit 1 in HELLO")
        }
        try requireRoom()
        if let credit { try requireRoom(forCredit: credit) }
        let queue = credit == nil ? shared.queues.scans : shared.queues.streams
        guard queue.hasRoom else { throw Self.tooManyWait }
        open[header.requestID] = OpenRequest(
            header: header, readAt: readAt, ticket: ScanTicket(),
            stream: .init(
                work: StreamWork(
                    credit: credit,
                    frameByteCount: min(WireLimits.smallestCredit, peerFrameByteCount), make),
                deadline: deadline(header), toldAt: loop.now))
        runTurn(header.requestID)
    }

    private func requireRoom(forCredit credit: Int) throws(Refusal) {
        let given = open.values.reduce(0) { $0 + max(0, $1.stream?.credit ?? 0) }
        guard given + credit <= WireLimits.connectionCredit else {
            throw Refusal(
                WireError.tooManyItems(
                    field: .credit, actual: given + credit, limit: WireLimits.connectionCredit,
                    byteOffset: 0))
        }
    }

    /// Puts the next turn of a stream on the scan threads, if its credit lasts for a chunk.
    private func runTurn(_ requestID: UInt32) {
        guard let context, var request = open[requestID], var stream = request.stream,
            !stream.isRunning
        else { return }
        // A client that does not take its chunks gets no more, whatever credit it gave.
        guard stream.credit == nil || context.channel.isWritable else { return }
        guard stream.work.canGoOn else {
            stream.parkedAt = loop.now
            request.stream = stream
            open[requestID] = request
            return
        }
        stream.isRunning = true
        stream.parkedAt = .distantFuture
        request.stream = stream
        open[requestID] = request
        let (ticket, work, deadline) = (request.ticket, stream.work, stream.deadline)
        let queue = stream.credit == nil ? shared.queues.scans : shared.queues.streams
        let offer = stream.credit == nil ? nil : lendSocket(to: ticket)
        let eventLoop = loop.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        // Whether it is cancelled is seen in the turn, which has the socket to give back.
        queue.submit(isBegun: true) {
            let turn = work.turn(offer, ticket, deadline: deadline, on: queue)
            eventLoop.execute { handler.value.finishTurn(requestID, ticket, turn) }
        }
    }

    /// Goes on with the streams that waited for the client to take their chunks.
    func resumeStreams() {
        for (requestID, request) in open where request.stream?.work.canGoOn ?? false {
            runTurn(requestID)
        }
    }

    private func finishTurn(_ requestID: UInt32, _ ticket: ScanTicket, _ turn: StreamTurn) {
        loop.counters.streamTurns += 1
        let waiting = open[requestID].flatMap { $0.ticket === ticket ? $0 : nil }
        var rest = turn.frame[turn.frameSentByteCount...]
        // A frame that has begun has to be finished, whoever still wants it.
        let isWanted = waiting.map { turn.isLast || $0.stream?.end == nil } ?? false
        if turn.frameSentByteCount == 0, !isWanted { rest = [] }
        count(sent: turn.sentByteCount)
        if turn.hasSocket {
            bringSocketHome(rest: rest)
            rest = []
        } else {
            withdrawOffer(to: ticket)
        }
        // Anew: what was written may have found the connection broken, which ends all its requests.
        guard var request = open[requestID], request.ticket === ticket else { return }
        if turn.isLast || turn.refusal != nil { request.share?.end() }
        request.stream?.isRunning = false
        open[requestID] = request
        if let refusal = turn.refusal ?? (turn.isLast ? nil : request.stream?.end) {
            end(requestID, refusal)
            return
        }
        if let progress = turn.progress { tell(progress, of: requestID) }
        if turn.isLast {
            send(rest)
            close(request, .ok)
        } else if socket == nil {
            // The next chunk is made while this one is encrypted.
            runTurn(requestID)
            send(rest)
        } else {
            // In this order: the next turn may get the socket.
            send(rest)
            runTurn(requestID)
        }
    }

    private func send(_ frame: ArraySlice<UInt8>) {
        guard !frame.isEmpty, context != nil, !isClosing else { return }
        write(Array(frame))
        flush()
    }

    private func tell(
        _ progress: (done: Int, total: Int), of requestID: UInt32
    ) {
        guard features.contains(.progress), let toldAt = open[requestID]?.stream?.toldAt,
            loop.now - toldAt >= shared.progressInterval
        else { return }
        open[requestID]?.stream?.toldAt = loop.now
        tell(
            ProgressMessage(
                done: UInt64(progress.done), total: UInt64(progress.total), unit: .customers),
            of: requestID)
    }

    /// CREDIT. One that crosses the end of its stream on the way is of no use and no fault.
    func give(_ credit: Int, to header: FrameHeader) {
        guard let stream = open[header.requestID]?.stream, stream.credit != nil else { return }
        do throws(Refusal) {
            try requireRoom(forCredit: credit)
        } catch {
            end(header.requestID, error)
            return
        }
        stream.work.add(credit: credit)
        runTurn(header.requestID)
    }

    /// CANCEL. The request's answer is that it was cancelled, unless it is on its way already.
    func cancel(_ header: FrameHeader) {
        end(header.requestID, Refusal(.cancelled, "cancelled by the client"))
    }

    /// Fails an open request.
    func end(_ requestID: UInt32, _ refusal: Refusal) {
        guard let request = open[requestID] else { return }
        request.ticket.cancel()
        // It may be in the middle of a frame, or have sent its last one.
        if hasLent(to: request.ticket) {
            open[requestID]?.stream?.end = refusal
            return
        }
        var refusal = refusal
        refusal.body.generation = loop.served.generation
        let bytes = style.encode(Self.failure(request.header, refusal), request.header, nil)
        finish(requestID, request.ticket, bytes)
    }

    /// Ends streams whose time is over, or whose client has given no credit for as long as a
    /// connection may be silent.
    func endLateStreams(_ now: NIODeadline) {
        for (requestID, request) in open {
            guard let stream = request.stream, !stream.isRunning else { continue }
            if now > stream.deadline {
                end(
                    requestID,
                    Refusal(.deadlinePassed, "the deadline passed before all was sent"))
            } else if now > stream.parkedAt,
                now - stream.parkedAt > TimeAmount(shared.limits.idleTimeout)
            {
                end(requestID, Refusal(.deadlinePassed, "no credit was given for too long"))
            }
        }
    }
}
