/// The unit of a feature's values.
package enum FeatureUnit: String, Sendable, Codable {
    /// A customer attribute's own unit.
    case attribute
    case count
    /// Units of the plan's currency.
    case currency
    case days
    /// 1 or 0: the customer has the value or not.
    case indicator
    /// 0…1.
    case share
}

/// The names, units and meanings of the features that do not depend on the data's own values.
///
/// `purchase line` is a line with an amount of 0 or more. Windows count local days and include the
/// as-of day: the last 30 days of 2024-01-30 begin with 2024-01-01.
package enum FeatureCatalog {
    package struct Entry: Sendable {
        package let name: String
        package let unit: FeatureUnit
        package let meaning: String

        init(_ name: String, _ unit: FeatureUnit, _ meaning: String) {
            self.name = name
            self.unit = unit
            self.meaning = meaning
        }
    }

    /// Limit of the share columns of one text column; the rest shares one `…Other` column.
    package static let maximumShareColumns = 32
    /// Limit of the indicator columns of one attribute; rarer values get none.
    package static let maximumIndicatorColumns = 32

    package static let scalars: [Entry] = [
        Entry("repeatPurchaseCount", .count, "orders after the first"),
        Entry("ageAtLastPurchaseDays", .days, "days from the first to the last order"),
        Entry("observedAgeDays", .days, "days from the first order to the as-of day"),
        Entry("daysSinceLastPurchase", .days, "days from the last order to the as-of day"),
        Entry("tenureDays", .days, "days from the first line, return or not, to the as-of day"),
        Entry("orderCount", .count, "orders"),
        Entry("orderCount30Days", .count, "orders in the last 30 days"),
        Entry("orderCount90Days", .count, "orders in the last 90 days"),
        Entry("orderCount365Days", .count, "orders in the last 365 days"),
        Entry("lineCount", .count, "lines, returns included"),
        Entry(
            "meanOrderValue", .currency,
            "mean revenue of the repeat orders, the first excluded, returns not deducted; "
                + "undefined for one order"),
        Entry(
            "meanOrderMargin", .currency,
            "mean margin of the repeat orders, the first excluded; undefined for one order"),
        Entry(
            "meanOrderValueWithFirst", .currency,
            "mean revenue of all orders, returns not deducted"),
        Entry("revenue", .currency, "revenue net of returns"),
        Entry("revenue30Days", .currency, "revenue net of returns in the last 30 days"),
        Entry("revenue90Days", .currency, "revenue net of returns in the last 90 days"),
        Entry("revenue365Days", .currency, "revenue net of returns in the last 365 days"),
        Entry("margin", .currency, "margin net of returns"),
        Entry("margin30Days", .currency, "margin net of returns in the last 30 days"),
        Entry("margin90Days", .currency, "margin net of returns in the last 90 days"),
        Entry("margin365Days", .currency, "margin net of returns in the last 365 days"),
        Entry("monthlyRevenue", .currency, "revenue net of returns a month of observed age"),
        Entry(
            "itemsPerOrder", .count,
            "quantity of the purchase lines (their number where no quantity is mapped) an order"),
        Entry("returnRate", .share, "share of the lines that are returns"),
        Entry(
            "promotionShare", .share,
            "share of the purchase lines with a promotion; undefined where none is mapped"),
        Entry(
            "interPurchaseMeanDays", .days,
            "mean days between consecutive orders; undefined for one order"),
        Entry(
            "interPurchaseDeviationDays", .days,
            "standard deviation (n - 1) of the days between consecutive orders; "
                + "undefined below three orders"),
        Entry(
            "lastInterPurchaseDays", .days,
            "days between the last two orders; undefined for one order"),
    ]

    /// Shares of the orders by the local hour of their first purchase line.
    package static let hourShares: [Entry] = (0..<24).map { hour in
        Entry(
            "hourShare" + (hour < 10 ? "0" : "") + String(hour), .share,
            "share of the orders that began in local hour \(hour)")
    }

    /// The same in blocks of four hours, steadier for customers of few orders.
    package static let daypartShares: [Entry] = [
        "Night", "Dawn", "Morning", "Afternoon", "Evening", "Late",
    ].enumerated().map { part, name in
        Entry(
            "daypartShare" + name, .share,
            "share of the orders that began from hour \(part * 4) to before \(part * 4 + 4)")
    }

    package static let weekdayShares: [Entry] = [
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    ].map { Entry("weekdayShare" + $0, .share, "share of the orders on a \($0)") }

    /// Groups whose members are always the same.
    package static let fixedGroups: [String: [String]] = [
        "hourShares": hourShares.map(\.name),
        "daypartShares": daypartShares.map(\.name),
        "weekdayShares": weekdayShares.map(\.name),
    ]

    /// Groups whose members come from the data: top values by line count (categories, of purchase
    /// lines) or by order count (channels, of an order's first line), and the attributes.
    package static let dataGroups = ["categoryShares", "channelShares", "attributes"]

    /// What begins the name of a column that the data makes.
    package static let categoryPrefix = "categoryShare."
    package static let categoryOther = "categoryShareOther"
    package static let channelPrefix = "channelShare."
    package static let channelOther = "channelShareOther"
    package static let attributePrefix = "attribute."
    /// What begins the name of a text attribute's values as they are, without a column a value.
    package static let textPrefix = "text."
    /// The attribute that a latitude and a longitude make together: a group of three columns.
    package static let coordinates = "coordinates"

    /// All names that a plan may use whatever the data; attributes and values come on top.
    package static let knownNames: [String] =
        scalars.map(\.name) + hourShares.map(\.name) + daypartShares.map(\.name)
        + weekdayShares.map(\.name) + fixedGroups.keys.sorted() + dataGroups

    /// Whether `name` can be a feature of a plan with these attributes. A value's own column
    /// (`categoryShare.Toys`, `attribute.gender.F`) is accepted: only the data can tell.
    package static func mayExist(_ name: String, attributeNames: [String]) -> Bool {
        if knownNames.contains(name) || isValueShare(name) { return true }
        let bare =
            name.hasPrefix(attributePrefix)
            ? String(name.dropFirst(attributePrefix.count)) : name
        return attributeNames.contains { bare == $0 || bare.hasPrefix($0 + ".") }
    }

    /// Whether `name` is the share of a value that lines have, or of the values too rare for a column
    /// of their own: a feature that data lack where no line has the value.
    package static func isValueShare(_ name: String) -> Bool {
        name.hasPrefix(categoryPrefix) || name.hasPrefix(channelPrefix) || name == categoryOther
            || name == channelOther
    }

    /// Whether `name` may be an attribute, one of its values or all attributes: not where it is the
    /// name of anything else.
    package static func mayBeAttribute(_ name: String) -> Bool {
        name == "attributes" || name.hasPrefix(attributePrefix)
            || !mayExist(name, attributeNames: [])
    }
}
