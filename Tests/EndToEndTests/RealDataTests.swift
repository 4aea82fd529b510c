import Engine
import Foundation
import PatronClient
import TestSupport
import Testing
import Units

/// Published data sets from file to answer; skipped where they are not at hand.
@Suite struct RealDataTests {
    @Test func cdnowGivesThePublishedNumbers() throws {
        guard let file = TestData.file("cdnow/CDNOW_sample.txt") else { return }
        let plan = """
            currency: USD
            timeGrid: week
            sources:
              purchases:
                files: [\(file.path)]
                delimiter: blanks
                header: false
                columns:
                  customerID: {column: 2, type: integer}
                  time: {column: 3, format: yyyyMMdd}
                  amount: 5
                  quantity: 4
            lifetime: {horizon: 39w, basis: revenue}
            """
        try withTemporaryFolder { folder in
            let planPath = try folder.write(plan, as: "patron.yaml")
            try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            _ = try workspace.ingest()
            let day = try #require(CalendarDay(parsing: "1997-09-30"))
            let trained = try workspace.train(asOf: day, threadCount: 2)
            let card = try #require(trained.models.first { $0.name == "lifetime" })
            #expect(card.data.customerCount == 2_357)
            for (name, expected) in [
                ("r", 0.2425945), ("alpha", 4.4136019), ("a", 0.7929220), ("b", 2.4259067),
                ("logLikelihood", -9582.429207), ("p", 6.2495737), ("q", 3.7442247),
                ("v", 15.4435178), ("orderValueLogLikelihood", -4055.917695),
                ("repeatCustomerCount", 946),
            ] {
                let fitted = try #require(card.diagnostics[name])
                #expect(abs(fitted / expected - 1) < 1e-5, "\(name): \(fitted)")
            }
            let report = try workspace.evaluate(
                asOf: day, horizon: Horizon(39, .week), threadCount: 2)
            let purchases = try #require(report.purchases)
            #expect(abs(purchases.expectedPurchases - 1653.41) < 0.01)
            #expect(purchases.actualPurchases == 1_882)
            #expect(abs(purchases.meanAbsoluteError - 0.78545) < 1e-5)
            #expect(abs(purchases.rootMeanSquareError - 1.60798) < 1e-5)
        }
    }

    @Test func onlineRetailFromFileToAnswer() async throws {
        guard let file = TestData.file("online_retail/online_retail.csv") else { return }
        let plan = """
            currency: GBP
            timeZone: Europe/London
            sources:
              purchases:
                files: [\(file.path)]
                setAside: [missingCustomerID, nonPositivePrice]
                columns:
                  customerID: {column: CustomerID, type: integer}
                  time: InvoiceDate
                  quantity: Quantity
                  unitPrice: UnitPrice
                  orderID: InvoiceNo
                  product: StockCode
            """
        try await inTemporaryFolder { folder in
            let planPath = try folder.write(plan, as: "patron.yaml")
            try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            let report = try workspace.ingest().purchases[0]
            #expect(report.lineCount == 541_909)
            #expect(report.reasonCounts == [.missingCustomerID: 135_080, .nonPositivePrice: 2_517])
            #expect(report.acceptedCount - report.returnCount == 397_884)
            let history = try workspace.history()
            let positive = history.amounts.filter { $0 > 0 }.reduce(0, +)
            #expect(positive == 89_114_079_040)
            let buyers = (0..<history.customerCount).count { row in
                history.lines(ofCustomer: row).contains { history.amounts[$0] > 0 }
            }
            #expect(buyers == 4_338)
            _ = try workspace.train(threadCount: 2)
            _ = try workspace.score(threadCount: 2)
            try workspace.publish()
            try await serving(folder.sub("ws")) { connection, _ in
                let answer = try await connection.lookup([.integer(17_850)])
                #expect(answer.status == [.ok])
                let columns = try await connection.describe().columns
                let revenue = try #require(columns.first { $0.name == "revenue" })
                #expect(answer.column(revenue.id)?.number(0) == 5_288.63)
                // 33 of the 34 orders after the first day; the last is a year back.
                let since = try #require(columns.first { $0.name == "days_since_last_purchase" })
                #expect(answer.column(since.id)?.number(0) == 372)
            }
        }
    }
}
