/// Harrell's concordance of linear predictors with what happened.
///
/// Two rows of a stratum are comparable where one has the event while the other is at risk and
/// does not have it at that time. Pairs count by the product of the weights. O(n log n).
/// Source: Harrell, Lee & Mark, Statistics in Medicine 1996; left truncation as in Therneau &
/// Grambsch, "Modeling Survival Data": only rows at risk at the time of the event.
struct CoxConcordance {
    let design: CoxDesign
    /// Rank of every row's predictor from 1; equal predictors have one rank.
    private let ranks: [Int32]
    private let rankCount: Int

    init(_ design: CoxDesign, _ coefficients: [Double]) {
        self.design = design
        let p = design.columnCount
        let values = design.values.span
        var predictors = [Double](repeating: 0, count: design.rowCount)
        for row in predictors.indices {
            var predictor = 0.0
            for j in 0..<p { predictor += values[row * p + j] * coefficients[j] }
            predictors[row] = predictor
        }
        let order = stableOrder(of: Array(0..<UInt32(predictors.count))) {
            orderedBits(predictors[Int($0)])
        }
        var ranks = [Int32](repeating: 0, count: predictors.count)
        var rank: Int32 = 0
        var previous = Double.nan
        for row in order {
            let value = predictors[Int(row)]
            if value != previous {
                rank += 1
                previous = value
            }
            ranks[Int(row)] = rank
        }
        self.ranks = ranks
        rankCount = Int(rank)
    }

    /// Concordant share of the comparable pairs; nil where there are none.
    func share() -> Double? {
        // Sums of weights by rank, as a binary indexed tree, of rows at risk.
        var tree = [Double](repeating: 0, count: rankCount + 1)
        var total = 0.0
        func add(_ row: Int, _ sign: Double) {
            let weight = sign * design.weight(row)
            total += weight
            var index = Int(ranks[row])
            while index <= rankCount {
                tree[index] += weight
                index += index & -index
            }
        }
        /// Takes out the stratum whose first row it is: what its rows touched, exactly.
        func clear(_ first: Int) {
            total = 0
            let stratum = design.stratumOfGroup[Int(design.groupOfRow[first])]
            var row = first
            while row < design.rowCount,
                design.stratumOfGroup[Int(design.groupOfRow[row])] == stratum
            {
                var index = Int(ranks[row])
                while index <= rankCount {
                    tree[index] = 0
                    index += index & -index
                }
                row += 1
            }
        }
        /// Weight of ranks 1...rank.
        func sum(through rank: Int) -> Double {
            var index = rank
            var sum = 0.0
            while index > 0 {
                sum += tree[index]
                index &= index - 1
            }
            return sum
        }
        var concordant = 0.0
        var comparable = 0.0
        for group in (0..<design.groupCount).reversed() {
            let rows = design.rows(ofGroup: group)
            if design.isLastOfStratum(group), rows.upperBound < design.rowCount {
                clear(rows.upperBound)
            }
            let firstCensored = rows.lowerBound + Int(design.eventCounts[group])
            for row in firstCensored..<rows.upperBound { add(row, 1) }
            if design.entryGroupOfRow != nil {
                for index in design.entryOffsets[group]..<design.entryOffsets[group + 1] {
                    add(Int(design.entryRows[index]), -1)
                }
            }
            for row in rows.lowerBound..<firstCensored {
                let rank = Int(ranks[row])
                let below = sum(through: rank - 1)
                let equal = sum(through: rank) - below
                concordant += design.weight(row) * (below + equal / 2)
                comparable += design.weight(row) * total
            }
            for row in rows.lowerBound..<firstCensored { add(row, 1) }
        }
        return comparable > 0 ? min(max(concordant / comparable, 0), 1) : nil
    }
}
