import ByteCoding
import Foundation
import Ingest
import Testing
import Units

/// Files that are not as usual: written to meanwhile, without an end, with one endless line.
@Suite struct UnusualFileTests {
    private func text(_ lineCount: Int) -> [UInt8] {
        var text = "customer,time,amount\n"
        for row in 0..<lineCount { text += "c\(row % 7),2011-01-01,\(row).25\n" }
        return Array(text.utf8)
    }

    private var smallPieces: ReadingPlan {
        var plan = ReadingPlan()
        plan.pieceByteCount = 1_000
        plan.piecesPerThread = 2
        return plan
    }

    /// What reading comes to where `change` happens to the file after the first lines.
    private func reading(
        _ bytes: [UInt8], threadCount: Int, change: (String) throws -> Void
    ) throws -> (error: IngestError?, path: String, count: Int) {
        try withTemporaryFile(bytes) { path in
            let stream = try PurchaseStream(
                path: path, mapping: plainMapping, clock: .utc, threadCount: threadCount,
                plan: smallPieces)
            var count = try stream.nextBatch(lineCount: 10)?.count ?? 0
            // The clock of a file system ticks a hundred times a second and more.
            Thread.sleep(forTimeInterval: 0.02)
            try change(path)
            do throws(IngestError) {
                while let batch = try stream.nextBatch(lineCount: 100) { count += batch.count }
                _ = try stream.finish()
                return (nil, path, count)
            } catch {
                return (error, path, count)
            }
        }
    }

    @Test(arguments: [1, 2]) func growsMeanwhile(_ threadCount: Int) throws {
        let bytes = text(2_000)
        let (error, path, count) = try reading(bytes, threadCount: threadCount) { path in
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.seekToEnd()
            // Its other half is to come.
            try file.write(contentsOf: Data("c1,2011-01-01,12".utf8))
        }
        #expect(count == 2_000)
        #expect(
            error
                == .changedWhileRead(
                    path: path, byteCountBefore: bytes.count, byteCountAfter: bytes.count + 16))
        #expect(
            error?.description
                == "\(path): the file changed while it was read (it had \(bytes.count) bytes and "
                + "has \(bytes.count + 16)); ingest it, or a copy, once nothing writes to it")
    }

    @Test(arguments: [1, 2], [0, 4_500, 5_000, 20_000])
    func shrinksMeanwhile(_ threadCount: Int, _ byteCount: Int) throws {
        let bytes = text(2_000)
        let (error, path, count) = try reading(bytes, threadCount: threadCount) { path in
            try #require(truncate(path, byteCount) == 0)
        }
        #expect(count < 2_000)
        #expect(
            error
                == .changedWhileRead(
                    path: path, byteCountBefore: bytes.count, byteCountAfter: byteCount))
    }

    @Test func writtenOverMeanwhile() throws {
        let bytes = text(2_000)
        let (error, path, _) = try reading(bytes, threadCount: 2) { path in
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.write(contentsOf: Data("customer,time".utf8))
        }
        #expect(
            error
                == .changedWhileRead(
                    path: path, byteCountBefore: bytes.count, byteCountAfter: bytes.count))
        #expect(error?.description.contains("its \(bytes.count) bytes were written to") == true)
    }

    @Test func nothingChanges() throws {
        let (error, _, count) = try reading(text(2_000), threadCount: 2) { _ in }
        #expect(error == nil)
        #expect(count == 2_000)
    }

    /// Of a line that never ends no more is kept than the limit, wherever it stands, and the reason
    /// says so.
    @Test(arguments: [1, 2]) func endlessLine(_ threadCount: Int) throws {
        var plan = smallPieces
        plan.recordLimits.lineByteCount = 5_000
        let endless = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        for (start, end) in [("", ""), ("", "\nb,2011-01-01,1\n"), ("\"", ""), ("a,\"", "\n")] {
            let bytes = Array("customer,time,amount\na,2011-01-01,1\n\(start)".utf8)
            let (lines, report) = try readPurchases(
                bytes + endless + Array(end.utf8), path: "sales.csv", mapping: lenientMapping,
                clock: .utc, threadCount: threadCount, plan: plan)
            #expect(report.reasonCounts == [.lineTooLong: 1], "\(start)")
            #expect(ids(lines.customerIDs) == (end.count > 1 ? ["a", "b"] : ["a"]))
            #expect(report.byteCount == bytes.count + endless.count + end.utf8.count)
        }
        let rejected = error(
            Array("customer,time,amount\n".utf8) + [UInt8](repeating: 0x78, count: 17 << 20))
        #expect(
            rejected?.description.contains("(lineTooLong 1 (at most 16777216 bytes))") == true)
    }

    @Test func endlessHeader() {
        #expect(
            error([UInt8](repeating: UInt8(ascii: "x"), count: 20 << 20))?.description
                == "sales.csv, line 1: the header cannot be read: lineTooLong "
                + "(at most 16777216 bytes)")
    }

    @Test func timesGoBackwards() throws {
        var text = "customer,time,amount\n"
        for row in 0..<3_000 { text += "c,\(2_020 - row / 100)-01-\(31 - row % 20),\(row)\n" }
        for threadCount in [1, 2] {
            let (lines, report) = try readPurchases(
                Array(text.utf8), path: "sales.csv", mapping: plainMapping, clock: .utc,
                threadCount: threadCount, plan: smallPieces)
            // In the order of the file.
            #expect(lines.amounts == (0..<3_000).map { Int64($0) * 10_000 })
            #expect(report.firstTime == lines.times.min())
            #expect(report.lastTime == lines.times.max())
            #expect(report.rejectedCount == 0)
        }
    }

    /// A quoted field with separators and line feeds, wherever the pieces' borders fall in it.
    @Test func quotedAcrossBorders() throws {
        var mapping = plainMapping
        mapping.product = .name("product")
        let product = "one,\ntwo\r\n\"three\",\n\n4,2011-01-01,5,six"
        let quoted = product.replacingOccurrences(of: "\"", with: "\"\"")
        var text = "customer,time,amount,product\r\n"
        for row in 0..<30 { text += "c\(row),2011-01-01,\(row),\"\(quoted)\"\r\n" }
        for pieceByteCount in 1...120 {
            var plan = ReadingPlan()
            plan.pieceByteCount = pieceByteCount
            plan.piecesPerThread = 3
            let (lines, report) = try readPurchases(
                Array(text.utf8), path: "sales.csv", mapping: mapping, clock: .utc, threadCount: 2,
                plan: plan)
            #expect(report.acceptedCount == 30 && report.lineCount == 30)
            #expect(lines.products?.values.strings == [product])
            #expect(lines.products?.codes == [UInt32](repeating: 0, count: 30))
        }
    }
}
