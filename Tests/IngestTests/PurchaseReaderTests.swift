import ByteCoding
import Foundation
import Ingest
import Testing
import Units

@Suite struct PurchaseReaderTests {
    private var full: PurchaseMapping {
        var mapping = PurchaseMapping(
            customerID: IDReference(.name("customer"), kind: .integer),
            time: TimeReference(.name("time")),
            amount: .quantityTimesPrice(quantity: .name("items"), unitPrice: .name("price")))
        mapping.margin = .cost(.name("cost"))
        mapping.orderID = .name("order")
        mapping.product = .name("product")
        mapping.category = .name("category")
        mapping.promotion = .name("promotion")
        mapping.channel = .name("channel")
        mapping.format.maximumRejectShare = 1
        return mapping
    }

    private var fullHeader: String {
        "order,product,items,time,price,customer,cost,category,promotion,channel,unmapped\n"
    }

    @Test func everyColumn() throws {
        let (lines, report) = try read(
            fullHeader + """
                536365,85123A,6,2010-12-01 08:26:00,2.55,17850.0,9.30,home,,web,x
                536365,71053,1.5,2010-12-01 08:26:00,3.39,17850.0,0,home,SPRING,web,
                C536379,D,-1,2010-12-01 09:41:00,27.50,14527,-20,,,store,x

                """, full)
        #expect(lines.customerIDs == .integers([17_850, 17_850, 14_527]))
        #expect(lines.times == [1_291_191_960, 1_291_191_960, 1_291_196_460])
        #expect(lines.amounts == [153_000, 50_850, -275_000])
        #expect(lines.margins == [60_000, 50_850, -75_000])
        #expect(lines.quantities == [6, 1.5, -1])
        #expect(
            lines.orderIDs
                == CodedText(
                    codes: [0, 0, 1], values: TextArray(["536365", "C536379"])))
        #expect(lines.products?.values.strings == ["85123A", "71053", "D"])
        #expect(lines.categories?.codes == [0, 0, CodedText.missing])
        #expect(lines.promotions?[1] == "SPRING")
        #expect(lines.promotions?[0] == nil)
        #expect(lines.channels?.codes == [0, 0, 1])
        #expect(report.lineCount == 3)
        #expect(report.acceptedCount == 3)
        #expect(report.returnCount == 1)
        #expect(report.reasonCounts.isEmpty)
        #expect(report.firstTime == 1_291_191_960)
        #expect(report.lastTime == 1_291_196_460)
    }

    @Test func bareFile() throws {
        let (lines, _) = try read("customer,time,amount\nb,2011-01-01,0\na,2010-01-01,2.5")
        #expect(ids(lines.customerIDs) == ["b", "a"])
        #expect(lines.amounts == [0, 25_000])
        #expect(lines.margins == nil)
        #expect(lines.quantities == nil)
        #expect(lines.orderIDs == nil && lines.products == nil && lines.categories == nil)
        #expect(lines.promotions == nil && lines.channels == nil)
    }

    @Test func emptyQuantityIsOneItem() throws {
        var mapping = plainMapping
        mapping.quantity = .name("items")
        let (lines, _) = try read(
            "customer,time,amount,items\na,2011-01-01,5,\na,2011-01-01,-5,\na,2011-01-01,5,3\n",
            mapping)
        #expect(lines.quantities == [1, -1, 3])
    }

    @Test func marginColumn() throws {
        var mapping = lenientMapping
        mapping.margin = .margin(.name("margin"))
        let (lines, report) = try read(
            "customer,time,amount,margin\na,2011-01-01,5,1.25\na,2011-01-01,5,\n", mapping)
        #expect(lines.margins == [12_500])
        #expect(report.reasonCounts == [.missingMargin: 1])
    }

    @Test func headerless() throws {
        var mapping = PurchaseMapping(
            format: TextFormat(hasHeader: false), customerID: IDReference(.number(2)),
            time: TimeReference(.number(3)), amount: .amount(.number(1)))
        mapping.format.maximumRejectShare = 1
        let (lines, report) = try read("1,a,2011-01-01\n2,b\n3,c,2011-01-02\n", mapping)
        #expect(ids(lines.customerIDs) == ["a", "c"])
        #expect(report.reasonCounts == [.wrongFieldCount: 1])
        #expect(report.lineCount == 3)
    }

    @Test func numbersWorkBesideAHeader() throws {
        var mapping = plainMapping
        mapping.amount = .amount(.number(3))
        let (lines, _) = try read("customer,time,amount\na,2011-01-01,7\n", mapping)
        #expect(lines.amounts == [70_000])
    }

    @Test func allReasonsOfALine() throws {
        let (lines, report) = try read(
            fullHeader + "1,1,x,2011-02-30,0,x,,,,,\n1,1,1,,1,,1e300,,,,\n1,1\n", full)
        #expect(lines.count == 0)
        #expect(
            report.reasonCounts == [
                .invalidID: 1, .unparseableTime: 1, .unparseableNumber: 1, .nonPositivePrice: 1,
                .missingMargin: 1, .missingCustomerID: 1, .missingTime: 1, .amountOutOfRange: 1,
                .wrongFieldCount: 1,
            ])
        #expect(report.rejectedCount == 3)
    }

    /// Only lines all of whose reasons are expected are set aside, and they do not count towards
    /// the share.
    @Test func setAside() throws {
        var mapping = plainMapping
        mapping.format.setAside = [.missingCustomerID, .missingTime]
        mapping.format.maximumRejectShare = 0.25
        let text = """
            customer,time,amount
            ,2011-01-01,1
            ,,1
            ,2011-01-01,x
            a,2011-01-01,1

            """
        let (lines, report) = try read(text, mapping)
        #expect(lines.count == 1)
        #expect(report.setAsideCount == 2)
        #expect(report.rejectedCount == 1)
        #expect(report.acceptedCount == 1)
        #expect(
            report.reasonCounts == [.missingCustomerID: 3, .missingTime: 1, .unparseableNumber: 1])
        mapping.format.maximumRejectShare = 0.24
        #expect(error(text, mapping) != nil)
    }

    @Test func sameFileSameHash() throws {
        let (_, a) = try read("customer,time,amount\na,2011-01-01,1\n")
        let (_, b) = try read("customer,time,amount\na,2011-01-01,1\n")
        let (_, c) = try read("customer,time,amount\na,2011-01-01,2\n")
        #expect(a == b)
        #expect(a.contentHash != c.contentHash)
    }

    @Test func reportAsJSON() throws {
        let (_, report) = try read(
            "customer,time,amount\na,2011-01-01,1\n,2011-01-01,1\n", lenientMapping)
        let data = try JSONEncoder().encode(report)
        #expect(try JSONDecoder().decode(IngestReport.self, from: data) == report)
        #expect(String(decoding: data, as: UTF8.self).contains(#""missingCustomerID":1"#))
    }
}
