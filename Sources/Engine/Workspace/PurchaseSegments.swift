import ByteCoding
package import ColumnStore
import Features
package import Ingest
import Numerical

/// Purchase lines on disk: segment files, each sorted by (customer, time, line).
///
/// Columns: `customer` (int64 or text), `time` (UTC seconds), `amount`, and where mapped `margin`,
/// `quantity`, `order`, `product`, `category`, `promotion`, `channel`.
package enum PurchaseSegments {
    /// The columns of texts, in the order of the file.
    static let textNames: [(LineColumns, String)] = [
        (.orders, "order"), (.products, "product"), (.categories, "category"),
        (.promotions, "promotion"), (.channels, "channel"),
    ]

    /// Sorts and writes lines.
    package static func write(
        _ lines: PurchaseLines, to path: String, threadCount: Int = 1
    ) throws(EngineError) -> SegmentSummary {
        let run = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try LineCollector(lines.batch, capacity: 0, threadCount: threadCount)
        }
        let writer = try sorted(
            run, lines.textColumns.map(\.?.values), to: path, threadCount: threadCount)
        return try mapErrors(EngineError.store) { () throws(StoreError) in try writer.finish() }
    }

    /// Sorts lines and writes them into a file that is not finished.
    /// - Parameter texts: what the codes of the lines mean, in the order of `textNames`.
    static func sorted(
        _ run: LineCollector, _ texts: [TextArray?], to path: String, threadCount: Int
    ) throws(EngineError) -> SegmentWriter {
        let sorted = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try run.sorted()
        }
        var columns = [
            SortedColumn(sorted.customers, texts: sorted.customerTexts),
            SortedColumn(sorted.times), SortedColumn(sorted.amounts),
        ]
        var kinds: LineColumns = []
        if let margins = sorted.margins {
            columns.append(SortedColumn(margins))
            kinds.insert(.margins)
        }
        if let quantities = sorted.quantities {
            columns.append(SortedColumn(quantities))
            kinds.insert(.quantities)
        }
        for (index, field) in sorted.codes.enumerated() {
            guard let field else { continue }
            // A code that is missing is a row without a value.
            columns.append(SortedColumn(field, texts: texts[index]))
            kinds.insert(textNames[index].0)
        }
        let writer = try writer(
            to: path, columns: kinds, isOfTexts: sorted.customerTexts != nil,
            threadCount: threadCount)
        try mapErrors(EngineError.store) { [columns] () throws(StoreError) in
            try writer.append(sorted.rows, columns)
        }
        return writer
    }

    /// A file of lines with these columns.
    /// - Parameter isOfTexts: whether the customers' ids are texts.
    static func writer(
        to path: String, columns: LineColumns, isOfTexts: Bool, threadCount: Int
    ) throws(EngineError) -> SegmentWriter {
        var schema = [
            ColumnSchema(name: "customer", type: isOfTexts ? .text : .int64),
            ColumnSchema(name: "time", type: .int64, unit: "s"),
            ColumnSchema(name: "amount", type: .int64, unit: "1/10000"),
        ]
        if columns.contains(.margins) {
            schema.append(ColumnSchema(name: "margin", type: .int64, unit: "1/10000"))
        }
        if columns.contains(.quantities) {
            schema.append(ColumnSchema(name: "quantity", type: .float32))
        }
        for (column, name) in textNames where columns.contains(column) {
            schema.append(ColumnSchema(name: name, type: .text))
        }
        return try mapErrors(EngineError.store) { [schema] () throws(StoreError) in
            try SegmentWriter(path: path, schema: schema, threadCount: threadCount)
        }
    }

    /// The customer's id of every line, from the ids and offsets of the customers.
    static func customerColumn(
        _ customerIDs: IDColumn, _ lineOffsets: [Int], threadCount: Int
    ) -> ColumnData {
        func fill<Value: BitwiseCopyable & Sendable>(
            _ value: @Sendable (_ row: Int) -> Value
        ) -> [Value] {
            parallelArray(
                count: lineOffsets.last ?? 0, chunkRows: 1 << 17, threadCount: threadCount
            ) { part, slice in
                var row = customerRow(of: part.lowerBound, lineOffsets)
                var line = part.lowerBound
                while line < part.upperBound {
                    let end = min(part.upperBound, lineOffsets[row + 1])
                    let value = value(row)
                    while line < end {
                        slice[line - part.lowerBound] = value
                        line += 1
                    }
                    row += 1
                }
            }
        }
        switch customerIDs {
        case .integers(let ids):
            return .int64(fill { ids[$0] })
        case .texts(let ids):
            return .coded(CodedText(codes: fill { UInt32($0) }, values: ids))
        }
    }

    /// The customer whose line it is.
    private static func customerRow(of line: Int, _ lineOffsets: [Int]) -> Int {
        var rows = 0..<lineOffsets.count - 1
        while rows.count > 1 {
            let middle = rows.lowerBound + rows.count / 2
            if lineOffsets[middle] <= line {
                rows = middle..<rows.upperBound
            } else {
                rows = rows.lowerBound..<middle
            }
        }
        return rows.lowerBound
    }
}

extension PurchaseLines {
    /// In the order of `PurchaseSegments.textNames`.
    var textColumns: [CodedText?] {
        [orderIDs, products, categories, promotions, channels]
    }

    /// The columns to sort.
    var batch: LineBatch {
        LineBatch(
            customerIDs: customerIDs, times: times, amounts: amounts, margins: margins,
            quantities: quantities, codes: textColumns.map(\.?.codes))
    }
}

extension PurchaseTexts {
    /// In the order of `PurchaseSegments.textNames`.
    var columns: [TextArray?] { [orderIDs, products, categories, promotions, channels] }
}

/// Writes whole columns as one segment file.
/// - Parameter units: by column name; empty for those not named.
func writeSegmentFile(
    _ columns: [Column], units: [String: String] = [:], to path: String,
    _ ending: SegmentWriter.Ending
) throws(StoreError) -> SegmentSummary {
    let schema = columns.map {
        ColumnSchema(name: $0.name, type: $0.data.type, unit: units[$0.name] ?? "")
    }
    let writer = try SegmentWriter(path: path, schema: schema)
    try writer.append(columns)
    return try writer.finish(ending)
}
