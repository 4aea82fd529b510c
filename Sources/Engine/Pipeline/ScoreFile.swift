import ByteCoding
import ColumnStore
import Models
import Numerical

/// The score columns of a generation as a segment file or as CSV: what the analyst takes along.
struct ScoreFile: Sendable {
    static let name = "scores.seg"

    /// Affinity aside.
    let contents: SnapshotContents
    /// The products that the lists are about; nil without an affinity model.
    let products: TextArray?
    /// Empty, or product rows of every customer.
    let topProducts: TopProductRows
    /// Why customers have their churn probability; nil where no model says.
    let churnReasons: ChurnReasons?

    /// Rows that are handed to the writer at a time: whole blocks, so that little waits in it.
    private static let batchRowCount = 4 * Limits.blockRowCount

    /// Columns `id`, `status`, the scores by name, `churn_reason_1`, `churn_reason_1_effect` … and
    /// `top_product_1` …. Written
    /// batch by batch: beside the scores there is never more than one batch.
    func writeSegment(to path: String, threadCount: Int) throws(StoreError) {
        let rowCount = contents.customerIDs.count
        let places = topProducts.largestCount
        let units = Dictionary(
            contents.columns.map { ($0.name, $0.unit) }, uniquingKeysWith: { first, _ in first })
        let schema = columns(0..<0, places: places).map {
            ColumnSchema(name: $0.name, type: $0.data.type, unit: units[$0.name] ?? "")
        }
        let writer = try SegmentWriter(path: path, schema: schema, threadCount: threadCount)
        for start in stride(from: 0, to: rowCount, by: Self.batchRowCount) {
            let rows = start..<min(rowCount, start + Self.batchRowCount)
            try writer.append(columns(rows, places: places))
        }
        _ = try writer.finish()
    }

    /// Some rows of the segment file.
    private func columns(_ rows: Range<Int>, places: Int) -> [Column] {
        var columns = [
            Column(name: "id", data: contents.customerIDs.slice(rows).columnData),
            Column(name: "status", data: .int64(contents.status[rows].map(Int64.init))),
        ]
        for column in contents.columns {
            let data: ColumnData =
                switch column.values {
                case .int32(let values): .int64(values[rows].map(Int64.init))
                case .float32(let values): .float32(Array(values[rows]))
                case .float64(let values): .float64(Array(values[rows]))
                }
            columns.append(
                Column(
                    name: column.name, data: data, validity: column.valid.map { Array($0[rows]) }))
        }
        if let churnReasons {
            let names = TextArray(churnReasons.names)
            for place in 0..<churnReasons.count {
                let name = ChurnReasons.columnName(place)
                let features = churnReasons.features[place][rows]
                let valid = features.map { $0 >= 0 }
                let text = CodedText(
                    codes: features.map { $0 < 0 ? CodedText.missing : UInt32($0) }, values: names)
                columns.append(Column(name: name, data: .coded(text)))
                columns.append(
                    Column(
                        name: name + ChurnReasons.effectSuffix,
                        data: .float32(Array(churnReasons.effects[place][rows])),
                        validity: valid.contains(false) ? valid : nil))
            }
        }
        if let products {
            for place in 0..<places {
                let text = CodedText(
                    codes: topProducts.codes(rows, place: place), values: products)
                columns.append(Column(name: "top_product_\(place + 1)", data: .coded(text)))
            }
        }
        return columns
    }

    /// One line a customer under a header; an empty field where there is no score.
    func writeCSV(to path: String, threadCount: Int) throws(EngineError) {
        let places = topProducts.largestCount
        let header =
            ["customer_id", "status"] + contents.columns.map(\.name)
            + (0..<(churnReasons?.count ?? 0)).flatMap { place in
                let name = ChurnReasons.columnName(place)
                return [name, name + ChurnReasons.effectSuffix]
            } + (0..<places).map { "top_product_\($0 + 1)" }
        let rowCount = contents.customerIDs.count
        let batchRows = 8_192
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let file = try AtomicFile(path: path)
            try file.write(Array((header.joined(separator: ",") + "\n").utf8))
            // Texts are made in parallel, a few batches at a time, and written in order.
            let group = batchRows * 8 * threadCount
            for start in stride(from: 0, to: rowCount, by: group) {
                let texts = parallelMap(
                    count: min(group, rowCount - start), chunkSize: batchRows,
                    threadCount: threadCount
                ) { _, rows in
                    csvLines(start + rows.lowerBound..<start + rows.upperBound, places: places)
                }
                for text in texts { try file.write(text) }
            }
            try file.commit()
        }
    }

    private func csvLines(_ rows: Range<Int>, places: Int) -> [UInt8] {
        var text = ""
        for row in rows {
            text += CSVFile.field(contents.customerIDs[row].description)
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
            if let churnReasons {
                for place in 0..<churnReasons.count {
                    let feature = churnReasons.features[place][row]
                    text +=
                        feature < 0 ? ",," : ",\(CSVFile.field(churnReasons.names[Int(feature)]))"
                    if feature >= 0 { text += ",\(churnReasons.effects[place][row])" }
                }
            }
            for place in 0..<places {
                text += ","
                if let product = topProducts[row, place], let products {
                    text += CSVFile.field(products[Int(product)])
                }
            }
            text += "\n"
        }
        return Array(text.utf8)
    }
}
