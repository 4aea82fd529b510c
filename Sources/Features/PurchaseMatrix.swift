package import ByteCoding
import Numerical
package import Units

/// Who bought what, in compressed rows: row `i` (a row of the feature table) bought the products
/// `productCodes[rowOffsets[i] ..< rowOffsets[i + 1]]`, ascending, each `values[…]` times.
package struct PurchaseMatrix: Sendable {
    package var rowOffsets: [Int]
    /// Positions in `products`.
    package var productCodes: [Int32]
    /// Purchase lines with an amount above 0, at least 1.
    package var values: [Float]
    /// All products of the history, bought by the as-of day or not.
    package var products: TextArray

    package var rowCount: Int { rowOffsets.count - 1 }
    package var columnCount: Int { products.count }

    /// Of no rows.
    package init(products: TextArray) {
        (rowOffsets, productCodes, values) = ([0], [], [])
        self.products = products
    }

    /// Adds the rows of another matrix of the same products.
    package mutating func append(_ other: PurchaseMatrix) {
        precondition(products.count == other.products.count, "matrices of the same products")
        let base = values.count
        rowOffsets += other.rowOffsets.dropFirst().lazy.map { $0 + base }
        productCodes += other.productCodes
        values += other.values
    }
}

/// Counts, for every customer row and product, the lines with an amount above 0 by the as-of day.
/// Returns and free lines do not count; lines without a product are left out.
/// - Parameter customerRows: rows of `history`, such as those of `customerRows(asOf:clock:)`.
/// - Returns: nil where no product is mapped.
package func purchaseMatrix(
    _ history: PurchaseHistory, customerRows: [Int], asOf: CalendarDay, clock: LocalClock,
    threadCount: Int
) -> PurchaseMatrix? {
    purchaseMatrix(
        history, customerRows: customerRows, after: nil, through: asOf, clock: clock,
        threadCount: threadCount)
}

/// The same for the lines of (after, through]: the purchases held out for an evaluation.
package func purchaseMatrix(
    _ history: PurchaseHistory, customerRows: [Int], after: CalendarDay?, through: CalendarDay,
    clock: LocalClock, threadCount: Int
) -> PurchaseMatrix? {
    guard let products = history.products else { return nil }
    let window = AsOfWindow(after: after, through: through, clock: clock)
    let none = PurchaseMatrix(products: products.values)
    return reduceCustomers(customerRows, into: none, threadCount: threadCount) { customers in
        var part = none
        var bought: [(line: Int, product: UInt32)] = []
        for customer in customers {
            history.collectProductLines(
                ofCustomer: customer, products, in: window, into: &bought)
            bought.sort { $0.product < $1.product }
            for (index, line) in bought.enumerated() {
                if index > 0, bought[index - 1].product == line.product {
                    part.values[part.values.count - 1] += 1
                } else {
                    part.productCodes.append(Int32(bitPattern: line.product))
                    part.values.append(1)
                }
            }
            part.rowOffsets.append(part.values.count)
        }
        return part
    } merge: { matrix, part in
        matrix.append(part)
    }
}
