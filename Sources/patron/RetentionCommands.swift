import ArgumentParser
import Engine
import Foundation
import Models
import Units

struct Cohorts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Customers by the period of their first order: who comes back, what they spend.",
        discussion: """
            Age counts calendar periods since the cohort's own. An order is dated by its first \
            purchase line; a return lowers the revenue of its own period. The period of the as-of \
            day is marked where it goes on after it. The text leaves out cohorts and ages of long \
            histories; --out and --json have all of them.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Periods: day, week (from Monday) or month of the calendar.")
    var grid = TimeGrid.month
    @OptionGroup var day: AsOfOption
    @Option(help: "Also write every cell as CSV.")
    var out: String?
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let report = try workspace.cohorts(
            grid: grid, asOf: day.asOf, threadCount: threads.threads)
        if let out { try report.writeCSV(to: out) }
        try output.print(report) { $0.text }
    }
}

struct Survival: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "How long customers stay, by groups, and what it depends on.",
        discussion: """
            Without a contract nobody says when a customer leaves; here a customer has left who has \
            not ordered for the gap. Time counts from the first order to the last one before that \
            silence. A silence is known only once it has lasted, so all customers are followed up \
            to the as-of day less the gap: to follow them to the as-of day itself would count \
            everybody's last weeks as stayed.

            Groups and factors are attributes of the customers, of the customers file. Those carry \
            no date: one that may have changed since the first order, such as a level of loyalty, \
            can be the effect of staying as well as its cause. Features of purchases are refused, \
            since who stays longer buys more.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(
        help: "A silence of so long ends a customer's time, as 13w; the plan's churn horizon.",
        transform: span)
    var gap: Horizon?
    @Option(
        help: """
            lost: silent up to the as-of day; lapsed: the first silence of the gap, whether or not \
            the customer came back.
            """)
    var event = SurvivalEvent.lost
    @Option(help: "An attribute of customers to compare groups by.")
    var by: String?
    @Option(
        parsing: .upToNextOption,
        help: "Attributes of customers whose effects are told apart by Cox regression.")
    var factors: [String] = []
    @Option(help: "How the regression counts events of one day: efron or breslow.")
    var ties = CoxRegression.Ties.efron
    @OptionGroup var day: AsOfOption
    @Option(help: "Also write every step of the curves as CSV.")
    var out: String?
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    @Sendable static func span(_ text: String) throws -> Horizon {
        guard let span = Horizon(parsing: text), span.days >= 1 else {
            throw ValidationError("--gap takes a span of a day or more such as 13w, not '\(text)'")
        }
        return span
    }

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        var settings = SurvivalSettings()
        settings.gap = gap
        settings.event = event
        settings.groupAttribute = by
        settings.factors = factors
        settings.ties = ties
        let report = try workspace.survival(settings, asOf: day.asOf, threadCount: threads.threads)
        if let out { try report.writeCSV(to: out) }
        try output.print(report) { $0.text }
    }
}

struct Tiers: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The four value tiers: the map, who is where, and who moved.",
        discussion: """
            A tier is a place on the plane of days since the first order and days since the last \
            one, cut by the value that the latest lifetime model predicts there; 1 is the highest. \
            With --since the same map is laid over both days, each customer placed by what was \
            known on the day: where the model is of a later day than that, the map is a yardstick, \
            and not what was said then.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @OptionGroup var day: AsOfOption
    @Option(
        help: "Also show who moved since this earlier day, yyyy-MM-dd.",
        transform: { text in
            guard let day = CalendarDay(parsing: text) else {
                throw ValidationError("--since takes a day such as 1997-09-30, not '\(text)'")
            }
            return day
        })
    var since: CalendarDay?
    @Option(help: "Also write the cells of the map as CSV.")
    var out: String?
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let asOf = try workspace.asOfDay(day.asOf, threadCount: threads.threads)
        if let since, since >= asOf {
            throw CommandError(
                text: "--since \(since) is not before \(asOf), the day to compare it with", code: 64
            )
        }
        let report = try workspace.tiers(asOf: asOf, since: since, threadCount: threads.threads)
        if let out { try report.writeCSV(to: out) }
        try output.print(report) { $0.text }
    }
}

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract:
            "One customer's orders, what the latest lifetime model makes of them, and segments.",
        discussion: """
            From the first order to the as-of day, by steps, each of which knows the orders up to \
            its day alone. The parameters are those of the latest model for all days: a look back, \
            not what was served then. Only this customer's lines are read. Of a customer without \
            purchases there are the segments of published days alone.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Id of the customer.")
    var customer: String
    @Option(
        help: "From one step to the next, as 4w.",
        transform: { text in
            guard let step = Horizon(parsing: text), step.days >= 1 else {
                throw ValidationError(
                    "--step takes a span of a day or more such as 4w, not '\(text)'")
            }
            return step
        })
    var step = Horizon(4, .week)
    @OptionGroup var day: AsOfOption
    @Option(help: "Also write steps, orders and returns as CSV.")
    var out: String?
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        if let stays = try workspace.stays(
            ofCustomerWithoutPurchases: customer, threadCount: threads.threads)
        {
            guard out == nil else {
                throw ValidationError("--out: customer \(customer) has no orders to write")
            }
            try output.print(stays) { $0.text }
            return
        }
        let path = try workspace.path(
            ofCustomer: customer, stepDays: Int(step.days.rounded()), asOf: day.asOf,
            threadCount: threads.threads)
        if let out { try path.writeCSV(to: out) }
        try output.print(path) { $0.text }
    }
}

extension SurvivalEvent: ExpressibleByArgument {}
extension CoxRegression.Ties: ExpressibleByArgument {}
