import NIOCore
import Wire

/// Bodies that are too large to be read on an event loop: those of SCORE and APPEND are read where they
/// are worked on, others are inflated on a scan thread and come back.
extension FrameHandler {
    /// Payloads from here on are referred to and not copied: a copy takes longer than a reference
    /// from a few KiB on, but keeps all bytes that came with it from being freed.
    static let referredByteCount = 32 << 10
    /// Bodies that become more than this are inflated elsewhere: about 50 µs.
    private static let quicklyInflatedByteCount = 64 << 10

    /// A body that another thread reads.
    /// - Parameter range: its place in the payload.
    func requestBody(
        _ body: RawSpan, at range: Range<Int>, rawLength: Int?, share: HeldBytes.Share? = nil
    ) -> RequestBody {
        if let largePayload,
            let slice = largePayload.getSlice(
                at: largePayload.readerIndex + range.lowerBound, length: range.count)
        {
            return RequestBody(slice, rawLength: rawLength, share: share)
        }
        return RequestBody(copying: body, rawLength: rawLength, share: share)
    }

    /// The body of a request as it was before it was compressed; nil where that takes long, and the
    /// request is answered later.
    func inflate(
        _ header: FrameHeader, _ body: RawSpan, at range: Range<Int>, _ rawLength: Int,
        _ label: String?
    ) throws(Refusal) -> [UInt8]? {
        guard rawLength > Self.quicklyInflatedByteCount else {
            do throws(WireError) {
                return try decompressBody(body, rawLength: rawLength)
            } catch {
                throw Refusal(error)
            }
        }
        guard header.opcode?.isAboutAnother != true else {
            // Its id is that of an open request; and no such message is that long.
            throw Refusal(.trailingBytes, "the body goes on after its last field")
        }
        try requireRoom()
        let share = try share(of: body.byteCount + rawLength)
        let packed = requestBody(body, at: range, rawLength: rawLength, share: share)
        let (eventLoop, ticket) = (loop.eventLoop, ScanTicket())
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        let isQueued = shared.queues.scans.submit(ticket) {
            let result = Result { () throws(Refusal) in try packed.inflated() }
            eventLoop.execute { handler.value.goOn(header, ticket, result, label) }
        }
        guard isQueued else { throw Self.tooManyWait }
        open[header.requestID] = OpenRequest(
            header: header, readAt: readAt, ticket: ticket, share: share)
        return nil
    }

    /// Answers a request whose body has been inflated.
    private func goOn(
        _ header: FrameHeader, _ ticket: ScanTicket, _ result: Result<RequestBody, Refusal>,
        _ label: String?
    ) {
        guard let request = open[header.requestID], request.ticket === ticket else { return }
        open[header.requestID] = nil
        request.share?.end()
        guard context != nil, !isClosing else { return }
        readAt = request.readAt
        if features.contains(.timings) { begunAt = NIODeadline.now().uptimeNanoseconds }
        do throws(Refusal) {
            let body = try result.get()
            try body.read { (bytes) throws(Refusal) in try answer(header, bytes, label) }
        } catch {
            refuse(header, error)
        }
        send()
        closeIfDrained()
    }

    func share(of byteCount: Int) throws(Refusal) -> HeldBytes.Share {
        guard let share = shared.heldBytes.share(of: byteCount) else {
            throw Refusal(
                .tooManyInFlight, "too many bytes of requests wait for a scan thread",
                hint: "try later")
        }
        return share
    }

    /// SCORE. Its table is read on the thread that scores.
    func answerScore(
        _ header: FrameHeader, _ body: RawSpan, at range: Range<Int>, rawLength: Int?,
        _ label: String?
    ) throws(Refusal) {
        try requireScope(header)
        // Answers of one turn keep the order of their requests.
        loop.answerLookups()
        loop.counters.otherRequests += 1
        guard loop.phase != .refusing else {
            throw Refusal(.draining, "the server is stopping", hint: "connect again")
        }
        let served = try served(label)
        let share = try share(of: body.byteCount + (rawLength ?? 0))
        let request = requestBody(body, at: range, rawLength: rawLength, share: share)
        let (models, style, limits) = (shared.models, style, shared.limits.wire)
        try stream(header, credit: nil) { () throws(Refusal) in
            try ScoreWork(served, models, request, limits, header, style)
        }
        open[header.requestID]?.share = share
    }
}
