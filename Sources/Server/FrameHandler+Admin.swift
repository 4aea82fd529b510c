import ByteCoding
import ColumnStore
import Logging
import NIOCore
import Synchronization
import Wire

/// MODELS, SNAPSHOT, PUBLISH, STATS, DRAIN and SHADOW, and PROGRESS of what takes long.
extension FrameHandler {
    /// Answers an administrative request; the log tells who sent it and how it ended.
    func administer(_ header: FrameHeader, _ request: Request) throws(Refusal) {
        let note = AdminNote(
            request, peer: peerName, token: tokenName, logger: shared.logger)
        note.begin()
        let ticket = ScanTicket()
        let work = AdminWork(
            shared: shared, ticket: ticket, deadline: deadline(header),
            report: progressReporter(header.requestID, ticket))
        switch request {
        case .models(let request):
            try admin(header, note, ticket) { () throws(Refusal) in
                .models(try work.models(request))
            }
        case .snapshot:
            try admin(header, note, ticket) { () throws(Refusal) in
                .snapshot(try work.generations())
            }
        case .publish(let request):
            try admin(header, note, ticket) { () throws(Refusal) in
                .publish(try work.publish(request))
            }
        case .shadow(let request):
            try admin(header, note, ticket) { () throws(Refusal) in
                .shadow(try work.shadow(request))
            }
        case .stats: try answerStats(header, ticket)
        case .drain:
            let grace = UInt32(clamping: shared.drainMilliseconds)
            respond(.drain(DrainResponse(graceMilliseconds: grace)), header)
            // Before GOAWAY, which comes as a task of this loop.
            send()
            flush()
            note.end(nil)
            shared.administration.requestDrain()
        default: preconditionFailure("not an administrative request")
        }
    }

    private func admin(
        _ header: FrameHeader, _ note: AdminNote, _ ticket: ScanTicket,
        _ make: @escaping @Sendable () throws(Refusal) -> Response
    ) throws(Refusal) {
        let queue = shared.administration.queue
        try scan(header, on: queue, ticket: ticket) { () throws(Refusal) in
            do throws(Refusal) {
                let response = try make()
                note.end(nil)
                return response
            } catch {
                note.end(error)
                throw error
            }
        }
    }

    private func answerStats(_ header: FrameHeader, _ ticket: ScanTicket) throws(Refusal) {
        try requireRoom()
        open[header.requestID] = OpenRequest(header: header, readAt: readAt, ticket: ticket)
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let shared = shared
        let style = style
        let answered = loop.eventLoop.makeFutureWithTask { await shared.stats() }
        answered.whenSuccess { answer in
            // None only where the server is about to end.
            let response =
                answer.map { Response.stats($0) }
                ?? Self.failure(header, Refusal(.draining, "the server is stopping"))
            let bytes = style.encode(response, header, nil)
            handler.value.finish(header.requestID, ticket, bytes)
        }
    }

    // MARK: Progress

    /// Tells the client how far an open request is, where it wants to know and reads what it gets.
    func tell(_ message: ProgressMessage, of requestID: UInt32) {
        guard features.contains(.progress), !isClosing, context?.channel.isWritable ?? false
        else { return }
        var writer = ByteWriter()
        Response.progress(message).encodeFrame(requestID: requestID, into: &writer)
        write(writer.bytes)
        flush()
    }

    /// What a thread calls as often as it likes.
    private func progressReporter(
        _ requestID: UInt32, _ ticket: ScanTicket
    ) -> @Sendable (ProgressMessage) -> Void {
        guard features.contains(.progress) else { return { _ in } }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let eventLoop = loop.eventLoop
        let clock = ProgressClock(interval: shared.progressInterval)
        return { message in
            guard clock.isTime() else { return }
            eventLoop.execute {
                let handler = handler.value
                guard handler.open[requestID]?.ticket === ticket else { return }
                handler.tell(message, of: requestID)
            }
        }
    }

    // MARK: Shadow

    /// Notes a look-up of several customers for the comparison.
    func note(_ layout: LookupLayout, _ body: RawSpan, _ shadow: ShadowSampler) {
        let rows = loop.scratch.rows
        guard layout.idKind == .text else {
            let ids = loop.scratch.ids
            shadow.note(rows) { .integer(ids[$0]) }
            return
        }
        // Texts are read again only where some are no rows of the snapshot.
        let texts =
            rows.contains { $0 >= RowRecords.firstRow }
            ? try? layout.texts(body, limits: shared.limits.wire) : nil
        shadow.note(rows) { position in texts.map { .text($0[position]) } }
    }
}

/// When the client was last told.
private final class ProgressClock: Sendable {
    private let last = Mutex<NIODeadline>(.now())
    private let interval: TimeAmount

    init(interval: TimeAmount) { self.interval = interval }

    func isTime() -> Bool {
        last.withLock { last in
            let now = NIODeadline.now()
            guard now - last >= interval else { return false }
            last = now
            return true
        }
    }
}

/// What the log says of an administrative request.
private struct AdminNote: Sendable {
    private let logger: Logger
    private let facts: Logger.Metadata
    /// Those that only look are logged where somebody wants to know everything.
    private let level: Logger.Level

    init(_ request: Request, peer: String, token: String?, logger: Logger) {
        self.logger = logger
        var facts: Logger.Metadata = [
            "operation": "\(request.opcode.name)", "peer": "\(peer)", "token": "\(token ?? "none")",
        ]
        var changes = true
        switch request {
        case .models(.list), .shadow(.report), .snapshot, .stats: changes = false
        case .models(.set(let label, let generation)):
            facts["label"] = "\(label)"
            facts["generation"] = "\(generation)"
        case .models(.remove(let label)):
            facts["label"] = "\(label)"
            facts["action"] = "remove"
        case .publish(let request): facts["generation"] = "\(request.generation)"
        case .shadow(.start(let candidate, let share)):
            switch candidate {
            case .label(let label): facts["label"] = "\(label)"
            case .generation(let generation): facts["generation"] = "\(generation)"
            }
            facts["partsPerMillion"] = "\(share)"
        case .shadow(.stop): facts["action"] = "stop"
        default: break
        }
        self.facts = facts
        level = changes ? .notice : .info
    }

    func begin() { logger.log(level: level, "administration", metadata: facts) }

    /// - Parameter refusal: nil where it was done.
    func end(_ refusal: Refusal?) {
        var facts = facts
        facts["outcome"] = "\(refusal?.status ?? .ok)"
        if let refusal { facts["error"] = "\(refusal.body.text)" }
        logger.log(
            level: refusal == nil ? level : .warning, "administration ended", metadata: facts)
    }
}
