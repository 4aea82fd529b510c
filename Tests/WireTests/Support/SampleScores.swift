import ByteCoding
import Wire

/// SCORE and EXPLAIN.
extension Samples {
    static let score = ScoreRequest(
        columns: [.lifetimeValue, .probabilityAlive], attributes: ["channel", "age"],
        table: Table(
            rowCount: 3,
            columns: [
                WireColumn(.repeatPurchaseCount, .int32([0, 2, 5])),
                WireColumn(.ageAtLastPurchaseDays, .int32([0, 200, 90])),
                WireColumn(.observedAgeDays, .int32([300, 300, 80])),
                WireColumn(
                    .meanOrderValue, .float64([0, 35.5, 12]),
                    validity: ValidityBitmap([false, true, true])),
                WireColumn(.revenue, .float64([20, 91, 60])),
                WireColumn(
                    ScoreRequest.attribute(0), .text(TextArray(["web", "", "caf\u{E9}"])),
                    validity: ValidityBitmap([true, false, true])),
                WireColumn(ScoreRequest.attribute(1), .int32([31, 45, 62])),
            ]))

    static let plainScore = ScoreRequest(
        table: Table(
            rowCount: 1,
            columns: [
                WireColumn(.repeatPurchaseCount, .int32([2])),
                WireColumn(.ageAtLastPurchaseDays, .int32([200])),
                WireColumn(.observedAgeDays, .int32([300])),
            ]))

    static let scored = Table(
        rowCount: 3,
        columns: [
            WireColumn(.rowStatus, .int32([0, 0, 5])),
            WireColumn(
                .lifetimeValue, .float64([12.5, 80.25, 0]),
                validity: ValidityBitmap([true, true, false])),
            WireColumn(
                .probabilityAlive, .float64([1, 0.75, 0]),
                validity: ValidityBitmap([true, true, false])),
        ])

    static let explained = ExplainResponse(
        stamp: stamp, segment: 3, nextSegment: 0, distance: 0.5, nextDistance: 1.25,
        modelVersion: 4,
        table: Table(
            rowCount: 2,
            columns: [
                WireColumn(.profileFeature, .text(TextArray(["revenue", "attribute.channel"]))),
                WireColumn(
                    .explainValue, .float64([310, 0]), validity: ValidityBitmap([true, false])),
                WireColumn(
                    .explainText, .text(TextArray(["", "web"])),
                    validity: ValidityBitmap([false, true])),
                WireColumn(
                    .explainSegmentText, .text(TextArray(["", "web"])),
                    validity: ValidityBitmap([false, true])),
                WireColumn(
                    .explainNextText, .text(TextArray(["", "shop"])),
                    validity: ValidityBitmap([false, true])),
                WireColumn(
                    .profileMean, .float64([300.5, 0]), validity: ValidityBitmap([true, false])),
                WireColumn(
                    .explainNextMean, .float64([20.25, 0]), validity: ValidityBitmap([true, false])),
                WireColumn(
                    .profileOverallMean, .float64([100, 0]),
                    validity: ValidityBitmap([true, false])
                ),
                WireColumn(.explainDifference, .float64([1, 0.3125])),
                WireColumn(.explainShare, .float64([0.75, 0.25])),
            ]))

    static let explainedByRules = ExplainResponse(
        stamp: stamp, segment: -1, nextSegment: nil, distance: nil, nextDistance: nil,
        modelVersion: 1,
        table: Table(
            rowCount: 1,
            columns: [
                WireColumn(.profileFeature, .text(TextArray(["daysSinceLastPurchase"]))),
                WireColumn(.explainValue, .float64([12])),
            ]))
}

extension ErrorVector {
    static var scores: [ErrorVector] {
        let plain = Request.score(Samples.plainScore)
        let full = Request.score(Samples.score)
        let explain = Request.explain(ExplainRequest(id: .integer(1), segmentation: "value"))
        let answer = body(of: encoded(.explain(Samples.explainedByRules)))
        func changed(_ edit: (inout [UInt8]) -> Void) -> [UInt8] {
            var bytes = answer
            edit(&bytes)
            return RawFrame(.explain, response: true, body: bytes).bytes
        }
        var empty = Samples.plainScore
        empty.table.rowCount = 0
        empty.table.columns = ScoreRequest.needed.map { WireColumn($0, .int32([])) }
        var lacking = Samples.plainScore
        lacking.table.columns.removeLast()
        var wrong = Samples.plainScore
        wrong.table.columns[0] = WireColumn(.repeatPurchaseCount, .float64([2]))
        var twice = Samples.score
        twice.attributes = ["age", "age"]
        var nameless = Samples.score
        nameless.attributes = ["", "age"]
        var without = Samples.score
        without.table.columns.removeLast()
        var duplicate = Samples.score
        duplicate.columns = [.lifetimeValue, .lifetimeValue]
        return [
            .init(
                name: "score_no_rows", about: "rowCount 0", status: .valueOutOfRange,
                bytes: encoded(.score(empty))),
            .init(
                name: "score_too_many_rows", about: "rowCount 65,537: refused before its bytes",
                status: .tooManyItems,
                bytes: edited(plain) { $0.replaceSubrange(64..<68, with: [1, 0, 1, 0]) }),
            .init(
                name: "score_lacks_column", about: "no column observedAgeDays",
                status: .unknownColumn, bytes: encoded(.score(lacking))),
            .init(
                name: "score_column_type", about: "repeatPurchaseCount of type float64",
                status: .unknownColumn, bytes: encoded(.score(wrong))),
            .init(
                name: "score_attribute_twice", about: "two attributes of one name",
                status: .valueOutOfRange, bytes: encoded(.score(twice))),
            .init(
                name: "score_attribute_nameless", about: "an attribute without a name",
                status: .valueOutOfRange, bytes: encoded(.score(nameless))),
            .init(
                name: "score_attribute_values", about: "a named attribute without its column 65",
                status: .unknownColumn, bytes: encoded(.score(without))),
            .init(
                name: "score_duplicate_column", about: "column 19 asked for twice",
                status: .duplicateColumn, bytes: encoded(.score(duplicate))),
            .init(
                name: "score_reserved", about: "a zero field is 1", status: .nonzeroReserved,
                bytes: edited(plain) { $0[4] = 1 }),
            .init(
                name: "score_padding", about: "what lies before the table is not zero",
                status: .nonzeroReserved, bytes: edited(plain) { $0[63] = 1 }),
            .init(
                name: "score_cut", about: "the attributes are cut", status: .truncatedBody,
                bytes: edited(full) { $0.removeSubrange(14...) }),
            .init(
                name: "score_trailing", about: "a byte after the last buffer",
                status: .trailingBytes, bytes: edited(full) { $0.append(0) }),
            .init(
                name: "explain_nameless", about: "nameBytes 0", status: .valueOutOfRange,
                bytes: edited(explain) { $0[2] = 0 }),
            .init(
                name: "explain_reserved", about: "a zero field is 1", status: .nonzeroReserved,
                bytes: edited(explain) { $0[1] = 1 }),
            .init(
                name: "explain_cut", about: "a name of 5 bytes, 4 are there",
                status: .truncatedBody, bytes: edited(explain) { $0.removeLast() }),
            .init(
                name: "explain_unknown_facts", about: "bit 3 of what is known", asServer: false,
                status: .nonzeroReserved, bytes: changed { $0[128 + 24] = 8 }),
            .init(
                name: "explain_distance_unsaid", about: "a distance that is not said to be known",
                asServer: false, status: .nonzeroReserved, bytes: changed { $0[128 + 15] = 0x3F }),
            .init(
                name: "explain_distance", about: "a distance below 0", asServer: false,
                status: .valueOutOfRange,
                bytes: changed {
                    $0[128 + 24] = 1
                    $0[128 + 15] = 0xBF
                }),
        ]
    }
}
