import ByteCoding
import ColumnStore
import Features
import Ingest

/// Purchase lines on disk: one segment file an ingested file, sorted by (customer, time, line).
///
/// Columns: `customer` (int64 or text), `time` (UTC seconds), `amount`, and where mapped `margin`,
/// `quantity`, `order`, `product`, `category`, `promotion`, `channel`.
enum PurchaseSegments {
    /// Sorts and writes the lines of one file.
    static func write(
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

    /// All lines of some segments as one history.
    /// - Parameter grossMarginRate: gives lines of segments without margins theirs, where other
    ///   segments have them.
    static func read(
        _ paths: [String], grossMarginRate: Double
    ) throws(EngineError) -> PurchaseHistory {
        var all = Lines()
        for path in paths {
            let part = try mapErrors(EngineError.store) { () throws(StoreError) in
                try readSegment(path)
            }
            guard all.append(part, grossMarginRate: grossMarginRate) else {
                throw .idKindMismatch(table: "customer")
            }
        }
        return try sorted(
            all.customers, all.times, all.amounts, all.margins, all.quantities, all.orders,
            all.products, all.categories, all.promotions, all.channels)
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

    private static func readSegment(_ path: String) throws(StoreError) -> Lines {
        let reader = try SegmentReader(path: path)
        var lines = Lines()
        switch try reader.column(named: "customer").data {
        case .int64(let ids): lines.customers = .integers(ids)
        case .text(let ids): lines.customers = .texts(ids)
        default: throw .missingPart(path: path, part: "column customer of integers or texts")
        }
        lines.times = try reader.integers(named: "time")
        lines.amounts = try reader.integers(named: "amount")
        if reader.has("margin") { lines.margins = try reader.integers(named: "margin") }
        if reader.has("quantity") {
            guard case .float32(let values) = try reader.column(named: "quantity").data else {
                throw .missingPart(path: path, part: "column quantity of 32-bit floats")
            }
            lines.quantities = values
        }
        if reader.has("order") { lines.orders = try reader.coded(named: "order") }
        if reader.has("product") { lines.products = try reader.coded(named: "product") }
        if reader.has("category") { lines.categories = try reader.coded(named: "category") }
        if reader.has("promotion") {
            lines.promotions = try reader.coded(named: "promotion")
        }
        if reader.has("channel") { lines.channels = try reader.coded(named: "channel") }
        return lines
    }

    /// The columns of several segments end to end.
    private struct Lines {
        var customers: IDColumn = .integers([])
        var times: [Int64] = []
        var amounts: [Int64] = []
        var margins: [Int64]?
        var quantities: [Float]?
        var orders: CodedText?
        var products: CodedText?
        var categories: CodedText?
        var promotions: CodedText?
        var channels: CodedText?

        /// - Returns: false where the customer ids are of another kind.
        mutating func append(_ other: Lines, grossMarginRate: Double) -> Bool {
            if times.isEmpty {
                self = other
                return true
            }
            guard let joined = customers.appending(other.customers) else { return false }
            customers = joined
            if margins != nil || other.margins != nil {
                func fill(_ lines: Lines) -> [Int64] {
                    lines.margins
                        ?? lines.amounts.map { Int64((Double($0) * grossMarginRate).rounded()) }
                }
                margins = fill(self) + fill(other)
            }
            if quantities != nil || other.quantities != nil {
                func fill(_ lines: Lines) -> [Float] {
                    lines.quantities ?? lines.amounts.map { $0 < 0 ? -1 : 1 }
                }
                quantities = fill(self) + fill(other)
            }
            let counts = (times.count, other.times.count)
            orders = Self.join(orders, other.orders, counts)
            products = Self.join(products, other.products, counts)
            categories = Self.join(categories, other.categories, counts)
            promotions = Self.join(promotions, other.promotions, counts)
            channels = Self.join(channels, other.channels, counts)
            times += other.times
            amounts += other.amounts
            return true
        }

        private static func join(
            _ first: CodedText?, _ second: CodedText?, _ counts: (Int, Int)
        ) -> CodedText? {
            if first == nil && second == nil { return nil }
            var result = first ?? CodedText(missing: counts.0)
            result.append(second ?? CodedText(missing: counts.1))
            return result
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

extension SegmentReader {
    func has(_ name: String) -> Bool { columnIndex(named: name) != nil }
}
