import ByteCoding
import NIOCore
import Wire

/// ERASE. The event loop hands the body on and pairs the answer; everything else happens elsewhere.
extension FrameHandler {
    func answerErase(
        _ header: FrameHeader, _ meta: [MetaItem], _ body: RequestBody
    ) throws(Refusal) {
        try requireScope(header)
        // Answers of one turn keep the order of their requests.
        loop.answerLookups()
        loop.counters.otherRequests += 1
        guard loop.phase != .refusing else {
            throw Refusal(.draining, "the server is stopping", hint: "connect again")
        }
        guard let live = shared.live else {
            throw Refusal(
                .readOnly, "this server erases no customers",
                hint: "ask the server of this workspace that was started with --append")
        }
        let key = try key(header, meta)
        try requireRoom()
        guard live.admit(body.byteCount) else {
            throw Refusal(.logBusy, "too many purchases are under way", hint: "try later")
        }
        let (eventLoop, limit, ticket) = (loop.eventLoop, peerFrameByteCount, ScanTicket())
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        open[header.requestID] = OpenRequest(header: header, readAt: readAt, ticket: ticket)
        live.erase(
            body, key: key, limits: shared.limits.wire, deadline: deadline(header),
            name: tokenName, ticket: ticket
        ) { result in
            let bytes = Self.encode(result, header, limit: limit, live)
            eventLoop.execute { handler.value.finish(header.requestID, ticket, bytes) }
        }
    }

    private static func encode(
        _ result: Result<EraseResponse, Refusal>, _ header: FrameHeader, limit: Int,
        _ live: LiveStore
    ) -> [UInt8] {
        var writer = ByteWriter()
        var refusal: Refusal
        switch result {
        case .success(let response):
            let length = Response.erase(response).encodeFrame(
                requestID: header.requestID, into: &writer)
            guard length > limit else { return writer.bytes }
            // They are erased all the same: the key brings the receipt on a connection with more room.
            writer.removeAll()
            refusal = tooLarge(length, limit)
        case .failure(let error): refusal = error
        }
        refusal.body.generation = live.served.generation
        failure(header, refusal).encodeFrame(
            requestID: header.requestID, meta: refusal.meta, into: &writer)
        return writer.bytes
    }
}
