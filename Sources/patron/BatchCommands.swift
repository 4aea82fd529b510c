import ArgumentParser
import Engine
import Foundation
import Units

struct Ingest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read purchase, customer and product files into the workspace.",
        discussion: """
            Without files, those that the plan names. Lines that cannot be used are listed in a \
            rejects file with line, column and reason; more than the plan's share of them stops \
            the run, and nothing is kept. Live purchases that have come since the last ingest are \
            taken along; a server may go on appending meanwhile.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(parsing: .upToNextOption, help: "Files of purchase lines.")
    var purchases: [String] = []
    @Option(parsing: .upToNextOption, help: "Files of customers.")
    var customers: [String] = []
    @Option(parsing: .upToNextOption, help: "Files of products.")
    var products: [String] = []
    @Option(help: "Where left-out lines are listed; by default in the workspace's rejects folder.")
    var rejects: String?
    @Flag(help: "Take a file whose content was ingested before.")
    var again = false
    @Flag(help: "Without the plan's files: only those named here, and the live purchases.")
    var live = false
    @OptionGroup var memory: MemoryOption
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .writing)
        let step = try workspace.timedIngest(
            IngestFiles(
                purchases: purchases.isEmpty && !live ? nil : purchases,
                customers: customers.isEmpty ? nil : customers,
                products: products.isEmpty ? nil : products),
            again: again, rejects: rejects, memory: memory.memory, threads: threads.threads)
        try output.print(step) { $0.text }
    }
}

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fit the plan's models and write a new version of each.")

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var day: AsOfOption
    @Option(parsing: .upToNextOption, help: "Only these models, such as lifetime.")
    var only: [String] = []
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .writing)
        let step = try workspace.timedTrain(
            asOf: day.asOf, today: workspace.today, only: only.isEmpty ? nil : only,
            threads: threads.threads)
        try output.print(step) { $0.text }
    }
}

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Score every customer; writes a new generation that publish makes current.")

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var day: AsOfOption
    @Option(help: "Also write the scores as CSV.")
    var out: String?
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .writing)
        let step = try workspace.timedScore(
            asOf: day.asOf, today: workspace.today, csvPath: out, threads: threads.threads)
        try output.print(step) { $0.text }
    }
}

struct Publish: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a scored generation the one that is served.",
        discussion: """
            Also enters in the workspace's ledgers who came into which segment and who left one, by \
            the generation's as-of day. A day that is published again is entered anew; one before \
            the last is not entered, since the ledgers go on after it.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "The generation's number; the newest by default.")
    var generation: Int?
    @Flag(help: "Leave the ledgers of customers' segments as they are.")
    var withoutLedger = false
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .writing)
        let summary = try workspace.publishing(
            generation: generation, keepsLedgers: !withoutLedger, threadCount: threads.threads)
        try output.print(summary) { summary in
            (["generation \(summary.generation) is current"] + summary.ledgers.map(\.text))
                .joined(separator: "\n")
        }
    }
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ingest, train, score and publish in one go.",
        discussion: "Files that were ingested before are left out, so it can be repeated.")

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var day: AsOfOption
    @Option(help: "Also write the scores as CSV.")
    var out: String?
    @OptionGroup var memory: MemoryOption
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .writing)
        struct Result: Encodable {
            var ingest: IngestStep
            var train: TrainStep
            var score: ScoreStep
            var generation: Int
            var seconds: Double
        }
        // One day for all steps, also around midnight.
        let today = workspace.today
        let (seconds, parts) = try timed {
            let ingest = try workspace.timedIngest(
                IngestFiles(), skipKnown: true, memory: memory.memory, threads: threads.threads)
            try output.say(ingest.text)
            let train = try workspace.timedTrain(
                asOf: day.asOf, today: today, threads: threads.threads)
            try output.say(train.text)
            let score = try workspace.timedScore(
                asOf: day.asOf, today: today, csvPath: out, threads: threads.threads)
            try output.say(score.text)
            let published = try workspace.publishing(threadCount: threads.threads)
            for change in published.ledgers { try output.say(change.text) }
            return (ingest, train, score, published.generation)
        }
        let result = Result(
            ingest: parts.0, train: parts.1, score: parts.2, generation: parts.3,
            seconds: seconds)
        try output.print(result) { result in
            "generation \(result.generation) is current; all in \(seconds.decimals(1)) s"
        }
    }
}

struct Models: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the cards of all models.")

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var output: OutputOptions

    func run() throws {
        struct Result: Encodable {
            var models: [ModelCard]
        }
        let cards = try Workspace(folder: workspace, access: .reading).modelCards()
        try output.print(Result(models: cards)) { result in
            result.models.isEmpty
                ? "no models yet: patron train \(workspace)"
                : result.models.map(\.text).joined(separator: "\n\n")
        }
    }
}

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove old generations, unused model versions and leftover files.")

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var output: OutputOptions

    func run() throws {
        let summary = try Workspace(folder: workspace, access: .writing).prune()
        try output.print(summary) { summary in
            (summary.removed + [
                "removed \(summary.removed.count) files or folders, "
                    + "\((Double(summary.byteCount) / 1e6).decimals(1)) MB"
            ]).joined(separator: "\n")
        }
    }
}

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Back-test the plan's models: fit as of a day, compare with what came after.")

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Last day that the fit may know, yyyy-MM-dd.", transform: AsOfOption.day)
    var asOf: CalendarDay
    @Option(
        help: "How far ahead the predictions are checked, such as 39w.",
        transform: { text in
            guard let horizon = Horizon(parsing: text), horizon.days >= 1 else {
                throw ValidationError("--horizon takes a span such as 39w, not '\(text)'")
            }
            return horizon
        })
    var horizon: Horizon
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let report = try workspace.evaluate(
            asOf: asOf, horizon: horizon, threadCount: threads.threads)
        try output.print(report) { $0.text }
    }
}
