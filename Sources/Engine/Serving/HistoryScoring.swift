import ByteCoding
import Features
import Models

/// Scores purchase histories that are in no snapshot, by the lifetime model behind one: what a
/// scoring would say of customers with these histories on its as-of day, to the last bit.
package final class HistoryScoring: Sendable {
    /// Histories, a row each; all arrays are of one length.
    package struct Histories: Sendable {
        /// Orders after the first; this and the next two as `CustomerHistory` has them. Rows where one
        /// of the three is missing are of no history: `isComplete`.
        package var repeatPurchaseCount: [Int32]
        package var ageAtLastPurchaseDays: [Int32]
        package var observedAgeDays: [Int32]
        package var isComplete: [Bool]
        /// Mean revenue of the repeat orders, in the plan's currency; nil where it is not known. Not
        /// looked at where there was no repeat order.
        package var meanOrderValue: [Double?]
        /// All revenue net of returns, for the simple formula alone; nil where it is not known.
        package var revenue: [Double?]
        /// Values of attributes that the plan names, by name; others are of no use.
        package var attributes: [(name: String, values: Attribute)]

        package init(
            repeatPurchaseCount: [Int32], ageAtLastPurchaseDays: [Int32],
            observedAgeDays: [Int32], isComplete: [Bool], meanOrderValue: [Double?],
            revenue: [Double?], attributes: [(name: String, values: Attribute)] = []
        ) {
            self.repeatPurchaseCount = repeatPurchaseCount
            self.ageAtLastPurchaseDays = ageAtLastPurchaseDays
            self.observedAgeDays = observedAgeDays
            self.isComplete = isComplete
            self.meanOrderValue = meanOrderValue
            self.revenue = revenue
            self.attributes = attributes
        }

        package var count: Int { repeatPurchaseCount.count }
    }

    /// An attribute's values; nil where a row has none.
    package enum Attribute: Sendable {
        case number([Double?])
        case text([String?])
    }

    /// What came of some rows.
    package struct Scores: Sendable {
        /// 0 ok; 5 where the history is incomplete or contradicts itself.
        package var status: [UInt8]
        /// By ascending id.
        package var columns: [ScoreColumn]
    }

    /// Histories beyond these are refused: models make tables as long as the oldest history.
    package static let largestObservedAgeDays: Int32 = 73_050
    package static let largestRepeatPurchaseCount: Int32 = 1_000_000

    private let plan: Plan
    private let models: LifetimeModels

    /// - Parameter folder: the workspace of the snapshot.
    /// - Returns: nil where the snapshot has no lifetime model.
    /// - Throws: `.damagedModel` where the model behind the snapshot is not there any more.
    package init?(folder: String, snapshot: ServingSnapshot) throws(EngineError) {
        let workspace = try Workspace(folder: folder, access: .reading)
        guard let models = try workspace.lifetimeModels(of: snapshot) else { return nil }
        self.models = models
        plan = workspace.plan
    }

    /// Attributes that the model reads; histories without one count as customers of whom it is not
    /// known.
    package var attributeNames: [String] {
        models.covariates?.encoding.attributes.map(\.name) ?? []
    }

    /// Scores rows, each by itself: it does not matter which are scored together.
    /// - Throws: `.model` for an attribute of another kind than at the training.
    package func scores(
        of histories: Histories, rows: Range<Int>, threadCount: Int = 1
    ) throws(EngineError) -> Scores {
        var data = CustomerHistory()
        for row in rows {
            let x = histories.repeatPurchaseCount[row]
            let (tx, age) = (
                histories.ageAtLastPurchaseDays[row], histories.observedAgeDays[row]
            )
            let isUsable =
                histories.isComplete[row] && x >= 0 && tx >= 0 && age >= 0
                && x <= Self.largestRepeatPurchaseCount && age <= Self.largestObservedAgeDays
                && tx <= age && (x > 0 || tx == 0)
            guard isUsable else {
                data.append(
                    orderCount: 0, firstDay: 0, lastDay: 0, asOf: 0, repeatRevenue: 0, revenue: 0,
                    margin: 0)
                data.status[data.count - 1] = LifetimeScores.notEligible
                continue
            }
            data.append(
                orderCount: Int(x) + 1, firstDay: 0, lastDay: Int(tx), asOf: Int(age),
                repeatRevenue: 0, revenue: histories.revenue[row] ?? 0, margin: 0)
            // Where an order value is asked for, a row without one is not eligible.
            data.meanOrderValue[data.count - 1] =
                x == 0 ? 0 : histories.meanOrderValue[row] ?? .nan
        }
        let columns = try LifetimeColumns(
            of: data, models, covariates(histories, rows, data.status), plan,
            threadCount: threadCount)
        let status = columns.scores.status
        let hasRevenue = rows.map { histories.revenue[$0] != nil }
        let scored = columns.columns(plan).map { column in
            var column = column
            let valid = column.valid ?? [Bool](repeating: true, count: rows.count)
            let isSimple = column.id == ScoreCatalog.Column.simpleLifetimeValue.rawValue
            column.valid = valid.indices.map {
                valid[$0] && status[$0] == 0 && (!isSimple || hasRevenue[$0])
            }
            return column
        }
        return Scores(status: status, columns: scored.sorted { $0.id < $1.id })
    }

    private func covariates(
        _ histories: Histories, _ rows: Range<Int>, _ status: [UInt8]
    ) throws(EngineError) -> [CovariateColumn] {
        guard let covariates = models.covariates else { return [] }
        let given = Dictionary(
            histories.attributes.map { ($0.name, $0.values) },
            uniquingKeysWith: { first, _ in first })
        let columns = covariates.encoding.attributes.map { attribute in
            let values: CustomerAttributes.Values
            switch (given[attribute.name], attribute.values) {
            case (.number(let numbers)?, _):
                let numbers = rows.map { numbers[$0] }
                values = .number(numbers.map { $0 ?? 0 }, valid: numbers.map { $0 != nil })
            case (.text(let texts)?, _): values = .text(CodedText(rows.map { texts[$0] }))
            case (nil, .number):
                values = .number(
                    [Double](repeating: 0, count: rows.count),
                    valid: [Bool](repeating: false, count: rows.count))
            case (nil, .text): values = .text(CodedText(missing: rows.count))
            }
            return CustomerAttributes.Column(name: attribute.name, values: values)
        }
        let ids = IDColumn.integers((0..<rows.count).map { Int64($0) })
        let joined = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try JoinedAttributes(CustomerAttributes(ids: ids, columns: columns), ids)
        }
        return try modelErrors("lifetime") { () throws(ModelError) in
            try covariates.encoding.encode(
                joined, eligible: status.map { $0 == CustomerHistory.ok }
            ).columns
        }
    }
}

extension CodedText {
    /// A code a distinct text; nil: missing.
    fileprivate init(_ texts: [String?]) {
        var codes: [UInt32] = []
        var values = TextArray()
        var known: [String: UInt32] = [:]
        for text in texts {
            guard let text else {
                codes.append(Self.missing)
                continue
            }
            let code = known[text] ?? UInt32(values.count)
            if known.updateValue(code, forKey: text) == nil { values.append(text) }
            codes.append(code)
        }
        self.init(codes: codes, values: values)
    }
}
