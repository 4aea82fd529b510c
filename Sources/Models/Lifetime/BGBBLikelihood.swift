import Foundation
import Numerical

/// The BG/BB log-likelihood of cells with its gradient and Hessian in (ln α, ln β, ln γ, ln δ).
///
/// A customer with x transactions in n periods, the last in period t_x, was alive for m = t_x, …, n
/// periods; the likelihood is the sum over m of B(α+x, β+m−x)/B(α, β), the chance of these
/// transactions in m periods alive, times the chance of that life: B(γ+1, δ+m)/B(γ, δ) for m < n,
/// B(γ, δ+n)/B(γ, δ) for m = n. All terms are positive, and every logarithm is a sum of a table of
/// lnΓ(z + k) − lnΓ(z), so nothing cancels.
/// Source: Fader, Hardie & Shang, Marketing Science 2010, eq. 6.
struct BGBBLikelihood: Sendable {
    let history: OpportunityHistory
    let threadCount: Int

    private static let chunkCells = 64

    /// Differences of lnΓ, ψ and ψ′ at the four arguments of the model.
    struct Tables: Sendable {
        let gamma: Double
        let ofAlpha: GammaDifferences
        let ofBeta: GammaDifferences
        let ofBuying: GammaDifferences
        let ofDelta: GammaDifferences
        let ofDropout: GammaDifferences

        init(
            alpha: Double, beta: Double, gamma: Double, delta: Double, maximumCount: Int
        ) {
            self.gamma = gamma
            let count = maximumCount + 1
            ofAlpha = GammaDifferences(argument: alpha, maximumCount: count)
            ofBeta = GammaDifferences(argument: beta, maximumCount: count)
            ofBuying = GammaDifferences(argument: alpha + beta, maximumCount: count)
            ofDelta = GammaDifferences(argument: delta, maximumCount: count)
            ofDropout = GammaDifferences(argument: gamma + delta, maximumCount: count)
        }

        /// ln of the term of m periods alive, without the factor of α and x alone.
        func term(alive m: Int, x: Int, n: Int) -> Double {
            let buying = ofBeta.value(m - x) - ofBuying.value(m)
            return m < n
                ? buying + log(gamma) + ofDelta.value(m) - ofDropout.value(m + 1)
                : buying + ofDelta.value(n) - ofDropout.value(n)
        }
    }

    /// The negative mean log-likelihood a customer.
    func negativeMean(_ point: [Double]) -> ObjectiveEvaluation {
        let theta = point.map { exp($0) }
        let tables = Tables(
            alpha: theta[0], beta: theta[1], gamma: theta[2], delta: theta[3],
            maximumCount: history.maximumOpportunities)
        let cells = history.cells
        let partials = parallelMap(
            count: cells.count, chunkSize: Self.chunkCells, threadCount: threadCount
        ) { _, range in
            var sum = LikelihoodSums()
            var logs: [Double] = []
            for index in range { Self.add(cells[index], tables, &logs, &sum) }
            return sum
        }
        return LikelihoodSums.negativeMean(
            partials, at: theta, customers: Double(history.totalCustomerCount))
    }

    /// ln L = ln Σ e^l(m): its gradient is the mean of the terms' gradients with weights e^l / L, its
    /// Hessian the mean of their Hessians plus the spread of their gradients.
    private static func add(
        _ cell: OpportunityHistory.Cell, _ tables: Tables, _ logs: inout [Double],
        _ sum: inout LikelihoodSums
    ) {
        let x = cell.transactionCount
        let n = cell.opportunityCount
        let first = cell.lastTransaction
        logs.removeAll(keepingCapacity: true)
        var largest = -Double.infinity
        for m in first...n {
            let value = tables.term(alive: m, x: x, n: n)
            logs.append(value)
            largest = max(largest, value)
        }
        var total = 0.0
        for value in logs { total += exp(value - largest) }
        let weight = Double(cell.customerCount)
        sum.value += weight * (tables.ofAlpha.value(x) + largest + log(total))

        var mean = (0.0, 0.0, 0.0, 0.0)
        // By α, β, γ, δ: only these second derivatives differ from 0, and αα = αβ but for x.
        var (both, ofBeta, dropout, ofGamma, ofDelta) = (0.0, 0.0, 0.0, 0.0, 0.0)
        var (aa, ab, bb) = (0.0, 0.0, 0.0)
        var (ag, ad, bg, bd) = (0.0, 0.0, 0.0, 0.0)
        var (gg, gd, dd) = (0.0, 0.0, 0.0)
        for (index, value) in logs.enumerated() {
            let m = first + index
            let share = exp(value - largest) / total
            let isGone = m < n
            let periods = isGone ? m + 1 : n
            let buying = tables.ofBuying.first(m)
            let lost = tables.ofDropout.first(periods)
            let a = -buying
            let b = tables.ofBeta.first(m - x) - buying
            let g = (isGone ? 1 / tables.gamma : 0) - lost
            let d = tables.ofDelta.first(m) - lost
            mean.0 += share * a
            mean.1 += share * b
            mean.2 += share * g
            mean.3 += share * d
            both -= share * tables.ofBuying.second(m)
            ofBeta += share * tables.ofBeta.second(m - x)
            dropout -= share * tables.ofDropout.second(periods)
            ofGamma -= isGone ? share / (tables.gamma * tables.gamma) : 0
            ofDelta += share * tables.ofDelta.second(m)
            aa += share * a * a
            ab += share * a * b
            bb += share * b * b
            ag += share * a * g
            ad += share * a * d
            bg += share * b * g
            bd += share * b * d
            gg += share * g * g
            gd += share * g * d
            dd += share * d * d
        }
        let (a, b, g, d) = mean
        sum.g0 += weight * (tables.ofAlpha.first(x) + a)
        sum.g1 += weight * b
        sum.g2 += weight * g
        sum.g3 += weight * d
        sum.h00 += weight * (tables.ofAlpha.second(x) + both + aa - a * a)
        sum.h10 += weight * (both + ab - a * b)
        sum.h11 += weight * (both + ofBeta + bb - b * b)
        sum.h20 += weight * (ag - a * g)
        sum.h21 += weight * (bg - b * g)
        sum.h22 += weight * (dropout + ofGamma + gg - g * g)
        sum.h30 += weight * (ad - a * d)
        sum.h31 += weight * (bd - b * d)
        sum.h32 += weight * (dropout + gd - g * d)
        sum.h33 += weight * (dropout + ofDelta + dd - d * d)
    }
}
