package import Numerical

/// Factors, popularity and repeat purchase in one score, with weights learned on a split by time.
///
/// A product i scores  r + `popularityWeight` · s + `factorWeight` · x·y  for customer u: r the
/// probability that u buys it again (`RepeatPurchase`; 0 for what u has not bought), s the share of
/// all baskets that hold it, x·y the product of factors. Factors alone rank what a customer has not
/// bought; where baskets repeat, as groceries do, they lose to the plain count of what the customer
/// had before, and the sum beats both. Popularity is one more factor, and repeats are few a
/// customer, so the best products come from the passes of `TopN`, exactly.
/// Source: repeats beside a model of new items: H. Hu et al., "Modeling personalized item frequency
/// information for next-basket recommendation", 2020, equation 4 (there: neighbours).
package struct AffinityHybrid: Sendable, Equatable, Codable {
    package let repeats: RepeatPurchase
    /// `[itemCount]`: share of all baskets with each product.
    package let shares: [Float]
    package let factorWeight: Double
    package let popularityWeight: Double
    /// Whether lists leave out what the customer has bought; repeats then play no part.
    package let excludesPurchased: Bool
    /// What was tried, in this order; the best, the first of equals, is the one that was taken.
    package let trials: [Trial]

    /// A setting and how good its lists were on the split.
    package struct Trial: Sendable, Equatable, Codable {
        package var halfLife: Double
        package var priorCount: Double
        package var popularityWeight: Double
        package var factorWeight: Double
        /// Mean NDCG at `Parameters.listLength`.
        package var ndcg = 0.0

        fileprivate func isSameSetting(_ other: Trial) -> Bool {
            (halfLife, priorCount) == (other.halfLife, other.priorCount)
                && (popularityWeight, factorWeight)
                    == (other.popularityWeight, other.factorWeight)
        }
    }

    package struct Parameters: Sendable, Equatable {
        /// Whether lists leave out what the customer has bought.
        package var excludesPurchased = false
        /// Places that count, at least 1.
        package var listLength = 10
        /// Customers of the split to learn on at most, evenly spaced; at least 1. Up: surer weights,
        /// slower.
        package var sampleCount = 10_000
        /// Values to try, each not empty. Half-lives are in median gaps between baskets.
        package var halfLives = [6.5, 2, 4, 13, 1e9]
        package var priorCounts = [10.0, 3, 30]
        package var popularityWeights = [1.0, 0, 0.25, 0.5, 2, 4]
        package var factorWeights = [0.03, 0, 0.003, 0.01, 0.1, 0.3, 1]
        package var ratePriorCount = 20.0
        /// At least 1; does not change the result.
        package var threadCount = 1

        package init() {}
    }

    /// Learns weights where the factors of the time before the split are known.
    /// - Parameters:
    ///   - before: what was known.
    ///   - after: `[customerCount × itemCount]`: what was bought then; customers without an entry say
    ///     nothing.
    ///   - earlier: fitted to `before`, with the factors of its customers.
    /// - Throws: `countMismatch`; `outOfRange`; `notIdentified` where nobody bought anything that
    ///   could be found.
    /// - Complexity: about 40 passes of `TopN` over the sample: the values are searched one after the
    ///   other, twice, not all together. Deterministic.
    package static func learn(
        before: PurchaseBaskets, after: SparseMatrix, earlier: FittedALS, _ parameters: Parameters
    ) throws(ModelError) -> AffinityHybrid {
        let search = try Search(before, after, earlier, parameters)
        let trials = try search.run()
        let best = trials.reduce(trials[0]) { $0.ndcg >= $1.ndcg ? $0 : $1 }
        return AffinityHybrid(
            repeats: search.repeats.with(halfLife: best.halfLife, priorCount: best.priorCount),
            shares: search.shares, factorWeight: best.factorWeight,
            popularityWeight: best.popularityWeight,
            excludesPurchased: parameters.excludesPurchased, trials: trials)
    }

    /// Learns weights on the last basket of each customer with two or more, then counts rates and
    /// shares anew on all baskets.
    /// - Parameter factors: settings of the fit to the baskets before the last ones.
    /// - Throws: as `learn` and `ImplicitALS.fit`.
    package static func fit(
        _ baskets: PurchaseBaskets, factors: ImplicitALS.Parameters, _ parameters: Parameters
    ) throws(ModelError) -> AffinityHybrid {
        let (before, last) = baskets.splitBeforeLast()
        let earlier = try ImplicitALS.fit(before.counts, factors, measuresLoss: false)
        return try learn(before: before, after: last, earlier: earlier, parameters)
            .refitted(to: baskets)
    }

    /// The learned weights with rates and shares of other baskets.
    package func refitted(to baskets: PurchaseBaskets) throws(ModelError) -> AffinityHybrid {
        AffinityHybrid(
            repeats: try RepeatPurchase.fit(baskets, repeats.parameters),
            shares: baskets.itemShares, factorWeight: factorWeight,
            popularityWeight: popularityWeight, excludesPurchased: excludesPurchased,
            trials: trials)
    }

    /// The best products of customers.
    /// - Parameters:
    ///   - customerFactors: `[customerCount × factorCount]`.
    ///   - itemFactors: `[itemCount × factorCount]`.
    ///   - baskets: of the same customers.
    ///   - asOf: as in `RepeatPurchase.scores`.
    ///   - eligible: `[itemCount]`; nil: all products are.
    /// - Throws: as `TopN.top` and `RepeatPurchase.scores`.
    /// - Complexity: of `TopN.top` with one factor more. Memory: factors of both sides once more.
    package func top(
        _ count: Int, customerFactors: [Float], itemFactors: [Float], factorCount: Int,
        baskets: PurchaseBaskets, asOf: Int32? = nil, eligible: Bitmap? = nil, threadCount: Int
    ) throws(ModelError) -> TopLists {
        guard factorCount >= 1 else {
            throw .outOfRange(
                what: "factorCount", actual: Double(factorCount), allowed: "at least 1")
        }
        try requireCount(
            customerFactors.count, baskets.customerCount * factorCount,
            "values of customer factors")
        try requireCount(
            itemFactors.count, baskets.itemCount * factorCount, "values of product factors")
        return try HybridPass(
            customerFactors, itemFactors, shares, factorCount: factorCount,
            popularityWeight: popularityWeight, factorWeight: factorWeight
        ).top(
            count,
            repeats: excludesPurchased
                ? nil : try repeats.scores(baskets, asOf: asOf, threadCount: threadCount),
            purchased: excludesPurchased ? baskets.counts : nil, eligible: eligible,
            threadCount: threadCount)
    }
}

/// Factors with popularity as one more.
private struct HybridPass {
    private let customers: [Float]
    private let items: [Float]
    private let width: Int

    init(
        _ customerFactors: [Float], _ itemFactors: [Float], _ shares: [Float], factorCount f: Int,
        popularityWeight: Double, factorWeight: Double
    ) {
        width = f + 1
        customers = AffinityHybrid.combined(
            customerFactors, factorCount: f, customerCount: customerFactors.count / f,
            factorWeight: factorWeight)
        items = AffinityHybrid.combined(
            itemFactors, factorCount: f, shares: shares, popularityWeight: popularityWeight)
    }

    func top(
        _ count: Int, repeats: SparseMatrix?, purchased: SparseMatrix?, eligible: Bitmap?,
        threadCount: Int
    ) throws(ModelError) -> TopLists {
        let top = try TopN(
            itemFactors: items, itemCount: items.count / width, factorCount: width)
        guard let repeats else {
            return try top.top(
                count, queryFactors: customers, excluding: purchased, eligible: eligible,
                threadCount: threadCount)
        }
        return try top.top(
            count, queryFactors: customers, itemFactors: items, adding: repeats,
            eligible: eligible, threadCount: threadCount)
    }
}

/// The sample of customers and the search over its settings.
private struct Search {
    let repeats: RepeatPurchase
    let shares: [Float]
    private let baskets: PurchaseBaskets
    private let purchased: SparseMatrix?
    private let held: [Set<Int32>]
    private let customerFactors: [Float]
    private let earlier: FittedALS
    private let parameters: AffinityHybrid.Parameters
    /// Median days between two baskets of a customer, at least 1.
    private let gap: Double

    init(
        _ before: PurchaseBaskets, _ after: SparseMatrix, _ earlier: FittedALS,
        _ parameters: AffinityHybrid.Parameters
    ) throws(ModelError) {
        try requireCount(after.rowCount, before.customerCount, "customers after the split")
        try requireCount(after.columnCount, before.itemCount, "products after the split")
        try requireCount(earlier.userCount, before.customerCount, "customers with factors")
        try requireCount(earlier.itemCount, before.itemCount, "products with factors")
        let f = earlier.factorCount
        try requireCount(
            earlier.userFactors.count, before.customerCount * f, "values of customer factors")
        guard parameters.sampleCount >= 1, parameters.listLength >= 1 else {
            throw .outOfRange(
                what: "sampleCount or listLength",
                actual: Double(min(parameters.sampleCount, parameters.listLength)),
                allowed: "at least 1")
        }
        guard !parameters.halfLives.isEmpty, !parameters.priorCounts.isEmpty,
            !parameters.popularityWeights.isEmpty, !parameters.factorWeights.isEmpty
        else {
            throw .outOfRange(
                what: "values of a setting to try", actual: 0, allowed: "at least one each")
        }
        var rows: [Int] = []
        var sets: [Set<Int32>] = []
        for row in 0..<after.rowCount where !before.baskets(of: row).isEmpty {
            var found = Set(after.columnIndices[after.entries(of: row)])
            if parameters.excludesPurchased {
                for basket in before.baskets(of: row) {
                    found.subtract(before.items[before.entries(of: basket)])
                }
            }
            if found.isEmpty { continue }
            rows.append(row)
            sets.append(found)
        }
        guard !rows.isEmpty else {
            throw .notIdentified(
                model: "hybrid of affinity",
                reason: "no customer bought anything to be found after the split; use a longer "
                    + "history or an earlier split")
        }
        let step = (rows.count + parameters.sampleCount - 1) / parameters.sampleCount
        let kept = stride(from: 0, to: rows.count, by: step).map { $0 }
        held = kept.map { sets[$0] }
        baskets = before.selecting(kept.map { rows[$0] })
        purchased = parameters.excludesPurchased ? baskets.counts : nil
        customerFactors = kept.flatMap { earlier.userFactors[rows[$0] * f..<(rows[$0] + 1) * f] }
        shares = before.itemShares
        repeats = try RepeatPurchase.fit(
            before, RepeatPurchase.Parameters(ratePriorCount: parameters.ratePriorCount))
        gap = before.medianGap
        self.earlier = earlier
        self.parameters = parameters
    }

    func run() throws(ModelError) -> [AffinityHybrid.Trial] {
        var best = AffinityHybrid.Trial(
            halfLife: parameters.halfLives[0] * gap, priorCount: parameters.priorCounts[0],
            popularityWeight: parameters.popularityWeights[0],
            factorWeight: parameters.factorWeights[0])
        var trials: [AffinityHybrid.Trial] = []
        var scores = try self.scores(of: best)
        try trials.append(measured(&best, scores))
        func attempt(_ trial: AffinityHybrid.Trial) throws(ModelError) {
            if trials.contains(where: { $0.isSameSetting(trial) }) { return }
            var trial = trial
            let changesRepeats =
                trial.halfLife != best.halfLife || trial.priorCount != best.priorCount
            let own = changesRepeats ? try self.scores(of: trial) : scores
            try trials.append(measured(&trial, own))
            if trial.ndcg > best.ndcg { (best, scores) = (trial, own) }
        }
        for _ in 0..<2 {
            for weight in parameters.popularityWeights {
                var trial = best
                trial.popularityWeight = weight
                try attempt(trial)
            }
            for weight in parameters.factorWeights {
                var trial = best
                trial.factorWeight = weight
                try attempt(trial)
            }
            if parameters.excludesPurchased { continue }
            for halfLife in parameters.halfLives {
                var trial = best
                trial.halfLife = halfLife * gap
                try attempt(trial)
            }
            for priorCount in parameters.priorCounts {
                var trial = best
                trial.priorCount = priorCount
                try attempt(trial)
            }
        }
        return trials
    }

    private func scores(of trial: AffinityHybrid.Trial) throws(ModelError) -> SparseMatrix? {
        if parameters.excludesPurchased { return nil }
        return try repeats.with(halfLife: trial.halfLife, priorCount: trial.priorCount)
            .scores(baskets, threadCount: parameters.threadCount)
    }

    private func measured(
        _ trial: inout AffinityHybrid.Trial, _ scores: SparseMatrix?
    ) throws(ModelError) -> AffinityHybrid.Trial {
        let lists = try HybridPass(
            customerFactors, earlier.itemFactors, shares, factorCount: earlier.factorCount,
            popularityWeight: trial.popularityWeight, factorWeight: trial.factorWeight
        ).top(
            parameters.listLength, repeats: scores, purchased: purchased, eligible: nil,
            threadCount: parameters.threadCount)
        var means = RankingMeans(k: parameters.listLength)
        for row in held.indices { means.add(lists[row].map(\.item), relevant: held[row]) }
        trial.ndcg = means.summary.ndcg
        return trial
    }
}

extension PurchaseBaskets {
    /// The baskets of some customers, in the order given.
    package func selecting(_ customers: [Int]) -> PurchaseBaskets {
        var (offsets, basketEnds, kept, keptDays) = ([0], [0], [Int32](), [Int32]())
        for customer in customers {
            for basket in baskets(of: customer) {
                kept += items[entries(of: basket)]
                keptDays.append(days[basket])
                basketEnds.append(kept.count)
            }
            offsets.append(keptDays.count)
        }
        return PurchaseBaskets(
            checkedItemCount: itemCount, customerOffsets: offsets, basketOffsets: basketEnds,
            items: kept, days: keptDays)
    }

    /// Median days between a basket and the customer's next, at least 1.
    fileprivate var medianGap: Double {
        // Days of either end of Int32 are further apart than one of them can say.
        var gaps: [Int] = []
        for customer in 0..<customerCount {
            for basket in baskets(of: customer).dropFirst() {
                gaps.append(Int(days[basket]) - Int(days[basket - 1]))
            }
        }
        gaps.sort()
        return gaps.isEmpty ? 1 : max(1, Double(gaps[gaps.count / 2]))
    }
}
