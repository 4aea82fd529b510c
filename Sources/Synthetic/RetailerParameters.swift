package import Units

extension Retailer {
    /// What the retailer is like. The defaults give about 20 purchase lines a customer.
    ///
    /// Times are in weeks, money in currency units. A customer is the same whatever
    /// `customerCount` is; every other field changes the customers.
    package struct Parameters: Sendable, Equatable {
        /// 1 ... 100,000,000. Grows every file but products.csv in proportion.
        package var customerCount = 100_000
        /// Days from the first to the last, 30 ... 3,650. More days, more orders a customer.
        package var dayCount = 730
        /// 20 ... 100,000; at least one a category. More products, rarer repeats of one.
        package var productCount = 2_000
        package var seed: UInt64 = 1
        /// Day 0 of the data. Customers arrive from here on, fewer and fewer, none before.
        package var firstDay = CalendarDay(daysSince1970: 19_723)  // 2024-01-01

        /// Purchase rates a week are Gamma(rateShape, rateScale): r and alpha of BG/NBD, > 0.
        /// A larger r makes customers more alike, a larger alpha makes them buy less often.
        package var rateShape = 1.5
        package var rateScale = 5.5
        /// The chance to stop for good after a repeat order is Beta(dropoutA, dropoutB): a and b
        /// of BG/NBD, > 0. The mean is a / (a + b); larger sums make customers more alike.
        package var dropoutA = 0.5
        package var dropoutB = 1.5

        /// Order values of a customer are Gamma(spendShape, nu) with nu from
        /// Gamma(spendSpread, spendScale): p, q and v of Gamma-Gamma. Ranges 0.1 ... 100,
        /// 1.1 ... 1,000 (at 1 the mean is infinite) and 0.01 ... 10,000.
        /// Mean order value p v / (q - 1). A larger p steadies one customer's orders, a larger q
        /// makes customers more alike.
        package var spendShape = 6.0
        package var spendSpread = 4.0
        package var spendScale = 20.0

        /// Mean number of lines an order, 1 ... 10. The first is certain, the others Poisson.
        package var linesPerOrder = 2.4
        /// Dimensions of the latent tastes, 1 ... 32.
        package var tasteDimensionCount = 8
        /// Standard deviation that taste adds to the log-odds of a product, 0 ... 5. 0 leaves
        /// popularity alone.
        package var tasteStrength = 2.0
        /// Popularity falls with the rank in the category to this power, 0 ... 2.
        package var popularityExponent = 0.7
        /// Factor on the odds of a promoted product, 1 ... 100, for responders and for others.
        package var responderLift = 8.0
        package var otherLift = 1.2
        /// Share of lines that come back within 2 ... 30 days, 0 ... 0.5.
        package var returnShare = 0.03

        package init() {}

        /// The last day of the data, to which observation runs.
        package var lastDay: CalendarDay { firstDay + (dayCount - 1) }

        func validate() throws(SyntheticError) {
            try check("customerCount", customerCount, 1...100_000_000)
            try check("dayCount", dayCount, 30...3_650)
            try check("productCount", productCount, Category.all.count...100_000)
            // Times are written with four digits of the year.
            try check("firstDay (days since 1970)", firstDay.daysSince1970, 0...2_900_000)
            try check("rateShape", rateShape, 0.01...1_000)
            try check("rateScale", rateScale, 0.1...100_000)
            try check("dropoutA", dropoutA, 0.01...1_000)
            try check("dropoutB", dropoutB, 0.01...1_000)
            try check("rateShape / rateScale (orders a week)", rateShape / rateScale, 0...10)
            try check("spendShape", spendShape, 0.1...100)
            try check("spendSpread", spendSpread, 1.1...1_000)
            try check("spendScale", spendScale, 0.01...10_000)
            try check("linesPerOrder", linesPerOrder, 1...10)
            try check("tasteDimensionCount", tasteDimensionCount, 1...32)
            try check("tasteStrength", tasteStrength, 0...5)
            try check("popularityExponent", popularityExponent, 0...2)
            try check("responderLift", responderLift, 1...100)
            try check("otherLift", otherLift, 1...100)
            try check("returnShare", returnShare, 0...0.5)
        }

        private func check<Value: Comparable>(
            _ name: String, _ value: Value, _ range: ClosedRange<Value>
        ) throws(SyntheticError) {
            guard range.contains(value) else {
                throw .parameter(
                    name: name, actual: "\(value)",
                    allowed: "\(range.lowerBound) ... \(range.upperBound)")
            }
        }
    }
}
