package import ByteCoding

/// What a client asks.
package enum Request: Sendable, Equatable {
    case hello(HelloRequest)
    case ping(PingRequest)
    case describe
    case lookup(LookupRequest)
    case score(ScoreRequest)
    case explain(ExplainRequest)
    case topProducts(TopRequest)
    case topCustomers(TopRequest)
    case similar(SimilarRequest)
    case segments(SegmentsRequest)
    case segmentProfiles(SegmentsRequest)
    case offerProducts(OfferProductsRequest)
    case offerCustomers(OfferCustomersRequest)
    case count(CountRequest)
    case audience(StreamRequest)
    case scan(StreamRequest)
    case append(AppendRequest)
    case erase(EraseRequest)
    /// More bytes for the stream of the frame's requestID.
    case credit(CreditMessage)
    /// Ends the request of the frame's requestID. Its body is empty.
    case cancel
    case models(ModelsRequest)
    /// Its body is empty, as those of `stats` and `drain`.
    case snapshot
    case publish(PublishRequest)
    case stats
    case drain
    case shadow(ShadowRequest)

    package var opcode: Opcode {
        switch self {
        case .hello: .hello
        case .ping: .ping
        case .describe: .describe
        case .lookup: .lookup
        case .score: .score
        case .explain: .explain
        case .topProducts: .topProducts
        case .topCustomers: .topCustomers
        case .similar: .similar
        case .segments: .segments
        case .segmentProfiles: .segmentProfiles
        case .offerProducts: .offerProducts
        case .offerCustomers: .offerCustomers
        case .count: .count
        case .audience: .audience
        case .scan: .scan
        case .append: .append
        case .erase: .erase
        case .credit: .credit
        case .cancel: .cancel
        case .models: .models
        case .snapshot: .snapshot
        case .publish: .publish
        case .stats: .stats
        case .drain: .drain
        case .shadow: .shadow
        }
    }

    /// Reads the body of a request.
    ///
    /// Throws: wrongDirection (closes) for an answer's opcode or GOAWAY, unsupportedOperation for
    /// an unknown one, and the errors of the message.
    package init(
        decoding body: RawSpan, of header: FrameHeader, limits: WireLimits = .standard
    ) throws(WireError) {
        guard !header.isResponse else { throw .wrongDirection(opcode: header.rawOpcode) }
        guard let opcode = header.opcode else {
            throw .unsupportedOperation(opcode: header.rawOpcode)
        }
        switch opcode {
        case .hello: self = .hello(try HelloRequest(decoding: body))
        case .ping: self = .ping(try PingRequest(decoding: body))
        case .goAway, .progress: throw .wrongDirection(opcode: header.rawOpcode)
        case .describe:
            try body.requireEnd(at: 0)
            self = .describe
        case .lookup: self = .lookup(try LookupRequest(decoding: body, limits: limits))
        case .score: self = .score(try ScoreRequest(decoding: body, limits: limits))
        case .explain: self = .explain(try ExplainRequest(decoding: body, limits: limits))
        case .topProducts: self = .topProducts(try TopRequest(decoding: body, limits: limits))
        case .topCustomers: self = .topCustomers(try TopRequest(decoding: body, limits: limits))
        case .similar: self = .similar(try SimilarRequest(decoding: body, limits: limits))
        case .segments: self = .segments(try SegmentsRequest(decoding: body))
        case .segmentProfiles: self = .segmentProfiles(try SegmentsRequest(decoding: body))
        case .offerProducts:
            self = .offerProducts(try OfferProductsRequest(decoding: body, limits: limits))
        case .offerCustomers:
            self = .offerCustomers(try OfferCustomersRequest(decoding: body, limits: limits))
        case .count: self = .count(try CountRequest(decoding: body))
        case .audience:
            self = .audience(try StreamRequest(decoding: body, hasRule: true, limits: limits))
        case .scan:
            self = .scan(try StreamRequest(decoding: body, hasRule: false, limits: limits))
        case .append: self = .append(try AppendRequest(decoding: body, limits: limits))
        case .erase: self = .erase(try EraseRequest(decoding: body, limits: limits))
        case .credit: self = .credit(try CreditMessage(decoding: body))
        case .cancel:
            try body.requireEnd(at: 0)
            self = .cancel
        case .models: self = .models(try ModelsRequest(decoding: body))
        case .snapshot:
            try body.requireEnd(at: 0)
            self = .snapshot
        case .publish: self = .publish(try PublishRequest(decoding: body))
        case .stats:
            try body.requireEnd(at: 0)
            self = .stats
        case .drain:
            try body.requireEnd(at: 0)
            self = .drain
        case .shadow: self = .shadow(try ShadowRequest(decoding: body))
        }
    }

    /// Appends a whole frame. HELLO carries a junk meta item that the server ignores.
    ///
    /// - deadlineMilliseconds: from the frame's arrival; 0 for the server's default.
    /// - compressing: sizes of bodies to compress where it pays; nil where that was not agreed on.
    /// - Returns: the `length` of the plain frame, to compare with the peer's limit.
    @discardableResult
    package func encodeFrame(
        requestID: UInt32, deadlineMilliseconds: UInt32 = 0, meta: [MetaItem] = [],
        compressing sizes: ClosedRange<Int>? = nil, into writer: inout ByteWriter
    ) -> Int {
        var items = meta
        if case .hello = self { items.append(.junk) }
        let frame = writer.beginFrame(
            rawOpcode: opcode.rawValue, requestID: requestID, aux: deadlineMilliseconds,
            meta: items)
        switch self {
        case .hello(let message): message.encode(into: &writer)
        case .ping(let message): message.encode(into: &writer)
        case .describe: break
        case .lookup(let message): message.encode(into: &writer)
        case .score(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .explain(let message): message.encode(into: &writer)
        case .topProducts(let message), .topCustomers(let message): message.encode(into: &writer)
        case .similar(let message): message.encode(into: &writer)
        case .segments(let message), .segmentProfiles(let message): message.encode(into: &writer)
        case .offerProducts(let message): message.encode(into: &writer)
        case .offerCustomers(let message): message.encode(into: &writer)
        case .count(let message): message.encode(into: &writer)
        case .audience(let message), .scan(let message): message.encode(into: &writer)
        case .append(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .erase(let message): message.encode(into: &writer)
        case .credit(let message): message.encode(into: &writer)
        case .models(let message): message.encode(into: &writer)
        case .publish(let message): message.encode(into: &writer)
        case .shadow(let message): message.encode(into: &writer)
        case .cancel, .snapshot, .stats, .drain: break
        }
        return writer.finishFrame(frame, compressing: sizes)
    }
}

/// What a server answers, or says unasked (GOAWAY).
package enum Response: Sendable, Equatable {
    case hello(HelloResponse)
    case ping(PingResponse)
    case goAway(Status, GoAway)
    case describe(DescribeResponse)
    case lookup(TableAnswer)
    case score(TableAnswer)
    case explain(ExplainResponse)
    case topProducts(TableAnswer)
    case topCustomers(TableAnswer)
    case similar(TableAnswer)
    case segments(TableAnswer)
    case segmentProfiles(TableAnswer)
    case offerProducts(TableAnswer)
    case offerCustomers(TableAnswer)
    case count(CountResponse)
    case audience(StreamChunk)
    case scan(StreamChunk)
    case append(AppendResponse)
    case erase(EraseResponse)
    case models(TableAnswer)
    case snapshot(TableAnswer)
    case publish(PublishResponse)
    case stats(TableAnswer)
    case drain(DrainResponse)
    case shadow(ShadowReport)
    /// How far the open request of the frame's requestID is; no answer.
    case progress(ProgressMessage)
    /// A request failed. The opcode is the request's, known to this release or not.
    case failure(rawOpcode: UInt16, Status, ErrorBody)

    package var rawOpcode: UInt16 {
        switch self {
        case .hello: Opcode.hello.rawValue
        case .ping: Opcode.ping.rawValue
        case .goAway: Opcode.goAway.rawValue
        case .describe: Opcode.describe.rawValue
        case .lookup: Opcode.lookup.rawValue
        case .score: Opcode.score.rawValue
        case .explain: Opcode.explain.rawValue
        case .topProducts: Opcode.topProducts.rawValue
        case .topCustomers: Opcode.topCustomers.rawValue
        case .similar: Opcode.similar.rawValue
        case .segments: Opcode.segments.rawValue
        case .segmentProfiles: Opcode.segmentProfiles.rawValue
        case .offerProducts: Opcode.offerProducts.rawValue
        case .offerCustomers: Opcode.offerCustomers.rawValue
        case .count: Opcode.count.rawValue
        case .audience: Opcode.audience.rawValue
        case .scan: Opcode.scan.rawValue
        case .append: Opcode.append.rawValue
        case .erase: Opcode.erase.rawValue
        case .models: Opcode.models.rawValue
        case .snapshot: Opcode.snapshot.rawValue
        case .publish: Opcode.publish.rawValue
        case .stats: Opcode.stats.rawValue
        case .drain: Opcode.drain.rawValue
        case .shadow: Opcode.shadow.rawValue
        case .progress: Opcode.progress.rawValue
        case .failure(let rawOpcode, _, _): rawOpcode & ~Opcode.responseBit
        }
    }

    /// Whether another frame of the same answer follows.
    private var hasMore: Bool {
        switch self {
        case .audience(let chunk), .scan(let chunk): chunk.hasMore
        default: false
        }
    }

    package var status: Status {
        switch self {
        case .goAway(let status, _), .failure(_, let status, _): status
        default: .ok
        }
    }

    /// Reads the body of an answer.
    ///
    /// Throws: wrongDirection for a request's opcode, unsupportedOperation for an unknown one,
    /// and the errors of the message. A client that meets any of them closes the connection.
    package init(
        decoding body: RawSpan, of header: FrameHeader, limits: WireLimits = .standard
    ) throws(WireError) {
        guard header.isResponse else { throw .wrongDirection(opcode: header.rawOpcode) }
        guard header.opcode?.isAboutAnother != true else {
            throw .wrongDirection(opcode: header.rawOpcode)
        }
        if header.opcode == .goAway {
            self = .goAway(header.status, try GoAway(decoding: body))
            return
        }
        guard header.status.isOK else {
            self = .failure(
                rawOpcode: header.rawOpcode & ~Opcode.responseBit, header.status,
                try ErrorBody(decoding: body))
            return
        }
        guard let opcode = header.opcode else {
            throw .unsupportedOperation(opcode: header.rawOpcode)
        }
        switch opcode {
        case .hello: self = .hello(try HelloResponse(decoding: body))
        case .ping: self = .ping(try PingResponse(decoding: body))
        case .goAway: throw .wrongDirection(opcode: header.rawOpcode)
        case .describe: self = .describe(try DescribeResponse(decoding: body, limits: limits))
        case .lookup: self = .lookup(try TableAnswer(decoding: body, limits: limits))
        case .score: self = .score(try TableAnswer(decoding: body, limits: limits))
        case .explain: self = .explain(try ExplainResponse(decoding: body, limits: limits))
        case .topProducts: self = .topProducts(try TableAnswer(decoding: body, limits: limits))
        case .topCustomers: self = .topCustomers(try TableAnswer(decoding: body, limits: limits))
        case .similar: self = .similar(try TableAnswer(decoding: body, limits: limits))
        case .segments: self = .segments(try TableAnswer(decoding: body, limits: limits))
        case .segmentProfiles:
            self = .segmentProfiles(try TableAnswer(decoding: body, limits: limits))
        case .offerProducts:
            self = .offerProducts(try TableAnswer(decoding: body, limits: limits))
        case .offerCustomers:
            self = .offerCustomers(try TableAnswer(decoding: body, limits: limits))
        case .count: self = .count(try CountResponse(decoding: body))
        case .audience:
            self = .audience(
                try StreamChunk(
                    decoding: body, hasMore: header.flags.contains(.more), limits: limits))
        case .scan:
            self = .scan(
                try StreamChunk(
                    decoding: body, hasMore: header.flags.contains(.more), limits: limits))
        case .append: self = .append(try AppendResponse(decoding: body, limits: limits))
        case .erase: self = .erase(try EraseResponse(decoding: body, limits: limits))
        case .models: self = .models(try TableAnswer(decoding: body, limits: limits))
        case .snapshot: self = .snapshot(try TableAnswer(decoding: body, limits: limits))
        case .publish: self = .publish(try PublishResponse(decoding: body))
        case .stats: self = .stats(try TableAnswer(decoding: body, limits: limits))
        case .drain: self = .drain(try DrainResponse(decoding: body))
        case .shadow: self = .shadow(try ShadowReport(decoding: body, limits: limits))
        case .progress: self = .progress(try ProgressMessage(decoding: body))
        case .credit, .cancel: throw .wrongDirection(opcode: header.rawOpcode)
        }
    }

    /// Appends a whole frame. The answer to HELLO carries a junk meta item that the client
    /// ignores.
    ///
    /// - compressing: sizes of bodies to compress where it pays; nil where that was not agreed on.
    /// - encodeTime: asked when all else is written, in microseconds, where the item timings is the
    ///   last of `meta`.
    /// - Returns: the `length` of the plain frame, to compare with the peer's limit.
    @discardableResult
    package func encodeFrame(
        requestID: UInt32, meta: [MetaItem] = [], compressing sizes: ClosedRange<Int>? = nil,
        encodeTime: (() -> UInt32)? = nil, into writer: inout ByteWriter
    ) -> Int {
        var items = meta
        if case .hello = self { items.append(.junk) }
        let frame = writer.beginFrame(
            rawOpcode: rawOpcode | Opcode.responseBit, requestID: requestID, aux: status.rawValue,
            flags: hasMore ? .more : [], meta: items)
        switch self {
        case .hello(let message): message.encode(into: &writer)
        case .ping(let message): message.encode(into: &writer)
        case .goAway(_, let message): message.encode(into: &writer)
        case .describe(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .explain(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .lookup(let message), .score(let message), .topProducts(let message),
            .topCustomers(let message), .similar(let message), .segments(let message),
            .segmentProfiles(let message), .offerProducts(let message),
            .offerCustomers(let message), .models(let message), .snapshot(let message),
            .stats(let message):
            message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .count(let message): message.encode(into: &writer)
        case .audience(let message), .scan(let message):
            message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .append(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .erase(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .publish(let message): message.encode(into: &writer)
        case .drain(let message): message.encode(into: &writer)
        case .shadow(let message): message.encode(bodyStart: frame.bodyStart, into: &writer)
        case .progress(let message): message.encode(into: &writer)
        case .failure(_, _, let message): message.encode(into: &writer)
        }
        return writer.finishFrame(frame, compressing: sizes, encodeTime: encodeTime)
    }

    /// The answer that reports unreadable bytes: GOAWAY for a fault that ends the connection,
    /// otherwise a failure of the request.
    package init(_ error: WireError, rawOpcode: UInt16, generation: UInt64 = 0) {
        let body = ErrorBody(error, generation: generation)
        self =
            error.closesConnection
            ? .goAway(error.status, GoAway(graceMilliseconds: 0, reason: body))
            : .failure(rawOpcode: rawOpcode & ~Opcode.responseBit, error.status, body)
    }
}
