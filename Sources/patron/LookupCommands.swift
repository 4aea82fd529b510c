import ArgumentParser
import Engine
import Foundation
import Logging
import PatronClient
import Server
import Units

/// By which credential a running server is asked.
struct TokenOptions: ParsableArguments {
    @Option(
        help: """
            The token; others on this machine may see it in the list of processes. By default \
            what --token-file or the environment's PATRON_TOKEN says.
            """)
    var token: String?
    @Option(help: "File whose only line is the token.")
    var tokenFile: String?

    func validate() throws {
        guard token == nil || tokenFile == nil else {
            throw ValidationError("give either --token or --token-file")
        }
    }

    func credential() throws -> String? {
        if let token { return token }
        if let tokenFile {
            guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
                throw CommandError(text: "\(tokenFile) cannot be read", code: 74)
            }
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        return ProcessInfo.processInfo.environment["PATRON_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// How a running server is reached: with TLS or without, and by which credential.
struct SecurityOptions: ParsableArguments {
    @Flag(help: "Connect with TLS; the server's name or address is verified.")
    var tls = false
    @Option(help: "PEM file of the authorities to trust; the system's by default.")
    var ca: String?
    @Option(help: "PEM file of this client's certificate, for servers that want one.")
    var clientCert: String?
    @Option(help: "PEM file of that certificate's key.")
    var clientKey: String?
    @OptionGroup var tokens: TokenOptions

    func validate() throws {
        guard tls || ca == nil && clientCert == nil && clientKey == nil else {
            throw ValidationError("--ca, --client-cert and --client-key go with --tls")
        }
        guard (clientCert == nil) == (clientKey == nil) else {
            throw ValidationError("--client-cert and --client-key go together")
        }
    }

    /// Whether any option was given: all are about running servers.
    var isUsed: Bool { tls || tokens.token != nil || tokens.tokenFile != nil }

    /// Nil for a connection in plain.
    var clientTLS: PatronTLS? {
        tls
            ? PatronTLS(authoritiesPath: ca, certificatePath: clientCert, keyPath: clientKey) : nil
    }

    func credential() throws -> String? { try tokens.credential() }
}

/// Where look-ups are answered: a running server, or this process from a workspace.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "A running server, HOST:PORT.")
    var connect: String?
    @Option(help: "Answer from this workspace, without a running server.")
    var workspace: String?
    @Option(help: "Answer from the generation with this label, such as canary.")
    var label: String?
    @OptionGroup var security: SecurityOptions

    func validate() throws {
        guard (connect == nil) != (workspace == nil) else {
            throw ValidationError("give either --connect HOST:PORT or --workspace WS")
        }
        if let connect { _ = try Endpoint(parsing: connect) }
        guard connect != nil || !security.isUsed else {
            throw ValidationError("--tls, --token and --token-file go with --connect")
        }
        guard connect != nil || label == nil else {
            throw ValidationError("--label goes with --connect")
        }
    }

    /// Runs `body` on a connection. A workspace is served by a server of this process on a free
    /// loopback port, so that there is one way to an answer.
    /// - Parameter compression: whether large answers may be compressed on their way.
    func withConnection<Result: Sendable>(
        compression: Bool = false, _ body: (PatronConnection) async throws -> Result
    ) async throws -> Result {
        if let connect {
            let endpoint = try Endpoint(parsing: connect)
            return try await Self.ask(
                endpoint.host, endpoint.port, tls: security.clientTLS,
                token: try security.credential(), label: label, compression: compression, body)
        }
        let folder = workspace ?? ""
        _ = try Workspace.currentSnapshot(folder)
        var logger = Logger(label: "patron") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        var configuration = ServerConfiguration(loopCount: 1, drainDelay: .zero)
        // For a look-up or two.
        configuration.warmsUp = false
        configuration.workspace = folder
        let server = try await PatronServer.start(
            configuration,
            source: { () throws(EngineError) in try Workspace.currentSnapshot(folder) },
            logger: logger)
        let running = Task { try await server.run() }
        do {
            let result = try await Self.ask("127.0.0.1", server.address.port ?? 0, body)
            running.cancel()
            _ = try? await running.value
            return result
        } catch {
            running.cancel()
            _ = try? await running.value
            throw error
        }
    }

    private static func ask<Result: Sendable>(
        _ host: String, _ port: Int, tls: PatronTLS? = nil, token: String? = nil,
        label: String? = nil, compression: Bool = false,
        _ body: (PatronConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await PatronConnection.connect(
            host: host, port: port, tls: tls, token: token, clientName: "patron command line",
            compression: compression)
        do {
            let result = try await body(
                label.map { label throws(PatronError) in try connection.labelled(label) }
                    ?? connection)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }
}

struct Lookup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is known of customers.")

    @Argument(help: "Ids of customers.")
    var ids: [String]
    @Option(parsing: .upToNextOption, help: "Names of the columns; all by default.")
    var columns: [String] = []
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        struct Customer: Encodable, Sendable {
            var id: String
            var status: String
            var values: [String: Double]
        }
        var generation: UInt64
        var asOf: String
        var currency: String
        var customers: [Customer]
        /// In the order of the columns.
        var columns: [Column]

        struct Column: Encodable, Sendable {
            var id: UInt16
            var name: String
            var unit: String
            /// What the numbers of segments and tiers are called; nil for quantities.
            var valueNames: [String: String]?

            func text(_ value: Double) -> String {
                let number = Lookup.readable(value)
                return valueNames?[number].map { "\(number) \($0)" } ?? number
            }
        }
    }

    func run() async throws {
        let (ids, wanted) = (ids, columns)
        let answer = try await connection.withConnection { connection in
            try await Self.ask(connection, ids, wanted)
        }
        try output.print(answer) { answer in
            var table = TextTable(["customer"] + answer.customers.map { $0.id + ">" })
            table.add(["status"] + answer.customers.map(\.status))
            for column in answer.columns {
                let unit = column.unit.isEmpty ? "" : " (\(column.unit))"
                table.add(
                    [column.name + unit]
                        + answer.customers.map { customer in
                            customer.values[column.name].map(column.text) ?? "-"
                        })
            }
            return table.text
                + "\ngeneration \(answer.generation), as of \(answer.asOf), \(answer.currency)"
        }
    }

    static func readable(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15
            ? String(Int(value)) : value.decimals(abs(value) < 10 ? 4 : 2)
    }

    private static func ask(
        _ connection: PatronConnection, _ ids: [String], _ wanted: [String]
    ) async throws -> Answer {
        let description = try await connection.describe()
        let known = description.columns
        let chosen = wanted.isEmpty ? known : try columns(wanted, among: known)
        let customers = try ids.map {
            try identifier($0, description.customerIDKind, "customer")
        }
        let found = try await connection.lookup(customers, columns: chosen.map(\.id))
        let rows = ids.indices.map { row in
            var values: [String: Double] = [:]
            for column in chosen {
                values[column.name] = found.column(column.id)?.number(row)
            }
            return Answer.Customer(id: ids[row], status: "\(found.status[row])", values: values)
        }
        return Answer(
            generation: found.snapshot.generation,
            asOf: CalendarDay(daysSince1970: found.snapshot.asOfDay).description,
            currency: found.snapshot.currency, customers: rows,
            columns: chosen.map {
                Answer.Column(
                    id: $0.id, name: $0.name, unit: $0.unit, valueNames: names($0.valueNames))
            })
    }

    /// The columns of some names.
    static func columns(
        _ names: [String], among known: [Description.Column]
    ) throws -> [Description.Column] {
        try names.map { name in
            guard let column = known.first(where: { $0.name == name }) else {
                throw CommandError(
                    text: "there is no column \(name); there are "
                        + known.map(\.name).joined(separator: ", "),
                    code: 64)
            }
            return column
        }
    }

    /// Names by numbers, of lines such as `3 Sleeping`.
    static func names(_ text: String) -> [String: String]? {
        if text.isEmpty { return nil }
        let pairs = text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 1)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }
}

/// An id as the server holds them.
func identifier(
    _ text: String, _ kind: PatronIDKind?, _ what: String
) throws -> PatronID {
    guard kind == .integer else { return .text(text) }
    guard let value = Int64(text) else {
        throw CommandError(
            text: "\(what) ids are whole numbers here, '\(text)' is not one", code: 64)
    }
    return .integer(value)
}

struct Selftest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Derive published numbers again in this binary and compare.")

    @Flag(help: "Print every number, not only the summary.")
    var verbose = false
    @OptionGroup var output: OutputOptions

    func run() throws {
        let report = SelftestReport()
        try output.print(report) { $0.text(verbose: verbose) }
        guard report.failedCount == 0 else { throw ExitCode(1) }
    }
}
