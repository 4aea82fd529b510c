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
            }, features: try snapshot.profile(of: name)?.features)
    }
}
