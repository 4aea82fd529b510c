import ArgumentParser
import Ingest
import PatronClient
import Units

struct WhatIf: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "what-if",
        abstract: "Score purchase histories that are not in the store, by the published models.",
        discussion: """
            The table is a delimited text with a header, a line a history: \
            repeat_purchase_count, age_at_last_purchase_days, observed_age_days; where known, \
            mean_order_value (of the orders after the first) and revenue; other columns are attributes \
            of the plan. Lines of the answer are in the order of the table.
            """)

    private static let counts = [
        "repeat_purchase_count", "age_at_last_purchase_days", "observed_age_days",
    ]
    private static let amounts = ["mean_order_value", "revenue"]

    @Argument(help: "The table, plain or packed with gzip; - is standard input.")
    var table: String
    @Option(help: "Column that names the histories; by default they go by their line.")
    var id: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        struct Row: Encodable, Sendable {
            var id: String
            var status: String
            var values: [String: Double]
        }
        var generation: UInt64
        var asOf: String
        var currency: String
        /// In the order of the columns.
        var columns: [String]
        var histories: [Row]
    }

    func run() async throws {
        var mapping = TableMapping()
        if let id { mapping.uses = [.init(id, .id, role: "--id")] }
        let found = try readTable(path: table, mapping: mapping)
        let histories = try Self.histories(found)
        let names = (0..<found.rowCount).map { row in
            found.ids.map { $0[row] } ?? "line \(found.lineNumbers[row])"
        }
        let answer = try await connection.withConnection { connection in
            try await Self.score(connection, histories, names)
        }
        try output.print(answer) { answer in
            var text = TextTable(["history", "status"] + answer.columns.map { $0 + ">" })
            for row in answer.histories {
                text.add(
                    [row.id, row.status]
                        + answer.columns.map { row.values[$0].map(Lookup.readable) ?? "-" })
            }
            return text.text + "\n"
                + "generation \(answer.generation), as of \(answer.asOf), \(answer.currency)"
        }
    }

    private static func score(
        _ connection: PatronConnection, _ histories: [PurchaseHistory], _ names: [String]
    ) async throws -> Answer {
        let described = try await connection.describe().columns
        var answer: Answer?
        var start = 0
        while start < histories.count {
            let end = min(start + connection.maximumLookupIDs, histories.count)
            let scores = try await connection.score(Array(histories[start..<end]))
            let columns = scores.columns.map { column in
                described.first { $0.id == column.id }?.name ?? "column \(column.id)"
            }
            if answer == nil {
                answer = Answer(
                    generation: scores.snapshot.generation,
                    asOf: CalendarDay(daysSince1970: scores.snapshot.asOfDay).description,
                    currency: scores.snapshot.currency, columns: columns, histories: [])
            }
            guard scores.snapshot.generation == answer?.generation else {
                throw CommandError(
                    text: "another snapshot was published meanwhile: try again", code: 69)
            }
            for row in scores.status.indices {
                var values: [String: Double] = [:]
                for (name, column) in zip(columns, scores.columns) {
                    values[name] = column.number(row)
                }
                answer?.histories.append(
                    Answer.Row(
                        id: names[start + row], status: "\(scores.status[row])", values: values))
            }
            start = end
        }
        guard let answer else { throw CommandError(text: "the table has no history", code: 65) }
        return answer
    }

    private static func histories(_ table: PlainTable) throws -> [PurchaseHistory] {
        func numbers(_ name: String) throws -> [Double]? {
            guard let column = table.column(name) else { return nil }
            guard case .numbers(let values) = column.values else {
                throw CommandError(
                    text: "\(table.path): column \(name) has texts: it holds numbers", code: 65)
            }
            return values
        }
        let counts = try counts.map { name in
            guard let values = try numbers(name) else {
                throw CommandError(
                    text: "\(table.path): there is no column \(name); it has "
                        + table.columns.map(\.name).joined(separator: ", "),
                    code: 65)
            }
            return try values.enumerated().map { row, value in
                guard let count = Int32(exactly: value) else {
                    throw CommandError(
                        text: "\(table.path), line \(table.lineNumbers[row]): \(name) is "
                            + (value.isNaN ? "missing" : "\(value)") + "; it is a whole number",
                        code: 65)
                }
                return Int(count)
            }
        }
        let amounts = try amounts.map(numbers)
        let known = Set(Self.counts + Self.amounts)
        let attributes = table.columns.filter { !known.contains($0.name) }
        return (0..<table.rowCount).map { row in
            func amount(_ index: Int) -> Double? {
                amounts[index].flatMap { $0[row].isNaN ? nil : $0[row] }
            }
            var history = PurchaseHistory(
                repeatPurchaseCount: counts[0][row], ageAtLastPurchaseDays: counts[1][row],
                observedAgeDays: counts[2][row], meanOrderValue: amount(0), revenue: amount(1))
            for column in attributes {
                switch column.values {
                case .numbers(let values):
                    if !values[row].isNaN { history.attributes[column.name] = .number(values[row]) }
                case .texts(let texts):
                    let text = texts.codes[row]
                    guard Int(text) < texts.values.count else { continue }
                    history.attributes[column.name] = .text(texts.values[Int(text)])
                }
            }
            return history
        }
    }
}
