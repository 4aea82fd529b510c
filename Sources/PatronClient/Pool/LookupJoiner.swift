import ByteCoding
import NIOCore
import Synchronization
import Wire

/// Joins look-ups of one customer into frames of many.
///
/// Look-ups of the same columns, label and kind of ids wait while `framesUnderWay` frames of them wait for
/// their answers; all that gathered meanwhile go into the next one, in the order they came. Where no
/// such frame is under way, one leaves at the next turn of an event loop, with what other tasks have
/// asked for until then. No timer delays anything.
///
/// A frame has the latest deadline of those in it, so that nobody's answer is lost by another's haste;
/// each call ends at its own. A call that is cancelled or late leaves the frame to the others; a
/// frame that nobody waits for any more is cancelled at the server.
final class LookupJoiner: Sendable {
    typealias Delivery = @Sendable (Result<CustomerRow, PatronError>) -> Void

    fileprivate struct Key: Hashable {
        let columns: [UInt16]?
        let areIntegers: Bool
        let label: String?
    }

    fileprivate struct Entry: Sendable {
        let id: PatronID
        let key: Key
        let end: NIODeadline?
        let deliver: Delivery
        /// Nil while it waits.
        var batch: UInt64?
    }

    fileprivate struct Queue: Sendable {
        /// Numbers of entries; those that are gone are skipped.
        var waiting: [UInt64] = []
        var underWay = 0
        var isPlanned = false
    }

    fileprivate struct Batch: Sendable {
        let key: Key
        /// In the order of the ids.
        let entries: [UInt64]
        /// Entries that still want their row.
        var wanted: Int
        var call: Call?
    }

    fileprivate struct State: Sendable {
        var entries: [UInt64: Entry] = [:]
        var queues: [Key: Queue] = [:]
        var batches: [UInt64: Batch] = [:]
        var next: UInt64 = 0
        var sweepAt: NIODeadline?
    }

    private let framesUnderWay: Int
    private let idsPerFrame: Int
    private let eventLoop: any EventLoop
    private let ask:
        @Sendable (
            Call.Question, NIODeadline?,
            @escaping @Sendable (Result<Call.Outcome, PatronError>) -> Void
        ) -> Call
    private let state = Mutex(State())

    /// - Parameter ask: makes a call, which is started here.
    init(
        framesUnderWay: Int, idsPerFrame: Int, eventLoop: any EventLoop,
        ask:
            @escaping @Sendable (
                Call.Question, NIODeadline?,
                @escaping @Sendable (Result<Call.Outcome, PatronError>) -> Void
            ) -> Call
    ) {
        self.framesUnderWay = framesUnderWay
        self.idsPerFrame = idsPerFrame
        self.eventLoop = eventLoop
        self.ask = ask
    }

    // MARK: Entries

    /// - Parameter deliver: called once, on any thread.
    /// - Returns: what to `cancel`.
    func add(
        _ id: PatronID, columns: [UInt16]?, label: String? = nil, end: NIODeadline?,
        _ deliver: @escaping Delivery
    ) -> UInt64 {
        var areIntegers = false
        if case .integer = id { areIntegers = true }
        let key = Key(columns: columns, areIntegers: areIntegers, label: label)
        let (number, isNext, sweep) = state.withLock { state in
            state.next += 1
            let number = state.next
            state.entries[number] = Entry(id: id, key: key, end: end, deliver: deliver)
            var queue = state.queues[key] ?? Queue()
            queue.waiting.append(number)
            let isNext = !queue.isPlanned && queue.underWay < framesUnderWay
            if isNext { queue.isPlanned = true }
            state.queues[key] = queue
            var sweep: NIODeadline?
            if let end, state.sweepAt.map({ end < $0 }) ?? true {
                state.sweepAt = end
                sweep = end
            }
            return (number, isNext, sweep)
        }
        if isNext { eventLoop.execute { self.send(key) } }
        if let sweep { planSweep(sweep) }
        return number
    }

    /// Look-ups that are in no frame yet.
    var waitingCount: Int { state.withLock { $0.entries.values.count { $0.batch == nil } } }

    func cancel(_ number: UInt64) { end(number, .cancelled) }

    private func end(_ number: UInt64, _ error: PatronError) {
        let (deliver, call) = state.withLock { state -> (Delivery?, Call?) in
            guard let entry = state.entries.removeValue(forKey: number) else { return (nil, nil) }
            guard let batch = entry.batch else { return (entry.deliver, nil) }
            state.batches[batch]?.wanted -= 1
            guard let found = state.batches[batch], found.wanted == 0 else {
                return (entry.deliver, nil)
            }
            return (entry.deliver, found.call)
        }
        deliver?(.failure(error))
        call?.cancel()
    }

    // MARK: Deadlines

    /// One timer for all: calls with the same deadline, which most have, end in their order.
    private func planSweep(_ time: NIODeadline) {
        eventLoop.scheduleTask(deadline: time) { [weak self] in self?.sweep(time) }
    }

    private func sweep(_ time: NIODeadline) {
        let (late, next) = state.withLock { state -> ([UInt64], NIODeadline?) in
            // A later plan has replaced this one.
            guard state.sweepAt == time else { return ([], nil) }
            let now = NIODeadline.now()
            let late = state.entries.filter { $0.value.end.map { $0 <= now } ?? false }.keys
            state.sweepAt =
                state.entries.values.compactMap { $0.end.flatMap { $0 > now ? $0 : nil } }.min()
            return (Array(late), state.sweepAt)
        }
        for number in late { end(number, .deadlinePassed) }
        if let next { planSweep(next) }
    }

    // MARK: Frames

    /// Sends what waits, as far as frames may be under way.
    private func send(_ key: Key) {
        while let (number, ids, end) = nextBatch(key) { start(number, key, ids, end) }
    }

    private func nextBatch(_ key: Key) -> (UInt64, [PatronID], NIODeadline?)? {
        state.withLock { state in
            guard var queue = state.queues[key] else { return nil }
            queue.isPlanned = false
            var numbers: [UInt64] = []
            var ids: [PatronID] = []
            var end: NIODeadline? = .uptimeNanoseconds(0)
            if queue.underWay < framesUnderWay {
                var taken = 0
                for number in queue.waiting {
                    if numbers.count == idsPerFrame { break }
                    taken += 1
                    guard let entry = state.entries[number] else { continue }
                    numbers.append(number)
                    ids.append(entry.id)
                    end = entry.end.flatMap { own in end.map { max($0, own) } }
                }
                queue.waiting.removeFirst(taken)
            }
            guard !numbers.isEmpty else {
                let isIdle = queue.waiting.isEmpty && queue.underWay == 0
                state.queues[key] = isIdle ? nil : queue
                return nil
            }
            queue.underWay += 1
            state.queues[key] = queue
            let number = state.add(numbers, key)
            return (number, ids, end)
        }
    }

    private func start(_ number: UInt64, _ key: Key, _ ids: [PatronID], _ end: NIODeadline?) {
        let column: IDColumn
        do throws(PatronError) {
            column = try idColumn(ids)
        } catch {
            finish(number, .failure(error))
            return
        }
        let request = LookupRequest(
            ids: column, columns: key.columns?.map { ColumnID(rawValue: $0) })
        let question = Call.Question(
            request: .lookup(request), meta: key.label.map { [.modelLabel($0)] } ?? [],
            mayRepeat: true)
        let call = ask(question, end) {
            self.finish(number, $0.flatMap { Self.read($0, ids.count) })
        }
        let isWanted = state.withLock { state in
            state.batches[number]?.call = call
            return state.batches[number].map { $0.wanted > 0 } ?? false
        }
        call.start()
        if !isWanted { call.cancel() }
    }

    private static func read(
        _ outcome: Call.Outcome, _ count: Int
    ) -> Result<LookupResult, PatronError> {
        do throws(PatronError) {
            guard let reply = outcome.reply,
                case .lookup(let answer) = try PatronConnection.decode(reply),
                answer.table.rowCount == count
            else {
                throw .malformedAnswer(reason: "a look-up was answered with something else")
            }
            return .success(LookupResult(answer))
        } catch {
            outcome.connection.closeNow()
            return .failure(error)
        }
    }

    private func finish(_ number: UInt64, _ result: Result<LookupResult, PatronError>) {
        let (key, rows, halves) = state.withLock {
            state -> (Key?, [(Int, Entry)], [(UInt64, [PatronID], NIODeadline?)]) in
            guard let batch = state.batches.removeValue(forKey: number) else {
                return (nil, [], [])
            }
            if case .failure(let error) = result, error.isOfSize, batch.entries.count > 1 {
                return (batch.key, [], state.halve(batch))
            }
            var rows: [(Int, Entry)] = []
            for (row, number) in batch.entries.enumerated() {
                if let entry = state.entries.removeValue(forKey: number) {
                    rows.append((row, entry))
                }
            }
            state.queues[batch.key]?.underWay -= 1
            return (batch.key, rows, [])
        }
        guard let key else { return }
        for (number, ids, end) in halves { start(number, key, ids, end) }
        // The next frame leaves before its predecessor's rows are given out.
        if halves.isEmpty { send(key) }
        for (row, entry) in rows {
            entry.deliver(result.map { CustomerRow(id: entry.id, answer: $0, row: row) })
        }
    }
}

extension LookupJoiner.State {
    fileprivate mutating func add(_ numbers: [UInt64], _ key: LookupJoiner.Key) -> UInt64 {
        next += 1
        for number in numbers { entries[number]?.batch = next }
        batches[next] = LookupJoiner.Batch(key: key, entries: numbers, wanted: numbers.count)
        return next
    }

    /// Two batches in place of one that the server takes only in parts.
    fileprivate mutating func halve(
        _ batch: LookupJoiner.Batch
    ) -> [(UInt64, [PatronID], NIODeadline?)] {
        let numbers = batch.entries.filter { entries[$0] != nil }
        let middle = (numbers.count + 1) / 2
        let parts = [Array(numbers[..<middle]), Array(numbers[middle...])].filter { !$0.isEmpty }
        queues[batch.key]?.underWay += parts.count - 1
        return parts.map { part in
            var end: NIODeadline? = .uptimeNanoseconds(0)
            var ids: [PatronID] = []
            for number in part {
                guard let entry = entries[number] else { continue }
                ids.append(entry.id)
                end = entry.end.flatMap { own in end.map { max($0, own) } }
            }
            return (add(part, batch.key), ids, end)
        }
    }
}

extension PatronError {
    /// Whether fewer ids a frame would be answered.
    var isOfSize: Bool {
        switch self {
        case .requestTooLarge: true
        case .refused(let refusal):
            refusal.status == Status.tooManyItems.rawValue
                || refusal.status == Status.answerTooLarge.rawValue
        default: false
        }
    }
}
