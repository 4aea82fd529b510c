import Foundation

/// Whether groups of customers have the same survival curve.
/// Source: Mantel, Cancer Chemotherapy Reports 1966; for several groups Kalbfleisch & Prentice,
/// "The Statistical Analysis of Failure Time Data", 1.5.
package struct LogRankTest: Codable, Equatable, Sendable {
    package struct Group: Codable, Equatable, Sendable {
        package let name: String
        package let rowCount: Int
        /// Weighted events.
        package let observed: Double
        /// Events that it would have had at the common hazard.
        package let expected: Double
    }

    package let groups: [Group]
    package let test: ChiSquareTest

    /// Compares the groups. O(count + times × groups²) after one sort; deterministic.
    ///
    /// Weights are frequencies. Groups that were never at risk at an event say nothing and take no
    /// degree of freedom.
    /// - Parameters:
    ///   - groups: one a row, an index of `names`.
    ///   - names: at least two, at most 1,000.
    /// - Throws: `countMismatch`; `outOfRange` for a code without name or too many names;
    ///   `notIdentified` where no event has rows of two groups at risk.
    package static func run(
        _ times: SurvivalTimes, groups: [Int32], names: [String]
    ) throws(ModelError) -> LogRankTest {
        try requireCount(groups.count, times.rowCount, "group codes")
        guard (2...1_000).contains(names.count) else {
            throw .outOfRange(
                what: "log-rank groups", actual: Double(names.count), allowed: "2...1000")
        }
        for (row, group) in groups.enumerated() where !names.indices.contains(Int(group)) {
            throw .outOfRange(
                what: "group code of row \(row)", actual: Double(group),
                allowed: "0...\(names.count - 1)")
        }
        var sums = Sums(times, groups: groups, count: names.count)
        sums.add()
        let difference = zip(sums.observed, sums.expected).map { $0 - $1 }
        let factor = PivotedCholesky(sums.covariance, tolerance: 1e-10)
        guard factor.rank > 0 else {
            throw .notIdentified(
                model: "log-rank test",
                reason: "at no event are rows of two groups at risk")
        }
        return LogRankTest(
            groups: names.indices.map { index in
                Group(
                    name: names[index], rowCount: sums.rowCounts[index],
                    observed: sums.observed[index], expected: sums.expected[index])
            },
            test: ChiSquareTest(
                statistic: factor.quadraticForm(difference), degreesOfFreedom: factor.rank))
    }

    private struct Sums {
        let times: SurvivalTimes
        let groups: [Int32]
        var observed: [Double]
        var expected: [Double]
        var rowCounts: [Int]
        var covariance: [[Double]]
        private var atRisk: [Double]
        private var rowsAtRisk: [Int]

        init(_ times: SurvivalTimes, groups: [Int32], count: Int) {
            self.times = times
            self.groups = groups
            observed = [Double](repeating: 0, count: count)
            expected = observed
            atRisk = observed
            rowCounts = [Int](repeating: 0, count: count)
            rowsAtRisk = rowCounts
            covariance = [[Double]](repeating: observed, count: count)
        }

        private mutating func enter(_ row: Int) {
            atRisk[Int(groups[row])] += times.weight(row)
            rowsAtRisk[Int(groups[row])] += 1
        }

        private mutating func leave(_ row: Int) {
            let group = Int(groups[row])
            rowsAtRisk[group] -= 1
            // Exactly nothing where nobody is left, whatever the rounding of weights.
            atRisk[group] = rowsAtRisk[group] == 0 ? 0 : atRisk[group] - times.weight(row)
        }

        mutating func add() {
            let order = times.order()
            let rows = 0..<UInt32(times.rowCount)
            let late = rows.filter { (times.entries?[Int($0)] ?? 0) > 0 }
            let entering = stableOrder(of: late) { orderedBits(times.entries?[Int($0)] ?? 0) }
            for row in rows {
                rowCounts[Int(groups[Int(row)])] += 1
                if (times.entries?[Int(row)] ?? 0) == 0 { enter(Int(row)) }
            }
            var next = 0
            var start = 0
            var events = [Double](repeating: 0, count: observed.count)
            while start < order.count {
                let time = times.durations[Int(order[start])]
                while next < entering.count, times.entries?[Int(entering[next])] ?? 0 < time {
                    enter(Int(entering[next]))
                    next += 1
                }
                var end = start
                var total = 0.0
                for index in events.indices { events[index] = 0 }
                while end < order.count, times.durations[Int(order[end])] == time {
                    let row = Int(order[end])
                    if times.isEvent[row] {
                        events[Int(groups[row])] += times.weight(row)
                        total += times.weight(row)
                    }
                    end += 1
                }
                if total > 0 { addEvents(events, total: total) }
                for index in start..<end { leave(Int(order[index])) }
                start = end
            }
        }

        private mutating func addEvents(_ events: [Double], total: Double) {
            let n = atRisk.reduce(0, +)
            guard n > 0 else { return }
            // The hypergeometric variance; nothing is open where all at risk have the event.
            let scale = n > 1 ? max(0, total * (n - total) / (n - 1)) : 0
            for i in events.indices {
                let share = atRisk[i] / n
                observed[i] += events[i]
                expected[i] += total * share
                guard share > 0, scale > 0 else { continue }
                for j in 0...i {
                    let other = atRisk[j] / n
                    let term = scale * share * ((i == j ? 1 : 0) - other)
                    covariance[i][j] += term
                    if i != j { covariance[j][i] += term }
                }
            }
        }
    }
}

/// A Cholesky factorisation that takes the largest remaining pivot first and stops where what is
/// left is rounding: the rank of a covariance matrix and which rows depend on which.
/// Source: Higham, "Accuracy and Stability of Numerical Algorithms", 10.3.
struct PivotedCholesky {
    /// The rows taken, in the order taken: a largest independent set.
    private(set) var accepted: [Int] = []
    /// `lower[i]` is the factor's row of every original row, over the accepted ones.
    private var lower: [[Double]]

    var rank: Int { accepted.count }

    /// - Parameters:
    ///   - matrix: square, symmetric, positive semidefinite up to rounding.
    ///   - tolerance: a pivot at most this share of its row's own diagonal element is rounding.
    init(_ matrix: [[Double]], tolerance: Double) {
        let size = matrix.count
        var remaining = (0..<size).map { matrix[$0][$0] }
        lower = [[Double]](repeating: [], count: size)
        while true {
            var best: Int?
            for row in 0..<size where !accepted.contains(row) {
                guard matrix[row][row] > 0, remaining[row] > tolerance * matrix[row][row] else {
                    continue
                }
                // The share, not the size, so that the scale of a row does not matter; the first
                // of equal ones.
                let share = remaining[row] / matrix[row][row]
                if let held = best, share <= remaining[held] / matrix[held][held] * (1 + 1e-9) {
                    continue
                }
                best = row
            }
            guard let pivot = best else { break }
            let root = remaining[pivot].squareRoot()
            let pivotRow = lower[pivot]
            for row in 0..<size {
                if accepted.contains(row) {
                    lower[row].append(0)
                    continue
                }
                var value = matrix[row][pivot]
                for (a, b) in zip(lower[row], pivotRow) { value -= a * b }
                value = row == pivot ? root : value / root
                lower[row].append(value)
                remaining[row] -= value * value
            }
            accepted.append(pivot)
        }
    }

    /// v' A⁻¹ v over the accepted rows.
    func quadraticForm(_ vector: [Double]) -> Double {
        var solved: [Double] = []
        for (position, row) in accepted.enumerated() {
            var value = vector[row]
            for k in 0..<position { value -= lower[row][k] * solved[k] }
            solved.append(value / lower[row][position])
        }
        return solved.reduce(0) { $0 + $1 * $1 }
    }

    /// How much of each accepted row makes up a row that was not accepted: its coefficients in
    /// the order of `accepted`.
    func combination(of row: Int) -> [Double] {
        // lower[row] = Σ c_k lower[accepted[k]]: back substitution in the accepted triangle.
        var coefficients = [Double](repeating: 0, count: rank)
        for k in stride(from: rank - 1, through: 0, by: -1) {
            var value = lower[row][k]
            for later in k + 1..<max(rank, k + 1) {
                value -= coefficients[later] * lower[accepted[later]][k]
            }
            coefficients[k] = value / lower[accepted[k]][k]
        }
        return coefficients
    }
}
