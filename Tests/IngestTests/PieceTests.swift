import ByteCoding
import Foundation
import Ingest
import Numerical
import Testing
import Units

/// However a file is cut and by however many threads it is read, it is what it is when one thread
/// reads it whole, line by line and byte by byte.
@Suite struct PieceTests {
    private struct Read: Equatable {
        var lines: PurchaseLines?
        var report: IngestReport?
        var error: IngestError?
    }

    private var mapping: PurchaseMapping {
        var mapping = lenientMapping
        mapping.product = .name("product")
        mapping.quantity = .name("quantity")
        mapping.orderID = .name("order")
        return mapping
    }

    /// Reads all texts; the rejects of all are in one file.
    private func readAll(
        _ texts: [[UInt8]], _ mapping: PurchaseMapping, _ folder: URL, threadCount: Int,
        _ plan: ReadingPlan
    ) throws -> (reads: [Read], rejects: String) {
        let path = folder.appendingPathComponent("\(UUID().uuidString).csv").path
        let rejects = try RejectsWriter(path: path)
        let clock = try #require(LocalClock(timeZoneName: "Europe/London"))
        let reads = texts.enumerated().map { index, text -> Read in
            do throws(IngestError) {
                let (lines, report) = try readPurchases(
                    text, path: "\(index)", mapping: mapping, clock: clock, rejects: rejects,
                    threadCount: threadCount, plan: plan)
                return Read(lines: lines, report: report)
            } catch {
                // Where the rejects are listed differs from run to run.
                return Read(error: error)
            }
        }
        try rejects.finish()
        return (reads, try String(contentsOfFile: path, encoding: .utf8))
    }

    private func comparePieces(
        _ texts: [[UInt8]], _ mapping: PurchaseMapping, _ limits: RecordLimits,
        pieceByteCounts: [Int] = [1, 7, 64, 100, 1 << 20]
    ) throws {
        try withTemporaryFolder { folder in
            var plan = ReadingPlan()
            plan.recordLimits = limits
            plan.isCareful = true
            let expected = try readAll(texts, mapping, folder, threadCount: 1, plan)
            plan.isCareful = false
            plan.piecesPerThread = 3
            for pieceByteCount in pieceByteCounts {
                plan.pieceByteCount = pieceByteCount
                for threadCount in 1...3 {
                    let found = try readAll(texts, mapping, folder, threadCount: threadCount, plan)
                    let comment: Comment = "pieces of \(pieceByteCount), \(threadCount) threads"
                    for index in texts.indices where found.reads[index] != expected.reads[index] {
                        #expect(
                            found.reads[index] == expected.reads[index],
                            "\(comment), text \(index): \(String(decoding: texts[index], as: UTF8.self).debugDescription)"
                        )
                        return
                    }
                    #expect(found.rejects == expected.rejects, comment)
                }
            }
        }
    }

    /// Lines of everything that the grammar knows, in random order.
    private func nastyText(
        _ random: inout SeededRandom, _ delimiter: String, lineCount: Int
    ) -> [UInt8] {
        let fields: [[String]] = [
            [
                "a", "b", "17", "017", " c ", "\"d\"", "\"e,;\te\"", "\"f\"\"f\"", "\"g\nh\"", "",
                "é", "\"", "\"i",
            ],
            [
                "2011-01-01", "2011-03-27T01:30:00", "2011-07-01 08:00:00", "2011-02-30",
                "\"2012-02-29\"",
                " 2011-01-01", "2011-01-01T08:00:00Z", "2011-01-01T08:00", "1899-12-31", "", "x\"y",
            ],
            [
                "1", "-2.5", "3.14159", "12345678", "123456789.25", "1e3", "+.5", "5.", ".", "-",
                "NaN", "\"6\"", "", "\"7\n\"",
            ],
            ["1", "", "-3", "2.5", "x", "16777217", "\"2\""],
            [
                "tea", "green tea", "\"two\nlines\"", "\"two\r\nlines\"", "6\" plate", "", "茶",
                "longer than eight",
                "longer than seven", "\"tea\" ", "\"tea\"x", "\"open",
            ],
            ["o1", "o2", "o3", "\"o4\"", "", "o1\r"],
        ]
        var text: [UInt8] = []
        for _ in 0..<lineCount {
            let isGood = random.below(2) == 0
            let row = fields.map { isGood ? $0[random.below(2)] : $0[random.below($0.count)] }
            text += Array(row.joined(separator: delimiter).utf8)
            switch random.below(24) {
            case 0: text += [0xFF]
            case 1: text += [0]
            case 2: text += Array("\(delimiter)more".utf8)
            case 3: text += [UInt8](repeating: UInt8(ascii: "z"), count: random.below(200))
            case 4: text += Array("\n\r\n".utf8)
            case 5: text += Array("\"".utf8)
            default: break
            }
            text += random.below(4) == 0 ? Array("\r\n".utf8) : Array("\n".utf8)
        }
        if random.below(2) == 0 { text.removeLast() }
        return text
    }

    @Test(arguments: [Delimiter.comma, .tab, .blanks], [1, 2] as [UInt64])
    func nastyTexts(_ delimiter: Delimiter, _ seed: UInt64) throws {
        let separator = delimiter == .comma ? "," : delimiter == .tab ? "\t" : "  "
        let header = ["customer", "time", "amount", "quantity", "product", "order"]
            .joined(separator: separator)
        var random = SeededRandom(seed: seed)
        let texts = (0..<25).map { _ in
            Array("\(header)\n".utf8)
                + nastyText(&random, separator, lineCount: 1 + random.below(40))
        }
        var mapping = mapping
        mapping.format.delimiter = delimiter
        mapping.customerID.kind = seed == 1 ? .text : .integer
        mapping.time.format = .iso8601
        try comparePieces(texts, mapping, RecordLimits())
        // Long lines and long quotes are soon reached.
        var limits = RecordLimits()
        limits.lineByteCount = 70
        limits.quotedLineCount = 2
        try comparePieces(texts, mapping, limits)
    }

    /// Bytes that matter to the scanner, and nothing else.
    @Test(arguments: [true, false]) func randomBytes(_ hasHeader: Bool) throws {
        var random = SeededRandom(seed: 5)
        let alphabet = Array("\"\",,,\n\n\r1a".utf8) + [0x80]
        let texts = (0..<80).map { _ in
            (0..<random.below(150)).map { _ in alphabet[random.below(alphabet.count)] }
        }
        var mapping = PurchaseMapping(
            format: TextFormat(hasHeader: hasHeader, maximumRejectShare: 1),
            customerID: IDReference(.number(1)),
            time: TimeReference(.number(2), format: .epochSeconds), amount: .amount(.number(3)))
        mapping.product = .number(2)
        var limits = RecordLimits()
        try comparePieces(texts, mapping, limits, pieceByteCounts: [1, 7, 64])
        limits.lineByteCount = 20
        limits.quotedLineCount = 1
        try comparePieces(texts, mapping, limits, pieceByteCounts: [1, 7, 64])
    }

    /// Numbers and times near what the quick way reads: it reads the same or leaves them alone.
    @Test func quickAndCareful() throws {
        var random = SeededRandom(seed: 7)
        func number(_ alphabet: String) -> String {
            let characters = Array(alphabet)
            return String(
                (0..<1 + random.below(18)).map { _ in characters[random.below(characters.count)] })
        }
        func time() -> String {
            var text = Array(
                String(
                    format: "%04d-%02d-%02dT%02d:%02d:%02d", 1898 + random.below(204),
                    random.below(14), random.below(33), random.below(25), random.below(61),
                    random.below(61)
                ).utf8)
            if random.below(3) == 0 { text.removeLast(9) }
            if random.below(4) == 0 {
                text[random.below(text.count)] = UInt8(0x20 + random.below(96))
            }
            return String(decoding: text, as: UTF8.self)
                .replacingOccurrences(of: ",", with: ".")
        }
        var text = "customer,time,amount,quantity,product,order\n"
        for _ in 0..<20_000 {
            let (id, amount) = (number("0123456789"), number("0123456789.-"))
            text += "\(id),\(time()),\(amount),\(number("012345.")),\(number("ab")),\(id)\n"
        }
        var mapping = mapping
        mapping.customerID.kind = .integer
        try comparePieces(
            [Array(text.utf8)], mapping, RecordLimits(), pieceByteCounts: [60, 1_000, 1 << 20])
        mapping.amount = .quantityTimesPrice(
            quantity: .name("quantity"), unitPrice: .name("amount"))
        mapping.margin = .cost(.name("amount"))
        try comparePieces([Array(text.utf8)], mapping, RecordLimits(), pieceByteCounts: [5_000])
    }

    /// The batches joined are the whole; their sizes do not depend on the threads.
    @Test func batches() throws {
        try withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("sales.csv")
            var text = "customer,time,amount,product\n"
            for row in 0..<5_000 { text += "c\(row % 71),2011-01-01,\(row),p\(row * row % 397)\n" }
            try Data(text.utf8).write(to: file)
            var mapping = plainMapping
            mapping.product = .name("product")
            var plan = ReadingPlan()
            plan.pieceByteCount = 1_000
            let (whole, report) = try readPurchases(
                path: file.path, mapping: mapping, clock: .utc)
            var sizes: [[Int]] = []
            for threadCount in 1...3 {
                let stream = try PurchaseStream(
                    path: file.path, mapping: mapping, clock: .utc, threadCount: threadCount,
                    plan: plan)
                #expect(stream.progress.totalByteCount == text.utf8.count)
                var amounts: [Int64] = []
                var products: [String] = []
                sizes.append([])
                while let batch = try stream.nextBatch(lineCount: 700) {
                    amounts += batch.amounts
                    let texts = try #require(stream.texts.products)
                    products += batch.products?.codes.map { texts[Int($0)] } ?? []
                    sizes[threadCount - 1].append(batch.count)
                    #expect(batch.customerIDs.count == batch.count)
                }
                #expect(amounts == whole.amounts)
                #expect(products == (0..<5_000).map { "p\($0 * $0 % 397)" })
                #expect(stream.texts.products == whole.products?.values)
                #expect(stream.progress.byteCount == text.utf8.count)
                #expect(try stream.finish() == report)
            }
            #expect(sizes[0] == sizes[1] && sizes[0] == sizes[2])
            #expect(sizes[0].dropLast().allSatisfy { $0 >= 700 && $0 < 800 })
        }
    }

    /// More texts than a thread remembers from piece to piece, short and long ones, most of them new:
    /// codes are given in the order of the lines.
    @Test(arguments: [1, 2, 3]) func manyTexts(_ threadCount: Int) throws {
        let orders = (0..<60_000).map { "o\($0 / 2 * 7 % 50_000)" }
        let products = (0..<60_000).map { row in
            row % 3 == 0 ? "tea" : "a rather long name of product \(row * row % 40_009)"
        }
        var text = "customer,time,amount,product,order\n"
        for row in 0..<60_000 { text += "c,2011-01-01,1,\(products[row]),\(orders[row])\n" }
        var mapping = plainMapping
        mapping.product = .name("product")
        mapping.orderID = .name("order")
        var plan = ReadingPlan()
        plan.pieceByteCount = 50_000
        let (lines, _) = try readPurchases(
            Array(text.utf8), path: "sales.csv", mapping: mapping, clock: .utc,
            threadCount: threadCount, plan: plan)
        for (column, expected) in [(lines.orderIDs, orders), (lines.products, products)] {
            let found = try #require(column)
            var codes: [String: UInt32] = [:]
            for value in expected where codes[value] == nil { codes[value] = UInt32(codes.count) }
            #expect(found.values.count == codes.count)
            #expect(found.codes == expected.map { codes[$0] ?? .max })
            let isEqual = codes.allSatisfy { found.values[Int($0.value)] == $0.key }
            #expect(isEqual)
        }
    }

    /// A pipe gives what a file gives, also where a record is longer than a piece.
    /// A pipe that whoever started the process does not want to wait for, and a writer that pauses.
    @Test func aPipeWithoutWaiting() throws {
        var text = "customer,time,amount\n"
        for row in 0..<4_000 { text += "c\(row),2011-01-01,\(row)\n" }
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        try #require(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        defer { close(ends[0]) }
        let (data, writeEnd) = (Data(text.utf8), ends[1])
        let writer = Thread {
            let file = FileHandle(fileDescriptor: writeEnd, closeOnDealloc: true)
            for start in stride(from: 0, to: data.count, by: 10_007) {
                file.write(data[start..<min(data.count, start + 10_007)])
                usleep(2_000)
            }
        }
        writer.start()
        let source = ByteSource(descriptor: ends[0], path: "pipe")
        var bytes = [UInt8](repeating: 0, count: data.count + 1)
        #expect(bytes.withUnsafeMutableBytes { source.read(at: 0, into: $0) } == data.count)
        #expect(bytes.dropLast() == [UInt8](data)[...])
    }

    /// What was read before a failure is gone: what comes after it must not be taken for the next.
    @Test func aFeedStaysFailed() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
            .write(Data("customer,time,amount\nc,2011-01-01,1\n".utf8))
        // What is open for writing alone cannot be read, until something else takes its place.
        let descriptor = open("/dev/null", O_WRONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let source = ByteSource(descriptor: descriptor, path: "pipe")
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect(bytes.withUnsafeMutableBytes { source.read(at: 0, into: $0) } < 0)
        try #require(dup2(ends[0], descriptor) == descriptor)
        #expect(bytes.withUnsafeMutableBytes { source.read(at: 0, into: $0) } < 0)
        let fresh = ByteSource(descriptor: descriptor, path: "pipe")
        #expect(bytes.withUnsafeMutableBytes { fresh.read(at: 0, into: $0) } == 8)
    }

    @Test func streamedFromAPipe() throws {
        var text = "customer,time,amount,product\n"
        for row in 0..<3_000 {
            text +=
                "c\(row),2011-01-01,\(row),\"p\(row)\n\(String(repeating: "x", count: row % 50))\"\n"
        }
        text += "d,2011-01-01,1,\(String(repeating: "y", count: 60_000))\ne,2011-01-01,1,tea\n"
        let bytes = Array(text.utf8)
        var mapping = plainMapping
        mapping.product = .name("product")
        var plan = ReadingPlan()
        plan.pieceByteCount = 1_000
        plan.recordLimits.lineByteCount = 20_000
        let expected = try readPurchases(
            bytes, path: "sales.csv", mapping: mapping, clock: .utc, plan: plan)
        #expect(expected.report.reasonCounts == [.lineTooLong: 1])
        #expect(expected.lines.count == 3_001)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (data, writeEnd) = (Data(bytes), ends[1])
        let writer = Thread {
            FileHandle(fileDescriptor: writeEnd, closeOnDealloc: true).write(data)
        }
        writer.start()
        defer { close(ends[0]) }
        let path = "/dev/fd/\(ends[0])"
        let (lines, report) = try readPurchases(
            path: path, mapping: mapping, clock: .utc, threadCount: 2, plan: plan)
        #expect(lines == expected.lines)
        #expect(report.contentHash == expected.report.contentHash)
        #expect(report.lineCount == expected.report.lineCount)
    }

    /// A line of four times the limit, an id of 1 MB: one reject each.
    @Test func longLineAndLongID() throws {
        var bytes = Array("customer,time,amount\na,2011-01-01,1\nb".utf8)
        bytes += [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 20)
        bytes += Array("\nc,2011-01-01,1\n".utf8)
        bytes += [UInt8](repeating: UInt8(ascii: "y"), count: 1 << 20)
        bytes += Array(",2011-01-01,1\nd,2011-01-01,1".utf8)
        for threadCount in [1, 2] {
            let (lines, report) = try readPurchases(
                bytes, path: "sales.csv", mapping: lenientMapping, clock: .utc,
                threadCount: threadCount)
            #expect(ids(lines.customerIDs) == ["a", "c", "d"])
            #expect(report.reasonCounts == [.lineTooLong: 1, .invalidID: 1])
            #expect(report.byteCount == bytes.count)
        }
    }
}
