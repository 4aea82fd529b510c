import ByteCoding
import ColumnStore
import Features
import Models
package import Units

/// The lifetime model that a report was made with.
package struct ReportModel: Encodable, Sendable, Equatable {
    package var version: Int
    package var algorithm: String
    /// The last day whose purchases its fit saw.
    package var asOf: String
    /// False where the plan has changed since its training.
    package var isOfThisPlan: Bool
}

/// The four value tiers on the plane of longevity x days since the last purchase: the grid for
/// drawing, who is in which tier, and who moved between two days. Money is in currency units.
package struct TierReport: Encodable, Sendable {
    package struct Cell: Encodable, Sendable {
        /// Days since the first order: from the one up to the other, which is not included; nil is
        /// open.
        package var longevityFrom: Int?
        package var longevityBelow: Int?
        /// The same since the last order.
        package var sinceLastPurchaseFrom: Int?
        package var sinceLastPurchaseBelow: Int?
        /// Predicted value at the fit, the mean of the cell made falling with the days since the
        /// last order.
        package var value: Double
        package var tier: Int
        package var customersAtFit: Int
        package var customers: Int
    }

    package struct Tier: Encodable, Sendable {
        /// 1 is the highest value.
        package var tier: Int
        package var customersAtFit: Int
        package var customerCount: Int
        package var customerShare: Double
        /// Of all orders so far, net of returns.
        package var revenue: Double
        package var margin: Double
        /// Sum and mean over customers of what `valueKind` says.
        package var expectedValue: Double
        package var meanExpectedValue: Double
    }

    /// Customers of one tier on the earlier day and one on the later; 0 stands for none: not a
    /// customer yet, or one with returns only.
    package struct Move: Encodable, Sendable {
        package var from: Int
        package var to: Int
        package var customerCount: Int
        /// Net of returns, up to the earlier day and between the two.
        package var revenueBefore: Double
        package var revenueBetween: Double
    }

    package struct Migration: Encodable, Sendable {
        package var since: String
        /// Whether the tiers were cut with a knowledge that nobody had on the earlier day.
        package var modelIsLater: Bool
        /// Those with customers, by `from` and `to`.
        package var moves: [Move]
    }

    package var asOf: String
    package var model: ReportModel
    package var currency: String
    /// `lifetimeValue`; `expectedPurchases` where no order values were fitted.
    package var valueKind: String
    package var horizon: String
    /// `margin` or `revenue`.
    package var basis: String
    /// First days of each interval but the first.
    package var longevityEdges: [Int]
    package var sinceLastPurchaseEdges: [Int]
    /// `[longevity interval x days-since interval]`, row-major.
    package var cells: [Cell]
    /// Least values of tiers 1 to 3.
    package var cutValues: [Double]
    package var tiers: [Tier]
    /// Customers without a tier: of returns only, or of a history that no model can read.
    package var customersWithoutTier: Int
    package var migration: Migration?

    /// The grid, one line a cell.
    package func writeCSV(to path: String) throws(EngineError) {
        let header = [
            "longevity_from", "longevity_below", "since_last_purchase_from",
            "since_last_purchase_below", "tier", "value", "customers_at_fit", "customers",
        ]
        let rows = cells.lazy.map { cell in
            [
                CSVFile.number(cell.longevityFrom), CSVFile.number(cell.longevityBelow),
                CSVFile.number(cell.sinceLastPurchaseFrom),
                CSVFile.number(cell.sinceLastPurchaseBelow), "\(cell.tier)", "\(cell.value)",
                "\(cell.customersAtFit)", "\(cell.customers)",
            ]
        }
        try CSVFile.write(header, rows, to: path)
    }
}

extension Workspace {
    func reportModel(_ card: ModelCard) -> ReportModel {
        ReportModel(
            version: card.version, algorithm: card.algorithm, asOf: card.asOf,
            isOfThisPlan: card.planHash == plan.hash)
    }

    /// The tiers of the latest lifetime model as of a day and, with an earlier day, who moved.
    ///
    /// A tier is a place on the plane, so the same map is laid over both days, each customer placed
    /// by nothing but what was known on the day. The map may be of a later day than the earlier one:
    /// it is a yardstick for both then, and not what was said on that day; `modelIsLater` tells.
    /// Values, which are of the later day, want a model that is not of a day after it.
    /// - Parameters:
    ///   - requested: nil as in `asOfDay`.
    ///   - since: before it.
    /// - Throws: `.modelMissing`; `.modelFromTheFuture`; as `features` for a day without customers.
    package func tiers(
        asOf requested: CalendarDay? = nil, since: CalendarDay? = nil, threadCount: Int
    ) throws(EngineError) -> TierReport {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        precondition(since.map { $0 < asOf } ?? true, "the earlier day is before the later")
        let latest = try latestLifetime(asOf: asOf)
        let (card, models) = (latest.card, latest.model)
        let trained = CalendarDay(parsing: card.asOf) ?? asOf
        let before = try since.map { (since) throws(EngineError) in
            try tierDay(since, models, threadCount: threadCount)
        }
        let now = try tierDay(asOf, models, threadCount: threadCount)
        let encoded = try covariates(of: models, now.customerIDs, status: now.history.status)
        let scores = try modelErrors("lifetime") { () throws(ModelError) in
            try models.scores(
                of: now.history, encoded.columns,
                plan.lifetimeParameters(marginRate: models.marginRate, threadCount: threadCount))
        }
        var report = TierReport(
            asOf: asOf.description, model: reportModel(card), currency: plan.currency,
            valueKind: scores.lifetimeValue == nil ? "expectedPurchases" : "lifetimeValue",
            horizon: plan.lifetime.horizon.description, basis: plan.lifetime.basis.rawValue,
            longevityEdges: models.tiers.longevityEdges.map { Int($0) },
            sinceLastPurchaseEdges: models.tiers.sinceLastPurchaseEdges.map { Int($0) }, cells: [],
            cutValues: models.tiers.cutValues, tiers: [], customersWithoutTier: 0)
        report.addCells(models.tiers, now.history, tiers: now.tiers)
        report.addTiers(
            models.tiers, now, values: scores.lifetimeValue ?? scores.expectedPurchases)
        if let since, let before {
            report.migration = TierReport.Migration(
                since: since.description, modelIsLater: trained > since,
                moves: TierReport.moves(from: before, to: now))
        }
        return report
    }

    private func tierDay(
        _ day: CalendarDay, _ models: LifetimeModels, threadCount: Int
    ) throws(EngineError) -> TierDay {
        let table = try features(asOf: day, keeping: [], threadCount: threadCount)
        // Held by the caller alone: there may be no room for two.
        loadedFeatures = nil
        let history = table.history
        let tiers = try modelErrors("lifetime") { () throws(ModelError) in
            try models.tiers.tiers(
                observedAgeDays: history.observedAgeDays,
                daysSinceLastPurchase: history.daysSinceLastPurchase, status: history.status,
                threadCount: threadCount)
        }
        return TierDay(customerIDs: table.customerIDs, history: history, tiers: tiers)
    }
}

/// All customers as of a day with their tiers, 0 for none.
private struct TierDay {
    let customerIDs: IDColumn
    let history: CustomerHistory
    let tiers: [UInt8]
}

extension TierReport {
    fileprivate mutating func addCells(
        _ model: ValueTierModel, _ history: CustomerHistory, tiers: [UInt8]
    ) {
        let (rowEdges, columnEdges) = (longevityEdges, sinceLastPurchaseEdges)
        let width = columnEdges.count + 1
        var counts = [Int](repeating: 0, count: model.cellTiers.count)
        for row in tiers.indices where tiers[row] > 0 {
            let longevity = Self.interval(Int(history.observedAgeDays[row]), rowEdges)
            let since = Self.interval(Int(history.daysSinceLastPurchase[row]), columnEdges)
            counts[longevity * width + since] += 1
        }
        func edge(_ edges: [Int], _ index: Int) -> Int? {
            edges.indices.contains(index) ? edges[index] : nil
        }
        cells = model.cellTiers.indices.map { index in
            let (row, column) = (index / width, index % width)
            return Cell(
                longevityFrom: edge(rowEdges, row - 1), longevityBelow: edge(rowEdges, row),
                sinceLastPurchaseFrom: edge(columnEdges, column - 1),
                sinceLastPurchaseBelow: edge(columnEdges, column),
                value: model.cellValues[index], tier: Int(model.cellTiers[index]),
                customersAtFit: model.cellCustomerCounts[index], customers: counts[index])
        }
    }

    /// How many edges are at or below `days`.
    private static func interval(_ days: Int, _ edges: [Int]) -> Int {
        var (low, high) = (0, edges.count)
        while low < high {
            let middle = (low + high) / 2
            if edges[middle] <= days { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func addTiers(
        _ model: ValueTierModel, _ day: TierDay, values: [Double]
    ) {
        let placed = day.tiers.count { $0 > 0 }
        customersWithoutTier = day.tiers.count - placed
        tiers = (1...ValueTierModel.tierCount).map {
            Tier(
                tier: $0, customersAtFit: model.customerCounts[$0 - 1], customerCount: 0,
                customerShare: 0, revenue: 0, margin: 0, expectedValue: 0, meanExpectedValue: 0)
        }
        // One after the other, in the order of customers: the same sums for any threads.
        for row in day.tiers.indices where day.tiers[row] > 0 {
            let index = Int(day.tiers[row]) - 1
            tiers[index].customerCount += 1
            tiers[index].revenue += day.history.revenue[row]
            tiers[index].margin += day.history.margin[row]
            tiers[index].expectedValue += values[row]
        }
        for index in tiers.indices where tiers[index].customerCount > 0 {
            let count = Double(tiers[index].customerCount)
            tiers[index].customerShare = count / Double(placed)
            tiers[index].meanExpectedValue = tiers[index].expectedValue / count
        }
    }

    /// Who was known on the earlier day is on the later one, and both are ascending by id.
    fileprivate static func moves(from before: TierDay, to now: TierDay) -> [Move] {
        let count = ValueTierModel.tierCount + 1
        var moves = (0..<count * count).map {
            Move(
                from: $0 / count, to: $0 % count, customerCount: 0, revenueBefore: 0,
                revenueBetween: 0)
        }
        var cursor = 0
        for row in 0..<now.customerIDs.count {
            let isKnown =
                cursor < before.customerIDs.count
                && !now.customerIDs.precedes(row, before.customerIDs, cursor)
            let from = isKnown ? Int(before.tiers[cursor]) : 0
            let earlier = isKnown ? before.history.revenue[cursor] : 0
            if isKnown { cursor += 1 }
            let index = from * count + Int(now.tiers[row])
            moves[index].customerCount += 1
            moves[index].revenueBefore += earlier
            moves[index].revenueBetween += now.history.revenue[row] - earlier
        }
        return moves.filter { $0.customerCount > 0 }
    }
}
