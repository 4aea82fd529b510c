import ByteCoding
import Engine
import Wire

/// The segment table of one segmentation, or of all.
func segmentsAnswer(
    _ served: ServedSnapshot, _ request: SegmentsRequest
) throws(Refusal) -> TableAnswer {
    let tables = served.snapshot.segments.filter {
        request.segmentation == nil || $0.segmentation == request.segmentation
    }
    if let name = request.segmentation, tables.isEmpty {
        let known = served.snapshot.segments.map(\.segmentation).joined(separator: ", ")
        throw Refusal(
            .unknownSegmentation, "no segmentation \(name)",
            hint: known.isEmpty ? "none is published" : "there are: \(known)")
    }
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
    return TableAnswer(
        stamp: served.stamp,
        table: Table(
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
            ]))
}

private func column(_ id: ColumnID, _ values: [Double?]) -> WireColumn {
    WireColumn(
        id, .float64(values.map { $0 ?? 0 }), validity: ValidityBitmap(values.map { $0 != nil }))
}
