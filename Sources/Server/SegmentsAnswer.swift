import ByteCoding
import Engine
import Wire

/// The tables that a request is about.
private func tables(
    _ served: ServedSnapshot, _ request: SegmentsRequest
) throws(Refusal) -> [SegmentTable] {
    let tables = served.snapshot.segments.filter {
        request.segmentation == nil || $0.segmentation == request.segmentation
    }
    if let name = request.segmentation, tables.isEmpty {
        let known = served.snapshot.segments.map(\.segmentation).joined(separator: ", ")
        throw Refusal(
            .unknownSegmentation, "no segmentation \(name)",
            hint: known.isEmpty ? "none is published" : "there are: \(known)")
    }
    return tables
}

/// The segment table of one segmentation, or of all.
func segmentsAnswer(
    _ served: ServedSnapshot, _ request: SegmentsRequest
) throws(Refusal) -> TableAnswer {
    let tables = try tables(served, request)
    var rows: [(segmentation: String, segment: SegmentTable.Segment)] = []
    var customerShares: [Double] = []
    var revenueShares: [Double?] = []
    for table in tables {
        let customers = table.segments.reduce(0) { $0 + $1.customerCount }
        let revenue = table.segments.reduce(0) { $0 + $1.revenue }
        for segment in table.segments {
            rows.append((table.segmentation, segment))
            customerShares.append(
                customers > 0 ? Double(segment.customerCount) / Double(customers) : 0)
            // A share of nothing, or of a loss, says nothing.
            revenueShares.append(revenue > 0 ? segment.revenue / revenue : nil)
        }
    }
    let segments = rows.map(\.segment)
    var table = Table(
        rowCount: rows.count,
        columns: [
            WireColumn(.segmentation, .text(TextArray(rows.map(\.segmentation)))),
            WireColumn(.segmentID, .int32(segments.map { Int32(clamping: $0.number) })),
            WireColumn(.segmentName, .text(TextArray(segments.map(\.name)))),
            WireColumn(
                .segmentCustomerCount, .int64(segments.map { Int64($0.customerCount) })),
            WireColumn(.segmentCustomerShare, .float64(customerShares)),
            WireColumn(.segmentRevenue, .float64(segments.map(\.revenue))),
            column(.segmentRevenueShare, revenueShares),
            column(.segmentMeanLifetimeValue, segments.map(\.meanLifetimeValue)),
            column(.segmentMeanChurnProbability, segments.map(\.meanChurnProbability)),
        ])
    // Generations of before there were profiles lack these.
    if segments.contains(where: { $0.margin != nil }) {
        table.columns.append(column(.segmentMargin, segments.map(\.margin)))
        table.columns.append(
            column(.segmentMeanExpectedPurchases, segments.map(\.meanExpectedPurchases)))
    }
    if segments.contains(where: { $0.distinctions != nil }) {
        let texts = segments.map { ($0.distinctions ?? []).map(\.text).joined(separator: "; ") }
        table.columns.append(
            WireColumn(
                .segmentDistinctions, .text(TextArray(texts)),
                validity: ValidityBitmap(segments.map { $0.distinctions != nil })))
    }
    return TableAnswer(stamp: served.stamp, table: table)
}

/// What the segments of one segmentation, or of all, are like: a row a segment and feature.
func segmentProfilesAnswer(
    _ served: ServedSnapshot, _ request: SegmentsRequest
) throws(Refusal) -> TableAnswer {
    var rows: [ProfileRow] = []
    for table in try tables(served, request) {
        do throws(EngineError) {
            guard let profile = try served.snapshot.profile(of: table.segmentation) else {
                continue
            }
            rows += ProfileRow.rows(of: profile)
        } catch {
            throw Refusal(.snapshotDamaged, error.description)
        }
    }
    let limit = WireLimits.standard.rows
    guard rows.count <= limit else {
        throw Refusal(
            .answerTooLarge, "\(rows.count) rows of profiles, at most \(limit)",
            hint: "ask for one segmentation")
    }
    return TableAnswer(
        stamp: served.stamp,
        table: Table(
            rowCount: rows.count,
            columns: [
                WireColumn(.segmentation, .text(TextArray(rows.map(\.segmentation)))),
                WireColumn(.segmentID, .int32(rows.map { Int32(clamping: $0.segment) })),
                WireColumn(.profileFeature, .text(TextArray(rows.map(\.feature)))),
                WireColumn(
                    .profileCategory, .text(TextArray(rows.map { $0.category ?? "" })),
                    validity: ValidityBitmap(rows.map { $0.category != nil })),
                column(.profileMean, rows.map(\.mean)),
                column(.profileOverallMean, rows.map(\.overallMean)),
                column(.profileIndex, rows.map(\.index)),
                WireColumn(.profileDifference, .float64(rows.map(\.difference))),
                WireColumn(.profileMissingShare, .float64(rows.map(\.missingShare))),
            ]))
}

/// A feature, or a category of one, in one segment.
private struct ProfileRow {
    var segmentation: String
    var segment: Int
    var feature: String
    var category: String?
    var mean: Double?
    var overallMean: Double?
    var index: Double?
    var difference: Double
    var missingShare: Double

    /// Feature by feature, in each segment by segment.
    static func rows(of profile: SegmentProfile) -> [ProfileRow] {
        var rows: [ProfileRow] = []
        for column in profile.features.numbers {
            for (id, part) in zip(profile.ids, column.segments) {
                rows.append(
                    ProfileRow(
                        segmentation: profile.segmentation, segment: id, feature: column.name,
                        mean: part.mean, overallMean: column.mean, index: part.index,
                        difference: part.difference, missingShare: part.missingShare))
            }
        }
        for column in profile.features.categories {
            for (place, id) in profile.ids.enumerated() {
                for share in column.segments[place] {
                    rows.append(
                        ProfileRow(
                            segmentation: profile.segmentation, segment: id, feature: column.name,
                            category: share.category, mean: share.share,
                            overallMean: share.overallShare, index: share.index,
                            difference: share.difference,
                            missingShare: column.missingShares[place]))
                }
            }
        }
        return rows
    }
}

extension SegmentTable.Distinction {
    /// `revenue 310 (+1.8)`: the index, and the difference in standard deviations.
    fileprivate var text: String {
        // What is larger is as good as this, and an integer holds it.
        func whole(_ value: Double) -> Int { Int(min(1e15, max(-1e15, value)).rounded()) }
        let tenths = whole(abs(difference) * 10)
        let value = "\(difference < 0 ? "-" : "+")\(tenths / 10).\(tenths % 10)"
        let name = category.map { "\(feature) = \($0)" } ?? feature
        return index.map { "\(name) \(whole($0)) (\(value))" } ?? "\(name) (\(value))"
    }
}

private func column(_ id: ColumnID, _ values: [Double?]) -> WireColumn {
    WireColumn(
        id, .float64(values.map { $0 ?? 0 }), validity: ValidityBitmap(values.map { $0 != nil }))
}
