/// How orders, money and time were counted: the choices on which published tools differ, named in
/// every model card and comparable between two runs.
package struct OrderConvention: Sendable, Hashable, Codable {
    /// What makes lines of one customer one order.
    package enum OrderUnit: String, Sendable, Codable {
        /// All lines of one local day.
        case customerDay
        /// All lines of one order id; a line without one belongs to its customer-day.
        case orderID
    }

    /// Where a line's margin comes from.
    package enum MarginSource: String, Sendable, Codable {
        /// A margin or cost column.
        case column
        /// Revenue times the plan's gross-margin rate.
        case rate
    }

    /// What an item is in `itemsPerOrder`.
    package enum ItemUnit: String, Sendable, Codable {
        case quantity, line
    }

    package var orderUnit: OrderUnit
    package var marginSource: MarginSource
    /// The rate where `marginSource` is `rate`.
    package var grossMarginRate: Double?
    package var itemUnit: ItemUnit
    package var timeZoneName: String

    package init(
        orderUnit: OrderUnit, marginSource: MarginSource, grossMarginRate: Double?,
        itemUnit: ItemUnit, timeZoneName: String
    ) {
        self.orderUnit = orderUnit
        self.marginSource = marginSource
        self.grossMarginRate = grossMarginRate
        self.itemUnit = itemUnit
        self.timeZoneName = timeZoneName
    }

    /// The convention in words, one fixed text for one set of choices. Its part before the first
    /// semicolon, such as `orders-1/customer-day`, is the version of the fixed rules.
    package var text: String {
        let order = orderUnit == .customerDay ? "customer-day" : "order-id"
        let margin =
            marginSource == .column
            ? "margin from its column" : "margin = revenue x \(grossMarginRate ?? 0)"
        return "orders-1/\(order); first order excluded from the mean order value; "
            + "order value without returns; revenue net of returns; \(margin); "
            + "items = \(itemUnit == .quantity ? "quantity" : "lines"); "
            + "as-of day inclusive; whole days in \(timeZoneName)"
    }
}
