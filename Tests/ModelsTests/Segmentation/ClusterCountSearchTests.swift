import Models
import Numerical
import Testing

@Suite struct ClusterCountSearchTests {
    private func silhouette(
        _ rows: [Float], _ featureCount: Int, _ labels: [Int32], _ clusterCount: Int,
        kernels: KernelTable = .current, threadCount: Int = 2
    ) -> Double? {
        Silhouette.mean(
            rows: rows, featureCount: featureCount, labels: labels, clusterCount: clusterCount,
            threadCount: threadCount, kernels: kernels)
    }

    /// On a line: a = 1 everywhere; b = 10.5 for the outer, 9.5 for the inner values.
    @Test func silhouetteOfFourNumbers() throws {
        let mean = try #require(silhouette([0, 1, 10, 11], 1, [0, 0, 1, 1], 2))
        #expect(abs(mean - (9.5 / 10.5 + 8.5 / 9.5) / 2) < 1e-6)
        // Alone in its cluster: 0 for that row.
        let single = try #require(silhouette([0, 1, 11], 1, [0, 0, 2], 3))
        #expect(abs(single - (10.0 / 11 + 9.0 / 10) / 3) < 1e-6)
        #expect(silhouette([0, 1], 1, [1, 1], 3) == nil)
        #expect(silhouette([5, 5, 5, 5], 1, [0, 0, 1, 1], 2) == 0)
    }

    @Test func silhouetteIsTheDefinition() throws {
        for (n, d, k) in [(17, 1, 3), (130, 3, 5), (333, 9, 7)] {
            let rows = PlantedClouds(
                rowCount: n, cloudCount: 4, featureCount: d, spread: 2, seed: UInt64(n)
            ).rows
            var random = SeededRandom(seed: 5)
            // The last cluster stays empty.
            let labels = (0..<n).map { _ in Int32(random.below(k - 1)) }
            func distance(_ a: Int, _ b: Int) -> Double {
                (0..<d).reduce(0.0) {
                    let difference = Double(rows[a * d + $1]) - Double(rows[b * d + $1])
                    return $0 + difference * difference
                }.squareRoot()
            }
            var total = 0.0
            for i in 0..<n {
                var (sums, counts) = (
                    [Double](repeating: 0, count: k), [Int](repeating: 0, count: k)
                )
                for other in 0..<n where other != i {
                    sums[Int(labels[other])] += distance(i, other)
                    counts[Int(labels[other])] += 1
                }
                let own = Int(labels[i])
                guard counts[own] > 0 else { continue }
                let a = sums[own] / Double(counts[own])
                let others = (0..<k).filter { $0 != own && counts[$0] > 0 }
                let b = others.map { sums[$0] / Double(counts[$0]) }.min() ?? .infinity
                if b.isFinite { total += (b - a) / max(a, b) }
            }
            for level in ISALevel.available {
                let mean = try #require(
                    silhouette(rows, d, labels, k, kernels: KernelTable(level)))
                #expect(abs(mean - total / Double(n)) < 2e-6, "\(level) \(n) \(d) \(k)")
            }
        }
    }

    @Test(arguments: [3, 5, 8]) func findsThePlantedCount(k: Int) throws {
        let points = PlantedClouds(
            rowCount: 400 * k, cloudCount: k, featureCount: 4, spread: 8, seed: UInt64(20 + k)
        ).matrix
        let fit = KMeans.Parameters(seed: 2, restarts: 4, threadCount: 2)
        for criterion in ClusterCountSearch.Criterion.allCases {
            let outcome = try ClusterCountSearch.search(
                points, .init(criterion: criterion, sampleRowCount: 600), fit: fit)
            #expect(outcome.clusterCount == k, "\(criterion): \(outcome.trials)")
            #expect(outcome.fitted.sizes == [Int](repeating: 400, count: k))
            #expect(outcome.trials.map(\.clusterCount) == Array(2...12))
            #expect(outcome.sampleRowCount == 600)
            #expect(!outcome.isWeak)
            #expect(outcome.trials.allSatisfy { $0.failure == nil && $0.inertia != nil })
            // The fit is that of the same parameters and this count.
            var same = fit
            same.clusterCount = k
            #expect(try KMeans.fit(points, same) == outcome.fitted)
        }
    }

    @Test func theResultDoesNotDependOnThreads() throws {
        let points = PlantedClouds(
            rowCount: 1_500, cloudCount: 4, featureCount: 3, spread: 3, seed: 31
        ).matrix
        let search = ClusterCountSearch.Parameters(counts: 2...6, sampleRowCount: 500)
        let one = try ClusterCountSearch.search(points, search, fit: .init(threadCount: 1))
        let three = try ClusterCountSearch.search(points, search, fit: .init(threadCount: 3))
        #expect(one.trials == three.trials)
        #expect(one.clusterCount == three.clusterCount)
    }

    /// The variance ratio of three pairs on a line, by hand: within 3 × 0.5, between 2 × 2 × 100.
    @Test func calinskiHarabaszByHand() throws {
        let points = FeatureMatrix(columns: [[0, 1, 10, 11, 20, 21]])
        let outcome = try ClusterCountSearch.search(
            points, .init(counts: 3...3, criterion: .calinskiHarabasz),
            fit: .init(restarts: 10))
        let trial = try #require(outcome.best)
        #expect(abs((trial.inertia ?? 0) - 1.5) < 1e-6)
        #expect(abs((trial.calinskiHarabasz ?? 0) - (400.0 / 2) / (1.5 / 3)) < 1e-3)
    }

    /// No criterion can say "one": a cloud without structure gets some count, marked as weak.
    @Test func oneCloudIsWeak() throws {
        let points = PlantedClouds(
            rowCount: 2_000, cloudCount: 1, featureCount: 8, spread: 0, seed: 33
        ).matrix
        let outcome = try ClusterCountSearch.search(
            points, .init(counts: 2...5, sampleRowCount: 800), fit: .init())
        #expect((2...5).contains(outcome.clusterCount))
        #expect(outcome.isWeak)
    }

    /// Four different rows: more clusters cannot be fitted, and the curve says why.
    @Test(arguments: ClusterCountSearch.Criterion.allCases)
    func fewDifferentRows(criterion: ClusterCountSearch.Criterion) throws {
        let points = FeatureMatrix(columns: [(0..<200).map { Float($0 % 4) }])
        let distinct = 4
        let outcome = try ClusterCountSearch.search(
            points, .init(counts: 2...6, criterion: criterion), fit: .init(restarts: 5))
        #expect(outcome.clusterCount == distinct)
        #expect(outcome.best?.inertia == 0)
        #expect(outcome.best?.calinskiHarabasz == nil)
        #expect(abs((outcome.best?.silhouette ?? 0) - 1) < 1e-6)
        for trial in outcome.trials where trial.clusterCount > distinct {
            #expect(trial.inertia == nil)
            #expect(trial.failure?.contains("only \(distinct) apart") == true)
        }
    }

    @Test func badInputIsRefused() throws {
        let constant = FeatureMatrix(columns: [[Float](repeating: 3, count: 100)])
        #expect(throws: ModelError.tooFewDistinctRows(model: "k-means", actual: 1, needed: 2)) {
            try ClusterCountSearch.search(constant, .init(), fit: .init())
        }
        #expect(throws: ModelError.noRows(model: "k-means")) {
            try ClusterCountSearch.search(
                FeatureMatrix(rowCount: 0, featureCount: 1), .init(), fit: .init())
        }
        #expect(throws: ModelError.self) {
            try ClusterCountSearch.search(constant, .init(counts: 1...3), fit: .init())
        }
        #expect(throws: ModelError.self) {
            try ClusterCountSearch.search(constant, .init(sampleRowCount: 1), fit: .init())
        }
    }
}
