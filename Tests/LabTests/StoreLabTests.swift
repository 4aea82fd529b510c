import Foundation
import Lab
import Numerical
import TestSupport
import Testing

/// The labs of the column store at small sizes: they run, agree with plain arithmetic and refuse
/// what they cannot use.
@Suite struct StoreLabTests {
    private let setting = LabSetting(threadCount: 2, level: KernelTable.current.level)

    @Test func codecOfSeveralFiles() throws {
        try withTemporaryFolder { folder in
            let floats = try folder.save(
                (0..<6_000).map { Float($0 % 97) / 10 }, [2, 3_000], as: "floats.npy")
            let integers = try folder.save((0..<3_000).map { Int32($0 % 31) }, as: "integers.npy")
            var options = CodecLab.Options(columnsPaths: [floats, integers])
            let whole = try CodecLab.run(options, setting)
            #expect(whole["columns"] == .integer(3))
            guard case .rows(let rows) = whole["encodings"] else {
                Issue.record("no table")
                return
            }
            #expect(rows.allSatisfy { $0["exact"] == .truth(true) })
            options.isFileOnly = true
            let file = try CodecLab.run(options, setting)
            #expect(file["file_bytes"] == whole["file_bytes"] && file["encodings"] == nil)
            options.columnsPaths.append(try folder.save([1 as Int32], as: "short.npy"))
            #expect(throws: LabError.self) { try CodecLab.run(options, setting) }
        }
    }

    @Test func scans() throws {
        try withTemporaryFolder { folder in
            let amounts = (0..<5_000).map { Int32($0 * 7 % 1_000) }
            let prices = (0..<5_000).map { Float($0 % 400) / 4 }
            let sum = try folder.save(amounts, as: "amount.npy")
            let price = try folder.save(prices, [5_000], as: "price.npy")
            let conditions = ["\(sum)=100..300", "\(price)=10..50"].map(ScanLab.Condition.init)
            let report = try ScanLab.run(
                .init(sumPath: sum, conditions: conditions.compactMap(\.self)), setting)
            let rows = (0..<5_000).filter {
                (100...300).contains(amounts[$0]) && (10...50).contains(prices[$0])
            }
            #expect(report["matching_rows"] == .integer(rows.count))
            #expect(report["sum"] == .integer(rows.reduce(0) { $0 + Int(amounts[$1]) }))
            let single = try #require(ScanLab.Condition("a=b.npy=3"))
            #expect(single == .init(path: "a=b.npy", lower: "3", upper: "3"))
            for text in ["", "a.npy", "=3", "a.npy=", "a.npy=1..", "a.npy=1..2..3"] {
                #expect(ScanLab.Condition(text) == nil, "\(text)")
            }
            for range in ["5..3", "x", "1.5..2"] {
                let condition = try #require(ScanLab.Condition("\(sum)=\(range)"))
                #expect(throws: LabError.self, "\(range)") {
                    try ScanLab.run(.init(sumPath: sum, conditions: [condition]), setting)
                }
            }
            let short = try folder.save([1 as Int32], as: "short.npy")
            let condition = try #require(ScanLab.Condition("\(short)=1"))
            #expect(throws: LabError.self) {
                try ScanLab.run(.init(sumPath: sum, conditions: [condition]), setting)
            }
        }
    }

    @Test func lookups() throws {
        try withTemporaryFolder { folder in
            let values = (0..<9_000).map { Float($0 % 1_009) / 100 }
            var options = LookupLab.Options(
                columnsPath: try folder.save(values, [3, 3_000], as: "columns.npy"))
            options.lookupCount = 2_000
            let integers = try LookupLab.run(options, setting)
            options.areTexts = true
            options.batchCount = 77
            let texts = try LookupLab.run(options, setting)
            #expect(integers["strip_hash"] == texts["strip_hash"])
            #expect(integers["encoded_hash"] == texts["encoded_hash"])
            options.isStripOnly = true
            #expect(try LookupLab.run(options, setting)["encoded_hash"] == nil)
        }
    }
}
