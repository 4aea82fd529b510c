import Features
package import Models

/// What tells which segment a customer is in.
package enum Segmenter: Sendable, Equatable {
    case clusters(SegmentationModel)
    case grid(RFMGrid)
    case quadrants(QuadrantModel)
    case stages(LifecycleStages)

    package var featureNames: [String] {
        switch self {
        case .clusters(let model): model.featureNames
        case .grid(let model): model.featureNames
        case .quadrants(let model): model.featureNames
        case .stages: LifecycleStages.featureNames
        }
    }

    package var segmentCount: Int {
        switch self {
        case .clusters(let model): model.segmentCount
        case .grid(let model): model.segmentCount
        case .quadrants(let model): model.segmentCount
        case .stages(let model): model.segmentCount
        }
    }

    /// Before the features, in the description of a column.
    var words: String {
        switch self {
        case .clusters: "k-means on"
        case .grid: "levels of"
        case .quadrants: "high and low by"
        case .stages: "stages by"
        }
    }

    private func assign(
        _ input: SegmentationInput, threadCount: Int
    ) throws(ModelError) -> [Int32] {
        switch self {
        case .clusters(let model):
            try model.assign(
                columns: input.columns, valid: input.valid, rows: input.rows,
                threadCount: threadCount
            ).segments
        case .grid(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        case .quadrants(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        case .stages(let model):
            model.assign(columns: input.columns, valid: input.valid, rows: input.rows)
        }
    }

    /// The segment of every customer of a table, -1 for those that are not eligible.
    /// - Parameter name: of the model, for errors.
    func segments(
        of table: FeatureTable, _ name: String, threadCount: Int
    ) throws(EngineError) -> [Int32] {
        var numbers = [Int32](repeating: -1, count: table.rowCount)
        let status = table.history.status
        let rows = status.indices.filter { status[$0] == CustomerHistory.ok }
        guard !rows.isEmpty else { return numbers }
        var inputs: [FeatureColumn] = []
        for feature in featureNames {
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
        let segments = try modelErrors(name) { () throws(ModelError) in
            try assign(input, threadCount: threadCount)
        }
        for (position, row) in rows.enumerated() { numbers[row] = segments[position] }
        return numbers
    }
}

/// The segmentation of one training: what `segmentation.…` model files hold.
package struct FittedSegmentation: Sendable {
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
        case model, grid, quadrants, stages, segmentNames, unavailable, segmentIDs, nextID
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
        case .quadrants(let model): try container.encode(model, forKey: .quadrants)
        case .stages(let stages): try container.encode(stages, forKey: .stages)
        }
        try container.encode(segmentNames, forKey: .segmentNames)
        try container.encode(unavailable, forKey: .unavailable)
        try container.encode(segmentIDs, forKey: .segmentIDs)
        try container.encode(nextID, forKey: .nextID)
    }
}
