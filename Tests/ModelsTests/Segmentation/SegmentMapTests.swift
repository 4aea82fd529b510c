import Models
import Numerical
import Testing

@Suite struct SegmentMapTests {
    /// An ellipse turned by 30 degrees: its axes are known.
    @Test func findsTheAxesOfAnEllipse() throws {
        var random = SeededRandom(seed: 5)
        let (cosine, sine) = (0.75.squareRoot(), 0.5)
        var (x, y): ([Float], [Float]) = ([], [])
        for _ in 0..<20_000 {
            let (long, short) = (3 * random.normal(), random.normal())
            x.append(Float(10 + cosine * long - sine * short))
            y.append(Float(-4 + sine * long + cosine * short))
        }
        let points = FeatureMatrix(columns: [x, y])
        // The middle, and two units along either axis.
        let centroids = [
            10, -4, 10 + 2 * cosine, -4 + 2 * sine, 10 - 2 * sine, -4 + 2 * cosine,
        ].map(Float.init)
        let map = try #require(
            SegmentMap(points: points, centroids: centroids, threadCount: 2))
        #expect(abs(map.varianceShares[0] - 0.9) < 0.01)
        #expect(abs(map.varianceShares[0] + map.varianceShares[1] - 1) < 1e-9)
        #expect(abs(map.loadings[0][0] - cosine) < 0.01)
        for (position, expected) in zip(map.positions, [[0.0, 0], [2, 0], [0, 2]]) {
            #expect(abs(position[0] - expected[0]) < 0.08)
            #expect(abs(abs(position[1]) - expected[1]) < 0.08)
        }
        #expect(map == SegmentMap(points: points, centroids: centroids, threadCount: 1))
    }

    @Test func oneFeatureHasOneAxis() throws {
        let map = try #require(
            SegmentMap(
                points: FeatureMatrix(columns: [[1, 2, 3, 6]]), centroids: [3, 5], threadCount: 1))
        #expect(map.varianceShares == [1, 0])
        #expect(map.positions == [[0, 0], [2, 0]])
    }

    @Test func whatDoesNotVaryHasNoMap() {
        #expect(
            SegmentMap(
                points: FeatureMatrix(columns: [[7, 7], [0, 0]]), centroids: [7, 0],
                threadCount: 1) == nil)
        #expect(
            SegmentMap(
                points: FeatureMatrix(rowCount: 0, featureCount: 3), centroids: [], threadCount: 1)
                == nil)
    }

    /// Of more rows than tell the axes: the same picture.
    @Test func manyRowsAreSampled() throws {
        var random = SeededRandom(seed: 6)
        let columns = (0..<3).map { j in
            (0..<150_000).map { _ in Float(random.normal() * Double(3 - j)) }
        }
        let map = try #require(
            SegmentMap(
                points: FeatureMatrix(columns: columns), centroids: [1, 0, 0], threadCount: 2))
        #expect(abs(map.varianceShares[0] - 9.0 / 14) < 0.01)
        #expect(abs(map.varianceShares[1] - 4.0 / 14) < 0.01)
    }
}
