import ByteCoding
import ColumnStore
import Engine
import Foundation
import PatronClient
import Server
import Testing
import Units

/// 1,000 customers (ids 1000, 1007, …) with one order of 5.00 each, ten days before the snapshot's
/// day. Column 300 tells the row.
func liveContents(
    generation: Int = 1, known: LogPosition = .start, textIDs: Bool = false,
    bought: [Int: Double] = [:]
) -> SnapshotContents {
    let rows = 0..<1_000
    var contents = sampleContents(generation: generation, textIDs: textIDs)
    contents.status = rows.map { _ in 0 }
    func column(_ id: UInt16, _ values: ScoreColumn.Values, valid: [Bool]? = nil) -> ScoreColumn {
        ScoreColumn(id: id, name: "column \(id)", unit: "", values: values, valid: valid)
    }
    // What was bought since was one order on the snapshot's day.
    let repeats = rows.map { Int32(bought[$0] == nil ? 0 : 1) }
    contents.columns = [
        column(1, .int32(repeats)),
        column(2, .int32(repeats.map { $0 * 10 })),
        column(3, .int32(rows.map { _ in 10 })),
        column(4, .int32(repeats.map { 10 - $0 * 10 })),
        column(
            5, .float64(rows.map { bought[$0] ?? 0 }), valid: rows.map { bought[$0] != nil }),
        column(6, .float64(rows.map { 5 + (bought[$0] ?? 0) })),
        column(7, .float64(rows.map { (5 + (bought[$0] ?? 0)) * 0.3 })),
        column(300, .float32(rows.map { Float($0) })),
    ]
    contents.models = []
    contents.history = SnapshotDescriptor.Coverage(live: known, isWhole: true)
    return contents
}

/// A plan with products and order ids, and no margins.
private func planText(textIDs: Bool) -> String {
    """
    version: 1
    currency: GBP
    grossMarginRate: 0.3
    sources:
      purchases:
        files: [purchases.csv]
        columns:
          customerID: {column: customer, type: \(textIDs ? "text" : "integer")}
          time: time
          amount: amount
          product: product
          orderID: order
    """
}

/// Runs `body` with a workspace that has nothing but a plan.
func withLiveWorkspace(
    textIDs: Bool = false, _ body: (_ folder: String) async throws -> Void
) async throws {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-live-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let plan = folder.appendingPathComponent("patron.yaml").path
    try planText(textIDs: textIDs).write(toFile: plan, atomically: true, encoding: .utf8)
    let workspace = folder.appendingPathComponent("ws").path
    try Workspace.create(folder: workspace, planPath: plan)
    try await body(workspace)
}

/// Runs a server that takes the purchases of a workspace while `body` runs, then drains it.
func withLiveServer(
    _ workspace: String, _ contents: SnapshotContents = liveContents(),
    _ change: (inout ServerConfiguration) -> Void = { _ in },
    _ body: (TestServer) async throws -> Void
) async throws {
    let configuration = testConfiguration {
        $0.liveWorkspace = workspace
        change(&$0)
    }
    let server = try await TestServer(
        configuration, contents, folder: workspace + "/served-\(UUID().uuidString)")
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

/// The day of the snapshot.
let liveDay = 10_134

/// One line a customer, all on one day.
func purchases(
    _ customers: [Int64], day: Int = liveDay + 1, cents: Int64 = 1_250, product: String = "P1",
    orders: [String]? = nil
) -> Purchases {
    var purchases = Purchases(
        customers: customers.map { .integer($0) },
        times: .days([Int?](repeating: day, count: customers.count)),
        amounts: [Int64?](repeating: cents, count: customers.count), currency: "GBP")
    purchases.products = [String](repeating: product, count: customers.count)
    purchases.orders = orders
    return purchases
}

func liveID(_ row: Int) -> Int64 { Int64(1_000 + 7 * row) }
