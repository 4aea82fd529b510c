import ByteCoding
import ColumnStore
import Models

/// The score columns of a generation as a segment file or as CSV: what the analyst takes along.
struct ScoreFile {
    let contents: SnapshotContents
    /// Empty, or product rows of every customer.
    let topProducts: TopLists

    /// Columns `id`, `status`, the scores by name, and `top_product_1` … with their scores.
    func writeSegment(to path: String) throws(EngineError) {
        var columns = [
            Column(name: "id", data: contents.customerIDs.columnData),
            Column(name: "status", data: .int64(contents.status.map(Int64.init))),
        ]
        var units: [String: String] = [:]
        for column in contents.columns {
            units[column.name] = column.unit
            let data: ColumnData =
                switch column.values {
                case .int32(let values): .int64(values.map(Int64.init))
                case .float32(let values): .float32(values)
                case .float64(let values): .float64(values)
                }
            columns.append(Column(name: column.name, data: data, validity: column.valid))
        }
        if case .texts(let products)? = contents.affinity?.productIDs {
            for place in 0..<topProducts.largestCount {
                let codes = (0..<topProducts.queryCount).map { row in
                    topProducts[row, place].map { UInt32($0.item) } ?? CodedText.missing
                }
                let text = CodedText(codes: codes, values: products)
                columns.append(textColumn("top_product_\(place + 1)", text))
            }
        }
        _ = try mapErrors(EngineError.store) { () throws(StoreError) in
            try writeSegmentFile(columns, units: units, to: path)
        }
    }

    /// One line a customer under a header; an empty field where there is no score.
    func writeCSV(to path: String) throws(EngineError) {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let file = try AtomicFile(path: path)
            let places = topProducts.largestCount
            let header =
                ["customer_id", "status"] + contents.columns.map(\.name)
                + (0..<places).map { "top_product_\($0 + 1)" }
            var text = header.joined(separator: ",") + "\n"
            for row in 0..<contents.customerIDs.count {
                text += Self.field(contents.customerIDs[row].description)
                text += ",\(contents.status[row])"
                for column in contents.columns {
                    text += ","
                    guard column.valid?[row] ?? true else { continue }
                    switch column.values {
                    case .int32(let values): text += String(values[row])
                    case .float32(let values): text += "\(values[row])"
                    case .float64(let values): text += "\(values[row])"
                    }
                }
                for place in 0..<places {
                    text += ","
                    if let entry = topProducts[row, place],
                        let products = contents.affinity?.productIDs
                    {
                        text += Self.field(products[Int(entry.item)].description)
                    }
                }
                text += "\n"
                if text.utf8.count >= 1 << 20 {
                    try file.write(Array(text.utf8))
                    text.removeAll(keepingCapacity: true)
                }
            }
            try file.write(Array(text.utf8))
            try file.commit()
        }
    }

    /// Quoted where it must be (RFC 4180, section 2).
    private static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { ",\"\r\n".utf8.contains($0) }) else { return text }
        return "\""
            + text.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }
}
