import Foundation
import Ingest
import TestSupport
import Testing
import Units

@Suite struct RealDataTests {
    /// Facts of the UCI file that its users agree on, and sums checked with another program.
    @Test func onlineRetail() throws {
        guard let file = TestData.file("online_retail/online_retail.csv") else { return }
        var mapping = PurchaseMapping(
            customerID: IDReference(.name("CustomerID"), kind: .integer),
            time: TimeReference(.name("InvoiceDate")),
            amount: .quantityTimesPrice(
                quantity: .name("Quantity"), unitPrice: .name("UnitPrice")))
        mapping.orderID = .name("InvoiceNo")
        mapping.product = .name("StockCode")
        mapping.channel = .name("Country")
        mapping.format.setAside = [.missingCustomerID, .nonPositivePrice]
        let clock = try #require(LocalClock(timeZoneName: "Europe/London"))
        let (lines, report) = try readPurchases(path: file.path, mapping: mapping, clock: clock)
        #expect(report.lineCount == 541_909)
        #expect(report.rejectedCount == 0)
        #expect(
            report.reasonCounts == [.missingCustomerID: 135_080, .nonPositivePrice: 2_517])
        // 406,829 lines have a customer; 40 of them have a price of zero.
        #expect(report.acceptedCount == 406_789)
        #expect(report.setAsideCount == 541_909 - 406_789)
        #expect(lines.count == report.acceptedCount)
        #expect(report.byteCount == 48_039_726)

        let positive = lines.amounts.indices.filter { lines.amounts[$0] > 0 }
        #expect(positive.count == 397_884)
        #expect(report.returnCount == lines.count - positive.count)
        let ids = try #require(integers(lines))
        #expect(Set(positive.map { ids[$0] }).count == 4_338)
        // 8,911,407.90 in every publication; the exact sum of quantity x price is …7.904.
        #expect(positive.reduce(Int64(0)) { $0 + lines.amounts[$1] } == 89_114_079_040)
        let products = try #require(lines.products)
        #expect(Set(positive.map { products.codes[$0] }).count == 3_665)
        let orders = try #require(lines.orderIDs)
        #expect(Set(positive.map { orders.codes[$0] }).count == 18_532)
        #expect(lines.channels?.values.strings.contains("United Kingdom") == true)
        // 2010-12-01T08:26 in London is the same in UTC; the last line is 2011-12-09T12:50.
        #expect(report.firstTime == 1_291_191_960)
        #expect(report.lastTime == 1_323_435_000)
    }

    #if !DEBUG  // Half a million lines once more take seconds in a debug build.
    /// Lines without a customer have amounts too: the file has 10,624 with a quantity <= 0.
    @Test func onlineRetailQuantities() throws {
        guard let file = TestData.file("online_retail/online_retail.csv") else { return }
        let mapping = PurchaseMapping(
            customerID: IDReference(.name("StockCode")), time: TimeReference(.name("InvoiceDate")),
            amount: .amount(.name("Quantity")))
        let (lines, report) = try readPurchases(path: file.path, mapping: mapping, clock: .utc)
        #expect(report.acceptedCount == 541_909)
        #expect(lines.amounts.count { $0 <= 0 } == 10_624)
    }
    #endif

    @Test func cdnow() throws {
        guard let file = TestData.file("cdnow/CDNOW_sample.txt") else { return }
        var mapping = PurchaseMapping(
            format: TextFormat(delimiter: .blanks, hasHeader: false),
            customerID: IDReference(.number(2), kind: .integer),
            time: TimeReference(.number(3), format: .yearMonthDay), amount: .amount(.number(5)))
        mapping.quantity = .number(4)
        let (lines, report) = try readPurchases(path: file.path, mapping: mapping, clock: .utc)
        #expect(report.lineCount == 6_919)
        #expect(report.acceptedCount == 6_919)
        #expect(report.reasonCounts.isEmpty)
        #expect(Set(try #require(integers(lines))).count == 2_357)
        #expect(lines.amounts[0] == 293_300)
        #expect(lines.quantities?[0] == 2)
        #expect(report.firstTime == 852_076_800)  // 1997-01-01
        #expect(report.lastTime == 899_164_800)  // 1998-06-30
    }

    @Test func telcoCustomers() throws {
        guard let file = TestData.file("telco_churn/telco_churn.csv") else { return }
        let mapping = EntityMapping(
            id: IDReference(.name("customerID")),
            attributes: [
                AttributeMapping(
                    name: "total", column: .name("TotalCharges"), kind: .number),
                AttributeMapping(name: "contract", column: .name("Contract"), kind: .text),
            ])
        let (table, report) = try readEntities(path: file.path, mapping: mapping)
        #expect(report.acceptedCount == 7_043)
        guard case .number(_, let valid) = table.columns[0].values,
            case .text(let contract) = table.columns[1].values
        else {
            Issue.record("wrong kinds")
            return
        }
        #expect(valid.count { !$0 } == 11)
        #expect(contract.values.strings.sorted() == ["Month-to-month", "One year", "Two year"])
    }

    private func integers(_ lines: PurchaseLines) -> [Int64]? {
        guard case .integers(let ids) = lines.customerIDs else { return nil }
        return ids
    }
}
