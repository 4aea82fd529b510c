package import Numerical

extension ClusterCountSearch {
    /// What a choice among fits of k-prototypes gives.
    package struct MixedOutcome: Sendable {
        package let clusterCount: Int
        /// One a count, ascending; `inertia` is the cost.
        package let trials: [Trial]
        package let criterion: Criterion
        /// Rows that the silhouettes are of.
        package let sampleRowCount: Int
    }

    /// Fits every count of k-prototypes and compares them, as of points.
    ///
    /// The silhouettes' distances are those of k-prototypes, but that a missing category is half a
    /// mismatch away from every category, and that categories beyond the 32 most frequent ones of
    /// the sample count as one. The ratio of Caliński and Harabasz is that of costs.
    /// - Parameters:
    ///   - rows: as `KPrototypes.fit`.
    ///   - fit: of each fit, but for the number of clusters.
    /// - Throws: as of points, and what `KPrototypes.fit` throws of one cluster.
    /// - Complexity: a fit a count, and O(sampleRowCount² × columns) for its silhouette. Bit-equal for
    ///   any thread count.
    package static func search(
        _ rows: MixedRows, _ parameters: Parameters, fit: KPrototypes.Parameters,
        kernels: KernelTable = .current
    ) throws(ModelError) -> MixedOutcome {
        try parameters.check()
        var attempt = fit
        attempt.clusterCount = 1
        let whole = try KPrototypes.fit(rows, attempt, kernels: kernels)
        // All fits are to weigh categories alike.
        attempt.gamma = whole.gamma
        let sample = sampledRows(
            of: rows.rowCount, parameters.sampleRowCount,
            SeededRandom(seed: fit.seed, stream: sampleStream))
        let points = embedded(rows, sample, costs: whole.categoryCosts)
        let (best, trials) = try compare(
            parameters, total: whole.cost, rowCount: rows.rowCount, model: "k-prototypes"
        ) { clusterCount throws(ModelError) in
            var counted = attempt
            counted.clusterCount = clusterCount
            let fitted = try KPrototypes.fit(rows, counted, kernels: kernels)
            return (
                clusterCount, fitted.cost,
                Silhouette.mean(
                    rows: points.values, featureCount: points.width,
                    labels: sample.map { fitted.assignments[$0] }, clusterCount: clusterCount,
                    threadCount: fit.threadCount, kernels: kernels)
            )
        }
        return MixedOutcome(
            clusterCount: best, trials: trials, criterion: parameters.criterion,
            sampleRowCount: sample.count)
    }

    /// Categories that have a coordinate of their own.
    private static let mostCategories = 32

    /// Rows as points whose squared distances are those of k-prototypes: of a category one
    /// coordinate is the root of half the cost of a mismatch, the others are 0.
    private static func embedded(
        _ rows: MixedRows, _ sample: [Int], costs: [Float]
    ) -> (values: [Float], width: Int) {
        var places: [[Int32: Int]] = []
        var width = rows.numericCount
        for column in 0..<rows.categoryCount {
            var counts: [Int32: Int] = [:]
            for row in sample where rows.categories[row, column] >= 0 {
                counts[rows.categories[row, column], default: 0] += 1
            }
            let ordered = counts.sorted {
                $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value
            }
            var place: [Int32: Int] = [:]
            for (index, entry) in ordered.enumerated() {
                place[entry.key] = width + min(index, mostCategories - 1)
            }
            width += min(ordered.count, mostCategories)
            places.append(place)
        }
        var values = [Float](repeating: 0, count: sample.count * width)
        for (position, row) in sample.enumerated() {
            for j in 0..<rows.numericCount { values[position * width + j] = rows.numeric[row, j] }
            for (column, place) in places.enumerated() {
                guard let place = place[rows.categories[row, column]] else { continue }
                values[position * width + place] = (costs[column] / 2).squareRoot()
            }
        }
        return (values, width)
    }
}
