import Numerical

/// How the values of one column become at most 256 bins.
struct ColumnBins: Sendable {
    enum Rule: Sendable {
        /// Bin b holds the values above bound b - 1 and up to bound b; `[valueBinCount - 1]`.
        case bounds([Float])
        /// The bin of every code.
        case codes([UInt8])
    }

    let rule: Rule
    /// Bins of values; the missing have the one behind them.
    let valueBinCount: Int
    /// Whether a training row has no value.
    let hasMissing: Bool
    /// Of a category column whose categories do not all have a bin: the last of the values, which
    /// holds the rarest.
    let rareBin: Int?

    var binCount: Int { valueBinCount + (hasMissing ? 1 : 0) }
    var missingBin: Int { valueBinCount }

    /// Rows that a column's bounds are found from.
    static let sampleCount = 200_000

    /// - Parameter binLimit: bins of values, 2 ... 255.
    init(_ column: PredictorTable.Column, binLimit: Int, seed: UInt64) {
        switch column.values {
        case .numbers(let values):
            let sample = Self.sorted(Self.sample(values, seed: seed))
            let bounds = Self.bounds(sample, limit: binLimit)
            rule = .bounds(bounds)
            valueBinCount = bounds.count + 1
            let span = values.span
            var found = false
            for row in span.indices where span[row].isNaN {
                found = true
                break
            }
            hasMissing = found
            rareBin = nil
        case .categories(let codes, let names):
            var counts = [Int](repeating: 0, count: names.count)
            var missing = 0
            for code in codes {
                if code >= 0 { counts[Int(code)] += 1 } else { missing += 1 }
            }
            let order = counts.indices.sorted { (-counts[$0], $0) < (-counts[$1], $1) }
            let own = order.count <= binLimit ? order.count : binLimit - 1
            var bins = [UInt8](repeating: UInt8(own < order.count ? own : 0), count: names.count)
            for (bin, code) in order.prefix(own).enumerated() { bins[code] = UInt8(bin) }
            rule = .codes(bins)
            rareBin = own < order.count ? own : nil
            valueBinCount = max(1, own + (rareBin == nil ? 0 : 1))
            hasMissing = missing > 0
        }
    }

    /// Writes the bins of all rows of the column.
    func fill(
        _ column: PredictorTable.Column, _ bins: inout MutableSpan<UInt8>, kernels: KernelTable
    ) {
        switch (rule, column.values) {
        case (.bounds(let bounds), .numbers(let values)):
            let filled = bounds + [Float](repeating: .infinity, count: 255 - bounds.count)
            kernels.bin(
                values.span, bounds: filled.span, missingBin: UInt8(missingBin), into: &bins)
        case (.codes(let table), .categories(let codes, _)):
            for row in codes.indices {
                bins[row] = codes[row] < 0 ? UInt8(missingBin) : table[Int(codes[row])]
            }
        default: preconditionFailure("the column that the bins were made for")
        }
    }

    // MARK: - Quantiles

    /// The values of a sample of the rows, one from each of equally long stretches; no NaN.
    private static func sample(_ values: [Float], seed: UInt64) -> [Float] {
        guard values.count > sampleCount else { return values.filter { !$0.isNaN } }
        var random = SeededRandom(seed: seed, stream: 0x51)
        var taken: [Float] = []
        taken.reserveCapacity(sampleCount)
        for index in 0..<sampleCount {
            let first = index * values.count / sampleCount
            let end = (index + 1) * values.count / sampleCount
            let value = values[first + Int(random.next() % UInt64(end - first))]
            if !value.isNaN { taken.append(value) }
        }
        return taken
    }

    /// Ascending; -0 before 0. Three passes by eleven bits.
    static func sorted(_ values: [Float]) -> [Float] {
        var keys = values.map { value in
            let bits = value.bitPattern
            return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
        }
        var moved = keys
        for shift in [0, 11, 22] as [UInt32] {
            var places = [Int](repeating: 0, count: 2048)
            for key in keys { places[Int(key >> shift & 2047)] += 1 }
            var sum = 0
            for digit in places.indices { (places[digit], sum) = (sum, sum + places[digit]) }
            for key in keys {
                let digit = Int(key >> shift & 2047)
                moved[places[digit]] = key
                places[digit] += 1
            }
            swap(&keys, &moved)
        }
        return keys.map {
            Float(bitPattern: $0 >> 31 == 1 ? $0 & 0x7FFF_FFFF : ~$0)
        }
    }

    /// Bounds between bins of about equally many values; a value that fills a bin alone gets one.
    private static func bounds(_ sorted: [Float], limit: Int) -> [Float] {
        var distinct: [(value: Float, count: Int)] = []
        for value in sorted {
            if let last = distinct.last, last.value == value {
                distinct[distinct.count - 1].count += 1
            } else {
                distinct.append((value, 1))
            }
        }
        guard distinct.count > limit else {
            return zip(distinct, distinct.dropFirst()).map { between($0.value, $1.value) }
        }
        // Values that would fill a bin of equal share have their own, so that the others share the
        // bins that are left.
        let share = Double(sorted.count) / Double(limit)
        let big = distinct.map { Double($0.count) >= share }
        var restBins = limit - big.count(where: { $0 })
        var rest = sorted.count
        for (index, entry) in distinct.enumerated() where big[index] { rest -= entry.count }
        var bounds: [Float] = []
        var (count, wanted) = (0, Double(rest) / Double(max(1, restBins)))
        for index in 0..<distinct.count - 1 {
            count += distinct[index].count
            if !big[index] { rest -= distinct[index].count }
            guard big[index] || big[index + 1] || Double(count) >= wanted else { continue }
            guard bounds.count < limit - 1 else { break }
            bounds.append(between(distinct[index].value, distinct[index + 1].value))
            if !big[index] {
                restBins -= 1
                wanted = Double(rest) / Double(max(1, restBins))
            }
            count = 0
        }
        return bounds
    }

    /// A finite number from the lower value up to, but without, the higher one.
    private static func between(_ low: Float, _ high: Float) -> Float {
        let middle = Float((Double(low) + Double(high)) / 2)
        let most = Float.greatestFiniteMagnitude
        guard middle.isFinite, middle < high else { return min(max(low, -most), most) }
        return max(middle, low)
    }
}
