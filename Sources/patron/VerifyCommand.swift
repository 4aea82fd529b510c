import ArgumentParser
import Engine

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read every byte of a workspace and say what is damaged, and where.",
        discussion: """
            Checks every checksum, the order of purchase lines, that every customer is found by its \
            id, that scores are finite, and what files say of each other. Changes nothing; a server \
            may run meanwhile, but no command that changes the workspace. Exit code 65 where \
            anything is damaged.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let (seconds, report) = timed {
            workspace.verify { Terminal.progress("reading \($0)") }
        }
        Terminal.endProgress()
        struct Result: Encodable {
            var seconds: Double
            var report: VerifyReport
        }
        try output.print(Result(seconds: seconds, report: report)) { _ in report.text(seconds) }
        if !report.problems.isEmpty {
            throw CommandError(
                text: "\(workspace.folder): \(report.problems.count) "
                    + (report.problems.count == 1 ? "problem" : "problems"), code: 65)
        }
    }
}

extension VerifyReport {
    fileprivate func text(_ seconds: Double) -> String {
        var lines = problems.map { "DAMAGED \($0.file)\n    \($0.text)" }
        lines += damagedCaches.map { "damaged \($0.file)\n    \($0.text)" }
        for file in unnamed {
            lines.append(
                "left over \(file): an interrupted command made it; `patron prune` removes it")
        }
        lines.append(
            "\(fileCount.grouped) files, \((Double(byteCount) / 1e6).decimals(1)) MB, "
                + "\(purchaseLineCount.grouped) purchase lines, "
                + (liveLineCount > 0 ? "\(liveLineCount.grouped) live ones, " : "")
                + "\(customerCount.grouped) "
                + "customers served: \(problems.isEmpty ? "all sound" : "DAMAGED") "
                + "(\(seconds.decimals(1)) s)")
        return lines.joined(separator: "\n")
    }
}
