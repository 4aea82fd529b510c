import Numerical

/// Chooses products for one customer after another. Weights are computed once a customer and
/// category and kept here, so that a line costs one pass over a category.
struct ProductChoice {
    private let retailer: Retailer
    /// exp(log-odds) of each product for the customer it was last computed for.
    private var weights: [Double]
    /// Customer id for which a category's weights were computed; 0 for none.
    private var owners: [Int]

    init(_ retailer: Retailer) {
        self.retailer = retailer
        weights = [Double](repeating: 0, count: retailer.catalogue.count)
        owners = [Int](repeating: 0, count: Category.all.count)
    }

    /// A product of the category. Odds are popularity x exp(strength x taste . product taste), and
    /// those of products in the running promotion are multiplied by the customer's lift.
    mutating func draw(
        category: Int, for customer: Customer, promotion: Int?, using random: inout SeededRandom
    ) -> Int {
        if owners[category] != customer.id { weigh(category, for: customer) }
        let products = retailer.catalogue.products(ofCategory: category)
        var total = 0.0
        guard let promotion else {
            for product in products { total += weights[product] }
            var rest = random.uniform() * total
            for product in products {
                rest -= weights[product]
                if rest < 0 { return product }
            }
            return products.upperBound - 1
        }
        let parameters = retailer.parameters
        let lift = customer.isResponder ? parameters.responderLift : parameters.otherLift
        let promotions = retailer.promotions
        for product in products {
            total += weights[product] * (promotions.covers(promotion, product: product) ? lift : 1)
        }
        var rest = random.uniform() * total
        for product in products {
            rest -= weights[product] * (promotions.covers(promotion, product: product) ? lift : 1)
            if rest < 0 { return product }
        }
        return products.upperBound - 1
    }

    private mutating func weigh(_ category: Int, for customer: Customer) {
        let catalogue = retailer.catalogue
        let dimensions = customer.tastes.count
        for product in catalogue.products(ofCategory: category) {
            var taste = 0.0
            let row = product * dimensions
            for dimension in 0..<dimensions {
                taste += customer.tastes[dimension] * catalogue.tastes[row + dimension]
            }
            weights[product] = exponential(
                catalogue.logPopularities[product] + retailer.parameters.tasteStrength * taste)
        }
        owners[category] = customer.id
    }
}

/// A purchase line before it is written.
struct Line {
    /// Day from the first and second of the day.
    var day: Int
    var second: Int
    /// Number of the order within the customer, from 1.
    var order: Int
    var isReturn: Bool
    var product: Int
    var category: Int
    var quantity: Int
    var amountCents: Int
    var marginCents: Int
    var promotion: Int?
    var channel: Int
}

/// Fills the orders of customers with lines.
struct Basket {
    private let retailer: Retailer
    private var choice: ProductChoice

    init(_ retailer: Retailer) {
        self.retailer = retailer
        choice = ProductChoice(retailer)
    }

    /// All lines of a customer, ordered by time; returns among them.
    mutating func lines(
        of customer: Customer, orderDays: [Int], using random: inout SeededRandom
    ) -> [Line] {
        let style = Lifestyle.all[customer.lifestyle]
        // Seconds first: orders of one day are numbered in their order of time.
        let moments = orderDays.map { day in
            (day: day, second: Self.second(style, using: &random))
        }.sorted { ($0.day, $0.second) < ($1.day, $1.second) }
        var lines: [Line] = []
        lines.reserveCapacity(3 * moments.count)
        for (index, moment) in moments.enumerated() {
            appendOrder(
                index + 1, day: moment.day, second: moment.second, customer, style, to: &lines,
                using: &random)
        }
        appendReturns(style, to: &lines, using: &random)
        return lines
    }

    private mutating func appendOrder(
        _ order: Int, day: Int, second: Int, _ customer: Customer, _ style: Lifestyle,
        to lines: inout [Line], using random: inout SeededRandom
    ) {
        let parameters = retailer.parameters
        let catalogue = retailer.catalogue
        let channel = retailer.population.channels[customer.lifestyle].draw(using: &random)
        let running = retailer.promotions.promotion(onDay: day)
        let count = 1 + random.poisson(mean: parameters.linesPerOrder - 1)
        // The cap keeps cents and their sums in range; at the defaults nothing comes near it.
        let value = min(
            1e9, random.gamma(shape: parameters.spendShape, rate: customer.spendRate))
        let start = lines.count
        var weights: [Double] = []
        for _ in 0..<count {
            let category =
                random.bernoulli(Lifestyle.categoryNoise)
                ? random.below(Category.all.count)
                : style.categories.lowerBound + random.below(style.categories.count)
            var product = choice.draw(
                category: category, for: customer, promotion: running, using: &random)
            // An order names a product once where the category is large enough to allow it.
            for _ in 0..<4 where lines[start...].contains(where: { $0.product == product }) {
                product = choice.draw(
                    category: category, for: customer, promotion: running, using: &random)
            }
            let draw = random.uniform()
            let quantity = draw < 0.72 ? 1 : (draw < 0.92 ? 2 : 3)
            weights.append(catalogue.prices[product] * Double(quantity))
            let promotion = running.flatMap {
                retailer.promotions.covers($0, product: product) ? $0 : nil
            }
            lines.append(
                Line(
                    day: day, second: second, order: order, isReturn: false, product: product,
                    category: category, quantity: quantity, amountCents: 0, marginCents: 0,
                    promotion: promotion, channel: channel))
        }
        // The model draws what the order is worth; its lines share that by list price x quantity.
        var restCents = max(count, Int((value * 100).rounded()))
        var restWeight = weights.reduce(0, +)
        for (offset, weight) in weights.enumerated() {
            let left = count - offset - 1
            let share = Int((Double(restCents) * weight / restWeight).rounded())
            let cents = left == 0 ? restCents : min(max(1, share), restCents - left)
            restCents -= cents
            restWeight -= weight
            let line = start + offset
            let discount = lines[line].promotion == nil ? 0 : PromotionCalendar.marginCost
            let rate = catalogue.marginRates[lines[line].product] - discount
            lines[line].amountCents = cents
            lines[line].marginCents = Int((Double(cents) * rate).rounded())
        }
    }

    /// Some lines come back whole, 2 ... 30 days later, unless the data ends before.
    private func appendReturns(
        _ style: Lifestyle, to lines: inout [Line], using random: inout SeededRandom
    ) {
        let parameters = retailer.parameters
        let calendar = WeekdayChoice(weekdays: style.weekdays, firstDay: parameters.firstDay)
        let sold = lines
        for line in sold where random.bernoulli(parameters.returnShare) {
            let earliest = line.day + 2
            // Drawn before the test, so that the stream does not depend on where the data ends.
            let drawn = earliest + random.below(29)
            let second = Self.second(style, using: &random)
            let day = calendar.move(
                drawn, within: earliest...(earliest + 28), using: &random)
            if day >= parameters.dayCount { continue }
            var back = line
            back.day = day
            back.second = second
            back.isReturn = true
            back.quantity = -line.quantity
            back.amountCents = -line.amountCents
            back.marginCents = -line.marginCents
            lines.append(back)
        }
        if lines.count == sold.count { return }
        // The position settles equal times, so that the order never depends on the sort.
        lines = lines.enumerated().sorted { a, b in
            (a.element.day, a.element.second, a.offset)
                < (b.element.day, b.element.second, b.offset)
        }.map(\.element)
    }

    private static func second(
        _ style: Lifestyle, using random: inout SeededRandom
    ) -> Int {
        let hours =
            random.bernoulli(Lifestyle.hourNoise) ? Lifestyle.openingHours : style.hours
        return (hours.lowerBound + random.below(hours.count)) * 3_600 + random.below(3_600)
    }
}
