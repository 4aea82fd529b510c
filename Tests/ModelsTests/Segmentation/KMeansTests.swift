import Models
import Numerical
import Testing

@Suite struct KMeansTests {
    /// `clusterCount` normal clouds of unit variance at the corners of a cube of edge 20, rows of
    /// the clouds taking turns.
    private func planted(
        rowCount: Int, clusterCount: Int = 8, featureCount: Int = 3, seed: UInt64 = 5,
        offset: Float = 0
    ) -> FeatureMatrix {
        var random = SeededRandom(seed: seed)
        var values: [Float] = []
        for row in 0..<rowCount {
            for j in 0..<featureCount {
                let corner: Float = (row % clusterCount) >> (j % 3) & 1 == 1 ? 20 : 0
                values.append(offset + corner + Float(random.normal()))
            }
        }
        return FeatureMatrix(rowMajor: values, rowCount: rowCount, featureCount: featureCount)
    }

    @Test(arguments: [Float(0), 1e4]) func recoversPlantedClusters(offset: Float) throws {
        let points = planted(rowCount: 4000, offset: offset)
        let fitted = try KMeans.fit(points, .init(clusterCount: 8, seed: 3, restarts: 3))
        #expect(fitted.converged)
        #expect(fitted.sizes == [Int](repeating: 500, count: 8))
        for row in 0..<4000 {
            #expect(fitted.assignments[row] == fitted.assignments[row % 8])
        }
        // 3 × 4000 squared unit normals around the means of 8 clusters.
        #expect(abs(fitted.inertia / (3 * (4000 - 8)) - 1) < 0.05)
        #expect(fitted.assign(points, threadCount: 2) == fitted.assignments)
        let squares = fitted.distances(points, assignments: fitted.assignments, threadCount: 2)
            .reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(squares / fitted.inertia - 1) < 1e-5)
    }

    @Test func inertiaNeverRises() throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            let points = planted(rowCount: 1000, seed: seed)
            let fitted = try KMeans.fit(
                points, .init(clusterCount: 13, seed: seed, tolerance: 0))
            #expect(fitted.converged)
            for (before, after) in zip(
                fitted.inertiaPerIteration, fitted.inertiaPerIteration.dropFirst())
            {
                // The per-iteration value is a difference of sums of about 600 per row.
                #expect(after <= before + 1000 * 600 * 0x1p-22, "seed \(seed)")
            }
            let last = fitted.inertiaPerIteration.last ?? 0
            #expect(abs(last - fitted.inertia) < 1000 * 600 * 0x1p-22)
        }
    }

    @Test func sameForAnyThreadCount() throws {
        let points = planted(rowCount: 20_000, featureCount: 5)
        var parameters = KMeans.Parameters(clusterCount: 11, seed: 2, restarts: 2)
        let one = try KMeans.fit(points, parameters)
        for threads in [2, 3, 8] {
            parameters.threadCount = threads
            #expect(try KMeans.fit(points, parameters) == one)
        }
    }

    @Test func levelsAgreeOnPlantedClusters() throws {
        let points = planted(rowCount: 800)
        let parameters = KMeans.Parameters(clusterCount: 8, seed: 3, restarts: 2)
        let reference = try KMeans.fit(points, parameters, kernels: KernelTable(.scalar))
        for level in ISALevel.available {
            let fitted = try KMeans.fit(points, parameters, kernels: KernelTable(level))
            #expect(fitted.assignments == reference.assignments, "\(level)")
            #expect(abs(fitted.inertia / reference.inertia - 1) < 1e-5)
        }
    }

    @Test func oneIterationIsTheMeanOfTheNearestRows() throws {
        let points = FeatureMatrix(columns: [[0, 1, 10, 11, 12]])
        let fitted = try KMeans.fit(
            points, .init(clusterCount: 2, maximumIterations: 1), initialCentroids: [0, 14])
        #expect(fitted.centroids == [0.5, 11] && fitted.assignments == [0, 0, 1, 1, 1])
        #expect(fitted.sizes == [2, 3] && fitted.inertia == 2.5 && !fitted.converged)
    }

    @Test func emptyClustersTakeTheFarthestRows() throws {
        let points = FeatureMatrix(columns: [[0, 1, 2, 50]])
        let fitted = try KMeans.fit(
            points, .init(clusterCount: 3, tolerance: 0), initialCentroids: [0, 1000, 2000])
        #expect(fitted.sizes.min() == 1 && fitted.sizes.reduce(0, +) == 4)
        #expect(fitted.assignments[3] == 1)
        #expect(fitted.inertia == 0.5)
    }

    @Test func asManyClustersAsRowsAndOneRow() throws {
        let points = FeatureMatrix(columns: [[3, 1, 2]])
        let all = try KMeans.fit(points, .init(clusterCount: 3))
        #expect(all.inertia == 0 && Set(all.assignments).count == 3)
        let one = try KMeans.fit(FeatureMatrix(columns: [[7], [8]]), .init(clusterCount: 1))
        #expect(one.centroids == [7, 8] && one.assignments == [0] && one.converged)
    }

    /// Start and iterations asked for apart are the fit, near the origin and far from it.
    @Test(arguments: [0, 1_000] as [Float])
    func theFitInParts(offset: Float) throws {
        var points = planted(rowCount: 500)
        for row in 0..<points.rowCount {
            for feature in 0..<points.featureCount { points[row, feature] += offset }
        }
        let parameters = KMeans.Parameters(clusterCount: 4, seed: 5)
        let expected = try KMeans.fit(points, parameters)
        let prepared = try PreparedKMeans(points, parameters)
        #expect(try prepared.fit(from: try prepared.start()) == expected)
        #expect(try prepared.fit() == expected)
        let given = expected.centroids
        #expect(
            try prepared.fit(from: try prepared.start(from: given))
                == KMeans.fit(points, parameters, initialCentroids: given))
        // The scale is judged before anything is seeded.
        var tiny = points
        for row in 0..<tiny.rowCount {
            for feature in 0..<tiny.featureCount { tiny[row, feature] = 1e-24 * Float(row % 9) }
        }
        let error = #expect(throws: ModelError.self) { try PreparedKMeans(tiny, parameters) }
        #expect(error?.description.contains("underflows") ?? false)
    }

    @Test func refusesWhatCannotBeFitted() {
        let equal = FeatureMatrix(columns: [[4, 4, 4, 4], [1, 1, 1, 1]])
        #expect(
            throws: ModelError.tooFewDistinctRows(model: "k-means", actual: 1, needed: 2)
        ) { try KMeans.fit(equal, .init(clusterCount: 2)) }
        let two = FeatureMatrix(columns: [[4, 4, 5, 5]])
        #expect(
            throws: ModelError.tooFewDistinctRows(model: "k-means", actual: 2, needed: 3)
        ) { try KMeans.fit(two, .init(clusterCount: 3)) }
        #expect(throws: ModelError.tooFewRows(model: "k-means", actual: 4, needed: 5)) {
            try KMeans.fit(equal, .init(clusterCount: 5))
        }
        #expect(throws: ModelError.noRows(model: "k-means")) {
            try KMeans.fit(FeatureMatrix(rowCount: 0, featureCount: 2), .init(clusterCount: 1))
        }
        #expect(throws: ModelError.noRows(model: "k-means")) {
            try KMeans.fit(FeatureMatrix(rowCount: 3, featureCount: 0), .init(clusterCount: 1))
        }
        var bad = planted(rowCount: 100)
        bad[77, 1] = .infinity
        #expect(throws: ModelError.nonFiniteValue(what: "k-means", row: 77, column: 1)) {
            try KMeans.fit(bad, .init(clusterCount: 2))
        }
        bad[77, 1] = 1e19
        #expect(throws: ModelError.self) { try KMeans.fit(bad, .init(clusterCount: 2)) }
        let start: [Float] = [1, 1, 1, .nan]
        #expect(
            throws: ModelError.nonFiniteValue(what: "initial centroids", row: 1, column: 1)
        ) { try KMeans.fit(equal, .init(clusterCount: 2), initialCentroids: start) }
        #expect(
            throws: ModelError.outOfRange(what: "restarts", actual: 0, allowed: "at least 1")
        ) { try KMeans.fit(equal, .init(clusterCount: 1, restarts: 0)) }
    }
}
