import ArgumentParser
import Engine
import Foundation
import Logging
import Server
import ServiceLifecycle

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer look-ups from the current generation until SIGTERM.",
        discussion: """
            Moves to a new generation when one is published, without dropping a request. SIGTERM \
            or SIGINT drains: clients are told to go elsewhere, requests in flight finish. A \
            second one stops at once.

            Options given here count more than those of the file of --config, which has settings \
            for all limits too.
            """)

    @Argument(help: "The workspace; may stand in the file of --config instead.")
    var workspace: String?
    @Option(help: "YAML file with settings; packaging/README.md lists them.")
    var config: String?
    @Flag(help: "Check all settings and files, and end: 0 where a server could start, else 65.")
    var checkConfig = false
    @Option(
        help: "Address and port to listen on; 127.0.0.1:7070 by default, port 0 takes a free one.")
    var listen: String?
    @Option(help: "Address and port for operators, over HTTP: /, /livez, /readyz, /metrics.")
    var admin: String?
    @Option(help: "PEM file of the server's certificate and those above it: speak TLS.")
    var tlsCert: String?
    @Option(help: "PEM file of the certificate's key.")
    var tlsKey: String?
    @Option(help: "PEM file of the authorities of clients' certificates, which are then required.")
    var clientCa: String?
    @Option(help: "File of tokens, of which a client must have one; `patron token` makes them.")
    var tokens: String?
    @Flag(help: "Take purchase lines (APPEND) into a log in the workspace; one server of it may.")
    var append = false
    @Flag(help: "Allow addresses that other machines reach, though nothing guards them.")
    var insecure = false
    @Option(help: "Event loops, 2 by default; more serve more connections at once.")
    var loops: Int?
    @Option(
        help: "Seconds that requests in flight may take to finish after SIGTERM; 30 by default.")
    var drainSeconds: Int?
    @Option(help: "How lines of the log look: text or json.")
    var logFormat: LogFormat?
    @Option(
        help: "The least level that is logged, such as debug, info or warning.",
        transform: logLevel(parsing:))
    var logLevel: Logger.Level?
    @OptionGroup var output: OutputOptions

    @Sendable private static func logLevel(parsing text: String) throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: text) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--log-level is one of \(levels), not '\(text)'")
        }
        return level
    }

    func validate() throws {
        for address in [listen, admin].compactMap({ $0 }) { _ = try Endpoint(parsing: address) }
        if let loops, !(1...64).contains(loops) {
            throw ValidationError("--loops is between 1 and 64, not \(loops)")
        }
        if let drainSeconds, !(0...3_600).contains(drainSeconds) {
            throw ValidationError("--drain-seconds is between 0 and 3600, not \(drainSeconds)")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together")
        }
        guard workspace != nil || config != nil else {
            throw ValidationError("give a workspace, or a --config that names one")
        }
    }

    func run() async throws {
        let settings = try settings()
        let folder = settings.workspace ?? ""
        if checkConfig {
            try check(settings, folder)
            return
        }
        // Opened once here so that a folder that is no workspace is said in its own words.
        _ = try Workspace.currentSnapshot(folder)
        let writer = LogWriter(format: settings.log.format)
        defer { writer.flush() }
        let logger = writer.logger("patron", level: settings.log.level)
        var configuration = settings.configuration
        configuration.workspace = folder
        let manifest = ManifestWatch(folder)
        let server = try await PatronServer.start(
            configuration,
            source: { () throws(EngineError) in try manifest.location() },
            logger: logger,
            manager: ServiceManager(
                environment: ProcessInfo.processInfo.environment,
                processID: ProcessInfo.processInfo.processIdentifier),
            droppedLogLines: { writer.droppedCount })
        struct Started: Encodable {
            var host: String
            var port: Int
            var adminPort: Int?
            var generation: Int
        }
        let started = Started(
            host: configuration.host, port: server.address.port ?? configuration.port,
            adminPort: server.adminPort, generation: server.generation)
        try output.print(started) { started in
            "serving generation \(started.generation) on \(started.host):\(started.port)"
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                // It returns where a client asked for a drain.
                services: [
                    .init(
                        service: server,
                        successTerminationBehavior: .gracefullyShutdownGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    /// What the file says and the options change.
    private func settings() throws -> ServeSettings {
        var settings = ServeSettings()
        if let config {
            guard let text = try? String(contentsOfFile: config, encoding: .utf8) else {
                throw ServerError.unreadable(path: config)
            }
            do throws(PlanError) {
                settings = try ServeSettings(parsing: text, path: config)
            } catch {
                throw ServerError.settings(error)
            }
        }
        if let workspace { settings.workspace = workspace }
        guard settings.workspace != nil else {
            throw CommandError(
                text: "\(config ?? ""): workspace is missing; name it there or on the command line",
                code: Failure.badData)
        }
        try apply(to: &settings.configuration)
        let (host, port) = (settings.configuration.host, settings.configuration.port)
        if let admin = settings.configuration.admin, admin.port == port, admin.host == host,
            port > 0
        {
            throw CommandError(
                text: "\(config ?? "the command line"): listen and admin are both \(host):\(port); "
                    + "give admin another port",
                code: Failure.badData)
        }
        if append { settings.append = true }
        if settings.append { settings.configuration.liveWorkspace = settings.workspace }
        if let logFormat { settings.log.format = logFormat }
        if let logLevel { settings.log.level = logLevel }
        return settings
    }

    private func apply(to configuration: inout ServerConfiguration) throws {
        if let listen {
            let endpoint = try Endpoint(parsing: listen)
            (configuration.host, configuration.port) = (endpoint.host, endpoint.port)
        }
        if let admin {
            let endpoint = try Endpoint(parsing: admin)
            configuration.admin = AdminAddress(host: endpoint.host, port: endpoint.port)
        }
        if let tlsCert, let tlsKey {
            configuration.tls = TLSFiles(
                certificatePath: tlsCert, keyPath: tlsKey,
                clientCAPath: configuration.tls?.clientCAPath)
        }
        if let clientCa {
            guard configuration.tls != nil else {
                throw ValidationError("--client-ca goes with --tls-cert and --tls-key")
            }
            configuration.tls?.clientCAPath = clientCa
        }
        if let tokens { configuration.tokensPath = tokens }
        if insecure { configuration.allowInsecure = true }
        if let loops { configuration.loopCount = loops }
        if let drainSeconds { configuration.drainTimeout = .seconds(drainSeconds) }
    }

    /// Says what would keep a server from starting.
    private func check(_ settings: ServeSettings, _ folder: String) throws {
        struct Checked: Encodable {
            var warnings: [String]
        }
        let checked: Checked
        do {
            checked = Checked(warnings: try Preparation(settings.configuration).warnings)
            _ = try Workspace.currentSnapshot(folder)
        } catch {
            guard let failure = Failure(error) else { throw error }
            throw CommandError(text: failure.text, code: Failure.badData)
        }
        try output.print(checked) { checked in
            (checked.warnings.map { "warning: \($0)" } + ["the configuration can be served"])
                .joined(separator: "\n")
        }
    }
}

extension LogFormat: ExpressibleByArgument {}

/// A host and a port, as `127.0.0.1:7070` or `[::1]:7070`.
struct Endpoint {
    let host: String
    let port: Int

    init(parsing text: String) throws {
        guard let address = HostAndPort(parsing: text) else {
            throw ValidationError("an address is HOST:PORT, such as 127.0.0.1:7070, not '\(text)'")
        }
        host = address.host
        port = address.port
    }
}
