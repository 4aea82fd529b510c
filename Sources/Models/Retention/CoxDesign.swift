import Numerical

/// One covariate with a value a row.
package struct CovariateColumn: Sendable {
    package let name: String
    /// Finite; as many as there are survival rows.
    package let values: [Double]
    /// Columns of one factor are judged together, such as the indicators of one category. The
    /// column's own name where it stands alone.
    package let factor: String

    package init(name: String, values: [Double], factor: String? = nil) {
        self.name = name
        self.values = values
        self.factor = factor ?? name
    }
}

/// The rows of a Cox regression, sorted by (stratum, time) with events first, standardised, and
/// cut into groups of equal time and chunks of groups. Built once; every pass reads it in order.
struct CoxDesign: Sendable {
    let columnNames: [String]
    /// `[rowCount × columnCount]`, row-major: (value − mean) / deviation.
    let values: [Double]
    /// Nil: all 1.
    let weights: [Double]?
    /// Group of every row; groups ascend by (stratum, time).
    let groupOfRow: [Int32]
    /// `[groupCount + 1]`: group g is rows `groupOffsets[g] ..< groupOffsets[g + 1]`.
    let groupOffsets: [Int]
    /// The first rows of a group, so many, are its events.
    let eventCounts: [Int32]
    let groupTimes: [Double]
    let stratumOfGroup: [Int32]
    /// Stratum codes, ascending; strata are numbered in this order.
    let stratumCodes: [Int32]
    /// The last group at or before the row's entry, after which it is at risk; −1 from the start.
    /// Nil where all rows are from the start.
    let entryGroupOfRow: [Int32]?
    /// `[groupCount + 1]` and rows: which rows have that entry group.
    let entryOffsets: [Int]
    let entryRows: [UInt32]
    /// Chunk c is groups `chunkBounds[c] ..< chunkBounds[c + 1]`: about `chunkRows` rows.
    let chunkBounds: [Int]
    let means: [Double]
    let deviations: [Double]
    let totalEventWeight: Double
    let totalWeight: Double
    let eventRowCount: Int

    static let chunkRows = 4_096

    var rowCount: Int { groupOfRow.count }
    var columnCount: Int { means.count }
    var groupCount: Int { groupTimes.count }
    var chunkCount: Int { chunkBounds.count - 1 }

    func weight(_ row: Int) -> Double { weights?[row] ?? 1 }
    func rows(ofGroup group: Int) -> Range<Int> { groupOffsets[group]..<groupOffsets[group + 1] }

    /// The suffix sums of a stratum begin anew at its last group.
    func isLastOfStratum(_ group: Int) -> Bool {
        group + 1 == groupCount || stratumOfGroup[group + 1] != stratumOfGroup[group]
    }

    init(
        _ times: SurvivalTimes, _ columns: [CovariateColumn], _ summaries: [ColumnSummary],
        strata: [Int32]?, threadCount: Int
    ) {
        let order = times.order(strata: strata)
        columnNames = columns.map(\.name)
        means = summaries.map(\.mean)
        deviations = summaries.map(\.deviation)
        weights = times.weights.map { weights in order.map { weights[Int($0)] } }
        values = Self.standardized(columns, summaries, order, threadCount)

        var groupOfRow: [Int32] = []
        var offsets = [0]
        var eventCounts: [Int32] = []
        var groupTimes: [Double] = []
        var stratumOfGroup: [Int32] = []
        var codes: [Int32] = []
        groupOfRow.reserveCapacity(order.count)
        var eventWeight = 0.0
        var weightSum = 0.0
        var eventRows = 0
        for position in order.indices {
            let row = Int(order[position])
            let code = strata?[row] ?? 0
            if codes.last != code { codes.append(code) }
            let stratum = Int32(codes.count - 1)
            let time = times.durations[row] + 0
            if groupTimes.last != time || stratumOfGroup.last != stratum {
                if position > 0 { offsets.append(position) }
                groupTimes.append(time)
                stratumOfGroup.append(stratum)
                eventCounts.append(0)
            }
            groupOfRow.append(Int32(groupTimes.count - 1))
            weightSum += times.weight(row)
            if times.isEvent[row] {
                eventCounts[groupTimes.count - 1] += 1
                eventWeight += times.weight(row)
                eventRows += 1
            }
        }
        offsets.append(order.count)
        self.groupOfRow = groupOfRow
        groupOffsets = offsets
        self.eventCounts = eventCounts
        self.groupTimes = groupTimes
        self.stratumOfGroup = stratumOfGroup
        stratumCodes = codes
        totalEventWeight = eventWeight
        totalWeight = weightSum
        eventRowCount = eventRows

        var bounds = [0]
        for group in groupTimes.indices
        where offsets[group + 1] - offsets[bounds[bounds.count - 1]] >= Self.chunkRows {
            bounds.append(group + 1)
        }
        if bounds.last != groupTimes.count { bounds.append(groupTimes.count) }
        chunkBounds = bounds
        (entryGroupOfRow, entryOffsets, entryRows) = Self.entries(
            times, order, groupOfRow: groupOfRow, groupTimes: groupTimes,
            stratumOfGroup: stratumOfGroup)
    }

    private static func standardized(
        _ columns: [CovariateColumn], _ summaries: [ColumnSummary], _ order: [UInt32],
        _ threadCount: Int
    ) -> [Double] {
        let width = columns.count
        var values = [Double](repeating: 0, count: order.count * width)
        guard width > 0 else { return values }
        parallelFill(
            &values, rowWidth: width, chunkRows: chunkRows, threadCount: threadCount
        ) { rows, slice in
            for (j, column) in columns.enumerated() {
                let (mean, scale) = (summaries[j].mean, 1 / summaries[j].deviation)
                for row in rows {
                    slice[(row - rows.lowerBound) * width + j] =
                        (column.values[Int(order[row])] - mean) * scale
                }
            }
        }
        return values
    }

    private static func entries(
        _ times: SurvivalTimes, _ order: [UInt32], groupOfRow: [Int32], groupTimes: [Double],
        stratumOfGroup: [Int32]
    ) -> ([Int32]?, [Int], [UInt32]) {
        guard let entries = times.entries, entries.contains(where: { $0 > 0 }) else {
            return (nil, [], [])
        }
        var firstGroups: [Int] = []
        for (group, stratum) in stratumOfGroup.enumerated()
        where Int(stratum) == firstGroups.count {
            firstGroups.append(group)
        }
        var entryGroups = [Int32](repeating: -1, count: order.count)
        var offsets = [Int](repeating: 0, count: groupTimes.count + 1)
        for position in order.indices {
            let entry = entries[Int(order[position])]
            guard entry > 0 else { continue }
            let group = Int(groupOfRow[position])
            let first = firstGroups[Int(stratumOfGroup[group])]
            // The last group of the stratum whose time is at or before the entry.
            var low = first
            var high = group
            while low < high {
                let middle = (low + high) / 2
                if groupTimes[middle] <= entry { low = middle + 1 } else { high = middle }
            }
            guard low > first else { continue }
            entryGroups[position] = Int32(low - 1)
            offsets[low] += 1
        }
        for group in groupTimes.indices { offsets[group + 1] += offsets[group] }
        var places = offsets
        var rows = [UInt32](repeating: 0, count: offsets[groupTimes.count])
        for position in order.indices where entryGroups[position] >= 0 {
            let group = Int(entryGroups[position])
            rows[places[group]] = UInt32(position)
            places[group] += 1
        }
        return (entryGroups, offsets, rows)
    }
}

/// What one pass says of a column, before rows are sorted.
struct ColumnSummary: Sendable {
    let mean: Double
    /// Weighted sample standard deviation; 0 where the column is constant.
    let deviation: Double

    /// - Throws: `countMismatch`; `nonFiniteValue` naming the column and the row; `outOfRange`
    ///   where the values are so large that their spread overflows.
    init(
        _ column: CovariateColumn, index: Int, _ times: SurvivalTimes, threadCount: Int
    ) throws(ModelError) {
        let what = "covariate \"\(column.name)\""
        try requireCount(column.values.count, times.rowCount, what)
        struct Part: Sendable {
            var badRow: Int?
            var low = Double.infinity
            var high = -Double.infinity
            var sum = 0.0
            var weight = 0.0
        }
        let values = column.values
        let first = values[0]
        let parts = parallelMap(
            count: values.count, chunkSize: CoxDesign.chunkRows, threadCount: threadCount
        ) { _, rows in
            var part = Part()
            for row in rows {
                let value = values[row]
                if !value.isFinite, part.badRow == nil { part.badRow = row }
                part.low = value < part.low ? value : part.low
                part.high = value > part.high ? value : part.high
                let weight = times.weight(row)
                // From the first value on, so that a large offset costs no digits.
                part.sum += weight * (value - first)
                part.weight += weight
            }
            return part
        }
        for case let row? in parts.map(\.badRow) {
            throw .nonFiniteValue(what: what, row: row, column: index)
        }
        let low = parts.reduce(Double.infinity) { min($0, $1.low) }
        let high = parts.reduce(-Double.infinity) { max($0, $1.high) }
        let weight = parts.reduce(0) { $0 + $1.weight }
        let mean = first + parts.reduce(0) { $0 + $1.sum } / weight
        self.mean = mean
        guard low < high else {
            deviation = 0
            return
        }
        let squares = parallelMap(
            count: values.count, chunkSize: CoxDesign.chunkRows, threadCount: threadCount
        ) { _, rows in
            var sum = 0.0
            for row in rows {
                let distance = values[row] - mean
                sum += times.weight(row) * distance * distance
            }
            return sum
        }
        let total = squares.reduce(0, +)
        deviation = (total / (weight > 1 ? weight - 1 : weight)).squareRoot()
        guard deviation.isFinite, deviation > 0, mean.isFinite else {
            throw .outOfRange(
                what: "spread of \(what)", actual: high - low,
                allowed: "a range whose squares neither overflow nor vanish; rescale the column")
        }
    }
}
