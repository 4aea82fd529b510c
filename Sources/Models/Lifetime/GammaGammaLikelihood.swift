import Foundation
package import Numerical

/// The Gamma-Gamma log-likelihood with gradient and Hessian in (p, q, v), on order values divided
/// by their mean.
///
/// For a customer with x repeat orders of mean value m:
///   ln L = lnΓ(px+q) − lnΓ(px) − lnΓ(q) + q ln v + (px−1) ln m + px ln x − (px+q) ln(v + x m).
/// Customers are grouped by x: special functions and sums of ln m are a group's; a customer costs
/// one logarithm and one division. Source: Fader & Hardie, "The Gamma-Gamma Model of Monetary
/// Value", 2013, eq. 1a.
package struct GammaGammaLikelihood: Sendable {
    private struct Group: Sendable {
        let x: Double
        var customers = 0.0
        var logMeanSum = 0.0
    }

    private let groups: [Group]
    /// x and x · m of every customer.
    private let counts: [Double]
    private let totals: [Double]
    private let threadCount: Int

    private static let chunkRows = 8_192

    var customerCount: Int { counts.count }

    /// - Precondition: at least one customer; all x >= 1, all m above 0.
    package init(counts x: [Int32], means m: [Double], threadCount: Int) {
        precondition(!x.isEmpty && x.count == m.count)
        var byCount: [Int32: Group] = [:]
        for (x, m) in zip(x, m) {
            byCount[x, default: Group(x: Double(x))].customers += 1
            byCount[x]?.logMeanSum += log(m)
        }
        groups = byCount.sorted { $0.key < $1.key }.map(\.value)
        counts = x.map(Double.init)
        totals = zip(x, m).map { Double($0) * $1 }
        self.threadCount = threadCount
    }

    private struct Sums: Sendable {
        var log0 = 0.0, log1 = 0.0
        var inverse0 = 0.0, inverse1 = 0.0
        var square0 = 0.0, square1 = 0.0
    }

    /// The negative mean log-likelihood a customer, by natural parameters.
    func negativeMean(p: Double, q: Double, v: Double) -> ObjectiveEvaluation {
        let counts = counts
        let totals = totals
        let partials = parallelMap(
            count: counts.count, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            var sums = Sums()
            for row in rows {
                let x = counts[row]
                let scale = v + totals[row]
                let logarithm = log(scale)
                let inverse = 1 / scale
                sums.log0 += logarithm
                sums.log1 += x * logarithm
                sums.inverse0 += inverse
                sums.inverse1 += x * inverse
                sums.square0 += inverse * inverse
                sums.square1 += x * inverse * inverse
            }
            return sums
        }
        var s = Sums()
        for part in partials {
            s.log0 += part.log0
            s.log1 += part.log1
            s.inverse0 += part.inverse0
            s.inverse1 += part.inverse1
            s.square0 += part.square0
            s.square1 += part.square1
        }
        let n = Double(counts.count)
        let logV = log(v)
        var value = n * (q * logV - lnGamma(q)) - p * s.log1 - q * s.log0
        var gp = -s.log1
        var gq = n * (logV - digamma(q)) - s.log0
        let gv = n * q / v - p * s.inverse1 - q * s.inverse0
        var hpp = 0.0
        var hpq = 0.0
        var hqq = -n * trigamma(q)
        for group in groups {
            let px = p * group.x
            let (x, w) = (group.x, group.customers)
            let digammaSum = digamma(px + q)
            let trigammaSum = trigamma(px + q)
            value +=
                w * (lnGamma(px + q) - lnGamma(px) + px * log(x)) + (px - 1) * group.logMeanSum
            gp += w * x * (digammaSum - digamma(px) + log(x)) + x * group.logMeanSum
            gq += w * digammaSum
            hpp += w * x * x * (trigammaSum - trigamma(px))
            hpq += w * x * trigammaSum
            hqq += w * trigammaSum
        }
        var hessian = SymmetricMatrix(size: 3)
        hessian[0, 0] = -hpp / n
        hessian[1, 0] = -hpq / n
        hessian[1, 1] = -hqq / n
        hessian[2, 0] = s.inverse1 / n
        hessian[2, 1] = -(n / v - s.inverse0) / n
        hessian[2, 2] = -(-n * q / (v * v) + p * s.square1 + q * s.square0) / n
        return ObjectiveEvaluation(
            value: -value / n, gradient: [-gp / n, -gq / n, -gv / n], hessian: hessian)
    }

    /// The same in (ln p, ln q, ln v).
    package func inLogParameters(_ point: [Double]) -> ObjectiveEvaluation {
        let theta = point.map(exp)
        let natural = negativeMean(p: theta[0], q: theta[1], v: theta[2])
        return natural.transformed(
            jacobian: (0..<3).map { i in (0..<3).map { $0 == i ? theta[i] : 0 } },
            curvature: { i, j in (0..<3).map { $0 == i && i == j ? theta[i] : 0 } })
    }

    /// The same in (ln p, ln(q − 1)) with v = M (q − 1) / p, which fixes the population mean at M.
    package func withPopulationMean(_ mean: Double, _ point: [Double]) -> ObjectiveEvaluation {
        let p = exp(point[0])
        let excess = exp(point[1])
        let v = mean * excess / p
        let natural = negativeMean(p: p, q: 1 + excess, v: v)
        return natural.transformed(
            jacobian: [[p, 0, -v], [0, excess, v]],
            curvature: { i, j in
                [i == 0 && j == 0 ? p : 0, i == 1 && j == 1 ? excess : 0, i == j ? v : -v]
            })
    }
}

extension ObjectiveEvaluation {
    /// The evaluation in new parameters.
    /// - Parameters:
    ///   - jacobian: row i holds the derivatives of all old parameters by new parameter i.
    ///   - curvature: second derivatives of all old parameters by new parameters i and j.
    func transformed(
        jacobian: [[Double]], curvature: (Int, Int) -> [Double]
    ) -> ObjectiveEvaluation {
        let size = jacobian.count
        let old = gradient.count
        var newGradient = [Double](repeating: 0, count: size)
        var newHessian = SymmetricMatrix(size: size)
        for i in 0..<size {
            for k in 0..<old { newGradient[i] += jacobian[i][k] * gradient[k] }
            for j in 0...i {
                let bend = curvature(i, j)
                var sum = 0.0
                for k in 0..<old {
                    sum += bend[k] * gradient[k]
                    for l in 0..<old { sum += jacobian[i][k] * hessian[k, l] * jacobian[j][l] }
                }
                newHessian[i, j] = sum
            }
        }
        return ObjectiveEvaluation(value: value, gradient: newGradient, hessian: newHessian)
    }
}
