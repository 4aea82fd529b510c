import Models
import Numerical
import Testing

@Suite struct MixedClusterCountTests {
    @Test(arguments: [
        (ClusterCountSearch.Criterion.silhouette, 3, 3),
        (.calinskiHarabasz, 3, 3), (.silhouette, 0, 6), (.silhouette, 4, 0),
    ])
    func thePlantedCountIsFound(
        criterion: ClusterCountSearch.Criterion, numeric: Int, categories: Int
    ) throws {
        let data = MixedPlanted(
            3_000, clusters: 4, numeric: numeric, categories: categories, spread: 0.3,
            purity: 0.95, missing: 0.02, seed: 12)
        let parameters = ClusterCountSearch.Parameters(
            counts: 2...8, criterion: criterion, sampleRowCount: 1_000)
        let fit = KPrototypes.Parameters(restarts: 4, threadCount: 2)
        let outcome = try ClusterCountSearch.search(data.rows, parameters, fit: fit)
        #expect(outcome.clusterCount == 4)
        #expect(outcome.trials.map(\.clusterCount) == Array(2...8))
        #expect(outcome.sampleRowCount == 1_000)
        var single = fit
        single.threadCount = 1
        #expect(
            try ClusterCountSearch.search(data.rows, parameters, fit: single).trials
                == outcome.trials)
    }

    /// Without missing categories the silhouette is that of the distances of k-prototypes.
    @Test func theSilhouetteIsOfItsOwnDistances() throws {
        let data = MixedPlanted(60, clusters: 3, numeric: 2, categories: 2, seed: 5)
        let rows = data.rows
        let outcome = try ClusterCountSearch.search(
            rows, .init(counts: 3...3), fit: .init(gamma: 1.7))
        let fitted = try KPrototypes.fit(rows, .init(clusterCount: 3, gamma: 1.7))
        func distance(_ a: Int, _ b: Int) -> Double {
            var sum = 0.0
            for j in 0..<2 {
                let difference = Double(rows.numeric[a, j] - rows.numeric[b, j])
                sum += difference * difference
                if rows.categories[a, j] != rows.categories[b, j] { sum += 1.7 }
            }
            return sum.squareRoot()
        }
        var total = 0.0
        for row in 0..<60 {
            func mean(_ cluster: Int32) -> Double {
                let others = (0..<60).filter { $0 != row && fitted.assignments[$0] == cluster }
                return others.reduce(0) { $0 + distance(row, $1) } / Double(others.count)
            }
            let own = fitted.assignments[row]
            let a = mean(own)
            let b = (0..<3).filter { Int32($0) != own }.map { mean(Int32($0)) }.min() ?? 0
            total += (b - a) / max(a, b)
        }
        let silhouette = try #require(outcome.trials[0].silhouette)
        #expect(abs(silhouette - total / 60) < 1e-4)
    }

    @Test func whatCannotBeChosenFrom() throws {
        let rows = MixedRows(
            numeric: FeatureMatrix(columns: [[1, 1, 1, 2]]),
            categories: CategoryMatrix(columns: [[0, 0, 0, 0]], rowCount: 4))
        #expect(throws: ModelError.self) {
            try ClusterCountSearch.search(rows, .init(counts: 1...3), fit: .init())
        }
        #expect(
            throws: ModelError.tooFewDistinctRows(model: "k-prototypes", actual: 2, needed: 3)
        ) { try ClusterCountSearch.search(rows, .init(counts: 3...4), fit: .init()) }
        let outcome = try ClusterCountSearch.search(rows, .init(counts: 2...4), fit: .init())
        #expect(outcome.clusterCount == 2 && outcome.trials[1].failure != nil)
    }
}
