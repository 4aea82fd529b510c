import ByteCoding
package import Wire

/// What one of Patron's operations asks, whether it may be repeated, and how its answer is read.
/// The methods of `PatronOperations` make them.
public struct PatronOperation<Answer: Sendable>: Sendable {
    let request: Request
    /// 16 bytes: what is repeated with the same key is carried out once.
    let idempotencyKey: [UInt8]?
    /// Is told how far the server is, where it says so.
    let progress: (@Sendable (RequestProgress) -> Void)?
    /// Nil for an answer to something else.
    let read: @Sendable (Response) throws(PatronError) -> Answer?

    /// - Parameters:
    ///   - idempotencyKey: 16 bytes; without one, what changes something is never repeated.
    ///   - read: nil for an answer to something else.
    package init(
        _ request: Request, idempotencyKey: [UInt8]? = nil,
        progress: (@Sendable (RequestProgress) -> Void)? = nil,
        read: @escaping @Sendable (Response) throws(PatronError) -> Answer?
    ) {
        self.request = request
        self.idempotencyKey = idempotencyKey
        self.progress = progress
        self.read = read
    }

    var name: String { request.opcode.name }
    /// - Parameter label: of the snapshot that shall answer; nil for the current one, and of no effect
    ///   where the operation takes none.
    func meta(label: String?) -> [MetaItem] {
        var items = idempotencyKey.map { [MetaItem.idempotencyKey($0)] } ?? []
        if let label, request.opcode.takesLabel { items.append(.modelLabel(label)) }
        return items
    }
    /// Whether it does no harm to ask again when nobody knows what became of the first time.
    var mayRepeat: Bool { request.isHarmlessToRepeat || idempotencyKey != nil }
}

extension Request {
    /// Whether it changes nothing. What a later release adds does not count before it is named here.
    var onlyReads: Bool {
        switch self {
        case .audience, .count, .describe, .explain, .lookup, .offerCustomers, .offerProducts,
            .ping,
            .scan, .score, .segmentProfiles, .segments, .similar, .topCustomers, .topProducts:
            true
        case .models(.list), .shadow(.report), .snapshot, .stats: true
        default: false
        }
    }

    /// Whether carrying it out twice comes to the same as once.
    var isHarmlessToRepeat: Bool {
        switch self {
        case .models(.set), .publish, .shadow(.stop): true
        // A label that is gone cannot be removed again, and a comparison would begin anew.
        default: onlyReads
        }
    }

    /// Whether it is about the server that is asked, and not about the workspace.
    var isOfOneServer: Bool {
        switch self {
        case .drain, .shadow, .stats: true
        default: false
        }
    }
}

/// - Throws: `invalidOption` for a label that none can be.
func checkLabel(_ label: String) throws(PatronError) {
    guard (1...WireLimits.labelBytes).contains(label.utf8.count) else {
        throw .invalidOption(name: "a label", reason: "has 1 to \(WireLimits.labelBytes) bytes")
    }
}

/// What can be asked of one connection, and of a pool of them alike.
///
/// Every operation has a deadline, in which its answer must be there; the server is told. Nil stands
/// for that of the connection or pool.
public protocol PatronOperations: Sendable {
    /// Asks, and reads the answer.
    func perform<Answer: Sendable>(
        _ operation: PatronOperation<Answer>, deadline: Duration?
    ) async throws(PatronError) -> Answer

    /// Of operations that name none; nil waits for ever.
    var defaultDeadline: Duration? { get }

    /// The most ids that one request for scores may have, as far as that is known. `lookup` takes any
    /// number.
    var maximumLookupIDs: Int { get }
}

extension PatronOperations {
    /// Asks for a sign of life.
    /// - Returns: the generation that the server serves now.
    @discardableResult
    public func ping(deadline: Duration? = nil) async throws(PatronError) -> UInt64 {
        let token = UInt64.random(in: 0...UInt64.max)
        let operation = PatronOperation(.ping(PingRequest(token: token))) {
            (response) throws(PatronError) -> UInt64? in
            guard case .ping(let answer) = response, answer.token == token else { return nil }
            return answer.generation
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Columns, counts, kinds of ids and the snapshot.
    public func describe(deadline: Duration? = nil) async throws(PatronError) -> Description {
        let operation = PatronOperation(.describe) {
            (response) throws(PatronError) -> Description? in
            guard case .describe(let answer) = response else { return nil }
            return Description(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Products with the highest affinity for a customer, best first.
    /// - Parameter excludingPurchased: leaves out what the customer has bought already.
    public func topProducts(
        customer: PatronID, count: Int = 10, excludingPurchased: Bool = true,
        deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        let request = TopRequest(
            id: EntityID(customer), count: count, excludesPurchased: excludingPurchased)
        let operation = PatronOperation(.topProducts(request)) {
            (response) throws(PatronError) -> TopResult? in
            guard case .topProducts(let answer) = response else { return nil }
            return try TopResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Customers with the highest affinity for a product, best first.
    /// - Parameter excludingPurchased: leaves out those who have bought it already.
    public func topCustomers(
        product: PatronID, count: Int = 10, excludingPurchased: Bool = true,
        deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        let request = TopRequest(
            id: EntityID(product), count: count, excludesPurchased: excludingPurchased)
        let operation = PatronOperation(.topCustomers(request)) {
            (response) throws(PatronError) -> TopResult? in
            guard case .topCustomers(let answer) = response else { return nil }
            return try TopResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// The segments of one segmentation; of all where the name is nil.
    public func segments(
        of segmentation: String? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> SegmentsResult {
        let request = Request.segments(SegmentsRequest(segmentation: segmentation))
        let operation = PatronOperation(request) {
            (response) throws(PatronError) -> SegmentsResult? in
            guard case .segments(let answer) = response else { return nil }
            return try SegmentsResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// What the segments of one segmentation are like, feature by feature; of all where the name is
    /// nil. Empty for a snapshot that does not say.
    public func segmentProfiles(
        of segmentation: String? = nil, deadline: Duration? = nil
    ) async throws(PatronError) -> SegmentProfilesResult {
        let request = Request.segmentProfiles(SegmentsRequest(segmentation: segmentation))
        let operation = PatronOperation(request) {
            (response) throws(PatronError) -> SegmentProfilesResult? in
            guard case .segmentProfiles(let answer) = response else { return nil }
            return try SegmentProfilesResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// How many customers a rule holds for, such as `lifetime_value >= 100 and not value_segment =
    /// "Sleeping"`; protocol/WIRE.md, "Rules".
    public func count(rule: String, deadline: Duration? = nil) async throws(PatronError) -> Int {
        let operation = PatronOperation(.count(CountRequest(rule: rule))) {
            (response) throws(PatronError) -> Int? in
            guard case .count(let answer) = response else { return nil }
            return Int(clamping: answer.matchingCustomers)
        }
        return try await perform(operation, deadline: deadline)
    }
}

/// - Throws: `mixedIDs`.
func idColumn(_ ids: [PatronID]) throws(PatronError) -> IDColumn {
    if case .integer? = ids.first {
        var integers: [Int64] = []
        integers.reserveCapacity(ids.count)
        for case .integer(let value) in ids { integers.append(value) }
        guard integers.count == ids.count else { throw .mixedIDs }
        return .integers(integers)
    }
    var texts = TextArray()
    for case .text(let value) in ids { texts.append(value) }
    guard texts.count == ids.count else { throw .mixedIDs }
    return .texts(texts)
}
