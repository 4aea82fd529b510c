import Numerical
import Testing

/// Every level of the machine beside the scalar twin. The sizes surround the lane counts (4, 8,
/// 16), the group width (4) and the block (64).
let sizes = [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]

/// Small integers: every product and sum is exact in single precision, so levels must agree to the
/// bit, ties included.
func integers(_ count: Int, stream: Int, bound: Int = 4) -> [Float] {
    var random = SeededRandom(seed: 11, stream: UInt64(stream))
    return (0..<count).map { _ in Float(random.below(2 * bound + 1) - bound) }
}

func reals(_ count: Int, stream: Int) -> [Float] {
    var random = SeededRandom(seed: 12, stream: UInt64(stream))
    return (0..<count).map { _ in Float(random.uniform() * 2 - 1) }
}

@Suite struct AssignTests {
    private func assign(
        _ level: ISALevel, _ points: FeatureMatrix, _ vectors: VectorGroups
    ) -> (labels: [Int32], scores: [Float]) {
        let n = points.rowCount
        // One value more than asked for: a kernel that writes past its tail is caught.
        var labels = [Int32](repeating: -7, count: n + 1)
        var scores = [Float](repeating: -7, count: n + 1)
        labels.withUnsafeMutableBufferPointer { allLabels in
            scores.withUnsafeMutableBufferPointer { allScores in
                var labelSpan = UnsafeMutableBufferPointer(rebasing: allLabels[0..<n]).mutableSpan
                var scoreSpan = UnsafeMutableBufferPointer(rebasing: allScores[0..<n]).mutableSpan
                KernelTable(level).assign(
                    points, rows: 0..<n, to: vectors, labels: &labelSpan, scores: &scoreSpan)
            }
        }
        #expect(labels[n] == -7 && scores[n] == -7)
        return (Array(labels.prefix(n)), Array(scores.prefix(n)))
    }

    @Test(arguments: sizes) func agreesWithScalarExactlyOnIntegers(n: Int) {
        for d in [0, 1, 3, 8, 17, 33] {
            for k in [1, 2, 4, 5, 8, 9, 16, 65] {
                let points = FeatureMatrix(
                    rowMajor: integers(n * d, stream: n), rowCount: n, featureCount: d)
                let vectors = VectorGroups(
                    rowMajor: integers(k * d, stream: 1000 + k).span, count: k, featureCount: d)
                let expected = assign(.scalar, points, vectors)
                for level in ISALevel.available {
                    let actual = assign(level, points, vectors)
                    #expect(actual.labels == expected.labels, "\(level) \(n) \(d) \(k)")
                    #expect(actual.scores == expected.scores, "\(level) \(n) \(d) \(k)")
                }
            }
        }
    }

    @Test func findsTheNearestVector() {
        let (n, d, k) = (65, 9, 7)
        let rows = reals(n * d, stream: 1)
        let centres = reals(k * d, stream: 2)
        let points = FeatureMatrix(rowMajor: rows, rowCount: n, featureCount: d)
        let vectors = VectorGroups(rowMajor: centres.span, count: k, featureCount: d)
        func distance(_ row: Int, _ centre: Int) -> Double {
            (0..<d).reduce(0) {
                let difference = Double(rows[row * d + $1]) - Double(centres[centre * d + $1])
                return $0 + difference * difference
            }
        }
        for level in ISALevel.available {
            let (labels, scores) = assign(level, points, vectors)
            for row in 0..<n {
                let nearest = (0..<k).min { distance(row, $0) < distance(row, $1) }
                #expect(Int(labels[row]) == nearest)
                let norm = rows[row * d..<(row + 1) * d].reduce(0.0) { $0 + Double($1 * $1) }
                let squared = norm - 2 * Double(scores[row])
                // d + 2 roundings of terms of at most 1.
                #expect(abs(squared - distance(row, Int(labels[row]))) < 16 * 0x1p-23)
            }
        }
    }

    @Test func tiesGoToTheLowestIndex() {
        let points = FeatureMatrix(rowCount: 33, featureCount: 2)
        // Nine equal vectors, then nine pairs at equal distance on both sides of the origin.
        let equal = VectorGroups(
            rowMajor: [Float](repeating: 2, count: 18).span, count: 9, featureCount: 2)
        let mirrored = (0..<9).flatMap { i -> [Float] in i % 2 == 0 ? [1, 0] : [-1, 0] }
        let pairs = VectorGroups(rowMajor: mirrored.span, count: 9, featureCount: 2)
        for level in ISALevel.available {
            #expect(assign(level, points, equal).labels == [Int32](repeating: 0, count: 33))
            #expect(assign(level, points, pairs).labels == [Int32](repeating: 0, count: 33))
        }
    }

    @Test(arguments: sizes) func movesRowsBetweenSumsTheSame(n: Int) {
        for d in [0, 1, 3, 4, 7, 8, 33] {
            let k = 5
            let points = FeatureMatrix(
                rowMajor: integers(n * d, stream: n), rowCount: n, featureCount: d)
            let starts = [1, 2].map { stream in
                VectorGroups(
                    rowMajor: integers(k * d, stream: stream).span, count: k, featureCount: d)
            }
            func run(_ level: ISALevel) -> ([Int32], ClusterSums, [Int]) {
                // The kernel must leave what is before and after its rows alone.
                var labels = [Int32](repeating: -1, count: n + 2)
                var sums = ClusterSums(clusterCount: k, featureCount: d)
                var scratch = BlockScratch()
                var changes: [Int] = []
                for (pass, vectors) in (starts + starts).enumerated() {
                    if pass == 3 { sums.clear() }
                    changes.append(
                        KernelTable(level).assignAndMove(
                            points, rows: 0..<n, to: vectors, labels: &labels, at: 1,
                            recount: pass == 0 || pass == 3, sums: &sums, scratch: &scratch))
                }
                return (labels, sums, changes)
            }
            let expected = run(.scalar)
            #expect(expected.0.first == -1 && expected.0.last == -1)
            #expect(expected.2[0] == n)
            for level in ISALevel.available {
                let actual = run(level)
                #expect(actual.0 == expected.0, "\(level) \(n) \(d)")
                #expect(actual.1 == expected.1, "\(level) \(n) \(d)")
                #expect(actual.2 == expected.2, "\(level) \(n) \(d)")
            }
            // The sums are those of the labels.
            var sums = ClusterSums(clusterCount: k, featureCount: d)
            for row in 0..<n {
                let label = Int(expected.0[row + 1])
                sums.counts[label] += 1
                for j in 0..<d { sums.values[label * d + j] += Double(points[row, j]) }
            }
            #expect(sums == expected.1)
        }
    }

    @Test(arguments: sizes) func measuresAssignedDistancesAndMoments(n: Int) {
        let (d, k) = (6, 3)
        let rows = integers(n * d, stream: n)
        let centroids = integers(k * d, stream: 9)
        let points = FeatureMatrix(rowMajor: rows, rowCount: n, featureCount: d)
        let labels = (0..<n).map { Int32($0 % k) }
        for level in ISALevel.available {
            var distances = [Double](repeating: -1, count: n + 1)
            KernelTable(level).assignedDistances(
                points, rows: 0..<n, labels: labels, at: 0, centroids: centroids,
                distances: &distances)
            var moments = [Double](repeating: 1, count: 2 * d)
            KernelTable(level).addMoments(points, rows: 0..<n, &moments)
            for row in 0..<n {
                let expected = (0..<d).reduce(0.0) {
                    let step = Double(rows[row * d + $1] - centroids[row % k * d + $1])
                    return $0 + step * step
                }
                #expect(distances[row] == expected)
            }
            #expect(distances[n] == -1)
            for j in 0..<d {
                let column = (0..<n).map { Double(rows[$0 * d + j]) }
                #expect(moments[j] == 1 + column.reduce(0, +))
                #expect(moments[d + j] == 1 + column.reduce(0) { $0 + $1 * $1 })
            }
        }
    }
}
