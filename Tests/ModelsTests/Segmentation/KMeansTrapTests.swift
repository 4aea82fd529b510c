import Models
import Numerical
import Testing

/// Inputs on which a k-means returns empty clusters or NaN when nobody looks.
@Suite struct KMeansTrapTests {
    /// What holds of every fit.
    private func check(
        _ fitted: FittedKMeans, _ points: FeatureMatrix, _ place: Comment
    ) {
        #expect(fitted.sizes.allSatisfy { $0 > 0 }, place)
        #expect(fitted.sizes.reduce(0, +) == points.rowCount, place)
        #expect(fitted.centroids.allSatisfy { $0.isFinite }, place)
        #expect(fitted.inertia.isFinite && fitted.inertia >= 0, place)
        #expect(fitted.assign(points, threadCount: 1) == fitted.assignments, place)
    }

    @Test func noClusterStaysEmpty() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            let rowCount = 20 + random.below(100)
            let k = 2 + random.below(15)
            // Few distinct places, many duplicates; more places than clusters.
            let places = (0..<k + 1 + random.below(4)).map { _ in
                (Float(random.normal()), Float(random.normal() * 3))
            }
            // Every place once, then at random.
            let rows = (0..<rowCount).map { row in
                places[row < places.count ? row : random.below(places.count)]
            }
            let points = FeatureMatrix(columns: [rows.map(\.0), rows.map(\.1)])
            let iterations = 1 + random.below(3)
            let parameters = KMeans.Parameters(
                clusterCount: k, seed: seed, maximumIterations: iterations)
            check(try KMeans.fit(points, parameters), points, "seed \(seed)")
            // All centroids on one spot far away: all but one are empty at first.
            let start = [Float](repeating: 500, count: 2 * k)
            check(
                try KMeans.fit(points, parameters, initialCentroids: start), points,
                "seed \(seed) from one spot")
        }
    }

    @Test func duplicatesDoNotTakeTwoCentroids() throws {
        // 90 equal rows are the farthest of all: only one of them may draw an empty cluster.
        let column = [Float](repeating: 100, count: 90) + [0, 1, 2, 3, 4, 5]
        let points = FeatureMatrix(columns: [column])
        let fitted = try KMeans.fit(
            points, .init(clusterCount: 7, maximumIterations: 1),
            initialCentroids: [2, 900, 901, 902, 903, 904, 905])
        #expect(fitted.sizes.sorted() == [1, 1, 1, 1, 1, 1, 90] && fitted.inertia == 0)
    }

    @Test func rowsThatSinglePrecisionCannotTellApart() {
        // Nine rows within a ten-millionth: distances differ, the assignment cannot see it.
        let columns = [(0..<9).map { 1 + Float($0) * 0x1p-23 }, [Float](repeating: -1, count: 9)]
        for k in 1...9 {
            let points = FeatureMatrix(columns: columns)
            do throws(ModelError) {
                let fitted = try KMeans.fit(points, .init(clusterCount: k, restarts: 3))
                #expect(fitted.sizes.allSatisfy { $0 > 0 } && fitted.inertia < 1e-9, "k \(k)")
            } catch {
                guard case .tooFewDistinctRows(_, let actual, let needed) = error else {
                    Issue.record("\(error)")
                    continue
                }
                #expect(actual < needed && needed == k)
            }
        }
    }

    @Test(arguments: [Float(1e-44), 1e-30, 1e-18, 1e-6, 1, 1e6, 1e14, 1e30, 3e38])
    func anyMagnitudeGivesClustersOrAnError(scale: Float) {
        var random = SeededRandom(seed: 8)
        let columns = (0..<3).map { _ in
            (0..<200).map { Float($0 % 4) / 4 * scale + Float(random.uniform()) / 100 * scale }
        }
        let points = FeatureMatrix(columns: columns)
        do throws(ModelError) {
            let fitted = try KMeans.fit(points, .init(clusterCount: 4, restarts: 2))
            check(fitted, points, "scale \(scale)")
            #expect(fitted.sizes == [50, 50, 50, 50])
        } catch {
            guard case .outOfRange = error else {
                Issue.record("\(scale): \(error)")
                return
            }
            #expect(scale < 1e-14 || scale > 1e15)
        }
    }

    @Test func hugeInitialCentroidsAreRefused() {
        let points = FeatureMatrix(columns: [[0, 1, 2, 3]])
        #expect(throws: ModelError.self) {
            try KMeans.fit(
                points, .init(clusterCount: 2), initialCentroids: [0, .greatestFiniteMagnitude])
        }
    }

    /// Values as they are, a thousand standard deviations from 0: the model's own assignment has to
    /// see what the fit saw.
    @Test func anUnscaledSegmentationFarFromTheOriginAssignsAsItFitted() throws {
        var random = SeededRandom(seed: 3)
        let columns = (0..<2).map { feature in
            (0..<900).map {
                2_000_000 + Float(($0 % 3 + feature) % 3) * 40 + Float(random.normal())
            }
        }
        let (model, assignment) = try SegmentationModel.fit(
            featureNames: ["x", "y"], columns: columns, scaling: .none,
            parameters: .init(clusterCount: 3, restarts: 3))
        #expect(model.sizes == [300, 300, 300])
        for row in 0..<900 { #expect(assignment.segments[row] == assignment.segments[row % 3]) }
        #expect(assignment.distances.allSatisfy { $0 < 8 })
    }

    @Test(arguments: FeatureScaling.Kind.allCases)
    func valuesThatTheFitNeverSaw(_ kind: FeatureScaling.Kind) throws {
        var random = SeededRandom(seed: 6)
        let columns = [
            (0..<100).map { _ in Float(random.uniform()) * 1e-30 },
            (0..<100).map { _ in Float(random.normal()) }, [Float](repeating: 7, count: 100),
        ]
        let (model, _) = try SegmentationModel.fit(
            featureNames: ["tiny", "usual", "constant"], columns: columns, scaling: kind,
            parameters: .init(clusterCount: 4))
        let extreme: [Float] = [
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude, 0, 1e30,
        ]
        let assignment = try model.assign(
            columns: [extreme, extreme.reversed(), extreme], threadCount: 1)
        #expect(assignment.segments.allSatisfy { (0..<4).contains($0) })
        #expect(assignment.distances.allSatisfy { $0.isFinite })
    }
}
