import Numerical

/// Four value tiers on the plane of longevity (observed age) × days since the last purchase.
///
/// The plane is cut into cells; a cell's value is the mean predicted lifetime value of its
/// customers, made non-increasing in days since the last purchase at equal longevity. A
/// customer's tier is that of the cell, so it can be said, and looked up, without any model:
/// "first bought more than 400 days ago, last bought within 20 days: tier 1".
///
/// Tier 1 is the highest value, tier 4 the lowest. Tiers aim at a quarter of the customers each.
/// Cells of equal value are never split: all customers of one value go to the tier in which the
/// middle one of them falls when customers are ranked from the highest value down. A large tie
/// (60 % of customers with no repeat purchase is common) therefore makes tiers of unequal size,
/// reported in `customerCounts`, rather than an arbitrary cut through customers who look alike.
package struct ValueTierModel: Codable, Equatable, Sendable {
    package static let tierCount = 4
    /// Of tiers 1...4.
    package static let names = ["highest value", "high value", "low value", "lowest value"]

    package struct Parameters: Sendable {
        /// Most intervals on each axis; default 12, in 1...64. More give finer cells with fewer
        /// customers in each.
        package var longevityBinCount = 12
        package var sinceLastPurchaseBinCount = 12

        package init() {}
    }

    /// First longevity in days of each interval but the first, ascending; interval i holds
    /// `edges[i - 1] ..< edges[i]`, the first and last are open.
    package let longevityEdges: [Int32]
    /// The same for days since the last purchase.
    package let sinceLastPurchaseEdges: [Int32]
    /// `[longevity interval × days-since interval]`, row-major: predicted value of the cell,
    /// non-increasing along a row. A cell without customers has the value of its neighbour with
    /// the next fewer days since the last purchase.
    package let cellValues: [Double]
    /// Customers of each cell at the fit.
    package let cellCustomerCounts: [Int]
    /// Tier of each cell, 1...4.
    package let cellTiers: [UInt8]
    /// Descending: tier 1 from `cutValues[0]`, tier 2 from `cutValues[1]`, tier 3 from
    /// `cutValues[2]`, tier 4 below it.
    package let cutValues: [Double]
    /// Customers of tiers 1...4 at the fit.
    package let customerCounts: [Int]

    /// Fits cells and cuts. O(count log count); deterministic.
    /// - Parameters:
    ///   - observedAgeDays: longevity T of every customer.
    ///   - daysSinceLastPurchase: T − t_x.
    ///   - predictedValue: lifetime value; expected purchases serve where there is no money.
    ///   - status: rows with a status other than 0 are left out; nil uses all.
    /// - Throws: `countMismatch`; `noRows` without a usable customer; `nonFiniteValue`;
    ///   `outOfRange` for a count of intervals.
    package static func fit(
        observedAgeDays: [Int32], daysSinceLastPurchase: [Int32], predictedValue: [Double],
        status: [UInt8]? = nil, _ parameters: Parameters = Parameters()
    ) throws(ModelError) -> ValueTierModel {
        let count = observedAgeDays.count
        try requireCount(daysSinceLastPurchase.count, count, "days since last purchase")
        try requireCount(predictedValue.count, count, "predicted values")
        if let status { try requireCount(status.count, count, "statuses") }
        for bins in [parameters.longevityBinCount, parameters.sinceLastPurchaseBinCount]
        where !(1...64).contains(bins) {
            throw .outOfRange(what: "tier intervals", actual: Double(bins), allowed: "1...64")
        }
        let rows = (0..<count).filter { status?[$0] ?? 0 == 0 }
        guard !rows.isEmpty else { throw .noRows(model: "value tiers") }
        for row in rows where !predictedValue[row].isFinite {
            throw .nonFiniteValue(what: "predicted value", row: row, column: 0)
        }
        let longevityEdges = quantileEdges(
            rows.map { observedAgeDays[$0] }, binCount: parameters.longevityBinCount)
        let sinceEdges = quantileEdges(
            rows.map { daysSinceLastPurchase[$0] },
            binCount: parameters.sinceLastPurchaseBinCount)
        let width = sinceEdges.count + 1
        let cellCount = (longevityEdges.count + 1) * width
        var sums = [Double](repeating: 0, count: cellCount)
        var counts = [Int](repeating: 0, count: cellCount)
        for row in rows {
            let cell =
                interval(observedAgeDays[row], longevityEdges) * width
                + interval(daysSinceLastPurchase[row], sinceEdges)
            sums[cell] += predictedValue[row]
            counts[cell] += 1
        }
        var values = [Double](repeating: 0, count: cellCount)
        for start in stride(from: 0, to: cellCount, by: width) {
            let cells = start..<start + width
            let row = nonIncreasing(sums: Array(sums[cells]), counts: Array(counts[cells]))
            for (offset, value) in row.enumerated() { values[start + offset] = value }
        }
        return ValueTierModel(
            longevityEdges: longevityEdges, sinceEdges: sinceEdges, values: values,
            counts: counts)
    }

    private init(
        longevityEdges: [Int32], sinceEdges: [Int32], values: [Double], counts: [Int]
    ) {
        let cuts = Self.cuts(values: values, counts: counts)
        let tiers = values.map { value in
            UInt8(1 + cuts.filter { value < $0 }.count)
        }
        var perTier = [Int](repeating: 0, count: Self.tierCount)
        for (tier, count) in zip(tiers, counts) { perTier[Int(tier) - 1] += count }
        self.longevityEdges = longevityEdges
        sinceLastPurchaseEdges = sinceEdges
        cellValues = values
        cellCustomerCounts = counts
        cellTiers = tiers
        cutValues = cuts
        customerCounts = perTier
    }

    /// The tier, 1 (highest) ... 4, of any customer, seen at the fit or not.
    package func tier(observedAgeDays: Int32, daysSinceLastPurchase: Int32) -> UInt8 {
        let row = Self.interval(observedAgeDays, longevityEdges)
        let column = Self.interval(daysSinceLastPurchase, sinceLastPurchaseEdges)
        return cellTiers[row * (sinceLastPurchaseEdges.count + 1) + column]
    }

    /// Tiers of many customers; 0 where the status is not 0.
    /// - Throws: `countMismatch`.
    package func tiers(
        observedAgeDays: [Int32], daysSinceLastPurchase: [Int32], status: [UInt8]? = nil,
        threadCount: Int = 1
    ) throws(ModelError) -> [UInt8] {
        try requireCount(
            daysSinceLastPurchase.count, observedAgeDays.count, "days since last purchase")
        if let status { try requireCount(status.count, observedAgeDays.count, "statuses") }
        return parallelArray(
            count: observedAgeDays.count, chunkRows: 1 << 16, threadCount: threadCount
        ) { rows, slice in
            for row in rows {
                let isOK = status?[row] ?? 0 == 0
                slice[row - rows.lowerBound] =
                    isOK
                    ? tier(
                        observedAgeDays: observedAgeDays[row],
                        daysSinceLastPurchase: daysSinceLastPurchase[row]) : 0
            }
        }
    }

    /// Distinct interval starts near equal counts; no edge below the smallest value, so the first
    /// interval is never empty.
    private static func quantileEdges(_ values: [Int32], binCount: Int) -> [Int32] {
        let sorted = values.sorted()
        var edges: [Int32] = []
        for bin in 1..<max(binCount, 1) + 1 where bin < binCount {
            let edge = sorted[sorted.count * bin / binCount]
            if edge > edges.last ?? sorted[0] { edges.append(edge) }
        }
        return edges
    }

    /// How many edges are at or below `value`.
    private static func interval(_ value: Int32, _ edges: [Int32]) -> Int {
        var low = 0
        var high = edges.count
        while low < high {
            let middle = (low + high) / 2
            if edges[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The non-increasing sequence nearest to the cell means in weighted least squares, by pooling
    /// adjacent violators; empty cells are filled afterwards.
    /// Source: Barlow, Bartholomew, Bremner & Brunk 1972, 1.2.
    private static func nonIncreasing(sums: [Double], counts: [Int]) -> [Double] {
        var pools: [(sum: Double, count: Int, cells: [Int])] = []
        for cell in sums.indices where counts[cell] > 0 {
            pools.append((sums[cell], counts[cell], [cell]))
            while pools.count > 1 {
                let last = pools[pools.count - 1]
                let before = pools[pools.count - 2]
                guard last.sum / Double(last.count) > before.sum / Double(before.count) else {
                    break
                }
                pools.removeLast(2)
                pools.append(
                    (
                        before.sum + last.sum, before.count + last.count,
                        before.cells + last.cells
                    ))
            }
        }
        var values = [Double](repeating: 0, count: sums.count)
        for pool in pools {
            for cell in pool.cells { values[cell] = pool.sum / Double(pool.count) }
        }
        var held = pools.first.map { $0.sum / Double($0.count) } ?? 0
        for cell in values.indices {
            if counts[cell] > 0 { held = values[cell] } else { values[cell] = held }
        }
        return values
    }

    /// The three cut values, descending: cut i is the lowest value of tiers 1...i, or just above
    /// the highest value where these tiers are empty.
    private static func cuts(values: [Double], counts: [Int]) -> [Double] {
        var byValue: [Double: Int] = [:]
        for (value, count) in zip(values, counts) where count > 0 {
            byValue[value, default: 0] += count
        }
        let blocks = byValue.sorted { $0.key > $1.key }
        let total = blocks.reduce(0) { $0 + $1.value }
        var cuts = [Double](
            repeating: (blocks.first?.key ?? 0).nextUp, count: tierCount - 1)
        var before = 0
        for block in blocks {
            // Twice the rank of the block's middle, over twice the total: exact in integers.
            let tier = (2 * before + block.value) * tierCount / (2 * total)
            for cut in cuts.indices where tier <= cut { cuts[cut] = block.key }
            before += block.value
        }
        return cuts
    }
}
