import ByteCoding
import Wire

extension Samples {
    static var adminRequests: [(name: String, meta: [MetaItem], request: Request)] {
        [
            (
                "lookup_request_labelled", [.modelLabel("canary")],
                .lookup(LookupRequest(ids: .integers([17_850])))
            ),
            ("models_request", [], .models(.list)),
            ("models_request_set", [], .models(.set(label: "canary", generation: 13))),
            ("models_request_remove", [], .models(.remove(label: "canary"))),
            ("snapshot_request", [], .snapshot),
            ("publish_request", [], .publish(PublishRequest(generation: 13))),
            ("stats_request", [], .stats),
            ("drain_request", [], .drain),
            (
                "shadow_request", [],
                .shadow(.start(.label("canary"), partsPerMillion: 10_000))
            ),
            (
                "shadow_request_generation", [],
                .shadow(.start(.generation(13), partsPerMillion: 1_000_000))
            ),
            ("shadow_request_report", [], .shadow(.report)),
            ("shadow_request_stop", [], .shadow(.stop)),
        ]
    }

    /// Of the generation after that of `stamp`.
    static let candidateStamp = SnapshotStamp(
        generation: 13, asOfDay: 10_141, currency: "GBP",
        models: [SnapshotStamp.Model(name: "lifetime", version: 4, checksum: 0x0506_0708)])

    private static let models = Table(
        rowCount: 3,
        columns: [
            WireColumn(.label, .text(TextArray(["stable", "stable", "canary"]))),
            WireColumn(.generation, .int64([12, 12, 13])),
            WireColumn(
                .generationAsOfDay, .int32([10_134, 10_134, 0]),
                validity: ValidityBitmap([true, true, false])),
            WireColumn(
                .modelName, .text(TextArray(["lifetime", "affinity", ""])),
                validity: ValidityBitmap([true, true, false])),
            WireColumn(
                .modelVersion, .int64([3, 2, 0]), validity: ValidityBitmap([true, true, false])),
            WireColumn(
                .modelChecksum, .int64([0x0102_0304, 0xA0B0_C0D0, 0]),
                validity: ValidityBitmap([true, true, false])),
            WireColumn(
                .generationProblem, .text(TextArray(["", "", "it is not there"])),
                validity: ValidityBitmap([false, false, true])),
        ])

    private static let generations = Table(
        rowCount: 2,
        columns: [
            WireColumn(.generation, .int64([12, 13])),
            WireColumn(.generationState, .int32([3, 4])),
            WireColumn(.generationLabels, .text(TextArray(["", "canary"]))),
            WireColumn(.generationAsOfDay, .int32([10_134, 10_141])),
            WireColumn(.generationCustomerCount, .int64([4_338, 4_402])),
            WireColumn(.generationByteCount, .int64([2_097_152, 2_130_000])),
            WireColumn(
                .generationModels, .text(TextArray(["lifetime 3, affinity 2", "lifetime 4"]))),
        ])

    private static let stats = Table(
        rowCount: 2,
        columns: [
            WireColumn(.statGroup, .text(TextArray(["server", "LOOKUP"]))),
            WireColumn(.statName, .text(TextArray(["connections", "p99"]))),
            WireColumn(.statValue, .float64([12, 0.000_25])),
            WireColumn(.statUnit, .text(TextArray(["", "s"]))),
        ])

    private static let shadow: Table = {
        let none = ValidityBitmap([false])
        return Table(
            rowCount: 1,
            columns: [
                WireColumn(.columnID, .int32([19])),
                WireColumn(.columnName, .text(TextArray(["lifetime_value"]))),
                WireColumn(.shadowCompared, .int64([980])),
                WireColumn(.shadowDiffering, .int64([970])),
                WireColumn(.shadowOnlyCurrent, .int64([20])),
                WireColumn(.shadowOnlyCandidate, .int64([0])),
                WireColumn(.shadowFrom, .int64([0]), validity: none),
                WireColumn(.shadowTo, .int64([0]), validity: none),
                WireColumn(.shadowMoveCount, .int64([0]), validity: none),
                WireColumn(.shadowMeanDifference, .float64([1.25])),
                WireColumn(.shadowLargestDifference, .float64([80])),
                WireColumn(.shadowMedianDifference, .float64([0.5])),
                WireColumn(.shadowDifference90, .float64([2])),
                WireColumn(.shadowDifference99, .float64([16])),
            ])
    }()

    private static let shadowMoves: Table = {
        let counts = ValidityBitmap([true, false])
        let moves = ValidityBitmap([false, true])
        return Table(
            rowCount: 2,
            columns: [
                WireColumn(.columnID, .int32([64, 64])),
                WireColumn(.columnName, .text(TextArray(["value_segment", "value_segment"]))),
                WireColumn(.shadowCompared, .int64([1_000, 0]), validity: counts),
                WireColumn(.shadowDiffering, .int64([25, 0]), validity: counts),
                WireColumn(.shadowFrom, .int64([0, 3]), validity: moves),
                WireColumn(.shadowTo, .int64([0, 1]), validity: moves),
                WireColumn(.shadowMoveCount, .int64([0, 25]), validity: moves),
            ])
    }()

    private static let shadowReportOfMoves: ShadowReport = {
        var report = shadowReport
        report.state = .stopped
        report.table = shadowMoves
        return report
    }()

    static let shadowReport = ShadowReport(
        current: stamp, candidate: candidateStamp, state: .running, partsPerMillion: 10_000,
        sampledCount: 1_020, comparedCount: 1_000, onlyInCurrentCount: 12,
        onlyInCandidateCount: 3, droppedCount: 5, elapsedMilliseconds: 60_000, table: shadow)

    static var adminResponses: [(name: String, meta: [MetaItem], response: Response)] {
        func answer(_ table: Table) -> TableAnswer { TableAnswer(stamp: stamp, table: table) }
        return [
            ("models_response", [], .models(answer(models))),
            ("snapshot_response", [], .snapshot(answer(generations))),
            (
                "publish_response", [],
                .publish(
                    PublishResponse(
                        stamp: candidateStamp, previousGeneration: 12,
                        verifiedByteCount: 2_130_000))
            ),
            ("stats_response", [], .stats(answer(stats))),
            ("drain_response", [], .drain(DrainResponse(graceMilliseconds: 30_200))),
            ("shadow_response", [], .shadow(shadowReport)),
            ("shadow_response_moves", [], .shadow(shadowReportOfMoves)),
            (
                "progress", [],
                .progress(ProgressMessage(done: 4_194_304, total: 2_147_483_648, unit: .bytes))
            ),
            (
                "failure_response_label", [],
                .failure(
                    rawOpcode: Opcode.lookup.rawValue, .unknownLabel,
                    ErrorBody(
                        text: "no generation has the label canary",
                        hint: "MODELS lists the labels", generation: 12))
            ),
        ]
    }
}

func meaning(_ request: ModelsRequest) -> JSON {
    let (action, label, generation): (Int64, String?, UInt64) =
        switch request {
        case .list: (0, nil, 0)
        case .set(let label, let generation): (1, label, generation)
        case .remove(let label): (2, label, 0)
        }
    return .object([
        ("action", .integer(action)), ("label", label.map { .string($0) } ?? .null),
        ("generation", .unsigned(generation)),
    ])
}

func meaning(_ request: ShadowRequest) -> JSON {
    let (action, share, label, generation): (Int64, UInt32, String?, UInt64) =
        switch request {
        case .report: (0, 0, nil, 0)
        case .start(.label(let label), let share): (1, share, label, 0)
        case .start(.generation(let generation), let share): (1, share, nil, generation)
        case .stop: (2, 0, nil, 0)
        }
    return .object([
        ("action", .integer(action)), ("partsPerMillion", .integer(Int64(share))),
        ("label", label.map { .string($0) } ?? .null), ("generation", .unsigned(generation)),
    ])
}

func meaning(_ report: ShadowReport) -> JSON {
    .object([
        ("stamp", meaning(report.current)), ("candidate", meaning(report.candidate)),
        ("state", .integer(Int64(report.state.rawValue))),
        ("partsPerMillion", .integer(Int64(report.partsPerMillion))),
        ("sampledCount", .unsigned(report.sampledCount)),
        ("comparedCount", .unsigned(report.comparedCount)),
        ("onlyInCurrentCount", .unsigned(report.onlyInCurrentCount)),
        ("onlyInCandidateCount", .unsigned(report.onlyInCandidateCount)),
        ("droppedCount", .unsigned(report.droppedCount)),
        ("elapsedMilliseconds", .unsigned(report.elapsedMilliseconds)),
        ("table", meaning(report.table)),
    ])
}

func meaning(_ message: ProgressMessage) -> JSON {
    let unit: Int64 =
        switch message.unit {
        case .bytes: 1
        case .customers: 2
        case .other(let number): Int64(number)
        }
    return .object([
        ("done", .unsigned(message.done)), ("total", .unsigned(message.total)),
        ("unit", .integer(unit)),
    ])
}
