/// The stage of a customer's life, by stated rules on days alone. The first rule that holds decides:
///
/// | stage | rule |
/// |---|---|
/// | new | the first order is at most `newDays` ago |
/// | lapsed | the last order is more than `lapsedDays` ago |
/// | at risk | the last order is more than `activeDays` ago |
/// | reactivated | more than `lapsedDays` lay between the last two orders |
/// | active | all others |
package struct LifecycleStages: Codable, Sendable, Equatable {
    /// Numbered from 0.
    package enum Stage: Int32, CaseIterable, Sendable {
        case new, active, reactivated, atRisk, lapsed

        package var name: String {
            switch self {
            case .new: "new"
            case .active: "active"
            case .reactivated: "reactivated"
            case .atRisk: "at risk"
            case .lapsed: "lapsed"
            }
        }
    }

    /// Days since the first and the last order, and between the last two, which is missing for one
    /// order.
    package static let featureNames = [
        "observedAgeDays", "daysSinceLastPurchase", "lastInterPurchaseDays",
    ]
    /// Of every setting.
    package static let dayCounts = 0...36_525

    package let newDays: Int
    package let activeDays: Int
    package let lapsedDays: Int

    /// - Throws: `outOfRange` for days outside 0…36,525 or `lapsedDays` that are not more than
    ///   `activeDays`.
    package init(newDays: Int = 90, activeDays: Int = 90, lapsedDays: Int = 365) throws(ModelError)
    {
        for (what, days) in [
            ("newDays", newDays), ("activeDays", activeDays), ("lapsedDays", lapsedDays),
        ] where !Self.dayCounts.contains(days) {
            throw .outOfRange(what: what, actual: Double(days), allowed: "0...36525")
        }
        guard lapsedDays > activeDays else {
            throw .outOfRange(
                what: "lapsedDays", actual: Double(lapsedDays),
                allowed: "more than activeDays, \(activeDays)")
        }
        (self.newDays, self.activeDays, self.lapsedDays) = (newDays, activeDays, lapsedDays)
    }

    package var segmentCount: Int { Stage.allCases.count }
    package var segmentNames: [String] { Stage.allCases.map(\.name) }

    /// - Parameters:
    ///   - observedAge: days since the first order.
    ///   - sinceLast: days since the last one.
    ///   - lastGap: days between the last two orders; nil for one order.
    package func stage(observedAge: Float, sinceLast: Float, lastGap: Float?) -> Stage {
        if observedAge <= Float(newDays) { return .new }
        if sinceLast > Float(lapsedDays) { return .lapsed }
        if sinceLast > Float(activeDays) { return .atRisk }
        return lastGap ?? 0 > Float(lapsedDays) ? .reactivated : .active
    }

    /// Stages of rows, all where `rows` is nil.
    /// - Parameters:
    ///   - columns: those of `featureNames`.
    ///   - valid: as in `SegmentationModel.fit`; a customer without the last has one order.
    package func assign(
        columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil
    ) -> [Int32] {
        precondition(columns.count == 3 && (valid.isEmpty || valid.count == 3))
        return (rows ?? Array(columns[0].indices)).map { row in
            let hasGap = valid.isEmpty ? true : valid[2]?[row] ?? true
            return stage(
                observedAge: columns[0][row], sinceLast: columns[1][row],
                lastGap: hasGap ? columns[2][row] : nil
            ).rawValue
        }
    }
}

extension LifecycleStages {
    /// - Throws: as the other initializer, for days that contradict each other.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(
            newDays: try container.decode(Int.self, forKey: .newDays),
            activeDays: try container.decode(Int.self, forKey: .activeDays),
            lapsedDays: try container.decode(Int.self, forKey: .lapsedDays))
    }
}
