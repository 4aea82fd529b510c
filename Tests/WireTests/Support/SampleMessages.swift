import ByteCoding
import Wire

/// One example of every message, with values that every JSON reader keeps exactly.
enum Samples {
    static let stamp = SnapshotStamp(
        generation: 12, asOfDay: 10_134, currency: "GBP",
        models: [
            .init(name: "lifetime", version: 3, checksum: 0x0102_0304),
            .init(name: "affinity", version: 2, checksum: 0xA0B0_C0D0),
        ])

    // Released vectors stay as they were: features of later releases are not in them.
    static var hello: HelloRequest {
        HelloRequest(optionalFeatures: .clientJunk, clientName: "patron-swift 0.1")
    }

    static var helloWithToken: HelloRequest {
        HelloRequest(
            maximumVersion: 2, maximumFrameBytes: 4_096,
            optionalFeatures: [.timings, .clientJunk], token: Array(0..<32), clientName: "")
    }

    static var helloResponse: HelloResponse {
        var message = HelloResponse(serverName: "patron 0.1")
        message.offeredFeatures = .serverJunk
        message.generation = 12
        message.asOfDay = 10_134
        return message
    }

    static let describe = DescribeResponse(
        stamp: stamp, customerCount: 4_338, productCount: 3_665, customerIDKind: .integer,
        productIDKind: .text,
        columns: [
            .init(
                id: .probabilityAlive, name: "probability_alive", type: .float32,
                unit: "probability", description: "still a customer on the as-of day"),
            .init(
                id: .lifetimeValue, name: "lifetime_value", type: .float64, unit: "GBP",
                description: "discounted margin of the next 52 weeks"),
        ])

    static let oneRow = Table(
        rowCount: 1,
        columns: [
            WireColumn(.rowStatus, .int32([0])),
            WireColumn(.valueTier, .int32([2])),
            WireColumn(.probabilityAlive, .float32([0.75])),
            WireColumn(.lifetimeValue, .float64([123.5])),
            WireColumn(.daysSinceLastPurchase, .int64([-1])),
        ])

    static let manyRows = Table(
        rowCount: 3,
        columns: [
            WireColumn(.rowStatus, .int32([0, 1, 0])),
            WireColumn(
                .probabilityAlive, .float32([0.75, 0, 0.125]),
                validity: ValidityBitmap([true, false, true])),
            WireColumn(
                .lifetimeValue, .float64([123.5, 0, -0.5]),
                validity: ValidityBitmap([true, false, true])),
            WireColumn(
                .firstOfSnapshot, .text(TextArray(["gold", "", "n\u{E9}w"])),
                validity: ValidityBitmap([true, false, true])),
            WireColumn(
                .churnProbability, .float64([0, 0, 0]), validity: ValidityBitmap(missing: 3)),
        ])

    static let topProducts = Table(
        rowCount: 2,
        columns: [
            WireColumn(.entityID, ids: .texts(TextArray(["85123A", "22423"]))),
            WireColumn(.score, .float32([0.875, 0.5])),
        ])

    static let topCustomers = Table(
        rowCount: 2,
        columns: [
            WireColumn(.entityID, ids: .integers([17_850, 12_583])),
            WireColumn(.score, .float32([1.25, 1])),
        ])

    static let offeredProducts = Table(
        rowCount: 2,
        columns: [
            WireColumn(.entityID, ids: .texts(TextArray(["85123A", "22423"]))),
            WireColumn(.score, .float32([0.875, 0.5])),
            WireColumn(.purchaseProbability, .float64([0.25, 0.0625])),
            WireColumn(
                .expectedMargin, .float64([1.5, 0]), validity: ValidityBitmap([true, false])),
            WireColumn(.affinityBasis, .int32([0, 2])),
        ])

    static let offeredCustomers = Table(
        rowCount: 2,
        columns: [
            WireColumn(.entityID, ids: .integers([17_850, 12_583])),
            WireColumn(.score, .float32([1.25, 1])),
            WireColumn(.purchaseProbability, .float64([0.5, 0.375])),
            WireColumn(.expectedMargin, .float64([3, 2.25])),
            WireColumn(.affinityBasis, .int32([0, 0])),
            WireColumn(.promotionLift, .float64([2.5, 0.75])),
        ])

    static var offerProducts: OfferProductsRequest {
        var request = OfferProductsRequest(id: .integer(17_850), count: 10)
        (request.offer, request.rank, request.bought) = (.upSell, .margin, .leftOut)
        (request.lowestPrice, request.highestPrice) = (25_000, 400_000)
        request.largestRatioPercent = 200
        request.categories = ["caf\u{E9}", "garden"]
        request.boughtSince = ["22423"]
        return request
    }

    static var offerCustomers: OfferCustomersRequest {
        var request = OfferCustomersRequest(id: .text("85123A"), count: 2)
        (request.rank, request.isPromoted, request.excludesPurchasers) = (.probability, true, false)
        return request
    }

    static let segments = Table(
        rowCount: 2,
        columns: [
            WireColumn(.segmentation, .text(TextArray(["value", "value"]))),
            WireColumn(.segmentID, .int32([0, 1])),
            WireColumn(.segmentName, .text(TextArray(["best", "rest"]))),
            WireColumn(.segmentCustomerCount, .int64([338, 4_000])),
            WireColumn(.segmentRevenue, .float64([5_000_000.5, 3_911_407.25])),
            WireColumn(.segmentMeanLifetimeValue, .float64([1_024.5, 64.25])),
            WireColumn(.segmentMeanChurnProbability, .float64([0.125, 0.625])),
        ])

    static let describeWithNames: DescribeResponse = {
        var message = describe
        message.columns.append(
            .init(
                id: .firstOfSnapshot, name: "value_segment", type: .int32, unit: "segment",
                description: "segment of value", valueNames: "0 Best customers\n3 Sleeping"))
        return message
    }()

    static let describeWithAffinity: DescribeResponse = {
        var message = describe
        message.affinity = .init(
            variant: .hybrid, offers: [.details, .probabilities, .boughtSince, .coldProducts])
        return message
    }()

    static let segmentsWithProfiles: Table = {
        var table = segments
        table.columns += [
            WireColumn(.segmentMargin, .float64([2_000_000.25, 1_000_000])),
            WireColumn(.segmentMeanExpectedPurchases, .float64([6.5, 0.5])),
            WireColumn(
                .segmentDistinctions, .text(TextArray(["revenue 310 (+1.8)", ""])),
                validity: ValidityBitmap([true, false])),
        ]
        return table
    }()

    static let segmentProfiles = Table(
        rowCount: 3,
        columns: [
            WireColumn(.segmentation, .text(TextArray(["value", "value", "value"]))),
            WireColumn(.segmentID, .int32([0, 3, 3])),
            WireColumn(.profileFeature, .text(TextArray(["revenue", "revenue", "gender"]))),
            WireColumn(
                .profileCategory, .text(TextArray(["", "", "F"])),
                validity: ValidityBitmap([false, false, true])),
            WireColumn(
                .profileMean, .float64([310, 0, 0.75]),
                validity: ValidityBitmap([true, false, true])),
            WireColumn(.profileOverallMean, .float64([100, 100, 0.5])),
            WireColumn(
                .profileIndex, .float64([310, 0, 150]),
                validity: ValidityBitmap([true, false, true])),
            WireColumn(.profileDifference, .float64([1.75, 0, 0.5])),
            WireColumn(.profileMissingShare, .float64([0, 1, 0.25])),
        ])

    static let token = ResumeToken(words: [12, 4_096, 0x0123_4567_89AB_CDEF, 1])

    static let audience = StreamRequest(
        columns: [.lifetimeValue], rule: "lifetime_value > 100 and churn < .5")

    static let chunk = StreamChunk(
        stamp: stamp, scannedCustomers: 4_096, resumeToken: token,
        table: Table(
            rowCount: 2,
            columns: [
                WireColumn(.entityID, .int64([17_850, 13_047])),
                WireColumn(.rowStatus, .int32([0, 0])),
                WireColumn(.lifetimeValue, .float64([123.5, 250.25])),
            ]),
        hasMore: true)

    static let lastChunk: StreamChunk = {
        var last = chunk
        last.scannedCustomers = 4_338
        last.table = Table(
            rowCount: 0,
            columns: [
                WireColumn(.entityID, .int64([])), WireColumn(.rowStatus, .int32([])),
            ])
        last.hasMore = false
        return last
    }()

    static let append = AppendRequest(
        decimals: 2, currency: "GBP",
        lines: Table(
            rowCount: 2,
            columns: [
                WireColumn(.entityID, ids: .integers([17_850, 13_047])),
                WireColumn(.lineDay, .int32([10_135, 10_135])),
                WireColumn(.lineAmount, .int64([1_530, -255])),
                WireColumn(.lineProduct, .text(TextArray(["85123A", "22423"]))),
            ]))

    static let appendOfAll = AppendRequest(
        decimals: 4, currency: "GBP",
        lines: Table(
            rowCount: 3,
            columns: [
                WireColumn(.entityID, ids: .texts(TextArray(["C-1", "", "K\u{F6}ln"]))),
                WireColumn(
                    .lineTime, .int64([875_635_200, 875_635_260, 0]),
                    validity: ValidityBitmap([true, true, false])),
                WireColumn(
                    .lineAmount, .int64([153_000, 0, 20_000]),
                    validity: ValidityBitmap([true, false, true])),
                WireColumn(.lineCost, .int64([100_000, 0, 10_000])),
                WireColumn(.lineQuantity, .float32([6, 1, 0.5])),
                WireColumn(
                    .lineOrder, .text(TextArray(["536365", "536365", ""])),
                    validity: ValidityBitmap([true, true, false])),
                WireColumn(.linePromotion, .text(TextArray(["", "SPRING", ""]))),
                WireColumn(.lineChannel, .text(TextArray(["shop", "shop", "web"]))),
            ]))

    static let appended = AppendResponse(
        stamp: stamp, sequence: 41, acceptedLines: 2, refusedLines: 0, isRepeat: false,
        refusals: AppendResponse.refusals([]))

    static let appendedInPart = AppendResponse(
        stamp: stamp, sequence: 42, acceptedLines: 1, refusedLines: 2, isRepeat: true,
        refusals: AppendResponse.refusals([
            (1, .entityID, .missingCustomerID), (1, .lineAmount, .missingAmount),
            (2, .lineTime, .missingTime),
        ]))

    static let appendedNothing = AppendResponse(
        stamp: stamp, sequence: nil, acceptedLines: 0, refusedLines: 1, isRepeat: false,
        refusals: AppendResponse.refusals([(0, .lineAmount, .amountOutOfRange)]))

    static let notFound = ErrorBody(
        text: "no customer 5", hint: "ids are those of the purchases file", field: "id",
        byteOffset: 8, generation: 12)

    static let goAway = GoAway(
        graceMilliseconds: 30_000,
        reason: ErrorBody(text: "the server is shutting down", hint: "connect again"))

    static var requests: [(name: String, meta: [MetaItem], request: Request)] {
        [
            ("hello_request", [], .hello(hello)),
            ("hello_request_token", [], .hello(helloWithToken)),
            ("ping_request", [], .ping(PingRequest(token: 0x0102_0304_0506_0708))),
            (
                "ping_request_meta",
                [
                    .idempotencyKey(Array(16..<32)), .traceID([0xAB, 0xCD]), .priority(2),
                    .warning("caf\u{E9}"),
                ], .ping(PingRequest(token: 1))
            ),
            ("describe_request", [], .describe),
            ("lookup_request_one", [], .lookup(LookupRequest(ids: .integers([17_850])))),
            (
                "lookup_request_columns", [],
                .lookup(
                    LookupRequest(
                        ids: .integers([17_850, -1, .max]),
                        columns: [.probabilityAlive, .lifetimeValue, .firstOfSnapshot],
                        leavesOutUnknownColumns: true))
            ),
            (
                "lookup_request_text", [],
                .lookup(
                    LookupRequest(
                        ids: .texts(TextArray(["C-1", "", "K\u{F6}ln"])), columns: [.valueTier]))
            ),
            (
                "top_products_request", [],
                .topProducts(TopRequest(id: .integer(17_850), count: 10, excludesPurchased: true))
            ),
            (
                "top_customers_request", [],
                .topCustomers(TopRequest(id: .text("85123A"), count: 2, excludesPurchased: false))
            ),
            ("offer_products_request", [], .offerProducts(offerProducts)),
            (
                "offer_products_request_text", [],
                .offerProducts(OfferProductsRequest(id: .text("C-1"), count: 1))
            ),
            ("offer_customers_request", [], .offerCustomers(offerCustomers)),
            (
                "similar_request", [],
                .similar(SimilarRequest(subject: .product, id: .text("85123A"), count: 2))
            ),
            ("score_request", [], .score(score)),
            ("score_request_plain", [], .score(plainScore)),
            (
                "explain_request", [],
                .explain(ExplainRequest(id: .integer(17_850), segmentation: "value"))
            ),
            (
                "explain_request_text", [],
                .explain(ExplainRequest(id: .text("K\u{F6}ln"), segmentation: "caf\u{E9}"))
            ),
            ("segments_request", [], .segments(SegmentsRequest(segmentation: "value"))),
            ("segments_request_all", [], .segments(SegmentsRequest())),
            (
                "segment_profiles_request", [],
                .segmentProfiles(SegmentsRequest(segmentation: "value"))
            ),
            (
                "count_request", [],
                .count(CountRequest(rule: "value_segment = \"Best ones\" and all"))
            ),
            ("audience_request", [], .audience(audience)),
            ("scan_request", [], .scan(StreamRequest(credit: 16 << 20))),
            (
                "scan_request_resumed", [],
                .scan(StreamRequest(columns: [.valueTier], resumeToken: token))
            ),
            ("append_request", [.idempotencyKey(Array(16..<32))], .append(append)),
            ("append_request_all", [.idempotencyKey(Array(16..<32))], .append(appendOfAll)),
            ("credit", [], .credit(CreditMessage(credit: 65_536))),
            ("cancel", [], .cancel),
        ] + adminRequests + erasures
    }

    static var responses: [(name: String, meta: [MetaItem], response: Response)] {
        func answer(_ table: Table) -> TableAnswer { TableAnswer(stamp: stamp, table: table) }
        return [
            ("hello_response", [], .hello(helloResponse)),
            (
                "ping_response", [],
                .ping(PingResponse(token: 0x0102_0304_0506_0708, generation: 12))
            ),
            ("describe_response", [], .describe(describe)),
            ("describe_response_names", [], .describe(describeWithNames)),
            ("describe_response_affinity", [], .describe(describeWithAffinity)),
            ("lookup_response_one", [], .lookup(answer(oneRow))),
            (
                "lookup_response_many",
                [.timings(queueMicroseconds: 3, computeMicroseconds: 40, encodeMicroseconds: 5)],
                .lookup(answer(manyRows))
            ),
            ("top_products_response", [], .topProducts(answer(topProducts))),
            (
                "top_products_response_empty", [],
                .topProducts(
                    answer(
                        Table(
                            rowCount: 0, subjectStatus: .tooLittleHistory,
                            columns: [
                                WireColumn(.entityID, ids: .texts(TextArray())),
                                WireColumn(.score, .float32([])),
                            ])))
            ),
            ("top_customers_response", [], .topCustomers(answer(topCustomers))),
            ("offer_products_response", [], .offerProducts(answer(offeredProducts))),
            ("offer_customers_response", [], .offerCustomers(answer(offeredCustomers))),
            ("similar_response", [], .similar(answer(topProducts))),
            ("score_response", [], .score(answer(scored))),
            ("explain_response", [], .explain(explained)),
            ("explain_response_rules", [], .explain(explainedByRules)),
            ("segments_response", [], .segments(answer(segments))),
            ("segments_response_profiled", [], .segments(answer(segmentsWithProfiles))),
            ("segment_profiles_response", [], .segmentProfiles(answer(segmentProfiles))),
            (
                "count_response", [],
                .count(
                    CountResponse(stamp: stamp, matchingCustomers: 338, customerCount: 4_338))
            ),
            ("audience_response", [], .audience(chunk)),
            ("scan_response_last", [], .scan(lastChunk)),
            ("append_response", [], .append(appended)),
            ("append_response_refusals", [], .append(appendedInPart)),
            ("append_response_none", [], .append(appendedNothing)),
            ("goaway", [], .goAway(.draining, goAway)),
            (
                "failure_response", [],
                .failure(rawOpcode: Opcode.topProducts.rawValue, .unknownCustomer, notFound)
            ),
            (
                "failure_response_overloaded", [.retryAfterMilliseconds(250)],
                .failure(
                    rawOpcode: Opcode.lookup.rawValue, .tooManyInFlight,
                    ErrorBody(text: "1,024 requests are open on this connection"))
            ),
        ] + adminResponses + receipts
    }
}
