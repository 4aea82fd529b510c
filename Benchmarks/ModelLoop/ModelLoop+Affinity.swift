import Models
import Numerical

extension ModelLoop {
    /// Places of every list.
    private static let listWidth = 20

    /// Lists of every customer from baskets: the most popular products, those that the customer
    /// bought most often and then those, what is bought again, factors fitted to the number of
    /// baskets with each product, and the hybrid, its weights learned on the last basket given.
    ///
    /// FOLDER holds `customer_offsets.npy`, `basket_offsets.npy` (int64), `items.npy`, `days.npy`
    /// (int32) of `PurchaseBaskets`; the lists are written there as `top_<variant>.npy`
    /// `[customers × 20]` int32, -1 where there is none.
    static func affinity(_ arguments: [String]) throws -> [String: Any] {
        let folder = arguments[1]
        let baskets = try basketArrays(folder, itemCount: try integer(arguments[2]))
        let threadCount = try integer(arguments[9])
        let excludesPurchased = try integer(arguments[10]) == 1
        let parameters = ImplicitALS.Parameters(
            factorCount: try integer(arguments[3]), regularization: try number(arguments[4]),
            confidenceWeight: try number(arguments[5]), iterations: try integer(arguments[7]),
            seed: UInt64(try integer(arguments[8])), threadCount: threadCount,
            regularizationExponent: try number(arguments[6]))
        let counts = baskets.counts
        let excluded = excludesPurchased ? counts : nil
        let (fitted, fitSeconds) = try timed {
            try ImplicitALS.fit(counts, parameters, measuresLoss: false)
        }
        let (lists, topSeconds) = try timed {
            try TopN(
                itemFactors: fitted.itemFactors, itemCount: fitted.itemCount,
                factorCount: fitted.factorCount
            ).top(
                listWidth, queryFactors: fitted.userFactors, excluding: excluded,
                threadCount: threadCount)
        }
        try write(lists, "factors", folder)
        let popularity = try TopLists.popular(counts, count: listWidth, excluding: excluded)
        try write(popularity, "popular", folder)
        if !excludesPurchased {
            try write(
                TopLists.personal(counts, count: listWidth, threadCount: threadCount),
                "personal", folder)
        }
        var options = AffinityHybrid.Parameters()
        options.excludesPurchased = excludesPurchased
        options.threadCount = threadCount
        var result: [String: Any] = ["fit_seconds": fitSeconds, "top_seconds": topSeconds]
        result.merge(try foldIn(counts, fitted)) { $1 }
        // The same split of the past for both: only how much factors count differs.
        let (before, last) = baskets.splitBeforeLast()
        let (earlier, earlierSeconds) = try timed {
            try ImplicitALS.fit(before.counts, parameters, measuresLoss: false)
        }
        for (name, weights) in [("hybrid", options.factorWeights), ("repeat", [0])] {
            if name == "repeat" && excludesPurchased { continue }
            options.factorWeights = weights
            let (hybrid, learnSeconds) = try timed {
                try AffinityHybrid.learn(
                    before: before, after: last, earlier: earlier, options
                ).refitted(to: baskets)
            }
            let (lists, seconds) = try timed {
                try hybrid.top(
                    listWidth, customerFactors: fitted.userFactors,
                    itemFactors: fitted.itemFactors, factorCount: fitted.factorCount,
                    baskets: baskets, threadCount: threadCount)
            }
            try write(lists, name, folder)
            if name == "hybrid" {
                result["probability"] = try probability(hybrid, before, last, earlier)
            }
            result["\(name)_learn_seconds"] = learnSeconds + earlierSeconds
            result["\(name)_top_seconds"] = seconds
            result["\(name)_setting"] = [
                "half_life": hybrid.repeats.parameters.halfLife,
                "prior_count": hybrid.repeats.parameters.priorCount,
                "popularity_weight": hybrid.popularityWeight,
                "factor_weight": hybrid.factorWeight,
                "ndcg": hybrid.trials.map(\.ndcg).max() ?? 0,
            ]
        }
        return result
    }

    /// Customers one at a time against the products of a fit.
    private static func foldIn(
        _ counts: SparseMatrix, _ fitted: FittedALS
    ) throws -> [String: Any] {
        let (prepared, seconds) = try timed { try FoldIn(fitted) }
        var scratch = prepared.scratch()
        let (largest, allSeconds) = try timed {
            var largest: Float = 0
            for row in 0..<counts.rowCount {
                let entries = counts.entries(of: row)
                let factors = try prepared.factors(
                    items: Array(counts.columnIndices[entries]),
                    values: Array(counts.values[entries]), &scratch)
                for factor in factors { largest = max(largest, abs(factor)) }
            }
            return largest
        }
        return [
            "fold_in_preparation_seconds": seconds, "largest_folded_factor": Double(largest),
            "fold_in_microseconds": allSeconds / Double(max(1, counts.rowCount)) * 1e6,
        ]
    }

    /// How true the probabilities of the lists of ten are for customers that they were not learned on.
    private static func probability(
        _ hybrid: AffinityHybrid, _ before: PurchaseBaskets, _ last: SparseMatrix,
        _ earlier: FittedALS
    ) throws -> [String: Double] {
        let lists = try hybrid.refitted(to: before).top(
            10, customerFactors: earlier.userFactors, itemFactors: earlier.itemFactors,
            factorCount: earlier.factorCount, baskets: before, threadCount: 1)
        let heldOut = try PurchaseProbability.fit(lists, bought: last, horizonDays: 1).heldOut
        return [
            "candidates": Double(heldOut.rowCount), "mean_predicted": heldOut.meanPredicted,
            "observed": heldOut.observedShare, "calibration_error": heldOut.calibrationError,
            "auc": heldOut.areaUnderROC ?? 0,
        ]
    }

    private static func basketArrays(
        _ folder: String, itemCount: Int
    ) throws -> PurchaseBaskets {
        func offsets(_ name: String) throws -> [Int] {
            try NumPyFile("\(folder)/\(name).npy").values(Int64.self, kind: "<i8").map(Int.init)
        }
        func column(_ name: String) throws -> [Int32] {
            try NumPyFile("\(folder)/\(name).npy").values(Int32.self, kind: "<i4")
        }
        return try PurchaseBaskets(
            itemCount: itemCount, customerOffsets: try offsets("customer_offsets"),
            basketOffsets: try offsets("basket_offsets"), items: try column("items"),
            days: try column("days"))
    }

    private static func write(_ lists: TopLists, _ variant: String, _ folder: String) throws {
        try NumPyFile.write(
            lists.items, shape: [lists.queryCount, lists.width], kind: "<i4",
            to: "\(folder)/top_\(variant).npy")
    }
}
