import ArgumentParser
import Engine
import Ingest

struct Contracts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Tell from a table of contracts who leaves and how long they stay; needs no workspace.",
        discussion: """
            The table is a delimited text with a header, a line a contract, and a column that says \
            whether it has ended. A column is numbers where all its fields are, else categories; an \
            empty field is missing. Every measure and every probability is of contracts that the model \
            had not seen (stratified cross-validation). With --duration: Kaplan-Meier curves, log-rank \
            tests and Cox's regression.

              patron contracts telco.csv --outcome Churn=Yes --id customerID --duration tenure
            """)

    @Argument(help: "The table, plain or packed with gzip; - is standard input.")
    var table: String
    @Option(
        help: ArgumentHelp(
            "The column and value of contracts that ended, or a column of 0 and 1.",
            valueName: "column=value"),
        transform: outcome)
    var outcome: OutcomeColumn
    @Option(help: "Column that names the contracts; by default they go by their line.")
    var id: String?
    @Option(help: "Column of how long each has run, in any unit.")
    var duration: String?
    @Option(help: "How probabilities are learned.")
    var model = ContractOptions.Model.trees
    @Option(parsing: .upToNextOption, help: "Columns to leave out.")
    var ignore: [String] = []
    @Option(
        parsing: .upToNextOption, help: "Columns that must be numbers; a text there is an error.")
    var numbers: [String] = []
    @Option(parsing: .upToNextOption, help: "Columns whose numbers are names, such as area codes.")
    var texts: [String] = []
    @Option(help: "Parts of the cross-validation.")
    var folds = 5
    @Option(help: "Reasons of each contract in the scores.")
    var reasons = 3
    @Option(help: "Write the probability and reasons of every contract here, as CSV.")
    var out: String?
    @Option(help: "Seed of all that is random.")
    var seed: UInt64 = 1
    @Option(help: "What separates the fields.")
    var delimiter = Delimiter.comma
    @Option(help: "What stands before a fraction, a point or a comma.")
    var decimalSign = DecimalSign.point
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    @Sendable static func outcome(_ text: String) throws -> OutcomeColumn {
        guard let outcome = OutcomeColumn(text) else {
            throw ValidationError("--outcome takes a column as in Churn=Yes, not '\(text)'")
        }
        return outcome
    }

    func validate() throws {
        guard folds >= 2 else { throw ValidationError("--folds is at least 2, not \(folds)") }
        guard reasons >= 0 else { throw ValidationError("--reasons is at least 0, not \(reasons)") }
    }

    func run() throws {
        var options = ContractOptions(outcome: outcome)
        options.format = TextFormat(delimiter: delimiter, decimalSign: decimalSign)
        options.id = id
        options.duration = duration
        options.ignored = ignore
        options.numbers = numbers
        options.texts = texts
        options.model = model
        options.foldCount = folds
        options.reasonCount = reasons
        options.seed = seed
        let report = try analyzeContracts(
            path: table, options, scoresPath: out, threadCount: threads.threads,
            report: Terminal.progress)
        Terminal.endProgress()
        try output.print(report) { $0.text }
    }
}

extension ContractOptions.Model: ExpressibleByArgument {}
extension DecimalSign: ExpressibleByArgument {}
extension Delimiter: ExpressibleByArgument {}
