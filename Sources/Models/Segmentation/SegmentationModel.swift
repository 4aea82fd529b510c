import Numerical

/// A fitted segmentation: scaling and centroids of named features. Segments are numbered from 0 in
/// the order asked for, so that a refit on the same data gives the same numbers.
package struct SegmentationModel: Sendable, Equatable, Codable {
    /// How segments are numbered.
    package enum Order: Sendable, Equatable {
        /// Largest first; ties by the centroids' coordinates in feature order.
        case size
        /// Highest centroid in one feature first; ties as `size`.
        case feature(Int)
    }

    /// What a segmentation gives each row.
    package struct Assignment: Sendable, Equatable {
        /// `[rowCount]`: 0 ..< segmentCount.
        package let segments: [Int32]
        /// `[rowCount]`: distance to the segment's centroid in scaled coordinates.
        package let distances: [Float]
    }

    package let featureNames: [String]
    package let scaling: FeatureScaling
    /// `[segmentCount × featureCount]`, row-major, scaled coordinates.
    package let centroids: [Float]
    /// `[segmentCount]`: rows of each segment in the fit.
    package let sizes: [Int]
    /// Sum of squared distances to the centroids, scaled coordinates.
    package let inertia: Double
    /// Sum of squared distances to the overall mean; `1 - inertia / totalInertia` is the share of
    /// the variance that the segments explain.
    package let totalInertia: Double
    package let iterations: Int
    package let converged: Bool
    package let parameters: KMeans.Parameters

    package var segmentCount: Int { sizes.count }
    package var featureCount: Int { featureNames.count }

    /// Share of the scaled features' variance that the segments explain; 0 where there is none.
    package var explainedVariance: Double {
        totalInertia > 0 ? max(0, 1 - inertia / totalInertia) : 0
    }

    /// Fits scaling and clusters.
    /// - Parameters:
    ///   - columns: one array a name, all of one count.
    ///   - valid: a flag a value for each column, nil where all are valid; empty: all columns are.
    ///   - rows: rows of the columns to fit on, ascending; all where nil.
    /// - Returns: the model and the rows' assignment.
    /// - Throws: what `FeatureScaling.fit` and `KMeans.fit` throw.
    package static func fit(
        featureNames: [String], columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil,
        scaling kind: FeatureScaling.Kind, parameters: KMeans.Parameters, order: Order = .size
    ) throws(ModelError) -> (model: SegmentationModel, assignment: Assignment) {
        guard featureNames.count == columns.count else {
            throw .countMismatch(
                what: "feature names", actual: featureNames.count, expected: columns.count)
        }
        if case .feature(let feature) = order, !columns.indices.contains(feature) {
            throw .outOfRange(
                what: "the ordering feature", actual: Double(feature),
                allowed: "0 ..< \(columns.count)")
        }
        let scaling = try FeatureScaling.fit(kind, columns: columns, valid: valid, rows: rows)
        let points = try scaling.apply(
            columns: columns, valid: valid, rows: rows, threadCount: parameters.threadCount)
        let fitted = try KMeans.fit(points, parameters)
        let ranks = ranking(fitted, order)
        let d = columns.count
        let model = SegmentationModel(
            featureNames: featureNames, scaling: scaling,
            centroids: ranks.flatMap { fitted.centroids[$0 * d..<($0 + 1) * d] },
            sizes: ranks.map { fitted.sizes[$0] }, inertia: fitted.inertia,
            totalInertia: try totalInertia(points, threadCount: parameters.threadCount),
            iterations: fitted.iterations, converged: fitted.converged, parameters: parameters)
        // Not a renumbering of the fit's labels: a tie goes to the lowest number in the new order,
        // as it will whenever the model is applied.
        return (model, model.assign(points, threadCount: parameters.threadCount))
    }

    /// Assigns rows to segments.
    /// - Parameters:
    ///   - columns: the fit's features in its order.
    ///   - rows: rows of the columns, one a row of the assignment; all where nil.
    /// - Throws: what `FeatureScaling.apply` throws.
    package func assign(
        columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil, threadCount: Int
    ) throws(ModelError) -> Assignment {
        let points = try scaling.apply(
            columns: columns, valid: valid, rows: rows, threadCount: threadCount)
        return assign(points, threadCount: threadCount)
    }

    /// The centroid of a segment in the features' own units.
    package func centroidValues(of segment: Int) -> [Double] {
        (0..<featureCount).map {
            scaling.value(ofCoordinate: centroids[segment * featureCount + $0], $0)
        }
    }

    private func assign(_ points: FeatureMatrix, threadCount: Int) -> Assignment {
        let fitted = FittedKMeans(
            clusterCount: segmentCount, featureCount: featureCount, centroids: centroids,
            assignments: [], sizes: sizes, inertia: inertia, inertiaPerIteration: [],
            converged: converged, origin: origin)
        let segments = fitted.assign(points, threadCount: threadCount)
        return Assignment(
            segments: segments,
            distances: fitted.distances(points, assignments: segments, threadCount: threadCount))
    }

    /// What is subtracted before rows and centroids are compared: the mean of the fit's rows where
    /// it lies so far from 0 that the comparison would lose its digits (unscaled years, amounts,
    /// coordinates); else nil, as in the fit.
    private var origin: [Float]? {
        let rows = Double(max(1, sizes.reduce(0, +)))
        var means = [Double](repeating: 0, count: featureCount)
        for segment in 0..<segmentCount {
            for j in 0..<featureCount {
                means[j] +=
                    Double(centroids[segment * featureCount + j]) * Double(sizes[segment]) / rows
            }
        }
        let squaredMean = means.reduce(0) { $0 + $1 * $1 }
        return squaredMean > Moments.farRatio * totalInertia / rows ? means.map(Float.init) : nil
    }

    private static func ranking(_ fitted: FittedKMeans, _ order: Order) -> [Int] {
        let d = fitted.featureCount
        func centroid(_ cluster: Int) -> ArraySlice<Float> {
            fitted.centroids[cluster * d..<(cluster + 1) * d]
        }
        return (0..<fitted.clusterCount).sorted { left, right in
            if case .feature(let feature) = order {
                let (a, b) = (
                    fitted.centroids[left * d + feature], fitted.centroids[right * d + feature]
                )
                if a != b { return a > b }
            }
            if fitted.sizes[left] != fitted.sizes[right] {
                return fitted.sizes[left] > fitted.sizes[right]
            }
            return centroid(left).lexicographicallyPrecedes(centroid(right))
        }
    }

    private static func totalInertia(
        _ points: FeatureMatrix, threadCount: Int
    ) throws(ModelError) -> Double {
        let moments = try Moments(points, threadCount: threadCount, kernels: .current)
        return moments.meanVariance * Double(points.featureCount) * Double(points.rowCount)
    }
}
