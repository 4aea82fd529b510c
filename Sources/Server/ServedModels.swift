import ByteCoding
import Engine
import Logging
import Synchronization
import Wire

/// The models behind what is served, for answers that are more than rows of a snapshot. They are
/// read from the workspace when they are first asked for in a generation, on the thread that asks.
final class ServedModels: Sendable {
    /// Nil where the server was not told the workspace.
    private let folder: String?
    private let logger: Logger
    private let scorings = Mutex(GenerationCache<HistoryScoring>())
    private let explainers = Mutex(GenerationCache<SegmentExplainer>())

    init(folder: String?, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// Read at the first request of a generation; others of it, and of other generations, wait.
    func scoring(of served: ServedSnapshot) throws(Refusal) -> HistoryScoring {
        try scorings.withLock { known throws(Refusal) in
            try known.value(of: served.snapshot.generation) { () throws(Refusal) in
                let folder = try workspace()
                do throws(EngineError) {
                    let found = try HistoryScoring(folder: folder, snapshot: served.snapshot)
                    if let found { return found }
                } catch {
                    throw refusal(error)
                }
                throw Refusal(
                    .notInSnapshot, "this snapshot has no lifetime model",
                    hint: "name one in the plan, train and publish")
            }
        }
    }

    func explainer(of served: ServedSnapshot) throws(Refusal) -> SegmentExplainer {
        try explainers.withLock { known throws(Refusal) in
            try known.value(of: served.snapshot.generation) { () throws(Refusal) in
                let folder = try workspace()
                do throws(EngineError) {
                    return try SegmentExplainer(folder: folder, snapshot: served.snapshot)
                } catch {
                    throw refusal(error)
                }
            }
        }
    }

    /// Forgets what is of generations that are not served any more.
    /// - Parameter generations: the current one and those with labels.
    func keep(_ generations: Set<Int>) {
        scorings.withLock { $0.keep(generations) }
        explainers.withLock { $0.keep(generations) }
    }

    private func workspace() throws(Refusal) -> String {
        guard let folder else {
            throw Refusal(
                .notInSnapshot, "this server knows no models, only a snapshot",
                hint: "serve a workspace")
        }
        return folder
    }

    /// What a client is told; paths and the like are for the log alone.
    func refusal(_ error: EngineError) -> Refusal {
        switch error {
        case .unknownCustomer(_, let reason):
            return Refusal(.unknownCustomer, "no such customer: \(reason)")
        case .unknownModel(let name, let known):
            return Refusal(
                .unknownSegmentation, "no segmentation \(name)",
                hint: known.isEmpty
                    ? "none is published" : "there are: \(known.joined(separator: ", "))")
        case .notExplained(let name, let bases):
            return Refusal(
                .notInSnapshot, "\(name) is made of other segmentations",
                hint: "ask about \(bases.joined(separator: " and "))")
        case .model(_, .badColumn(let name, let reason)):
            return Refusal(
                .valueOutOfRange,
                ErrorBody(
                    text: "attribute \(name): \(reason)", field: WireField.attributes.rawValue))
        case .damagedModel, .noPurchases, .noSnapshot:
            logger.warning(
                "the models of a generation are not there", metadata: ["error": "\(error)"])
            return Refusal(
                .notInSnapshot, "the models behind this snapshot are not there any more",
                hint: "train, score and publish again")
        default:
            logger.error("an answer could not be made", metadata: ["error": "\(error)"])
            return Refusal(
                .internalError, "the answer could not be made; the server's log says why")
        }
    }
}

/// Something of each of the generations that are served at a time: the current one and those with
/// labels, which may be asked for in turn.
private struct GenerationCache<Value: Sendable>: Sendable {
    /// A request may hold on to the generation before.
    private static var limit: Int { GenerationLabels.limit + 2 }

    /// The one asked for latest comes last.
    private var values: [(generation: Int, value: Value)] = []

    mutating func value(
        of generation: Int, _ make: () throws(Refusal) -> Value
    ) throws(Refusal) -> Value {
        if let index = values.firstIndex(where: { $0.generation == generation }) {
            let found = values.remove(at: index)
            values.append(found)
            return found.value
        }
        let made = try make()
        if values.count == Self.limit { values.removeFirst() }
        values.append((generation, made))
        return made
    }

    mutating func keep(_ generations: Set<Int>) {
        values.removeAll { !generations.contains($0.generation) }
    }
}

/// The answer to a SCORE under way.
struct ScoreWork: SlicedAnswer {
    /// Of a slice: with covariates each may take a fraction of a millisecond.
    private static let sliceRowCount = 512

    private let served: ServedSnapshot
    private let models: ServedModels
    private let scoring: HistoryScoring
    private let request: ScoreRequest
    private let histories: HistoryScoring.Histories
    private let header: FrameHeader
    private let style: AnswerStyle
    private var status: [UInt8] = []
    private var columns: [ScoreColumn] = []

    init(
        _ served: ServedSnapshot, _ models: ServedModels, _ body: RequestBody,
        _ limits: WireLimits, _ header: FrameHeader, _ style: AnswerStyle
    ) throws(Refusal) {
        self.served = served
        self.models = models
        request = try body.read { (bytes) throws(Refusal) in
            do throws(WireError) {
                return try ScoreRequest(decoding: bytes, limits: limits)
            } catch {
                throw Refusal(error)
            }
        }
        self.header = header
        self.style = style
        scoring = try models.scoring(of: served)
        histories = HistoryScoring.Histories(request)
    }

    mutating func work() throws(Refusal) -> CustomerStream.Slice {
        let count = histories.count
        let rows = status.count..<min(count, status.count + Self.sliceRowCount)
        do throws(EngineError) {
            let scores = try scoring.scores(of: histories, rows: rows)
            status += scores.status
            if columns.isEmpty {
                columns = scores.columns
            } else {
                for index in columns.indices { columns[index].append(scores.columns[index]) }
            }
        } catch {
            throw models.refusal(error)
        }
        guard status.count == count else { return .working(status.count, of: count) }
        let table = Table(
            rowCount: count,
            columns: [WireColumn(.rowStatus, .int32(status.map { Int32($0) }))]
                + (try chosen().map(WireColumn.init)))
        let answer = Response.score(TableAnswer(stamp: served.stamp, table: table))
        return .frame(style.encode(answer, header, nil), isLast: true)
    }

    /// The columns asked for, in that order.
    private func chosen() throws(Refusal) -> [ScoreColumn] {
        guard let wanted = request.columns else { return columns }
        var chosen: [ScoreColumn] = []
        for (position, id) in wanted.enumerated() {
            guard let column = columns.first(where: { $0.id == id.rawValue }) else {
                throw Refusal(
                    WireError.unknownColumn(id: id.rawValue, byteOffset: 8 + position * 2))
            }
            chosen.append(column)
        }
        return chosen
    }
}

extension HistoryScoring.Histories {
    fileprivate init(_ request: ScoreRequest) {
        let table = request.table
        func integers(_ id: ColumnID) -> [Int32] {
            guard case .int32(let values)? = table[id]?.values else {
                return [Int32](repeating: 0, count: table.rowCount)
            }
            return values
        }
        func numbers(_ id: ColumnID) -> [Double?] {
            guard let column = table[id] else {
                return [Double?](repeating: nil, count: table.rowCount)
            }
            return (0..<table.rowCount).map { column.number($0) }
        }
        let needed = ScoreRequest.needed.compactMap { table[$0] }
        var attributes: [(name: String, values: HistoryScoring.Attribute)] = []
        for (index, name) in request.attributes.enumerated() {
            guard let column = request.values(ofAttribute: index) else { continue }
            let rows = 0..<table.rowCount
            attributes.append(
                (
                    name,
                    column.values.type == .text
                        ? .text(rows.map { column.text($0) })
                        : .number(rows.map { column.number($0) })
                ))
        }
        self.init(
            repeatPurchaseCount: integers(.repeatPurchaseCount),
            ageAtLastPurchaseDays: integers(.ageAtLastPurchaseDays),
            observedAgeDays: integers(.observedAgeDays),
            isComplete: (0..<table.rowCount).map { row in needed.allSatisfy { $0.isValid(row) } },
            meanOrderValue: numbers(.meanOrderValue), revenue: numbers(.revenue),
            attributes: attributes)
    }
}

extension ScoreColumn {
    /// Adds the rows of the same column of later rows.
    fileprivate mutating func append(_ next: ScoreColumn) {
        let (old, new) = (count, next.count)
        switch (values, next.values) {
        case (.int32(let a), .int32(let b)): values = .int32(a + b)
        case (.float32(let a), .float32(let b)): values = .float32(a + b)
        case (.float64(let a), .float64(let b)): values = .float64(a + b)
        default: preconditionFailure("the columns of a model have one type")
        }
        guard valid != nil || next.valid != nil else { return }
        valid =
            (valid ?? [Bool](repeating: true, count: old))
            + (next.valid ?? [Bool](repeating: true, count: new))
    }
}

extension WireColumn {
    /// Rows without a value are 0.
    fileprivate init(_ column: ScoreColumn) {
        let valid = column.valid
        func cleared<Element: Numeric>(_ values: [Element]) -> [Element] {
            guard let valid else { return values }
            return values.indices.map { valid[$0] ? values[$0] : 0 }
        }
        let values: WireValues =
            switch column.values {
            case .int32(let values): .int32(cleared(values))
            case .float32(let values): .float32(cleared(values))
            case .float64(let values): .float64(cleared(values))
            }
        self.init(
            ColumnID(rawValue: column.id), values, validity: valid.map { ValidityBitmap($0) })
    }
}

/// Why a customer is in a segment.
func explainAnswer(
    _ served: ServedSnapshot, _ models: ServedModels, _ request: ExplainRequest
) throws(Refusal) -> ExplainResponse {
    try requireKind(request.id, isText: served.snapshot.customers.holdsTexts, "customer")
    guard served.snapshot.row(of: request.id) != nil else {
        throw Refusal(.unknownCustomer, "no such customer in this snapshot")
    }
    let explainer = try models.explainer(of: served)
    let report: SegmentExplanationReport
    do throws(EngineError) {
        report = try explainer.explain(
            customer: "\(request.id)", segmentation: request.segmentation)
    } catch {
        throw models.refusal(error)
    }
    // Also one who was erased meanwhile.
    try requireNotErased(request.id, served)
    let parts = report.parts
    func numbers(_ id: ColumnID, _ values: [Double?]) -> WireColumn {
        let known = values.map { $0?.isFinite ?? false }
        return WireColumn(
            id, .float64(zip(values, known).map { $1 ? $0 ?? 0 : 0 }),
            validity: known.allSatisfy(\.self) ? nil : ValidityBitmap(known))
    }
    func texts(_ id: ColumnID, _ values: [String?]) -> WireColumn {
        WireColumn(
            id, .text(TextArray(values.map { $0 ?? "" })),
            validity: values.contains { $0 == nil } ? ValidityBitmap(values.map { $0 != nil }) : nil
        )
    }
    let table = Table(
        rowCount: parts.count,
        columns: [
            WireColumn(.profileFeature, .text(TextArray(parts.map(\.feature)))),
            numbers(.explainValue, parts.map(\.value)), texts(.explainText, parts.map(\.text)),
            texts(.explainSegmentText, parts.map(\.segmentText)),
            texts(.explainNextText, parts.map(\.nextText)),
            numbers(.profileMean, parts.map(\.segmentMean)),
            numbers(.explainNextMean, parts.map(\.nextMean)),
            numbers(.profileOverallMean, parts.map(\.overallMean)),
            numbers(.explainDifference, parts.map(\.difference)),
            numbers(.explainShare, parts.map(\.share)),
        ])
    return ExplainResponse(
        stamp: served.stamp, segment: Int32(clamping: report.segment.id),
        nextSegment: report.next.map { Int32(clamping: $0.id) },
        distance: report.segment.distance, nextDistance: report.next?.distance,
        modelVersion: UInt32(clamping: report.modelVersion), table: table)
}
