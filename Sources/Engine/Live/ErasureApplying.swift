import ByteCoding
import ColumnStore
import Features

/// What an ingest erased.
package struct ErasureSummary: Codable, Sendable, Equatable {
    /// Records of the log that asked for it.
    package var requestCount = 0
    /// Who was asked for, whether or not anything was known of them.
    package var customerCount = 0
    /// Purchase lines, of segments, of files of this ingest and of live purchases.
    package var lineCount = 0
    /// Rows of tables of customers.
    package var rowCount = 0
    /// Stays in segments, of the ledgers.
    package var stayCount = 0
    /// Files that were written anew or left out.
    package var fileCount = 0
}

/// The part of the log that an ingest takes, and who is erased by it.
struct PendingErasures {
    let erasures: [RecordedErasure]
    /// Behind the last record that is taken.
    let end: LogPosition
    /// All lines of the customers of before.
    let all: ErasedLines
    /// Those of files of this ingest: an export of yesterday may arrive after the erasure.
    let timed: ErasedLines
    /// Purchase segments that were there before, and those with the files of this ingest.
    let earlierCount: Int
    let fileEnd: Int

    /// The lines of a record that no later record erases.
    func remaining(_ lines: LoggedLines, ofRecord sequence: Int) -> LoggedLines {
        all.remaining(lines, ofRecord: sequence)
    }
}

/// Erasures are applied by the next ingest, in the commit that takes over the live purchases before
/// them: every file that has something of an erased customer is written anew without it. The files of
/// before are nobody's from then on, and `prune` removes them.
extension PendingIngest {
    /// Reads who is to be erased. A server may append more meanwhile: what is read here is a prefix of
    /// its log, made durable before it is used.
    mutating func findErasures() throws(EngineError) {
        let (erasures, end) = try RecordedErasure.read(
            workspace: workspace.folder, from: workspace.livePosition, syncs: true)
        erasing = PendingErasures(
            erasures: erasures, end: end, all: ErasedLines(erasures),
            timed: ErasedLines(erasures, areTimed: true),
            earlierCount: workspace.manifest.purchaseSegments.count,
            fileEnd: manifest.purchaseSegments.count)
        let known = workspace.livePosition.sequence
        // A file that an erasure has ended is passed as soon as there is the next one.
        let hasPassedFile = workspace.manifest.live.map { $0.file < end.file } ?? false
        guard end.sequence > known || hasPassedFile else { return }
        if workspace.plan.sources.purchases == nil {
            // Lines wait for a plan that has purchases; who is to be erased must not wait with them.
            guard !erasures.isEmpty || hasPassedFile else { return }
            guard erasures.count == end.sequence - known else {
                throw .ingest(
                    .unusableBatch(
                        reason: "the log has live purchases, and customers to erase: give the plan "
                            + "sources.purchases, or remove \(workspace.folder)/live"))
            }
        }
        manifest.live = end
    }

    /// Erases the customers from everything but the live purchases, which come without them.
    mutating func eraseCustomers() throws(EngineError) {
        guard let erasing, !erasing.all.isEmpty else { return }
        report("erasing \(erasing.all.count) customers")
        erased.requestCount = erasing.erasures.count
        erased.customerCount = erasing.all.count
        try erasePurchases(erasing)
        try eraseAttributes(erasing.all)
        try eraseStays(erasing.all)
        // What is computed from the lines of before has their customers. Before the commit: without
        // caches the next scoring computes everything, whatever becomes of this ingest.
        for file in workspace.names(in: "cache") where file.hasSuffix(".arr") {
            try workspace.removeItem("\(workspace.folder)/\(file)")
        }
        manifest.erasures =
            (manifest.erasures ?? []) + [
                Manifest.Erasure(
                    revision: workspace.manifest.revision + 1,
                    records: erasing.erasures.map(\.sequence),
                    customerCount: erased.customerCount, lineCount: erased.lineCount,
                    rowCount: erased.rowCount, stayCount: erased.stayCount,
                    models: Dictionary(
                        manifest.models.map { ($0.name, $0.version) }, uniquingKeysWith: max))
            ]
        summary.erasure = erased
    }

    // MARK: Purchase lines

    private mutating func erasePurchases(_ erasing: PendingErasures) throws(EngineError) {
        let ends = manifest.purchaseEnds
        let lastRecord = erasing.erasures.last?.sequence ?? 0
        var segments: [Manifest.Segment] = []
        var hasChanged = false
        for (index, old) in manifest.purchaseSegments.enumerated() {
            var segment: Manifest.Segment? = old
            if index < erasing.fileEnd {
                let lines = index < erasing.earlierCount ? erasing.all : erasing.timed
                if try count(of: lines, in: old) > 0 {
                    segment = try written(old, without: lines)
                    erased.lineCount += old.rowCount - (segment?.rowCount ?? 0)
                    erased.fileCount += 1
                    hasChanged = true
                }
            }
            // Also of those behind: marks say what all lines up to there are.
            if hasChanged { segment?.end = ends[index].erased(through: lastRecord) }
            if let segment { segments.append(segment) }
        }
        manifest.purchaseSegments = segments
    }

    /// Lines that go.
    private func count(
        of erased: ErasedLines, in segment: Manifest.Segment
    ) throws(EngineError) -> Int {
        let history = try SegmentedHistory(
            paths: ["\(workspace.folder)/\(segment.file)"], grossMarginRate: 0,
            threadCount: threadCount)
        let ids = erased.customerIDs
        var count = 0
        for run in history.neighbours(among: (0..<ids.count).map { ids[$0] }) {
            guard let found = try history.mergedLines(of: ids.slice(run), []) else { continue }
            let times = found.joined { $0.times }
            count +=
                times.count
                - erased.keptLines(found.customerIDs, found.lineOffsets, times).count
        }
        return count
    }

    /// - Returns: nil where nothing is left.
    private mutating func written(
        _ segment: Manifest.Segment, without erased: ErasedLines
    ) throws(EngineError) -> Manifest.Segment? {
        let file = files.next("purchases", &manifest)
        let plan = memory.merging(threadCount: threadCount)
        let (writer, times) = try PurchaseSegments.written(
            ["\(workspace.folder)/\(segment.file)"], leavingOut: erased,
            to: "\(workspace.folder)/\(file)", chunkLineCount: plan.chunkLineCount,
            threadCount: plan.threadCount)
        guard let times else {
            writer.abandon()
            files.dropLast(&manifest)
            return nil
        }
        let summary = try mapErrors(EngineError.store) { () throws(StoreError) in
            try writer.finish(.provisional)
        }
        return Manifest.Segment(
            file: file, rowCount: summary.rowCount, byteCount: summary.byteCount,
            checksum: summary.checksum, firstTime: times.lowerBound, lastTime: times.upperBound)
    }

    // MARK: Tables of customers

    private mutating func eraseAttributes(_ erasing: ErasedLines) throws(EngineError) {
        var segments: [Manifest.Segment] = []
        for segment in manifest.customerSegments {
            let table = try EntitySegments.table(
                "\(workspace.folder)/\(segment.file)", without: erasing)
            guard let table else {
                segments.append(segment)
                continue
            }
            erased.rowCount += segment.rowCount - table.count
            erased.fileCount += 1
            if table.count == 0 { continue }
            let file = files.next("customers", &manifest)
            let summary = try EntitySegments.write(table, to: "\(workspace.folder)/\(file)")
            segments.append(
                Manifest.Segment(
                    file: file, rowCount: summary.rowCount, byteCount: summary.byteCount,
                    checksum: summary.checksum))
        }
        manifest.customerSegments = segments
    }

    // MARK: Ledgers

    private mutating func eraseStays(_ erasing: ErasedLines) throws(EngineError) {
        for (name, known) in (manifest.ledgers ?? [:]).sorted(by: { $0.key < $1.key }) {
            var ledger = known
            if let open = try stays(known.open, without: erasing) {
                ledger.open = try write(open)
            }
            ledger.ended = []
            for part in known.ended {
                guard let rest = try stays(part, without: erasing) else {
                    ledger.ended.append(part)
                    continue
                }
                if rest.count > 0 { ledger.ended.append(try write(rest)) }
            }
            if let part = known.last, let rest = try stays(part, without: erasing) {
                ledger.last = rest.count > 0 ? try write(rest) : nil
            }
            manifest.ledgers?[name] = ledger
        }
    }

    /// - Returns: nil where all stay.
    private mutating func stays(
        _ segment: Manifest.Segment, without erasing: ErasedLines
    ) throws(EngineError) -> SegmentStays? {
        let path = "\(workspace.folder)/\(segment.file)"
        let stays = try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentStays(try SegmentReader(path: path))
        }
        let kept = (0..<stays.count).filter { erasing.row(of: stays.customers, $0) == nil }
        if kept.count == stays.count { return nil }
        erased.stayCount += stays.count - kept.count
        erased.fileCount += 1
        return stays.gather(kept)
    }

    private mutating func write(_ stays: SegmentStays) throws(EngineError) -> Manifest.Segment {
        let file = files.next("ledger", &manifest)
        let path = "\(workspace.folder)/\(file)"
        let threadCount = threadCount
        let summary = try mapErrors(EngineError.store) { () throws(StoreError) in
            try stays.write(to: path, threadCount: threadCount)
        }
        return Manifest.Segment(
            file: file, rowCount: summary.rowCount, byteCount: summary.byteCount,
            checksum: summary.checksum)
    }
}
