package import Numerical

/// Chooses the number of clusters: fits each in a range and keeps the one that a criterion prefers.
///
/// The criteria compare cluster counts of 2 and more: none of them can say that there is one cluster
/// only. Rows without any structure get some count with a low score; a best silhouette below
/// `weakSilhouette` says so.
package enum ClusterCountSearch {
    /// What the counts are compared by; higher is better, ties go to the smaller count.
    package enum Criterion: String, Sendable, Codable, CaseIterable {
        /// Mean silhouette width of a sample of rows, exact on that sample; in -1...1.
        /// Source: see `Silhouette`.
        case silhouette
        /// (variance between clusters / (k - 1)) / (variance within clusters / (n - k)).
        /// Source: T. Caliński and J. Harabasz, "A dendrite method for cluster analysis",
        /// Communications in Statistics 3, 1974.
        case calinskiHarabasz
    }

    package struct Parameters: Sendable, Equatable {
        /// Numbers of clusters that are tried; from 2 on. More cost a fit each.
        package var counts: ClosedRange<Int> = 2...12
        package var criterion = Criterion.silhouette
        /// Rows of the silhouette's sample, at least 2; its cost grows with the square.
        package var sampleRowCount = 4_000

        package init(
            counts: ClosedRange<Int> = 2...12, criterion: Criterion = .silhouette,
            sampleRowCount: Int = 4_000
        ) {
            self.counts = counts
            self.criterion = criterion
            self.sampleRowCount = sampleRowCount
        }

        func check() throws(ModelError) {
            guard counts.lowerBound >= 2 else {
                throw .outOfRange(
                    what: "the least clusterCount tried",
                    actual: Double(counts.lowerBound), allowed: "at least 2")
            }
            guard sampleRowCount >= 2 else {
                throw .outOfRange(
                    what: "sampleRowCount", actual: Double(sampleRowCount),
                    allowed: "at least 2")
            }
        }
    }

    /// How one number of clusters did. All numbers are finite.
    package struct Trial: Sendable, Equatable, Codable {
        package var clusterCount: Int
        /// Nil where the fit failed.
        package var inertia: Double?
        /// Nil where the fit failed, or all sampled rows are in one cluster.
        package var silhouette: Double?
        /// Nil where the fit failed, or every row lies on its centroid: the score is then
        /// unbounded, and the count wins by this criterion.
        package var calinskiHarabasz: Double?
        /// Why there is no fit.
        package var failure: String?
    }

    package struct Outcome: Sendable {
        package let clusterCount: Int
        /// The fit of that count.
        package let fitted: FittedKMeans
        /// One a count, ascending.
        package let trials: [Trial]
        package let criterion: Criterion
        /// Rows that the silhouettes are of.
        package let sampleRowCount: Int

        package var best: Trial? { trials.first { $0.clusterCount == clusterCount } }

        /// Whether the best silhouette is too low to speak of clusters.
        package var isWeak: Bool { (best?.silhouette ?? 0) < ClusterCountSearch.weakSilhouette }
    }

    /// A mean silhouette width below this: "no substantial structure has been found".
    /// Source: L. Kaufman and P. Rousseeuw, "Finding Groups in Data", 1990, table 4.
    package static let weakSilhouette = 0.25

    /// Fits every count and compares them.
    /// - Parameters:
    ///   - points: as `KMeans.fit`.
    ///   - fit: of each fit, but for the number of clusters. The sample is drawn by its seed and is
    ///     the same for all counts.
    /// - Throws: `outOfRange` for wrong parameters; where no count can be fitted, the error of the
    ///   smallest (constant rows: `tooFewDistinctRows`).
    /// - Complexity: a fit a count, and O(sampleRowCount² × features) for its silhouette. Bit-equal
    ///   for any thread count.
    package static func search(
        _ points: FeatureMatrix, _ parameters: Parameters, fit: KMeans.Parameters,
        kernels: KernelTable = .current
    ) throws(ModelError) -> Outcome {
        try parameters.check()
        var single = fit
        single.clusterCount = 1
        single.restarts = 1
        let totalInertia = try KMeans.fit(points, single, kernels: kernels).inertia
        let sample = Sample(
            points, rowCount: parameters.sampleRowCount,
            random: SeededRandom(seed: fit.seed, stream: sampleStream))
        let (best, trials) = try compare(
            parameters, total: totalInertia, rowCount: points.rowCount, model: "k-means"
        ) { clusterCount throws(ModelError) in
            var attempt = fit
            attempt.clusterCount = clusterCount
            let fitted = try KMeans.fit(points, attempt, kernels: kernels)
            return (
                fitted, fitted.inertia,
                Silhouette.mean(
                    rows: sample.values, featureCount: points.featureCount,
                    labels: sample.rows.map { fitted.assignments[$0] },
                    clusterCount: clusterCount, threadCount: fit.threadCount, kernels: kernels)
            )
        }
        return Outcome(
            clusterCount: best.clusterCount, fitted: best, trials: trials,
            criterion: parameters.criterion, sampleRowCount: sample.rows.count)
    }

    /// Fits every count by `fit` and keeps the fit that the criterion prefers, of equals that of the
    /// smaller count.
    /// - Parameters:
    ///   - total: the inertia, or cost, of one cluster.
    ///   - model: for an error without any count.
    ///   - fit: a count's fit, its inertia or cost and its silhouette.
    /// - Throws: where no count can be fitted, the error of the smallest.
    static func compare<Fitted>(
        _ parameters: Parameters, total: Double, rowCount: Int, model: String,
        fit: (Int) throws(ModelError) -> (fitted: Fitted, inertia: Double, silhouette: Double?)
    ) throws(ModelError) -> (best: Fitted, trials: [Trial]) {
        var trials: [Trial] = []
        var best: (score: Double, fitted: Fitted)?
        var failure: ModelError?
        for clusterCount in parameters.counts {
            var trial = Trial(clusterCount: clusterCount)
            do throws(ModelError) {
                let attempt = try fit(clusterCount)
                (trial.inertia, trial.silhouette) = (attempt.inertia, attempt.silhouette)
                let ratio = calinskiHarabasz(
                    total: total, within: attempt.inertia, rowCount: rowCount,
                    clusterCount: clusterCount)
                trial.calinskiHarabasz = ratio.isFinite ? ratio : nil
                let score =
                    switch parameters.criterion {
                    case .silhouette: attempt.silhouette ?? -.infinity
                    case .calinskiHarabasz: ratio
                    }
                if best == nil || score > best?.score ?? -.infinity {
                    best = (score, attempt.fitted)
                }
            } catch {
                failure = failure ?? error
                trial.failure = error.description
            }
            trials.append(trial)
        }
        guard let best else { throw failure ?? .noRows(model: model) }
        return (best.fitted, trials)
    }

    /// No restart has this stream.
    static let sampleStream: UInt64 = 1 << 32

    /// Infinite where every row lies on its centroid.
    static func calinskiHarabasz(
        total: Double, within: Double, rowCount: Int, clusterCount: Int
    ) -> Double {
        guard within > 0, rowCount > clusterCount else { return .infinity }
        let between = max(0, total - within) / Double(clusterCount - 1)
        return between / (within / Double(rowCount - clusterCount))
    }

    /// Rows chosen without repetition, ascending, and their features.
    private struct Sample {
        let rows: [Int]
        /// `[rows.count × featureCount]`, row-major.
        let values: [Float]

        init(_ points: FeatureMatrix, rowCount: Int, random: SeededRandom) {
            rows = sampledRows(of: points.rowCount, rowCount, random)
            values = rows.flatMap { points.row($0) }
        }
    }

    /// Rows chosen without repetition, ascending; all where they are no more than wanted.
    ///
    /// Source: R. Floyd in J. Bentley, "Programming pearls: a sample of brilliance",
    /// Communications of the ACM 30, 1987.
    static func sampledRows(of count: Int, _ wanted: Int, _ random: SeededRandom) -> [Int] {
        if count <= wanted { return Array(0..<count) }
        var random = random
        var chosen: Set<Int> = []
        for last in count - wanted..<count {
            let row = random.below(last + 1)
            chosen.insert(chosen.contains(row) ? last : row)
        }
        return chosen.sorted()
    }
}
