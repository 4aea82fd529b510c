import ByteCoding
import ColumnStore
import Features
import Ingest

/// What the table of products says by attributes of fixed names: `category` (text), `price` and `margin`
/// of a unit, `margin_rate` (margin / price) and `stock` (numbers).
struct ProductTable: Sendable {
    /// Margin / price of a unit.
    static let marginRateName = "margin_rate"

    /// Ids as purchase lines write them, each once, in the order of the table.
    let ids: [String]
    private let rowOfID: [EntityID: Int]
    private let categories: CodedText?
    private let numbers: [String: (values: [Double], valid: [Bool])]

    init(_ table: EntityTable) {
        var (ids, rowOfID): ([String], [EntityID: Int]) = ([], [:])
        for row in 0..<table.count {
            let id = table.ids[row].description
            // Of an id twice in one file the last row holds, as of several files.
            if rowOfID.updateValue(row, forKey: .text(id)) == nil { ids.append(id) }
        }
        (self.ids, self.rowOfID) = (ids, rowOfID)
        var (categories, numbers): (CodedText?, [String: (values: [Double], valid: [Bool])]) =
            (nil, [:])
        for column in table.columns {
            switch column.values {
            case .text(let text) where column.name == "category": categories = text
            case .number(let values, let valid): numbers[column.name] = (values, valid)
            default: break
            }
        }
        (self.categories, self.numbers) = (categories, numbers)
    }

    func category(of id: String) -> String? {
        guard let row = rowOfID[.text(id)], let categories else { return nil }
        let code = categories.codes[row]
        return code == CodedText.missing ? nil : categories.values[Int(code)]
    }

    /// A price above 0.
    func price(of id: String) -> Double? { number("price", id).flatMap { $0 > 0 ? $0 : nil } }

    /// What a unit brings: the margin itself, else the margin rate of the price that is known here.
    /// - Parameter price: of a unit where the table has none; 0 where it is unknown.
    func margin(of id: String, price: Double) -> Double? {
        if let margin = number("margin", id) { return margin }
        guard let rate = marginRate(of: id) else { return nil }
        return (self.price(of: id) ?? price) * rate
    }

    /// Nil where it is not known, or is none: tables of before these were checked may hold such.
    private func marginRate(of id: String) -> Double? {
        number(Self.marginRateName, id).flatMap { Limits.marginRates.contains($0) ? $0 : nil }
    }

    /// How many products have a margin rate that is none.
    var badMarginRateCount: Int {
        ids.count { id in
            number(Self.marginRateName, id).map { !Limits.marginRates.contains($0) } ?? false
        }
    }

    /// Whether a product can be sold: not where its stock is known to be 0 or less.
    func isInStock(_ id: String) -> Bool { number("stock", id).map { $0 > 0 } ?? true }

    private func number(_ name: String, _ id: String) -> Double? {
        guard let column = numbers[name], let row = rowOfID[.text(id)], column.valid[row],
            column.values[row].isFinite
        else { return nil }
        return column.values[row]
    }
}

extension Workspace {
    /// The table of products; nil where none was ingested.
    func productTable() throws(EngineError) -> ProductTable? {
        try EntitySegments.read(manifest.productSegments.map { "\(folder)/\($0.file)" })
            .map { ProductTable($0) }
    }
}
