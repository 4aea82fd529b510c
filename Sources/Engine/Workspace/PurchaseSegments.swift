import ByteCoding
package import ColumnStore
import Features
package import Ingest

/// Purchase lines on disk: one segment file an ingested file, sorted by (customer, time, line).
///
/// Columns: `customer` (int64 or text), `time` (UTC seconds), `amount`, and where mapped `margin`,
/// `quantity`, `order`, `product`, `category`, `promotion`, `channel`.
package enum PurchaseSegments {
    /// Sorts and writes the lines of one file.
    package static func write(
        _ lines: PurchaseLines, to path: String
    ) throws(EngineError) -> SegmentSummary {
        let history = try sorted(
            lines.customerIDs, lines.times, lines.amounts, lines.margins, lines.quantities,
            lines.orderIDs, lines.products, lines.categories, lines.promotions, lines.channels)
        var columns = [
            Column(name: "customer", data: customerColumn(history)),
            Column(name: "time", data: .int64(history.times)),
            Column(name: "amount", data: .int64(history.amounts)),
        ]
        if let margins = history.margins {
            columns.append(Column(name: "margin", data: .int64(margins)))
        }
        if let quantities = history.quantities {
            columns.append(Column(name: "quantity", data: .float32(quantities)))
        }
        if let codes = history.orderCodes, let orders = lines.orderIDs {
            columns.append(
                textColumn("order", CodedText(codes: codes, values: orders.values)))
        }
        for (name, text) in [
            ("product", history.products), ("category", history.categories),
            ("promotion", history.promotions), ("channel", history.channels),
        ] {
            if let text { columns.append(textColumn(name, text)) }
        }
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try writeSegmentFile(
                columns, units: ["time": "s", "amount": "1/10000", "margin": "1/10000"], to: path)
        }
    }

    private static func sorted(
        _ customers: IDColumn, _ times: [Int64], _ amounts: [Int64], _ margins: [Int64]?,
        _ quantities: [Float]?, _ orders: CodedText?, _ products: CodedText?,
        _ categories: CodedText?, _ promotions: CodedText?, _ channels: CodedText?
    ) throws(EngineError) -> PurchaseHistory {
        try mapErrors(EngineError.features) { () throws(FeatureError) in
            try PurchaseHistory.sorting(
                lineCustomerIDs: customers, times: times, amounts: amounts, margins: margins,
                quantities: quantities, orderCodes: orders?.codes, products: products,
                categories: categories, promotions: promotions, channels: channels)
        }
    }

    /// The customer's id of every line, from the ids and offsets of the customers.
    private static func customerColumn(_ history: PurchaseHistory) -> ColumnData {
        switch history.customerIDs {
        case .integers(let ids):
            var lines: [Int64] = []
            lines.reserveCapacity(history.lineCount)
            for (row, id) in ids.enumerated() {
                lines.append(
                    contentsOf: repeatElement(id, count: history.lines(ofCustomer: row).count))
            }
            return .int64(lines)
        case .texts(let ids):
            var codes: [UInt32] = []
            codes.reserveCapacity(history.lineCount)
            for row in 0..<ids.count {
                codes.append(
                    contentsOf: repeatElement(
                        UInt32(row), count: history.lines(ofCustomer: row).count))
            }
            return .coded(CodedText(codes: codes, values: ids))
        }
    }
}

/// A text column; rows without a value are marked in the validity bitmap.
func textColumn(_ name: String, _ text: CodedText) -> Column {
    let valid = text.codes.map { $0 != CodedText.missing }
    return Column(
        name: name, data: .coded(text), validity: valid.allSatisfy(\.self) ? nil : valid)
}

/// Writes whole columns as one segment file.
/// - Parameter units: by column name; empty for those not named.
func writeSegmentFile(
    _ columns: [Column], units: [String: String] = [:], to path: String
) throws(StoreError) -> SegmentSummary {
    let schema = columns.map {
        ColumnSchema(name: $0.name, type: $0.data.type, unit: units[$0.name] ?? "")
    }
    let writer = try SegmentWriter(path: path, schema: schema)
    try writer.append(columns)
    return try writer.finish()
}
