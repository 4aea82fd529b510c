import ByteCoding
import NIOCore
import Wire

extension PatronOperations {
    /// Scores of many customers, a row an id, all from one snapshot.
    ///
    /// More ids than a request may have are asked for in several, a few at a time; so are those that do
    /// not fit into a frame with their columns. Either all are answered, within the deadline, or the
    /// look-up fails.
    /// - Parameters:
    ///   - ids: of one kind, at least one; may repeat.
    ///   - columns: ids of the columns wanted, in the order of the answer; nil for all.
    /// - Throws: `refused` as `snapshotChanged` where generations follow each other faster than all
    ///   can be asked of one.
    public func lookup(
        _ ids: [PatronID], columns: [UInt16]? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> LookupResult {
        let lookup = SplitLookup(
            operations: self, ids: ids, columns: columns,
            end: (deadline ?? defaultDeadline).map { .now() + TimeAmount($0) })
        if ids.count <= lookup.partSize {
            do throws(PatronError) {
                return try await lookup.ask(0..<ids.count)
            } catch {
                guard error.isOfSize, ids.count > 1 else { throw error }
            }
        }
        return try await lookup.run()
    }
}

/// A look-up that takes several requests.
private struct SplitLookup<Operations: PatronOperations>: Sendable {
    let operations: Operations
    let ids: [PatronID]
    let columns: [UInt16]?
    /// Of all requests together; nil for ever.
    let end: NIODeadline?

    /// Not a tuple: optimised, Swift 6.3 gives back others than were returned from a task.
    private struct Part: Sendable {
        let rows: Range<Int>
        let result: Result<LookupResult, PatronError>
    }

    /// Requests under way at once.
    private static var window: Int { 4 }
    /// Before parts of an older generation are asked for again: at once, as the server has moved on;
    /// then while other servers follow.
    private static var pauses: [Duration] {
        [.zero, .milliseconds(20), .milliseconds(100), .milliseconds(500)]
    }

    var partSize: Int {
        max(1, min(operations.maximumLookupIDs, WireLimits.standard.lookupIDs))
    }

    /// One request.
    func ask(_ rows: Range<Int>) async throws(PatronError) -> LookupResult {
        let request = LookupRequest(
            ids: try idColumn(rows.count == ids.count ? ids : Array(ids[rows])),
            columns: columns?.map { ColumnID(rawValue: $0) })
        let operation = PatronOperation(.lookup(request)) {
            (response) throws(PatronError) -> LookupResult? in
            guard case .lookup(let answer) = response, answer.table.rowCount == rows.count else {
                return nil
            }
            return LookupResult(answer)
        }
        let left = end.map { Duration.nanoseconds(($0 - .now()).nanoseconds) }
        guard left.map({ $0 > .zero }) ?? true else { throw .deadlinePassed }
        return try await operations.perform(operation, deadline: left)
    }

    private func attempt(_ rows: Range<Int>) async -> Part {
        do throws(PatronError) {
            return Part(rows: rows, result: .success(try await ask(rows)))
        } catch {
            return Part(rows: rows, result: .failure(error))
        }
    }

    /// Several.
    func run() async throws(PatronError) -> LookupResult {
        let kind = ids.first?.isInteger
        guard ids.allSatisfy({ $0.isInteger == kind }) else { throw .mixedIDs }
        var answers: [Int: LookupResult] = [:]
        var missing = parts(of: 0..<ids.count, size: min(partSize, (ids.count + 1) / 2))
        for pause in Self.pauses + [nil] {
            for (rows, answer) in try await ask(all: missing) { answers[rows.lowerBound] = answer }
            let newest = answers.values.map(\.snapshot.generation).max() ?? 0
            let older = answers.filter { $0.value.snapshot.generation != newest }
            if older.isEmpty {
                let sorted = answers.sorted { $0.key < $1.key }
                return try LookupResult(joining: sorted.map(\.value))
            }
            missing = older.map { $0.key..<$0.key + $0.value.status.count }
            guard let pause else { break }
            if pause > .zero, (try? await Task.sleep(for: pause)) == nil { throw .cancelled }
        }
        let status = Status.snapshotChanged
        throw .refused(
            PatronError.Refusal(
                status: status.rawValue, name: status.description,
                text: "the snapshot was replaced again and again during one look-up",
                hint: "ask again", retryAfter: nil))
    }

    private func parts(of rows: Range<Int>, size: Int) -> [Range<Int>] {
        stride(from: rows.lowerBound, to: rows.upperBound, by: size).map {
            $0..<min($0 + size, rows.upperBound)
        }
    }

    /// Asks for some parts, and for halves of those that are too large; the first failure ends all.
    private func ask(
        all wanted: [Range<Int>]
    ) async throws(PatronError) -> [(Range<Int>, LookupResult)] {
        let result = await withTaskGroup(of: Part.self) { tasks in
            var waiting = wanted.reversed() as [Range<Int>]
            var answers: [(Range<Int>, LookupResult)] = []
            var failure: PatronError?
            var underWay = 0
            while true {
                while failure == nil, underWay < Self.window, let rows = waiting.popLast() {
                    underWay += 1
                    tasks.addTask { await attempt(rows) }
                }
                guard let part = await tasks.next() else { break }
                underWay -= 1
                switch part.result {
                case .success(let answer): answers.append((part.rows, answer))
                case .failure(let error) where error.isOfSize && part.rows.count > 1:
                    // The limit may be known by now.
                    let size = min(partSize, (part.rows.count + 1) / 2)
                    waiting += parts(of: part.rows, size: size).reversed()
                case .failure(let error):
                    if failure == nil { failure = error }
                    tasks.cancelAll()
                }
            }
            return failure.map { Result<_, PatronError>.failure($0) } ?? .success(answers)
        }
        return try result.get()
    }
}

extension PatronID {
    fileprivate var isInteger: Bool { if case .integer = self { true } else { false } }
}

extension LookupResult {
    /// Rows of the parts in their order.
    /// - Throws: `malformedAnswer` for parts of different columns.
    fileprivate init(joining parts: [LookupResult]) throws(PatronError) {
        guard let first = parts.first,
            parts.allSatisfy({ $0.columns.map(\.id) == first.columns.map(\.id) })
        else { throw .malformedAnswer(reason: "parts of one look-up came with different columns") }
        self.init(snapshot: first.snapshot, status: parts.flatMap(\.status), columns: [])
        for (place, column) in first.columns.enumerated() {
            let same = parts.map { $0.columns[place] }
            guard let lanes = ScoreValues.Lanes(joining: same.map(\.lanes)) else {
                throw .malformedAnswer(reason: "column \(column.id) came in two types")
            }
            let isWhole = same.allSatisfy { $0.valid == nil }
            let valid = zip(same, parts).flatMap { column, part in
                column.valid ?? [Bool](repeating: true, count: part.status.count)
            }
            columns.append(ScoreValues(id: column.id, lanes: lanes, valid: isWhole ? nil : valid))
        }
    }
}

extension ScoreValues.Lanes {
    /// Nil for lanes of several types.
    fileprivate init?(joining parts: [Self]) {
        func joined<Value>(_ values: [[Value]]) -> [Value]? {
            values.count == parts.count ? Array(values.joined()) : nil
        }
        let made: Self? =
            switch parts.first {
            case .int32?:
                joined(parts.compactMap { if case .int32(let values) = $0 { values } else { nil } })
                    .map { .int32($0) }
            case .int64?:
                joined(parts.compactMap { if case .int64(let values) = $0 { values } else { nil } })
                    .map { .int64($0) }
            case .float32?:
                joined(
                    parts.compactMap { if case .float32(let values) = $0 { values } else { nil } }
                ).map { .float32($0) }
            case .float64?:
                joined(
                    parts.compactMap { if case .float64(let values) = $0 { values } else { nil } }
                ).map { .float64($0) }
            case .text?:
                joined(parts.compactMap { if case .text(let values) = $0 { values } else { nil } })
                    .map { .text($0) }
            case nil: nil
            }
        guard let made else { return nil }
        self = made
    }
}
