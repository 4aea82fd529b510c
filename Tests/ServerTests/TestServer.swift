import ByteCoding
import Engine
import Foundation
import Logging
import PatronClient
import Server
import ServiceLifecycle
import Synchronization
import Units

/// 1,000 customers (ids 1000, 1007, …), 20 products. Column 10 tells the generation and the row
/// that a value comes from; column 2 is missing where the status is not ok.
func sampleContents(
    generation: Int = 1, customerCount: Int = 1_000, textIDs: Bool = false, hasAffinity: Bool = true
) -> SnapshotContents {
    let rows = 0..<customerCount
    let productCount = 20
    let factorCount = 4
    var offsets = [0]
    var products: [Int32] = []
    for row in rows {
        if row != 3 { products += [Int32(row % productCount)] }
        offsets.append(products.count)
    }
    let affinity = AffinityContents(
        factorCount: factorCount,
        customerFactors: (0..<customerCount * factorCount).map { Float($0 % 13) / 8 },
        productIDs: .texts(TextArray((0..<productCount).map { "P\($0)" })),
        productFactors: (0..<productCount * factorCount).map { Float($0 % 7) / 8 },
        purchasedOffsets: offsets, purchasedProducts: products)
    return SnapshotContents(
        generation: generation, asOf: CalendarDay(daysSince1970: 10_134), currency: "GBP",
        models: [ModelReference(name: "lifetime", version: 2, checksum: 7)],
        customerIDs: textIDs
            ? .texts(TextArray(rows.map { "C\(10_000 + $0)" }))
            : .integers(rows.map { Int64(1_000 + 7 * $0) }),
        status: rows.map { $0 % 10 == 9 ? 2 : 0 },
        columns: [
            ScoreColumn(
                id: 2, name: "probabilityAlive", unit: "probability",
                values: .float64(rows.map { Double($0) / 1_024 }),
                valid: rows.map { $0 % 10 != 9 }),
            ScoreColumn(
                id: 10, name: "revenue", unit: "GBP", description: "All purchases",
                values: .float64(rows.map { revenue(row: $0, generation: generation) })),
            ScoreColumn(
                id: 13, name: "valueSegment", unit: "segment",
                values: .int32(rows.map { Int32($0 % 5) })),
            ScoreColumn(
                id: 300, name: "promotionShare", unit: "",
                values: .float32(rows.map { Float($0 % 4) / 4 })),
        ],
        affinity: hasAffinity ? affinity : nil,
        segments: [
            SegmentTable(
                segmentation: "behaviour",
                segments: [.init(number: 0, name: "morning", customerCount: 1_000, revenue: 8)]),
            SegmentTable(
                segmentation: "value",
                segments: [
                    .init(
                        number: 0, name: "low", customerCount: 750, revenue: 2,
                        meanLifetimeValue: 1.5, meanChurnProbability: 0.5),
                    .init(number: 1, name: "high", customerCount: 250, revenue: 6),
                ]),
        ])
}

func revenue(row: Int, generation: Int) -> Double { Double(generation) + Double(row) / 1_024 }

/// Holds for every customer of `sampleContents`, and takes long to find out.
let slowRule = (0..<400).map { "revenue between \($0) and \($0 + 1)" }.joined(separator: " or ")

/// Quick to notice a publish and to stop.
func testConfiguration(
    _ change: (inout ServerConfiguration) -> Void = { _ in }
) -> ServerConfiguration {
    var configuration = ServerConfiguration(
        snapshotPollInterval: .milliseconds(10), drainDelay: .milliseconds(20),
        drainTimeout: .seconds(5))
    // All tests share the machine: only the tests of a time limit may depend on one.
    configuration.limits.handshakeTimeout = .seconds(60)
    // The process is shared too, and with it its signals.
    configuration.hasteningSignals = []
    // Tests look for the lines of single connections.
    configuration.refusalLogInterval = .zero
    change(&configuration)
    return configuration
}

/// Runs a server on a free port of loopback while `body` runs, then drains it.
func withServer(
    _ configuration: ServerConfiguration = testConfiguration(),
    _ contents: SnapshotContents = sampleContents(),
    logger: Logger = silentLogger, manager: ServiceManager = .none,
    _ body: (TestServer) async throws -> Void
) async throws {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let server = try await TestServer(
        configuration, contents, folder: folder.path, logger: logger, manager: manager)
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

/// A server over a folder of snapshots; what is current stands in memory instead of a manifest.
final class TestServer: Sendable {
    let server: PatronServer
    let folder: String
    private let current: CurrentLocation
    private let services: ServiceGroup

    init(
        _ configuration: ServerConfiguration, _ contents: SnapshotContents, folder: String,
        logger: Logger = silentLogger, manager: ServiceManager = .none
    ) async throws {
        let current = CurrentLocation(try SnapshotWriter.write(contents, into: folder))
        server = try await PatronServer.start(
            configuration, source: { () throws(EngineError) in current.get() }, logger: logger,
            manager: manager)
        self.folder = folder
        self.current = current
        services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: server,
                        successTerminationBehavior: .gracefullyShutdownGroup)
                ], logger: logger))
    }

    var port: Int { server.port }

    func run() async throws { try await services.run() }

    /// What SIGTERM does.
    func shutDown() async { await services.triggerGracefulShutdown() }

    func connect(
        host: String = "127.0.0.1", tls: PatronTLS? = nil, token: String? = nil,
        defaultDeadline: Duration? = .seconds(20)
    ) async throws -> PatronConnection {
        try await PatronConnection.connect(
            host: host, port: port, tls: tls, token: token, defaultDeadline: defaultDeadline)
    }

    /// Writes a generation and makes it current; `damage` gets its folder in between.
    func publish(
        _ contents: SnapshotContents, damage: (String) throws -> Void = { _ in }
    ) throws {
        let location = try SnapshotWriter.write(contents, into: folder)
        try damage(location.folder)
        current.set(location)
    }

    /// Makes a generation current, whether it is there or not.
    func announce(_ location: SnapshotLocation) { current.set(location) }

    /// Until the server has looked at, and judged, what was announced before.
    func waitForLook() async throws {
        // The second question from now on comes after the first answer was worked through.
        let enough = current.readCount + 2
        for _ in 0..<6_000 where current.readCount < enough {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func waitForGeneration(_ generation: Int) async throws {
        for _ in 0..<6_000 where server.generation != generation {
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

final class CurrentLocation: Sendable {
    private let location: Mutex<(value: SnapshotLocation?, readCount: Int)>

    init(_ location: SnapshotLocation?) { self.location = Mutex((location, 0)) }

    /// How often the server has asked.
    var readCount: Int { location.withLock { $0.readCount } }

    func get() -> SnapshotLocation? {
        location.withLock {
            $0.readCount += 1
            return $0.value
        }
    }

    func set(_ new: SnapshotLocation?) { location.withLock { $0.value = new } }
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Keeps what is logged.
final class LogRecorder: Sendable {
    private let lines = Mutex<[String]>([])

    var logger: Logger {
        Logger(label: "test") { _ in Handler(recorder: self) }
    }

    /// Each line as its message and facts.
    var all: [String] { lines.withLock { $0 } }

    /// The first line with a text, within some seconds.
    func line(with text: String) async throws -> String? {
        for _ in 0..<1_000 {
            if let line = all.first(where: { $0.contains(text) }) { return line }
            try await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let facts = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted()
            recorder.lines.withLock {
                $0.append(([event.message.description] + facts).joined(separator: " "))
            }
        }
    }
}
