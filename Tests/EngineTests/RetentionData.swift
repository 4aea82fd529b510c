import ByteCoding
import Engine
import Foundation
import Ingest
import Numerical
import TestSupport
import Units

/// A line of a planted history.
struct PlantedLine {
    var customer: Int64
    var day: Int
    /// Ten-thousandths of the currency unit.
    var amount: Int64
    var margin: Int64 = 0
    var order = "-"
}

/// Runs `body` on the lines as two segments.
/// - Parameter splits: the first customers of all chunks but the first.
func withSegments(
    _ lines: [PlantedLine], hasMargins: Bool = true, hasOrders: Bool = true,
    splits: [Int64] = [], _ body: (SegmentedHistory) throws -> Void
) throws {
    try withTemporaryFolder { folder in
        var paths: [String] = []
        for part in 0..<2 {
            let own = lines.indices.filter { $0 % 2 == part }.map { lines[$0] }
            var segment = PurchaseLines(
                customerIDs: .integers(own.map(\.customer)),
                times: own.map { Int64($0.day) * 86_400 + 3_600 }, amounts: own.map(\.amount))
            if hasMargins { segment.margins = own.map(\.margin) }
            if hasOrders {
                segment.orderIDs = coded(own.map(\.order))
            }
            paths.append(folder.appendingPathComponent("\(part).seg").path)
            _ = try PurchaseSegments.write(segment, to: paths[part])
        }
        let history = try SegmentedHistory(
            paths: paths, grossMarginRate: 0.3, threadCount: 2)
        try body(try history.split(at: .integers(splits)))
    }
}

private func coded(_ texts: [String]) -> CodedText {
    var codes: [String: UInt32] = [:]
    var column = CodedText()
    for text in texts {
        let code = codes[text] ?? UInt32(codes.count)
        if codes.updateValue(code, forKey: text) == nil { column.values.append(text) }
        column.codes.append(code)
    }
    return column
}

/// A workspace of the lines as a file of customer, day and amount, and of a table of customers.
/// - Parameters:
///   - customers: a header line, `customer` first, and a line each; none for no table.
///   - attributes: as the plan writes them: `region: text`.
func makeWorkspace(
    _ folder: URL, _ lines: [PlantedLine], customers: [String] = [], attributes: [String] = [],
    settings: String = ""
) throws -> Workspace {
    var text = "customer,day,amount\n"
    for line in lines {
        let day = CalendarDay(daysSince1970: line.day)
        text += "\(line.customer),\(day),\(Money(tenThousandths: line.amount).units)\n"
    }
    try Data(text.utf8).write(to: folder.appendingPathComponent("purchases.csv"))
    var plan = """
        version: 1
        currency: EUR
        \(settings)
        sources:
          purchases:
            files: [purchases.csv]
            columns: {customerID: {column: customer, type: integer}, time: day, amount: amount}

        """
    if !customers.isEmpty {
        let table = customers.joined(separator: "\n") + "\n"
        try Data(table.utf8).write(to: folder.appendingPathComponent("customers.csv"))
        plan += "  customers:\n    files: [customers.csv]\n"
        plan += "    id: {column: customer, type: integer}\n    attributes:\n"
        plan += attributes.map { "      \($0)\n" }.joined()
    }
    let planURL = folder.appendingPathComponent("patron.yaml")
    try Data(plan.utf8).write(to: planURL)
    let path = folder.appendingPathComponent("ws").path
    try Workspace.create(folder: path, planPath: planURL.path)
    let workspace = try Workspace(folder: path, access: .writing)
    _ = try workspace.ingest()
    return workspace
}

func day(_ text: String) -> CalendarDay {
    guard let day = CalendarDay(parsing: text) else { preconditionFailure(text) }
    return day
}
