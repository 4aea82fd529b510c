import Features
package import Models
package import Units

/// What groups of customers are expected to spend, step by step, and how well the same models did on
/// the time before.
package struct Projection: Codable, Sendable {
    package var asOf: String
    package var currency: String
    /// The last day of each step, `yyyy-MM-dd`.
    package var ends: [String]
    /// The purchase and order-value models: `BG/NBD+Gamma-Gamma`.
    package var model: String
    package var groups: [Group]
    /// Nil where the purchases are too short for one; `notCheckedReason` says so.
    package var backTest: BackTest?
    package var notCheckedReason: String?
    /// Steps from now that the back-test reached; what lies beyond is extrapolated.
    package var checkedStepCount: Int

    package struct Group: Codable, Sendable {
        package var name: String
        package var path: ValuePath
    }

    /// The same for models that were fitted as of an earlier day, beside what happened.
    package struct BackTest: Codable, Sendable {
        package var asOf: String
        package var ends: [String]
        package var groups: [CheckedGroup]
        /// Steps of groups whose value lay within their interval, of all that have one; 0…1.
        package var intervalShare: Double?
    }

    package struct CheckedGroup: Codable, Sendable {
        package var name: String
        package var path: ValuePath
        /// Revenue of each step, returns deducted.
        package var actual: [Double]

        /// Expected / actual − 1 of all steps; nil where nothing was spent.
        package var relativeError: Double? {
            let sum = actual.reduce(0, +)
            return sum > 0 ? (path.steps.last?.valueToHere ?? 0) / sum - 1 : nil
        }
    }
}

extension Workspace {
    /// Projects the revenue of groups of customers.
    ///
    /// The back-test fits the same models as of an earlier day, at most half of the purchases' days
    /// back, and compares. Segments of that day are those of today's segmentation by the features of
    /// that day; tiers are fitted anew.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`.
    ///   - horizon: whole steps are projected, at least one.
    ///   - step: days of a step: 7 for a week.
    ///   - grouping: `tier` or the name of a trained segmentation.
    package func project(
        asOf requested: CalendarDay? = nil, horizon: Horizon, step: TimeGrid, by grouping: String,
        threadCount: Int, report: (String) -> Void = { _ in }
    ) throws(EngineError) -> Projection {
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let lines = try segmentedHistory(threadCount: threadCount)
        guard let purchases = try lines.purchaseDays(clock: plan.clock) else {
            throw .features(.noPurchases)
        }
        let fitted = try latestLifetime(asOf: asOf)
        try fitted.model.requireNoCovariates("project")
        let stepCount = max(1, Int((horizon.days / step.days).rounded(.down)))
        let ends = (1...stepCount).map { Int((Double($0) * step.days).rounded()) }
        let groups = try customerGroups(
            grouping, fitted.model, asOf: asOf, threadCount: threadCount)
        var projection = Projection(
            asOf: asOf.description, currency: plan.currency,
            ends: ends.map { (asOf + $0).description },
            model: "\(fitted.model.purchases.model.name)+Gamma-Gamma",
            groups: try paths(fitted.model, groups, ends, threadCount).map {
                Projection.Group(name: $0, path: $1)
            }, checkedStepCount: 0)
        let last = min(asOf, purchases.upperBound)
        let known = last.daysSince1970 - purchases.lowerBound.daysSince1970
        let checked = ends.filter { 2 * $0 <= known }
        guard let reach = checked.last else {
            projection.notCheckedReason =
                "\(known) days of purchases are fewer than two steps: nothing says how well the "
                + "models project"
            return projection
        }
        report("back-test as of \(last + -reach)")
        do throws(EngineError) {
            projection.backTest = try backTest(
                from: last + -reach, checked, by: grouping, threadCount)
            projection.checkedStepCount = checked.count
        } catch {
            guard error.isAboutTheData else { throw error }
            projection.notCheckedReason = "\(last + -reach): \(error)"
        }
        return projection
    }

    private func paths(
        _ models: LifetimeModels, _ groups: CustomerGroups, _ ends: [Int], _ threadCount: Int
    ) throws(EngineError) -> [(name: String, path: ValuePath)] {
        try modelErrors("lifetime") { () throws(ModelError) in
            guard let spend = models.orderValues else {
                throw .notIdentified(
                    model: "projection",
                    reason: models.valueMissing ?? "there is no model of order values")
            }
            let data = groups.table.history
            let customers = ValuePath.Customers(
                repeatPurchaseCount: data.repeatPurchaseCount,
                ageAtLastPurchaseDays: data.ageAtLastPurchaseDays,
                observedAgeDays: data.observedAgeDays, meanOrderValue: data.meanOrderValue,
                groups: groups.numbers)
            let paths = try ValuePath.paths(
                customers, groupCount: groups.names.count, endDays: ends, model: models.purchases,
                spend: spend, threadCount: threadCount)
            return zip(groups.names, paths).map { ($0, $1) }
        }
    }

    private func backTest(
        from day: CalendarDay, _ ends: [Int], by grouping: String, _ threadCount: Int
    ) throws(EngineError) -> Projection.BackTest {
        let table = try features(asOf: day, keeping: [], threadCount: threadCount)
        let history = try surveyedHistory(threadCount: threadCount)
        let models = try ModelFitting(
            plan: plan, history: history, table: table,
            attributes: try plannedAttributes(of: table.customerIDs), threadCount: threadCount
        ).lifetime().models
        // The plan may have got them since the training.
        try models.requireNoCovariates("project")
        let groups = try customerGroups(
            grouping, models, asOf: day, mayBeLater: true, threadCount: threadCount)
        var actual = [[Double]](
            repeating: [Double](repeating: 0, count: ends.count), count: groups.names.count)
        var before = [Double](repeating: 0, count: groups.names.count)
        for (step, end) in ends.enumerated() {
            // Counted from the day itself, so that every step is about the same customers.
            let outcome = try history.holdoutOutcome(after: day, through: day + end)
            var sums = [Double](repeating: 0, count: groups.names.count)
            for (row, group) in groups.numbers.enumerated() where group >= 0 {
                sums[Int(group)] += outcome.revenue[row]
            }
            for group in sums.indices { actual[group][step] = sums[group] - before[group] }
            before = sums
        }
        let paths = try paths(models, groups, ends, threadCount)
        var (held, count) = (0, 0)
        let checked = paths.enumerated().map { group, part in
            for (step, value) in zip(part.path.steps, actual[group])
            where part.path.customerCount > 0 {
                guard let interval = step.interval else { continue }
                held += interval.contains(value) ? 1 : 0
                count += 1
            }
            return Projection.CheckedGroup(
                name: part.name, path: part.path, actual: actual[group])
        }
        return Projection.BackTest(
            asOf: day.description, ends: ends.map { (day + $0).description }, groups: checked,
            intervalShare: count > 0 ? Double(held) / Double(count) : nil)
    }
}
