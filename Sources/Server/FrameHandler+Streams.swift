import NIOCore
import Wire

/// A request that the scan threads answer, as its connection's event loop sees it.
struct OpenRequest {
    let header: FrameHeader
    /// When its bytes were read; uptime in nanoseconds.
    let readAt: UInt64
    let ticket: ScanTicket
    /// Nil for one that is answered at once.
    var stream: Stream?

    struct Stream {
        let work: StreamWork
        let deadline: NIODeadline
        /// Bytes that it may still send; nil where its answer is one frame.
        var credit: Int?
        /// Whether a slice of it is on the scan threads.
        var isRunning = false
        /// When the client was last told how far it is, or its beginning.
        var toldAt: NIODeadline
        /// Since when it has waited for credit.
        var parkedAt = NIODeadline.distantFuture
    }

    init(header: FrameHeader, readAt: UInt64, ticket: ScanTicket, stream: Stream? = nil) {
        self.header = header
        self.readAt = readAt
        self.ticket = ticket
        self.stream = stream
    }
}

/// Answers in slices: SCAN, AUDIENCE and COUNT. A slice at a time of each stream is on the scan
/// threads, where they take turns; a stream without credit waits and holds nothing but its snapshot
/// and its place in it.
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
        guard shared.scans.hasRoom else { throw Self.tooManyWait }
        open[header.requestID] = OpenRequest(
            header: header, readAt: readAt, ticket: ScanTicket(),
            stream: .init(
                work: StreamWork(make), deadline: deadline(header), credit: credit,
                toldAt: loop.now))
        runSlice(header.requestID)
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

    /// Puts the next slice of a stream on the scan threads, if its credit lasts for a chunk.
    private func runSlice(_ requestID: UInt32) {
        guard var request = open[requestID], var stream = request.stream, !stream.isRunning else {
            return
        }
        let needed = min(WireLimits.smallestCredit, peerFrameByteCount)
        guard stream.credit.map({ $0 >= needed }) ?? true else {
            stream.parkedAt = loop.now
            request.stream = stream
            open[requestID] = request
            return
        }
        stream.isRunning = true
        stream.parkedAt = .distantFuture
        request.stream = stream
        open[requestID] = request
        let (header, ticket, work, deadline) = (
            request.header, request.ticket, stream.work, stream.deadline
        )
        let style = style
        let generation = loop.served.generation
        let eventLoop = loop.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        shared.scans.submit(ticket, isBegun: true) {
            do throws(Refusal) {
                guard NIODeadline.now() < deadline else { throw Self.deadlinePassed }
                let slice = try work.proceed()
                eventLoop.execute { handler.value.finishSlice(requestID, ticket, slice) }
            } catch {
                var refusal = error
                refusal.body.generation = generation
                let bytes = style.encode(Self.failure(header, refusal), header, nil)
                eventLoop.execute { handler.value.finish(requestID, ticket, bytes) }
            }
        }
    }

    private static let deadlinePassed = Refusal(
        .deadlinePassed, "the deadline passed before all was sent")

    private func finishSlice(
        _ requestID: UInt32, _ ticket: ScanTicket, _ slice: CustomerStream.Slice
    ) {
        guard var request = open[requestID], request.ticket === ticket else { return }
        request.stream?.isRunning = false
        let bytes: [UInt8]
        let isLast: Bool
        switch slice {
        case .frame(let frame, isLast: let ends): (bytes, isLast) = (frame, ends)
        case .working(let rowCount, let total):
            if features.contains(.progress), let toldAt = request.stream?.toldAt,
                loop.now - toldAt >= Self.progressInterval
            {
                request.stream?.toldAt = loop.now
                tell(
                    ProgressMessage(
                        done: UInt64(rowCount), total: UInt64(total), unit: .customers),
                    of: requestID)
            }
            open[requestID] = request
            runSlice(requestID)
            return
        }
        if isLast {
            finish(requestID, ticket, bytes)
            return
        }
        if let credit = request.stream?.credit { request.stream?.credit = credit - bytes.count }
        open[requestID] = request
        // The next chunk is made while this one is written.
        runSlice(requestID)
        guard context != nil, !isClosing else { return }
        write(bytes)
        flush()
    }

    /// CREDIT. One that crosses the end of its stream on the way is of no use and no fault.
    func give(_ credit: Int, to header: FrameHeader) {
        guard let stream = open[header.requestID]?.stream, let old = stream.credit else { return }
        do throws(Refusal) {
            try requireRoom(forCredit: credit)
        } catch {
            end(header.requestID, error)
            return
        }
        open[header.requestID]?.stream?.credit = old + credit
        runSlice(header.requestID)
    }

    /// CANCEL. The request's answer is that it was cancelled, unless it is on its way already.
    func cancel(_ header: FrameHeader) {
        end(header.requestID, Refusal(.cancelled, "cancelled by the client"))
    }

    /// Fails an open request.
    func end(_ requestID: UInt32, _ refusal: Refusal) {
        guard let request = open[requestID] else { return }
        request.ticket.cancel()
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
                end(requestID, Self.deadlinePassed)
            } else if now > stream.parkedAt,
                now - stream.parkedAt > TimeAmount(shared.limits.idleTimeout)
            {
                end(requestID, Refusal(.deadlinePassed, "no credit was given for too long"))
            }
        }
    }
}
