package import ByteCoding
import ColumnStore
import Features
import Units

/// When a customer was in a segment, by published as-of days.
package struct SegmentStay: Codable, Sendable, Equatable {
    package var segmentation: String
    package var segment: Int
    /// What the segment is called now; nil where it is no more.
    package var name: String?
    /// The first published as-of day that saw the customer there, `yyyy-MM-dd`.
    package var entered: String
    /// The first one that saw the customer elsewhere; nil where the last one saw the customer there.
    package var left: String?

    package init(
        segmentation: String, segment: Int, name: String?, entered: String, left: String?
    ) {
        self.segmentation = segmentation
        self.segment = segment
        self.name = name
        self.entered = entered
        self.left = left
    }
}

/// What a publish entered in the ledger of a segmentation.
package struct LedgerChange: Codable, Sendable, Equatable {
    package var segmentation: String
    package var asOf: String
    /// Customers who came into a segment on the day, from another one or from none.
    package var enteredCount: Int
    /// Customers who left one.
    package var leftCount: Int
    /// Why nothing was entered; nil where the day is entered.
    package var reason: String?
}

extension Manifest.Ledger {
    /// Days since 1970-01-01, ascending.
    var dayNumbers: [Int32] {
        days.compactMap { CalendarDay(parsing: $0).map { Int32(clamping: $0.daysSince1970) } }
    }

    /// All its files.
    var segments: [Manifest.Segment] { [open] + ended + (last.map { [$0] } ?? []) }
}

/// The ledgers of a workspace: for each segmentation all stays that go on, rewritten with every new
/// day, and those that have ended, in files that are merged as they grow, each a customer's id, a
/// segment and days in compressed columns. Those that ended on the last day are a file of their own, so
/// that a day can be entered anew: what the day changed is undone, and nothing is entered twice.
///
/// Ledgers are kept when a generation is published and not when it is scored: a scoring may be a
/// trial, a look back or a mistake, and what is published is what the customers were treated by.
struct SegmentLedgers {
    let workspace: Workspace
    let threadCount: Int
    private(set) var manifest: Manifest
    private(set) var files: NewSegments
    private(set) var changes: [LedgerChange] = []

    /// Larger files of ended stays are not merged.
    private static let mergedRowCount = 1 << 24

    init(_ workspace: Workspace, threadCount: Int) {
        self.workspace = workspace
        self.threadCount = threadCount
        manifest = workspace.manifest
        files = NewSegments(workspace: workspace)
    }

    private func reader(_ file: String) throws(EngineError) -> SegmentReader {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentReader(path: "\(workspace.folder)/\(file)")
        }
    }

    private func stays(_ segment: Manifest.Segment) throws(EngineError) -> SegmentStays {
        let reader = try reader(segment.file)
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentStays(reader)
        }
    }

    /// Enters the segments of a generation.
    mutating func enter(_ snapshot: ServingSnapshot, folder: String) throws(EngineError) {
        let ids = workspace.manifest.segmentationColumns ?? [:]
        let scored = ids.filter { id in snapshot.columns.contains { Int($0.id) == id.value } }
        guard !scored.isEmpty else { return }
        let erased = ErasedLines(
            try RecordedErasure.read(
                workspace: workspace.folder, from: snapshot.descriptor.history?.live ?? .start
            ).erasures)
        let scores = try mapErrors(EngineError.store) { () throws(StoreError) in
            try SegmentReader(path: "\(folder)/\(ScoreFile.name)")
        }
        let customers = try mapErrors(EngineError.store) { () throws(StoreError) in
            switch try scores.column(named: "id").data {
            case .int64(let values): return IDColumn.integers(values)
            case .text(let values): return IDColumn.texts(values)
            default: throw .missingPart(path: scores.path, part: "column \"id\"")
            }
        }
        guard customers.count == snapshot.customerCount else {
            throw .store(
                .corrupt(
                    path: scores.path, byteOffset: 0,
                    reason: "\(customers.count) rows for \(snapshot.customerCount) customers"))
        }
        // Who was erased since it was scored is nowhere any more.
        let kept =
            erased.isEmpty
            ? nil : (0..<customers.count).filter { erased.row(of: customers, $0) == nil }
        for name in scored.keys.sorted() {
            let segments = try segments(name, scores)
            try enter(
                name, snapshot, kept.map { customers.gather($0) } ?? customers,
                kept.map { $0.map { segments[$0] } } ?? segments)
        }
    }

    private mutating func enter(
        _ name: String, _ snapshot: ServingSnapshot, _ customers: IDColumn, _ now: [Int32]
    ) throws(EngineError) {
        let asOf = snapshot.asOf
        var change = LedgerChange(
            segmentation: name, asOf: asOf.description, enteredCount: 0, leftCount: 0)
        let known = manifest.ledgers?[name]
        if let last = known?.days.last, last > asOf.description {
            change.reason = "it goes on to \(last)"
            changes.append(change)
            return
        }
        let day = Int32(clamping: asOf.daysSince1970)
        let isAgain = known?.days.last == asOf.description
        let open = try known.map { (ledger) throws(EngineError) in try stays(ledger.open) }
        let last = try known?.last.map { (part) throws(EngineError) in
            (stays: try stays(part), path: "\(workspace.folder)/\(part.file)")
        }
        let nobody = SegmentStays.none(of: customers, haveEnded: false)
        var before = open ?? nobody
        if isAgain {
            let unchanged = before
            before = try mapErrors(EngineError.store) { () throws(StoreError) in
                try unchanged.before(
                    day, last?.stays ?? .none(of: customers, haveEnded: true),
                    from: last?.path ?? "")
            }
        }
        guard before.count == 0 || before.customers.isOfKind(of: customers) else {
            throw .idKindMismatch(table: "customer")
        }
        let next = before.moved(to: customers, now, on: day)
        change.enteredCount = next.open.entered.count { $0 == day }
        change.leftCount = next.ended.count
        changes.append(change)
        if isAgain, next.open == open, next.ended.count == last?.stays.count ?? 0,
            last == nil || next.ended == last?.stays
        {
            return
        }
        var ledger = Manifest.Ledger(
            days: (known?.days ?? []) + (isAgain ? [] : [asOf.description]),
            open: try write(next.open), ended: known?.ended ?? [],
            last: next.ended.count > 0 ? try write(next.ended) : nil)
        if !isAgain, let part = known?.last { try add(part, to: &ledger.ended) }
        manifest.ledgers = (manifest.ledgers ?? [:]).merging([name: ledger]) { $1 }
    }

    /// The segments of all customers, -1 for none.
    private func segments(
        _ name: String, _ scores: SegmentReader
    ) throws(EngineError) -> [Int32] {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let column = try scores.column(named: "\(name)_segment")
            guard case .int64(let values) = column.data else {
                throw .missingPart(path: scores.path, part: "int64 column \"\(column.name)\"")
            }
            return values.indices.map {
                column.validity?[$0] ?? true ? Int32(clamping: values[$0]) : -1
            }
        }
    }

    /// Adds a file of ended stays; small ones are merged, so that of n stays there are O(log n) files
    /// and each was written O(log n) times.
    private mutating func add(
        _ part: Manifest.Segment, to ended: inout [Manifest.Segment]
    ) throws(EngineError) {
        ended.append(part)
        while ended.count > 1 {
            let (earlier, later) = (ended[ended.count - 2], ended[ended.count - 1])
            guard earlier.rowCount < 2 * later.rowCount,
                earlier.rowCount + later.rowCount <= Self.mergedRowCount
            else { return }
            let (first, second) = (try stays(earlier), try stays(later))
            let path = "\(workspace.folder)/\(later.file)"
            let merged = try mapErrors(EngineError.store) { () throws(StoreError) in
                try first.merged(with: second, from: path)
            }
            ended.removeLast(2)
            ended.append(try write(merged))
        }
    }

    private mutating func write(_ stays: SegmentStays) throws(EngineError) -> Manifest.Segment {
        let file = files.next("ledger", &manifest)
        try createFolder("\(workspace.folder)/ledger")
        let path = "\(workspace.folder)/\(file)"
        let summary = try mapErrors(EngineError.store) { () throws(StoreError) in
            try stays.write(to: path, threadCount: threadCount)
        }
        return Manifest.Segment(
            file: file, rowCount: summary.rowCount, byteCount: summary.byteCount,
            checksum: summary.checksum)
    }
}

extension Workspace {
    /// The stays of one customer in all segmentations, by their names and days.
    /// - Throws: `.unknownCustomer` for an id of another kind; `store`.
    package func segmentStays(
        ofCustomer customer: EntityID
    ) throws(EngineError) -> [SegmentStay] {
        var result: [SegmentStay] = []
        let tables = try publishedSegments()
        for (name, ledger) in (manifest.ledgers ?? [:]).sorted(by: { $0.key < $1.key }) {
            let names = tables.first { $0.segmentation == name }?.segments ?? []
            var found: [SegmentStay] = []
            for segment in ledger.segments {
                let path = "\(folder)/\(segment.file)"
                let stays = try mapErrors(EngineError.store) { () throws(StoreError) in
                    try SegmentStays(SegmentReader(path: path), of: customer)
                }
                for row in 0..<stays.count {
                    func text(_ day: Int32) -> String {
                        CalendarDay(daysSince1970: Int(day)).description
                    }
                    let id = Int(stays.segments[row])
                    found.append(
                        SegmentStay(
                            segmentation: name, segment: id,
                            name: names.first { $0.number == id }?.name,
                            entered: text(stays.entered[row]),
                            left: stays.left.map { text($0[row]) }))
                }
            }
            result += found.sorted { $0.entered < $1.entered }
        }
        return result
    }

    /// The segment tables of the current generation; none before the first publish.
    func publishedSegments() throws(EngineError) -> [SegmentTable] {
        guard let number = manifest.currentGeneration,
            let generation = manifest.generations.first(where: { $0.number == number })
        else { return [] }
        return try ServingSnapshot.readSegments("\(folder)/\(generation.folder)")
    }
}

extension SegmentStays {
    /// Those of one customer, from the blocks alone that may hold them; none for an id of another
    /// kind.
    init(_ reader: SegmentReader, of customer: EntityID) throws(StoreError) {
        guard let column = reader.columnIndex(named: "customer") else {
            throw .missingPart(path: reader.path, part: "column \"customer\"")
        }
        let wanted: IDColumn =
            switch customer {
            case .integer(let value): .integers([value])
            case .text(let text): .texts(TextArray([text]))
            }
        func ids(_ block: Int) throws(StoreError) -> IDColumn {
            switch try reader.block(block, column: column).data {
            case .int64(let values): return .integers(values)
            case .text(let values): return .texts(values)
            default: throw .missingPart(path: reader.path, part: "column \"customer\" of ids")
            }
        }
        let isText = reader.schema[column].type == .text
        guard reader.rowCount > 0, wanted.isOfKind(of: isText ? .texts(TextArray()) : .integers([]))
        else {
            self = .none(of: wanted, haveEnded: reader.columnIndex(named: "left") != nil)
            return
        }
        // The first block whose last id is not before the customer's.
        var (low, high) = (0, reader.blockCount)
        while low < high {
            let middle = (low + high) / 2
            let block = try ids(middle)
            if block.precedes(block.count - 1, wanted, 0) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        var found = SegmentStays.none(
            of: wanted, haveEnded: reader.columnIndex(named: "left") != nil)
        while low < reader.blockCount {
            let stays = try SegmentStays(reader, blocks: low..<low + 1)
            let rows = (0..<stays.count).filter {
                !stays.customers.precedes($0, wanted, 0) && !wanted.precedes(0, stays.customers, $0)
            }
            found = try found.merged(with: stays.gather(rows), from: reader.path)
            if rows.last != stays.count - 1 { break }
            low += 1
        }
        self = found
    }
}
