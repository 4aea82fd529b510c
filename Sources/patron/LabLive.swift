import ArgumentParser
import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import Lab
import Synchronization
import Units

/// How fast purchase lines become durable.
struct LabAppend: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append",
        abstract: "Append batches of purchase lines to a log from several threads at once.",
        discussion: """
            Every thread sends one batch after the other and waits until it is durable, as a client \
            does. Prints seconds, lines_per_second, batches_per_second, bytes_per_line and the \
            median and 99th percentile of the milliseconds that a batch takes. The log is removed.
            """)

    @Option(help: "Where the log is made; a new folder in it, on the disk to be measured.")
    var folder = "."
    @Option(help: "Lines of a batch.")
    var batch = 1_000
    @Option(help: "Threads that append.")
    var appenders = 1
    @Option(help: "Seconds to go on for.")
    var seconds = 2.0
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1_000_000).contains(batch), (1...1_000).contains(appenders),
            seconds > 0, seconds <= 3_600
        else {
            throw ValidationError(
                "--batch is 1 to 1000000, --appenders 1 to 1000, --seconds above 0 to 3600")
        }
    }

    func run() throws {
        let path = "\(folder)/patron-append-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Manifest().commit(to: path)
        let log = try LiveLog(workspace: path)
        let group = DispatchGroup()
        let shared = Shared()
        let start = Date()
        let end = start.addingTimeInterval(seconds)
        for appender in 0..<appenders {
            group.enter()
            let lines = Self.lines(batch, seed: UInt64(appender))
            let thread = Thread {
                var own: [Double] = []
                while Date() < end {
                    let begun = Date()
                    for result in log.append([LiveBatch(lines: lines)]) {
                        if case .failure(let error) = result {
                            shared.failure.withLock { $0 = error }
                        }
                    }
                    own.append(Date().timeIntervalSince(begun))
                }
                shared.times.withLock { $0 += own }
                group.leave()
            }
            thread.start()
        }
        group.wait()
        let elapsed = Date().timeIntervalSince(start)
        if let error = shared.failure.withLock(\.self) { throw error }
        let samples = shared.times.withLock(\.self).sorted()
        let lineCount = samples.count * batch
        let live = Workspace.liveFolder(path)
        var byteCount = 0
        for number in LogFormat.fileNumbers(in: live) {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: "\(live)/\(LogFormat.fileName(number))")
            byteCount += attributes[.size] as? Int ?? 0
        }
        var report = LabReport()
        report.add("batch", .integer(batch))
        report.add("appenders", .integer(appenders))
        report.add("seconds", .number(elapsed))
        report.add("lines_per_second", .number(Double(lineCount) / elapsed))
        report.add("batches_per_second", .number(Double(samples.count) / elapsed))
        report.add("bytes_per_line", .number(Double(byteCount) / Double(max(1, lineCount))))
        report.add("milliseconds_median", .number(samples[samples.count / 2] * 1e3))
        report.add("milliseconds_99", .number(samples[samples.count * 99 / 100] * 1e3))
        try output.print(report, text: \.text)
    }

    private final class Shared: Sendable {
        let times = Mutex<[Double]>([])
        let failure = Mutex<EngineError?>(nil)
    }

    /// Lines as a retailer's are: every column, a few lines an order, a thousand products.
    private static func lines(_ count: Int, seed: UInt64) -> PurchaseLines {
        func draw(_ row: Int, _ column: Int, _ limit: UInt64) -> UInt64 {
            StableHash.hash(Int64(row * 16 + column) ^ Int64(seed << 40)) % limit
        }
        let rows = 0..<count
        var lines = PurchaseLines(
            customerIDs: .integers(rows.map { Int64(draw($0 / 3, 0, 1_000_000)) }),
            times: rows.map { 1_700_000_000 + Int64($0 / 3) },
            amounts: rows.map { Int64(draw($0, 1, 10_000)) * 100 })
        lines.margins = lines.amounts.map { $0 / 3 }
        lines.quantities = rows.map { Float(draw($0, 2, 5) + 1) }
        func text(_ code: (Int) -> UInt64, _ name: String) -> CodedText {
            var codes: [UInt64: UInt32] = [:]
            var text = CodedText()
            for row in rows {
                let value = code(row)
                if codes[value] == nil {
                    codes[value] = UInt32(text.values.count)
                    text.values.append("\(name)\(value)")
                }
                text.codes.append(codes[value] ?? CodedText.missing)
            }
            return text
        }
        lines.orderIDs = text({ UInt64($0 / 3) + 10_000_000 }, "")
        lines.products = text({ draw($0, 3, 1_000) }, "P")
        lines.categories = text({ draw($0, 4, 20) }, "category ")
        lines.promotions = CodedText(missing: count)
        lines.channels = text({ draw($0 / 3, 5, 3) }, "channel ")
        return lines
    }
}

/// How fast customers are scored anew who have bought since the snapshot.
struct LabRescore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rescore",
        abstract: "Score customers of a workspace anew, each with one line more.",
        discussion: """
            The first customers of the served generation buy once on the day after it. Prints \
            open_seconds (models and segments), first_seconds (of a scoring at once), orders_seconds \
            (the order ids of all segments, which a server reads beside its work), seconds (of a \
            scoring after that, the median of the repeats) and customers_per_second.
            """)

    @Option(help: "The workspace, with a generation that is served.")
    var workspace: String
    @Option(help: "Customers.")
    var customers = 100_000
    @Flag(help: "The lines have order ids: what is known of the orders is read from the segments.")
    var orders = false
    @Option(name: .customLong("repeat"), help: "Run this often; report the median.")
    var repeatCount = 1
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...10_000).contains(repeatCount), customers > 0 else {
            throw ValidationError("--repeat is between 1 and 10000, --customers above 0")
        }
    }

    func run() throws {
        guard let location = try Workspace.currentSnapshot(workspace) else {
            throw EngineError.noSnapshot(
                workspace: workspace, what: "nothing is published yet: run `patron publish` first")
        }
        let snapshot = try ServingSnapshot(location)
        let plan = try Workspace(folder: workspace, access: .reading).plan
        let count = min(customers, snapshot.customerCount)
        let ids = (0..<count).map { snapshot.customers[$0] }
        var integers: [Int64] = []
        var texts = TextArray()
        for id in ids {
            switch id {
            case .integer(let value): integers.append(value)
            case .text(let value): texts.append(value)
            }
        }
        let day = Int32(snapshot.asOf.daysSince1970 + 1)
        var sent = SubmittedLines(
            customerIDs: integers.isEmpty ? .texts(texts) : .integers(integers),
            times: .days([Int32](repeating: day, count: count)),
            amounts: (0..<count).map { Int64($0 % 1_000) * 100 + 1 })
        let mapping = plan.sources.purchases?.mapping
        if mapping?.margin != nil { sent.margins = sent.amounts.map { $0 / 3 } }
        if orders, mapping?.orderID != nil {
            sent.orderIDs = CodedText(
                codes: (0..<count).map { UInt32($0) },
                values: TextArray((0..<count).map { "new \($0)" }))
        }
        let lines = try plan.validated(sent).lines
        let (openSeconds, scoring) = try timed {
            try LiveScoring(folder: workspace, snapshot: snapshot)
        }
        var live = LiveCustomers(since: scoring.position)
        live.add(lines, sequence: scoring.position.sequence)
        let (firstSeconds, _) = try timed {
            try scoring.rows(of: ids, in: live, threadCount: threads.threads)
        }
        let (ordersSeconds, _) = try timed { try scoring.readOrders() }
        var samples: [Double] = []
        var rowCount = 0
        for _ in 0..<repeatCount {
            let (seconds, rows) = try timed {
                try scoring.rows(of: ids, in: live, threadCount: threads.threads)
            }
            samples.append(seconds)
            rowCount = rows.count
        }
        let seconds = samples.sorted()[samples.count / 2]
        var report = LabReport()
        report.add("threads", .integer(threads.threads))
        report.add("customers", .integer(rowCount))
        report.add("open_seconds", .number(openSeconds))
        report.add("first_seconds", .number(firstSeconds))
        report.add("orders_seconds", .number(ordersSeconds))
        report.add("seconds", .number(seconds))
        report.add("customers_per_second", .number(Double(rowCount) / seconds))
        try output.print(report, text: \.text)
    }
}
