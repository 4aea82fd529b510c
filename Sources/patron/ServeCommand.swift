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
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Address and port to listen on; port 0 takes a free one.")
    var listen = "127.0.0.1:7070"
    @Flag(help: "Allow an address that other machines reach, though nothing guards it.")
    var insecure = false
    @Option(help: "Event loops; more serve more connections at once.")
    var loops = 2
    @Option(help: "Seconds that requests in flight may take to finish after SIGTERM.")
    var drainSeconds = 30
    @OptionGroup var output: OutputOptions

    func validate() throws {
        _ = try Endpoint(parsing: listen)
        guard (1...64).contains(loops) else {
            throw ValidationError("--loops is between 1 and 64, not \(loops)")
        }
        guard (0...3_600).contains(drainSeconds) else {
            throw ValidationError("--drain-seconds is between 0 and 3600, not \(drainSeconds)")
        }
    }

    func run() async throws {
        let endpoint = try Endpoint(parsing: listen)
        let folder = workspace
        // Opened once here so that a folder that is no workspace is said in its own words.
        _ = try Workspace.currentSnapshot(folder)
        var configuration = ServerConfiguration(
            host: endpoint.host, port: endpoint.port, loopCount: loops,
            allowInsecure: insecure, drainTimeout: .seconds(drainSeconds))
        configuration.scanThreadCount = 1
        let logger = Logger(label: "patron") { StreamLogHandler.standardError(label: $0) }
        let server = try await PatronServer.start(
            configuration,
            source: { () throws(EngineError) in try Workspace.currentSnapshot(folder) },
            logger: logger)
        struct Started: Encodable {
            var host: String
            var port: Int
            var generation: Int
        }
        let started = Started(
            host: endpoint.host, port: server.address.port ?? endpoint.port,
            generation: server.generation)
        try output.print(started) { started in
            "serving generation \(started.generation) on \(started.host):\(started.port)"
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: server)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

/// A host and a port, as `127.0.0.1:7070` or `[::1]:7070`.
struct Endpoint {
    let host: String
    let port: Int

    init(parsing text: String) throws {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else {
            throw ValidationError("an address is HOST:PORT, such as 127.0.0.1:7070, not '\(text)'")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else {
            throw ValidationError("an address is HOST:PORT, such as 127.0.0.1:7070, not '\(text)'")
        }
        self.host = String(host)
        self.port = port
    }
}
