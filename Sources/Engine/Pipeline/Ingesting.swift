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
    /// The live purchases that were taken along; nil for none.
    package var live: LiveAbsorption?
    /// Who was erased; nil for nobody.
    package var erasure: ErasureSummary?
    /// Where the lines that were left out are listed; nil where every line was taken.
    package var rejectsPath: String?
    /// What was merged afterwards, because there were many segments; nil for nothing.
    package var compaction: CompactionSummary?
    /// Why segments could not be merged. What was ingested is there all the same, and the next
    /// ingest tries again.
    package var compactionProblem: String?

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
    /// Reads files into segment files, and the live purchases that have come since the last ingest,
    /// and makes all of them visible at once, or none.
    /// - Parameters:
    ///   - again: takes a file whose content was ingested before.
    ///   - skipKnown: leaves such a file out, silently; for `run`, which may be repeated.
    ///   - rejectsPath: where the left-out lines are listed; `rejects/…` of the workspace if nil.
    ///   - memory: what reading, sorting and merging purchases may take.
    ///   - threadCount: at least 1; what is written does not depend on it, nor on the memory.
    ///   - merging: whether many small segments are merged afterwards.
    ///   - report: gets a line about each file begun, and now and then how far it is.
    package func ingest(
        _ requested: IngestFiles = IngestFiles(), again: Bool = false, skipKnown: Bool = false,
        rejectsPath: String? = nil, memory: IngestMemory = IngestMemory(byteCount: 1 << 30),
        threadCount: Int = 1, merging: Bool = true,
        report: @escaping (String) -> Void = { _ in }
    ) throws(EngineError) -> IngestSummary {
        let files = requested.isEmpty ? try plannedFiles() : requested
        var pending = PendingIngest(
            workspace: self, again: again, skipKnown: skipKnown, memory: memory,
            threadCount: threadCount, report: report)
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
                try pending.addPurchases(path, rejects)
            }
            try pending.findErasures()
            try pending.addLivePurchases()
            try pending.eraseCustomers()
            try keepRejects()
            pending.keepNumberOfRejects()
            try commit(pending.manifest, settling: pending.files.paths)
        } catch {
            pending.files.remove()
            // The list is what the user needs to mend the file or the mapping.
            if case .ingest(.tooManyRejects) = error { try keepRejects() }
            throw error
        }
        var summary = pending.summary
        guard merging else { return summary }
        do throws(EngineError) {
            summary.compaction = try compact(
                memory: memory, threadCount: threadCount, report: report)
        } catch {
            summary.compactionProblem = error.description
        }
        return summary
    }

    private func plannedFiles() throws(EngineError) -> IngestFiles {
        IngestFiles(
            purchases: try sourcePaths(plan.sources.purchases?.files ?? []),
            customers: try sourcePaths(plan.sources.customers?.files ?? []),
            products: try sourcePaths(plan.sources.products?.files ?? []))
    }
}

/// The two kinds of tables that describe what purchase lines refer to.
enum EntityKind: String {
    case customers, products
}

/// What an ingest has written and not committed yet.
struct PendingIngest {
    var manifest: Manifest
    var summary = IngestSummary()
    var files: NewSegments
    /// Up to where the log is taken, and who is erased; nil before it is known.
    var erasing: PendingErasures?
    /// What is gone already.
    var erased = ErasureSummary()
    let workspace: Workspace
    private let again: Bool
    private let skipKnown: Bool
    let memory: IngestMemory
    let threadCount: Int
    let report: (String) -> Void

    init(
        workspace: Workspace, again: Bool, skipKnown: Bool, memory: IngestMemory,
        threadCount: Int, report: @escaping (String) -> Void
    ) {
        self.workspace = workspace
        self.again = again
        self.skipKnown = skipKnown
        self.memory = memory
        self.threadCount = threadCount
        self.report = report
        files = NewSegments(workspace: workspace)
        manifest = workspace.manifest
    }

    /// Reads a file in batches, each of which becomes a sorted run; merges the runs.
    mutating func addPurchases(
        _ path: String, _ rejects: RejectsWriter
    ) throws(EngineError) {
        report("reading \(path)")
        guard try !isKnown(path, "purchases") else { return }
        let plan = workspace.plan
        guard let source = plan.sources.purchases else {
            throw .sourceMissing(
                kind: "purchases", planPath: "\(workspace.folder)/patron.yaml")
        }
        let stream = try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try PurchaseStream(
                path: path, mapping: source.mapping, clock: plan.clock,
                rejects: rejects, threadCount: threadCount,
                plan: memory.readingPlan(threadCount: threadCount))
        }
        var progress = ProgressText("reading \(path)")
        let report = report
        stream.onProgress = { reading in
            if let text = progress.text(of: reading) { report(text) }
        }
        let file = files.next("purchases", &manifest)
        var runs = try sortedRuns(of: stream, to: "\(workspace.folder)/\(file)")
        let read = try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try stream.finish()
        }
        guard try !isKnown(read, "purchases") else {
            files.dropLast(&manifest)
            return
        }
        try checkKind(isOfTexts: runs.isOfTexts, manifest.purchaseSegments, "customer")
        try checkKind(isOfTexts: runs.isOfTexts, manifest.customerSegments, "id")
        if let last = runs.writers.last {
            let segment: SegmentSummary
            if runs.writers.count == 1 {
                segment = try mapErrors(EngineError.store) { () throws(StoreError) in
                    try last.finish(.provisional)
                }
            } else {
                runs.paths.append(try finishRun(last))
                segment = try merge(runs.paths, of: path, to: file)
                for run in runs.writers { run.abandon() }
            }
            manifest.purchaseSegments.append(entry(file, segment, read))
        } else {
            files.dropLast(&manifest)
        }
        remember(read, "purchases")
        summary.purchases.append(read)
    }

    /// Merges the sorted runs of a source.
    func merge(
        _ runs: [String], of source: String, to file: String
    ) throws(EngineError) -> SegmentSummary {
        let title = "merging \(runs.count) runs of \(source)"
        report(title)
        var merging = ProgressText(title)
        return try files.merge(runs, to: file, memory, threadCount) { share in
            if let text = merging.text(of: share) { report(text) }
        }
    }

    /// The runs of a file: temporary files, which go when their writers are released, but for the
    /// last, which is still open.
    private struct Runs {
        var writers: [SegmentWriter] = []
        var paths: [String] = []
        /// Whether customers' ids are texts; nil for no lines.
        var isOfTexts: Bool?
    }

    private func sortedRuns(
        of stream: PurchaseStream, to path: String
    ) throws(EngineError) -> Runs {
        let limit = memory.run(
            lineByteCount: stream.lineByteCount, hasTextIDs: stream.hasTextIDs,
            threadCount: threadCount)
        func nextBatch() throws(EngineError) -> PurchaseLines? {
            try mapErrors(EngineError.ingest) { () throws(IngestError) in
                try stream.nextBatch(lineCount: limit.batchLineCount, byteCount: limit.byteCount)
            }
        }
        var runs = Runs()
        var waiting = try nextBatch()
        while let first = waiting {
            waiting = nil
            // Only when there is another: a single one is the segment itself.
            if let last = runs.writers.last { runs.paths.append(try finishRun(last)) }
            runs.isOfTexts = stream.hasTextIDs
            var run = try collector(first, min(limit.lineCount, stream.mostLinesLeft))
            stream.recycle(consume first)
            while run.count + limit.batchLineCount <= limit.lineCount,
                stream.textByteCount < limit.byteCount, let next = try nextBatch()
            {
                guard try add(next, to: &run) else {
                    // It starts the next run, and its codes go on.
                    waiting = next
                    break
                }
                stream.recycle(consume next)
            }
            runs.writers.append(
                try PurchaseSegments.sorted(
                    run, stream.texts.columns, to: path, threadCount: threadCount))
            if waiting == nil {
                stream.forgetTexts()
                waiting = try nextBatch()
            }
        }
        return runs
    }

    private func collector(
        _ first: PurchaseLines, _ capacity: Int
    ) throws(EngineError) -> LineCollector {
        try mapErrors(EngineError.features) { () throws(FeatureError) in
            try LineCollector(first.batch, capacity: capacity, threadCount: threadCount)
        }
    }

    private func add(
        _ lines: PurchaseLines, to run: inout LineCollector
    ) throws(EngineError) -> Bool {
        try mapErrors(EngineError.features) { () throws(FeatureError) in
            try run.add(lines.batch)
        }
    }

    func finishRun(_ writer: SegmentWriter) throws(EngineError) -> String {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try writer.finish(.temporary).path
        }
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
            try checkKind(isOfTexts: table.isOfTexts, manifest.customerSegments, "id")
            try checkKind(isOfTexts: table.isOfTexts, manifest.purchaseSegments, "customer")
        case .products:
            try checkKind(
                isOfTexts: table.isOfTexts, manifest.productSegments, "id", of: "product")
        }
        if table.count > 0 {
            let file = files.next(kind.rawValue, &manifest)
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

    /// An ingest that took no line, but listed some, uses up its number, so that the next one does
    /// not write over the list.
    mutating func keepNumberOfRejects() {
        if summary.rejectsPath != nil, files.paths.isEmpty { manifest.nextFileNumber += 1 }
    }

    /// Whether the content was ingested before as the same kind and is to be left out. Only a file
    /// of the size of an earlier one is read for it; what cannot be read is reported by the
    /// reader.
    /// - Throws: `.alreadyIngested` where that is not wanted.
    private func isKnown(_ path: String, _ kind: String) throws(EngineError) -> Bool {
        let known = Set(manifest.sources.filter { $0.kind == kind }.map(\.byteCount))
        guard !again, let hash = (try? contentHash(ofFile: path, ifOneOf: known)) ?? nil else {
            return false
        }
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
    /// - Parameter isOfTexts: nil for no ids.
    func checkKind(
        isOfTexts: Bool?, _ earlier: [Manifest.Segment], _ column: String,
        of table: String = "customer"
    ) throws(EngineError) {
        guard let isOfTexts, let first = earlier.first else { return }
        let path = "\(workspace.folder)/\(first.file)"
        let type = try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentReader(path: path).schema.first { $0.name == column }?.type
        }
        if let type, (type == .text) != isOfTexts { throw .idKindMismatch(table: table) }
    }
}

extension EntityTable {
    /// Whether ids are texts; nil for no rows.
    fileprivate var isOfTexts: Bool? {
        if count == 0 { return nil }
        return if case .texts = ids { true } else { false }
    }
}

/// 42 as `000042`.
func sixDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
}
