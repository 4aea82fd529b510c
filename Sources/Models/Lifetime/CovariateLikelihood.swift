import Foundation
package import Numerical

/// The log-likelihood of a model of repeat purchases whose parameters covariates shift, with its
/// gradient and Hessian.
///
/// The logarithms of a group's parameters are linear in the point: ln θ_g = J_g η. So the gradient is
/// Σ J_gᵀ ∇_g and the Hessian Σ J_gᵀ H_g J_g with those of the model without covariates at θ_g.
package struct CovariateLikelihood: Sendable {
    /// How one parameter of the model is shifted.
    struct Shift: Sendable {
        /// Of the model's parameters.
        let parameter: Int
        /// −1 where a larger covariate makes the parameter smaller.
        let sign: Double
        /// Of the design.
        let columns: Range<Int>
        /// The first of its coefficients in the point.
        let offset: Int
    }

    let kind: PurchaseModelKind
    let design: CovariateDesign
    let threadCount: Int
    let shifts: [Shift]
    /// Values of the point: the logarithms of the model's parameters, then the coefficients.
    package let size: Int
    private let maximumCount: Int
    /// Of a day, with the oldest age as the unit.
    private let day: Double

    static let parameterCount = 4
    private static let chunkRows = 512
    /// Beyond this logarithm no parameter is tried.
    private static let largestLogarithm = 40.0

    /// - Precondition: `kind` is not `nbd`; the design has rows, and one observed for a day.
    package init(_ kind: PurchaseModelKind, _ design: CovariateDesign, threadCount: Int) {
        self.kind = kind
        self.design = design
        self.threadCount = threadCount
        maximumCount = Int(design.x.max() ?? 0)
        day = 1 / Double(design.merged.maximumObservedAgeDays)
        let purchase = 0..<design.purchaseCount
        let dropOut = design.purchaseCount..<design.columnCount
        var shifts: [Shift] = []
        var offset = Self.parameterCount
        func add(_ parameter: Int, _ sign: Double, _ columns: Range<Int>) {
            shifts.append(
                Shift(parameter: parameter, sign: sign, columns: columns, offset: offset))
            offset += columns.count
        }
        add(1, -1, purchase)
        if kind == .paretonbd {
            add(3, -1, dropOut)
        } else {
            add(2, 1, dropOut)
            add(3, 1, dropOut)
        }
        self.shifts = shifts
        size = offset
    }

    /// - Parameter point: ln of the parameters at the means of the covariates, on scaled time, then
    ///   the coefficients of the standardised covariates.
    package func negativeMean(_ point: [Double]) -> ObjectiveEvaluation {
        let ofR = GammaDifferences(argument: exp(point[0]), maximumCount: maximumCount)
        let parts = parallelMap(
            count: design.x.count, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, range in
            var sum = zero
            var row = range.lowerBound
            while row < range.upperBound {
                let group = Int(design.groupOfRow[row])
                let end = min(range.upperBound, design.groupOffsets[group + 1])
                add(row..<end, group, point, ofR, &sum)
                row = end
            }
            return sum
        }
        var whole = zero
        for part in parts {
            whole.value += part.value
            for i in 0..<size {
                whole.gradient[i] += part.gradient[i]
                for j in 0...i { whole.hessian[i, j] += part.hessian[i, j] }
            }
        }
        let customers = Double(design.merged.totalCustomerCount)
        whole.value /= -customers
        for i in 0..<size {
            whole.gradient[i] /= -customers
            for j in 0...i { whole.hessian[i, j] /= -customers }
        }
        return whole
    }

    private var zero: ObjectiveEvaluation {
        ObjectiveEvaluation(
            value: 0, gradient: [Double](repeating: 0, count: size),
            hessian: SymmetricMatrix(size: size))
    }

    private func add(
        _ rows: Range<Int>, _ group: Int, _ point: [Double], _ ofR: GammaDifferences,
        _ sum: inout ObjectiveEvaluation
    ) {
        // The derivatives of each logarithm by the point: 1 by its own, a covariate by a coefficient.
        var logarithms = Array(point.prefix(Self.parameterCount))
        var loadings = (0..<Self.parameterCount).map { [(index: $0, value: 1.0)] }
        for shift in shifts {
            for (place, column) in shift.columns.enumerated() {
                let value = shift.sign * design.values[group * design.columnCount + column]
                logarithms[shift.parameter] += value * point[shift.offset + place]
                loadings[shift.parameter].append((shift.offset + place, value))
            }
        }
        guard logarithms.allSatisfy({ abs($0) <= Self.largestLogarithm }) else {
            sum.value = .nan
            return
        }
        let theta = logarithms.map { exp($0) }
        var natural = LikelihoodSums()
        switch kind {
        case .bgnbd: addBGNBD(rows, theta, .standard, ofR, &natural)
        case .mbgnbd: addBGNBD(rows, theta, .modified, ofR, &natural)
        case .paretonbd: addParetoNBD(rows, theta, ofR, &natural)
        case .nbd: preconditionFailure("NBD takes no covariates")
        }
        let (gradient, hessian) = natural.byLogarithms(of: theta)
        sum.value += natural.value
        for i in 0..<Self.parameterCount {
            for one in loadings[i] {
                sum.gradient[one.index] += gradient[i] * one.value
                for j in 0..<Self.parameterCount {
                    for other in loadings[j] where other.index <= one.index {
                        sum.hessian[one.index, other.index] +=
                            hessian[i, j] * one.value * other.value
                    }
                }
            }
        }
    }

    private func addBGNBD(
        _ rows: Range<Int>, _ theta: [Double], _ variant: BGNBD.Variant, _ ofR: GammaDifferences,
        _ sum: inout LikelihoodSums
    ) {
        let (r, alpha, a, b) = (theta[0], theta[1], theta[2], theta[3])
        // Rows of a group ascend by x.
        let count = Int(design.x[rows.upperBound - 1]) + variant.earlierChances
        let ofB = GammaDifferences(argument: b, maximumCount: count)
        let ofSum = GammaDifferences(argument: a + b, maximumCount: count)
        let start = TimeTerm(alpha: alpha, time: 0)
        func terms(_ x: Int) -> BGNBDLikelihood.CountTerms {
            BGNBDLikelihood.CountTerms(
                x: x, variant.earlierChances, r: r, a: a, b: b, ofR, ofB, ofSum)
        }
        var ofCount = terms(Int(design.x[rows.lowerBound]))
        for row in rows {
            let x = Int(design.x[row])
            if x != ofCount.x { ofCount = terms(x) }
            BGNBDLikelihood.add(
                ofCount, start: start,
                last: TimeTerm(alpha: alpha, time: Double(design.tx[row]) * day),
                end: TimeTerm(alpha: alpha, time: Double(design.age[row]) * day),
                weight: design.weights[row], r: r, &sum)
        }
    }

    private func addParetoNBD(
        _ rows: Range<Int>, _ theta: [Double], _ ofR: GammaDifferences, _ sum: inout LikelihoodSums
    ) {
        let (alpha, beta) = (theta[1], theta[3])
        let terms = ParetoNBDLikelihood.Terms(r: theta[0], alpha: alpha, s: theta[2], beta: beta)
        let (startA, startB) = (TimeTerm(alpha: alpha, time: 0), TimeTerm(alpha: beta, time: 0))
        for row in rows {
            let x = Int(design.x[row])
            let (tx, age) = (Double(design.tx[row]) * day, Double(design.age[row]) * day)
            terms.add(
                x: x, tx: tx, idle: Double(design.age[row] - design.tx[row]) * day,
                weight: design.weights[row], (ofR.value(x), ofR.first(x), ofR.second(x)),
                ofAlpha: (
                    startA, TimeTerm(alpha: alpha, time: tx), TimeTerm(alpha: alpha, time: age)
                ),
                ofBeta: (
                    startB, TimeTerm(alpha: beta, time: tx), TimeTerm(alpha: beta, time: age)
                ), &sum)
        }
    }
}
