import Numerical

/// One customer's planted truth and attributes, drawn from the customer's own stream.
struct Customer {
    let id: Int
    let lifestyle: Int
    /// Orders a week while active, lambda.
    let weeklyRate: Double
    /// Chance to stop after a repeat order, p.
    let dropoutChance: Double
    /// Rate nu of the customer's order values; their mean is spendShape / nu.
    let spendRate: Double
    let isResponder: Bool
    /// `[tasteDimensionCount]`, each with variance 1.
    let tastes: [Double]
    let age: Int
    let gender: Int
    let incomeBand: Int
    let city: Int
    let latitude: Double
    let longitude: Double
    let interests: [String]
    /// Days from sign-up to the first order.
    let signupLeadDays: Int

    /// Ids are eight digits up to 90 million customers.
    static func id(ofIndex index: Int) -> Int { 10_000_001 + index }
}

/// What customers are drawn from besides their own stream.
struct Population: Sendable {
    let parameters: Retailer.Parameters
    let lifestyles: AliasTable
    let genders: [AliasTable]
    let incomes: [AliasTable]
    let weekdays: [[Double]]
    let channels: [AliasTable]
    let cities: AliasTable
    /// `[lifestyle][tasteDimensionCount]`.
    let lifestyleTastes: [[Double]]
    let allInterests: [String]

    /// Share of a customer's squared taste that is the lifestyle's.
    static let sharedTaste = 0.3
    static let typicalInterestChance = 0.65
    static let otherInterestChance = 0.06

    init(_ parameters: Retailer.Parameters) {
        self.parameters = parameters
        let all = Lifestyle.all
        lifestyles = Self.table(all.map(\.share))
        genders = all.map { Self.table([$0.femaleShare, 0.985 - $0.femaleShare, 0.015]) }
        incomes = all.map { Self.table($0.incomes) }
        weekdays = all.map(\.weekdays)
        channels = all.map { Self.table($0.channels) }
        cities = Self.table(City.all.map(\.weight))
        var random = SeededRandom(seed: parameters.seed, stream: Stream.lifestyleTastes)
        lifestyleTastes = all.map { _ in
            (0..<parameters.tasteDimensionCount).map { _ in random.normal() }
        }
        allInterests = all.flatMap(\.interests)
    }

    private static func table(_ weights: [Double]) -> AliasTable {
        guard let table = AliasTable(weights: weights) else {
            preconditionFailure("the tables of this module have positive weights")
        }
        return table
    }

    /// Draws customer `index`; `random` is at the start of the customer's stream.
    func customer(_ index: Int, using random: inout SeededRandom) -> Customer {
        let lifestyle = lifestyles.draw(using: &random)
        let style = Lifestyle.all[lifestyle]
        let weeklyRate = random.gamma(shape: parameters.rateShape, rate: parameters.rateScale)
        let dropoutChance = random.beta(parameters.dropoutA, parameters.dropoutB)
        let spendRate = random.gamma(shape: parameters.spendSpread, rate: parameters.spendScale)
        let own = (1 - Self.sharedTaste).squareRoot()
        let shared = Self.sharedTaste.squareRoot()
        let tastes = lifestyleTastes[lifestyle].map { shared * $0 + own * random.normal() }
        let age = random.normal(mean: style.ageMean, standardDeviation: style.ageDeviation)
        let city = cities.draw(using: &random)
        return Customer(
            id: Customer.id(ofIndex: index), lifestyle: lifestyle, weeklyRate: weeklyRate,
            dropoutChance: dropoutChance, spendRate: spendRate,
            isResponder: random.bernoulli(style.responderShare), tastes: tastes,
            age: Int(min(95, max(18, age.rounded()))),
            gender: genders[lifestyle].draw(using: &random),
            incomeBand: incomes[lifestyle].draw(using: &random), city: city,
            // Scattered over some 5 km around the centre.
            latitude: City.all[city].latitude + 0.04 * random.normal(),
            longitude: City.all[city].longitude + 0.06 * random.normal(),
            interests: allInterests.filter { interest in
                let chance =
                    style.interests.contains(interest)
                    ? Self.typicalInterestChance : Self.otherInterestChance
                return random.bernoulli(chance)
            },
            signupLeadDays: random.geometric(chance: 0.2))
    }
}
