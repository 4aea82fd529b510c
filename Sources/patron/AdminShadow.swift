import ArgumentParser
import PatronClient
import Units

struct AdminShadow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shadow",
        abstract: "Compare look-ups with what another generation would answer.",
        discussion: """
            While it runs, clients are answered as before; of a share of the customers that they \
            look up, the server compares the values of both generations. Without --start and \
            --stop, what was found so far is shown.
            """)

    @Flag(help: "Begin, instead of what was compared before.")
    var start = false
    @Flag(help: "End.")
    var stop = false
    @Option(help: "Label of the generation to compare with, such as canary.")
    var candidate: String?
    @Option(help: "Its number, instead of a label.")
    var generation: Int?
    @Option(help: "Share of look-ups that are compared, above 0 to 1; 0.01 by default.")
    var share: Double?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !(start && stop) else { throw ValidationError("give either --start or --stop") }
        guard start || candidate == nil && generation == nil && share == nil else {
            throw ValidationError("--candidate, --generation and --share go with --start")
        }
        guard !start || (candidate == nil) != (generation == nil) else {
            throw ValidationError("--start takes either --candidate or --generation")
        }
        if let share, !(share >= 1e-6 && share <= 1) {
            throw ValidationError("--share is between 0.000001 and 1, not \(share)")
        }
    }

    func run() async throws {
        let (start, stop, candidate) = (start, stop, candidate)
        let generation = generation ?? 0
        let parts = Int(((share ?? 0.01) * 1e6).rounded())
        let result = try await server.withConnection(deadline: .seconds(3_600)) { connection in
            if start {
                return try await connection.startShadow(
                    candidate.map { .label($0) } ?? .generation(generation),
                    partsPerMillion: parts)
            }
            return stop ? try await connection.stopShadow() : try await connection.shadowReport()
        }
        try output.print(Answer(result)) { $0.text }
    }

    struct Answer: Encodable, Sendable {
        struct Column: Encodable, Sendable {
            var name: String
            var compared: Int
            var differing: Int
            var onlyInCurrent: Int
            var onlyInCandidate: Int
            var meanDifference: Double?
            var largestDifference: Double?
            var medianDifference: Double?
            var difference90: Double?
            var difference99: Double?
            /// Of categories: all pairs, those that are equal too.
            var moves: [ShadowResult.Move]?
        }

        var state: String
        var currentGeneration: UInt64
        var candidateGeneration: UInt64
        var share: Double
        var seconds: Double
        var sampled: Int
        var compared: Int
        var onlyInCurrent: Int
        var onlyInCandidate: Int
        var dropped: Int
        var columns: [Column]

        init(_ result: ShadowResult) {
            state = "\(result.state)"
            currentGeneration = result.current.generation
            candidateGeneration = result.candidate.generation
            share = Double(result.partsPerMillion) / 1e6
            seconds = Double(result.elapsedMilliseconds) / 1e3
            sampled = result.sampledCount
            compared = result.comparedCount
            onlyInCurrent = result.onlyInCurrentCount
            onlyInCandidate = result.onlyInCandidateCount
            dropped = result.droppedCount
            columns = result.columns.map {
                Column(
                    name: $0.name, compared: $0.comparedCount, differing: $0.differingCount,
                    onlyInCurrent: $0.onlyInCurrentCount,
                    onlyInCandidate: $0.onlyInCandidateCount, meanDifference: $0.meanDifference,
                    largestDifference: $0.largestDifference,
                    medianDifference: $0.medianDifference, difference90: $0.difference90,
                    difference99: $0.difference99, moves: $0.moves.isEmpty ? nil : $0.moves)
            }
        }

        var text: String {
            guard state != "none" else { return "nothing was compared since the server's start" }
            let head =
                "\(state) for \(seconds.decimals(1)) s: generation \(currentGeneration) and "
                + "candidate \(candidateGeneration), \((share * 100).decimals(4)) % of look-ups\n"
                + "\(compared) of \(sampled) sampled customers compared, \(onlyInCurrent) only in "
                + "the current generation, \(onlyInCandidate) only in the candidate, "
                + "\(dropped) dropped\n"
            var table = TextTable([
                "column", "compared>", "differ %>", "only current>", "only candidate>", "mean>",
                "p50>", "p90>", "p99>", "largest>",
            ])
            func number(_ value: Double?) -> String { value.map { $0.decimals(4) } ?? "-" }
            for column in columns {
                let share =
                    column.compared > 0
                    ? (Double(column.differing) / Double(column.compared) * 100).decimals(2) : "-"
                table.add([
                    column.name, "\(column.compared)", share, "\(column.onlyInCurrent)",
                    "\(column.onlyInCandidate)", number(column.meanDifference),
                    number(column.medianDifference), number(column.difference90),
                    number(column.difference99), number(column.largestDifference),
                ])
            }
            var moved = TextTable(["column", "from>", "to>", "customers>"])
            var hasMoved = false
            for column in columns {
                for move in (column.moves ?? []).filter({ $0.from != $0.to }).prefix(10) {
                    hasMoved = true
                    moved.add([column.name, "\(move.from)", "\(move.to)", "\(move.count)"])
                }
            }
            return head + table.text + (hasMoved ? "\n" + moved.text : "")
        }
    }
}
