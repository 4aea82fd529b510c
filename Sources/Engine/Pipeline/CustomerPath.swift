package import ByteCoding
package import Features
import Models
package import Units

/// What was known of one customer, and what the latest lifetime model makes of it, day after day
/// from the first order on. Money is in currency units.
package struct CustomerPath: Encodable, Sendable {
    package struct Step: Encodable, Sendable {
        package var day: String
        /// As of the day, as in `CustomerHistory`.
        package var repeatPurchaseCount: Int
        package var daysSinceLastPurchase: Int
        package var observedAgeDays: Int
        /// Net of returns, up to the day.
        package var revenue: Double
        /// Nil where the model cannot read the history, as in the scores of all customers.
        package var probabilityAlive: Double?
        /// Of an order within the churn horizon: 1 - the churn probability.
        package var probabilityActive: Double?
        /// Orders within the horizon.
        package var expectedPurchases: Double?
        /// Nil without order values, too.
        package var lifetimeValue: Double?
    }

    /// An order, dated by its first purchase line, or a return, whose amount is below 0.
    package struct Order: Encodable, Sendable {
        package var day: String
        package var amount: Double
    }

    /// How far the customer may be from the expectation: P10, P50 and P90 of what the next horizon
    /// brings. The model is taken as it is; what is spread is the customer.
    package struct Quantiles: Encodable, Sendable {
        /// .1, .5, .9.
        package var probabilities: [Double]
        /// The least number that at most so many orders are made with each probability.
        package var purchases: [Int]
        /// The same of the orders' value, of the basis and not discounted; nil without order values.
        package var values: [Double]?
    }

    package var customer: String
    package var asOf: String
    package var stepDays: Int
    package var model: ReportModel
    package var currency: String
    package var churnHorizon: String
    package var horizon: String
    package var basis: String
    /// From the day of the first order by `stepDays`, and the as-of day.
    package var steps: [Step]
    /// By day, returns after the orders of their day.
    package var orders: [Order]
    /// As of the as-of day; nil where the last step has no numbers.
    package var quantiles: Quantiles?
    /// What the model knows of the customer beside the orders, values of now; nil for a model
    /// without covariates.
    package var covariates: [String: Double]?
    /// The segments that the customer was in, by segmentation and day; none before the first publish.
    package var segments: [SegmentStay] = []

    /// Steps, orders and returns, one line each, by day.
    package func writeCSV(to path: String) throws(EngineError) {
        let header = [
            "day", "kind", "amount", "repeat_purchase_count", "days_since_last_purchase",
            "observed_age_days", "revenue", "probability_alive", "probability_active",
            "expected_purchases", "lifetime_value",
        ]
        var rows: [[String]] = []
        for entry in entries {
            switch entry {
            case .order(let order):
                rows.append(
                    [order.day, order.amount < 0 ? "return" : "order", "\(order.amount)"]
                        + [String](repeating: "", count: 8))
            case .step(let step):
                rows.append([
                    step.day, "step", "", "\(step.repeatPurchaseCount)",
                    "\(step.daysSinceLastPurchase)", "\(step.observedAgeDays)", "\(step.revenue)",
                    CSVFile.number(step.probabilityAlive), CSVFile.number(step.probabilityActive),
                    CSVFile.number(step.expectedPurchases), CSVFile.number(step.lifetimeValue),
                ])
            }
        }
        try CSVFile.write(header, rows, to: path)
    }

    package enum Entry {
        case order(Order)
        case step(Step)
    }

    /// Orders and steps by day; the orders of a step's day before it, which knows them.
    package var entries: [Entry] {
        var result: [Entry] = []
        var next = 0
        for step in steps {
            while next < orders.count, orders[next].day <= step.day {
                result.append(.order(orders[next]))
                next += 1
            }
            result.append(.step(step))
        }
        return result
    }
}

/// The segments of a customer of whom there is nothing else to tell: one without purchases.
package struct CustomerStays: Encodable, Sendable {
    package var customer: String
    /// By segmentation and day.
    package var segments: [SegmentStay]
}

extension SegmentedHistory {
    /// The lines of one customer, who has none where the history does not know the id. Reads the
    /// blocks alone that may hold them: one or two of each segment, more for a customer of many
    /// lines.
    /// - Parameter texts: of the columns wanted.
    /// - Returns: nil for an id of another kind than the history's.
    package func lines(
        ofCustomer id: EntityID, _ wanted: LineColumns, _ texts: LineTexts = LineTexts()
    ) throws(EngineError) -> PurchaseHistory? {
        let bounds: IDColumn
        switch (id, splits) {
        case (.integer(let number), .integers):
            // Nothing comes after the last of all.
            bounds = .integers(number < .max ? [number, number + 1] : [number])
        case (.text(let text), .texts):
            // The least text after it, byte by byte.
            bounds = .texts(TextArray([text, text + "\u{0}"]))
        default: return nil
        }
        return try split(at: bounds).chunk(1, wanted, texts)
    }

    /// An id as it is written; nil where the customers of this history have integers and it is none.
    package func customerID(_ text: String) -> EntityID? {
        switch splits {
        case .integers: Int64(text).map(EntityID.integer)
        case .texts: .text(text)
        }
    }
}

extension Workspace {
    /// A customer has no more steps than this.
    package static let largestStepCount = 20_000

    /// One customer's past as the latest lifetime model sees it, from this customer's lines alone.
    ///
    /// The parameters are those of the model's day: earlier steps are a look back, not what was
    /// served then. Each step knows the lines up to its day and no later ones; its numbers are those
    /// of a scoring as of that day with this model.
    /// - Parameters:
    ///   - id: as it is written in the data.
    ///   - stepDays: at least 1.
    ///   - requested: nil as in `asOfDay`.
    /// - Throws: `.unknownCustomer` for an id without an order by the day; `.model` for more than
    ///   `largestStepCount` steps; `.modelMissing`.
    package func path(
        ofCustomer id: String, stepDays: Int, asOf requested: CalendarDay? = nil, threadCount: Int
    ) throws(EngineError) -> CustomerPath {
        precondition(stepDays >= 1)
        try requireNotErased(id)
        let latest = try latestLifetime(asOf: nil)
        let (card, models) = (latest.card, latest.model)
        let history = try segmentedHistory(threadCount: threadCount)
        guard let customer = history.customerID(id) else {
            throw .unknownCustomer(id: id, reason: "ids of customers are whole numbers here")
        }
        let asOf = try asOfDay(requested, threadCount: threadCount)
        let found = try history.lines(ofCustomer: customer, [.margins, .orders])
        guard let found, found.customerCount > 0 else {
            throw .unknownCustomer(id: id, reason: "no purchase line has this id")
        }
        let orders = DatedOrders(found, asOf: asOf, clock: plan.clock)
        let rows = (0..<orders.count).sorted { (orders.days[$0], $0) < (orders.days[$1], $1) }
        guard let first = rows.first(where: { orders.amounts[$0] >= 0 }) else {
            throw .unknownCustomer(
                id: id,
                reason: orders.count > 0
                    ? "has returns only by \(asOf)" : "has no purchase line by \(asOf)")
        }
        var days: [CalendarDay] = []
        var next = CalendarDay(daysSince1970: Int(orders.days[first]))
        let stepCount = (asOf - next) / stepDays + 2
        guard stepCount <= Self.largestStepCount else {
            throw .model(
                name: "history",
                .outOfRange(
                    what: "steps", actual: Double(stepCount),
                    allowed: "up to \(Self.largestStepCount); give a longer --step"))
        }
        while next < asOf {
            days.append(next)
            next = next + stepDays
        }
        days.append(asOf)
        var path = CustomerPath(
            customer: id, asOf: asOf.description, stepDays: stepDays, model: reportModel(card),
            currency: plan.currency, churnHorizon: plan.churn.horizon.description,
            horizon: plan.lifetime.horizon.description, basis: plan.lifetime.basis.rawValue,
            steps: [], orders: [])
        path.orders = rows.map { row in
            CustomerPath.Order(
                day: CalendarDay(daysSince1970: Int(orders.days[row])).description,
                amount: Money(tenThousandths: orders.amounts[row]).units)
        }
        path.segments = try segmentStays(ofCustomer: customer)
        try addSteps(days, found, models, to: &path)
        return path
    }

    /// The segments of a customer without a purchase line, by published days.
    /// - Parameter id: as it is written in the data.
    /// - Returns: nil for a customer with lines, of whom `path` tells more, and in a workspace with
    ///   purchases for one whom no published day saw in a segment.
    /// - Throws: `.unknownCustomer` for one without either in a workspace without purchases; `store`.
    package func stays(
        ofCustomerWithoutPurchases id: String, threadCount: Int
    ) throws(EngineError) -> CustomerStays? {
        try requireNotErased(id)
        let hasPurchases = plan.sources.purchases != nil
        if hasPurchases {
            let history = try segmentedHistory(threadCount: threadCount)
            guard let customer = history.customerID(id) else { return nil }
            let lines = try history.lines(ofCustomer: customer, [])
            if let lines, lines.customerCount > 0 { return nil }
        }
        // Of the kinds that an id may be the ledgers hold one.
        var stays: [SegmentStay] = []
        if let number = Int64(id) { stays = try segmentStays(ofCustomer: .integer(number)) }
        if stays.isEmpty { stays = try segmentStays(ofCustomer: .text(id)) }
        guard stays.isEmpty else { return CustomerStays(customer: id, segments: stays) }
        if hasPurchases { return nil }
        throw .unknownCustomer(id: id, reason: "no published day saw this customer in a segment")
    }

    private func addSteps(
        _ days: [CalendarDay], _ lines: PurchaseHistory, _ models: LifetimeModels,
        to path: inout CustomerPath
    ) throws(EngineError) {
        // As a scoring sees the customer on each day.
        let history = customerHistory(
            of: lines, customer: 0, asOf: days, clock: plan.clock,
            grossMarginRate: plan.grossMarginRate)
        let model = try ownModel(models, lines.customerIDs, &path)
        let parameters = plan.lifetimeParameters(marginRate: models.marginRate, threadCount: 1)
        let scores = try modelErrors("lifetime") { () throws(ModelError) in
            try LifetimeScores.score(
                history, purchases: model, orderValues: models.orderValues, parameters)
        }
        for (row, day) in days.enumerated() {
            let isOK = scores.status[row] == 0
            path.steps.append(
                CustomerPath.Step(
                    day: day.description,
                    repeatPurchaseCount: Int(history.repeatPurchaseCount[row]),
                    daysSinceLastPurchase: Int(history.daysSinceLastPurchase[row]),
                    observedAgeDays: Int(history.observedAgeDays[row]),
                    revenue: history.revenue[row],
                    probabilityAlive: isOK ? scores.probabilityAlive[row] : nil,
                    probabilityActive: isOK ? 1 - scores.churnProbability[row] : nil,
                    expectedPurchases: isOK ? scores.expectedPurchases[row] : nil,
                    lifetimeValue: isOK ? scores.lifetimeValue.map { $0[row] } : nil))
        }
        path.quantiles = try modelErrors("lifetime") { () throws(ModelError) in
            try CustomerPath.Quantiles(
                lastOf: history, model, models.orderValues, parameters)
        }
    }

    /// The model of one customer.
    private func ownModel(
        _ models: LifetimeModels, _ customer: IDColumn, _ path: inout CustomerPath
    ) throws(EngineError) -> FittedPurchaseModel {
        guard let covariates = models.covariates else { return models.purchases }
        let encoded = try self.covariates(of: models, customer, status: [CustomerHistory.ok])
        let values = encoded.columns.map { $0.values[0] }
        path.covariates = Dictionary(
            zip(encoded.columns.map(\.name), values), uniquingKeysWith: { one, _ in one })
        return try modelErrors("lifetime") { () throws(ModelError) in
            try covariates.model.purchaseModel(purchase: values, dropOut: values)
        }
    }
}

extension CustomerPath.Quantiles {
    /// Of the last row; nil where no model can read it.
    fileprivate init?(
        lastOf history: CustomerHistory, _ model: FittedPurchaseModel, _ spend: FittedGammaGamma?,
        _ scores: LifetimeScores.Parameters
    ) throws(ModelError) {
        var parameters = CustomerQuantiles.Parameters()
        parameters.horizon = scores.horizon
        // Where orders lose money, more of them are worth less: no quantiles of that.
        let hasValue = scores.basis.ratio >= 0
        if hasValue { parameters.basis = scores.basis }
        let row = history.status.count - 1
        let found = try model.quantiles(
            repeatPurchaseCount: [history.repeatPurchaseCount[row]],
            ageAtLastPurchaseDays: [history.ageAtLastPurchaseDays[row]],
            observedAgeDays: [history.observedAgeDays[row]],
            meanOrderValue: [history.meanOrderValue[row]], status: [history.status[row]],
            spend: hasValue ? spend : nil, parameters)
        guard found.status == [0] else { return nil }
        self.init(
            probabilities: parameters.probabilities, purchases: found.purchases.map { Int($0) },
            values: found.values)
    }
}
