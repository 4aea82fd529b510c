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

    /// For each x, what a living customer will do is a smooth function of ln(α + T): it is bounded for
    /// |Im ln(α + T)| <= π/2, where |1 + pτ| >= 1. Sixteen values an octave tell all ages in it, with
    /// the relative error of `DropoutQuadrature`, about 1e-12.
    package func aliveOutlooks(
        _ pairs: [(x: Int, ageDays: Int)], _ terms: OutlookTerms, threadCount: Int
    ) -> [AliveOutlook] {
        let ages = pairs.map { alpha + Double($0.ageDays) / grid.days }
        var curveKeys = UniqueKeys()
        var counts = UniqueKeys()
        var curves: [(count: Int, octave: Int)] = []
        let codes = pairs.indices.map { index in
            let octave = OctaveCurve.octave(of: ages[index])
            let key = UInt64(pairs[index].x) << 16 | UInt64(UInt16(bitPattern: Int16(octave)))
            let code = curveKeys.insert(key)
            if Int(code) == curves.count {
                curves.append((Int(counts.insert(UInt64(pairs[index].x))), octave))
            }
            return code
        }
        let xs = counts.keys
        let quadratures = parallelMap(count: xs.count, chunkSize: 1, threadCount: threadCount) {
            index, _ in
            DropoutQuadrature(
                alpha: a, beta: b + Double(chanceCount(Int(xs[index]))),
                shape: r + Double(xs[index]))
        }
        let places = curves
        let outlooks = parallelMap(count: places.count, chunkSize: 1, threadCount: threadCount) {
            index, _ in
            var quadrature = quadratures[places[index].count]
            let shape = r + Double(xs[places[index].count])
            return OutlookCurves(
                OctaveCurve.places(in: places[index].octave).map { age in
                    let outlook = quadrature.outlook(
                        age: age, horizon: terms.horizon, discount: terms.discount)
                    return AliveOutlook(
                        expectedPurchases: outlook.expected,
                        discountedPurchases: outlook.discounted,
                        purchaseProbability: -expm1(-shape * log1p(terms.churnHorizon / age)))
                })
        }
        return parallelMap(count: pairs.count, chunkSize: 2_048, threadCount: threadCount) {
            _, range in
            range.map { outlooks[Int(codes[$0])].outlook(age: ages[$0]) }
        }.flatMap { $0 }
    }
}

/// What living customers of one x will do, by their α + T within an octave.
private struct OutlookCurves: Sendable {
    private let expected: OctaveCurve
    private let discounted: OctaveCurve
    private let probability: OctaveCurve

    /// - Parameter outlooks: at the places of the octave.
    init(_ outlooks: [AliveOutlook]) {
        expected = OctaveCurve(outlooks.map(\.expectedPurchases))
        discounted = OctaveCurve(outlooks.map(\.discountedPurchases))
        probability = OctaveCurve(outlooks.map(\.purchaseProbability))
    }

    /// - Parameter age: α + T, in the octave.
    func outlook(age: Double) -> AliveOutlook {
        let position = OctaveCurve.Position(of: age)
        let expected = max(0, expected.value(at: position))
        return AliveOutlook(
            expectedPurchases: expected,
            discountedPurchases: min(max(0, discounted.value(at: position)), expected),
            purchaseProbability: min(max(0, probability.value(at: position)), 1))
    }
}
