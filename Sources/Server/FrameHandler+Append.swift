import ByteCoding
import ColumnStore
import NIOCore
import Wire

/// APPEND. The event loop hands the body on and pairs the answer; everything else happens elsewhere.
extension FrameHandler {
    func answerAppend(
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
                .readOnly, "this server takes no purchases",
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
        live.append(
            body, key: key, limits: shared.limits.wire, deadline: deadline(header), ticket: ticket
        ) { result in
            let bytes = Self.encode(result, header, limit: limit, live)
            eventLoop.execute { handler.value.finish(header.requestID, ticket, bytes) }
        }
    }

    /// The key by which a batch or an erasure is known again.
    func key(_ header: FrameHeader, _ meta: [MetaItem]) throws(Refusal) -> LogKey {
        for case .idempotencyKey(let bytes) in meta {
            let words = bytes.span.bytes
            let key = LogKey(
                first: words.integer(at: 0) ?? 0, second: words.integer(at: 8) ?? 0)
            if !key.isNone { return key }
        }
        throw Refusal(
            .invalidMeta,
            ErrorBody(
                text: "\(header.opcode?.name ?? "a change") without an idempotency key",
                hint:
                    "give each request 16 random bytes as meta item 1, and the same when it is sent "
                    + "again", field: WireField.meta.rawValue, byteOffset: 0))
    }

    private static func encode(
        _ result: Result<AppendResponse, Refusal>, _ header: FrameHeader, limit: Int,
        _ live: LiveStore
    ) -> [UInt8] {
        var writer = ByteWriter()
        switch result {
        case .success(var response):
            let length = Response.append(response).encodeFrame(
                requestID: header.requestID, into: &writer)
            guard length > limit else { return writer.bytes }
            // The lines are there whatever fits: the first refusals, and how many lines they are of.
            writer.removeAll()
            let rows = max(0, length - limit + 512) / 12
            response.refusals = response.refusals.prefix(
                max(0, response.refusals.rowCount - rows))
            Response.append(response).encodeFrame(requestID: header.requestID, into: &writer)
        case .failure(var refusal):
            refusal.body.generation = live.served.generation
            failure(header, refusal).encodeFrame(
                requestID: header.requestID, meta: refusal.meta, into: &writer)
        }
        return writer.bytes
    }
}

extension Table {
    /// The first rows of a table of numbers.
    fileprivate func prefix(_ count: Int) -> Table {
        var table = self
        table.rowCount = min(count, rowCount)
        for index in columns.indices {
            if case .int32(let values) = columns[index].values {
                table.columns[index].values = .int32(Array(values.prefix(count)))
            }
        }
        return table
    }
}
