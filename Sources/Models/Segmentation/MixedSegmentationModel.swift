package import Numerical

/// A named column of categories, as codes into their names.
package struct CategoryColumn: Sendable, Equatable {
    package let name: String
    /// `[rowCount]`: indices into `categories`; below 0: missing.
    package let codes: [Int32]
    package let categories: [String]

    package init(_ name: String, codes: [Int32], categories: [String]) {
        self.name = name
        self.codes = codes
        self.categories = categories
    }
}

/// A fitted segmentation of customers by numbers and categories: scaling, means and modes of named
/// columns. Segments are numbered from 0, largest first, so that a refit on the same data gives the
/// same numbers.
///
/// Categories are kept by name and only those that are a segment's mode: a later table may number
/// them as it likes, and one that the fit never saw matches no segment. Missing numbers are the
/// scaling's centre, missing categories add nothing to any distance.
package struct MixedSegmentationModel: Sendable, Equatable, Codable {
    package let featureNames: [String]
    package let categoryNames: [String]
    /// nil where there are no numbers.
    package let scaling: FeatureScaling?
    /// `[segmentCount × featureCount]`, row-major, scaled coordinates.
    package let means: [Float]
    /// `[segmentCount × categoryCount]`, row-major: the most frequent category of each segment; nil
    /// where none of its rows has one.
    package let modes: [String?]
    /// What a mismatch of categories costs beside squared differences of coordinates.
    package let gamma: Double
    /// `[categoryCount]`: `gamma` times the column's weight.
    package let categoryCosts: [Float]
    /// `[segmentCount]`: rows of each segment in the fit.
    package let sizes: [Int]
    /// Sum of squared distances to the prototypes.
    package let cost: Double
    package let iterations: Int
    package let converged: Bool
    package let parameters: KPrototypes.Parameters

    package var segmentCount: Int { sizes.count }
    package var featureCount: Int { featureNames.count }
    package var categoryCount: Int { categoryNames.count }

    /// Fits scaling and prototypes.
    /// - Parameters:
    ///   - columns: one array a name, all of one count; none for categories alone (k-modes).
    ///   - valid: a flag a value for each column, nil where all are valid; empty: all columns are.
    ///   - categories: none for numbers alone.
    ///   - rows: rows of the columns to fit on, ascending; all where nil.
    /// - Returns: the model and the rows' assignment.
    /// - Throws: what `FeatureScaling.fit` and `KPrototypes.fit` throw; `countMismatch`, and
    ///   `badColumn` for a code without a name.
    package static func fit(
        featureNames: [String], columns: [[Float]], valid: [[Bool]?] = [],
        categories: [CategoryColumn], rows: [Int]? = nil, scaling kind: FeatureScaling.Kind,
        parameters: KPrototypes.Parameters, kernels: KernelTable = .current
    ) throws(ModelError) -> (
        model: MixedSegmentationModel, assignment: SegmentationModel.Assignment
    ) {
        guard featureNames.count == columns.count else {
            throw .countMismatch(
                what: "feature names", actual: featureNames.count, expected: columns.count)
        }
        try parameters.check(categoryCount: categories.count)
        let scaling =
            columns.isEmpty
            ? nil : try FeatureScaling.fit(kind, columns: columns, valid: valid, rows: rows)
        let mixed = try mixedRows(
            scaling, columns, valid, categories.map(\.codes), categories, rows,
            threadCount: parameters.threadCount)
        let fitted = try KPrototypes.fit(mixed, parameters, kernels: kernels)
        let (d, c) = (columns.count, categories.count)
        func name(_ cluster: Int, _ column: Int) -> String? {
            let code = fitted.modes[cluster * c + column]
            return code < 0 ? nil : categories[column].categories[Int(code)]
        }
        let ranks = ranking(fitted)
        let model = MixedSegmentationModel(
            featureNames: featureNames, categoryNames: categories.map(\.name), scaling: scaling,
            means: ranks.flatMap { fitted.means[$0 * d..<($0 + 1) * d] },
            modes: ranks.flatMap { cluster in (0..<c).map { name(cluster, $0) } },
            gamma: fitted.gamma, categoryCosts: fitted.categoryCosts,
            sizes: ranks.map { fitted.sizes[$0] }, cost: fitted.cost,
            iterations: fitted.iterations, converged: fitted.converged, parameters: parameters)
        // As in `SegmentationModel`: a tie goes to the lowest number in the new order.
        return (model, model.assign(mixed, categories, kernels, parameters.threadCount))
    }

    /// Chooses the number of segments: fits each in a range, as `fit` would.
    /// - Parameters: as of `fit`.
    /// - Throws: as `fit` and `ClusterCountSearch.search`.
    package static func search(
        columns: [[Float]], valid: [[Bool]?] = [], categories: [CategoryColumn],
        rows: [Int]? = nil, scaling kind: FeatureScaling.Kind,
        _ parameters: ClusterCountSearch.Parameters, fit: KPrototypes.Parameters,
        kernels: KernelTable = .current
    ) throws(ModelError) -> ClusterCountSearch.MixedOutcome {
        let scaling =
            columns.isEmpty
            ? nil : try FeatureScaling.fit(kind, columns: columns, valid: valid, rows: rows)
        let mixed = try mixedRows(
            scaling, columns, valid, categories.map(\.codes), categories, rows,
            threadCount: fit.threadCount)
        return try ClusterCountSearch.search(mixed, parameters, fit: fit, kernels: kernels)
    }

    /// Assigns rows to segments.
    /// - Parameters:
    ///   - columns: the fit's features in its order.
    ///   - categories: the fit's category columns in its order, by name; the codes may differ.
    ///   - rows: rows of the columns, one a row of the assignment; all where nil.
    /// - Throws: what `FeatureScaling.apply` throws; `countMismatch`; `badColumn` for a column of
    ///   another name and for a code without a name.
    package func assign(
        columns: [[Float]], valid: [[Bool]?] = [], categories: [CategoryColumn],
        rows: [Int]? = nil, threadCount: Int, kernels: KernelTable = .current
    ) throws(ModelError) -> SegmentationModel.Assignment {
        guard columns.count == featureCount else {
            throw .countMismatch(
                what: "feature columns", actual: columns.count, expected: featureCount)
        }
        guard categories.count == categoryCount else {
            throw .countMismatch(
                what: "category columns", actual: categories.count, expected: categoryCount)
        }
        for (column, name) in zip(categories, categoryNames) where column.name != name {
            throw .badColumn(
                name: column.name, reason: "the model was fitted with \"\(name)\" in its place")
        }
        let mixed = try Self.mixedRows(
            scaling, columns, valid, categories.map(\.codes), categories, rows,
            threadCount: threadCount)
        return assign(mixed, categories, kernels, threadCount)
    }

    /// The mean of a segment in the features' own units.
    package func meanValues(of segment: Int) -> [Double] {
        (0..<featureCount).map {
            let coordinate = means[segment * featureCount + $0]
            return scaling?.value(ofCoordinate: coordinate, $0) ?? Double(coordinate)
        }
    }

    /// The most frequent category of a segment in each column; nil: none.
    package func modes(of segment: Int) -> [String?] {
        Array(modes[segment * categoryCount..<(segment + 1) * categoryCount])
    }

    private func assign(
        _ mixed: MixedRows, _ categories: [CategoryColumn], _ kernels: KernelTable,
        _ threadCount: Int
    ) -> SegmentationModel.Assignment {
        FittedKPrototypes(
            clusterCount: segmentCount, gamma: gamma, categoryCosts: categoryCosts, means: means,
            modes: modeCodes(categories), assignments: [], sizes: sizes, cost: cost,
            costPerIteration: [], converged: converged
        ).assign(mixed, threadCount: threadCount, kernels: kernels)
    }

    /// The modes as a table numbers its categories; -1 for those that it does not have.
    func modeCodes(_ categories: [CategoryColumn]) -> [Int32] {
        var codes = [Int32](repeating: -1, count: modes.count)
        for (column, values) in categories.enumerated() {
            var wanted: [String: [Int]] = [:]
            for segment in 0..<segmentCount {
                let place = segment * categoryCount + column
                if let mode = modes[place] { wanted[mode, default: []].append(place) }
            }
            for (code, name) in values.categories.enumerated() {
                // The first of equal names.
                for place in wanted.removeValue(forKey: name) ?? [] { codes[place] = Int32(code) }
            }
        }
        return codes
    }

    private static func mixedRows(
        _ scaling: FeatureScaling?, _ columns: [[Float]], _ valid: [[Bool]?], _ codes: [[Int32]],
        _ categories: [CategoryColumn], _ rows: [Int]?, threadCount: Int
    ) throws(ModelError) -> MixedRows {
        guard let available = columns.first?.count ?? codes.first?.count else {
            throw .noRows(model: "k-prototypes")
        }
        for column in categories {
            guard column.codes.count == available else {
                throw .countMismatch(
                    what: "rows of column \"\(column.name)\"", actual: column.codes.count,
                    expected: available)
            }
            let count = Int32(clamping: column.categories.count)
            let span = column.codes.span
            for row in span.indices where span[row] >= count {
                throw .badColumn(
                    name: column.name,
                    reason: """
                        row \(row) has the code \(span[row]), but there are \(count) categories; \
                        use -1 for a missing one
                        """)
            }
        }
        let rowCount = rows?.count ?? available
        let numeric =
            try scaling?.apply(columns: columns, valid: valid, rows: rows, threadCount: threadCount)
            ?? FeatureMatrix(rowCount: rowCount, featureCount: 0)
        return MixedRows(
            numeric: numeric,
            categories: CategoryMatrix(columns: codes, rows: rows, rowCount: rowCount))
    }

    /// Clusters, largest first; ties by their means, then by the codes of their modes.
    private static func ranking(_ fitted: FittedKPrototypes) -> [Int] {
        let (d, c) = (fitted.numericCount, fitted.categoryCount)
        return (0..<fitted.clusterCount).sorted { left, right in
            if fitted.sizes[left] != fitted.sizes[right] {
                return fitted.sizes[left] > fitted.sizes[right]
            }
            let (a, b) = (
                fitted.means[left * d..<(left + 1) * d], fitted.means[right * d..<(right + 1) * d]
            )
            if a != b { return a.lexicographicallyPrecedes(b) }
            return fitted.modes[left * c..<(left + 1) * c].lexicographicallyPrecedes(
                fitted.modes[right * c..<(right + 1) * c])
        }
    }
}

extension MixedSegmentationModel {
    private enum CodingKeys: String, CodingKey {
        case featureNames, categoryNames, scaling, means, modes, gamma, categoryCosts, sizes, cost
        case iterations, converged, parameters
    }

    /// - Throws: `DecodingError.dataCorrupted` for parts that do not fit together, and for values
    ///   that no fit gives.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        featureNames = try values.decode([String].self, forKey: .featureNames)
        categoryNames = try values.decode([String].self, forKey: .categoryNames)
        scaling = try values.decodeIfPresent(FeatureScaling.self, forKey: .scaling)
        means = try values.decode([Float].self, forKey: .means)
        modes = try values.decode([String?].self, forKey: .modes)
        gamma = try values.decode(Double.self, forKey: .gamma)
        categoryCosts = try values.decode([Float].self, forKey: .categoryCosts)
        sizes = try values.decode([Int].self, forKey: .sizes)
        cost = try values.decode(Double.self, forKey: .cost)
        iterations = try values.decode(Int.self, forKey: .iterations)
        converged = try values.decode(Bool.self, forKey: .converged)
        parameters = try values.decode(KPrototypes.Parameters.self, forKey: .parameters)
        let k = sizes.count
        func require(_ holds: Bool, _ key: CodingKeys, _ reason: String) throws {
            guard holds else {
                throw DecodingError.dataCorruptedError(
                    forKey: key, in: values, debugDescription: reason)
            }
        }
        try require(k >= 1, .sizes, "a segmentation has at least one segment")
        try require(
            means.count == k * featureNames.count, .means, "means are segments × features")
        try require(means.allSatisfy(\.isFinite), .means, "a mean is not finite")
        try require(
            modes.count == k * categoryNames.count, .modes, "modes are segments × categories")
        try require(
            categoryCosts.count == categoryNames.count
                && categoryCosts.allSatisfy { $0 >= 0 && $0.isFinite }, .categoryCosts,
            "every category column has a cost of at least 0")
        try require(
            scaling?.featureCount ?? 0 == featureNames.count, .scaling,
            "the scaling is of other features")
    }
}
