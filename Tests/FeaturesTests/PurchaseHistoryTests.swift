import ByteCoding
import Features
import Numerical
import Testing
import Units

@Suite struct PurchaseHistoryTests {
    @Test func sortsByCustomerThenTimeThenOriginalOrder() throws {
        let history = try makeHistory([
            Line(5, "2024-01-02", 1), Line(-3, "2024-01-09", 2), Line(5, "2024-01-01", 3),
            Line(5, "2024-01-02", 4), Line(-3, "1969-12-01", 5),
        ])
        #expect(history.customerIDs == .integers([-3, 5]))
        #expect(history.lineOffsets == [0, 2, 5])
        #expect(history.amounts == [50_000, 20_000, 30_000, 10_000, 40_000])
        #expect(history.lines(ofCustomer: 1) == 2..<5)
        var survey = LineSurvey()
        _ = survey.add(
            times: history.times, amounts: history.amounts, asOf: day("2024-01-09"), clock: .utc)
        #expect(survey.purchaseDays(clock: .utc) == day("1969-12-01")...day("2024-01-09"))
    }

    @Test func sortsTextIDsBytewise() throws {
        let ids = ["b", "a", "é", "b", "", "aa", "a"]
        let history = try PurchaseHistory.sorting(
            lineCustomerIDs: .texts(TextArray(ids)), times: [7, 6, 5, 4, 3, 2, 1],
            amounts: [1, 2, 3, 4, 5, 6, 7])
        #expect(history.customerIDs == .texts(TextArray(["", "a", "aa", "b", "é"])))
        #expect(history.amounts == [5, 7, 2, 6, 4, 1, 3])
    }

    /// Against the library's own sort, for id ranges from one value to all of 64 bits.
    @Test(arguments: [1, 2, 3_000, Int64.max])
    func sortsLikeTheStandardLibrary(range: Int64) throws {
        var random = SeededRandom(seed: 11, stream: 0)
        for count in [1, 2, 3, 17, 1_000] {
            let ids = (0..<count).map { _ in
                Int64(bitPattern: random.next()) % range &- range / 2
            }
            let times = (0..<count).map { _ in Int64(random.next() % 50) * 100_000_000 }
            let expected = ids.indices.sorted {
                (ids[$0], times[$0], $0) < (ids[$1], times[$1], $1)
            }
            for threadCount in [1, 3] {
                let history = try PurchaseHistory.sorting(
                    lineCustomerIDs: .integers(ids), times: times,
                    amounts: ids.indices.map(Int64.init), threadCount: threadCount)
                #expect(history.amounts == expected.map(Int64.init))
                #expect(history.times == expected.map { times[$0] })
                for row in 0..<history.customerCount {
                    for line in history.lines(ofCustomer: row) {
                        #expect(history.customerIDs[row] == .integer(ids[expected[line]]))
                    }
                }
            }
        }
    }

    @Test func refusesWhatDoesNotFit() {
        func refused(
            ids: [Int64] = [1, 2], offsets: [Int] = [0, 1, 3], times: [Int64] = [1, 1, 2],
            amounts: [Int64] = [1, 2, 3], margins: [Int64]? = nil, quantities: [Float]? = nil,
            products: CodedText? = nil
        ) -> FeatureError? {
            do throws(FeatureError) {
                _ = try PurchaseHistory(
                    customerIDs: .integers(ids), lineOffsets: offsets, times: times,
                    amounts: amounts, margins: margins, quantities: quantities, products: products)
                return nil
            } catch {
                return error
            }
        }
        #expect(refused() == nil)
        #expect(
            refused(ids: [2, 1]) == .inconsistentHistory("customer ids are not ascending at row 1"))
        #expect(
            refused(ids: [1, 1]) == .inconsistentHistory("customer ids are not ascending at row 1"))
        #expect(refused(offsets: [0, 3, 3]) == .inconsistentHistory("customer row 1 has no line"))
        #expect(refused(offsets: [0, 4, 3]) != nil)
        #expect(refused(offsets: [0, -1, 3]) != nil)
        #expect(refused(offsets: [0, 1]) != nil)
        #expect(
            refused(times: [1, 2, 1]) == .inconsistentHistory("times are not ascending at line 2"))
        #expect(refused(amounts: [1, 2]) == .inconsistentHistory("line columns differ in count"))
        #expect(refused(margins: [1]) == .inconsistentHistory("line columns differ in count"))
        #expect(
            refused(amounts: [1, .max, .max])
                == .amountsTooLarge(column: "amounts", customerRow: 1))
        #expect(
            refused(amounts: [1, .min, 0]) == .amountsTooLarge(column: "amounts", customerRow: 1))
        #expect(
            refused(margins: [0, .max, 1]) == .amountsTooLarge(column: "margins", customerRow: 1))
        #expect(
            refused(quantities: [1, .nan, 1]) == .inconsistentHistory("a quantity is not finite"))
        #expect(
            refused(times: [1, 1, .max])
                == .inconsistentHistory("a time lies outside the years 1 to 9999"))
        let bad = CodedText(codes: [0, 1, CodedText.missing], values: TextArray(["a"]))
        #expect(refused(products: bad) == .inconsistentHistory("a product code has no value"))
    }

    @Test func categoriesFromTheProductTable() throws {
        let products = TextArray(["10", "11", "12"])
        let categories = CodedText(
            codes: [1, 0, CodedText.missing], values: TextArray(["Food", "Toys"]))
        #expect(
            try categoryCodes(
                of: products, productIDs: .integers([10, 11, 99]), categories: categories)
                == [1, 0, CodedText.missing])
        #expect(throws: FeatureError.duplicateID(table: "products", row: 1)) {
            try categoryCodes(
                of: products, productIDs: .integers([1, 1, 2]), categories: categories)
        }
    }
}
