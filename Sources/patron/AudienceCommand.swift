import ArgumentParser
import ColumnStore
import PatronClient
import Units

struct Audience: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List or count the customers that a rule holds for.",
        discussion: """
            A rule compares score columns, which `patron describe` lists, with numbers or with \
            names of segments in quotes:

              lifetime_value >= 100 and churn_probability < 0.5
              value_segment in ("Best customers", 3) and not days_since_last_purchase > 90
              expected_purchases between 1 and 5 or lifetime_value is missing

            A customer without a value is in neither of `c < 1` and `not c < 1`. The customers come \
            as comma-separated lines, in the order of the snapshot.
            """)

    @Argument(help: "The rule; `all` for all customers.")
    var rule: String
    @Flag(help: "Only say how many there are.")
    var count = false
    @Option(parsing: .upToNextOption, help: "Columns to list; only ids by default.")
    var columns: [String] = []
    @Option(help: "Write the lines to this file.")
    var out: String?
    @Flag(help: "Let the server compress what it sends (LZ4): for a slow network.")
    var compress = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if count, out != nil || !columns.isEmpty {
            throw ValidationError("--count lists nobody: leave out --columns and --out")
        }
        if output.json, !count, out == nil {
            throw ValidationError(
                "--json tells how many there are: write the customers themselves with --out")
        }
    }

    struct Answer: Encodable, Sendable {
        var generation: UInt64
        var asOf: String
        var customers: Int
        var of: Int
    }

    func run() async throws {
        let (rule, columns, out, onlyCounts) = (rule, columns, out, count)
        let answer = try await connection.withConnection(compression: compress) { connection in
            let description = try await connection.describe()
            let found =
                onlyCounts
                ? try await connection.count(rule: rule)
                : try await Self.list(connection, description, rule, columns, to: out)
            return Answer(
                generation: description.snapshot.generation,
                asOf: CalendarDay(daysSince1970: description.snapshot.asOfDay).description,
                customers: found, of: description.customerCount)
        }
        guard onlyCounts || out != nil else { return }
        try output.print(answer) { answer in
            let share = answer.of > 0 ? Double(answer.customers) / Double(answer.of) * 100 : 0
            return "\(answer.customers) of \(answer.of) customers (\(share.decimals(1)) %), "
                + "generation \(answer.generation), as of \(answer.asOf)"
        }
    }

    /// - Returns: how many customers were written.
    private static func list(
        _ connection: PatronConnection, _ description: Description, _ rule: String,
        _ wanted: [String], to path: String?
    ) async throws -> Int {
        let chosen = try Lookup.columns(wanted, among: description.columns)
        // Of nothing asked for the stream would give all.
        let asked = chosen.isEmpty ? Array(description.columns.prefix(1)) : chosen
        let chunks = try connection.customers(rule: rule, columns: asked.map(\.id))
        let file = try path.map { path throws(StoreError) in try AtomicFile(path: path) }
        func write(_ text: String) throws {
            guard let file else { return try Terminal.write(text, terminator: "") }
            try file.write(Array(text.utf8))
        }
        try write((["customer"] + chosen.map(\.name)).joined(separator: ",") + "\n")
        var count = 0
        for try await chunk in chunks {
            let values = chosen.map { chunk.column($0.id) }
            var text = ""
            for row in chunk.ids.indices {
                text += quoted(chunk.ids[row].description)
                for column in values { text += "," + (column?.text(row) ?? "") }
                text += "\n"
            }
            try write(text)
            count += chunk.ids.count
        }
        try file?.commit()
        return count
    }

    /// Quoted where it must be (RFC 4180, section 2).
    private static func quoted(_ text: String) -> String {
        guard text.utf8.contains(where: { ",\"\r\n".utf8.contains($0) }) else { return text }
        let doubled = text.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"")
        return "\"" + doubled + "\""
    }
}
