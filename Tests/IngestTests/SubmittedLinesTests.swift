import ByteCoding
import Ingest
import Testing
import Units

/// Lines that are sent are judged as a file with the same values is.
@Suite struct SubmittedLinesTests {
    private static let clock = LocalClock(timeZoneName: "Europe/Berlin") ?? .utc

    private func mapping(_ kind: IDKind) -> PurchaseMapping {
        var mapping = PurchaseMapping(
            customerID: IDReference(.name("customer"), kind: kind),
            time: TimeReference(.name("time"), format: .epochSeconds),
            amount: .amount(.name("amount")))
        mapping.format.maximumRejectShare = 1
        mapping.margin = .cost(.name("cost"))
        mapping.quantity = .name("quantity")
        mapping.orderID = .name("order")
        mapping.product = .name("product")
        return mapping
    }

    @Test(arguments: [IDKind.integer, .text]) func judgesAsFilesAre(kind: IDKind) throws {
        let long = String(repeating: "x", count: 70_000)
        let rows: [(id: String, time: Int64, amount: Int64, cost: Int64, text: String)] = [
            ("17850", 1_291_191_960, 153_000, 100_000, "85123A"),
            (" 17850.0 ", 0, -1, 0, " 85123A\t"),
            ("", 5, 10, 5, ""),
            ("abc", 5, 10, 5, "a b"),
            ("1", SubmittedLines.missing, 10, 5, "p"),
            ("1", 1_000_000_000_000, 10, 5, "p"),
            ("1", -2_208_988_801, 10, 5, "p"),
            ("1", -2_208_988_800, 10, 5, "p"),
            ("1", 4_102_444_799, 10, 5, "p"),
            ("1", 4_102_444_800, 10, 5, "p"),
            ("1", 5, SubmittedLines.missing, 5, "p"),
            ("1", 5, 10_000_000_000_000_000, 5, "p"),
            ("1", 5, 10_000_000_000_000_001, 5, "p"),
            ("1", 5, -10_000_000_000_000_001, SubmittedLines.missing, "p"),
            ("2", 5, 10, 10_000_000_000_000_001, long),
            (String(repeating: "y", count: 1_025), 5, 10, 0, "p"),
        ]
        func decimal(_ value: Int64) -> String {
            if value == SubmittedLines.missing { return "" }
            let digits = String(value.magnitude)
            let padded = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
            return (value < 0 ? "-" : "") + padded.dropLast(4) + "." + padded.suffix(4)
        }
        var file = "customer,time,amount,cost,quantity,order,product\n"
        for row in rows {
            let time = row.time == SubmittedLines.missing ? "" : "\(row.time)"
            file += "\(row.id),\(time),\(decimal(row.amount)),\(decimal(row.cost)),,,\(row.text)\n"
        }
        let mapping = mapping(kind)
        let expected = try readPurchases(
            Array(file.utf8), path: "p.csv", mapping: mapping, clock: Self.clock)
        var sent = SubmittedLines(
            customerIDs: .texts(TextArray(rows.map(\.id))), times: .instants(rows.map(\.time)),
            amounts: rows.map(\.amount))
        sent.costs = rows.map(\.cost)
        var texts = CodedText()
        for row in rows {
            texts.append(CodedText(codes: [0], values: TextArray([row.text])))
        }
        sent.products = texts
        let found = try mapping.validated(sent, clock: Self.clock)
        #expect(found.lines.customerIDs == expected.lines.customerIDs)
        #expect(found.lines.times == expected.lines.times)
        #expect(found.lines.amounts == expected.lines.amounts)
        #expect(found.lines.margins == expected.lines.margins)
        #expect(found.lines.quantities == expected.lines.quantities)
        #expect(found.lines.orderIDs?.codes == expected.lines.orderIDs?.codes)
        func products(_ lines: PurchaseLines) -> [String?] {
            (0..<lines.count).map { row in lines.products.flatMap { $0[row] } }
        }
        #expect(products(found.lines) == products(expected.lines))
        var counts: [RejectReason: Int] = [:]
        for rejection in found.rejections { counts[rejection.reason, default: 0] += 1 }
        #expect(counts == expected.report.reasonCounts)
        #expect(Set(found.rejections.map(\.row)).count == expected.report.rejectedCount)
        #expect(found.rows?.count == expected.lines.count)
    }

    @Test func daysAreTheirFirstSecondsAndDecimalsAreMoved() throws {
        var mapping = PurchaseMapping(
            customerID: IDReference(.name("c"), kind: .text), time: TimeReference(.name("t")),
            amount: .amount(.name("a")))
        mapping.channel = .name("channel")
        // The days of both changes of the clock, and 1970-01-01.
        var sent = SubmittedLines(
            customerIDs: .integers([1, 2, 3, 4, 5]),
            times: .days([0, 20_541, 20_541, 20_751, .min]), amounts: [1, -2, 3, 4, 5])
        sent.decimals = 2
        let found = try mapping.validated(sent, clock: Self.clock)
        let file = """
            c,t,a
            1,1970-01-01,0.01
            2,2026-03-29,-.02
            3,2026-03-29,.03
            4,2026-10-25,.04
            5,,.05
            """
        mapping.channel = nil
        let expected = try readPurchases(
            Array(file.utf8), path: "p.csv",
            mapping: {
                var mapping = mapping
                mapping.format.maximumRejectShare = 1
                return mapping
            }(), clock: Self.clock
        ).lines
        #expect(found.lines.customerIDs == expected.customerIDs)
        #expect(found.lines.times == expected.times)
        #expect(found.lines.amounts == expected.amounts)
        #expect(found.lines.channels == CodedText(missing: 4))
        #expect(
            found.rejections
                == [LineRejection(row: 4, column: "time", reason: .missingTime)])
        #expect(found.rows == [0, 1, 2, 3])
    }

    @Test func refusesWhatIsNoBatchOfThePlan() throws {
        let mapping = mapping(.integer)
        func refuses(_ change: (inout SubmittedLines) -> Void) -> Bool {
            var sent = SubmittedLines(
                customerIDs: .integers([1, 2]), times: .instants([1, 2]), amounts: [1, 2])
            sent.margins = [1, 1]
            change(&sent)
            return (try? mapping.validated(sent, clock: .utc)) == nil
        }
        #expect(!refuses { _ in })
        #expect(refuses { $0.decimals = 5 })
        #expect(refuses { $0.decimals = -1 })
        #expect(refuses { $0.margins = nil })
        #expect(refuses { $0.costs = [1, 1] })
        #expect(refuses { $0.quantities = [1] })
        #expect(refuses { $0.channels = CodedText(missing: 2) })
        #expect(refuses { $0.products = CodedText(codes: [0, 1], values: TextArray(["a"])) })
        #expect(refuses { $0.customerIDs = .integers([1]) })
        #expect(refuses { $0.times = .days([1, 2, 3]) })
    }

    @Test func quantitiesThatAreNoneAreRejected() throws {
        var sent = SubmittedLines(
            customerIDs: .integers([1, 2, 3, 4]), times: .instants([1, 2, 3, 4]),
            amounts: [1, -2, 3, 4])
        sent.margins = [0, 0, 0, 0]
        sent.quantities = [2.5, .nan, .infinity, 2e12]
        let found = try mapping(.integer).validated(sent, clock: .utc)
        #expect(found.lines.quantities == [2.5, -1])
        #expect(found.rejections.map(\.row) == [2, 3])
        #expect(found.rejections.allSatisfy { $0.reason == .amountOutOfRange })
    }
}
