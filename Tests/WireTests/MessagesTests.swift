import ByteCoding
import Numerical
import Testing
import Wire

struct MessagesTests {
    static func text(_ random: inout SeededRandom, _ count: Int) -> String {
        let alphabet = Array("abcXYZ019 -_\u{E9}\u{4E2D}\u{1F600}")
        return String((0..<random.below(count + 1)).map { _ in alphabet[random.below(15)] })
    }

    static func ids(_ random: inout SeededRandom, _ count: Int) -> IDColumn {
        random.below(2) == 0
            ? .integers((0..<count).map { _ in Int64(bitPattern: random.next()) })
            : .texts(TextArray((0..<count).map { _ in text(&random, 12) }))
    }

    static func request(_ random: inout SeededRandom) -> Request {
        switch random.below(8) {
        case 0:
            var hello = HelloRequest(clientName: text(&random, 40))
            hello.maximumVersion = UInt8(1 + random.below(255))
            hello.optionalFeatures = Features(rawValue: random.next())
            hello.token = random.below(2) == 0 ? nil : (0..<random.below(1_025)).map { _ in 9 }
            return .hello(hello)
        case 1: return .ping(PingRequest(token: random.next()))
        case 2: return .describe
        case 3:
            let columns = (0..<random.below(9)).map { ColumnID(rawValue: UInt16($0 * 7 + 1)) }
            return .lookup(
                LookupRequest(
                    ids: ids(&random, 1 + random.below(50)),
                    columns: columns.isEmpty ? nil : columns,
                    leavesOutUnknownColumns: random.below(2) == 0))
        case 4, 5:
            let top = TopRequest(
                id: ids(&random, 1)[0], count: 1 + random.below(10_000),
                excludesPurchased: random.below(2) == 0)
            return random.below(2) == 0 ? .topProducts(top) : .topCustomers(top)
        case 6: return offerRequest(&random)
        default:
            let name = text(&random, 20)
            return .segments(SegmentsRequest(segmentation: name.isEmpty ? nil : name))
        }
    }

    private static func offerRequest(_ random: inout SeededRandom) -> Request {
        let (id, count) = (ids(&random, 1)[0], 1 + random.below(10_000))
        switch random.below(3) {
        case 0:
            var request = OfferProductsRequest(id: id, count: count)
            request.offer = .allCases[random.below(3)]
            request.rank = .allCases[random.below(2)]
            request.bought = .allCases[random.below(3)]
            request.includesOutOfStock = random.below(2) == 0
            request.lowestPrice = Int64(random.below(1_000))
            request.highestPrice =
                random.below(2) == 0 ? 0 : request.lowestPrice + Int64(random.below(9))
            request.largestRatioPercent = random.below(2) == 0 ? 0 : UInt16(101 + random.below(9))
            request.categories = (0..<random.below(4)).map { _ in text(&random, 30) }
            request.boughtSince = (0..<random.below(3)).map { _ in text(&random, 30) }
            return .offerProducts(request)
        case 1:
            var request = OfferCustomersRequest(id: id, count: count)
            request.rank = .allCases[random.below(2)]
            request.excludesPurchasers = random.below(2) == 0
            request.isPromoted = random.below(2) == 0
            return .offerCustomers(request)
        default:
            return .similar(
                SimilarRequest(subject: .allCases[random.below(2)], id: id, count: count))
        }
    }

    @Test(arguments: 0..<8) func requestsSurviveTheRoundTrip(seed: UInt64) throws {
        var random = SeededRandom(seed: seed, stream: 21)
        for _ in 0..<50 {
            let request = Self.request(&random)
            let meta: [MetaItem] =
                random.below(2) == 0 ? [] : [.traceID([1, 2]), .priority(UInt8(random.below(3)))]
            let requestID = UInt32(truncatingIfNeeded: random.next())
            let bytes = encoded(request, requestID: requestID, meta: meta)
            guard
                case .request(let header, let items, let decoded) = try decodeFrame(
                    bytes, asServer: true)
            else {
                Issue.record("not a request, seed \(seed)")
                return
            }
            #expect(decoded == request, "seed \(seed)")
            #expect(items == meta)
            #expect(header.requestID == requestID)
        }
    }

    /// What a server does for one customer: no array is needed to read the request.
    @Test func layoutReadsIDsInPlace() throws {
        let request = LookupRequest(
            ids: .integers([5, -7]), columns: [.valueTier, .revenue, .margin])
        var writer = ByteWriter()
        request.encode(into: &writer)
        let body = writer.bytes
        let layout = try LookupLayout(body.span.bytes)
        #expect(layout.idCount == 2)
        var ids: [Int64] = [0, 0]
        layout.copyIntegerIDs(body.span.bytes, into: &ids)
        #expect(ids == [5, -7])
        #expect(layout.columns(body.span.bytes) == [.valueTier, .revenue, .margin])
        #expect(body.count == 8 + 8 + 16)
    }

    @Test(arguments: [2, 3, 15, 16, 17, 18, 1_024])
    func aColumnNamedTwiceIsFound(count: Int) throws {
        var columns = (0..<count).map { ColumnID(rawValue: UInt16($0 + 1)) }
        func layout() throws -> LookupLayout {
            var writer = ByteWriter()
            LookupRequest(ids: .integers([5]), columns: columns).encode(into: &writer)
            return try LookupLayout(writer.bytes.span.bytes)
        }
        #expect(try layout().columnCount == count)
        columns[count - 1] = columns[count / 2 - 1]
        #expect(
            throws: WireError.duplicateColumn(
                id: columns[count - 1].rawValue, byteOffset: 8 + (count - 1) * 2)
        ) { try layout() }
    }

    @Test func limitsHoldBeforeTheBytesArrive() throws {
        var limits = WireLimits()
        limits.lookupIDs = 2
        var writer = ByteWriter()
        LookupRequest(ids: .integers([1, 2, 3])).encode(into: &writer)
        // Only the fixed part: had the ids been looked for first, this would be truncatedBody.
        let head = Array(writer.bytes.prefix(8))
        #expect(
            throws: WireError.tooManyItems(field: .idCount, actual: 3, limit: 2, byteOffset: 4)
        ) {
            _ = try LookupLayout(head.span.bytes, limits: limits)
        }
        var huge = ByteWriter()
        huge.append(contentsOf: [2, 0, 0, 0])
        huge.append(UInt32.max)
        let bytes = huge.bytes
        #expect(throws: WireError.self) { _ = try LookupRequest(decoding: bytes.span.bytes) }
    }

    @Test func textIDsAreBounded() {
        let long = String(repeating: "x", count: 1_025)
        let requests: [Request] = [
            .lookup(LookupRequest(ids: .texts(TextArray([long])))),
            .topProducts(TopRequest(id: .text(long), count: 1, excludesPurchased: false)),
        ]
        for request in requests {
            let error = #expect(throws: WireError.self) {
                _ = try decodeFrame(encoded(request), asServer: true)
            }
            #expect(error?.status == .tooManyItems)
        }
    }

    @Test func wordsTooLongAreClippedBetweenCharacters() throws {
        let long = String(repeating: "\u{E9}", count: 3_000)
        let frame = encoded(
            .failure(rawOpcode: 2, .internalError, ErrorBody(text: "a" + long, hint: long)))
        guard
            case .response(_, _, .failure(_, let status, let body)) = try decodeFrame(
                frame, asServer: false)
        else {
            Issue.record("not a failure")
            return
        }
        #expect(status == .internalError)
        #expect(body.text.utf8.count == 1_023)
        #expect(body.hint.utf8.count == 1_024)
    }

    @Test func negotiationIgnoresJunkAndRefusesUnmetNeeds() throws {
        var hello = HelloRequest(clientName: "")
        #expect(!hello.optionalFeatures.isDisjoint(with: .junkMask))
        hello.optionalFeatures = Features(rawValue: .max)
        #expect(try Negotiation(of: hello).features == Features.supported)
        #expect(
            try Negotiation(of: hello, supported: [.timings, .streams]).features
                == [.timings, .streams])
        hello.requiredFeatures = .timings
        #expect(throws: WireError.unsupportedFeature(actual: Features.timings.rawValue)) {
            _ = try Negotiation(of: hello, supported: [])
        }
        hello.minimumVersion = 2
        hello.maximumVersion = 2
        #expect(throws: WireError.unsupportedVersion(actual: 2, supported: 1)) {
            _ = try Negotiation(of: hello)
        }
    }

    /// HELLO carries a junk tag that decoding drops, whoever reads it.
    @Test func helloCarriesJunk() throws {
        let request = encoded(.hello(Samples.hello))
        let response = encoded(.hello(Samples.helloResponse))
        for (bytes, asServer) in [(request, true), (response, false)] {
            #expect(bytes[10] & UInt8(FrameFlags.meta.rawValue) != 0)
            #expect(Array(bytes[36..<38]) == [0x2A, 0x7F])
            switch try decodeFrame(bytes, asServer: asServer) {
            case .request(_, let meta, _), .response(_, let meta, _): #expect(meta == [])
            }
        }
        #expect(!Samples.helloResponse.offeredFeatures.isDisjoint(with: .junkMask))
    }

    @Test func faultsBecomeAnswers() {
        let broken = Response(.badMagic(actual: 1), rawOpcode: 2)
        #expect(broken.status == .badMagic)
        #expect(broken.rawOpcode == Opcode.goAway.rawValue)
        let failed = Response(
            .unsupportedOperation(opcode: 0x7ABC), rawOpcode: 0x7ABC, generation: 4)
        #expect(failed.rawOpcode == 0x7ABC)
        guard case .failure(_, .unsupportedOperation, let body) = failed else {
            Issue.record("not a failure")
            return
        }
        #expect(body.generation == 4)
    }
}
