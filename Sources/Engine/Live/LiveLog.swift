package import ColumnStore
import Dispatch
package import Ingest
import Synchronization

/// A batch of purchase lines on its way into the log.
package struct LiveBatch: Sendable {
    /// `LogKey.none` for a batch that is a new one whenever it is sent.
    package var key: LogKey
    package var lines: PurchaseLines

    /// - Parameter lines: as `Plan.validated` gives them.
    package init(key: LogKey = .none, lines: PurchaseLines) {
        self.key = key
        self.lines = lines
    }
}

/// Where a batch is, durably.
package struct LiveReceipt: Sendable, Equatable {
    /// Its number among all batches of the log, from 0.
    package var sequence: Int
    package var rowCount: Int
    /// Whether it was there before: the same key has come again.
    package var isRepeat: Bool
}

/// The log of live purchases, open for appending: what was acknowledged outlives every crash.
///
/// Batches that come while others are being written wait and are written together, with one sync of
/// the disk for all (group commit). All methods may be called from any thread; answers come in the
/// order of the batches' numbers, repeats aside.
package final class LiveLog: Sendable {
    private struct Waiting {
        let entry: LogEntry
        let answer: @Sendable (Result<LiveReceipt, EngineError>) -> Void
    }

    private struct State {
        var waiting: [Waiting] = []
        var waitingByteCount = 0
        var isWriting = false
    }

    private struct Log {
        let writer: LogWriter
        /// Of every record that the log still has.
        var receipts: [LogKey: (sequence: Int, rowCount: Int)]
    }

    /// Bytes that are written and synced together, but for a larger batch alone.
    private static let groupByteCount = 16 << 20
    private let waitingLimit: Int
    private let folder: String
    private let state = Mutex(State())
    private let log: Mutex<Log>
    private let queue = DispatchQueue(label: "patron.live")

    /// Opens the log of a workspace, which is made if there is none. What a crash left unfinished at
    /// its end is cut off: it was never acknowledged.
    /// - Parameters:
    ///   - rotationByteCount: a file of so many bytes is followed by another.
    ///   - waitingLimit: bytes of batches that may wait to be written.
    /// - Throws: `.store(.locked)` where another process has it open; `.store(.corrupt)` for a
    ///   damaged one, with file and byte.
    package init(
        workspace: String, rotationByteCount: Int = 64 << 20, waitingLimit: Int = 256 << 20
    ) throws(EngineError) {
        self.waitingLimit = waitingLimit
        let folder = Workspace.liveFolder(workspace)
        self.folder = folder
        let known = try Workspace.loadManifest(workspace).live ?? .start
        var receipts: [LogKey: (sequence: Int, rowCount: Int)] = [:]
        do throws(StoreError) {
            let writer = try LogWriter(
                folder: folder, from: known, rotationByteCount: rotationByteCount
            ) { record in
                if !record.key.isNone, receipts[record.key] == nil {
                    receipts[record.key] = (record.sequence, record.rowCount)
                }
            }
            log = Mutex(Log(writer: writer, receipts: receipts))
        } catch {
            throw .store(error)
        }
    }

    /// Behind the last batch that is durable.
    package var position: LogPosition { log.withLock { $0.writer.position } }

    /// Hands a batch over to be written.
    /// - Parameter answer: is called once, on a thread of the log's own: with the receipt as soon as
    ///   the batch is durable, or with why it is not there. It should return soon.
    package func submit(
        _ batch: LiveBatch,
        then answer: @escaping @Sendable (Result<LiveReceipt, EngineError>) -> Void
    ) {
        let entry: LogEntry
        do throws(StoreError) {
            entry = try LogEntry(LoggedLines(batch.lines), key: batch.key)
        } catch {
            return answer(.failure(.store(error)))
        }
        let (isTaken, begins, waiting) = state.withLock { state -> (Bool, Bool, Int) in
            let waiting = state.waitingByteCount
            guard waiting == 0 || waiting + entry.body.count <= waitingLimit else {
                return (false, false, waiting)
            }
            state.waiting.append(Waiting(entry: entry, answer: answer))
            state.waitingByteCount += entry.body.count
            defer { state.isWriting = true }
            return (true, !state.isWriting, waiting)
        }
        guard isTaken else {
            return answer(
                .failure(.liveBusy(waitingByteCount: waiting, limit: waitingLimit)))
        }
        if begins { queue.async { self.writeWaiting() } }
    }

    /// Appends batches and waits until all of them are durable or refused.
    /// - Returns: one result a batch.
    package func append(_ batches: [LiveBatch]) -> [Result<LiveReceipt, EngineError>] {
        let group = DispatchGroup()
        let shared = Shared(count: batches.count)
        for (index, batch) in batches.enumerated() {
            group.enter()
            submit(batch) { result in
                shared.results.withLock { $0[index] = result }
                group.leave()
            }
        }
        group.wait()
        return shared.results.withLock { $0.compactMap(\.self) }
    }

    /// Waits until everything that was submitted before is durable or refused, and answered.
    package func drain() { queue.sync {} }

    /// Forgets the keys of batches whose files `prune` has removed. Call after a new generation is
    /// served.
    package func forgetPruned() throws(EngineError) {
        let folder = folder
        let first = try mapErrors(EngineError.store) { () throws(StoreError) in
            try LogFormat.firstPosition(in: folder)
        }
        guard let first else { return }
        log.withLock { log in
            log.receipts = log.receipts.filter { $0.value.sequence >= first.sequence }
        }
    }

    private func writeWaiting() {
        while true {
            let group = state.withLock { state -> [Waiting] in
                var byteCount = 0
                let count =
                    state.waiting.firstIndex { waiting in
                        defer { byteCount += waiting.entry.body.count }
                        return byteCount > 0
                            && byteCount + waiting.entry.body.count > Self.groupByteCount
                    } ?? state.waiting.count
                let group = Array(state.waiting[..<count])
                state.waiting.removeFirst(count)
                if group.isEmpty { state.isWriting = false }
                return group
            }
            if group.isEmpty { return }
            let results = log.withLock { Self.write(group.map(\.entry), to: &$0) }
            let byteCount = group.reduce(0) { $0 + $1.entry.body.count }
            state.withLock { $0.waitingByteCount -= byteCount }
            for (waiting, result) in zip(group, results) { waiting.answer(result) }
        }
    }

    private static func write(
        _ group: [LogEntry], to log: inout Log
    ) -> [Result<LiveReceipt, EngineError>] {
        var entries: [LogEntry] = []
        /// Of each of the group, which of `entries` it is; -1 for one that the log has.
        var places: [Int] = []
        var placeOfKey: [LogKey: Int] = [:]
        for entry in group {
            if !entry.key.isNone {
                if log.receipts[entry.key] != nil {
                    places.append(-1)
                    continue
                }
                if let place = placeOfKey[entry.key] {
                    places.append(place)
                    continue
                }
                placeOfKey[entry.key] = entries.count
            }
            places.append(entries.count)
            entries.append(entry)
        }
        let first = log.writer.position.sequence
        let (count, failure) = log.writer.append(entries)
        for (index, entry) in entries[..<count].enumerated() where !entry.key.isNone {
            log.receipts[entry.key] = (first + index, entry.rowCount)
        }
        var last = -1
        return zip(group, places).map { entry, place in
            if place >= count, let failure { return .failure(.store(failure)) }
            let isNew = place > last
            last = max(last, place)
            if isNew {
                return .success(
                    LiveReceipt(
                        sequence: first + place, rowCount: entry.rowCount, isRepeat: false))
            }
            let known = log.receipts[entry.key] ?? (first + place, entry.rowCount)
            return .success(
                LiveReceipt(sequence: known.sequence, rowCount: known.rowCount, isRepeat: true))
        }
    }

    private final class Shared: Sendable {
        let results: Mutex<[Result<LiveReceipt, EngineError>?]>

        init(count: Int) { results = Mutex([_](repeating: nil, count: count)) }
    }
}
