import Foundation
import Numerical

/// What a customer who is alive on the as-of day will do. It depends on x and T only: when the
/// last purchase was tells whether the customer is alive, nothing about the rate.
package struct PurchaseOutlook: Sendable, Equatable {
    /// Expected purchases in the horizon; at least 0.
    package var expectedPurchases: Double
    /// The same with each purchase at time s counting e^(−δ s); at most `expectedPurchases`.
    package var discountedPurchases: Double

    package init(expectedPurchases: Double, discountedPurchases: Double) {
        self.expectedPurchases = expectedPurchases
        self.discountedPurchases = discountedPurchases
    }
}

extension FittedBGNBD {
    /// The probability that the customer has not dropped out by the as-of day. 1 for x = 0: the
    /// model lets nobody leave before a repeat purchase, which is why the churn number is
    /// `1 − probabilityOfPurchase` and not this. In 0...1, never NaN.
    /// - Parameters: as in `logLikelihood`; times in units of `grid`.
    package func probabilityAlive(x: Int, tx: Double, age: Double) -> Double {
        precondition(x >= 0 && tx >= 0 && tx <= age)
        guard x > 0 else { return 1 }
        let shape = r + Double(x)
        let d = log(a / (b + Double(x - 1))) + shape * log((alpha + age) / (alpha + tx))
        // exp overflows to infinity for customers long gone, and 1 / infinity is the right 0.
        return 1 / (1 + exp(d))
    }

    /// Expected purchases in the next `horizon` units of the customer with this history.
    /// Relative error about 1e-12 (see `DropoutQuadrature`). Finite, not negative.
    package func expectedPurchases(
        x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * aliveOutlook(x: x, age: age, horizon: horizon, discount: 0).expectedPurchases
    }

    /// Expected purchases in the next `horizon`, each at time s ahead weighted by e^(−δ s).
    /// - Parameter discount: δ a unit of `grid`, not negative.
    package func discountedPurchases(
        x: Int, tx: Double, age: Double, horizon: Double, discount: Double
    ) -> Double {
        probabilityAlive(x: x, tx: tx, age: age)
            * aliveOutlook(x: x, age: age, horizon: horizon, discount: discount)
            .discountedPurchases
    }

    /// The probability of at least one purchase in the next `horizon` units: the customer must be
    /// alive, and while alive the first purchase is a Poisson event. In 0...1.
    package func probabilityOfPurchase(
        x: Int, tx: Double, age: Double, horizon: Double
    ) -> Double {
        precondition(horizon >= 0)
        return probabilityAlive(x: x, tx: tx, age: age)
            * alivePurchaseProbability(x: x, age: age, horizon: horizon)
    }

    /// The outlook of a living customer; see `PurchaseOutlook`.
    package func aliveOutlook(
        x: Int, age: Double, horizon: Double, discount: Double
    ) -> PurchaseOutlook {
        precondition(x >= 0 && age >= 0 && horizon >= 0 && discount >= 0)
        return DropoutQuadrature(model: self, x: x).outlook(
            age: alpha + age, horizon: horizon, discount: discount,
            timeRule: DropoutQuadrature.timeRule(discountOverHorizon: discount * horizon))
    }

    /// 1 − ((α+T)/(α+T+t))^(r+x).
    func alivePurchaseProbability(x: Int, age: Double, horizon: Double) -> Double {
        -expm1(-(r + Double(x)) * log1p(horizon / (alpha + age)))
    }

    /// E[X(t)]: expected repeat purchases of a random customer in the `time` after the first.
    package func expectedRepeatPurchases(time: Double) -> Double {
        aliveOutlook(x: 0, age: 0, horizon: time, discount: 0).expectedPurchases
    }

    /// P(X(t) = count): the distribution of repeat purchases of a random customer in `time`.
    /// Source: Fader, Hardie & Lee 2005, eq. 8.
    package func probability(ofRepeatPurchases count: Int, time: Double) -> Double {
        precondition(count >= 0 && time >= 0)
        guard time > 0 else { return count == 0 ? 1 : 0 }
        let logQ = -log1p(alpha / time)
        let logZero = -r * log1p(time / alpha)
        let ofR = GammaDifferences(argument: r, maximumCount: count)
        func logNegativeBinomial(_ n: Int) -> Double {
            ofR.value(n) - lnGamma(Double(n) + 1) + logZero + Double(n) * logQ
        }
        let logBeta =
            GammaDifferences(argument: b, maximumCount: count).value(count)
            - GammaDifferences(argument: a + b, maximumCount: count).value(count)
        let alive = exp(logBeta + logNegativeBinomial(count))
        guard count > 0 else { return alive }
        // Dropped out at the count-th purchase: the Poisson part made at least that many.
        var head = 0.0
        for n in 0..<count { head += exp(logNegativeBinomial(n)) }
        var tail = 1 - head
        if head > 0.5 {
            // The subtraction would lose digits: add up the rest, a falling geometric tail.
            tail = 0
            var n = count
            var term = exp(logNegativeBinomial(n))
            while n < count + 10_000_000 {
                tail += term
                let ratio = (r + Double(n)) / Double(n + 1) * exp(logQ)
                term *= ratio
                n += 1
                if ratio < 1 && term < 1e-17 * tail * (1 - ratio) { break }
            }
        }
        return alive + exp(logBeta) * a / (b + Double(count - 1)) * tail
    }
}
