import Foundation
import Lab
import Numerical
import TestSupport
import Testing

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
}
