import ByteCoding
import Foundation
import Ingest
import Testing
import Units

/// customer,time,amount by name, text ids.
let plainMapping = PurchaseMapping(
    customerID: IDReference(.name("customer")), time: TimeReference(.name("time")),
    amount: .amount(.name("amount")))

/// As `plainMapping` with everything allowed to be rejected, to look at single reasons.
var lenientMapping: PurchaseMapping {
    var mapping = plainMapping
    mapping.format.maximumRejectShare = 1
    return mapping
}

func read(
    _ text: String, _ mapping: PurchaseMapping = plainMapping, clock: LocalClock = .utc,
    rejects: RejectsWriter? = nil
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    try read(Array(text.utf8), mapping, clock: clock, rejects: rejects)
}

func read(
    _ bytes: [UInt8], _ mapping: PurchaseMapping = plainMapping, clock: LocalClock = .utc,
    rejects: RejectsWriter? = nil
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    try readPurchases(
        bytes, path: "sales.csv", mapping: mapping, clock: clock, rejects: rejects)
}

func ids(_ column: IDColumn) -> [String] {
    (0..<column.count).map { column[$0].description }
}

/// The error that reading throws; nil where it does not.
func error(
    _ text: String, _ mapping: PurchaseMapping = plainMapping
) -> IngestError? {
    error(Array(text.utf8), mapping)
}

func error(_ bytes: [UInt8], _ mapping: PurchaseMapping = plainMapping) -> IngestError? {
    do throws(IngestError) {
        _ = try read(bytes, mapping)
        return nil
    } catch {
        return error
    }
}

/// A folder that is removed after the body.
func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-ingest-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

/// A file of some bytes that is removed after the body.
func withTemporaryFile<Result>(
    _ bytes: [UInt8], _ body: (_ path: String) throws -> Result
) throws -> Result {
    var result: Result?
    try withTemporaryFolder { folder in
        let file = folder.appendingPathComponent("sales.csv")
        try Data(bytes).write(to: file)
        result = try body(file.path)
    }
    return try #require(result)
}
