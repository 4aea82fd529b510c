import ByteCoding
package import Units

extension FeatureTable {
    /// The attributes of customers of whom no purchases are kept: one row a customer of the table,
    /// ascending by id, all of status `ok`, every count and sum of their history 0.
    /// - Parameter names: features and groups that the table is to hold; all where nil. Those of
    ///   purchases have no column.
    /// - Throws: what the join throws.
    package init(
        of attributes: CustomerAttributes, asOf: CalendarDay, convention: OrderConvention,
        keeping names: Set<String>? = nil
    ) throws(FeatureError) {
        let customerIDs = attributes.ids.gather(sortedOrder(of: attributes.ids))
        let joined = AttributeColumns(
            attributes, rows: try attributes.rows(joining: customerIDs), keeping: names)
        self.init(
            customerIDs: customerIDs, asOf: asOf, convention: convention, columns: joined.columns,
            groups: joined.groups.merging(FeatureCatalog.fixedGroups) { first, _ in first },
            texts: joined.texts, history: CustomerHistory(withoutOrders: customerIDs.count),
            lines: LineRange())
    }
}

/// Everybody known: customers with lines, and those who are known by their attributes alone.
package struct KnownCustomers: Sendable {
    /// Ascending by id. The columns are attributes alone; who has no line has the status
    /// `withoutLines` and 0 in every count and sum.
    package private(set) var table: FeatureTable
    /// By row the row of the customers with lines; -1 for none.
    package let sources: [Int]
    /// By row of the customers with lines the row here.
    package let rows: [Int]

    /// - Parameters:
    ///   - customers: with lines, one a row.
    ///   - names: features and groups that the table is to hold; those of purchases have no column.
    /// - Returns: nil where there is nobody else.
    /// - Throws: what the join throws.
    package init?(
        _ customers: FeatureTable, and attributes: CustomerAttributes, keeping names: Set<String>
    ) throws(FeatureError) {
        let own = try attributes.rows(joining: customers.customerIDs)
        let known = attributes.ids.count
        guard known > own.count(where: { $0 >= 0 }) else { return nil }
        let ids = attributes.ids.gather(sortedOrder(of: attributes.ids))
        let merged = CarriedRows(ids, replacedBy: customers.customerIDs)
        sources = merged.sources.map { $0 < 0 ? ~$0 : -1 }
        var rows = [Int](repeating: 0, count: customers.rowCount)
        for (row, source) in sources.enumerated() where source >= 0 { rows[source] = row }
        self.rows = rows
        let all = merged.merge(ids, customers.customerIDs, threadCount: 1)
        let joined = AttributeColumns(
            attributes, rows: try attributes.rows(joining: all), keeping: names)
        table = FeatureTable(
            customerIDs: all, asOf: customers.asOf, convention: customers.convention,
            columns: joined.columns, groups: customers.groups.merging(joined.groups) { $1 },
            texts: joined.texts, history: CustomerHistory(customers.history, by: sources),
            lines: customers.lines)
    }

    /// Gives the memory of the columns and histories back; ids stay.
    package mutating func removeColumns() { table.removeColumns() }
}

extension CustomerHistory {
    /// - Parameter sources: rows of another one, -1 for a customer without a line.
    fileprivate init(_ other: CustomerHistory, by sources: [Int]) {
        func spread<Value>(_ values: [Value], _ none: Value) -> [Value] {
            sources.map { $0 < 0 ? none : values[$0] }
        }
        self.init()
        repeatPurchaseCount = spread(other.repeatPurchaseCount, 0)
        ageAtLastPurchaseDays = spread(other.ageAtLastPurchaseDays, 0)
        observedAgeDays = spread(other.observedAgeDays, 0)
        daysSinceLastPurchase = spread(other.daysSinceLastPurchase, 0)
        meanOrderValue = spread(other.meanOrderValue, 0)
        meanOrderMargin = spread(other.meanOrderMargin, 0)
        revenue = spread(other.revenue, 0)
        margin = spread(other.margin, 0)
        monthlyRevenue = spread(other.monthlyRevenue, 0)
        monthlyMargin = spread(other.monthlyMargin, 0)
        status = spread(other.status, Self.withoutLines)
    }

    fileprivate init(withoutOrders count: Int) {
        self.init()
        let (days, sums) = (
            [Int32](repeating: 0, count: count), [Double](repeating: 0, count: count)
        )
        (repeatPurchaseCount, ageAtLastPurchaseDays) = (days, days)
        (observedAgeDays, daysSinceLastPurchase) = (days, days)
        (meanOrderValue, meanOrderMargin) = (sums, sums)
        (revenue, margin) = (sums, sums)
        (monthlyRevenue, monthlyMargin) = (sums, sums)
        status = [UInt8](repeating: Self.ok, count: count)
    }
}
