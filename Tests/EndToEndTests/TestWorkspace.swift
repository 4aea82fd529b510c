import Engine
import Foundation
import Logging
import PatronClient
import Server
import Synthetic
import TestSupport

/// The plan that a bare (customer, date, amount) file needs.
let barePlan = """
    version: 1
    sources:
      purchases:
        files: [purchases.csv]
        columns:
          customerID: customer
          time: time
          amount: amount
    """

extension URL {
    /// Writes a file into the folder and returns its path.
    @discardableResult
    func write(_ text: String, as name: String) throws -> String {
        let url = appendingPathComponent(name)
        try Data(text.utf8).write(to: url)
        return url.path
    }

    func sub(_ name: String) -> String { appendingPathComponent(name).path }
}

/// A workspace of a plan and a purchases file, ready to ingest.
func makeWorkspace(_ folder: URL, plan: String = barePlan, purchases: String) throws -> Workspace {
    try folder.write(purchases, as: "purchases.csv")
    let planPath = try folder.write(plan, as: "patron.yaml")
    try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
    return try Workspace(folder: folder.sub("ws"), access: .writing)
}

/// A generated retailer, ingested.
func makeRetailer(_ folder: URL, customers: Int, seed: UInt64 = 1) throws -> Workspace {
    var parameters = Retailer.Parameters()
    parameters.customerCount = customers
    parameters.seed = seed
    _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
    try Workspace.create(
        folder: folder.sub("ws"), planPath: folder.sub("data/\(Retailer.FileName.plan)"))
    let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
    _ = try workspace.ingest()
    return workspace
}

/// Serves a workspace on a free port while `body` runs.
/// - Parameters:
///   - taking: whether it takes purchases.
///   - tls: of the server; `trust` is what a client then needs.
func serving<Result: Sendable>(
    _ folder: String, taking: Bool = false, tls: TLSFiles? = nil, trust: PatronTLS? = nil,
    _ body: (PatronConnection, PatronServer) async throws -> Result
) async throws -> Result {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = ServerConfiguration(loopCount: 1, drainDelay: .zero)
    if taking { configuration.liveWorkspace = folder }
    configuration.workspace = folder
    let manifest = ManifestWatch(folder)
    configuration.tls = tls
    let server = try await PatronServer.start(
        configuration,
        source: { () throws(EngineError) in try manifest.location() },
        logger: logger)
    let running = Task { try await server.run() }
    let connection = try await PatronConnection.connect(
        host: "127.0.0.1", port: server.address.port ?? 0, tls: trust)
    defer { running.cancel() }
    do {
        let result = try await body(connection, server)
        await connection.close()
        running.cancel()
        _ = try? await running.value
        return result
    } catch {
        await connection.close()
        throw error
    }
}
