import ByteCoding
import ColumnStore
import Features

/// Live purchases that an ingest took into segments.
package struct LiveAbsorption: Codable, Sendable, Equatable {
    /// Batches, as they were sent.
    package var recordCount = 0
    package var lineCount = 0
}

extension PendingIngest {
    /// Makes segments of the live purchases that have come since the last ingest, up to where `erasing`
    /// ends, without those of customers who were erased by a later record.
    mutating func addLivePurchases() throws(EngineError) {
        guard workspace.plan.sources.purchases != nil, let erasing else { return }
        var cursor = LogCursor(
            folder: Workspace.liveFolder(workspace.folder), from: workspace.livePosition,
            syncs: true)
        var taken = LiveAbsorption()
        var byteCount = 0
        var run: LiveRun?
        func nextRecord() throws(EngineError) -> (record: LogRecord, lines: LoggedLines)? {
            do throws(StoreError) {
                while cursor.position.sequence < erasing.end.sequence,
                    let record = try cursor.next()
                {
                    if record.kind == .lines { return (record, try record.lines()) }
                }
                return nil
            } catch {
                throw .store(error)
            }
        }
        while let (record, sent) = try nextRecord() {
            if taken.recordCount == 0 { report("reading live purchases") }
            taken.recordCount += 1
            taken.lineCount += sent.count
            byteCount += record.body.count
            let lines = erasing.remaining(sent, ofRecord: record.sequence)
            erased.lineCount += sent.count - lines.count
            if lines.count == 0 { continue }
            // Only segments of the same columns can be merged: after a change of the plan there is
            // another one.
            if let current = run, !current.isLike(lines) {
                try finish(current)
                run = nil
            }
            var current: LiveRun
            if let open = run { current = open } else { current = try begin(like: lines) }
            // Held once: it grows in place.
            run = nil
            if current.joined.count + lines.count > current.limit, current.joined.count > 0 {
                try close(&current)
            }
            current.append(lines)
            run = current
        }
        if let run { try finish(run) }
        guard taken.recordCount > 0 else { return }
        remember(taken, byteCount: byteCount)
        summary.live = taken
    }

    /// All that ever came live is one source: there may be many ingests.
    private mutating func remember(_ taken: LiveAbsorption, byteCount: Int) {
        if let index = manifest.sources.firstIndex(where: { $0.kind == LiveRun.sourceKind }) {
            manifest.sources[index].byteCount += byteCount
            manifest.sources[index].lineCount += taken.lineCount
            manifest.sources[index].acceptedCount += taken.lineCount
        } else {
            manifest.sources.append(
                Manifest.Source(
                    kind: LiveRun.sourceKind, name: "live", contentHash: 0, byteCount: byteCount,
                    lineCount: taken.lineCount, acceptedCount: taken.lineCount))
        }
    }

    private mutating func begin(like lines: LoggedLines) throws(EngineError) -> LiveRun {
        let isOfTexts = lines.customerIDs.isOfTexts
        if let mapping = workspace.plan.sources.purchases?.mapping,
            (mapping.customerID.kind == .text) != isOfTexts
        {
            throw .liveIDKindChanged(holdsTexts: isOfTexts)
        }
        try checkKind(isOfTexts: isOfTexts, manifest.purchaseSegments, "customer")
        try checkKind(isOfTexts: isOfTexts, manifest.customerSegments, "id")
        let columnBytes =
            24 + (lines.margins == nil ? 0 : 8) + (lines.quantities == nil ? 0 : 4)
            + 4 * lines.texts.count { $0 != nil }
        let limit = memory.run(
            lineByteCount: columnBytes, hasTextIDs: isOfTexts, threadCount: threadCount
        ).lineCount
        return LiveRun(
            joined: JoinedLines(like: lines), columns: lines.columns, isOfTexts: isOfTexts,
            limit: limit, file: files.next("purchases", &manifest))
    }

    /// Sorts and writes the lines collected so far as a run of the segment.
    private func close(_ run: inout LiveRun) throws(EngineError) {
        if let last = run.writers.last { run.paths.append(try finishRun(last)) }
        let lines = run.joined.lines
        let batch = LineBatch(
            customerIDs: lines.customerIDs, times: lines.times, amounts: lines.amounts,
            margins: lines.margins, quantities: lines.quantities, codes: lines.codes)
        let collector = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try LineCollector(batch, capacity: 0, threadCount: threadCount)
        }
        run.writers.append(
            try PurchaseSegments.sorted(
                collector, run.joined.texts, to: "\(workspace.folder)/\(run.file)",
                threadCount: threadCount))
        run.joined.removeAll()
    }

    private mutating func finish(_ finished: LiveRun) throws(EngineError) {
        var run = finished
        try close(&run)
        guard let last = run.writers.last else { return }
        let segment: SegmentSummary
        if run.writers.count == 1 {
            segment = try mapErrors(EngineError.store) { () throws(StoreError) in
                try last.finish(.provisional)
            }
        } else {
            run.paths.append(try finishRun(last))
            segment = try merge(run.paths, of: "the live purchases", to: run.file)
            for writer in run.writers { writer.abandon() }
        }
        manifest.purchaseSegments.append(
            Manifest.Segment(
                file: run.file, rowCount: segment.rowCount, byteCount: segment.byteCount,
                checksum: segment.checksum, firstTime: run.firstTime, lastTime: run.lastTime))
    }
}

/// A segment of live purchases while it is made.
private struct LiveRun {
    static let sourceKind = "live"

    var joined: JoinedLines
    let columns: LineColumns
    let isOfTexts: Bool
    /// Lines that are sorted at a time.
    let limit: Int
    let file: String
    /// Of sorted runs, the last of which is still open.
    var writers: [SegmentWriter] = []
    var paths: [String] = []
    var firstTime = Int64.max
    var lastTime = Int64.min

    init(
        joined: JoinedLines, columns: LineColumns, isOfTexts: Bool, limit: Int, file: String
    ) {
        self.joined = joined
        self.columns = columns
        self.isOfTexts = isOfTexts
        self.limit = limit
        self.file = file
    }

    func isLike(_ lines: LoggedLines) -> Bool {
        columns == lines.columns && isOfTexts == lines.customerIDs.isOfTexts
    }

    mutating func append(_ lines: LoggedLines) {
        joined.append(lines)
        for time in lines.times {
            firstTime = min(firstTime, time)
            lastTime = max(lastTime, time)
        }
    }
}
