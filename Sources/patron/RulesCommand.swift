import ArgumentParser
import Engine
import Models

struct Rules: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find products that are bought together: association rules of pairs.",
        discussion: """
            A rule A -> B says: of the orders with A, the share `confidence` has B too, `lift` times \
            as many as chance would give; both together are in the share `support` of all orders. \
            Returns, free lines and lines without a product do not count.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var day: AsOfOption
    @Option(help: "Least share of the orders with both products.")
    var support = AssociationRules.Parameters().leastSupport
    @Option(help: "Least number of orders with both products.")
    var orders = AssociationRules.Parameters().leastCount
    @Option(help: "Least share of the orders with the first product that have the second.")
    var confidence = AssociationRules.Parameters().leastConfidence
    @Option(help: "Least lift.")
    var lift = AssociationRules.Parameters().leastLift
    @Option(help: "Rules to print at most.")
    var count = 50
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        for (value, name) in [(support, "--support"), (confidence, "--confidence")]
        where !(0...1).contains(value) {
            throw ValidationError("\(name) is between 0 and 1, not \(value)")
        }
        guard lift >= 0, lift.isFinite else {
            throw ValidationError("--lift is at least 0, not \(lift)")
        }
        for (value, name) in [(orders, "--orders"), (count, "--count")] where value < 1 {
            throw ValidationError("\(name) is at least 1, not \(value)")
        }
    }

    func run() throws {
        var parameters = AssociationRules.Parameters()
        parameters.leastSupport = support
        parameters.leastCount = orders
        parameters.leastConfidence = confidence
        parameters.leastLift = lift
        parameters.maximumCount = count
        parameters.threadCount = threads.threads
        let workspace = try Workspace(folder: workspace, access: .reading)
        let report = try workspace.associationRules(asOf: day.asOf, parameters)
        try output.print(report) { $0.text }
    }
}

extension AssociationReport {
    var text: String {
        let head =
            "\(orderCount.grouped) orders as of \(asOf), \(productCount.grouped) products, "
            + "\(frequentProductCount.grouped) in enough orders; \(foundCount.grouped) rules"
        guard !rules.isEmpty else {
            return head + ": lower --support, --orders or --confidence for more"
        }
        var table = TextTable([
            "who buys", "also buys", "orders>", "support>", "confidence>", "lift>",
        ])
        for rule in rules {
            table.add([
                rule.antecedent, rule.consequent, rule.orderCount.grouped,
                rule.support.decimals(5), rule.confidence.decimals(4), rule.lift.decimals(2),
            ])
        }
        return head + (foundCount > rules.count ? ", the first \(rules.count.grouped)" : "")
            + "\n" + table.text
    }
}
