package import ByteCoding
import Numerical
package import Units

/// What customers bought, basket by basket: the baskets of row `i` (a row of the feature table) are
/// those from `customerOffsets[i]` to `customerOffsets[i + 1]`, oldest first, the products of basket
/// `b` the codes `productCodes[basketOffsets[b] ..< basketOffsets[b + 1]]`, ascending, each once.
package struct BasketLines: Sendable {
    package var customerOffsets = [0]
    package var basketOffsets = [0]
    /// Positions in `products`.
    package var productCodes: [Int32] = []
    /// `[basketCount]`: the local day of each basket, days since 1970-01-01, ascending within a
    /// customer.
    package var days: [Int32] = []
    /// All products of the history, bought by the as-of day or not.
    package var products: TextArray

    package var customerCount: Int { customerOffsets.count - 1 }

    /// Of no rows.
    package init(products: TextArray) { self.products = products }

    /// Adds the rows of others of the same products.
    package mutating func append(_ next: BasketLines) {
        precondition(products.count == next.products.count, "baskets of the same products")
        let (basketCount, lineCount) = (days.count, productCodes.count)
        customerOffsets += next.customerOffsets.dropFirst().lazy.map { $0 + basketCount }
        basketOffsets += next.basketOffsets.dropFirst().lazy.map { $0 + lineCount }
        productCodes += next.productCodes
        days += next.days
    }
}

/// The orders of customers through a day as baskets of products. Returns and free lines do not count,
/// lines without a product are left out, and orders without any other are no baskets.
/// - Parameter customerRows: rows of `history`, such as those of `customerRows(asOf:clock:)`.
/// - Returns: nil where no product is mapped.
package func basketLines(
    _ history: PurchaseHistory, customerRows: [Int], through: CalendarDay, clock: LocalClock,
    threadCount: Int
) -> BasketLines? {
    guard let products = history.products else { return nil }
    let window = AsOfWindow(after: nil, through: through, clock: clock)
    let none = BasketLines(products: products.values)
    return reduceCustomers(customerRows, into: none, threadCount: threadCount) { customers in
        var part = none
        var scan = OrderScan()
        var bought: [(line: Int, product: UInt32)] = []
        for customer in customers {
            scan.reset()
            history.collectProductLines(
                ofCustomer: customer, products, in: window, into: &bought)
            var lines = bought.map { (line, product) -> (order: Int, code: Int32) in
                let local = clock.localSeconds(atUTC: Int(history.times[line]))
                let order = scan.add(
                    line: line, code: history.orderCodes?[line],
                    day: localDay(ofSeconds: local), localSeconds: local)
                return (order, Int32(bitPattern: product))
            }
            lines.sort { ($0.order, $0.code) < ($1.order, $1.code) }
            part.append(lines, days: scan.orders.map { Int32(clamping: $0.day) })
        }
        return part
    } merge: { baskets, part in
        baskets.append(part)
    }
}

extension BasketLines {
    /// Adds a customer.
    /// - Parameters:
    ///   - lines: ascending.
    ///   - orderDays: of the orders that the lines name, each of which has one.
    fileprivate mutating func append(_ lines: [(order: Int, code: Int32)], days orderDays: [Int32])
    {
        for (index, line) in lines.enumerated() {
            let isOfLast = index > 0 && lines[index - 1].order == line.order
            if isOfLast, lines[index - 1].code == line.code { continue }
            if index > 0, !isOfLast { basketOffsets.append(productCodes.count) }
            productCodes.append(line.code)
        }
        if !lines.isEmpty { basketOffsets.append(productCodes.count) }
        days += orderDays
        customerOffsets.append(days.count)
    }
}
