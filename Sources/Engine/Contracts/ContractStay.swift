import Foundation
import Models

/// How long contracts last: curves, tests of groups, and the factors of a Cox regression.
struct ContractStay: Sendable {
    private let table: ContractTable
    private let times: SurvivalTimes
    private let durations: [Double]
    private let curve: KaplanMeierCurve
    private let ticks: [Double]
    private let growing: [GrowingColumn]
    /// Columns that may explain the stay.
    private let columns: [PredictorTable.Column]
    private let threadCount: Int

    /// Columns whose groups are shown.
    private static let shownCount = 3

    init(
        _ table: ContractTable, _ durations: [Double], durationColumn: String, threadCount: Int
    ) throws(ModelError) {
        self.table = table
        self.durations = durations
        self.threadCount = threadCount
        times = try SurvivalTimes(durations: durations, isEvent: table.outcome.labels)
        curve = KaplanMeier.fit(times)
        ticks = Self.ticks(durations)
        let others = table.predictors.columns.filter { $0.name != durationColumn }
        growing = StayGrowth.columns(others, durations)
        let names = Set(growing.map(\.column))
        columns = others.filter { !names.contains($0.name) }
    }

    func report(durationColumn: String) throws(ModelError) -> ContractStayReport {
        let (tests, groups) = try compared()
        var factors: StayFactors?
        var problem: String?
        do throws(ModelError) {
            factors = try StayFactors(
                times, columns, isEvent: table.outcome.labels, threadCount: threadCount)
        } catch {
            // Curves and tests are of use without it.
            problem = error.description
        }
        return ContractStayReport(
            durationColumn: durationColumn, eventCount: table.outcome.labels.count { $0 },
            lastTime: curve.lastTime, times: ticks,
            overall: try told(
                curve, name: "all", rowCount: table.rowCount, horizon: ticks.last),
            tests: tests, groups: groups, factors: factors, factorsProblem: problem,
            growing: growing)
    }

    // MARK: - Curves

    /// About six times: whole years where durations look like months, else 1, 2 or 5 times a power of
    /// ten.
    static func ticks(_ durations: [Double]) -> [Double] {
        let last = durations.max() ?? 0
        guard last > 0 else { return [] }
        var step = 0.0
        if (24...240).contains(last), durations.allSatisfy({ $0 == $0.rounded() }) {
            step = 12 * (last / 72).rounded(.up)
        } else {
            let power = pow(10, log10(last / 6).rounded(.down))
            step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= last / 6 } ?? last
        }
        return (1...12).map { Double($0) * step }.filter { $0 <= last }
    }

    private func told(
        _ curve: KaplanMeierCurve, name: String, rowCount: Int, horizon: Double?
    ) throws(ModelError) -> StayCurve {
        var points: [StayCurve.Point] = []
        for time in ticks where time <= curve.lastTime {
            points.append(
                StayCurve.Point(
                    time: time, atRisk: curve.numberAtRisk(at: time),
                    share: try curve.estimate(at: time)))
        }
        var mean: SurvivalEstimate?
        if let horizon { mean = try curve.restrictedMean(horizon: horizon) }
        return StayCurve(
            name: name, rowCount: rowCount, eventCount: Int(curve.totalEvents),
            median: try curve.quantile(), points: points, mean: mean, meanHorizon: horizon)
    }

    // MARK: - Groups

    private func compared() throws(ModelError) -> ([StayTest], [StayGroups]) {
        var found: [(groups: ContractGroups, test: LogRankTest)] = []
        for column in columns {
            guard let groups = ContractGroups(column), groups.names.count > 1 else { continue }
            let rows = groups.codes.indices.filter { groups.codes[$0] >= 0 }
            do throws(ModelError) {
                let test = try LogRankTest.run(
                    times(of: rows), groups: rows.map { groups.codes[$0] }, names: groups.names)
                found.append((groups, test))
            } catch {
                // At no event are two of its groups at risk: it has nothing to tell.
                guard case .notIdentified = error else { throw error }
            }
        }
        let adjusted = Significance.holm(found.map(\.test.test.pValue))
        let order = found.indices.sorted { a, b in
            (Self.logarithm(found[a].test.test), a) < (Self.logarithm(found[b].test.test), b)
        }
        let tests = order.map {
            StayTest(
                column: found[$0].groups.column, logRank: found[$0].test,
                adjustedPValue: adjusted[$0])
        }
        var shown: [StayGroups] = []
        for index in order.prefix(Self.shownCount) { shown.append(try curves(found[index].groups)) }
        return (tests, shown)
    }

    /// The logarithm of a p-value, also of one too small for a number, which then is that of the tail's
    /// first terms. Source: Abramowitz & Stegun, "Handbook of Mathematical Functions", 6.5.32.
    private static func logarithm(_ test: ChiSquareTest) -> Double {
        guard test.pValue < 1e-290 else { return log(test.pValue) }
        let (a, y) = (Double(test.degreesOfFreedom) / 2, test.statistic / 2)
        return (a - 1) * log(y) - y - lgamma(a) + log1p((a - 1) / y)
    }

    private func times(of rows: [Int]) throws(ModelError) -> SurvivalTimes {
        try SurvivalTimes(
            durations: rows.map { durations[$0] },
            isEvent: rows.map { table.outcome.labels[$0] })
    }

    private func curves(_ groups: ContractGroups) throws(ModelError) -> StayGroups {
        var parts: [(name: String, rowCount: Int, curve: KaplanMeierCurve)] = []
        for (code, name) in groups.names.enumerated() {
            let rows = groups.codes.indices.filter { groups.codes[$0] == code }
            parts.append((name, rows.count, KaplanMeier.fit(try times(of: rows))))
        }
        // One horizon for all, so that the means compare.
        let shortest = parts.map(\.curve.lastTime).min() ?? 0
        let horizon = ticks.last { $0 <= shortest }
        var curves: [StayCurve] = []
        for part in parts {
            curves.append(
                try told(
                    part.curve, name: part.name, rowCount: part.rowCount, horizon: horizon))
        }
        return StayGroups(column: groups.column, curves: curves)
    }
}

/// The contracts by the values of one column.
struct ContractGroups: Sendable, Equatable {
    let column: String
    let names: [String]
    /// Of every row; -1: in no group.
    private(set) var codes: [Int32]

    /// A group of fewer contracts says little.
    private static let leastCount = 10
    private static let mostGroups = 8

    /// Categories by their names, the rarest together; numbers by value where these are few, else by
    /// quarters. The missing are a group where they are ten and more, else in none.
    init?(_ column: PredictorTable.Column) {
        self.column = column.name
        let first: (codes: [Int32], names: [String])
        switch column.values {
        case .categories(let codes, let names): first = (codes, names)
        case .numbers(let values): first = Self.binned(values)
        }
        var counts = [Int](repeating: 0, count: first.names.count)
        var missing = 0
        for code in first.codes {
            if code >= 0 { counts[Int(code)] += 1 } else { missing += 1 }
        }
        let common = counts.indices.filter { counts[$0] >= Self.leastCount }
            .sorted { (-counts[$0], $0) < (-counts[$1], $1) }
        let kept = common.prefix(
            common.count == counts.count && common.count <= Self.mostGroups
                ? Self.mostGroups : Self.mostGroups - 1
        ).sorted()
        var moved = [Int32](repeating: -1, count: counts.count)
        for (code, place) in kept.enumerated() { moved[place] = Int32(code) }
        var names = kept.map { first.names[$0] }
        let rest = counts.indices.filter { !kept.contains($0) }
        if rest.reduce(0, { $0 + counts[$1] }) >= Self.leastCount {
            for place in rest { moved[place] = Int32(names.count) }
            names.append("(others)")
        }
        var missingCode: Int32 = -1
        if missing >= Self.leastCount {
            missingCode = Int32(names.count)
            names.append("(missing)")
        }
        guard !names.isEmpty else { return nil }
        self.names = names
        codes = first.codes.map { $0 < 0 ? missingCode : moved[Int($0)] }
    }

    private static func binned(_ values: [Float]) -> (codes: [Int32], names: [String]) {
        let known = values.filter { !$0.isNaN }.sorted()
        guard let low = known.first, let high = known.last else { return ([], []) }
        let distinct = Set(known)
        let bounds: [Float]
        let names: [String]
        if distinct.count <= 6 {
            bounds = distinct.sorted()
            names = bounds.map { ContractTable.text(Double($0)) }
        } else {
            // The last bound is the highest value; bounds may fall together where values do.
            let quarters = Set((1...3).map { known[$0 * known.count / 4] })
            bounds = quarters.subtracting([high]).sorted() + [high]
            let texts = bounds.map { ContractTable.text(Double($0)) }
            names = bounds.indices.map {
                "\($0 == 0 ? ContractTable.text(Double(low)) : "above " + texts[$0 - 1]) to \(texts[$0])"
            }
        }
        let codes = values.map { value -> Int32 in
            value.isNaN ? -1 : Int32(bounds.firstIndex { value <= $0 } ?? bounds.count - 1)
        }
        return (codes, names)
    }
}

/// Finds columns that pile up over the stay, such as all that was ever paid: they tell how long it was,
/// and a regression of the stay on them says nothing of why.
enum StayGrowth {
    /// A number that is the duration, or the duration times another number, to a correlation of more
    /// than these; a category that leaves less than a fifth of the durations' variance.
    private static let durationLimit = 0.95
    private static let productLimit = 0.99
    private static let categoryLimit = 0.8

    static func columns(
        _ columns: [PredictorTable.Column], _ durations: [Double]
    ) -> [GrowingColumn] {
        let numbers = columns.compactMap { column -> (name: String, values: [Float])? in
            guard case .numbers(let values) = column.values else { return nil }
            return (column.name, values)
        }
        return columns.compactMap { column in
            switch column.values {
            case .numbers(let values):
                let alone = correlation(values) { durations[$0] }
                if abs(alone) > durationLimit {
                    return GrowingColumn(column: column.name, with: nil, correlation: alone)
                }
                var best: GrowingColumn?
                for other in numbers where other.name != column.name {
                    let both = correlation(values) { durations[$0] * Double(other.values[$0]) }
                    if abs(both) > max(productLimit, abs(best?.correlation ?? 0)) {
                        best = GrowingColumn(
                            column: column.name, with: other.name, correlation: both)
                    }
                }
                return best
            case .categories(let codes, let names):
                let share = explainedShare(codes, names.count, durations)
                guard share > categoryLimit else { return nil }
                return GrowingColumn(
                    column: column.name, with: nil, correlation: share.squareRoot())
            }
        }
    }

    /// Of the rows where both are known; 0 where one of them is constant.
    private static func correlation(_ values: [Float], _ other: (Int) -> Double) -> Double {
        var (n, meanX, meanY, xx, xy, yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        for row in values.indices {
            let (x, y) = (Double(values[row]), other(row))
            guard x.isFinite, y.isFinite else { continue }
            n += 1
            let (dx, dy) = (x - meanX, y - meanY)
            meanX += dx / n
            meanY += dy / n
            xx += dx * (x - meanX)
            yy += dy * (y - meanY)
            xy += dx * (y - meanY)
        }
        let scale = (xx * yy).squareRoot()
        return scale > 0 && scale.isFinite ? xy / scale : 0
    }

    /// Share of the durations' variance that lies between categories.
    private static func explainedShare(
        _ codes: [Int32], _ categoryCount: Int, _ durations: [Double]
    ) -> Double {
        let mean = durations.reduce(0, +) / Double(max(1, durations.count))
        var sums = [Double](repeating: 0, count: categoryCount + 1)
        var counts = sums
        var total = 0.0
        for (row, code) in codes.enumerated() {
            let place = code < 0 ? categoryCount : Int(code)
            sums[place] += durations[row] - mean
            counts[place] += 1
            total += (durations[row] - mean) * (durations[row] - mean)
        }
        var between = 0.0
        for place in sums.indices where counts[place] > 0 {
            between += sums[place] * sums[place] / counts[place]
        }
        return total > 0 ? between / total : 0
    }
}
