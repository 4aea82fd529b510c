import Numerical
import Testing

/// The kernels that grow trees and score forests: every level beside the scalar one and plain code.
@Suite struct TreeTests {
    static let levels = ISALevel.available
    static let sizes = [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000]

    @Test(arguments: levels) func binsAreCountsOfLowerBounds(level: ISALevel) {
        var random = SeededRandom(seed: 1)
        for count in Self.sizes {
            for boundCount in [0, 1, 2, 100, 255] {
                let bounds = Array(Set((0..<boundCount).map { _ in Float(random.below(400)) }))
                    .sorted()
                let filled = bounds + [Float](repeating: .infinity, count: 255 - bounds.count)
                var values = (0..<count).map { _ in Float(random.below(800)) / 2 }
                values[0] = [.nan, .infinity, -.infinity, 0][boundCount % 4]
                var bins = [UInt8](repeating: 9, count: count)
                var span = bins.mutableSpan
                KernelTable(level).bin(
                    values.span, bounds: filled.span, missingBin: 255, into: &span)
                for (value, bin) in zip(values, bins) {
                    let expected = value.isNaN ? 255 : bounds.count(where: { $0 < value })
                    #expect(Int(bin) == expected)
                }
            }
        }
    }

    @Test(arguments: levels) func gradientsAreThoseOfTheLogLoss(level: ISALevel) {
        var random = SeededRandom(seed: 2)
        let count = 64
        var (scores, targets) = (AlignedFloats(count: count), AlignedFloats(count: count))
        var weights = AlignedFloats(count: count)
        for row in 0..<count {
            scores[row] = Float(random.normal() * 4)
            targets[row] = random.bernoulli(0.4) ? 1 : 0
            weights[row] = row == 5 ? 0 : Float(random.uniform() * 2)
        }
        scores[0] = 100
        scores[1] = -100
        var gradients = RowGradients(rowCount: count, threadCount: 1)
        KernelTable(level).logisticGradients(
            scores: scores, targets: targets, weights: weights, seed: 3, gradientScale: 8190,
            hessianScale: 8180, into: &gradients, threadCount: 1)
        // One column, one bin a row: the packed words come back as sums.
        let bins = BinnedColumns(rowCount: count, columnCount: 1, threadCount: 1) { _, bins in
            for row in bins.indices { bins[row] = UInt8(row) }
        }
        let layout = BinLayout(binCounts: [64])
        var sums = BinSums(layout)
        var scratches = [BinScratch(layout)]
        LeafRows(rowCount: count, threadCount: 1).addGradients(
            0..<count, of: bins, gradients, layout: layout, to: &sums, scratches: &scratches,
            kernels: KernelTable(level))
        for row in 0..<count {
            let score = Double(scores[row])
            let weight = Double(weights[row])
            let p = 1 / (1 + Double.exponential(-score))
            let g = weight * (p - Double(targets[row]))
            let h = weight * p * (1 - p)
            #expect(abs(Double(gradients[row].gradient) - g) < 1e-6)
            #expect(abs(Double(gradients[row].hessian) - h) < 1e-6)
            #expect(abs(Double(sums.gradients[row]) - g * 8190) <= 1.01)
            #expect(abs(Double(sums.hessians[row]) - h * 8180) <= 1.01)
            #expect(sums.rows[row] == 1)
        }
    }

    /// Rounding is random, so that sums of Hessians far below a unit are right on average.
    @Test(arguments: levels) func roundingKeepsSmallSums(level: ISALevel) {
        let count = 1 << 16
        var (scores, weights) = (AlignedFloats(count: count), AlignedFloats(count: count))
        for row in 0..<count {
            scores[row] = -10
            weights[row] = 1
        }
        var gradients = RowGradients(rowCount: count, threadCount: 1)
        KernelTable(level).logisticGradients(
            scores: scores, targets: AlignedFloats(count: count), weights: weights, seed: 8,
            gradientScale: 16_380, hessianScale: 16_360, into: &gradients, threadCount: 2)
        let bins = BinnedColumns(rowCount: count, columnCount: 1, threadCount: 1) { _, bins in
            for row in bins.indices { bins[row] = 0 }
        }
        let layout = BinLayout(binCounts: [1])
        var sums = BinSums(layout)
        var scratches = [BinScratch(layout), BinScratch(layout)]
        LeafRows(rowCount: count, threadCount: 1).addGradients(
            0..<count, of: bins, gradients, layout: layout, to: &sums, scratches: &scratches,
            kernels: KernelTable(level))
        let p = 4.539786870243442e-5
        #expect(sums.rows[0] == count)
        #expect(abs(Double(sums.gradients[0]) / 16_380 / Double(count) / p - 1) < 0.02)
        #expect(abs(Double(sums.hessians[0]) / 16_360 / Double(count) / p - 1) < 0.02)
    }

    @Test(arguments: levels) func bestSplitIsThatOfThePlainLoop(level: ISALevel) {
        var random = SeededRandom(seed: 4)
        for count in Self.sizes + [255, 256] where count <= 256 {
            for trial in 0..<8 {
                var (g, h, n) = (0.0, 0.0, 0.0)
                var prefix: [[Double]] = [[], [], []]
                for _ in 0..<256 {
                    g += Double(random.below(21) - 10)
                    h += Double(random.below(5))
                    n += Double(random.below(10))
                    for (index, value) in [g, h, n].enumerated() { prefix[index].append(value) }
                }
                let last = count - 1
                let totals = [prefix[0][last] + 3, prefix[1][last] + 2, prefix[2][last] + 4]
                let extra = trial % 2 == 0 ? [0, 0, 0] : [3.0, 2, 4]
                let limits = [Double(trial * 3), Double(trial), trial < 4 ? 0 : 1.5]
                let (gradients, hessians, rows) = (prefix[0], prefix[1], prefix[2])
                func best(_ level: ISALevel) -> (gain: Double, index: Int)? {
                    KernelTable(level).bestSplit(
                        gradients: gradients.span, hessians: hessians.span, rows: rows.span,
                        count: count, totals: totals.span, extra: extra.span, limits: limits.span)
                }
                let (found, expected) = (best(level), best(.scalar))
                #expect(found?.gain == expected?.gain)
                #expect(found?.index == expected?.index)
            }
        }
    }

    @Test(arguments: levels, [1, 7, 8, 9, 40]) func sumsByBinAreExact(
        level: ISALevel, columnCount: Int
    ) {
        let rowCount = 40_003
        let kernels = KernelTable(level)
        @Sendable func bin(_ row: Int, _ column: Int) -> Int { (row &* 7919 &+ column * 31) % 97 }
        let bins = BinnedColumns(rowCount: rowCount, columnCount: columnCount, threadCount: 2) {
            column, bins in
            for row in bins.indices { bins[row] = UInt8(bin(row, column)) }
        }
        #expect(bins.bin(row: 40_002, column: columnCount - 1) == bin(40_002, columnCount - 1))
        let padded = 40_016
        var (scores, weights) = (AlignedFloats(count: padded), AlignedFloats(count: padded))
        var random = SeededRandom(seed: 6)
        for row in 0..<rowCount {
            scores[row] = Float(random.normal())
            weights[row] = 1
        }
        var gradients = RowGradients(rowCount: padded, threadCount: 1)
        kernels.logisticGradients(
            scores: scores, targets: AlignedFloats(count: padded), weights: weights, seed: 1,
            gradientScale: 16_380, hessianScale: 16_360, into: &gradients, threadCount: 2)
        let layout = BinLayout(binCounts: [Int](repeating: 97, count: columnCount))

        // Two thirds of the rows, dealt out by a column's bins.
        var rows = LeafRows(rowCount: rowCount, threadCount: 1)
        let goesLeft = (0..<256).map { UInt8($0 % 3 == 0 ? 0 : 1) }
        let leftCount = rows.split(
            0..<rowCount, by: columnCount - 1, of: bins, goesLeft: goesLeft.span,
            kernels: kernels, threadCount: 2)
        let expected = (0..<rowCount).filter { bin($0, columnCount - 1) % 3 != 0 }
        #expect((0..<leftCount).map { rows.row(at: $0) } == expected)
        let rest = (0..<rowCount).filter { bin($0, columnCount - 1) % 3 == 0 }
        #expect((leftCount..<rowCount).map { rows.row(at: $0) } == rest)

        func sums(_ range: Range<Int>, _ threads: Int) -> BinSums {
            var sums = BinSums(layout)
            var scratches = (0..<threads).map { _ in BinScratch(layout) }
            for _ in 0..<2 {
                sums.clear()
                rows.addGradients(
                    range, of: bins, gradients, layout: layout, to: &sums, scratches: &scratches,
                    kernels: kernels)
            }
            return sums
        }
        let (left, all) = (sums(0..<leftCount, 3), sums(0..<rowCount, 1))
        var right = all
        right.subtract(left)
        let direct = sums(leftCount..<rowCount, 2)
        #expect(right.gradients == direct.gradients && right.hessians == direct.hessians)
        var counts = [Int64](repeating: 0, count: 97 * columnCount)
        for row in expected {
            for column in 0..<columnCount { counts[97 * column + bin(row, column)] += 1 }
        }
        #expect(left.rows == counts)
        let totals = rows.totals(
            of: [0..<leftCount, leftCount..<rowCount], gradients, kernels: kernels, threadCount: 2)
        let units = Double(left.gradients[0..<97].reduce(0, +)) / 16_380
        #expect(abs(totals[0].gradient - units) < 0.1)
        rows.add([1, 2], to: [0..<leftCount, leftCount..<rowCount], of: &scores, threadCount: 2)
        #expect(scores[40_003] == 0)
    }

    /// Trees of every kind, with missing values and categories, beside a walk from the root.
    @Test(arguments: levels) func forestsScoreAsTheirTreesAreWalked(level: ISALevel) {
        var random = SeededRandom(seed: 7)
        let slotCount = 5
        var forest = ForestStream()
        var trees: [(splits: [ForestStream.Split], leaves: [Double])] = []
        for leafCount in [1, 2, 3, 31, 32, 33, 63, 64, 65, 66, 150, 2, 64] {
            let tree = randomTree(leafCount, &random)
            forest.append(tree.splits, leaves: tree.leaves)
            trees.append(tree)
        }
        #expect(forest.treeCount == trees.count)
        var tile = [Float](repeating: 0, count: 64 * slotCount)
        for slot in 0..<slotCount {
            for row in 0..<64 {
                if slot >= 3 {
                    let code = row % 13 == 0 ? 0x7FFF_FFFF : UInt32(random.below(100))
                    tile[64 * slot + row] = Float(bitPattern: code)
                } else {
                    let value = Float(random.below(11)) - 5
                    tile[64 * slot + row] = [3: .nan, 5: .infinity, 9: -.infinity][row] ?? value
                }
            }
        }
        var sums = (0..<64).map { Double($0) / 8 }
        var span = sums.mutableSpan
        KernelTable(level).score(tile.span, forest, into: &span)
        for row in 0..<64 {
            var sum = Double(row) / 8
            for tree in trees { sum += tree.leaves[leaf(tree.splits, row, tile)] }
            #expect(sums[row] == sum)
        }
    }

    private func leaf(_ splits: [ForestStream.Split], _ row: Int, _ tile: [Float]) -> Int {
        var place = splits.isEmpty ? -1 : 0
        while place >= 0 {
            let split = splits[place]
            let value = tile[64 * split.slot + row]
            let isLeft: Bool
            switch split.rule {
            case .atMost(let threshold, let missingGoesLeft):
                isLeft = value.isNaN ? missingGoesLeft : value <= threshold
            case .among(let set):
                let code = Int(value.bitPattern)
                isLeft = code / 32 < set.count && set[code / 32] >> UInt32(code % 32) & 1 == 1
            }
            place = isLeft ? split.left : split.right
        }
        return -1 - place
    }

    /// Splits a random leaf until there are enough.
    private func randomTree(
        _ leafCount: Int, _ random: inout SeededRandom
    ) -> (splits: [ForestStream.Split], leaves: [Double]) {
        var splits: [ForestStream.Split] = []
        var parents: [(split: Int, isLeft: Bool)?] = [nil]
        while parents.count < leafCount {
            let leaf = random.below(parents.count)
            let slot = random.below(5)
            let rule: ForestStream.Rule =
                slot >= 3
                ? .among(
                    (0..<random.below(4)).map { _ in UInt32(truncatingIfNeeded: random.next()) })
                : .atMost(Float(random.below(11)) - 5.5, missingGoesLeft: random.bernoulli(0.5))
            splits.append(.init(slot: slot, rule: rule, left: -1 - leaf, right: -1 - parents.count))
            if let parent = parents[leaf] {
                if parent.isLeft {
                    splits[parent.split].left = splits.count - 1
                } else {
                    splits[parent.split].right = splits.count - 1
                }
            }
            parents[leaf] = (splits.count - 1, true)
            parents.append((splits.count - 1, false))
        }
        return (splits, (0..<leafCount).map { _ in random.normal() })
    }
}

extension Double {
    /// e^x through the elementary kernels' scalar level.
    fileprivate static func exponential(_ x: Double) -> Double {
        let input = [x]
        var output = [0.0]
        var span = output.mutableSpan
        KernelTable(.scalar).exponentials(input.span, &span)
        return output[0]
    }
}
