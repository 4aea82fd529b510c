import Numerical
import Testing

/// The kernels of distances at every level beside their scalar twins.
@Suite struct DistanceTests {
    /// Values for whole blocks: `[ceil(n / 64) × 64]`, zero beyond the rows.
    private func padded(_ n: Int, _ value: (Int) -> Float) -> [Float] {
        let count = (n + 63) / 64 * 64
        return (0..<count).map { $0 < n ? value($0) : 0 }
    }

    private struct SeedResult: Equatable {
        var closest: [Float]
        var potentials: [Double]
    }

    private func seed(
        _ level: ISALevel, _ points: FeatureMatrix, _ chosen: [Float], _ candidates: VectorGroups,
        weights: [Float], closest: [Float]
    ) -> SeedResult {
        let n = points.rowCount
        var result = SeedResult(
            closest: closest,
            potentials: [Double](
                repeating: -7, count: (n + 511) / 512 * candidates.groupCount * 4))
        var near = result.closest
        var sums = result.potentials
        var nearSpan = near.mutableSpan
        var sumSpan = sums.mutableSpan
        KernelTable(level).seed(
            points, rows: 0..<n, chosen: chosen.span, candidates: candidates,
            weights: weights.span, closest: &nearSpan, potentials: &sumSpan)
        (result.closest, result.potentials) = (near, sums)
        return result
    }

    @Test(arguments: sizes + [511, 512, 513, 1100]) func seedsTheSameOnIntegers(n: Int) {
        for d in [1, 3, 8, 17] {
            for count in [0, 1, 4, 6] {
                let points = FeatureMatrix(
                    rowMajor: integers(n * d, stream: n), rowCount: n, featureCount: d)
                let chosen = integers(d, stream: 500 + d)
                let candidates = VectorGroups(
                    rowMajor: integers(count * d, stream: 600 + count).span, count: count,
                    featureCount: d)
                let start = padded(n) { Float($0 % 50) + 10 }
                let counts = padded(n) { Float($0 % 4) }
                for weights in [[], counts] {
                    let expected = seed(
                        .scalar, points, chosen, candidates, weights: weights, closest: start)
                    for level in ISALevel.available {
                        let actual = seed(
                            level, points, chosen, candidates, weights: weights, closest: start)
                        #expect(actual == expected, "\(level) \(n) \(d) \(count)")
                    }
                }
            }
        }
    }

    /// Beside double precision; rows that equal a vector are at 0 exactly, however far from the
    /// origin both lie.
    @Test func distancesAreAccurateFarFromTheOrigin() {
        let (n, d) = (200, 5)
        let rows = reals(n * d, stream: 21).map { $0 + 3_000 }
        let points = FeatureMatrix(rowMajor: rows, rowCount: n, featureCount: d)
        let chosen = Array(rows[7 * d..<8 * d])
        let candidate = Array(rows[150 * d..<151 * d])
        func distance(_ row: Int, _ vector: [Float]) -> Double {
            (0..<d).reduce(0) {
                let difference = Double(rows[row * d + $1]) - Double(vector[$1])
                return $0 + difference * difference
            }
        }
        for level in ISALevel.available {
            let result = seed(
                level, points, chosen,
                VectorGroups(rowMajor: candidate.span, count: 1, featureCount: d), weights: [],
                closest: padded(n) { _ in .infinity })
            var sum = 0.0
            for row in 0..<n {
                let expected = distance(row, chosen)
                // d + 2 roundings of the distance itself.
                #expect(abs(Double(result.closest[row]) - expected) <= expected * 7 * 0x1p-24)
                sum += min(expected, distance(row, candidate))
            }
            #expect(result.closest[7] == 0)
            #expect(result.closest.allSatisfy { $0 >= 0 })
            // 64 rows are summed in single precision.
            #expect(abs(result.potentials[0] - sum) < sum * 16 * 0x1p-24)
        }
    }

    @Test(arguments: sizes + [511, 512, 513]) func findsTheSameNearestOnIntegers(n: Int) {
        for d in [1, 3, 8, 17] {
            for count in [4, 8, 20] {
                let points = FeatureMatrix(
                    rowMajor: integers(n * d, stream: n), rowCount: n, featureCount: d)
                let vectors = VectorGroups(
                    rowMajor: integers(count * d, stream: 700 + count).span, count: count,
                    featureCount: d)
                func lower(_ level: ISALevel) -> ([Float], [Int32], [Double]) {
                    var closest = padded(n) { Float($0 % 60) }
                    var labels = [Int32](repeating: 3, count: closest.count)
                    var sums = [Double](repeating: -7, count: (n + 511) / 512)
                    var closestSpan = closest.mutableSpan
                    var labelSpan = labels.mutableSpan
                    var sumSpan = sums.mutableSpan
                    KernelTable(level).lowerToNearest(
                        points, rows: 0..<n, vectors: vectors, firstIndex: 100,
                        closest: &closestSpan, labels: &labelSpan, potentials: &sumSpan)
                    return (closest, labels, sums)
                }
                let expected = lower(.scalar)
                #expect(expected.2.reduce(0, +) == expected.0.reduce(0) { $0 + Double($1) })
                for level in ISALevel.available {
                    #expect(lower(level) == expected, "\(level) \(n) \(d) \(count)")
                }
            }
        }
    }

    /// Equal vectors: the first one has the rows, and a row at the old distance keeps its label.
    @Test func tiesGoToTheLowestIndex() {
        let points = FeatureMatrix(rowCount: 70, featureCount: 2)
        let vectors = VectorGroups(
            rowMajor: [Float](repeating: 1, count: 16).span, count: 8, featureCount: 2)
        for level in ISALevel.available {
            var closest = padded(70) { $0 % 2 == 0 ? 2 : 5 }
            var labels = [Int32](repeating: 1, count: closest.count)
            var sums = [0.0]
            var closestSpan = closest.mutableSpan
            var labelSpan = labels.mutableSpan
            var sumSpan = sums.mutableSpan
            KernelTable(level).lowerToNearest(
                points, rows: 0..<70, vectors: vectors, firstIndex: 40, closest: &closestSpan,
                labels: &labelSpan, potentials: &sumSpan)
            #expect((0..<70).allSatisfy { labels[$0] == ($0 % 2 == 0 ? 1 : 40) })
            #expect(sums == [140])
        }
    }

    @Test(arguments: sizes) func addsDistances(n: Int) {
        for d in [1, 3, 8, 17] {
            for (count, scale) in [(1, 1), (4, 1e-12), (7, 1e12)] as [(Int, Float)] {
                let rows = reals(n * d, stream: n).map { $0 * scale }
                // Of the first row, so that one distance is 0.
                let queries =
                    Array(rows.prefix(d)) + reals(count * d, stream: 800).map { $0 * scale }
                let queryCount = queries.count / d
                let points = FeatureMatrix(rowMajor: rows, rowCount: n, featureCount: d)
                let weights = padded(n) { Float($0 % 3) }
                let groups = VectorGroups(
                    rowMajor: queries.span, count: queryCount, featureCount: d)
                for level in ISALevel.available {
                    var sums = [Double](repeating: 0, count: groups.groupCount * 4)
                    var span = sums.mutableSpan
                    KernelTable(level).addDistances(
                        points, rows: 0..<n, weights: weights.span, queries: groups, sums: &span)
                    for q in 0..<queryCount {
                        var expected = 0.0
                        for row in 0..<n {
                            let squared = (0..<d).reduce(0.0) {
                                let difference =
                                    Double(rows[row * d + $1]) - Double(queries[q * d + $1])
                                return $0 + difference * difference
                            }
                            expected += squared.squareRoot() * Double(weights[row])
                        }
                        // Half of d + 2 roundings, two of the root, the sum of 64 values.
                        #expect(
                            abs(sums[q] - expected) <= expected * 24 * 0x1p-24,
                            "\(level) \(n) \(d) \(q)")
                    }
                }
            }
        }
    }

    @Test(arguments: sizes) func squaredDistancesAgreeWithScalar(d: Int) {
        let points = FeatureMatrix(
            rowMajor: integers(64 * d, stream: d), rowCount: 64, featureCount: d)
        let queries = VectorGroups(
            rowMajor: integers(6 * d, stream: 70).span, count: 6, featureCount: d)
        func distances(_ level: ISALevel) -> [Float] {
            var distances = [Float](repeating: .nan, count: queries.groupCount * 4 * 64)
            var span = distances.mutableSpan
            KernelTable(level).squaredDistances(
                points, block: 0, to: queries, distances: &span)
            return distances
        }
        for level in ISALevel.available { #expect(distances(level) == distances(.scalar)) }
    }
}
