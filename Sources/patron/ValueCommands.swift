import ArgumentParser
import Engine
import Models
import Units

struct Value: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare lifetime value with the simple formula, and explain the gap.",
        discussion: """
            The simple formula is monthly revenue x margin x duration. Each column replaces one of its \
            assumptions by what the lifetime model says and keeps the others: the horizon instead of \
            the duration, the orders expected of who is still there instead of those so far, the \
            probability of being still there, the expected order value, the discount. Together they \
            lead from the one value to the other.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Groups of customers: tier, or the name of a segmentation.")
    var by = "tier"
    @OptionGroup var day: AsOfOption
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let report = try workspace.valueReport(
            asOf: day.asOf, by: by, threadCount: threads.threads)
        try output.print(report) { $0.text }
    }
}

struct Project: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Project revenue by tier or segment, with intervals and a back-test.",
        discussion: """
            Of the customers who are known now; customers won later are not foreseen. The models \
            are also fitted as of an earlier day and compared with what happened since: steps \
            further ahead than that reaches are marked as extrapolated.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Groups of customers: tier, or the name of a segmentation.")
    var by = "tier"
    @Option(help: "How far ahead, such as 12m or 26w.", transform: Self.horizon)
    var horizon = Horizon(12, .month)
    @Option(help: "day, week or month.")
    var step = TimeGrid.month
    @OptionGroup var day: AsOfOption
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    @Sendable static func horizon(_ text: String) throws -> Horizon {
        guard let horizon = Horizon(parsing: text), horizon.days >= 1 else {
            throw ValidationError("--horizon takes a span such as 12m, not '\(text)'")
        }
        return horizon
    }

    func validate() throws {
        let count = horizon.days / step.days
        guard count >= 1, count <= Double(ValuePath.maximumStepCount) else {
            throw ValidationError(
                "\(horizon) are \(Int(count)) steps of a \(step.rawValue); between 1 and "
                    + "\(ValuePath.maximumStepCount) can be projected")
        }
    }

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let projection = try workspace.project(
            asOf: day.asOf, horizon: horizon, step: step, by: by, threadCount: threads.threads,
            report: Terminal.progress)
        Terminal.endProgress()
        try output.print(projection) { $0.text }
    }
}

extension Projection {
    fileprivate var text: String {
        func money(_ value: Double) -> String { value.grouped }
        func range(_ interval: ClosedRange<Double>?) -> String {
            interval.map { "\(money($0.lowerBound)) ... \(money($0.upperBound))" } ?? "unknown"
        }
        var table = TextTable(["up to"] + groups.flatMap { ["\($0.name)>", "95 %>"] })
        for (step, end) in ends.enumerated() {
            table.add(
                [step < checkedStepCount ? end : "\(end) *"]
                    + groups.flatMap { group in
                        let value = group.path.steps[step]
                        return [money(value.value), range(value.interval)]
                    })
        }
        table.add(
            ["all"]
                + groups.flatMap { group in
                    let last = group.path.steps.last
                    return [money(last?.valueToHere ?? 0), range(last?.intervalToHere)]
                })
        var lines = [
            "revenue of each step in \(currency), of the customers of \(asOf), by \(model)",
            table.text,
        ]
        if checkedStepCount < ends.count {
            lines.append("* extrapolated: further ahead than the back-test reaches")
        }
        if let notCheckedReason { lines.append("no back-test: \(notCheckedReason)") }
        if let backTest { lines += backTest.lines(money) }
        return lines.joined(separator: "\n")
    }
}

extension Projection.BackTest {
    fileprivate func lines(_ money: (Double) -> String) -> [String] {
        var table = TextTable(["", "customers>", "expected>", "actual>", "difference>"])
        for group in groups {
            table.add([
                group.name, group.path.customerCount.grouped,
                money(group.path.steps.last?.valueToHere ?? 0),
                money(group.actual.reduce(0, +)),
                group.relativeError.map { "\((100 * $0).decimals(1)) %" } ?? "",
            ])
        }
        let fitted = "back-test: fitted as of \(asOf), \(ends.count) steps to \(ends.last ?? asOf)"
        guard let intervalShare else { return [fitted, table.text] }
        return [
            fitted, table.text,
            "\((100 * intervalShare).decimals(0)) % of the steps within their 95 % intervals: what is "
                + "missing to 95 is what no model of single customers knows, such as seasons and "
                + "promotions",
        ]
    }
}

extension ValueReport {
    fileprivate var text: String {
        var table = TextTable(
            ["customers", "number>", "simple value>"]
                + ValueGap.Step.allCases.map { "\($0.title)>" } + ["lifetime value>", "95 %>"])
        func money(_ value: Double, signed: Bool = false) -> String {
            let text = value.grouped
            return signed && value >= 0.5 ? "+" + text : text
        }
        for group in groups {
            table.add(
                [group.name, group.gap.customerCount.grouped, money(group.gap.simpleValue)]
                    + group.gap.differences.map { money($0, signed: true) }
                    + [
                        money(group.gap.lifetimeValue),
                        group.lifetimeValueInterval.map {
                            "\(money($0.lowerBound)) ... \(money($0.upperBound))"
                        } ?? "unknown",
                    ])
        }
        return table.text
            + """

            sums in \(currency) of \(basis) as of \(asOf), lifetime over \(horizon) by \(model.name) \
            version \(model.version); the simple formula expects \
            \(simpleDurationMonths.decimals(1)) months of everybody
            """
            + (intervalMissing.map { "\nintervals: \($0)" } ?? "")
    }
}

extension ValueGap.Step {
    fileprivate var title: String {
        switch self {
        case .alive: "still there"
        case .discount: "discount"
        case .duration: "duration"
        case .orderValue: "order value"
        case .orders: "orders"
        }
    }
}
