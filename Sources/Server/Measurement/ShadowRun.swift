import ByteCoding
import ColumnStore
import Engine
import NIOCore
import Synchronization
import Wire

/// What an event loop notes of look-ups for a comparison: rows of the current generation, and ids of
/// customers whom it does not have, or who have bought since.
struct ShadowNotes: Sendable {
    var rows: [UInt32] = []
    var others: [EntityID] = []
    var sampledCount = 0
    /// Sampled and not noted, for want of room.
    var droppedCount = 0

    var count: Int { rows.count + others.count }
}

/// Chooses which look-ups of an event loop are compared. Touched on that loop only; what it notes
/// leaves with the next tick.
final class ShadowSampler {
    /// Notes between two ticks.
    private static let capacity = 8_192

    private let run: ShadowRun
    /// A sample is taken where 32 random bits are below it.
    private let threshold: UInt64
    /// Of a xorshift generator (Marsaglia 2003), not 0.
    private var state: UInt64
    private var notes = ShadowNotes()

    init(_ run: ShadowRun) {
        self.run = run
        threshold = (UInt64(run.partsPerMillion) << 32) / UInt64(ShadowRequest.all)
        state = NIODeadline.now().uptimeNanoseconds | 1
    }

    /// Sees the rows of look-ups that were just found.
    /// - Parameter id: of a place in `rows` that is no row of the snapshot; nil where that cannot be told.
    func note(_ rows: [UInt32], id: (Int) -> EntityID?) {
        for (position, row) in rows.enumerated() {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            guard state >> 32 < threshold else { continue }
            notes.sampledCount += 1
            if notes.count >= Self.capacity {
                notes.droppedCount += 1
            } else if row < RowRecords.firstRow {
                notes.rows.append(row)
            } else if let id = id(position) {
                notes.others.append(id)
            } else {
                notes.droppedCount += 1
            }
        }
    }

    /// Hands over what was noted since the last time.
    func handOver() {
        guard notes.sampledCount > 0 else { return }
        run.take(notes)
        notes = ShadowNotes()
    }
}

/// A comparison of look-ups between the generation that is served and another one: SHADOW. Event loops
/// hand over which customers were asked for; a scan thread looks these up in both. The memory is
/// bounded by the limits below and the number of columns.
final class ShadowRun: Sendable {
    /// Notes that wait; what comes beyond is dropped and counted.
    private static let waitingLimit = 65_536
    /// Customers that are compared at a time.
    private static let pieceRowCount = 4_096

    let current: ServedSnapshot
    let candidate: ServedSnapshot
    let partsPerMillion: UInt32
    private let start = NIODeadline.now()
    private let waiting = Mutex<Waiting>(Waiting())
    private let comparison: Mutex<Comparison>

    private struct Waiting {
        var notes = ShadowNotes()
        var end: (state: ShadowReport.State, at: NIODeadline)?
        /// Whether a scan thread has been asked.
        var isPlanned = false
    }

    private struct Comparison {
        var columns: [ShadowColumn]
        var comparedCount = 0
        var onlyInCurrentCount = 0
        var onlyInCandidateCount = 0
    }

    init(current: ServedSnapshot, candidate: ServedSnapshot, partsPerMillion: UInt32) {
        self.current = current
        self.candidate = candidate
        self.partsPerMillion = partsPerMillion
        comparison = Mutex(
            Comparison(columns: ShadowColumn.all(current.snapshot, candidate.snapshot)))
    }

    func take(_ notes: ShadowNotes) {
        waiting.withLock { waiting in
            waiting.notes.sampledCount += notes.sampledCount
            waiting.notes.droppedCount += notes.droppedCount
            guard waiting.notes.count + notes.count <= Self.waitingLimit else {
                waiting.notes.droppedCount += notes.count
                return
            }
            waiting.notes.rows += notes.rows
            waiting.notes.others += notes.others
        }
    }

    /// - Returns: whether `work` is to be called soon, by who asks.
    func plan() -> Bool {
        waiting.withLock { waiting in
            guard !waiting.isPlanned, waiting.notes.count > 0 else { return false }
            waiting.isPlanned = true
            return true
        }
    }

    func end(_ state: ShadowReport.State) {
        waiting.withLock { waiting in
            if waiting.end == nil { waiting.end = (state, .now()) }
        }
    }

    var isRunning: Bool { waiting.withLock { $0.end == nil } }

    /// Compares some of what waits.
    /// - Returns: whether more waits.
    func work() -> Bool {
        // One thread at a time, from the taking on: whoever finds nothing left finds all compared.
        comparison.withLock { comparison in
            let (rows, others, hasMore) = takePiece()
            let (mine, theirs) = (current.snapshot.customers, candidate.snapshot.customers)
            let ids = mine.ids(of: rows.span)
            let (gone, theirGone) = (current.erased, candidate.erased)
            var pairs: [(current: Int, candidate: Int)] = []
            func add(_ row: Int?, _ other: Int?) {
                if let row, gone.contains(row) { return }
                if let other, theirGone.contains(other) { return }
                switch (row, other) {
                case (let row?, let other?): pairs.append((row, other))
                case (.some, nil): comparison.onlyInCurrentCount += 1
                case (nil, .some): comparison.onlyInCandidateCount += 1
                case (nil, nil): break
                }
            }
            for (position, row) in rows.enumerated() {
                add(Int(row), theirs.find(ids[position]))
            }
            for id in others { add(mine.find(id), theirs.find(id)) }
            comparison.comparedCount += pairs.count
            let (strip, otherStrip) = (current.snapshot.strip, candidate.snapshot.strip)
            for index in comparison.columns.indices {
                comparison.columns[index].add(pairs, strip, otherStrip)
            }
            return hasMore
        }
    }

    private func takePiece() -> (rows: [UInt32], others: [EntityID], hasMore: Bool) {
        waiting.withLock { waiting in
            waiting.isPlanned = false
            let rows = Array(waiting.notes.rows.prefix(Self.pieceRowCount))
            waiting.notes.rows.removeFirst(rows.count)
            let others = Array(waiting.notes.others.prefix(Self.pieceRowCount))
            waiting.notes.others.removeFirst(others.count)
            return (rows, others, waiting.notes.count > 0)
        }
    }

    // MARK: Report

    static func noReport(_ stamp: SnapshotStamp) -> ShadowReport {
        ShadowReport(
            current: stamp, candidate: stamp, state: .none, partsPerMillion: 0, sampledCount: 0,
            comparedCount: 0, onlyInCurrentCount: 0, onlyInCandidateCount: 0, droppedCount: 0,
            elapsedMilliseconds: 0, table: ShadowColumn.table([]))
    }

    func report() -> ShadowReport {
        let (notes, end) = waiting.withLock { ($0.notes, $0.end) }
        let comparison = comparison.withLock { $0 }
        let elapsed = (end?.at ?? .now()) - start
        return ShadowReport(
            current: current.stamp, candidate: candidate.stamp, state: end?.state ?? .running,
            partsPerMillion: partsPerMillion, sampledCount: UInt64(notes.sampledCount),
            comparedCount: UInt64(comparison.comparedCount),
            onlyInCurrentCount: UInt64(comparison.onlyInCurrentCount),
            onlyInCandidateCount: UInt64(comparison.onlyInCandidateCount),
            droppedCount: UInt64(notes.droppedCount),
            elapsedMilliseconds: UInt64(max(0, elapsed.nanoseconds / 1_000_000)),
            table: ShadowColumn.table(comparison.columns))
    }
}
