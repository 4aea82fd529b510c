import ColumnStore
import Engine
import Foundation
import Logging
import PatronClient
import Server
import ServiceLifecycle

/// A workspace on disk with generations of `sampleContents`, of which the first is published.
struct SampleWorkspace {
    let folder: String

    private static let plan = """
        sources:
          purchases:
            columns:
              customerID: customer
              time: date
              amount: amount
        """

    /// - Parameter folder: is made.
    init(_ folder: URL, generations: [SnapshotContents]) throws {
        let plan = folder.appendingPathExtension("yaml")
        try Data(Self.plan.utf8).write(to: plan)
        defer { try? FileManager.default.removeItem(at: plan) }
        self.folder = folder.path
        try Workspace.create(folder: folder.path, planPath: plan.path)
        for contents in generations { try add(contents) }
        try change { $0.currentGeneration = generations.first?.generation }
    }

    /// Writes a generation, as a scoring does.
    func add(_ contents: SnapshotContents) throws {
        let location = try SnapshotWriter.write(contents, into: "\(folder)/snapshots")
        let name = location.folder.split(separator: "/").last ?? ""
        try change {
            $0.generations.append(
                Manifest.Generation(number: contents.generation, folder: "snapshots/\(name)"))
        }
    }

    func manifest() throws -> Manifest {
        try Manifest.load(from: folder) ?? Manifest()
    }

    func change(_ change: (inout Manifest) -> Void) throws {
        var manifest = try manifest()
        change(&manifest)
        manifest.revision += 1
        try manifest.commit(to: folder)
    }

    func path(_ generation: Int, _ name: String) throws -> URL {
        let found = try manifest().generations.first { $0.number == generation }
        return URL(fileURLWithPath: "\(folder)/\(found?.folder ?? "")/\(name)")
    }

    /// Flips a bit in the middle of a file.
    func damage(_ generation: Int, _ name: String) throws {
        let url = try path(generation, name)
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count / 2] ^= 4
        // In the place of the old file, as an operator's copy would be: who has that one open keeps
        // its bytes.
        try bytes.write(to: url, options: .atomic)
    }
}

/// A server of a workspace.
final class ServedWorkspace: Sendable {
    let server: PatronServer
    private let services: ServiceGroup

    init(
        _ workspace: SampleWorkspace, _ configuration: ServerConfiguration, logger: Logger
    ) async throws {
        var configuration = configuration
        configuration.workspace = workspace.folder
        let folder = workspace.folder
        server = try await PatronServer.start(
            configuration,
            source: { () throws(EngineError) in try Workspace.currentSnapshot(folder) },
            logger: logger)
        services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: server,
                        successTerminationBehavior: .gracefullyShutdownGroup)
                ], logger: logger))
    }

    func run() async throws { try await services.run() }

    func shutDown() async { await services.triggerGracefulShutdown() }

    func connect(token: String? = nil) async throws -> PatronConnection {
        try await PatronConnection.connect(
            host: "127.0.0.1", port: server.port, token: token, defaultDeadline: .seconds(30))
    }
}

/// Runs a server of a workspace with these generations while `body` runs.
func withWorkspace(
    _ generations: [SnapshotContents] = [sampleContents(), sampleContents(generation: 2)],
    _ configuration: ServerConfiguration = testConfiguration(), logger: Logger = silentLogger,
    _ body: (SampleWorkspace, ServedWorkspace) async throws -> Void
) async throws {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let workspace = try SampleWorkspace(folder, generations: generations)
    try await serving(workspace, configuration, logger: logger) { try await body(workspace, $0) }
}

/// Runs a server of a workspace while `body` runs.
func serving(
    _ workspace: SampleWorkspace, _ configuration: ServerConfiguration = testConfiguration(),
    logger: Logger = silentLogger, _ body: (ServedWorkspace) async throws -> Void
) async throws {
    let server = try await ServedWorkspace(workspace, configuration, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run() }
        do {
            try await body(server)
        } catch {
            await server.shutDown()
            throw error
        }
        await server.shutDown()
        try await tasks.waitForAll()
    }
}

/// The status with which the server refuses what `body` asks; nil where it does not.
func refusal(
    _ body: () async throws -> some Any
) async throws -> PatronError.Refusal? {
    do {
        _ = try await body()
        return nil
    } catch PatronError.refused(let refusal) {
        return refusal
    }
}
