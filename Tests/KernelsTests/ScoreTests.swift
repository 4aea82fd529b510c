import Numerical
import Testing

@Suite struct ScoreTests {
    @Test(arguments: sizes) func scoresAgreeWithScalar(d: Int) {
        for k in [1, 3, 4, 5, 9] {
            let items = FeatureMatrix(
                rowMajor: integers(70 * d, stream: d), rowCount: 70, featureCount: d)
            let queries = VectorGroups(
                rowMajor: integers(k * d, stream: 50 + k).span, count: k, featureCount: d)
            func scores(_ level: ISALevel, _ block: Int) -> ([Float], [Float]) {
                var scores = [Float](repeating: .nan, count: queries.groupCount * 4 * 64)
                var maxima = [Float](repeating: .nan, count: queries.groupCount * 4)
                KernelTable(level).scores(
                    items, block: block, queries: queries, scores: &scores, maxima: &maxima)
                return (scores, maxima)
            }
            for block in 0..<2 {
                let expected = scores(.scalar, block)
                for query in 0..<k {
                    #expect(
                        expected.1[query] == expected.0[query * 64..<(query + 1) * 64].max())
                }
                for level in ISALevel.available {
                    #expect(scores(level, block) == expected, "\(level) \(d) \(k)")
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
            KernelTable(level).squaredDistances(
                points, block: 0, to: queries, distances: &distances)
            return distances
        }
        for level in ISALevel.available { #expect(distances(level) == distances(.scalar)) }
    }

    @Test(arguments: sizes) func vectorsAgreeWithScalar(n: Int) {
        let (x, y) = (integers(n, stream: 1), integers(n, stream: 2))
        let (rx, ry) = (reals(n, stream: 4), reals(n, stream: 5))
        let exact = zip(rx, ry).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            #expect(kernels.dot(x.span, y.span) == zip(x, y).reduce(0) { $0 + $1.0 * $1.1 })
            // Each of n terms of at most 1 is rounded at most n times.
            #expect(abs(Double(kernels.dot(rx.span, ry.span)) - exact) <= Double(n) * 0x1p-20)
            var sum = y
            do {
                var span = sum.mutableSpan
                kernels.axpy(3, x.span, &span)
            }
            #expect(sum == zip(x, y).map { 3 * $0 + $1 })
        }
    }
}
