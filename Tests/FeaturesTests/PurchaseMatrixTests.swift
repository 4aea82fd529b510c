import ByteCoding
import Features
import Testing
import Units

@Suite struct PurchaseMatrixTests {
    private let lines = [
        Line(1, "2024-01-01", 5, product: "b"), Line(1, "2024-01-02", 5, product: "a"),
        Line(1, "2024-01-03", 5, product: "b"), Line(1, "2024-01-03", -5, product: "a"),
        Line(1, "2024-01-03", 0, product: "c"), Line(1, "2024-01-03", 5),
        Line(2, "2024-01-04", 5, product: "c"), Line(3, "2024-01-02", -1, product: "a"),
        Line(4, "2024-01-02", 1, product: "a"), Line(4, "2024-01-09", 1, product: "b"),
    ]

    @Test func countsPaidLinesByTheAsOfDay() throws {
        let history = try makeHistory(lines)
        let rows = [0, 2, 3]
        let matrix = try #require(
            purchaseMatrix(
                history, customerRows: rows, asOf: day("2024-01-03"), clock: .utc, threadCount: 1))
        // Codes in order of first appearance: b 0, a 1, c 2.
        #expect(matrix.rowOffsets == [0, 2, 2, 3])
        #expect(matrix.productCodes == [0, 1, 1])
        #expect(matrix.values == [2, 1, 1])
        #expect(matrix.products == TextArray(["b", "a", "c"]))
        #expect(matrix.rowCount == 3)
        #expect(matrix.columnCount == 3)

        let later = try #require(
            purchaseMatrix(
                history, customerRows: rows, after: day("2024-01-02"), through: day("2024-01-09"),
                clock: .utc, threadCount: 1))
        #expect(later.rowOffsets == [0, 1, 1, 2])
        #expect(later.productCodes == [0, 0])
    }

    @Test func withoutProductsThereIsNone() throws {
        let history = try makeHistory([Line(1, "2024-01-01", 5)])
        #expect(
            purchaseMatrix(
                history, customerRows: [0], asOf: day("2024-01-03"), clock: .utc, threadCount: 1)
                == nil)
    }
}
