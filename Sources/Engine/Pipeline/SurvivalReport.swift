import ByteCoding
import ColumnStore
import Features
package import Models
package import Units

/// What a survival report is about.
package struct SurvivalSettings: Sendable {
    /// A silence of so long ends a customer's time; the plan's churn horizon where nil.
    package var gap: Horizon?
    package var event = SurvivalEvent.lost
    /// An attribute to compare groups by.
    package var groupAttribute: String?
    /// Attributes whose effects a Cox regression tells apart; none for no regression.
    package var factors: [String] = []
    package var ties = CoxRegression.Ties.efron

    package init() {}
}

/// How long customers stay without a contract that would say so: the time from the first order to
/// the last one before a silence. What is counted and why, `SurvivalSample` says.
package struct SurvivalReport: Encodable, Sendable {
    package struct Point: Encodable, Sendable {
        package var days: Double
        /// Customers still followed, without the event before.
        package var atRisk: Double
        /// Share of customers without the event up to and including the day, its standard error
        /// (Greenwood) and 95 % limits (log-log).
        package var survival: Double
        package var standardError: Double
        package var lower: Double
        package var upper: Double
    }

    package struct Curve: Encodable, Sendable {
        package var name: String
        package var customerCount: Int
        package var lostCount: Int
        /// Days after which half of the customers were left; nil where the curve does not come down
        /// so far, or a limit of it.
        package var median: SurvivalQuantile
        /// At days that read well; the CSV has every step.
        package var points: [Point]
    }

    package struct Groups: Encodable, Sendable {
        package var attribute: String
        package var curves: [Curve]
        /// Whether the groups have one curve; nil where no test is possible, and why.
        package var logRank: LogRankTest?
        package var logRankMissing: String?
    }

    /// A Cox regression, its factors by the strength of their evidence.
    package struct Factors: Encodable, Sendable {
        package var ties: CoxRegression.Ties
        package var ranked: [RetentionFactors.Factor]
        /// The level that the others of a factor are compared with.
        package var references: [String: String]
        /// Constant and collinear columns, by name, which the regression left out.
        package var omitted: [OmittedColumn]
        package var notes: [String]
        package var likelihoodRatioTest: ChiSquareTest
        package var logLikelihood: Double
        package var concordance: Double?
    }

    package var asOf: String
    package var event: SurvivalEvent
    package var gapDays: Int
    /// The day up to which customers are followed: the as-of day less the gap.
    package var followedTo: String
    /// What counts as an event and as time, in words.
    package var convention: String
    package var customerCount: Int
    package var lostCount: Int
    /// Customers who are left out: their first order is after `followedTo`.
    package var newCustomerCount: Int
    package var customersWithoutPurchase: Int
    /// Customers with a silence of the gap at any time, and those of them who came back: many say
    /// that the gap is too short to mean a loss.
    package var silentCount: Int
    package var returnedCount: Int
    package var overall: Curve
    package var groups: Groups?
    package var factors: Factors?
    package var warnings: [String]

    /// Every step of each curve: that of all customers, then of the groups.
    package var steps: [(name: String, curve: KaplanMeierCurve)]

    private enum CodingKeys: String, CodingKey {
        case asOf, event, gapDays, followedTo, convention, customerCount, lostCount
        case newCustomerCount, customersWithoutPurchase, silentCount, returnedCount, overall
        case groups, factors, warnings
    }

    /// Of the customers with a long enough silence; where more came back, a silence says little.
    private static let largestReturnedShare = 0.2

    /// One line a step of each curve.
    package func writeCSV(to path: String) throws(EngineError) {
        var rows: [[String]] = []
        for (name, curve) in steps {
            let band = try modelErrors("survival") { () throws(ModelError) in try curve.band() }
            for (step, time) in curve.times.enumerated() {
                rows.append([
                    name, "\(time)", "\(curve.numberAtRisk[step])", "\(curve.eventCounts[step])",
                    "\(curve.censoredCounts[step])", "\(curve.survival[step])",
                    "\(band.lower[step])", "\(band.upper[step])",
                ])
            }
        }
        try CSVFile.write(
            ["group", "days", "at_risk", "lost", "censored", "survival", "lower", "upper"], rows,
            to: path)
    }
}

extension Workspace {
    /// How long customers stay: the curve, by groups, and what it depends on.
    ///
    /// One pass over the lines; then O(customers log customers) for the curves and about
    /// O(customers x columns²) a step of the regression, whose columns are held in memory. The same
    /// for any number of threads.
    /// - Parameter requested: nil as in `asOfDay`.
    /// - Throws: `.unusableAttribute`; `.model` where nobody is followed, where no factor can be
    ///   told from the others, or one tells the event; `.noPurchases`; `.store`.
    package func survival(
        _ settings: SurvivalSettings, asOf requested: CalendarDay? = nil, threadCount: Int
    ) throws(EngineError) -> SurvivalReport {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let gap = settings.gap ?? plan.churn.horizon
        let gapDays = max(1, Int(gap.days.rounded()))
        let lines = try segmentedHistory(threadCount: threadCount)
        let names = [settings.groupAttribute].compactMap(\.self) + settings.factors
        // Before the pass over the lines: a wrong name is told at once.
        let table = names.isEmpty ? nil : try attributeTable(for: names)
        let (clock, event) = (plan.clock, settings.event)
        let sample = try lines.survivalSample(
            asOf: asOf, clock: clock, gapDays: gapDays, event: event, threadCount: threadCount)
        guard sample.count > 0 else {
            throw .model(
                name: "survival",
                .notIdentified(
                    model: "survival curve",
                    reason: """
                        no customer has an order by \(asOf + -gapDays), \(gapDays) days before \
                        \(asOf); give a shorter --gap or a later --as-of
                        """))
        }
        let curve = try modelErrors("survival") { () throws(ModelError) in
            KaplanMeier.fit(try sample.times())
        }
        var report = try SurvivalReport(sample, curve, asOf: asOf, gapDays: gapDays, event: event)
        if let last = try lines.purchaseDays(clock: clock)?.upperBound, last < asOf {
            report.warnings.append(
                "the last order of all is of \(last): if the data end there, the silence up to "
                    + "\(asOf) is theirs, not the customers'")
        }
        guard let table else { return report }
        let attributes = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try SurvivalAttributes(table, sample)
        }
        if let name = settings.groupAttribute {
            try report.add(try attributes.groups(by: name), of: name, sample)
        }
        if !settings.factors.isEmpty {
            try report.add(
                try attributes.factors(settings.factors), sample, settings.ties,
                threadCount: threadCount)
        }
        return report
    }

    private func attributeTable(for names: [String]) throws(EngineError) -> CustomerAttributes {
        let customers = try EntitySegments.read(
            manifest.customerSegments.map { "\(folder)/\($0.file)" })
        let table = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try customers?.attributes()
        }
        let known = table?.columns.map(\.name) ?? []
        for name in names where !known.contains(name) {
            throw SurvivalAttributes.unusable(name, known: known)
        }
        guard let table else { throw SurvivalAttributes.unusable(names[0], known: known) }
        return table
    }
}

extension SurvivalReport {
    fileprivate init(
        _ sample: SurvivalSample, _ curve: KaplanMeierCurve, asOf: CalendarDay, gapDays: Int,
        event: SurvivalEvent
    ) throws(EngineError) {
        self.asOf = asOf.description
        self.event = event
        self.gapDays = gapDays
        followedTo = (asOf + -gapDays).description
        let ending =
            event == .lost
            ? "lost: no order after it up to \(asOf), \(gapDays) days or more"
            : "lapsed: the first silence of \(gapDays) days or more, whether or not they came back"
        convention =
            "time is days from the first order to the last one before the silence (0: never came "
            + "back); \(ending); all are followed up to \(followedTo), as a later last order "
            + "cannot yet be told from a silence"
        customerCount = sample.count
        lostCount = sample.isLost.count(where: \.self)
        newCustomerCount = sample.newCount
        customersWithoutPurchase = sample.onlyReturnsCount
        silentCount = sample.silentCount
        returnedCount = sample.returnedCount
        overall = try Curve("all", curve)
        steps = [("all", curve)]
        warnings = []
        let share = Double(sample.returnedCount) / Double(max(1, sample.silentCount))
        if share > Self.largestReturnedShare {
            warnings.append(
                "\(Int((share * 100).rounded())) % of the customers who were silent for \(gapDays) "
                    + "days came back: of those lost last many may, too; a longer gap tells surer")
        }
    }

    fileprivate mutating func add(
        _ found: SurvivalAttributes.Groups, of name: String, _ sample: SurvivalSample
    ) throws(EngineError) {
        var rows = [[Int]](repeating: [], count: found.names.count)
        for (row, code) in found.codes.enumerated() { rows[Int(code)].append(row) }
        // Groups in which nobody is followed have no curve.
        let used = rows.indices.filter { !rows[$0].isEmpty }
        var groups = Groups(attribute: name, curves: [])
        for group in used {
            let curve = try modelErrors("survival") { () throws(ModelError) in
                KaplanMeier.fit(try sample.times(rows[group]))
            }
            groups.curves.append(try Curve(found.names[group], curve))
            steps.append(("\(name)=\(found.names[group])", curve))
        }
        if used.count < 2 {
            groups.logRankMissing = "all customers are of one group"
        } else {
            var places = [Int32](repeating: 0, count: rows.count)
            for (place, group) in used.enumerated() { places[group] = Int32(place) }
            do throws(ModelError) {
                groups.logRank = try LogRankTest.run(
                    try sample.times(), groups: found.codes.map { places[Int($0)] },
                    names: used.map { found.names[$0] })
            } catch {
                groups.logRankMissing = error.description
            }
        }
        self.groups = groups
    }

    fileprivate mutating func add(
        _ found: SurvivalAttributes.Factors, _ sample: SurvivalSample, _ ties: CoxRegression.Ties,
        threadCount: Int
    ) throws(EngineError) {
        var parameters = CoxRegression.Parameters()
        parameters.ties = ties
        parameters.unusableColumns = .leaveOut
        parameters.threadCount = threadCount
        let ranked = try modelErrors("survival") { [parameters] () throws(ModelError) in
            try RetentionFactors.rank(try sample.times(), found.columns, parameters)
        }
        let regression = ranked.regression
        factors = Factors(
            ties: ties, ranked: ranked.factors, references: found.references,
            omitted: regression.omittedColumns, notes: found.notes,
            likelihoodRatioTest: regression.likelihoodRatioTest,
            logLikelihood: regression.logLikelihood, concordance: regression.concordance)
    }
}

extension SurvivalReport.Curve {
    /// Days that people think in: weeks, months, quarters, years.
    private static let shownDays: [Double] = [
        0, 7, 14, 30, 61, 91, 122, 152, 183, 274, 365, 548, 730, 913, 1_096, 1_461, 1_826, 2_192,
        2_557, 2_922, 3_287, 3_652, 5_479, 7_305, 10_957, 14_610,
    ]

    fileprivate init(_ name: String, _ curve: KaplanMeierCurve) throws(EngineError) {
        self.name = name
        customerCount = curve.rowCount
        lostCount = Int(curve.totalEvents)
        (median, points) = try modelErrors("survival") { () throws(ModelError) in
            var points: [SurvivalReport.Point] = []
            for days in Self.shownDays where days <= curve.lastTime {
                let estimate = try curve.estimate(at: days)
                points.append(
                    SurvivalReport.Point(
                        days: days, atRisk: curve.numberAtRisk(at: days),
                        survival: estimate.value, standardError: estimate.standardError,
                        lower: estimate.lower, upper: estimate.upper))
            }
            return (try curve.quantile(), points)
        }
    }
}
