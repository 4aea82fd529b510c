import ByteCoding
import ColumnStore
import Features
import Foundation
package import Ingest
import Units

/// What an ingest added, one report a file.
package struct IngestSummary: Codable, Sendable {
    package var purchases: [IngestReport] = []
    package var customers: [IngestReport] = []
    package var products: [IngestReport] = []
    /// Where the lines that were left out are listed; nil where every line was taken.
    package var rejectsPath: String?

    package var reports: [IngestReport] { purchases + customers + products }
}

/// Files to ingest. Where all are nil, those that the plan names.
package struct IngestFiles: Sendable {
    package var purchases: [String]?
    package var customers: [String]?
    package var products: [String]?

    package init(
        purchases: [String]? = nil, customers: [String]? = nil, products: [String]? = nil
    ) {
        self.purchases = purchases
        self.customers = customers
        self.products = products
    }

    var isEmpty: Bool { purchases == nil && customers == nil && products == nil }
}

extension Workspace {
    /// Reads files into segment files and makes all of them visible at once, or none.
    /// - Parameters:
    ///   - again: takes a file whose content was ingested before.
    ///   - skipKnown: leaves such a file out, silently; for `run`, which may be repeated.
    ///   - rejectsPath: where the left-out lines are listed; `rejects/…` of the workspace if nil.
    ///   - report: gets a line about each file begun.
    package func ingest(
        _ requested: IngestFiles = IngestFiles(), again: Bool = false, skipKnown: Bool = false,
        rejectsPath: String? = nil, report: (String) -> Void = { _ in }
    ) throws(EngineError) -> IngestSummary {
        let files = requested.isEmpty ? try plannedFiles() : requested
        var pending = PendingIngest(workspace: self, again: again, skipKnown: skipKnown)
        let rejectsPath =
            rejectsPath ?? "\(folder)/rejects/ingest-\(sixDigits(manifest.nextFileNumber)).csv"
        let rejects = try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try RejectsWriter(path: rejectsPath)
        }
        func keepRejects() throws(EngineError) {
            guard rejects.rowCount > 0 else { return }
            try mapErrors(EngineError.ingest) { () throws(IngestError) in try rejects.finish() }
            pending.summary.rejectsPath = rejectsPath
        }
        do throws(EngineError) {
            for path in files.products ?? [] {
                report("reading \(path)")
                try pending.addEntities(path, .products, rejects)
            }
            for path in files.customers ?? [] {
                report("reading \(path)")
                try pending.addEntities(path, .customers, rejects)
            }
            for path in files.purchases ?? [] {
                report("reading \(path)")
                try pending.addPurchases(path, rejects)
            }
            try keepRejects()
            pending.keepNumberOfRejects()
        } catch {
            pending.removeFiles()
            // The list is what the user needs to mend the file or the mapping.
            if case .ingest(.tooManyRejects) = error { try keepRejects() }
            throw error
        }
        try commit(pending.manifest)
        return pending.summary
    }

    private func plannedFiles() throws(EngineError) -> IngestFiles {
        IngestFiles(
            purchases: try sourcePaths(plan.sources.purchases.files),
            customers: try sourcePaths(plan.sources.customers?.files ?? []),
            products: try sourcePaths(plan.sources.products?.files ?? []))
    }
}

/// The two kinds of tables that describe what purchase lines refer to.
enum EntityKind: String {
    case customers, products
}

/// Files written by an ingest that is not committed yet.
private struct PendingIngest {
    var manifest: Manifest
    var summary = IngestSummary()
    private let workspace: Workspace
    private let again: Bool
    private let skipKnown: Bool
    private var written: [String] = []

    init(workspace: Workspace, again: Bool, skipKnown: Bool) {
        self.workspace = workspace
        self.again = again
        self.skipKnown = skipKnown
        manifest = workspace.manifest
    }

    mutating func addPurchases(
        _ path: String, _ rejects: RejectsWriter
    ) throws(EngineError) {
        guard try !isKnown(path, "purchases") else { return }
        let plan = workspace.plan
        let (lines, report) = try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try readPurchases(
                path: path, mapping: plan.sources.purchases.mapping, clock: plan.clock,
                rejects: rejects)
        }
        guard try !isKnown(report, "purchases") else { return }
        try checkKind(of: lines.customerIDs, against: manifest.purchaseSegments, "customer")
        try checkKind(of: lines.customerIDs, against: manifest.customerSegments, "id")
        if lines.count > 0 {
            let file = nextFile("purchases")
            let segment = try PurchaseSegments.write(lines, to: "\(workspace.folder)/\(file)")
            manifest.purchaseSegments.append(entry(file, segment, report))
        }
        remember(report, "purchases")
        summary.purchases.append(report)
    }

    mutating func addEntities(
        _ path: String, _ kind: EntityKind, _ rejects: RejectsWriter
    ) throws(EngineError) {
        guard try !isKnown(path, kind.rawValue) else { return }
        let plan = workspace.plan
        guard let source = kind == .customers ? plan.sources.customers : plan.sources.products
        else {
            throw .sourceMissing(kind: kind.rawValue, planPath: "\(workspace.folder)/patron.yaml")
        }
        let (table, report) = try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try readEntities(path: path, mapping: source.mapping, rejects: rejects)
        }
        guard try !isKnown(report, kind.rawValue) else { return }
        switch kind {
        case .customers:
            try checkKind(of: table.ids, against: manifest.customerSegments, "id")
            try checkKind(of: table.ids, against: manifest.purchaseSegments, "customer")
        case .products:
            try checkKind(of: table.ids, against: manifest.productSegments, "id", of: "product")
        }
        if table.count > 0 {
            let file = nextFile(kind.rawValue)
            let segment = try EntitySegments.write(table, to: "\(workspace.folder)/\(file)")
            if kind == .customers {
                manifest.customerSegments.append(entry(file, segment, report))
            } else {
                manifest.productSegments.append(entry(file, segment, report))
            }
        }
        remember(report, kind.rawValue)
        if kind == .customers {
            summary.customers.append(report)
        } else {
            summary.products.append(report)
        }
    }

    /// Removes what the failed ingest wrote; no manifest names it.
    func removeFiles() {
        for path in written { try? FileManager.default.removeItem(atPath: path) }
    }

    /// An ingest that took no line, but listed some, uses up its number, so that the next one does
    /// not write over the list.
    mutating func keepNumberOfRejects() {
        if summary.rejectsPath != nil, written.isEmpty { manifest.nextFileNumber += 1 }
    }

    /// Whether the content was ingested before as the same kind and is to be left out. Only a file
    /// of the size of an earlier one is read for it; what cannot be opened is reported by the
    /// reader.
    /// - Throws: `.alreadyIngested` where that is not wanted.
    private func isKnown(_ path: String, _ kind: String) throws(EngineError) -> Bool {
        let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
        let candidates = manifest.sources.filter { $0.kind == kind && $0.byteCount == size }
        guard !again, !candidates.isEmpty, let file = try? MappedFile(path: path) else {
            return false
        }
        let hash = file.withBytes { ContentHash.hash($0) }
        return try isKnown(path, hash, kind)
    }

    /// The same of what was read: a pipe has no size to go by before.
    private func isKnown(_ report: IngestReport, _ kind: String) throws(EngineError) -> Bool {
        try isKnown(report.path, report.contentHash, kind)
    }

    private func isKnown(
        _ path: String, _ hash: UInt64, _ kind: String
    ) throws(EngineError) -> Bool {
        let earlier = manifest.sources.first { $0.kind == kind && $0.contentHash == hash }
        guard !again, let earlier else { return false }
        if skipKnown { return true }
        throw .alreadyIngested(path: path, earlier: earlier.name)
    }

    private mutating func nextFile(_ folder: String) -> String {
        let name = "\(folder)/\(sixDigits(manifest.nextFileNumber)).seg"
        manifest.nextFileNumber += 1
        written.append("\(workspace.folder)/\(name)")
        return name
    }

    private func entry(
        _ file: String, _ segment: SegmentSummary, _ report: IngestReport
    ) -> Manifest.Segment {
        Manifest.Segment(
            file: file, rowCount: segment.rowCount, byteCount: segment.byteCount,
            checksum: segment.checksum, firstTime: report.firstTime, lastTime: report.lastTime)
    }

    private mutating func remember(_ report: IngestReport, _ kind: String) {
        manifest.sources.append(
            Manifest.Source(
                kind: kind, name: report.path, contentHash: report.contentHash,
                byteCount: report.byteCount, lineCount: report.lineCount,
                acceptedCount: report.acceptedCount))
    }

    /// The customer ids of one workspace are all integers or all texts, and so are its product
    /// ids: what is committed cannot be taken back, so a mixture is refused here.
    private func checkKind(
        of ids: IDColumn, against earlier: [Manifest.Segment], _ column: String,
        of table: String = "customer"
    ) throws(EngineError) {
        guard ids.count > 0, let first = earlier.first else { return }
        let path = "\(workspace.folder)/\(first.file)"
        let type = try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentReader(path: path).schema.first { $0.name == column }?.type
        }
        let isText = if case .texts = ids { true } else { false }
        if let type, (type == .text) != isText { throw .idKindMismatch(table: table) }
    }
}

/// 42 as `000042`.
func sixDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
}
