package import ByteCoding
import Numerical
import Units

/// All purchase lines of all customers, sorted by (customer id, time, original order).
///
/// Customer row `c` owns the lines `lineOffsets[c] ..< lineOffsets[c + 1]`. Every line column has
/// `lineCount` elements. A value that exists fulfils all of this: the initialiser checks it.
package struct PurchaseHistory: Sendable {
    /// Unique and ascending (`IDColumn.precedes`).
    package let customerIDs: IDColumn
    /// `[customerCount + 1]`, strictly ascending: every customer has a line.
    package let lineOffsets: [Int]
    /// UTC seconds since 1970, ascending within a customer.
    package let times: [Int64]
    /// Revenue in ten-thousandths of the currency unit; negative is a return.
    package let amounts: [Int64]
    /// Ten-thousandths; nil where neither margin nor cost is mapped.
    package let margins: [Int64]?
    /// Items of a line; nil where no quantity is mapped.
    package let quantities: [Float]?
    /// Equal codes of one customer are one order; `CodedText.missing` is the line's customer-day.
    /// Nil where no order id is mapped: every order is a customer-day.
    package let orderCodes: [UInt32]?
    package let products: CodedText?
    package let categories: CodedText?
    package let promotions: CodedText?
    package let channels: CodedText?

    /// - Throws: `.inconsistentHistory` where counts differ, an order is violated, a code has no
    ///   value, a quantity is not finite or a time lies outside the years 1 to 9999; `.amountsTooLarge` where a customer's sum of absolute values leaves 64 bits, so
    ///   that no sum over a customer's lines can overflow later.
    /// - Parameter threadCount: threads that check, at least 1.
    /// - Complexity: O(lines).
    package init(
        customerIDs: IDColumn, lineOffsets: [Int], times: [Int64], amounts: [Int64],
        margins: [Int64]? = nil, quantities: [Float]? = nil, orderCodes: [UInt32]? = nil,
        products: CodedText? = nil, categories: CodedText? = nil, promotions: CodedText? = nil,
        channels: CodedText? = nil, threadCount: Int = 1
    ) throws(FeatureError) {
        self.customerIDs = customerIDs
        self.lineOffsets = lineOffsets
        self.times = times
        self.amounts = amounts
        self.margins = margins
        self.quantities = quantities
        self.orderCodes = orderCodes
        self.products = products
        self.categories = categories
        self.promotions = promotions
        self.channels = channels
        try validate(threadCount)
    }

    /// UTC seconds of the years 1 to 9999: day arithmetic on them cannot overflow.
    static let timeRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    package var customerCount: Int { customerIDs.count }
    package var lineCount: Int { times.count }

    /// The lines of a customer row.
    package func lines(ofCustomer row: Int) -> Range<Int> {
        lineOffsets[row]..<lineOffsets[row + 1]
    }

    private func validate(_ threadCount: Int) throws(FeatureError) {
        guard lineOffsets.count == customerIDs.count + 1, lineOffsets.first == 0,
            lineOffsets.last == times.count
        else { throw .inconsistentHistory("line offsets do not span the lines") }
        let counts = [
            amounts.count, margins?.count, quantities?.count, orderCodes?.count, products?.count,
            categories?.count, promotions?.count, channels?.count,
        ]
        guard counts.allSatisfy({ $0 == nil || $0 == times.count }) else {
            throw .inconsistentHistory("line columns differ in count")
        }
        // All offsets before any line: ascending from 0 to the line count they bound every access.
        for row in 0..<customerIDs.count where lineOffsets[row] >= lineOffsets[row + 1] {
            throw .inconsistentHistory("customer row \(row) has no line")
        }
        try validateRows(threadCount) { rows in
            for row in rows {
                guard row == 0 || customerIDs.precedes(row - 1, row) else {
                    return .inconsistentHistory("customer ids are not ascending at row \(row)")
                }
                // Ascending, so that the first and the last tell of all.
                let lines = lines(ofCustomer: row)
                for line in lines.dropFirst() where times[line] < times[line - 1] {
                    return .inconsistentHistory("times are not ascending at line \(line)")
                }
                guard Self.timeRange.contains(times[lines.lowerBound]),
                    Self.timeRange.contains(times[lines.upperBound - 1])
                else { return .inconsistentHistory("a time lies outside the years 1 to 9999") }
            }
            return nil
        }
        try validateSums(of: amounts, named: "amounts", threadCount)
        if let margins { try validateSums(of: margins, named: "margins", threadCount) }
        for (name, column) in [
            ("product", products), ("category", categories), ("promotion", promotions),
            ("channel", channels),
        ] {
            guard let column else { continue }
            let limit = UInt32(clamping: column.values.count)
            guard column.codes.allSatisfy({ $0 < limit || $0 == CodedText.missing }) else {
                throw .inconsistentHistory("a \(name) code has no value")
            }
        }
        if let quantities, !quantities.allSatisfy({ $0.isFinite }) {
            throw .inconsistentHistory("a quantity is not finite")
        }
    }

    /// Checks the customers' rows, in parallel.
    /// - Throws: what the first rows have that `check` finds.
    private func validateRows(
        _ threadCount: Int, _ check: @Sendable (Range<Int>) -> FeatureError?
    ) throws(FeatureError) {
        let errors = parallelMap(
            count: customerIDs.count, chunkSize: 1 << 14, threadCount: threadCount
        ) { _, rows in check(rows) }
        for case let error? in errors { throw error }
    }

    private func validateSums(
        of column: [Int64], named name: String, _ threadCount: Int
    ) throws(FeatureError) {
        try validateRows(threadCount) { rows in
            for row in rows {
                var sum: UInt64 = 0
                for line in lines(ofCustomer: row) {
                    let (next, overflow) = sum.addingReportingOverflow(column[line].magnitude)
                    guard !overflow, next <= UInt64(Int64.max) else {
                        return .amountsTooLarge(column: name, customerRow: row)
                    }
                    sum = next
                }
            }
            return nil
        }
    }
}

/// The category of each of some products by a table of products.
/// - Parameters:
///   - products: as purchase lines name them.
///   - productIDs: unique ids of the table; integers match the digits of a line.
///   - categories: one row a product of the table.
/// - Returns: codes of `categories`, one a product; `CodedText.missing` for one that the table
///   lacks.
/// - Throws: `.duplicateID`; `.inconsistentHistory` where the table's columns differ in count.
package func categoryCodes(
    of products: TextArray, productIDs: IDColumn, categories: CodedText
) throws(FeatureError) -> [UInt32] {
    guard productIDs.count == categories.count else {
        throw .inconsistentHistory("product ids and their categories differ in count")
    }
    var rowOfName: [String: Int] = [:]
    rowOfName.reserveCapacity(productIDs.count)
    for row in 0..<productIDs.count {
        if rowOfName.updateValue(row, forKey: productIDs[row].description) != nil {
            throw .duplicateID(table: "products", row: row)
        }
    }
    return (0..<products.count).map { product in
        rowOfName[products[product]].map { categories.codes[$0] } ?? CodedText.missing
    }
}
