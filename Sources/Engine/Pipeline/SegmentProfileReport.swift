package import Models

/// What `patron segments` prints of one segmentation: its segments in the published generation, and
/// what their customers are like.
package struct SegmentProfileReport: Encodable, Sendable {
    package struct Segment: Encodable, Sendable {
        package var id: Int
        package var name: String
        package var customerCount: Int
        /// Of all customers that have a segment; 0 for none.
        package var customerShare: Double
        package var revenue: Double
        /// Nil where that of all is not above 0; as for the margin.
        package var revenueShare: Double?
        package var margin: Double?
        package var marginShare: Double?
        package var meanLifetimeValue: Double?
        package var meanChurnProbability: Double?
        package var meanExpectedPurchases: Double?
        package var distinctions: [SegmentTable.Distinction]
    }

    package var segmentation: String
    package var generation: Int
    package var asOf: String
    package var currency: String
    /// Nil for the tiers, which are a part of the lifetime model.
    package var modelVersion: Int?
    /// By id.
    package var segments: [Segment]
    /// Its segments are in the same order; nil for a generation of before there were profiles, and
    /// for the tiers.
    package var features: SegmentProfiles?
    /// Nil for rules, layers and combinations, which have no centroids.
    package var map: SegmentMapReport?
}

/// Where segments lie beside each other on two principal axes, for a picture: the `SegmentMap` of a
/// model by the segments' ids.
package struct SegmentMapReport: Encodable, Sendable {
    package struct Position: Encodable, Sendable {
        package var segment: Int
        /// In scaled units from the mean of all customers, along the first and the second axis.
        package var x: Double
        package var y: Double
    }

    package struct Loading: Encodable, Sendable {
        package var feature: String
        /// What a unit of the scaled feature adds to x and to y.
        package var x: Double
        package var y: Double
    }

    /// Of the variance of the scaled features, by the two axes.
    package var varianceShares: [Double]
    /// By segment.
    package var positions: [Position]
    package var loadings: [Loading]

    /// - Parameters:
    ///   - ids: of the map's segments, in its order.
    ///   - features: the numbers that were scaled, in the order of the loadings.
    /// - Returns: nil where the map is not of these.
    init?(_ map: SegmentMap, ids: [Int], features: [String]) {
        guard map.positions.count == ids.count, map.positions.allSatisfy({ $0.count == 2 }),
            map.loadings.count == 2, map.loadings.allSatisfy({ $0.count == features.count })
        else { return nil }
        varianceShares = map.varianceShares
        positions = zip(ids, map.positions).map { Position(segment: $0, x: $1[0], y: $1[1]) }
            .sorted { $0.segment < $1.segment }
        loadings = features.enumerated().map { feature, name in
            Loading(feature: name, x: map.loadings[0][feature], y: map.loadings[1][feature])
        }
    }
}

extension Workspace {
    /// The current generation, opened.
    /// - Throws: `.noSnapshot` before the first publish.
    func publishedSnapshot() throws(EngineError) -> ServingSnapshot {
        guard let number = manifest.currentGeneration,
            let generation = manifest.generations.first(where: { $0.number == number })
        else {
            throw .noSnapshot(
                workspace: folder, what: "nothing is published yet: run `patron publish` first")
        }
        return try ServingSnapshot(
            SnapshotLocation(generation: number, folder: "\(folder)/\(generation.folder)"))
    }

    /// - Parameter name: of a segmentation, or `tier`.
    /// - Throws: `.noSnapshot`; `.unknownModel` for a name that the generation does not have.
    package func segmentProfile(of name: String) throws(EngineError) -> SegmentProfileReport {
        let snapshot = try publishedSnapshot()
        guard let table = snapshot.segments.first(where: { $0.segmentation == name }) else {
            throw .unknownModel(name: name, known: snapshot.segments.map(\.segmentation))
        }
        let customers = table.segments.reduce(0) { $0 + $1.customerCount }
        let revenue = table.segments.reduce(0) { $0 + $1.revenue }
        let margin = table.segments.reduce(0) { $0 + ($1.margin ?? 0) }
        return SegmentProfileReport(
            segmentation: name, generation: snapshot.generation,
            asOf: snapshot.asOf.description, currency: snapshot.currency,
            modelVersion: snapshot.models.first { $0.name == "segmentation.\(name)" }?.version,
            segments: table.segments.map { segment in
                SegmentProfileReport.Segment(
                    id: segment.number, name: segment.name, customerCount: segment.customerCount,
                    customerShare: customers > 0
                        ? Double(segment.customerCount) / Double(customers) : 0,
                    revenue: segment.revenue,
                    revenueShare: revenue > 0 ? segment.revenue / revenue : nil,
                    margin: segment.margin,
                    marginShare: margin > 0 ? segment.margin.map { $0 / margin } : nil,
                    meanLifetimeValue: segment.meanLifetimeValue,
                    meanChurnProbability: segment.meanChurnProbability,
                    meanExpectedPurchases: segment.meanExpectedPurchases,
                    distinctions: segment.distinctions ?? [])
            }, features: try snapshot.profile(of: name)?.features,
            map: try segmentMap(of: name, snapshot))
    }

    /// Of every segmentation of the published generation that has one; by name.
    /// - Throws: `.noSnapshot`; `.damagedModel`.
    package func segmentMaps() throws(EngineError) -> [String: SegmentMapReport] {
        let snapshot = try publishedSnapshot()
        var maps: [String: SegmentMapReport] = [:]
        for table in snapshot.segments {
            maps[table.segmentation] = try segmentMap(of: table.segmentation, snapshot)
        }
        return maps
    }

    /// By the version that a generation was scored with; nil where there is no such map, or no such
    /// version any more.
    private func segmentMap(
        of name: String, _ snapshot: ServingSnapshot
    ) throws(EngineError) -> SegmentMapReport? {
        let model = snapshot.models.first { $0.name == "segmentation.\(name)" }
        guard let entry = manifest.models.first(where: { ModelReference($0) == model }) else {
            return nil
        }
        let path = "\(folder)/\(entry.file)"
        let read = try ModelStore.read(FittedSegmentation.self, from: path)
        guard let map = read.card.map else { return nil }
        let features: [String]
        switch read.model.segmenter {
        case .clusters(let clusters): features = clusters.featureNames
        case .mixed(let mixed): features = mixed.model.featureNames
        case .grid, .join, .layers, .quadrants, .stages: return nil
        }
        guard
            let report = SegmentMapReport(map, ids: read.model.segmentIDs, features: features)
        else {
            throw .damagedModel(path: path, reason: "its map is of other segments or features")
        }
        return report
    }
}
