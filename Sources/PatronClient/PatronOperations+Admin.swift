import Wire

/// How far the server is with a request that takes long.
public struct RequestProgress: Sendable, Equatable {
    /// Bytes or customers, as the operation has it.
    public var done: UInt64
    /// 0 where it is not known.
    public var total: UInt64

    init(_ message: ProgressMessage) {
        done = message.done
        total = message.total
    }
}

/// A model version that answers under a label.
public struct ServedModel: Sendable, Equatable {
    /// `stable` for the current generation.
    public var label: String
    public var generation: Int
    /// Days since 1970-01-01; nil where the generation cannot be served.
    public var asOfDay: Int?
    /// Nil for a generation without models.
    public var name: String?
    public var version: Int?
    /// CRC-32C of the model's file.
    public var checksum: UInt32?
    /// Why the generation is not served; nil where it is.
    public var problem: String?
}

/// A generation on the server's disk.
public struct StoredGeneration: Sendable, Equatable {
    public var generation: Int
    /// Whether it is what the workspace calls current.
    public var isCurrent: Bool
    /// Whether the server answers from it, without a label.
    public var isServed: Bool
    /// Those under which the server answers from it.
    public var labels: [String]
    /// Nil where its descriptor cannot be read.
    public var asOfDay: Int?
    public var customerCount: Int?
    public var byteCount: Int?
    /// As `lifetime 2, affinity 3`.
    public var models: String?
    /// Why its descriptor cannot be read; nil where it can.
    public var problem: String?
}

/// What a publish did.
public struct PublishResult: Sendable, Equatable {
    public var snapshot: SnapshotInfo
    public var previousGeneration: UInt64
    /// Read and compared with their checksums.
    public var verifiedByteCount: UInt64
}

/// A number that the server tells of itself.
public struct ServerStat: Sendable, Equatable, Encodable {
    /// `server`, `snapshot`, `label`, or an operation of the protocol.
    public var group: String
    public var name: String
    public var value: Double
    /// `s`, `bytes`, `days`, or empty.
    public var unit: String
}

/// How look-ups differ between the current generation and a candidate.
public struct ShadowResult: Sendable, Equatable {
    public enum State: Sendable, Equatable {
        case none, running, stopped
        /// Another generation became current meanwhile.
        case overtaken
        case other(UInt32)
    }

    /// A column of either generation.
    public struct Column: Sendable, Equatable {
        public var id: UInt16
        public var name: String
        /// Customers with a value in both.
        public var comparedCount: Int
        public var differingCount: Int
        public var onlyInCurrentCount: Int
        public var onlyInCandidateCount: Int
        /// Of sizes of differences, over all compared; nil for categories and without any.
        public var meanDifference: Double?
        public var largestDifference: Double?
        public var medianDifference: Double?
        public var difference90: Double?
        public var difference99: Double?
        /// Of categories, the most frequent first; those that stay where they are too.
        public var moves: [Move]
    }

    /// Customers of one category in the current generation and of one in the candidate.
    public struct Move: Sendable, Equatable, Encodable {
        public var from: Int
        public var to: Int
        public var count: Int
    }

    public var current: SnapshotInfo
    public var candidate: SnapshotInfo
    public var state: State
    public var partsPerMillion: Int
    /// Ids chosen from look-ups.
    public var sampledCount: Int
    public var comparedCount: Int
    public var onlyInCurrentCount: Int
    public var onlyInCandidateCount: Int
    /// Chosen, but too many came at once.
    public var droppedCount: Int
    public var elapsedMilliseconds: Int
    public var columns: [Column]
}

/// What a candidate is named by.
public enum ShadowCandidate: Sendable, Equatable {
    case generation(Int)
    case label(String)
}

/// Operations that need the scope `admin`. A pool asks any of its servers for those that are about the
/// workspace; `stats`, `drain` and the comparisons are of one server, and refused by a pool of several.
extension PatronOperations {
    /// The model versions that answer, by label.
    public func servedModels(
        deadline: Duration? = nil
    ) async throws(PatronError) -> [ServedModel] {
        try await models(.list, deadline)
    }

    /// Has a generation on the server's disk answer under a label, such as `canary`; it is verified
    /// first. Returns when the server does.
    @discardableResult
    public func setLabel(
        _ label: String, to generation: Int, deadline: Duration? = nil,
        progress: (@Sendable (RequestProgress) -> Void)? = nil
    ) async throws(PatronError) -> [ServedModel] {
        guard generation >= 1 else {
            throw .invalidOption(name: "a generation", reason: "is 1 or more")
        }
        return try await models(
            .set(label: label, generation: UInt64(generation)), deadline, progress)
    }

    @discardableResult
    public func removeLabel(
        _ label: String, deadline: Duration? = nil
    ) async throws(PatronError) -> [ServedModel] {
        try await models(.remove(label: label), deadline)
    }

    private func models(
        _ request: ModelsRequest, _ deadline: Duration?,
        _ progress: (@Sendable (RequestProgress) -> Void)? = nil
    ) async throws(PatronError) -> [ServedModel] {
        let operation = PatronOperation(.models(request), progress: progress) {
            (response) throws(PatronError) -> [ServedModel]? in
            guard case .models(let answer) = response else { return nil }
            return try ServedModel.all(answer.table)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// The generations on the server's disk, oldest first.
    public func storedGenerations(
        deadline: Duration? = nil
    ) async throws(PatronError) -> [StoredGeneration] {
        let operation = PatronOperation(.snapshot) {
            (response) throws(PatronError) -> [StoredGeneration]? in
            guard case .snapshot(let answer) = response else { return nil }
            return try StoredGeneration.all(answer.table)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Makes a generation on the server's disk the current one, as `patron publish` does. Returns
    /// when the server answers from it.
    /// - Parameters:
    ///   - generation: nil for the newest.
    ///   - deadline: for the verification too, which reads all files; nil for the connection's own.
    @discardableResult
    public func publish(
        generation: Int? = nil, deadline: Duration? = nil,
        progress: (@Sendable (RequestProgress) -> Void)? = nil
    ) async throws(PatronError) -> PublishResult {
        guard generation ?? 1 >= 1 else {
            throw .invalidOption(name: "a generation", reason: "is 1 or more")
        }
        let request = Request.publish(PublishRequest(generation: UInt64(generation ?? 0)))
        let operation = PatronOperation(request, progress: progress) {
            (response) throws(PatronError) -> PublishResult? in
            guard case .publish(let answer) = response else { return nil }
            return PublishResult(
                snapshot: SnapshotInfo(answer.stamp),
                previousGeneration: answer.previousGeneration,
                verifiedByteCount: answer.verifiedByteCount)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// What the server counts and measures.
    public func stats(deadline: Duration? = nil) async throws(PatronError) -> [ServerStat] {
        let operation = PatronOperation(.stats) {
            (response) throws(PatronError) -> [ServerStat]? in
            guard case .stats(let answer) = response else { return nil }
            return try ServerStat.all(answer.table)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Has the server finish what it has begun and end.
    /// - Returns: how long open requests may take.
    @discardableResult
    public func drain(deadline: Duration? = nil) async throws(PatronError) -> Duration {
        let operation = PatronOperation(.drain) { (response) throws(PatronError) -> Duration? in
            guard case .drain(let answer) = response else { return nil }
            return .milliseconds(Int64(answer.graceMilliseconds))
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Compares a share of look-ups with what another generation would answer; ends an earlier
    /// comparison. Clients are answered as before.
    /// - Parameter partsPerMillion: 1 … 1,000,000.
    @discardableResult
    public func startShadow(
        _ candidate: ShadowCandidate, partsPerMillion: Int, deadline: Duration? = nil
    ) async throws(PatronError) -> ShadowResult {
        guard (1...Int(ShadowRequest.all)).contains(partsPerMillion) else {
            throw .invalidOption(
                name: "a share", reason: "is 1 to 1,000,000 parts of a million look-ups")
        }
        let wanted: ShadowRequest.Candidate
        switch candidate {
        case .generation(let number):
            guard number >= 1 else {
                throw .invalidOption(name: "a generation", reason: "is 1 or more")
            }
            wanted = .generation(UInt64(number))
        case .label(let label):
            try checkLabel(label)
            wanted = .label(label)
        }
        return try await shadow(
            .start(wanted, partsPerMillion: UInt32(partsPerMillion)), deadline)
    }

    /// What the comparison has found so far, or when it ended.
    public func shadowReport(deadline: Duration? = nil) async throws(PatronError) -> ShadowResult {
        try await shadow(.report, deadline)
    }

    /// Ends the comparison.
    @discardableResult
    public func stopShadow(deadline: Duration? = nil) async throws(PatronError) -> ShadowResult {
        try await shadow(.stop, deadline)
    }

    private func shadow(
        _ request: ShadowRequest, _ deadline: Duration?
    ) async throws(PatronError) -> ShadowResult {
        let operation = PatronOperation(.shadow(request)) {
            (response) throws(PatronError) -> ShadowResult? in
            guard case .shadow(let report) = response else { return nil }
            return try ShadowResult(report)
        }
        return try await perform(operation, deadline: deadline)
    }
}

extension ServedModel {
    fileprivate static func all(_ table: Table) throws(PatronError) -> [ServedModel] {
        guard let labels = table[.label], let generations = table[.generation] else {
            throw .malformedAnswer(reason: "a column of the models is missing")
        }
        return (0..<table.rowCount).map { row in
            ServedModel(
                label: labels.text(row) ?? "", generation: generations.wholeNumber(row) ?? 0,
                asOfDay: table[.generationAsOfDay]?.wholeNumber(row),
                name: table[.modelName]?.text(row),
                version: table[.modelVersion]?.wholeNumber(row),
                checksum: table[.modelChecksum]?.wholeNumber(row).flatMap { UInt32(exactly: $0) },
                problem: table[.generationProblem]?.text(row))
        }
    }
}

extension StoredGeneration {
    fileprivate static func all(_ table: Table) throws(PatronError) -> [StoredGeneration] {
        guard let generations = table[.generation], let states = table[.generationState] else {
            throw .malformedAnswer(reason: "a column of the generations is missing")
        }
        return (0..<table.rowCount).map { row in
            let state = states.wholeNumber(row) ?? 0
            let labels = table[.generationLabels]?.text(row) ?? ""
            return StoredGeneration(
                generation: generations.wholeNumber(row) ?? 0, isCurrent: state & 1 != 0,
                isServed: state & 2 != 0, labels: labels.split(separator: ",").map(String.init),
                asOfDay: table[.generationAsOfDay]?.wholeNumber(row),
                customerCount: table[.generationCustomerCount]?.wholeNumber(row),
                byteCount: table[.generationByteCount]?.wholeNumber(row),
                models: table[.generationModels]?.text(row),
                problem: table[.generationProblem]?.text(row))
        }
    }
}

extension ServerStat {
    fileprivate static func all(_ table: Table) throws(PatronError) -> [ServerStat] {
        guard let groups = table[.statGroup], let names = table[.statName],
            let values = table[.statValue]
        else { throw .malformedAnswer(reason: "a column of the numbers is missing") }
        return (0..<table.rowCount).map { row in
            ServerStat(
                group: groups.text(row) ?? "", name: names.text(row) ?? "",
                value: values.number(row) ?? 0, unit: table[.statUnit]?.text(row) ?? "")
        }
    }
}

extension ShadowResult {
    init(_ report: ShadowReport) throws(PatronError) {
        let table = report.table
        guard let ids = table[.columnID], let names = table[.columnName],
            let compared = table[.shadowCompared]
        else { throw .malformedAnswer(reason: "a column of the comparison is missing") }
        var columns: [Column] = []
        var places: [Int: Int] = [:]
        for row in 0..<table.rowCount {
            let id = ids.wholeNumber(row) ?? 0
            func count(_ column: ColumnID) -> Int { table[column]?.wholeNumber(row) ?? 0 }
            if let comparedCount = compared.wholeNumber(row) {
                places[id] = columns.count
                columns.append(
                    Column(
                        id: UInt16(clamping: id), name: names.text(row) ?? "",
                        comparedCount: comparedCount, differingCount: count(.shadowDiffering),
                        onlyInCurrentCount: count(.shadowOnlyCurrent),
                        onlyInCandidateCount: count(.shadowOnlyCandidate),
                        meanDifference: table[.shadowMeanDifference]?.number(row),
                        largestDifference: table[.shadowLargestDifference]?.number(row),
                        medianDifference: table[.shadowMedianDifference]?.number(row),
                        difference90: table[.shadowDifference90]?.number(row),
                        difference99: table[.shadowDifference99]?.number(row), moves: []))
            } else if let place = places[id] {
                columns[place].moves.append(
                    Move(
                        from: count(.shadowFrom), to: count(.shadowTo),
                        count: count(.shadowMoveCount)))
            }
        }
        self.init(
            current: SnapshotInfo(report.current), candidate: SnapshotInfo(report.candidate),
            state: State(report.state), partsPerMillion: Int(report.partsPerMillion),
            sampledCount: Int(clamping: report.sampledCount),
            comparedCount: Int(clamping: report.comparedCount),
            onlyInCurrentCount: Int(clamping: report.onlyInCurrentCount),
            onlyInCandidateCount: Int(clamping: report.onlyInCandidateCount),
            droppedCount: Int(clamping: report.droppedCount),
            elapsedMilliseconds: Int(clamping: report.elapsedMilliseconds), columns: columns)
    }
}

extension ShadowResult.State {
    fileprivate init(_ state: ShadowReport.State) {
        switch state {
        case .none: self = .none
        case .running: self = .running
        case .stopped: self = .stopped
        case .overtaken: self = .overtaken
        case .other(let number): self = .other(number)
        }
    }
}

extension WireColumn {
    /// The integer of a row; nil where there is none. Not by way of a double, which holds numbers
    /// that no integer can.
    fileprivate func wholeNumber(_ row: Int) -> Int? {
        guard isValid(row) else { return nil }
        return switch values {
        case .int32(let values): Int(values[row])
        case .int64(let values): Int(values[row])
        case .float32, .float64, .text: nil
        }
    }
}
