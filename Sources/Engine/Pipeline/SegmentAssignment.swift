import Features
package import Models

/// What tells which segment a customer is in.
package enum Segmenter: Sendable, Equatable {
    case clusters(SegmentationModel)
    case grid(RFMGrid)
    case join(JoinedSegments)
    case layers(LayeredSegments)
    case mixed(MixedSegments)
    case quadrants(QuadrantModel)
    case stages(LifecycleStages)

    /// Those of segmentations that it is made of are not among them.
    package var featureNames: [String] {
        switch self {
        case .clusters(let model): model.featureNames
        case .grid(let model): model.featureNames
        case .join: []
        case .layers(let layers): layers.featureNames
        case .mixed(let segments): segments.model.featureNames + segments.model.categoryNames
        case .quadrants(let model): model.featureNames
        case .stages: LifecycleStages.featureNames
        }
    }

    package var segmentCount: Int {
        switch self {
        case .clusters(let model): model.segmentCount
        case .grid(let model): model.segmentCount
        case .join(let joined): joined.segmentCount
        case .layers(let layers): layers.segmentCount
        case .mixed(let segments): segments.model.segmentCount
        case .quadrants(let model): model.segmentCount
        case .stages(let model): model.segmentCount
        }
    }

    /// Before the features, in the description of a column.
    var words: String {
        switch self {
        case .clusters: "k-means on"
        case .grid: "levels of"
        case .join: "combinations of"
        case .layers(let layers): "within each \(layers.base.plainName), by"
        case .mixed: "k-prototypes on"
        case .quadrants: "high and low by"
        case .stages: "stages by"
        }
    }

    /// - Parameter table: of the rows.
    private func assign(
        _ input: SegmentationInput, of table: FeatureTable, threadCount: Int
    ) throws(ModelError) -> [Int32] {
        switch self {
        case .clusters(let model):
            try model.assign(
                columns: input.columns, valid: input.valid, rows: input.rows,
                threadCount: threadCount
            ).segments
        case .grid(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        case .join, .layers:
            preconditionFailure("segments of segments need those that they are made of")
        case .mixed(let segments):
            try segments.model.assign(
                columns: input.columns, valid: input.valid,
                categories: segments.categories(of: table),
                rows: input.rows, threadCount: threadCount
            ).segments
        case .quadrants(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        case .stages(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        }
    }

    /// The segment of every customer of a table, -1 for those that are not eligible.
    /// - Parameters:
    ///   - name: of the model, for errors.
    ///   - bases: by model name the segments of those that it is made of, of every row.
    func segments(
        of table: FeatureTable, _ name: String, within bases: [String: [Int32]] = [:],
        threadCount: Int
    ) throws(EngineError) -> [Int32] {
        switch self {
        case .join(let joined):
            return try joined.assign(
                try joined.parts.map { (part) throws(EngineError) in
                    try Self.numbers(of: part.model, bases, for: name)
                }, name)
        case .layers(let layers):
            return try layers.segments(
                of: table, name, within: try Self.numbers(of: layers.base, bases, for: name),
                threadCount: threadCount)
        case .clusters, .grid, .mixed, .quadrants, .stages:
            var numbers = [Int32](repeating: -1, count: table.rowCount)
            let rows = table.eligibleRows(for: featureNames)
            let segments = try segments(ofRows: rows, of: table, name, threadCount: threadCount)
            for (position, row) in rows.enumerated() { numbers[row] = segments[position] }
            return numbers
        }
    }

    private static func numbers(
        of base: ModelReference, _ bases: [String: [Int32]], for name: String
    ) throws(EngineError) -> [Int32] {
        guard let numbers = bases[base.name] else {
            throw .basesMissing(model: name, bases: [base.name])
        }
        return numbers
    }

    /// The segments of some rows of a table, by a segmentation that is not made of others.
    func segments(
        ofRows rows: [Int], of table: FeatureTable, _ name: String, threadCount: Int
    ) throws(EngineError) -> [Int32] {
        guard !rows.isEmpty else { return [] }
        var inputs: [FeatureColumn] = []
        for feature in featureNames where !feature.hasPrefix(FeatureCatalog.textPrefix) {
            let column = table.column(named: feature)
            if column == nil, PredictedFeatures.names.contains(feature) {
                throw .noPredictions(model: name, features: [feature])
            }
            // A value that no customer has any more (a category gone from sale) is a share of 0.
            inputs.append(
                column
                    ?? FeatureColumn(
                        name: feature, unit: .share,
                        values: [Float](repeating: 0, count: table.rowCount)))
        }
        let input = SegmentationInput(columns: inputs, rows: rows, of: table.rowCount)
        return try modelErrors(name) { () throws(ModelError) in
            try assign(input, of: table, threadCount: threadCount)
        }
    }
}

extension FeatureTable {
    /// Who may have a segment, in every fit and every assignment: those with an order, and all where
    /// the features are of attributes alone.
    /// - Parameters:
    ///   - features: those that the model reads, not those that the plan wants: of these the data may
    ///     lack some.
    ///   - rows: among which; all where nil.
    func eligibleRows(for features: [String], among rows: [Int]? = nil) -> [Int] {
        let status = history.status
        if features.areOfAttributesAlone { return rows ?? Array(status.indices) }
        guard let rows else {
            return status.indices.filter { status[$0] == CustomerHistory.ok }
        }
        return rows.filter { status[$0] == CustomerHistory.ok }
    }
}

extension String {
    /// Of the name of a feature: whether it is an attribute, and no prediction.
    var isOfAttributes: Bool {
        FeatureCatalog.mayBeAttribute(self) && !PredictedFeatures.names.contains(self)
    }
}

extension [String] {
    /// Of names of features: whether there are any and none is of purchases.
    var areOfAttributesAlone: Bool { !isEmpty && allSatisfy(\.isOfAttributes) }
}

extension ModelReference {
    /// Of a segmentation, as the plan names it.
    var plainName: String {
        let prefix = "segmentation."
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }
}

/// The segmentation of one training: what `segmentation.…` model files hold.
package struct FittedSegmentation: Sendable, Equatable {
    package var segmenter: Segmenter
    /// One a segment: what sets it apart.
    package var segmentNames: [String]
    /// Features of the plan that this data does not have.
    package var unavailable: [String]
    /// `[segmentCount]`: what the segments are called everywhere outside of the model, where numbers
    /// change with every fit; 0 ... `largestID`, all different.
    package var segmentIDs: [Int]
    /// Above all ids that any version ever gave.
    package var nextID: Int

    /// As large as a score column holds.
    static let largestID = Int(Int32.max) - 1

    /// Of a first training: the ids are the numbers.
    init(segmenter: Segmenter, segmentNames: [String], unavailable: [String]) {
        self.segmenter = segmenter
        self.segmentNames = segmentNames
        self.unavailable = unavailable
        segmentIDs = Array(0..<segmenter.segmentCount)
        nextID = segmenter.segmentCount
    }
}

extension FittedSegmentation: Codable {
    private enum Key: String, CodingKey {
        case model, grid, join, layers, mixed, quadrants, stages, segmentNames, unavailable
        case segmentIDs, nextID
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        if let grid = try container.decodeIfPresent(RFMGrid.self, forKey: .grid) {
            segmenter = .grid(grid)
        } else if let model = try container.decodeIfPresent(QuadrantModel.self, forKey: .quadrants)
        {
            segmenter = .quadrants(model)
        } else if let stages = try container.decodeIfPresent(
            LifecycleStages.self, forKey: .stages)
        {
            segmenter = .stages(stages)
        } else if let joined = try container.decodeIfPresent(JoinedSegments.self, forKey: .join) {
            segmenter = .join(joined)
        } else if let layers = try container.decodeIfPresent(
            LayeredSegments.self, forKey: .layers)
        {
            segmenter = .layers(layers)
        } else if let mixed = try container.decodeIfPresent(MixedSegments.self, forKey: .mixed) {
            segmenter = .mixed(mixed)
        } else {
            segmenter = .clusters(try container.decode(SegmentationModel.self, forKey: .model))
        }
        segmentNames = try container.decode([String].self, forKey: .segmentNames)
        unavailable = try container.decode([String].self, forKey: .unavailable)
        guard segmentNames.count == segmenter.segmentCount else {
            throw DecodingError.dataCorruptedError(
                forKey: .segmentNames, in: container, debugDescription: "not a name a segment")
        }
        // Files of before there were ids have the numbers.
        let ids = try container.decodeIfPresent([Int].self, forKey: .segmentIDs)
        segmentIDs = ids ?? Array(0..<segmenter.segmentCount)
        nextID =
            try container.decodeIfPresent(Int.self, forKey: .nextID) ?? segmenter.segmentCount
        let (count, next) = (segmenter.segmentCount, nextID)
        guard segmentIDs.count == count, Set(segmentIDs).count == count,
            segmentIDs.allSatisfy({ 0 <= $0 && $0 < next }), next <= Self.largestID + 1
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .segmentIDs, in: container,
                debugDescription: "not an id a segment, each another below \(next)")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch segmenter {
        case .clusters(let model): try container.encode(model, forKey: .model)
        case .grid(let grid): try container.encode(grid, forKey: .grid)
        case .join(let joined): try container.encode(joined, forKey: .join)
        case .layers(let layers): try container.encode(layers, forKey: .layers)
        case .mixed(let segments): try container.encode(segments, forKey: .mixed)
        case .quadrants(let model): try container.encode(model, forKey: .quadrants)
        case .stages(let stages): try container.encode(stages, forKey: .stages)
        }
        try container.encode(segmentNames, forKey: .segmentNames)
        try container.encode(unavailable, forKey: .unavailable)
        try container.encode(segmentIDs, forKey: .segmentIDs)
        try container.encode(nextID, forKey: .nextID)
    }
}
