import ArgumentParser
import Foundation
import PatronClient
import Units

struct AdminCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin",
        abstract: "Ask and tell a running server what operators do.",
        discussion: """
            Needs a token with the scope admin where the server has tokens. The server's log says \
            who did what.
            """,
        subcommands: [
            AdminModels.self, AdminSnapshots.self, AdminPublish.self, AdminLabel.self,
            AdminShadow.self, AdminStats.self, AdminDrain.self,
        ])
}

/// The server that a command is for.
struct ServerOptions: ParsableArguments {
    @Option(help: "A running server, HOST:PORT.")
    var connect: String
    @OptionGroup var security: SecurityOptions

    func validate() throws { _ = try Endpoint(parsing: connect) }

    /// Runs `body` on a connection.
    /// - Parameter deadline: of requests; verifying a large generation may take minutes.
    func withConnection<Result: Sendable>(
        deadline: Duration = .seconds(30), _ body: (PatronConnection) async throws -> Result
    ) async throws -> Result {
        let endpoint = try Endpoint(parsing: connect)
        let connection = try await PatronConnection.connect(
            host: endpoint.host, port: endpoint.port, tls: security.clientTLS,
            token: try security.credential(), clientName: "patron command line",
            defaultDeadline: deadline)
        do {
            let result = try await body(connection)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Tells on standard error how far the server is, for people.
    static func reporter(_ isSilent: Bool) -> (@Sendable (RequestProgress) -> Void)? {
        guard !isSilent else { return nil }
        return { progress in
            guard progress.total > 0 else { return }
            let share = Double(progress.done) / Double(progress.total) * 100
            Terminal.writeError("verified \(share.decimals(0)) % of \(progress.total) bytes")
        }
    }
}

private func day(_ number: Int?) -> String? {
    number.map { CalendarDay(daysSince1970: $0).description }
}

/// The answer to `models` and `label`.
private struct ServedModels: Encodable, Sendable {
    struct Model: Encodable, Sendable {
        var label: String
        var generation: Int
        var asOf: String?
        var name: String?
        var version: Int?
        var checksum: String?
        var problem: String?
    }

    var models: [Model]

    init(_ models: [ServedModel]) {
        self.models = models.map { model in
            Model(
                label: model.label, generation: model.generation, asOf: day(model.asOfDay),
                name: model.name, version: model.version,
                checksum: model.checksum.map { number in
                    let digits = String(number, radix: 16)
                    return String(repeating: "0", count: 8 - digits.count) + digits
                }, problem: model.problem)
        }
    }

    var text: String {
        var table = TextTable(["label", "generation>", "as of", "model", "version>", "checksum"])
        for model in models {
            table.add([
                model.label, "\(model.generation)", model.asOf ?? "-",
                model.name ?? (model.problem.map { "not served: \($0)" } ?? "none"),
                model.version.map { "\($0)" } ?? "-", model.checksum ?? "-",
            ])
        }
        return table.text
    }
}

struct AdminModels: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "Show which model versions answer under which label.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await server.withConnection { ServedModels(try await $0.servedModels()) }
        try output.print(answer) { $0.text }
    }
}

struct AdminSnapshots: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots", abstract: "List the generations on the server's disk.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        struct Generation: Encodable, Sendable {
            var generation: Int
            var isCurrent: Bool
            var isServed: Bool
            var labels: [String]
            var asOf: String?
            var customers: Int?
            var bytes: Int?
            var models: String?
            var problem: String?
        }

        var generations: [Generation]
    }

    func run() async throws {
        let answer = try await server.withConnection { connection in
            Answer(
                generations: try await connection.storedGenerations().map {
                    Answer.Generation(
                        generation: $0.generation, isCurrent: $0.isCurrent, isServed: $0.isServed,
                        labels: $0.labels, asOf: day($0.asOfDay), customers: $0.customerCount,
                        bytes: $0.byteCount, models: $0.models, problem: $0.problem)
                })
        }
        try output.print(answer) { answer in
            var table = TextTable([
                "generation>", "as of", "customers>", "bytes>", "served as", "models",
            ])
            for generation in answer.generations {
                let names =
                    (generation.isServed ? ["stable"] : []) + generation.labels
                    + (generation.isCurrent && !generation.isServed ? ["current, not served"] : [])
                table.add([
                    "\(generation.generation)", generation.asOf ?? "-",
                    generation.customers.map { "\($0)" } ?? "-",
                    generation.bytes.map { "\($0)" } ?? "-",
                    names.isEmpty ? "-" : names.joined(separator: ", "),
                    generation.problem.map { "cannot be read: \($0)" } ?? generation.models ?? "",
                ])
            }
            return table.text
        }
    }
}

struct AdminPublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Make a generation on the server's disk the one that is served.",
        discussion: """
            Its files are verified first, while look-ups go on; the command ends when the server \
            answers from it. The workspace is the same afterwards as after `patron publish`.
            """)

    @Option(help: "Its number; the newest by default.")
    var generation: Int?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        var generation: UInt64
        var asOf: String
        var previousGeneration: UInt64
        var verifiedBytes: UInt64
    }

    func run() async throws {
        let (generation, report) = (generation, ServerOptions.reporter(output.json))
        let answer = try await server.withConnection(deadline: .seconds(3_600)) { connection in
            let result = try await connection.publish(generation: generation, progress: report)
            return Answer(
                generation: result.snapshot.generation,
                asOf: day(result.snapshot.asOfDay) ?? "",
                previousGeneration: result.previousGeneration,
                verifiedBytes: result.verifiedByteCount)
        }
        try output.print(answer) { answer in
            "serving generation \(answer.generation), as of \(answer.asOf), "
                + "instead of \(answer.previousGeneration)"
        }
    }
}

struct AdminLabel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label",
        abstract: "Have a generation answer under a label, or remove the label.",
        discussion: """
            Requests that name the label, such as `patron lookup --label canary`, are answered from \
            that generation, all others from the current one, whose label is stable. Labels are kept \
            in the workspace.
            """)

    @Argument(help: "The label, such as canary.")
    var label: String
    @Option(help: "The number of the generation that gets it.")
    var generation: Int?
    @Flag(help: "Remove it.")
    var remove = false
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (generation != nil) != remove else {
            throw ValidationError("give either --generation or --remove")
        }
    }

    func run() async throws {
        let (label, generation) = (label, generation)
        let report = ServerOptions.reporter(output.json)
        let answer = try await server.withConnection(deadline: .seconds(3_600)) { connection in
            guard let generation else {
                return ServedModels(try await connection.removeLabel(label))
            }
            return ServedModels(
                try await connection.setLabel(label, to: generation, progress: report))
        }
        try output.print(answer) { $0.text }
    }
}

struct AdminStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show what the server counts and measures.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        var stats: [ServerStat]
    }

    func run() async throws {
        let answer = try await server.withConnection { Answer(stats: try await $0.stats()) }
        try output.print(answer) { answer in
            var table = TextTable(["of", "what", "value>", "unit"])
            for stat in answer.stats {
                // Times of requests are microseconds to seconds.
                let isShort = stat.unit == "s" && stat.group != "server"
                let value =
                    isShort
                    ? (stat.value * 1e6).decimals(1)
                    : stat.value.decimals(stat.value == stat.value.rounded() ? 0 : 3)
                table.add([stat.group, stat.name, value, isShort ? "us" : stat.unit])
            }
            return table.text
        }
    }
}

struct AdminDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Have the server finish what it has begun and end, as SIGTERM does.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        var graceSeconds: Double
    }

    func run() async throws {
        let answer = try await server.withConnection {
            Answer(graceSeconds: try await $0.drain().seconds)
        }
        try output.print(answer) { answer in
            "the server is ending; open requests have \(answer.graceSeconds.decimals(1)) s"
        }
    }
}
