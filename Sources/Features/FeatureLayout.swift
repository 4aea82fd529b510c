import ByteCoding

/// Positions of the features that a scan of the lines fills, and what the data's own values are.
struct FeatureLayout: Sendable {
    /// Positions of the scalars, in the order of `FeatureCatalog.scalars`.
    enum Scalar: Int, CaseIterable {
        case repeatPurchaseCount, ageAtLastPurchaseDays, observedAgeDays, daysSinceLastPurchase
        case tenureDays
        case orderCount, orderCount30Days, orderCount90Days, orderCount365Days, lineCount
        case meanOrderValue, meanOrderMargin, meanOrderValueWithFirst
        case revenue, revenue30Days, revenue90Days, revenue365Days
        case margin, margin30Days, margin90Days, margin365Days, monthlyRevenue
        case itemsPerOrder, returnRate, promotionShare
        case interPurchaseMeanDays, interPurchaseDeviationDays, lastInterPurchaseDays
    }

    let hourBase: Int
    let daypartBase: Int
    let weekdayBase: Int
    let categories: ShareColumns?
    let channels: ShareColumns?
    /// Name and unit of every position.
    let entries: [(name: String, unit: FeatureUnit)]
    let groups: [String: [String]]

    var width: Int { entries.count }

    /// The top categories and channels by the purchase lines of each; nil where no line names any.
    init(categories: ValueCounts?, channels: ValueCounts?) {
        var entries = FeatureCatalog.scalars.map { ($0.name, $0.unit) }
        hourBase = entries.count
        entries += FeatureCatalog.hourShares.map { ($0.name, $0.unit) }
        daypartBase = entries.count
        entries += FeatureCatalog.daypartShares.map { ($0.name, $0.unit) }
        weekdayBase = entries.count
        entries += FeatureCatalog.weekdayShares.map { ($0.name, $0.unit) }
        var groups = FeatureCatalog.fixedGroups

        func share(
            _ column: ValueCounts?, group: String, prefix: String, other: String
        ) -> ShareColumns? {
            guard let column else { return nil }
            let top = TopValues(
                counts: column.counts, values: column.values,
                limit: FeatureCatalog.maximumShareColumns)
            let names = top.values.map { prefix + $0 } + (top.hasOthers ? [other] : [])
            groups[group] = names
            let base = entries.count
            entries += names.map { ($0, FeatureUnit.share) }
            return ShareColumns(base: base, count: names.count, slotOfCode: top.slotOfCode)
        }
        self.categories = share(
            categories, group: "categoryShares", prefix: FeatureCatalog.categoryPrefix,
            other: FeatureCatalog.categoryOther)
        self.channels = share(
            channels, group: "channelShares", prefix: FeatureCatalog.channelPrefix,
            other: FeatureCatalog.channelOther)
        self.entries = entries
        self.groups = groups
    }

    /// Positions of the features that a list of names means; all where it is nil.
    func positions(keeping names: Set<String>?) -> [Int] {
        guard let names else { return Array(entries.indices) }
        var wanted = names
        for (group, members) in groups where names.contains(group) { wanted.formUnion(members) }
        return entries.indices.filter { wanted.contains(entries[$0].name) }
    }
}

/// Where the shares of one text column's values go.
struct ShareColumns: Sendable {
    let base: Int
    let count: Int
    /// Position (0 ..< count) of each code; -1 for a code that no counted line has.
    let slotOfCode: [Int]

    /// The position of a code; nil for a missing one.
    func slot(of code: UInt32) -> Int? {
        guard code != CodedText.missing else { return nil }
        let slot = slotOfCode[Int(code)]
        return slot < 0 ? nil : slot
    }
}

/// The most frequent values of a text column, by falling count, equal counts in bytewise order:
/// the choice does not depend on how the column happens to be coded.
struct TopValues: Sendable {
    let values: [String]
    /// Whether some counted value is not among `values`.
    let hasOthers: Bool
    /// The position in `values` of each code; `values.count` for others; -1 for a count of 0.
    let slotOfCode: [Int]

    init(counts: [Int], values texts: TextArray, limit: Int) {
        let ranked = counts.indices.filter { counts[$0] > 0 }.sorted { a, b in
            counts[a] != counts[b] ? counts[a] > counts[b] : texts.precedes(a, texts, b)
        }
        let top = ranked.prefix(limit)
        var slots = counts.map { $0 > 0 ? top.count : -1 }
        for (slot, code) in top.enumerated() { slots[code] = slot }
        values = top.map { texts[$0] }
        hasOthers = ranked.count > top.count
        slotOfCode = slots
    }
}
