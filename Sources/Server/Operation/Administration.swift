import ByteCoding
import ColumnStore
import Engine
import NIOCore
import Synchronization
import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What MODELS, SNAPSHOT, PUBLISH, DRAIN and SHADOW work on. What is served is moved by
/// `SnapshotWatcher` alone: an operation changes the workspace's files and waits until the event
/// loops have followed, so that a publish over the wire and one at the command line are the same.
final class Administration: Sendable {
    /// Nil where the server does not know its workspace.
    let shelf: GenerationShelf?
    /// One thread: administrative requests come one after another.
    let queue = ScanQueue(threadCount: 1, capacity: 64)
    /// Snapshots that are open and verified, for the watcher to take instead of opening them again.
    private let prepared = Mutex<[Int: ServingSnapshot]>([:])
    /// What is served under labels.
    let labels = Mutex<LabelTable>(LabelTable())
    /// The latest comparison.
    let shadow = Mutex<ShadowRun?>(nil)
    /// For STATS, while the server runs.
    let status = Mutex<ServerStatus?>(nil)
    private let drains = AsyncStream.makeStream(of: Void.self)

    init(workspace: String?) { shelf = workspace.map { GenerationShelf(folder: $0) } }

    func requestDrain() { drains.continuation.yield() }

    /// Returns when a client has asked for a drain, or when its task is cancelled.
    func drainIsAsked() async {
        for await _ in drains.stream { return }
    }

    // MARK: Snapshots that are open

    func prepare(_ snapshot: ServingSnapshot) {
        prepared.withLock { $0[snapshot.generation] = snapshot }
    }

    func forget(_ generation: Int) { prepared.withLock { $0[generation] = nil } }

    /// A snapshot that need not be opened.
    func prepared(_ generation: Int) -> ServingSnapshot? {
        prepared.withLock { $0[generation] }
    }
}

/// What the event loops serve under labels other than that of the current generation.
struct LabelTable: Sendable {
    /// What the workspace's file says, once it was read.
    var wanted: GenerationLabels?
    var served: [String: ServedSnapshot] = [:]
    /// Why a label of `wanted` is not among `served`.
    var problems: [String: String] = [:]
    /// Whether something that failed may go well next time.
    var isUnsettled = false
}

/// One administrative request on its thread.
struct AdminWork: Sendable {
    let shared: ServerShared
    let ticket: ScanTicket
    let deadline: NIODeadline
    /// Tells the client how far its request is.
    let report: @Sendable (ProgressMessage) -> Void

    private var administration: Administration { shared.administration }
    /// How long the event loops may take to follow a change of the files.
    private static let patience = TimeAmount.seconds(30)

    private func shelf() throws(Refusal) -> GenerationShelf {
        guard let shelf = administration.shelf else {
            throw Refusal(
                .unsupportedOperation, "the server was started without a workspace folder")
        }
        return shelf
    }

    // MARK: SNAPSHOT

    func generations() throws(Refusal) -> TableAnswer {
        let shelf = try shelf()
        let current = shared.current()
        let entries = try refusing { () throws(EngineError) in try shelf.entries() }
        let served = administration.labels.withLock { $0.served }
        let labels = entries.map { entry in
            served.filter { Int($0.value.generation) == entry.location.generation }.keys.sorted()
        }
        let rows = entries.indices
        let states = rows.map { index -> Int32 in
            let generation = entries[index].location.generation
            return (entries[index].isCurrent ? 1 : 0)
                | (generation == Int(current.generation) ? 2 : 0) | (labels[index].isEmpty ? 0 : 4)
        }
        let descriptors = entries.map(\.descriptor)
        let known = ValidityBitmap(descriptors.map { $0 != nil })
        let table = Table(
            rowCount: entries.count,
            columns: [
                WireColumn(.generation, .int64(entries.map { Int64($0.location.generation) })),
                WireColumn(.generationState, .int32(states)),
                WireColumn(
                    .generationLabels,
                    .text(TextArray(labels.map { $0.joined(separator: ",") }))),
                WireColumn(
                    .generationAsOfDay,
                    .int32(
                        descriptors.map { Int32(clamping: $0?.asOfDay.daysSince1970 ?? 0) }),
                    validity: known),
                WireColumn(
                    .generationCustomerCount,
                    .int64(descriptors.map { Int64($0?.customerCount ?? 0) }), validity: known),
                WireColumn(
                    .generationByteCount, .int64(entries.map { Int64($0.byteCount) }),
                    validity: known),
                WireColumn(
                    .generationModels,
                    .text(
                        TextArray(
                            descriptors.map { descriptor in
                                (descriptor?.models ?? []).map { "\($0.name) \($0.version)" }
                                    .joined(separator: ", ")
                            })), validity: known),
                WireColumn(
                    .generationProblem, .text(TextArray(entries.map(\.problem))),
                    validity: ValidityBitmap(descriptors.map { $0 == nil })),
            ])
        return TableAnswer(stamp: current.stamp, table: table)
    }

    // MARK: PUBLISH

    func publish(_ request: PublishRequest) throws(Refusal) -> PublishResponse {
        let shelf = try shelf()
        let previous = shared.current().generation
        let wanted = request.generation == 0 ? nil : Int(clamping: request.generation)
        let (snapshot, byteCount) = try open(wanted, shelf)
        let generation = snapshot.generation
        administration.prepare(snapshot)
        defer { administration.forget(generation) }
        let refusals = shared.generationsRefused.load(ordering: .relaxed)
        _ = try refusing { () throws(EngineError) in try shelf.publish(snapshot) }
        try wait("the event loops have not moved to the new generation") { () throws(Refusal) in
            if shared.current().generation == UInt64(generation) { return true }
            guard shared.generationsRefused.load(ordering: .relaxed) == refusals else {
                throw Refusal(
                    .internalError, "the event loops cannot move to generation \(generation)",
                    hint: "the server's log tells why; publish another generation")
            }
            let current = try refusing { () throws(EngineError) in try shelf.current() }
            guard current == generation else {
                throw Refusal(
                    .snapshotChanged,
                    "generation \(current ?? 0) was published after generation \(generation)")
            }
            return false
        }
        return PublishResponse(
            stamp: shared.current().stamp, previousGeneration: previous,
            verifiedByteCount: UInt64(byteCount))
    }

    /// Verifies a generation, tells how far it is, and opens it.
    /// - Parameter generation: nil for the newest.
    private func open(
        _ generation: Int?, _ shelf: GenerationShelf
    ) throws(Refusal) -> (ServingSnapshot, byteCount: Int) {
        let location = try refusing { () throws(EngineError) in
            try shelf.location(of: generation)
        }
        guard let location else {
            throw Refusal(
                .unknownGeneration,
                generation.map { "no generation \($0) is in the workspace" }
                    ?? "nothing is scored yet", hint: "SNAPSHOT lists those that are")
        }
        let byteCount = try refusing { () throws(EngineError) in
            try location.verify { done, total in
                report(ProgressMessage(done: UInt64(done), total: UInt64(total), unit: .bytes))
                return !ticket.isCancelled && NIODeadline.now() < deadline
            }
        }
        guard let byteCount else {
            throw ticket.isCancelled
                ? Refusal(.cancelled, "cancelled by the client")
                : Refusal(.deadlinePassed, "the deadline passed before all files were read")
        }
        let snapshot = try refusing { () throws(EngineError) in try ServingSnapshot(location) }
        return (snapshot, byteCount)
    }

    // MARK: MODELS

    func models(_ request: ModelsRequest) throws(Refusal) -> TableAnswer {
        switch request {
        case .list: break
        case .set(let label, let generation):
            try setLabel(label, Int(clamping: generation))
        case .remove(let label):
            let shelf = try shelf()
            let generation = try refusing { () throws(EngineError) in
                try GenerationLabels.change(shelf.folder) { labels in
                    defer { labels.remove(label) }
                    return labels.generations[label]
                }
            }
            guard generation != nil else { throw .unknownLabel(label) }
            try wait("the event loops have not left the label") { () throws(Refusal) in
                let isLeft = administration.labels.withLock {
                    $0.wanted?.generations[label] == nil
                }
                // Given again meanwhile: it has been removed all the same.
                if isLeft { return true }
                return try self.generation(labelled: label, shelf) != nil
            }
        }
        return served()
    }

    private enum LabelChange {
        case done
        case gone
        case tooMany(Int)
    }

    /// What the workspace's file says now.
    private func generation(
        labelled label: String, _ shelf: GenerationShelf
    ) throws(Refusal) -> Int? {
        try refusing { () throws(EngineError) in
            try GenerationLabels.load(shelf.folder).generations[label]
        }
    }

    private func setLabel(_ label: String, _ generation: Int) throws(Refusal) {
        let shelf = try shelf()
        guard GenerationLabels.isName(label) else {
            throw Refusal(
                .valueOutOfRange,
                ErrorBody(
                    text: "'\(label)' cannot be given to a generation",
                    hint: "letters, digits, '.', '_', '-'; stable is the current one: PUBLISH",
                    field: WireField.label.rawValue, byteOffset: 16))
        }
        // Also where it is served already: its files may have been damaged since.
        let snapshot = try open(generation, shelf).0
        administration.prepare(snapshot)
        defer { administration.forget(generation) }
        let change = try refusing { () throws(EngineError) in
            try GenerationLabels.change(shelf.folder) { (labels) throws(EngineError) in
                // It may have been pruned while its files were read.
                guard try shelf.location(of: generation) != nil else { return LabelChange.gone }
                let count = labels.generations.count
                guard labels.generations[label] != nil || count < GenerationLabels.limit else {
                    return .tooMany(count + 1)
                }
                labels.set(label, to: generation)
                return .done
            }
        }
        switch change {
        case .done: break
        case .gone:
            throw Refusal(
                .unknownGeneration, "generation \(generation) has been pruned",
                hint: "SNAPSHOT lists those that are")
        case .tooMany(let count):
            throw Refusal(
                WireError.tooManyItems(
                    field: .label, actual: count, limit: GenerationLabels.limit, byteOffset: 16))
        }
        try wait("the event loops have not taken the label") { () throws(Refusal) in
            let isServed = administration.labels.withLock {
                $0.served[label]?.generation == UInt64(generation)
            }
            if isServed { return true }
            let now = try self.generation(labelled: label, shelf)
            guard now == generation else {
                throw Refusal(
                    .snapshotChanged,
                    now.map { "the label was given to generation \($0) after that" }
                        ?? "the label was removed after that")
            }
            return false
        }
    }

    /// A row a label and model; one without models has a row too.
    func served() -> TableAnswer {
        let current = shared.current()
        let table = administration.labels.withLock { $0 }
        var rows: [(label: String, generation: Int, served: ServedSnapshot?)] = [
            (GenerationLabels.current, Int(current.generation), current)
        ]
        for (label, generation) in (table.wanted?.generations ?? [:]).sorted(by: { $0.key < $1.key }
        ) {
            rows.append((label, generation, table.served[label]))
        }
        var columns = ModelColumns()
        for row in rows {
            let models = row.served?.stamp.models ?? []
            for model in models.isEmpty ? [nil] : models.map(Optional.some) {
                columns.add(
                    row.label, row.generation, row.served?.stamp.asOfDay, model,
                    table.problems[row.label])
            }
        }
        return TableAnswer(stamp: current.stamp, table: columns.table)
    }

    // MARK: SHADOW

    func shadow(_ request: ShadowRequest) throws(Refusal) -> ShadowReport {
        switch request {
        case .report: break
        case .start(let candidate, let partsPerMillion):
            let current = shared.current()
            let served: ServedSnapshot
            switch candidate {
            case .label(let label):
                guard let found = administration.labels.withLock({ $0.served[label] }) else {
                    throw .unknownLabel(label)
                }
                served = found
            case .generation(let generation):
                let number = Int(clamping: generation)
                if let found = shared.held(number) {
                    served = found
                } else {
                    served = ServedSnapshot(
                        try open(number, try shelf()).0, erasures: shared.erasures)
                }
            }
            guard
                served.snapshot.customers.holdsTexts == current.snapshot.customers.holdsTexts
            else {
                throw Refusal(
                    .wrongIDKind, "the generations have customer ids of different kinds")
            }
            shared.startShadow(
                ShadowRun(current: current, candidate: served, partsPerMillion: partsPerMillion))
        case .stop: shared.stopShadow(.stopped)
        }
        guard let run = administration.shadow.withLock({ $0 }) else {
            return ShadowRun.noReport(shared.current().stamp)
        }
        shared.gatherShadow()
        while run.work() {}
        return run.report()
    }

    // MARK: Waiting

    /// Looks again and again until something holds.
    private func wait(
        _ complaint: String, until holds: () throws(Refusal) -> Bool
    ) throws(Refusal) {
        let end = NIODeadline.now() + Self.patience
        while !(try holds()) {
            // The files say it already: nobody waits any more, or nothing moves any more.
            guard !ticket.isCancelled else {
                throw Refusal(.cancelled, "the client has not waited until all was done")
            }
            guard administration.status.withLock({ $0 })?.phase == .ready else {
                throw Refusal(
                    .draining, "the server is stopping", hint: "its successor will follow")
            }
            guard NIODeadline.now() < end else {
                throw Refusal(
                    .internalError, complaint, hint: "the server's log may tell why")
            }
            usleep(2_000)
        }
    }

    private func refusing<Result>(
        _ body: () throws(EngineError) -> Result
    ) throws(Refusal) -> Result {
        do throws(EngineError) { return try body() } catch { throw Refusal(error) }
    }
}

extension Refusal {
    static func unknownLabel(_ label: String) -> Refusal {
        Refusal(
            .unknownLabel, "no generation has the label \(label)",
            hint: "MODELS lists the labels")
    }

    /// What went wrong with the workspace's files.
    init(_ error: EngineError) {
        switch error {
        case .damagedSnapshot, .store(.checksumMismatch), .store(.corrupt), .store(.truncated),
            .store(.notAStoreFile), .store(.missingPart), .store(.limitExceeded),
            .store(.unsupportedVersion), .store(.unknownField):
            self.init(.snapshotDamaged, error.description)
        case .store(.system(let cause)) where cause.isMissingFile:
            self.init(.snapshotDamaged, error.description)
        case .store(.locked):
            self.init(
                .workspaceLocked, error.description, hint: "try again when that command is done")
        case .noSnapshot: self.init(.unknownGeneration, error.description)
        default: self.init(.internalError, error.description)
        }
    }
}

/// The columns of the answer to MODELS.
private struct ModelColumns {
    private var labels: [String] = []
    private var generations: [Int64] = []
    private var days: [Int32?] = []
    private var models: [SnapshotStamp.Model?] = []
    private var problems: [String?] = []

    mutating func add(
        _ label: String, _ generation: Int, _ day: Int32?, _ model: SnapshotStamp.Model?,
        _ problem: String?
    ) {
        labels.append(label)
        generations.append(Int64(generation))
        days.append(day)
        models.append(model)
        problems.append(problem)
    }

    var table: Table {
        let hasModel = ValidityBitmap(models.map { $0 != nil })
        return Table(
            rowCount: labels.count,
            columns: [
                WireColumn(.label, .text(TextArray(labels))),
                WireColumn(.generation, .int64(generations)),
                WireColumn(
                    .generationAsOfDay, .int32(days.map { $0 ?? 0 }),
                    validity: ValidityBitmap(days.map { $0 != nil })),
                WireColumn(
                    .modelName, .text(TextArray(models.map { $0?.name ?? "" })),
                    validity: hasModel),
                WireColumn(
                    .modelVersion, .int64(models.map { Int64($0?.version ?? 0) }),
                    validity: hasModel),
                WireColumn(
                    .modelChecksum, .int64(models.map { Int64($0?.checksum ?? 0) }),
                    validity: hasModel),
                WireColumn(
                    .generationProblem, .text(TextArray(problems.map { $0 ?? "" })),
                    validity: ValidityBitmap(problems.map { $0 != nil })),
            ])
    }
}
