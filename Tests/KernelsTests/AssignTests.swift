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

    @Test(arguments: sizes) func accumulatesTheSame(n: Int) {
        for d in [0, 1, 3, 4, 7, 8, 33] {
            let k = 5
            let points = FeatureMatrix(
                rowMajor: reals(n * d, stream: n), rowCount: n, featureCount: d)
            let labels = integers(n, stream: 3, bound: 2).map { Int32($0) + 2 }
            func sums(_ level: ISALevel) -> ([Double], [Int64]) {
                var sums = [Double](repeating: 1, count: k * d)
                var counts = [Int64](repeating: 1, count: k)
                KernelTable(level).accumulate(
                    points, rows: 0..<n, labels: labels.span, sums: &sums, counts: &counts)
                return (sums, counts)
            }
            let expected = sums(.scalar)
            for level in ISALevel.available {
                // The same additions in the same order: equal to the bit.
                #expect(sums(level) == expected, "\(level) \(n) \(d)")
            }
        }
    }
}
