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

extension CustomerHistory {
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
