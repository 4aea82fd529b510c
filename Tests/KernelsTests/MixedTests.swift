import Numerical
import Testing

/// Rows of numbers and categories: every level beside the scalar twin.
@Suite struct MixedTests {
    private struct Input {
        let points: FeatureMatrix
        let categories: CategoryMatrix
        let prototypes: PrototypeGroups

        /// Small integers, a fifth of the categories missing.
        init(_ n: Int, _ d: Int, _ c: Int, _ k: Int) {
            var random = SeededRandom(seed: 5, stream: UInt64(n * 1000 + d * 100 + c * 10 + k))
            points = FeatureMatrix(
                rowMajor: integers(n * d, stream: n + d), rowCount: n, featureCount: d)
            // Bytes, shorts and words.
            let steps: [Int32] = [1, 200, 40_000]
            categories = CategoryMatrix(
                columns: (0..<c).map { column in
                    (0..<n).map { _ in Int32(random.below(5) - 1) * steps[column % 3] }
                }, rowCount: n)
            prototypes = PrototypeGroups(
                means: integers(k * d, stream: 77 + k),
                modes: (0..<k * c).map { Int32(random.below(5) - 1) * steps[$0 % c % 3] },
                costs: (0..<c).map { Float($0 % 3) / 2 }, count: k)
        }
    }

    private func assign(_ level: ISALevel, _ input: Input) -> ([Int32], [Float]) {
        let n = input.points.rowCount
        // One value more than asked for: a write past the tail is caught.
        var labels = [Int32](repeating: -7, count: n + 1)
        var distances = [Float](repeating: -7, count: n + 1)
        var scratch = MixedScratch(categoryCount: input.categories.columnCount)
        labels.withUnsafeMutableBufferPointer { labels in
            distances.withUnsafeMutableBufferPointer { distances in
                var labelSpan = UnsafeMutableBufferPointer(rebasing: labels[0..<n]).mutableSpan
                var distanceSpan =
                    UnsafeMutableBufferPointer(rebasing: distances[0..<n]).mutableSpan
                KernelTable(level).assign(
                    input.points, input.categories, rows: 0..<n, to: input.prototypes,
                    labels: &labelSpan, distances: &distanceSpan, scratch: &scratch)
            }
        }
        #expect(labels[n] == -7 && distances[n] == -7)
        return (Array(labels.prefix(n)), Array(distances.prefix(n)))
    }

    @Test(arguments: sizes) func agreesWithScalarExactlyOnIntegers(n: Int) {
        for (d, c) in [(0, 1), (0, 3), (1, 0), (3, 1), (5, 4), (12, 8)] {
            for k in [1, 3, 4, 5, 10, 65, 130] {
                let input = Input(n, d, c, k)
                let expected = assign(.scalar, input)
                for level in ISALevel.available {
                    let actual = assign(level, input)
                    #expect(actual.0 == expected.0, "\(level) \(n) \(d) \(c) \(k)")
                    #expect(actual.1 == expected.1, "\(level) \(n) \(d) \(c) \(k)")
                }
            }
        }
    }

    @Test func findsTheNearestPrototype() {
        let (n, d, c, k) = (130, 3, 4, 70)
        let input = Input(n, d, c, k)
        let means = integers(k * d, stream: 77 + k)
        var random = SeededRandom(seed: 5, stream: UInt64(n * 1000 + d * 100 + c * 10 + k))
        for _ in 0..<n * c { _ = random.below(5) }
        let steps: [Int32] = [1, 200, 40_000]
        let modes = (0..<k * c).map { Int32(random.below(5) - 1) * steps[$0 % c % 3] }
        for level in ISALevel.available {
            let (labels, distances) = assign(level, input)
            for row in 0..<n {
                var best: Float = .infinity
                var label = 0
                for prototype in 0..<k {
                    var distance: Float = 0
                    for j in 0..<d {
                        let difference = input.points[row, j] - means[prototype * d + j]
                        distance += difference * difference
                    }
                    for j in 0..<c {
                        let code = input.categories[row, j]
                        let mode = modes[prototype * c + j]
                        if code >= 0 && code != mode { distance += Float(j % 3) / 2 }
                    }
                    if distance < best { (best, label) = (distance, prototype) }
                }
                #expect(labels[row] == Int32(label) && distances[row] == best)
            }
        }
    }

    @Test(arguments: sizes) func movesSumsAndCountsTheSame(n: Int) {
        let (d, c, k) = (3, 3, 5)
        let input = Input(n, d, c, k)
        let other = Input(n + 1, d, c, k)
        let slots = CategorySlots(
            codeCounts: input.categories.codeCounts, isCounted: [true, true, false])
        func run(_ level: ISALevel) -> ([Int32], ClusterSums, [Int32], [Double]) {
            // What is before and after the rows must stay.
            var labels = [Int32](repeating: -1, count: n + 2)
            var sums = ClusterSums(clusterCount: k, featureCount: d)
            var scratch = MixedScratch(categoryCount: c, countCount: k * slots.width)
            var costs: [Double] = []
            for (pass, prototypes) in [
                input.prototypes, other.prototypes, input.prototypes, input.prototypes,
            ].enumerated() {
                if pass == 2 {
                    sums.clear()
                    scratch.clearCounts()
                }
                costs.append(
                    KernelTable(level).assignAndMove(
                        input.points, input.categories, rows: 0..<n, to: prototypes,
                        labels: &labels, at: 1, recount: pass % 2 == 0, sums: &sums, slots: slots,
                        scratch: &scratch
                    ).cost)
            }
            return (labels, sums, scratch.counts, costs)
        }
        let expected = run(.scalar)
        #expect(expected.0.first == -1 && expected.0.last == -1)
        // The counts are those of the labels.
        var counts = [Int32](repeating: 0, count: k * slots.width)
        for row in 0..<n {
            for column in 0..<2 {
                let code = Int(input.categories[row, column])
                counts[Int(expected.0[row + 1]) * slots.width + slots.offsets[column] + 1 + code] +=
                    1
            }
        }
        #expect(expected.2 == counts)
        #expect(expected.1.counts.reduce(0, +) == Int64(n))
        for level in ISALevel.available {
            let actual = run(level)
            #expect(actual.0 == expected.0 && actual.1 == expected.1, "\(level)")
            #expect(actual.2 == expected.2 && actual.3 == expected.3, "\(level)")
        }
    }

    @Test(arguments: sizes) func lowersAndAddsPotentialsTheSame(n: Int) {
        let input = Input(n, 3, 3, 1)
        let candidates = Input(n, 3, 3, 6)
        func run(_ level: ISALevel) -> ([Float], Double, [Double]) {
            let kernels = KernelTable(level)
            var nearest = [Float](repeating: 9, count: n)
            var scratch = MixedScratch(categoryCount: 3)
            let sum = kernels.lower(
                input.points, input.categories, rows: 0..<n, to: input.prototypes,
                nearest: &nearest, at: 0, scratch: &scratch)
            var sums = [Double](repeating: 1, count: 6)
            kernels.addPotentials(
                input.points, input.categories, rows: 0..<n, of: candidates.prototypes,
                nearest: nearest, at: 0, sums: &sums, scratch: &scratch)
            return (nearest, sum, sums)
        }
        let expected = run(.scalar)
        #expect(expected.0.allSatisfy { $0 <= 9 })
        #expect(expected.0.reduce(0) { $0 + Double($1) } == expected.1)
        #expect(expected.2.allSatisfy { $0 >= 1 && $0 <= expected.1 + 1 })
        for level in ISALevel.available {
            let actual = run(level)
            #expect(actual.0 == expected.0 && actual.1 == expected.1 && actual.2 == expected.2)
        }
    }

    @Test func categoriesAreStoredNarrow() {
        let columns: [[Int32]] = [
            [0, 254, -1], [0, 255, -5], [65534, 1, 2], [65535, 1, -1], [Int32.max, 0, -1],
        ]
        let matrix = CategoryMatrix(columns: columns, rowCount: 3)
        for (index, column) in columns.enumerated() {
            let kept = column.map { max($0, -1) }
            #expect(matrix.column(index) == kept)
            #expect((0..<3).map { matrix[$0, index] } == kept)
        }
        #expect(matrix.codeCounts == [255, 256, 65535, 65536, 1 << 31])
        let rows = CategoryMatrix(columns: columns, rows: [2, 0], rowCount: 2)
        #expect(
            rows.row(0) == [-1, -1, 2, -1, -1] && rows.row(1) == [0, 0, 65534, 65535, Int32.max])
    }
}
