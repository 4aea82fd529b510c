import Foundation
import Lab
import Models
import Numerical
import TestSupport
import Testing
import Units

@Suite struct LifetimeLabTests {
    /// What a model of order values refuses is the fault of the order values.
    @Test func namesTheArrayThatIsRefused() throws {
        try withTemporaryFolder { folder in
            func save(_ values: [Int32], _ name: String) throws -> String {
                let path = folder.appendingPathComponent(name).path
                try NumPyOutput(path).write(values, shape: [values.count])
                return path
            }
            let customers = 0..<200
            let counts = customers.map { Int32($0 % 5 == 0 ? 0 : $0 % 7) }
            var options = LifetimeLab.Options(
                countsPath: try save(counts, "x.npy"),
                lastPurchasePath: try save(
                    customers.map { counts[$0] == 0 ? 0 : Int32(20 + $0 * 11 % 160) }, "tx.npy"),
                agesPath: try save(customers.map { Int32(200 + $0 % 90) }, "t.npy"))
            let setting = LabSetting(level: KernelTable.current.level)
            _ = try LifetimeLab.run(options, setting)
            let equal = folder.appendingPathComponent("equal.npy").path
            try NumPyOutput(equal).write(customers.map { _ in 10.0 }, shape: [200])
            options.meanOrderValuePath = equal
            let error = #expect(throws: LabError.self) { try LifetimeLab.run(options, setting) }
            #expect(error?.description.hasPrefix(equal) == true, "\(String(describing: error))")
            // A history that cannot be is the fault of the counts.
            options.lastPurchasePath = try save(customers.map { _ in 400 }, "late.npy")
            let other = #expect(throws: LabError.self) { try LifetimeLab.run(options, setting) }
            #expect(other?.description.contains("x.npy") == true)
        }
    }

    private static func save(_ values: [Int32], _ name: String, _ folder: URL) throws -> String {
        let path = folder.appendingPathComponent(name).path
        try NumPyOutput(path).write(values, shape: [values.count])
        return path
    }

    private static func numbers(_ report: LabReport, _ key: String) -> [Double] {
        guard case .numbers(let values) = report[key] else { return [] }
        return values
    }

    /// Donors of 1995 to 2001. Source: Fader, Hardie & Shang, "Customer-Base Analysis in a
    /// Discrete-Time Noncontractual Setting", Marketing Science 2010, tables 1 and 3.
    @Test func opportunitiesGiveThePublishedFit() throws {
        let cells: [(x: Int32, tx: Int32, customers: Int)] = [
            (6, 6, 1_203), (5, 6, 728), (4, 6, 512), (3, 6, 357), (2, 6, 234), (1, 6, 129),
            (5, 5, 335), (4, 5, 284), (3, 5, 225), (2, 5, 173), (1, 5, 119), (4, 4, 240),
            (3, 4, 181), (2, 4, 155), (1, 4, 78), (3, 3, 322), (2, 3, 255), (1, 3, 129),
            (2, 2, 613), (1, 2, 277), (1, 1, 1_091), (0, 0, 3_464),
        ]
        func column(_ value: (Int32, Int32) -> Int32) -> [Int32] {
            cells.flatMap { cell in
                [Int32](repeating: value(cell.x, cell.tx), count: cell.customers)
            }
        }
        try withTemporaryFolder { folder in
            var options = LifetimeLab.Options(
                countsPath: try Self.save(column { x, _ in x }, "x.npy", folder),
                lastPurchasePath: try Self.save(column { _, tx in tx }, "tx.npy", folder),
                agesPath: try Self.save(column { _, _ in 6 }, "n.npy", folder))
            options.model = .bgbb
            options.grid = .month
            options.horizon = Horizon(5, .month)
            options.predictionsOutput = folder.appendingPathComponent("p.npy").path
            let report = try LifetimeLab.run(options, LabSetting(level: KernelTable.current.level))
            let found = Self.numbers(report, "parameters")
            let published = [1.204, 0.750, 0.657, 2.783]
            #expect(found.count == 4)
            for (value, expected) in zip(found, published) {
                #expect(abs(value - expected) < 5.1e-4)
            }
            #expect(abs((report.number("log_likelihood") ?? 0) + 33_225.6) < 0.05)
            // Of a donor of all six years, 3.75 gifts are expected in the next five.
            let predictions = try NumPyFile(
                folder.appendingPathComponent("p.npy").path, [.float64])
            #expect(predictions.shape == [11_104, 4])
            #expect(abs(try predictions.doubles()[1] - 3.75) < 5e-3)
            options.horizon = Horizon(100, .day)
            let error = #expect(throws: LabError.self) {
                try LifetimeLab.run(options, LabSetting(level: KernelTable.current.level))
            }
            #expect(error?.description.contains("--horizon") == true)
        }
    }

    /// The regular customers. Source: Fader & Hardie, "How to Project Customer Retention", J.
    /// Interactive Marketing 2007, table 1 and figure 6.
    @Test func contractsGiveThePublishedFit() throws {
        let survivors = [1_000, 631, 468, 382, 326, 289, 262, 241]
        var (left, seen): ([Int32], [Int32]) = ([], [])
        for period in 1..<survivors.count {
            let gone = survivors[period - 1] - survivors[period]
            left += [Int32](repeating: 1, count: gone)
            seen += [Int32](repeating: Int32(period), count: gone)
        }
        left += [Int32](repeating: 0, count: survivors[7])
        seen += [Int32](repeating: 7, count: survivors[7])
        try withTemporaryFolder { folder in
            var options = LifetimeLab.Options(
                countsPath: try Self.save(left, "x.npy", folder), lastPurchasePath: "",
                agesPath: try Self.save(seen, "n.npy", folder))
            options.model = .sbg
            options.grid = .month
            options.horizon = Horizon(5, .month)
            options.predictionsOutput = folder.appendingPathComponent("p.npy").path
            let setting = LabSetting(level: KernelTable.current.level)
            let report = try LifetimeLab.run(options, setting)
            let found = Self.numbers(report, "parameters")
            #expect(found.count == 2)
            #expect(abs(found[0] - 0.704) < 5e-4)
            #expect(abs(found[1] - 1.182) < 5e-4)
            let predictions = try NumPyFile(
                folder.appendingPathComponent("p.npy").path, [.float64]
            ).doubles()
            // Who left is not there; of the others S(12) / S(7), equation 6 period by period.
            #expect(Array(predictions[0..<3]) == [0, 0, 1])
            var stays = 1.0
            for age in 7..<12 {
                let base = 1.182 + Double(age)
                stays *= base / (0.704 + base)
            }
            #expect(abs(predictions[3 * 999] - stays) < 1e-4)
            _ = try Self.save([2] + left.dropFirst(), "x.npy", folder)
            let error = #expect(throws: LabError.self) { try LifetimeLab.run(options, setting) }
            #expect(error?.description.contains("neither 1") == true)
        }
    }

    @Test func orderValuesAloneAreFitted() throws {
        try withTemporaryFolder { folder in
            let counts = (0..<400).map { Int32(1 + $0 % 5) }
            let means = (0..<400).map { 5.0 + Double($0 * 37 % 101) }
            let path = folder.appendingPathComponent("m.npy").path
            try NumPyOutput(path).write(means, shape: [400])
            var options = LifetimeLab.Options(
                countsPath: try Self.save(counts, "x.npy", folder), lastPurchasePath: "",
                agesPath: "")
            options.model = .gammagamma
            options.meanOrderValuePath = path
            let report = try LifetimeLab.run(options, LabSetting(level: KernelTable.current.level))
            let expected = try GammaGamma.fit(repeatPurchaseCount: counts, meanOrderValue: means)
            #expect(
                Self.numbers(report, "parameters") == [expected.p, expected.q, expected.v])
        }
    }
}
