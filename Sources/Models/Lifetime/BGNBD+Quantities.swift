import Foundation
import Numerical

extension FittedBGNBD: PurchaseModel {
    package var name: String { variant.name }
    package var parameters: [(name: String, value: Double)] {
        [("r", r), ("alpha", alpha), ("a", a), ("b", b)]
    }

    /// The probability that the customer has not dropped out by the as-of day. Under BG/NBD 1 for
    /// x = 0: that model lets nobody leave before a repeat purchase, which is why the churn number is
    /// `1 − probabilityOfPurchase` and not this. In 0...1, never NaN.
    package func probabilityAlive(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        let n = chanceCount(x)
        guard n > 0 else { return 1 }
        let shape = r + Double(x)
        let d = log(a / (b + Double(n - 1))) + shape * log((alpha + age) / (alpha + tx))
        // exp overflows to infinity for customers long gone, and 1 / infinity is the right 0.
        return 1 / (1 + exp(d))
    }

    package func aliveScorer(maximumAgeDays: Int) -> any AliveScorer {
        Scorer(
            r: r, a: a, b: b, earlierChances: Double(variant.earlierChances),
            logAges: (0...maximumAgeDays).map { log(alpha + Double($0) / grid.days) })
    }

    private struct Scorer: AliveScorer {
        let r: Double
        let a: Double
        let b: Double
        let earlierChances: Double
        /// ln(α + t) by whole days t.
        let logAges: [Double]

        func fill(
            _ result: inout MutableSpan<Double>, rows: Range<Int>, x: Span<Int32>,
            tx: Span<Int32>, age: Span<Int32>, status: Span<UInt8>
        ) {
            let logAges = logAges.span
            // Exponents of the odds of having dropped out.
            var exponents = [Double](repeating: 0, count: rows.count)
            for (offset, row) in rows.enumerated() where status[row] == 0 {
                exponents[offset] =
                    (r + Double(x[row])) * (logAges[Int(age[row])] - logAges[Int(tx[row])])
            }
            KernelTable.current.exponentials(exponents.span, &result)
            for (offset, row) in rows.enumerated() {
                guard status[row] == 0 else {
                    result[offset] = 0
                    continue
                }
                let chances = Double(x[row]) + earlierChances
                // Odds a / (b+n−1) · e^d; none without a chance to.
                result[offset] =
                    chances > 0 ? 1 / (1 + a / (b + (chances - 1)) * result[offset]) : 1
            }
        }
    }

    /// The drop-out probability of a living customer is Beta(a, b + n) after n chances, and what
    /// follows is a BG/NBD customer's future.
    package func living(x: Int, age: Double) -> FittedBGNBD {
        FittedBGNBD(
            r: r + Double(x), alpha: alpha + age, a: a, b: b + Double(chanceCount(x)), grid: grid)
    }

    private var quadrature: DropoutQuadrature {
        DropoutQuadrature(alpha: a, beta: b + Double(chanceCount(0)), shape: r)
    }

    /// Relative error about 1e-12 (see `DropoutQuadrature`).
    package func purchasesOfNew(horizon: Double) -> Double {
        var quadrature = quadrature
        return quadrature.outlook(
            age: alpha, horizon: horizon, discount: 0
        ).expected
    }

    package func purchasePairsOfNew(horizon: Double) -> Double {
        var quadrature = quadrature
        return quadrature.pairs(age: alpha, horizon: horizon)
    }

    package func discountedPurchasesOfNew(horizon: Double, discount: Double) -> Double {
        var quadrature = quadrature
        return quadrature.outlook(
            age: alpha, horizon: horizon, discount: discount
        ).discounted
    }

    /// 1 − (α/(α+t))^r: while alive the first purchase is a Poisson event.
    package func purchaseProbabilityOfNew(horizon: Double) -> Double {
        precondition(horizon >= 0)
        return -expm1(-r * log1p(horizon / alpha))
    }

    package func survivalOfNew(time: Double) -> Double {
        var quadrature = quadrature
        return quadrature.survival(age: alpha, time: time)
    }

    /// Source: Fader, Hardie & Lee 2005, eq. 8.
    package func probabilityOfNew(count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard horizon > 0 else { return count == 0 ? 1 : 0 }
        let b = b + Double(chanceCount(0))
        let purchases = NegativeBinomial(shape: r, timeOverAlpha: horizon / alpha)
        let logBeta = lnGammaDifference(b, count) - lnGammaDifference(a + b, count)
        let alive = exp(logBeta + purchases.logProbability(count))
        guard count > 0 else { return alive }
        // Dropped out at the count-th purchase: the Poisson part made at least that many.
        return alive + exp(logBeta) * a / (b + Double(count - 1)) * purchases.tail(from: count)
    }

    /// Somebody who never leaves would make as many, and no chance to drop out before the last of
    /// them was taken: B(a, b + count − 1) / B(a, b) times the negative binomial tail.
    package func tailOfNew(from count: Int, horizon: Double) -> Double {
        precondition(count >= 0 && horizon >= 0)
        guard count > 0 else { return 1 }
        guard horizon > 0 else { return 0 }
        let b = b + Double(chanceCount(0))
        let stays = lnGammaDifference(b, count - 1) - lnGammaDifference(a + b, count - 1)
        return exp(stays)
            * NegativeBinomial(shape: r, timeOverAlpha: horizon / alpha).tail(from: count)
    }

    package func aliveOutlooks(
        _ pairs: [(x: Int, ageDays: Int)], _ terms: OutlookTerms, threadCount: Int
    ) -> [AliveOutlook] {
        let counts = Array(Set(pairs.map(\.x))).sorted()
        let quadratures = parallelMap(
            count: counts.count, chunkSize: 8, threadCount: threadCount
        ) { _, range in
            range.map { index in
                DropoutQuadrature(
                    alpha: a, beta: b + Double(chanceCount(counts[index])),
                    shape: r + Double(counts[index]))
            }
        }.flatMap { $0 }
        let quadratureOfCount = Dictionary(uniqueKeysWithValues: zip(counts, quadratures))
        return parallelMap(count: pairs.count, chunkSize: 256, threadCount: threadCount) {
            _, range in
            // One after another for a count: what its quadrature keeps serves its next ages.
            var current: (x: Int, quadrature: DropoutQuadrature)?
            return range.compactMap { index -> AliveOutlook? in
                let x = pairs[index].x
                if current?.x != x { current = quadratureOfCount[x].map { (x, $0) } }
                let age = alpha + Double(pairs[index].ageDays) / grid.days
                let outlook = current?.quadrature.outlook(
                    age: age, horizon: terms.horizon, discount: terms.discount)
                let shape = r + Double(x)
                return outlook.map {
                    AliveOutlook(
                        expectedPurchases: $0.expected, discountedPurchases: $0.discounted,
                        purchaseProbability: -expm1(-shape * log1p(terms.churnHorizon / age)))
                }
            }
        }.flatMap { $0 }
    }
}
