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

/// Where a batch or an erasure is, durably.
package struct LiveReceipt: Sendable, Equatable {
    /// Its number among all batches and erasures of the log, from 0.
    package var sequence: Int
    /// Lines, or customers.
    package var rowCount: Int
    /// Whether it was there before: the same key has come again.
    package var isRepeat: Bool
    /// When an erasure was asked for the first time, UTC seconds since 1970; nil for a batch.
    package var erasedAt: Int64?

    package init(sequence: Int, rowCount: Int, isRepeat: Bool, erasedAt: Int64? = nil) {
        (self.sequence, self.rowCount, self.isRepeat) = (sequence, rowCount, isRepeat)
        self.erasedAt = erasedAt
    }
}

/// The log of live purchases, open for appending: what was acknowledged outlives every crash.
///
/// Batches that come while others are being written wait and are written together, with one sync of
/// the disk for all (group commit). All methods may be called from any thread; answers come in the
/// order of the batches' numbers, repeats aside.
package final class LiveLog: Sendable {
    private struct Waiting {
        let entry: LogEntry
        /// Nil for a batch.
        let erasure: ErasureMark?
        let answer: @Sendable (Result<LiveReceipt, EngineError>) -> Void
    }

    private struct State {
        var waiting: [Waiting] = []
        var waitingByteCount = 0
        var isWriting = false
    }

    /// A record under a key.
    private struct Known {
        let sequence: Int
        let rowCount: Int
        /// What it erases; nil for a batch.
        let erasure: ErasureMark?
    }

    private struct Log {
        let writer: LogWriter
        /// Of every record that the log still has.
        var receipts: [LogKey: Known]
    }

    /// Bytes that are written and synced together, but for a larger batch alone.
    private static let groupByteCount = 16 << 20
    private let waitingLimit: Int
    private let folder: String
    private let state = Mutex(State())
    private let log: Mutex<Log>
    private let queue = DispatchQueue(label: "patron.live")
    /// Those that the log had when it was opened, in their order.
    package let knownErasures: [RecordedErasure]

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
        var receipts: [LogKey: Known] = [:]
        var erasures: [Result<RecordedErasure, StoreError>] = []
        do throws(StoreError) {
            let writer = try LogWriter(
                folder: folder, from: known, rotationByteCount: rotationByteCount
            ) { record in
                var mark: ErasureMark?
                if record.kind == .erasure {
                    let erasure = Result { () throws(StoreError) in try RecordedErasure(record) }
                    mark = (try? erasure.get())?.mark
                    erasures.append(erasure)
                }
                if !record.key.isNone, receipts[record.key] == nil {
                    receipts[record.key] = Known(
                        sequence: record.sequence, rowCount: record.rowCount, erasure: mark)
                }
            }
            var found: [RecordedErasure] = []
            for erasure in erasures { found.append(try erasure.get()) }
            knownErasures = found
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
        do throws(StoreError) {
            let entry = try LogEntry(LoggedLines(batch.lines), key: batch.key)
            submit(Waiting(entry: entry, erasure: nil, answer: answer))
        } catch {
            answer(.failure(.store(error)))
        }
    }

    /// Hands an erasure over to be written: of all that the batches before it say of its customers, and
    /// of everything that was there before the log.
    /// - Parameters:
    ///   - key: not `LogKey.none`; one that comes again gets the first receipt, if it is about the same
    ///     customers.
    ///   - answer: as for a batch; `.liveKeyReused` for a key of another request.
    package func submit(
        _ erasure: LoggedErasure, key: LogKey,
        then answer: @escaping @Sendable (Result<LiveReceipt, EngineError>) -> Void
    ) {
        do throws(StoreError) {
            let entry = try LogEntry(erasure, key: key)
            submit(Waiting(entry: entry, erasure: ErasureMark(erasure), answer: answer))
        } catch {
            answer(.failure(.store(error)))
        }
    }

    /// Writes an erasure and waits until it is durable or refused.
    package func append(
        _ erasure: LoggedErasure, key: LogKey
    ) throws(EngineError) -> LiveReceipt {
        let done = DispatchSemaphore(value: 0)
        let shared = Shared(count: 1)
        submit(erasure, key: key) { result in
            shared.results.withLock { $0[0] = result }
            done.signal()
        }
        done.wait()
        guard let result = shared.results.withLock({ $0[0] }) else {
            throw .liveBusy(waitingByteCount: 0, limit: waitingLimit)
        }
        return try result.get()
    }

    private func submit(_ next: Waiting) {
        let (entry, answer) = (next.entry, next.answer)
        let (isTaken, begins, waiting) = state.withLock { state -> (Bool, Bool, Int) in
            let waiting = state.waitingByteCount
            guard waiting == 0 || waiting + entry.body.count <= waitingLimit else {
                return (false, false, waiting)
            }
            state.waiting.append(next)
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
            let results = log.withLock { Self.write(group, to: &$0) }
            let byteCount = group.reduce(0) { $0 + $1.entry.body.count }
            state.withLock { $0.waitingByteCount -= byteCount }
            for (waiting, result) in zip(group, results) { waiting.answer(result) }
        }
    }

    private static func write(
        _ group: [Waiting], to log: inout Log
    ) -> [Result<LiveReceipt, EngineError>] {
        var entries: [LogEntry] = []
        /// Of those.
        var marks: [ErasureMark?] = []
        /// Of each of the group, which of `entries` it is; -1 for one that the log has.
        var places: [Int] = []
        var placeOfKey: [LogKey: Int] = [:]
        for waiting in group {
            let entry = waiting.entry
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
            marks.append(waiting.erasure)
        }
        let first = log.writer.position.sequence
        let (count, failure) = log.writer.append(entries)
        for (index, entry) in entries[..<count].enumerated() where !entry.key.isNone {
            log.receipts[entry.key] = Known(
                sequence: first + index, rowCount: entry.rowCount, erasure: marks[index])
        }
        var last = -1
        return zip(group, places).map { waiting, place in
            if place >= count, let failure { return .failure(.store(failure)) }
            let isNew = place > last
            last = max(last, place)
            let (entry, erasure) = (waiting.entry, waiting.erasure)
            if isNew {
                return .success(
                    LiveReceipt(
                        sequence: first + place, rowCount: entry.rowCount, isRepeat: false,
                        erasedAt: erasure?.time))
            }
            let known =
                log.receipts[entry.key]
                ?? Known(sequence: first + place, rowCount: entry.rowCount, erasure: erasure)
            // Batches are known by their key alone; who is erased is certified, and so compared.
            guard known.erasure?.hash == erasure?.hash else { return .failure(.liveKeyReused) }
            return .success(
                LiveReceipt(
                    sequence: known.sequence, rowCount: known.rowCount, isRepeat: true,
                    erasedAt: known.erasure?.time))
        }
    }

    private final class Shared: Sendable {
        let results: Mutex<[Result<LiveReceipt, EngineError>?]>

        init(count: Int) { results = Mutex([_](repeating: nil, count: count)) }
    }
}
