import ByteCoding
import ColumnStore
import Engine
import NIOCore
import Wire

/// Why a request is refused, as the client is told.
struct Refusal: Error {
    let status: Status
    var body: ErrorBody

    /// A pause that lets what was too much pass.
    private static let retryAfterMilliseconds: UInt32 = 100

    var meta: [MetaItem] {
        // What a snapshot lacks does not come with a pause.
        if status == .notInSnapshot { return [] }
        return switch status.statusClass {
        case .overloaded, .unavailable: [.retryAfterMilliseconds(Self.retryAfterMilliseconds)]
        default: []
        }
    }

    init(_ status: Status, _ text: String, hint: String = "") {
        self.status = status
        body = ErrorBody(text: text, hint: hint)
    }

    init(_ status: Status, _ body: ErrorBody) {
        self.status = status
        self.body = body
    }

    init(_ error: WireError) {
        status = error.status
        body = ErrorBody(error)
    }
}

extension FrameHandler {
    /// Answers one frame into the loop's writer, or hands it to the scan threads.
    func answer(_ frame: Frame, _ payload: RawSpan) {
        let header = frame.header
        if features.contains(.timings) { begunAt = NIODeadline.now().uptimeNanoseconds }
        do throws(Refusal) {
            let opened = try open(frame, payload)
            let body = payload.extracting(opened.bodyRange)
            // The current one's label is as none: what has been bought since counts too.
            let named = opened.meta.isEmpty ? nil : opened.label
            let label = named == GenerationLabels.current ? nil : named
            switch header.opcode {
            case .append:
                try answerAppend(
                    header, opened.meta,
                    requestBody(body, at: opened.bodyRange, rawLength: opened.rawLength))
            case .erase:
                try answerErase(
                    header, opened.meta,
                    requestBody(body, at: opened.bodyRange, rawLength: opened.rawLength))
            case .score:
                try answerScore(
                    header, body, at: opened.bodyRange, rawLength: opened.rawLength, label)
            default:
                guard let rawLength = opened.rawLength else {
                    try answer(header, body, label)
                    break
                }
                let plain = try inflate(header, body, at: opened.bodyRange, rawLength, label)
                if let plain { try answer(header, plain.span.bytes, label) }
            }
        } catch {
            if header.opcode?.isAboutAnother == true, !error.status.closesConnection {
                // Without an answer of its own: what cannot be read of it fails the request that it is
                // about, if that is open.
                loop.counters.failedRequests += 1
                end(header.requestID, error)
            } else {
                refuse(header, error)
            }
        }
    }

    /// Meta items and body of the frame, if it is a request that may be sent now.
    private func open(_ frame: Frame, _ payload: RawSpan) throws(Refusal) -> Payload {
        let header = frame.header
        guard !header.isResponse, header.opcode?.isFromServerOnly != true else {
            throw Refusal(.wrongDirection(opcode: header.rawOpcode))
        }
        guard hasGreeted || header.opcode == .hello else {
            throw Refusal(
                .helloRequired, "\(header.opcode?.name ?? "a request") before HELLO",
                hint: "begin with HELLO")
        }
        guard !hasGreeted || header.opcode != .hello else {
            throw Refusal(.unexpectedHello, "HELLO twice on one connection")
        }
        let opened: Payload
        do throws(WireError) {
            opened = try frame.open(
                payload, acceptsLZ4: features.contains(.lz4), limits: shared.limits.wire)
        } catch {
            throw Refusal(error)
        }
        let requestID = header.requestID
        guard requestID != 0 else {
            throw Refusal(.valueOutOfRange, "request id 0", hint: "0 is for GOAWAY: begin with 1")
        }
        // Of any operation: two answers with one id could not be told apart.
        guard open.isEmpty || open[requestID] == nil || header.opcode?.isAboutAnother == true
        else {
            throw Refusal(.requestIDInUse, "request id \(requestID) is still open")
        }
        return opened
    }

    /// Checks that the connection's token allows the operation.
    func requireScope(_ header: FrameHeader) throws(Refusal) {
        guard let opcode = header.opcode else { return }
        let needed = Scopes.needed(for: opcode)
        guard scopes.isSuperset(of: needed) else {
            throw Self.scopeMissing(opcode)
        }
    }

    /// - Parameter label: of the snapshot that shall answer; nil for the current one.
    func answer(
        _ header: FrameHeader, _ body: RawSpan, _ label: String?
    ) throws(Refusal) {
        try requireScope(header)
        if header.opcode == .lookup, loop.phase != .refusing {
            try answerLookup(header, body, label)
            return
        }
        // Answers of one turn keep the order of their requests.
        loop.answerLookups()
        let request: Request
        do throws(WireError) {
            request = try Request(decoding: body, of: header, limits: shared.limits.wire)
        } catch {
            throw Refusal(error)
        }
        loop.counters.otherRequests += 1
        if loop.phase == .refusing, header.opcode != .ping,
            header.opcode?.isAboutAnother != true
        {
            throw Refusal(.draining, "the server is stopping", hint: "connect again")
        }
        let served = try served(label)
        switch request {
        case .hello(let hello):
            try greet(header, hello)
        case .ping(let ping):
            respond(
                .ping(PingResponse(token: ping.token, generation: served.generation)), header)
        case .describe:
            respond(.describe(served.description(features)), header)
        case .segments(let request):
            respond(.segments(try segmentsAnswer(served, request)), header)
        case .segmentProfiles(let request):
            // Reads a file.
            try scan(header) { () throws(Refusal) in
                .segmentProfiles(try segmentProfilesAnswer(served, request))
            }
        case .topProducts(let request):
            try scan(header) { () throws(Refusal) in
                .topProducts(try topProductsAnswer(served, request))
            }
        case .topCustomers(let request):
            try scan(header) { () throws(Refusal) in
                .topCustomers(try topCustomersAnswer(served, request))
            }
        case .similar(let request):
            try scan(header) { () throws(Refusal) in
                .similar(try similarAnswer(served, request))
            }
        case .offerProducts(let request):
            try scan(header) { () throws(Refusal) in
                .offerProducts(try offerProductsAnswer(served, request))
            }
        case .offerCustomers(let request):
            try scan(header) { () throws(Refusal) in
                .offerCustomers(try offerCustomersAnswer(served, request))
            }
        case .explain(let request):
            // The first one of a generation may read all purchases.
            let models = shared.models
            try scan(header, on: shared.queues.explanations) { () throws(Refusal) in
                .explain(try explainAnswer(served, models, request))
            }
        case .count(let request):
            try stream(header, credit: nil) { () throws(Refusal) in
                try CustomerStream(counting: request, served, requestID: header.requestID)
            }
        case .audience(let request), .scan(let request):
            let (opcode, limit) = (
                request.rule == nil ? Opcode.scan : .audience, peerFrameByteCount
            )
            let compresses = features.contains(.lz4)
            try stream(header, credit: Int(request.credit)) { () throws(Refusal) in
                try CustomerStream(
                    served, request, opcode, requestID: header.requestID, frameByteCount: limit,
                    compresses: compresses)
            }
        case .credit(let message): give(Int(message.credit), to: header)
        case .cancel: cancel(header)
        case .models, .snapshot, .publish, .stats, .drain, .shadow:
            try administer(header, request)
        case .append, .erase, .lookup, .score:
            preconditionFailure("these are answered above or refused")
        }
    }

    // MARK: Operations

    private func greet(_ header: FrameHeader, _ hello: HelloRequest) throws(Refusal) {
        let negotiation: Negotiation
        do throws(WireError) {
            negotiation = try Negotiation(of: hello)
        } catch {
            throw Refusal(error)
        }
        if let tokens = loop.tokens {
            guard let token = hello.token else {
                refuseCredential(header, because: "there is none")
                return
            }
            switch tokens.find(token, today: loop.today()) {
            case .accepted(let entry):
                scopes = entry.scopes
                tokenName = entry.name
                credential = entry
            case .expired(let name):
                refuseCredential(header, because: "the token of \(name) has expired")
                return
            case .unknown:
                refuseCredential(header, because: "the token is unknown")
                return
            }
        } else {
            scopes = .all
        }
        hasGreeted = true
        features = negotiation.features
        peerFrameByteCount = Int(hello.maximumFrameBytes)
        let limits = shared.limits
        var response = HelloResponse(serverName: "patron")
        response.version = negotiation.version
        response.activeFeatures = negotiation.features
        response.maximumFrameBytes = UInt32(clamping: limits.wire.frameBytes)
        response.maximumLookupIDs = UInt32(clamping: limits.wire.lookupIDs)
        response.maximumInFlight = UInt32(clamping: limits.inFlightPerConnection)
        response.idleMilliseconds = UInt32(
            clamping: TimeAmount(limits.idleTimeout).nanoseconds / 1_000_000)
        response.defaultDeadlineMilliseconds = UInt32(
            clamping: limits.defaultDeadline.map { TimeAmount($0).nanoseconds / 1_000_000 } ?? 0)
        response.generation = loop.served.generation
        response.asOfDay = loop.served.stamp.asOfDay
        respond(.hello(response), header)
        if loop.phase == .goingAway { sendGoAway() }
    }

    /// The fast path: takes a look-up of one customer by an integer id that asks for the columns of
    /// the connection's latest one, and has it wait for those of other connections. In steady state
    /// it allocates nothing.
    /// - Returns: whether it was one; every other frame goes the long way, which checks it.
    func takeLookup(_ header: FrameHeader, _ body: RawSpan) -> Bool {
        guard header.rawOpcode == Opcode.lookup.rawValue, header.flags.isEmpty,
            header.requestID != 0, Int(header.rawLength) == body.byteCount, open.isEmpty,
            let template, template.generation == loop.served.generation,
            loop.phase != .refusing, let id = template.onlyInteger(body)
        else { return false }
        send()
        loop.batch().add(self, requestID: header.requestID, template, id: id)
        return true
    }

    /// What answers a request.
    func served(_ label: String?) throws(Refusal) -> ServedSnapshot {
        guard let label else { return loop.served }
        guard let served = loop.served(labelled: label) else { throw .unknownLabel(label) }
        return served
    }

    /// - Parameter label: one with a label is answered by itself, and needs no template.
    private func answerLookup(
        _ header: FrameHeader, _ body: RawSpan, _ label: String?
    ) throws(Refusal) {
        let served = try served(label)
        let customers = served.snapshot.customers
        let layout: LookupLayout
        let template: LookupTemplate?
        let fields: [LookupField]
        do throws(WireError) {
            layout = try LookupLayout(body, limits: shared.limits.wire)
            if label == nil {
                let found = try loop.templates.template(layout, body, of: served)
                (template, fields) = (found, found.fields)
            } else {
                (template, fields) = (nil, try served.fields(layout, body))
            }
        } catch {
            throw Refusal(error)
        }
        guard (layout.idKind == .text) == customers.holdsTexts else {
            throw Refusal(
                .wrongIDKind, "customer ids are \(customers.holdsTexts ? "texts" : "integers")",
                hint: "DESCRIBE tells the kind of the ids")
        }
        let length =
            FrameHeader.countedBytes
            + LookupAnswer.maximumByteCount(
                stampByteCount: served.stampBytes.count, rowCount: layout.idCount,
                fields: fields)
        guard length <= peerFrameByteCount else { throw tooLarge(length) }
        // Who wants to know times is answered alone.
        if let template, let id = layout.onlyID(body), !features.contains(.timings) {
            self.template = template
            send()
            let batch = loop.batch()
            switch id {
            case .integer(let id):
                batch.add(self, requestID: header.requestID, template, id: id)
            case .text(let place):
                batch.add(
                    self, requestID: header.requestID, template, id: body.extracting(place))
            }
            return
        }
        do throws(WireError) {
            try loop.scratch.find(
                layout, body, in: customers, label == nil ? loop.overlay : served.overlay,
                limits: shared.limits.wire)
        } catch {
            throw Refusal(error)
        }
        if label == nil, let shadow = loop.shadow { note(layout, body, shadow) }
        loop.counters.lookups += 1
        loop.counters.lookupIDs += layout.idCount
        // Answers of one turn keep the order of their requests.
        loop.answerLookups()
        let answer = LookupAnswer(
            strip: served.snapshot.strip, records: label == nil ? loop.overlay.records : nil,
            fields: fields)
        finishLookup(header, served, byteCount: length, timesOfThisTurn) { bodyStart, writer in
            answer.write(&loop.scratch, bodyStart: bodyStart, into: &writer)
        }
    }

    // MARK: Scans

    /// Makes an answer on the scan threads, or those of another queue, and sends it when it is ready.
    func scan(
        _ header: FrameHeader, on queue: ScanQueue? = nil, ticket: ScanTicket = ScanTicket(),
        _ make: @escaping @Sendable () throws(Refusal) -> Response
    ) throws(Refusal) {
        try requireRoom()
        let deadline = deadline(header)
        let style = style
        let readAt = readAt
        let eventLoop = loop.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        let generation = loop.served.generation
        let isQueued = (queue ?? shared.queues.scans).submit(ticket) {
            let begunAt = NIODeadline.now().uptimeNanoseconds
            let response: Response
            do throws(Refusal) {
                guard NIODeadline.now() < deadline else {
                    throw Refusal(.deadlinePassed, "the deadline passed in the queue")
                }
                response = try make()
            } catch {
                var refusal = error
                refusal.body.generation = generation
                response = Self.failure(header, refusal)
            }
            let times = AnswerTimes(
                readAt: readAt, begunAt: begunAt,
                computedAt: NIODeadline.now().uptimeNanoseconds)
            let bytes = style.encode(response, header, times)
            eventLoop.execute { handler.value.finish(header.requestID, ticket, bytes) }
        }
        guard isQueued else { throw Self.tooManyWait }
        open[header.requestID] = OpenRequest(header: header, readAt: readAt, ticket: ticket)
    }

    static let tooManyWait = Refusal(
        .tooManyInFlight, "too many requests wait for a scan thread", hint: "try later")

    /// Checks that the connection may have one more open request.
    func requireRoom() throws(Refusal) {
        guard open.count < shared.limits.inFlightPerConnection else {
            throw Refusal(
                .tooManyInFlight, "\(open.count) requests are open on this connection",
                hint: "wait for answers")
        }
    }

    func deadline(_ header: FrameHeader) -> NIODeadline {
        if header.deadlineMilliseconds == 0 {
            return shared.limits.defaultDeadline.map { .now() + TimeAmount($0) } ?? .distantFuture
        }
        return .now() + .milliseconds(Int64(header.deadlineMilliseconds))
    }

    /// Sends the last answer of a request, unless it was cancelled meanwhile.
    func finish(_ requestID: UInt32, _ ticket: ScanTicket, _ bytes: [UInt8]) {
        guard let request = open[requestID], request.ticket === ticket else { return }
        if context != nil, !isClosing { write(bytes) }
        close(request, Self.status(ofFrame: bytes))
    }

    /// Forgets an open request whose last answer is given to the connection.
    func close(_ request: OpenRequest, _ status: Status) {
        open[request.header.requestID] = nil
        if open.isEmpty { releaseSocket() }
        guard context != nil, !isClosing else { return }
        loop.meters.finished(request.header.rawOpcode, status, since: request.readAt)
        flush()
        closeIfDrained()
    }

    // MARK: Encoding

    /// The status that stands in an encoded answer.
    private static func status(ofFrame bytes: [UInt8]) -> Status {
        Status(rawValue: (20..<24).reversed().reduce(0) { $0 << 8 | UInt32(bytes[$1]) })
    }

    static func failure(_ header: FrameHeader, _ refusal: Refusal) -> Response {
        .failure(
            rawOpcode: header.rawOpcode & ~Opcode.responseBit, refusal.status, refusal.body)
    }

    func respond(_ response: Response, _ header: FrameHeader) {
        let start = loop.output.count
        var times = timesOfThisTurn
        // Its meta block has an item of its own.
        if case .hello = response { times = nil }
        let length = style.write(
            response, header, times, compressing: WireLimits.quicklyCompressedSizes,
            into: &loop.output)
        if length > peerFrameByteCount {
            loop.output.truncate(to: start)
            refuse(header, tooLarge(length))
            return
        }
        loop.meters.answered(header.rawOpcode, .ok)
    }

    func refuse(_ header: FrameHeader, _ refusal: Refusal) {
        // Answers of one turn keep the order of their requests, and leave on their own connections.
        loop.answerLookups()
        loop.counters.failedRequests += 1
        loop.meters.answered(header.rawOpcode, refusal.status)
        if refusal.status.closesConnection {
            loop.counters.protocolErrors += 1
            shared.refusals.note(
                .protocolBroken, .warning, "connection closed: the protocol was broken",
                ["peer": "\(peerName)", "error": "\(refusal.body.text)"])
            endConnection(refusal.status, refusal.body)
            return
        }
        var refusal = refusal
        refusal.body.generation = loop.served.generation
        Self.failure(header, refusal)
            .encodeFrame(requestID: header.requestID, meta: refusal.meta, into: &loop.output)
    }

    private func tooLarge(_ byteCount: Int) -> Refusal {
        Self.tooLarge(byteCount, peerFrameByteCount)
    }

    static func tooLarge(_ byteCount: Int, _ limit: Int) -> Refusal {
        Refusal(
            .answerTooLarge, "the answer takes \(byteCount) bytes, the client accepts \(limit)",
            hint: "ask for fewer ids or columns")
    }
}
