import Foundation
import Synthetic
import TestSupport
import Testing
import Units

/// One generated folder, read back as text.
private struct Output {
    let summary: Retailer.Summary
    let files: [String: Data]

    static let names = [
        Retailer.FileName.purchases, Retailer.FileName.customers, Retailer.FileName.products,
        Retailer.FileName.plan, Retailer.FileName.truth, Retailer.FileName.customerTruth,
    ]

    init(_ parameters: Retailer.Parameters, threadCount: Int = 1) throws {
        let retailer = try Retailer(parameters)
        (summary, files) = try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("a/b").path
            let summary = try retailer.generate(into: path, threadCount: threadCount)
            let found = try FileManager.default.contentsOfDirectory(atPath: path)
            #expect(found.sorted() == Self.names.sorted())
            var files: [String: Data] = [:]
            for name in Self.names {
                files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
            }
            return (summary, files)
        }
    }

    /// Lines of a file split at commas, its header first.
    func rows(_ name: String) -> [[Substring]] {
        String(decoding: files[name] ?? Data(), as: UTF8.self)
            .split(separator: "\n")
            .map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    }
}

private func parameters(customers: Int, seed: UInt64 = 1) -> Retailer.Parameters {
    var parameters = Retailer.Parameters()
    parameters.customerCount = customers
    parameters.productCount = 200
    parameters.seed = seed
    return parameters
}

@Suite struct RetailerDeterminismTests {
    @Test func sameSeedSameBytesOnAnyThreadCount() throws {
        // More than one chunk of customers, and a last chunk that is not full.
        let one = try Output(parameters(customers: 1_500))
        let three = try Output(parameters(customers: 1_500), threadCount: 3)
        #expect(one.files == three.files)
        #expect(one.summary == three.summary)
        let other = try Output(parameters(customers: 1_500, seed: 2))
        #expect(one.files[Retailer.FileName.purchases] != other.files[Retailer.FileName.purchases])
    }

    @Test func customersDoNotDependOnHowManyThereAre() throws {
        let small = try Output(parameters(customers: 200))
        let large = try Output(parameters(customers: 1_300), threadCount: 2)
        for name in [
            Retailer.FileName.purchases, Retailer.FileName.customers,
            Retailer.FileName.customerTruth,
        ] {
            let prefix = try #require(small.files[name])
            #expect(large.files[name]?.prefix(prefix.count) == prefix, "\(name)")
        }
        #expect(
            small.files[Retailer.FileName.products] == large.files[Retailer.FileName.products])
    }

    @Test func progressEndsAtTheCustomerCount() throws {
        try withTemporaryFolder { folder in
            var seen: [Int] = []
            let retailer = try Retailer(parameters(customers: 33_000))
            _ = try retailer.generate(into: folder.path, threadCount: 1) { seen.append($0) }
            #expect(seen == [32_000, 33_000])
        }
    }
}

@Suite struct RetailerContentTests {
    private static let output = Result { try Output(parameters(customers: 2_000), threadCount: 2) }

    @Test func linesAreWellFormed() throws {
        let output = try Self.output.get()
        let rows = output.rows(Retailer.FileName.purchases)
        #expect(rows.count == output.summary.lineCount + 1)
        #expect(
            output.files[Retailer.FileName.purchases]?.count == output.summary.purchaseByteCount)
        var revenueCents = 0
        var returnCount = 0
        var sold: [String: Int] = [:]
        var previous = (customer: Substring(""), time: Substring(""))
        let limits = (first: "2024-01-01", last: "2025-12-30")
        for row in rows.dropFirst() {
            #expect(row.count == 10)
            let day = row[2].prefix(10)
            #expect(day >= limits.first && day <= limits.last)
            #expect(CalendarDay(parsing: String(day)) != nil)
            if row[0] == previous.customer { #expect(row[2] >= previous.time) }
            previous = (row[0], row[2])
            let amount = try #require(Double(row[6]))
            let margin = try #require(Double(row[7]))
            let cents = Int((amount * 100).rounded())
            revenueCents += cents
            #expect(cents != 0 && abs(margin) <= abs(amount))
            let isReturn = row[1].contains("R")
            #expect(isReturn == (cents < 0))
            #expect(isReturn == ((Int(row[5]) ?? 0) < 0))
            // Every return takes back a line that was sold before.
            let key = "\(row[1].filter { $0 != "R" })/\(row[3])/\(abs(cents))"
            if isReturn {
                returnCount += 1
                #expect(sold[key, default: 0] > 0)
                sold[key, default: 0] -= 1
            } else {
                sold[key, default: 0] += 1
            }
        }
        #expect(revenueCents == output.summary.revenueCents)
        #expect(returnCount == output.summary.returnCount)
    }

    @Test func totalsArePlausible() throws {
        let summary = try Self.output.get().summary
        #expect(summary.customerCount == 2_000)
        let lines = Double(summary.lineCount) / Double(summary.customerCount)
        #expect((16...24).contains(lines), "about 20 lines a customer, not \(lines)")
        let returnShare = Double(summary.returnCount) / Double(summary.lineCount)
        #expect((0.02...0.035).contains(returnShare))
        // The planted mean order value is p v / (q - 1) = 40; three in a hundred lines come back.
        let mean = Double(summary.revenueCents) / 100 / Double(summary.orderCount)
        #expect((35...42).contains(mean))
    }

    /// Chance of no repeat order by the model, (alpha / (alpha + T))^r, against the files.
    /// Source: P. Fader, B. Hardie and K. L. Lee, "Counting Your Customers the Easy Way", 2005,
    /// equation 4.
    @Test func oneTimeBuyersAreAsManyAsTheModelSays() throws {
        let output = try Self.output.get()
        let truth = try decodedTruth(output)
        var firstDays: [Substring: CalendarDay] = [:]
        var orders: [Substring: Set<Substring>] = [:]
        for row in output.rows(Retailer.FileName.purchases).dropFirst()
        where !row[1].contains("R") {
            if firstDays[row[0]] == nil {
                firstDays[row[0]] = CalendarDay(parsing: String(row[2].prefix(10)))
            }
            orders[row[0], default: []].insert(row[1])
        }
        let lastDay = try #require(CalendarDay(parsing: truth.lastDay))
        let rates = truth.purchaseRates
        var expected = 0.0
        var variance = 0.0
        for day in firstDays.values {
            let weeks = Double(lastDay - day) / 7
            let chance = pow(rates.alpha / (rates.alpha + weeks), rates.r)
            expected += chance
            variance += chance * (1 - chance)
        }
        let actual = Double(orders.values.count { $0.count == 1 })
        #expect(firstDays.count == 2_000)
        #expect(abs(actual - expected) <= 5 * variance.squareRoot())
    }

    @Test func truthFilesAgreeWithTheParameters() throws {
        let output = try Self.output.get()
        let truth = try decodedTruth(output)
        #expect(truth == (try Retailer(parameters(customers: 2_000))).truth)
        #expect(abs(truth.lifestyles.reduce(0) { $0 + $1.customerShare } - 1) < 1e-12)
        for lifestyle in truth.lifestyles {
            #expect(abs(lifestyle.weekdaySharesMondayFirst.reduce(0, +) - 1) < 1e-12)
            #expect(abs(lifestyle.channelShares.values.reduce(0, +) - 1) < 1e-12)
        }
        let rows = output.rows(Retailer.FileName.customerTruth).dropFirst()
        #expect(rows.count == 2_000)
        let count = Double(rows.count)
        let rates = truth.purchaseRates
        let meanRate = rows.reduce(0) { $0 + (Double($1[2]) ?? .nan) } / count
        let rateError = rates.r.squareRoot() / rates.alpha / count.squareRoot()
        #expect(abs(meanRate - rates.r / rates.alpha) <= 5 * rateError)
        let meanDropout = rows.reduce(0) { $0 + (Double($1[3]) ?? .nan) } / count
        #expect(abs(meanDropout - rates.a / (rates.a + rates.b)) <= 5 * 0.5 / count.squareRoot())
        #expect(rows.reduce(0) { $0 + (Int($1[4]) ?? 0) } == output.summary.aliveCount)
        #expect(rows.reduce(0) { $0 + (Int($1[7]) ?? 0) } == output.summary.orderCount)
        for lifestyle in truth.lifestyles {
            let share = Double(rows.count { $0[1] == lifestyle.name }) / count
            let error = (share * (1 - share) / count).squareRoot()
            #expect(abs(share - lifestyle.customerShare) <= 5 * error)
        }
    }

    /// Lines of responders carry a promotion clearly more often.
    @Test func respondersBuyMoreOnPromotion() throws {
        let output = try Self.output.get()
        let responders = Set(
            output.rows(Retailer.FileName.customerTruth).filter { $0[6] == "1" }.map { $0[0] })
        var promoted = [0.0, 0.0]
        var total = [0.0, 0.0]
        for row in output.rows(Retailer.FileName.purchases).dropFirst()
        where !row[1].contains("R") {
            let group = responders.contains(row[0]) ? 1 : 0
            total[group] += 1
            promoted[group] += row[8].isEmpty ? 0 : 1
        }
        #expect(promoted[1] / total[1] > 1.8 * promoted[0] / total[0])
    }

    @Test func planNamesTheColumnsOfTheFiles() throws {
        let output = try Self.output.get()
        let plan = String(decoding: output.files[Retailer.FileName.plan] ?? Data(), as: UTF8.self)
        #expect(plan.contains("asOf: 2025-12-30\n"))
        for column in try #require(output.rows(Retailer.FileName.purchases).first) {
            #expect(plan.contains(" \(column)"), "\(column)")
        }
        for name in [
            Retailer.FileName.purchases, Retailer.FileName.customers, Retailer.FileName.products,
        ] {
            #expect(plan.contains("files: [\(name)]"))
        }
    }

    private func decodedTruth(_ output: Output) throws -> Truth {
        try JSONDecoder().decode(
            Truth.self, from: try #require(output.files[Retailer.FileName.truth]))
    }
}

@Suite struct RetailerLimitsTests {
    @Test func smallestRetailer() throws {
        var smallest = parameters(customers: 1)
        smallest.dayCount = 30
        smallest.productCount = 20
        smallest.tasteDimensionCount = 1
        let output = try Output(smallest)
        #expect(output.summary.customerCount == 1)
        #expect(output.summary.lineCount >= 1)
    }

    @Test func parametersOutOfRangeAreNamed() throws {
        var wrong = parameters(customers: 0)
        #expect(
            throws: SyntheticError.parameter(
                name: "customerCount", actual: "0", allowed: "1 ... 100000000")
        ) { try Retailer(wrong) }
        wrong = parameters(customers: 10)
        wrong.productCount = 3
        #expect(throws: SyntheticError.self) { try Retailer(wrong) }
        wrong = parameters(customers: 10)
        wrong.rateScale = .nan
        #expect(throws: SyntheticError.self) { try Retailer(wrong) }
        wrong = parameters(customers: 10)
        wrong.returnShare = 0.9
        let error = #expect(throws: SyntheticError.self) { try Retailer(wrong) }
        #expect(error?.description == "returnShare is 0.9; it must be 0.0 ... 0.5")
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        try withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("taken").path
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            let retailer = try Retailer(parameters(customers: 5))
            let error = #expect(throws: SyntheticError.self) {
                try retailer.generate(into: "\(file)/out", threadCount: 1)
            }
            #expect(error?.description.contains(file) == true)
            #expect(throws: SyntheticError.self) {
                try retailer.generate(into: file, threadCount: 1)
            }
        }
    }
}
