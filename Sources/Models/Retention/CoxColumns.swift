import Foundation
import Numerical

/// A covariate that a Cox regression cannot use, and why.
package struct OmittedColumn: Codable, Equatable, Sendable, CustomStringConvertible {
    package enum Reason: String, Codable, Sendable {
        /// One value in all rows.
        case constant
        /// One value among the rows at risk at each event (within each stratum).
        case constantAtRisk
        /// A linear combination of others, as far as the likelihood can see.
        case collinear
    }

    package let name: String
    package let reason: Reason
    /// The others of the combination, in the order of the columns; empty unless collinear.
    package let with: [String]

    package var description: String {
        switch reason {
        case .constant: "column \"\(name)\" is constant; leave it out"
        case .constantAtRisk:
            "column \"\(name)\" is constant among the rows at risk at each event; leave it out"
        case .collinear:
            "columns \(([name] + with).map { "\"\($0)\"" }.joined(separator: ", ")) are collinear; "
                + "leave out one of them"
        }
    }

    /// A pivot of the information matrix below this share of its diagonal element is rounding.
    private static let tolerance = 1e-9

    /// Splits the columns of a design by the information matrix at coefficients of 0, which is
    /// singular for exactly the combinations that the partial likelihood cannot tell apart.
    static func find(
        _ design: CoxDesign, information: [Double], allowsCollinear: Bool
    ) -> (free: [Int], omitted: [OmittedColumn]) {
        let p = design.columnCount
        let names = design.columnNames
        // A column of standard deviation 1 that varies at risk has about its share of the events.
        let floor = 1e-11 * design.totalEventWeight
        let varying = (0..<p).filter { information[$0 * p + $0] > floor }
        var omitted = (0..<p).filter { information[$0 * p + $0] <= floor }.map {
            OmittedColumn(name: names[$0], reason: .constantAtRisk, with: [])
        }
        guard !allowsCollinear else { return (varying, omitted) }
        let matrix = varying.map { row in varying.map { information[row * p + $0] } }
        let factor = PivotedCholesky(matrix, tolerance: tolerance)
        for row in varying.indices where !factor.accepted.contains(row) {
            let parts = zip(factor.accepted, factor.combination(of: row)).filter { other, part in
                abs(part) * (matrix[other][other] / matrix[row][row]).squareRoot() > 1e-5
            }
            omitted.append(
                OmittedColumn(
                    name: names[varying[row]], reason: .collinear,
                    with: parts.map { varying[$0.0] }.sorted().map { names[$0] }))
        }
        return (factor.accepted.sorted().map { varying[$0] }, omitted)
    }
}

/// Whether the likelihood rises for ever in some direction of the coefficients, because at every
/// event the row with the event has the largest value in that direction of all rows at risk.
/// Source: Bryson & Johnson, "The Incidence of Monotone Likelihood in the Cox Model", 1981.
struct CoxSeparation {
    let design: CoxDesign

    init(_ design: CoxDesign) { self.design = design }

    /// The columns that separate by themselves, exactly. Most are told apart from these at the
    /// last few events, so this costs next to nothing.
    func columnNames(among free: [Int]) -> [String] {
        let p = design.columnCount
        return free.filter { column in
            isMonotone(slack: 0) { design.values[$0 * p + column] }
                || isMonotone(slack: 0) { -design.values[$0 * p + column] }
        }.map { design.columnNames[$0] }
    }

    /// The columns of a direction along which a fit ran away; empty where there is a maximum.
    func columnNames(
        of optimum: CoxFit.Optimum, null: CoxLikelihood.Evaluation, free: [Int]
    ) -> [String] {
        guard let direction = flatDirection(optimum, null, free) else { return [] }
        let p = design.columnCount
        var low = Double.infinity
        var high = -Double.infinity
        var heights: [Double] = []
        heights.reserveCapacity(design.rowCount)
        for row in 0..<design.rowCount {
            var height = 0.0
            for column in free { height += design.values[row * p + column] * direction[column] }
            low = min(low, height)
            high = max(high, height)
            heights.append(height)
        }
        // The direction is known up to what little information is left along it.
        guard isMonotone(slack: 1e-3 * (high - low), height: { heights[$0] }) else { return [] }
        return free.filter { abs(direction[$0]) > 0.01 * (direction.map(abs).max() ?? 0) }
            .map { design.columnNames[$0] }
    }

    /// The part of the coefficients along which the information has all but vanished in
    /// comparison with that at 0; nil where it has not.
    private func flatDirection(
        _ optimum: CoxFit.Optimum, _ null: CoxLikelihood.Evaluation, _ free: [Int]
    ) -> [Double]? {
        let p = design.columnCount
        let size = free.count
        func restricted(_ information: [Double]) -> SymmetricMatrix {
            var matrix = SymmetricMatrix(size: size)
            for i in 0..<size {
                for j in 0...i { matrix[i, j] = information[free[i] * p + free[j]] }
            }
            return matrix
        }
        // In the eigenbasis of the information at 0, scaled to 1 there.
        let (values, vectors) = restricted(null.information).eigenDecomposition()
        guard values.allSatisfy({ $0 > 0 }) else { return nil }
        let scaled = zip(values, vectors).map { value, vector in
            vector.map { $0 / value.squareRoot() }
        }
        let information = restricted(optimum.evaluation.information)
        let images = scaled.map { axis in
            (0..<size).map { k in
                (0..<size).reduce(0.0) { $0 + information[k, $1] * axis[$1] }
            }
        }
        var relative = SymmetricMatrix(size: size)
        for i in 0..<size {
            for j in 0...i {
                relative[i, j] = zip(scaled[i], images[j]).reduce(0) { $0 + $1.0 * $1.1 }
            }
        }
        let (shares, axes) = relative.eigenDecomposition()
        // Coefficients in that basis: β = Σ c_i scaled_i, so c_i = value_i scaled_i · β.
        let point = free.map { optimum.coefficients[$0] }
        let components = (0..<size).map { i in
            values[i] * zip(scaled[i], point).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var direction = [Double](repeating: 0, count: p)
        for (share, axis) in zip(shares, axes) where share < 1e-5 {
            let along = zip(axis, components).reduce(0) { $0 + $1.0 * $1.1 }
            for i in 0..<size {
                for k in 0..<size { direction[free[k]] += along * axis[i] * scaled[i][k] }
            }
        }
        return direction.contains { $0 != 0 } ? direction : nil
    }

    /// Whether at every event the row with the event is at the top, up to `slack`.
    private func isMonotone(slack: Double, height: (Int) -> Double) -> Bool {
        // Rows at risk with the largest height on top; those not yet entered are dropped when
        // they come up, since no earlier group has them either.
        var heap = RowHeap()
        for group in (0..<design.groupCount).reversed() {
            if design.isLastOfStratum(group) { heap.removeAll() }
            for row in design.rows(ofGroup: group) { heap.insert(row, height: height(row)) }
            while let top = heap.top, Int(design.entryGroupOfRow?[top.row] ?? -1) >= group {
                heap.removeTop()
            }
            guard let top = heap.top else { continue }
            let start = design.groupOffsets[group]
            for row in start..<start + Int(design.eventCounts[group])
            where height(row) < top.height - slack {
                return false
            }
        }
        return true
    }
}

/// Rows with the largest height on top.
private struct RowHeap {
    private var items: [(row: Int, height: Double)] = []

    var top: (row: Int, height: Double)? { items.first }

    mutating func removeAll() { items.removeAll(keepingCapacity: true) }

    mutating func insert(_ row: Int, height: Double) {
        items.append((row, height))
        var child = items.count - 1
        while child > 0, items[child].height > items[(child - 1) / 2].height {
            items.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeTop() {
        guard let last = items.popLast(), !items.isEmpty else { return }
        items[0] = last
        var parent = 0
        while true {
            var best = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < items.count && items[child].height > items[best].height {
                best = child
            }
            if best == parent { return }
            items.swapAt(parent, best)
            parent = best
        }
    }
}
