import ArgumentParser
import Engine
import Lab

/// The one lab command on a workspace: other software answers the same from a table that it loaded.
struct LabTotals: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "totals",
        abstract: "Add up the purchase lines of each customer of a workspace.",
        discussion: """
            Of each customer the later days with a line, the first and the last time and the sums of \
            amounts and margins, from the segment files; the totals stay in memory. Prints seconds \
            (opening the workspace and all totals, the median of the repeats), customers, and the \
            sums over all customers to compare with.
            """)

    @Option(help: "The workspace.")
    var workspace: String
    @Option(name: .customLong("repeat"), help: "Run this often; report the median.")
    var repeatCount = 1
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...10_000).contains(repeatCount) else {
            throw ValidationError("--repeat is between 1 and 10000, not \(repeatCount)")
        }
    }

    func run() throws {
        var samples: [Double] = []
        var totals: CustomerTotals?
        for _ in 0..<repeatCount {
            totals = nil
            let (seconds, next) = try timed {
                try Workspace(folder: workspace, access: .reading).customerTotals(
                    threadCount: threads.threads)
            }
            samples.append(seconds)
            totals = next
        }
        guard let totals else { return }
        func money(_ sums: [Int64]) -> LabReport.Value {
            .number(sums.reduce(0) { $0 + Double($1) } / 10_000)
        }
        var report = LabReport()
        report.add("threads", .integer(threads.threads))
        report.add("seconds", .number(samples.sorted()[samples.count / 2]))
        report.add("customers", .integer(totals.customerIDs.count))
        report.add("later_days", .integer(totals.laterDayCounts.reduce(0) { $0 + Int($1) }))
        report.add("first_time", .integer(Int(totals.firstTimes.min() ?? 0)))
        report.add("last_time", .integer(Int(totals.lastTimes.max() ?? 0)))
        report.add("amount", money(totals.amounts))
        report.add("margin", money(totals.margins))
        try output.print(report, text: \.text)
    }
}
