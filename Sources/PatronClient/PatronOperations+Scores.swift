import ByteCoding
import Wire

/// What is known of a customer who is not in the store.
public struct PurchaseHistory: Sendable, Equatable {
    public enum Attribute: Sendable, Equatable {
        case number(Double)
        case text(String)
    }

    /// Orders after the first.
    public var repeatPurchaseCount: Int
    /// Days from the first to the last order; 0 without a repeat order.
    public var ageAtLastPurchaseDays: Int
    /// Days from the first order to today.
    public var observedAgeDays: Int
    /// Mean revenue of the repeat orders in the snapshot's currency; nil where there are none or it
    /// is not known.
    public var meanOrderValue: Double?
    /// All revenue; nil where it is not known: then there is no simple lifetime value.
    public var revenue: Double?
    /// Attributes of the plan that the lifetime model reads, by name.
    public var attributes: [String: Attribute]

    public init(
        repeatPurchaseCount: Int, ageAtLastPurchaseDays: Int, observedAgeDays: Int,
        meanOrderValue: Double? = nil, revenue: Double? = nil,
        attributes: [String: Attribute] = [:]
    ) {
        self.repeatPurchaseCount = repeatPurchaseCount
        self.ageAtLastPurchaseDays = ageAtLastPurchaseDays
        self.observedAgeDays = observedAgeDays
        self.meanOrderValue = meanOrderValue
        self.revenue = revenue
        self.attributes = attributes
    }
}

/// Why a customer is in a segment and not in the next one.
public struct SegmentExplanation: Sendable, Equatable {
    /// A feature that the segmentation reads.
    public struct Part: Sendable, Equatable {
        public var feature: String
        /// The customer's; nil where it is missing, and for a text.
        public var value: Double?
        public var text: String?
        /// The most frequent texts of the customer's segment and of the next one; nil for numbers, and
        /// where a segment has none.
        public var segmentText: String?
        public var nextText: String?
        public var segmentMean: Double?
        public var nextMean: Double?
        public var overallMean: Double?
        /// The squared distance to the next segment less that to its own: above 0 speaks for its own.
        public var difference: Double?
        public var share: Double?
    }

    public var snapshot: SnapshotInfo
    public var segment: Int
    /// Nil for rules, and where there is only one segment.
    public var nextSegment: Int?
    public var distance: Double?
    public var nextDistance: Double?
    /// Of the segmentation.
    public var modelVersion: Int
    /// What speaks most for or against the segment first; of rules in the order of the model.
    public var parts: [Part]
}

extension PatronOperations {
    /// Scores histories that are not in the store, by the models behind the snapshot: what a customer
    /// with such a history would have in it. A row a history, in their order.
    /// - Parameters:
    ///   - histories: at least one and at most as many as the server takes ids (65,536).
    ///   - columns: ids of the columns wanted, among 16 to 23; nil for all that the models give.
    public func score(
        _ histories: [PurchaseHistory], columns: [UInt16]? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> LookupResult {
        let request = Request.score(try scoreRequest(histories, columns))
        let operation = PatronOperation(request) {
            (response) throws(PatronError) -> LookupResult? in
            guard case .score(let answer) = response else { return nil }
            return LookupResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    private func scoreRequest(
        _ histories: [PurchaseHistory], _ wanted: [UInt16]?
    ) throws(PatronError) -> ScoreRequest {
        func numbers(_ id: ColumnID, _ values: [Double?]) -> WireColumn {
            WireColumn(
                id, .float64(values.map { $0 ?? 0 }),
                validity: values.contains { $0 == nil }
                    ? ValidityBitmap(values.map { $0 != nil }) : nil)
        }
        func integers(_ id: ColumnID, _ values: [Int]) -> WireColumn {
            WireColumn(id, .int32(values.map { Int32(clamping: $0) }))
        }
        var columns = [
            integers(.repeatPurchaseCount, histories.map(\.repeatPurchaseCount)),
            integers(.ageAtLastPurchaseDays, histories.map(\.ageAtLastPurchaseDays)),
            integers(.observedAgeDays, histories.map(\.observedAgeDays)),
            numbers(.meanOrderValue, histories.map(\.meanOrderValue)),
            numbers(.revenue, histories.map(\.revenue)),
        ]
        let names = Set(histories.flatMap { $0.attributes.keys }).sorted()
        for (index, name) in names.enumerated() {
            let values = histories.map { $0.attributes[name] }
            var known: [Double?] = []
            var texts: [String?] = []
            for value in values {
                if case .number(let number)? = value {
                    known.append(number)
                } else {
                    known.append(nil)
                }
                if case .text(let text)? = value { texts.append(text) } else { texts.append(nil) }
            }
            let id = ScoreRequest.attribute(index)
            guard texts.contains(where: { $0 != nil }) else {
                columns.append(numbers(id, known))
                continue
            }
            guard known.allSatisfy({ $0 == nil }) else {
                throw .invalidOption(
                    name: "the attribute \(name)", reason: "is a number here and a text there")
            }
            columns.append(
                WireColumn(
                    id, .text(TextArray(texts.map { $0 ?? "" })),
                    validity: texts.contains { $0 == nil }
                        ? ValidityBitmap(texts.map { $0 != nil }) : nil))
        }
        return ScoreRequest(
            columns: wanted?.map { ColumnID(rawValue: $0) }, attributes: names,
            table: Table(rowCount: histories.count, columns: columns))
    }

    /// Why a customer is in a segment of a segmentation, by the models behind the snapshot. The first
    /// one after a publish takes as long as reading all purchases.
    public func explainSegment(
        of customer: PatronID, in segmentation: String, deadline: Duration? = nil
    ) async throws(PatronError) -> SegmentExplanation {
        let request = ExplainRequest(id: EntityID(customer), segmentation: segmentation)
        let operation = PatronOperation(.explain(request)) {
            (response) throws(PatronError) -> SegmentExplanation? in
            guard case .explain(let answer) = response else { return nil }
            return try SegmentExplanation(answer)
        }
        return try await perform(operation, deadline: deadline)
    }
}

extension SegmentExplanation {
    init(_ answer: ExplainResponse) throws(PatronError) {
        let table = answer.table
        guard case .text(let features)? = table[.profileFeature]?.values else {
            throw .malformedAnswer(reason: "an explanation without features")
        }
        self.init(
            snapshot: SnapshotInfo(answer.stamp), segment: Int(answer.segment),
            nextSegment: answer.nextSegment.map { Int($0) }, distance: answer.distance,
            nextDistance: answer.nextDistance, modelVersion: Int(answer.modelVersion),
            parts: (0..<table.rowCount).map { row in
                Part(
                    feature: features[row], value: table[.explainValue]?.number(row),
                    text: table[.explainText]?.text(row),
                    segmentText: table[.explainSegmentText]?.text(row),
                    nextText: table[.explainNextText]?.text(row),
                    segmentMean: table[.profileMean]?.number(row),
                    nextMean: table[.explainNextMean]?.number(row),
                    overallMean: table[.profileOverallMean]?.number(row),
                    difference: table[.explainDifference]?.number(row),
                    share: table[.explainShare]?.number(row))
            })
    }
}
