import ArgumentParser
import Lab
import Units

struct LabLifetime: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clv",
        abstract: "Fit a model of repeat purchases and score every customer.",
        discussion: """
            Times are whole days; parameters and log-likelihood are in units of --grid. Prints the \
            parameters with their standard_errors, log_likelihood, fit_seconds (of the histories \
            collapsed in collapse_seconds), score_seconds and customers_per_second. With --m order \
            values are fitted by Gamma-Gamma and lifetime value is scored.

            gammagamma fits the order values alone: --x and --m. bgbb counts whole periods of --grid: \
            --x transactions, --tx the period of the last one, --T the periods watched. sbg is about \
            contracts: --x is 1 for customers who left and 0 for the others, --T the periods that each \
            was seen for, the last of them the one at whose end a customer left.
            """)

    @Option(help: "bgnbd, mbgnbd, paretonbd, nbd, gammagamma, bgbb or sbg.")
    var model = LifetimeLabModel.bgnbd
    @Option(help: "Repeat purchases of each customer, [customers], '<i4' or '<i8'.")
    var x: String
    @Option(help: "Days from the first purchase to the last one, '<i4' or '<i8'.")
    var tx: String?
    @Option(name: .customLong("T"), help: "Days from the first purchase to the as-of day.")
    var age: String?
    @Option(help: "Mean value of the repeat orders, 0 where there are none, '<f8'.")
    var m: String?
    @Option(help: "day, week or month.")
    var grid = TimeGrid.week
    @Option(help: "How far ahead purchases and value are expected, as 52w.", transform: span)
    var horizon = Horizon(52, .week)
    @Option(help: "Without a purchase in this time a customer has churned.", transform: span)
    var churnHorizon = Horizon(13, .week)
    @Option(help: "Discount rate a year.")
    var discount = 0.1
    @Option(
        help: """
            Write the scores here, '<f8', [customers x 3]: probability alive, expected purchases, \
            churn probability; with --m two more: expected order value, lifetime value. Of bgbb with \
            discounted residual transactions where they are finite; of gammagamma the expected order \
            value alone; of sbg the probability of being there after the horizon, expected periods in \
            it, churn probability.
            """)
    var predictions: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    @Sendable static func span(_ text: String) throws -> Horizon {
        guard let horizon = Horizon(parsing: text), horizon.days <= 100 * daysPerYear else {
            throw ValidationError("\(text) is no time up to 100 years, such as 52w, 365d or 12m")
        }
        return horizon
    }

    func validate() throws {
        guard (0...100).contains(discount) else {
            throw ValidationError("--discount is between 0 and 100 a year, not \(discount)")
        }
        let isGiven = ["--tx": tx != nil, "--T": age != nil, "--m": m != nil]
        let (needed, optional): ([String], [String]) =
            switch model {
            case .bgnbd, .mbgnbd, .paretonbd, .nbd: (["--tx", "--T"], ["--m"])
            case .gammagamma: (["--m"], [])
            case .bgbb: (["--tx", "--T"], [])
            case .sbg: (["--T"], [])
            }
        for option in ["--tx", "--T", "--m"] {
            if needed.contains(option), isGiven[option] != true {
                throw ValidationError("--model \(model.rawValue) needs \(option)")
            }
            if !needed.contains(option), !optional.contains(option), isGiven[option] == true {
                throw ValidationError("--model \(model.rawValue) does not read \(option)")
            }
        }
    }

    func run() throws {
        var options = LifetimeLab.Options(
            countsPath: x, lastPurchasePath: tx ?? "", agesPath: age ?? "")
        options.model = model
        options.meanOrderValuePath = m
        options.grid = grid
        options.horizon = horizon
        options.churnHorizon = churnHorizon
        options.discountRate = DiscountRate(annual: discount)
        options.predictionsOutput = predictions
        try output.print(try LifetimeLab.run(options, lab.setting))
    }
}

extension LifetimeLabModel: ExpressibleByArgument {}
