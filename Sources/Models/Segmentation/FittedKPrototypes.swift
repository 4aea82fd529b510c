package import Numerical

/// The result of a k-prototypes fit.
package struct FittedKPrototypes: Sendable, Equatable {
    package let clusterCount: Int
    /// What a mismatch of categories costs.
    package let gamma: Double
    /// `[categoryCount]`: `gamma` times the column's weight.
    package let categoryCosts: [Float]
    /// `[clusterCount × numericCount]`, row-major.
    package let means: [Float]
    /// `[clusterCount × categoryCount]`, row-major: codes; -1 where no row of the cluster has one.
    package let modes: [Int32]
    /// `[rowCount]`: the nearest prototype of each row, ties to the lowest index.
    package let assignments: [Int32]
    /// `[clusterCount]`: rows of each cluster.
    package let sizes: [Int]
    /// The sum of squared distances of the rows to their prototypes, in double precision.
    package let cost: Double
    /// The cost of each iteration's assignment, before the prototypes move: a sum in double
    /// precision of distances in single precision, about 1e-7 of it off.
    package let costPerIteration: [Double]
    /// Whether no row changed its cluster any more, or the tolerance was met.
    package let converged: Bool

    package var iterations: Int { costPerIteration.count }
    package var numericCount: Int { means.count / clusterCount }
    package var categoryCount: Int { categoryCosts.count }

    /// The nearest prototype of each row and the distance (not squared) to it; the fit's own rows
    /// give its own assignments.
    /// - Precondition: `rows` has the fit's columns, and its numbers are finite.
    package func assign(
        _ rows: MixedRows, threadCount: Int, kernels: KernelTable = .current
    ) -> SegmentationModel.Assignment {
        precondition(rows.numericCount == numericCount && rows.categoryCount == categoryCount)
        let prototypes = PrototypeGroups(
            means: means, modes: modes, costs: categoryCosts, count: clusterCount)
        let chunkRows = 64 * FeatureMatrix.blockRowCount
        let parts = parallelMap(
            count: rows.rowCount, chunkSize: chunkRows, threadCount: threadCount
        ) { _, range in
            var labels = [Int32](repeating: 0, count: range.count)
            var distances = [Float](repeating: 0, count: range.count)
            var scratch = MixedScratch(categoryCount: rows.categoryCount)
            var labelSpan = labels.mutableSpan
            var distanceSpan = distances.mutableSpan
            kernels.assign(
                rows.numeric, rows.categories, rows: range, to: prototypes, labels: &labelSpan,
                distances: &distanceSpan, scratch: &scratch)
            for i in distanceSpan.indices { distanceSpan[i] = distanceSpan[i].squareRoot() }
            return (labels, distances)
        }
        return SegmentationModel.Assignment(
            segments: parts.flatMap(\.0), distances: parts.flatMap(\.1))
    }
}
