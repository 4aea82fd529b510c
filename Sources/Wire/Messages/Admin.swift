package import ByteCoding

/// MODELS: what is served under which label, and which labels there are.
///
///      0  u8 action (0 list, 1 set, 2 remove)   1  u8 labelBytes   2  u16 zero   4  u32 zero
///      8  u64 generation                        16  label
package enum ModelsRequest: Sendable, Equatable {
    case list
    /// The label names this generation from now on. From 1.
    case set(label: String, generation: UInt64)
    /// The label names nothing any more.
    case remove(label: String)

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .list: LabelledAction(action: 0).encode(into: &writer)
        case .set(let label, let generation):
            LabelledAction(action: 1, label: label, generation: generation).encode(into: &writer)
        case .remove(let label): LabelledAction(action: 2, label: label).encode(into: &writer)
        }
    }

    package init(decoding body: RawSpan) throws(WireError) {
        let request = try LabelledAction(decoding: body)
        try body.requireZero(at: 4, count: 4)
        switch request.action {
        case 0:
            try request.requireNoLabel()
            try request.requireNoGeneration(body)
            self = .list
        case 1:
            try request.requireLabel()
            guard request.generation > 0 else {
                throw .valueOutOfRange(
                    field: .generation, actual: 0, range: 1...Int64.max, byteOffset: 8)
            }
            self = .set(label: request.label, generation: request.generation)
        default:
            try request.requireLabel()
            try request.requireNoGeneration(body)
            self = .remove(label: request.label)
        }
    }
}

/// SHADOW: begins, ends or reports a comparison of look-ups with another generation.
///
///      0  u8 action (0 report, 1 start, 2 stop)   1  u8 labelBytes   2  u16 zero
///      4  u32 partsPerMillion   8  u64 generation   16  label
package enum ShadowRequest: Sendable, Equatable {
    /// What the current generation is compared with.
    package enum Candidate: Sendable, Equatable {
        case generation(UInt64)
        case label(String)
    }

    case report
    /// Compares this share of look-ups, 1 … 1,000,000.
    case start(Candidate, partsPerMillion: UInt32)
    case stop

    package static let all: UInt32 = 1_000_000

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .report: LabelledAction(action: 0).encode(into: &writer)
        case .start(.generation(let number), let share):
            LabelledAction(action: 1, number: share, generation: number).encode(into: &writer)
        case .start(.label(let label), let share):
            LabelledAction(action: 1, number: share, label: label).encode(into: &writer)
        case .stop: LabelledAction(action: 2).encode(into: &writer)
        }
    }

    package init(decoding body: RawSpan) throws(WireError) {
        let request = try LabelledAction(decoding: body)
        guard request.action == 1 else {
            try request.requireNoLabel()
            try body.requireZero(.partsPerMillion, at: 4, count: 4)
            try request.requireNoGeneration(body)
            self = request.action == 0 ? .report : .stop
            return
        }
        guard (1...Self.all).contains(request.number) else {
            throw .valueOutOfRange(
                field: .partsPerMillion, actual: Int64(request.number),
                range: 1...Int64(Self.all), byteOffset: 4)
        }
        if request.label.isEmpty {
            guard request.generation > 0 else {
                throw .valueOutOfRange(
                    field: .generation, actual: 0, range: 1...Int64.max, byteOffset: 8)
            }
            self = .start(.generation(request.generation), partsPerMillion: request.number)
        } else {
            try request.requireNoGeneration(body)
            self = .start(.label(request.label), partsPerMillion: request.number)
        }
    }
}

/// What MODELS and SHADOW have in common.
private struct LabelledAction {
    var action: UInt8
    var number: UInt32 = 0
    /// Empty for none.
    var label = ""
    var generation: UInt64 = 0

    init(action: UInt8, number: UInt32 = 0, label: String = "", generation: UInt64 = 0) {
        self.action = action
        self.number = number
        self.label = label
        self.generation = generation
    }

    func encode(into writer: inout ByteWriter) {
        let label = ByteWriter.clipped(label, to: WireLimits.labelBytes)
        writer.append(action)
        writer.append(UInt8(label.utf8.count))
        writer.append(UInt16(0))
        writer.append(number)
        writer.append(generation)
        writer.append(contentsOf: label.utf8)
    }

    init(decoding body: RawSpan) throws(WireError) {
        action = try body.read(.action, at: 0)
        guard action <= 2 else {
            throw .valueOutOfRange(
                field: .action, actual: Int64(action), range: 0...2, byteOffset: 0)
        }
        let labelBytes = try body.readCount(
            .label, at: 1, as: UInt8.self, limit: WireLimits.labelBytes)
        try body.requireZero(at: 2, count: 2)
        number = try body.read(.partsPerMillion, at: 4)
        generation = try body.read(.generation, at: 8)
        label = try body.readText(.label, at: 16, count: labelBytes)
        try body.requireEnd(at: 16 + labelBytes)
    }

    func requireLabel() throws(WireError) {
        guard !label.isEmpty else {
            throw .valueOutOfRange(
                field: .label, actual: 0, range: 1...Int64(WireLimits.labelBytes), byteOffset: 1)
        }
    }

    func requireNoLabel() throws(WireError) {
        guard label.isEmpty else {
            throw .tooManyItems(
                field: .label, actual: label.utf8.count, limit: 0, byteOffset: 1)
        }
    }

    func requireNoGeneration(_ body: RawSpan) throws(WireError) {
        try body.requireZero(.generation, at: 8, count: 8)
    }
}

/// PUBLISH: makes a generation on disk the current one. `0 u64 generation, 0: the newest`
package struct PublishRequest: Sendable, Equatable {
    /// 0 for the newest on disk.
    package var generation: UInt64

    package init(generation: UInt64) { self.generation = generation }

    package func encode(into writer: inout ByteWriter) { writer.append(generation) }

    package init(decoding body: RawSpan) throws(WireError) {
        generation = try body.read(.generation, at: 0)
        try body.requireEnd(at: 8)
    }
}

/// The answer to PUBLISH, of the generation that is served now: a stamp, then
///
///     0  u64 previousGeneration   8  u64 verified bytes   16  48 zero bytes
package struct PublishResponse: Sendable, Equatable {
    package var stamp: SnapshotStamp
    /// What was served when the request came.
    package var previousGeneration: UInt64
    package var verifiedByteCount: UInt64

    package init(stamp: SnapshotStamp, previousGeneration: UInt64, verifiedByteCount: UInt64) {
        self.stamp = stamp
        self.previousGeneration = previousGeneration
        self.verifiedByteCount = verifiedByteCount
    }

    package func encode(into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(previousGeneration)
        writer.append(verifiedByteCount)
        writer.appendZeros(48)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        previousGeneration = try body.read(.generation, at: start)
        verifiedByteCount = try body.read(.byteCount, at: start + 8)
        try body.requireZero(at: start + 16, count: 48)
        try body.requireEnd(at: start + 64)
    }
}

/// The answer to DRAIN: `0 u32 graceMilliseconds   4 u32 zero`
package struct DrainResponse: Sendable, Equatable {
    /// How long open requests may take from now on.
    package var graceMilliseconds: UInt32

    package init(graceMilliseconds: UInt32) { self.graceMilliseconds = graceMilliseconds }

    package func encode(into writer: inout ByteWriter) {
        writer.append(graceMilliseconds)
        writer.append(UInt32(0))
    }

    package init(decoding body: RawSpan) throws(WireError) {
        graceMilliseconds = try body.read(.graceMilliseconds, at: 0)
        try body.requireZero(at: 4, count: 4)
        try body.requireEnd(at: 8)
    }
}

/// The answer to SHADOW: the stamp of the current generation, that of the candidate, and
///
///      0  u32 state    4  u32 partsPerMillion   8  u64 sampled   16  u64 compared
///     24  u64 onlyInCurrent   32  u64 onlyInCandidate   40  u64 dropped
///     48  u64 elapsedMilliseconds               56  8 zero bytes
///     then a table: a row a column, then a row a pair of categories
package struct ShadowReport: Sendable, Equatable {
    package enum State: Sendable, Equatable {
        /// None was ever begun; both stamps are of the current generation.
        case none
        case running
        /// Ended by a request.
        case stopped
        /// Ended because another generation became current.
        case overtaken
        case other(UInt32)
    }

    package var current: SnapshotStamp
    package var candidate: SnapshotStamp
    package var state: State
    package var partsPerMillion: UInt32
    /// Ids chosen from look-ups.
    package var sampledCount: UInt64
    /// Customers of both generations.
    package var comparedCount: UInt64
    package var onlyInCurrentCount: UInt64
    package var onlyInCandidateCount: UInt64
    /// Chosen, but not compared, because too many came at once.
    package var droppedCount: UInt64
    package var elapsedMilliseconds: UInt64
    package var table: Table

    package init(
        current: SnapshotStamp, candidate: SnapshotStamp, state: State, partsPerMillion: UInt32,
        sampledCount: UInt64, comparedCount: UInt64, onlyInCurrentCount: UInt64,
        onlyInCandidateCount: UInt64, droppedCount: UInt64, elapsedMilliseconds: UInt64,
        table: Table
    ) {
        self.current = current
        self.candidate = candidate
        self.state = state
        self.partsPerMillion = partsPerMillion
        self.sampledCount = sampledCount
        self.comparedCount = comparedCount
        self.onlyInCurrentCount = onlyInCurrentCount
        self.onlyInCandidateCount = onlyInCandidateCount
        self.droppedCount = droppedCount
        self.elapsedMilliseconds = elapsedMilliseconds
        self.table = table
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        current.encode(into: &writer)
        candidate.encode(into: &writer)
        writer.append(state.rawValue)
        writer.append(partsPerMillion)
        for count in [
            sampledCount, comparedCount, onlyInCurrentCount, onlyInCandidateCount, droppedCount,
            elapsedMilliseconds, 0,
        ] { writer.append(count) }
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        var start = 0
        current = try SnapshotStamp(decoding: body, end: &start)
        var size = 0
        candidate = try SnapshotStamp(
            decoding: body.extracting(start..<body.byteCount), end: &size)
        start += size
        state = State(rawValue: try body.read(.shadowFacts, at: start))
        partsPerMillion = try body.read(.shadowFacts, at: start + 4)
        sampledCount = try body.read(.shadowFacts, at: start + 8)
        comparedCount = try body.read(.shadowFacts, at: start + 16)
        onlyInCurrentCount = try body.read(.shadowFacts, at: start + 24)
        onlyInCandidateCount = try body.read(.shadowFacts, at: start + 32)
        droppedCount = try body.read(.shadowFacts, at: start + 40)
        elapsedMilliseconds = try body.read(.shadowFacts, at: start + 48)
        try body.requireZero(at: start + 56, count: 8)
        table = try Table(decoding: body, from: start + 64, limits: limits)
    }
}

extension ShadowReport.State {
    package var rawValue: UInt32 {
        switch self {
        case .none: 0
        case .running: 1
        case .stopped: 2
        case .overtaken: 3
        case .other(let number): number
        }
    }

    init(rawValue: UInt32) {
        switch rawValue {
        case 0: self = .none
        case 1: self = .running
        case 2: self = .stopped
        case 3: self = .overtaken
        default: self = .other(rawValue)
        }
    }
}

/// PROGRESS, from the server, with the requestID of a request that it is working on.
///
///     0  u64 done   8  u64 total (0: not known)   16  u8 unit   17  7 zero bytes
package struct ProgressMessage: Sendable, Equatable {
    package enum Unit: Sendable, Equatable {
        case bytes
        case customers
        case other(UInt8)
    }

    package var done: UInt64
    package var total: UInt64
    package var unit: Unit

    package init(done: UInt64, total: UInt64, unit: Unit) {
        self.done = done
        self.total = total
        self.unit = unit
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(done)
        writer.append(total)
        switch unit {
        case .bytes: writer.append(UInt8(1))
        case .customers: writer.append(UInt8(2))
        case .other(let number): writer.append(number)
        }
        writer.appendZeros(7)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        done = try body.read(.progress, at: 0)
        total = try body.read(.progress, at: 8)
        let number: UInt8 = try body.read(.progress, at: 16)
        unit = number == 1 ? .bytes : number == 2 ? .customers : .other(number)
        try body.requireZero(at: 17, count: 7)
        try body.requireEnd(at: 24)
    }
}
