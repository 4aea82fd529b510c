import Models
import Numerical
import Testing

@Suite struct KMeansSeedingTests {
    private func seed(
        _ points: any PointSource, _ clusterCount: Int, _ method: KMeans.Seeding, seed: UInt64 = 1,
        threadCount: Int = 2, kernels: KernelTable = .current,
        limits: KMeansSeeding.Limits = KMeansSeeding.Limits()
    ) throws(ModelError) -> [Float] {
        var random = SeededRandom(seed: seed)
        return try KMeansSeeding.centroids(
            of: points, clusterCount: clusterCount, method: method, random: &random,
            threadCount: threadCount, kernels: kernels, limits: limits)
    }

    /// Mini-batches above so many rows, small enough for a test.
    private func miniBatches(above rowCount: Int) -> KMeansSeeding.Limits {
        var limits = KMeansSeeding.Limits()
        limits.wholeRowCount = rowCount
        limits.miniBatch.sampleRowCount = 2_048
        limits.miniBatch.batchRowCount = 1_024
        limits.miniBatch.iterationCount = 20
        return limits
    }

    private func rows(_ values: [Float], _ featureCount: Int) -> [[Float]] {
        stride(from: 0, to: values.count, by: featureCount).map {
            Array(values[$0..<$0 + featureCount])
        }
    }

    /// The definition, in double precision, one row after the other.
    private func reference(
        _ points: [[Float]], _ k: Int, candidateCount: Int, seed: UInt64
    ) -> [Float] {
        var random = SeededRandom(seed: seed)
        func distance(_ a: [Float], _ b: [Float]) -> Double {
            zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        }
        var chosen = points[random.below(points.count)]
        var result = chosen
        var closest = points.map { distance($0, chosen) }
        for _ in 1..<k {
            let total = closest.reduce(0, +)
            var best: (sum: Double, row: [Float]) = (.infinity, [])
            for _ in 0..<candidateCount {
                let target = random.uniform() * total
                var running = 0.0
                let row =
                    closest.firstIndex {
                        running += $0
                        return running > target
                    } ?? 0
                let sum = zip(closest, points).reduce(0) {
                    $0 + min($1.0, distance($1.1, points[row]))
                }
                if sum < best.sum { best = (sum, points[row]) }
            }
            chosen = best.row
            for i in points.indices { closest[i] = min(closest[i], distance(points[i], chosen)) }
            result += chosen
        }
        return result
    }

    /// Whole coordinates: every sum is exact, so the choices must be those of the definition.
    @Test(arguments: [(2, 2), (7, 3), (8, 4), (20, 4), (64, 6)])
    func greedyIsTheDefinition(k: Int, candidateCount: Int) throws {
        var random = SeededRandom(seed: 3, stream: UInt64(k))
        let (n, d) = (1_300, 3)
        let values = (0..<n * d).map { _ in Float(random.below(40)) }
        let matrix = FeatureMatrix(rowMajor: values, rowCount: n, featureCount: d)
        let expected = reference(
            rows(values, d), k, candidateCount: candidateCount, seed: 9)
        for level in ISALevel.available {
            #expect(try seed(matrix, k, .greedy, seed: 9, kernels: KernelTable(level)) == expected)
        }
    }

    @Test(arguments: KMeans.Seeding.allCases)
    func sameBytesForAnyThreadCountAndSource(method: KMeans.Seeding) throws {
        let clouds = PlantedClouds(
            rowCount: 20_011, cloudCount: 12, featureCount: 3, spread: 6, seed: 4)
        let points = clouds.matrix
        for limits in [KMeansSeeding.Limits(), miniBatches(above: 20_000)] {
            let one = try seed(points, 12, method, threadCount: 1, limits: limits)
            #expect(one.count == 36)
            #expect(try seed(points, 12, method, threadCount: 3, limits: limits) == one)
            let decoded = DecodedPoints(points: points)
            #expect(try seed(decoded, 12, method, threadCount: 2, limits: limits) == one)
            #expect(try seed(points, 12, method, seed: 2, limits: limits) != one)
        }
    }

    @Test(arguments: [KMeans.Seeding.greedy, .parallel])
    func centroidsAreDifferentRows(method: KMeans.Seeding) throws {
        let clouds = PlantedClouds(
            rowCount: 3_000, cloudCount: 5, featureCount: 2, spread: 3, seed: 6)
        let all = Set(rows(clouds.rows, 2))
        let centroids = rows(try seed(clouds.matrix, 40, method), 2)
        #expect(Set(centroids).count == 40)
        #expect(centroids.allSatisfy(all.contains))
    }

    /// Far apart, so that the first draws leave no cloud without a centroid.
    @Test(arguments: KMeans.Seeding.allCases)
    func everyFarCloudGetsACentroid(method: KMeans.Seeding) throws {
        let clouds = PlantedClouds(
            rowCount: 12_000, cloudCount: 15, featureCount: 4, spread: 1_000, seed: 8)
        for seed in 1...5 as ClosedRange<UInt64> {
            let centroids = try self.seed(
                clouds.matrix, 15, method, seed: seed, limits: miniBatches(above: 10_000))
            // 4 × 12,000 squared normals, each around another row of its cloud: twice at most, on
            // average; around another cloud it would be a hundred times as much.
            #expect(inertia(clouds.matrix, centroids) < 3 * 48_000, "seed \(seed)")
        }
    }

    /// Inertia after seeding, beside greedy k-means++ and averaged over seeds.
    @Test func parallelAndMiniBatchStartsAreAsGood() throws {
        let clouds = PlantedClouds(
            rowCount: 16_000, cloudCount: 30, featureCount: 6, spread: 2, seed: 10)
        let points = clouds.matrix
        var (greedy, parallel, batches) = (0.0, 0.0, 0.0)
        for seed in 1...5 as ClosedRange<UInt64> {
            greedy += inertia(points, try self.seed(points, 30, .greedy, seed: seed))
            parallel += inertia(points, try self.seed(points, 30, .parallel, seed: seed))
            batches += inertia(
                points,
                try self.seed(points, 30, .auto, seed: seed, limits: miniBatches(above: 10_000)))
        }
        #expect(parallel < 1.05 * greedy)
        #expect(batches < 0.75 * greedy)
    }

    @Test func autoGoesByTheLimits() throws {
        let points = PlantedClouds(
            rowCount: 5_000, cloudCount: 6, featureCount: 2, spread: 3, seed: 12
        ).matrix
        var limits = KMeansSeeding.Limits()
        #expect(try seed(points, 20, .auto) == seed(points, 20, .greedy))
        limits.greedyRowCount = 4_999
        #expect(try seed(points, 20, .auto, limits: limits) == seed(points, 20, .parallel))
        #expect(try seed(points, 16, .auto, limits: limits) == seed(points, 16, .greedy))
        // A sample that would hold all rows: they are seeded as a whole.
        limits.wholeRowCount = 4_999
        #expect(try seed(points, 20, .auto, limits: limits) == seed(points, 20, .greedy))
    }

    @Test(arguments: KMeans.Seeding.allCases)
    func countsDistinctRows(method: KMeans.Seeding) throws {
        // Nearly all alike; each of 20 others once.
        let n = 6_000
        let values = (0..<n).flatMap { row -> [Float] in
            row % 300 == 17 ? [Float(row), 1] : [4, 0.5]
        }
        let points = FeatureMatrix(rowMajor: values, rowCount: n, featureCount: 2)
        for limits in [KMeansSeeding.Limits(), miniBatches(above: 1_000)] {
            let centroids = rows(try seed(points, 21, method, limits: limits), 2)
            #expect(Set(centroids) == Set(rows(values, 2)))
            #expect(
                throws: ModelError.tooFewDistinctRows(model: "k-means", actual: 21, needed: 22)
            ) {
                try seed(points, 22, method, limits: limits)
            }
        }
        let constant = FeatureMatrix(
            rowMajor: [Float](repeating: 3, count: n), rowCount: n, featureCount: 1)
        #expect(try seed(constant, 1, method) == [3])
        #expect(throws: ModelError.tooFewDistinctRows(model: "k-means", actual: 1, needed: 2)) {
            try seed(constant, 2, method)
        }
        #expect(throws: ModelError.tooFewRows(model: "k-means", actual: n, needed: n + 1)) {
            try seed(constant, n + 1, method)
        }
        #expect(throws: ModelError.noRows(model: "k-means")) {
            try seed(FeatureMatrix(rowCount: 0, featureCount: 2), 1, method)
        }
    }

    @Test(arguments: KMeans.Seeding.allCases)
    func anUnreadableSourceIsAnError(method: KMeans.Seeding) throws {
        let points = PlantedClouds(
            rowCount: 9_000, cloudCount: 6, featureCount: 2, spread: 3, seed: 14
        ).matrix
        let source = DecodedPoints(points: points, failingRow: 320)
        for limits in [KMeansSeeding.Limits(), miniBatches(above: 5_000)] {
            #expect(throws: ModelError.unreadable(what: "block 5", reason: "damaged")) {
                try seed(source, 8, method, limits: limits)
            }
        }
    }

    /// One row far from all others: it is a centroid in every seeding.
    @Test func anOutlierIsFound() throws {
        var values = PlantedClouds(
            rowCount: 2_000, cloudCount: 1, featureCount: 2, spread: 0, seed: 16
        ).rows
        values[2 * 1_234] = 1e6
        let points = FeatureMatrix(rowMajor: values, rowCount: 2_000, featureCount: 2)
        for seed in 1...10 as ClosedRange<UInt64> {
            let centroids = rows(try self.seed(points, 2, .greedy, seed: seed), 2)
            #expect(centroids.contains { $0[0] == 1e6 })
        }
    }
}
