import ByteCoding
import Features
import Testing
import Units

@Suite struct BasketLinesTests {
    private let lines = [
        Line(1, "2024-01-01", hour: 9, 5, order: "x", product: "b"),
        Line(1, "2024-01-01", hour: 10, 5, order: "y", product: "a"),
        Line(1, "2024-01-01", hour: 11, 5, order: "x", product: "a"),
        Line(1, "2024-01-01", hour: 12, 5, order: "x", product: "b"),
        // Returns, free lines and lines without a product are none; nor is an order of nothing else.
        Line(1, "2024-01-02", -5, order: "z", product: "a"),
        Line(1, "2024-01-02", 0, order: "z", product: "c"),
        Line(1, "2024-01-02", 5, order: "z"),
        // Without an order id: the customer's day.
        Line(1, "2024-01-03", hour: 8, 5, product: "c"),
        Line(1, "2024-01-03", hour: 20, 5, product: "b"),
        Line(2, "2024-01-04", -1, product: "a"),
        Line(3, "2024-01-02", 1, product: "c"), Line(3, "2024-01-09", 1, product: "b"),
    ]

    @Test func ordersAreBaskets() throws {
        let history = try makeHistory(lines)
        let baskets = try #require(
            basketLines(
                history, customerRows: [0, 1, 2], through: day("2024-01-04"), clock: .utc,
                threadCount: 1))
        // Codes in order of first appearance: b 0, a 1, c 2.
        #expect(baskets.customerOffsets == [0, 3, 3, 4])
        #expect(baskets.basketOffsets == [0, 2, 3, 5, 6])
        #expect(baskets.productCodes == [0, 1, 1, 0, 2, 2])
        let first = Int32(day("2024-01-01").daysSince1970)
        #expect(baskets.days == [first, first, first + 2, first + 1])
    }

    @Test func chunksAndThreadsAddUp() throws {
        let lines = randomLines(seed: 3, customers: 40, lines: 900, orderIDs: true)
        let history = try makeHistory(lines)
        let rows = Array(0..<history.customerCount)
        let asOf = day("2024-02-01")
        let whole = try #require(
            basketLines(history, customerRows: rows, through: asOf, clock: .utc, threadCount: 1))
        var parts = BasketLines(products: whole.products)
        for row in rows {
            let part = try #require(
                basketLines(
                    history, customerRows: [row], through: asOf, clock: .utc, threadCount: 2))
            parts.append(part)
        }
        #expect(parts.customerOffsets == whole.customerOffsets)
        #expect(parts.basketOffsets == whole.basketOffsets)
        #expect(parts.productCodes == whole.productCodes && parts.days == whole.days)
        // What a basket holds is what the purchase matrix counts, but for repeats within an order.
        let matrix = try #require(
            purchaseMatrix(history, customerRows: rows, asOf: asOf, clock: .utc, threadCount: 1))
        for row in rows {
            let own = whole.customerOffsets[row]..<whole.customerOffsets[row + 1]
            let codes = whole.productCodes[
                whole.basketOffsets[own.lowerBound]..<whole.basketOffsets[own.upperBound]]
            let bought = matrix.productCodes[matrix.rowOffsets[row]..<matrix.rowOffsets[row + 1]]
            #expect(Set(codes) == Set(bought), "row \(row)")
        }
    }

    @Test func withoutProductsThereAreNone() throws {
        let history = try makeHistory([Line(1, "2024-01-01", 5)])
        let baskets = basketLines(
            history, customerRows: [0], through: day("2024-01-02"), clock: .utc, threadCount: 1)
        #expect(baskets.map(\.customerCount) == nil)
    }
}
