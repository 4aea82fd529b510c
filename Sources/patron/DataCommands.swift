import ArgumentParser
import Engine
import Foundation
import Synthetic
import Units

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a synthetic retailer with planted truth (truth.json beside it).",
        discussion: """
            Writes purchases.csv, customers.csv, products.csv and a patron.yaml that reads them, \
            and, for checking models, truth.json and truth_customers.csv. The same seed gives the \
            same bytes on any machine and with any number of threads.
            """)

    @Argument(help: "The folder to write into.")
    var folder: String
    @Option(help: "Number of customers.")
    var customers = 100_000
    @Option(help: "Length of the history in days.")
    var days = 730
    @Option(help: "Number of products.")
    var products = 2_000
    @Option(help: "Seed of all randomness.")
    var seed: UInt64 = 1
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var parameters = Retailer.Parameters()
        parameters.customerCount = customers
        parameters.dayCount = days
        parameters.productCount = products
        parameters.seed = seed
        let retailer = try Retailer(parameters)
        let total = customers
        let (seconds, summary) = try timed {
            try retailer.generate(into: folder, threadCount: threads.threads) { done in
                Terminal.progress("\(done.grouped) of \(total.grouped) customers")
            }
        }
        Terminal.endProgress()
        struct Result: Encodable {
            var folder: String
            var seconds: Double
            var summary: Retailer.Summary
        }
        try output.print(Result(folder: folder, seconds: seconds, summary: summary)) { result in
            """
            \(summary.customerCount.grouped) customers, \(summary.orderCount.grouped) orders, \
            \(summary.lineCount.grouped) purchase lines \
            (\((Double(summary.purchaseByteCount) / 1e6).decimals(1)) MB) in \
            \(seconds.decimals(1)) s
            plan: \(result.folder)/\(Retailer.FileName.plan)
            """
        }
    }
}

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a workspace in a new or empty folder.")

    @Argument(help: "The folder of the workspace.")
    var workspace: String
    @Option(help: "The plan: how the files are read and what is fitted. It is copied.")
    var plan: String
    @OptionGroup var output: OutputOptions

    func run() throws {
        try Workspace.create(folder: workspace, planPath: plan)
        try output.print(["workspace": workspace]) { _ in
            "made \(workspace); next: patron run \(workspace)"
        }
    }
}

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Work on a plan file.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a plan; problems are named with line and column.")

        @Argument(help: "The plan file.")
        var plan: String
        @OptionGroup var output: OutputOptions

        func run() throws {
            let checked = try Workspace.readPlan(plan)
            struct Result: Encodable {
                var path: String
                var hash: String
                var models: [String]
            }
            let result = Result(path: plan, hash: checked.hash, models: checked.modelNames)
            try output.print(result) { result in
                """
                \(result.path): ok (hash \(result.hash))
                models: \(result.models.joined(separator: ", "))
                """
            }
        }
    }
}
