import Wire

/// What has become of customers who were to be erased: the receipt.
public struct EraseReceipt: Sendable, Equatable {
    /// What the server had of a customer when it was asked.
    public struct Found: Sendable, Equatable {
        /// A row of the snapshot.
        public var inSnapshot: Bool
        /// Purchase lines that were appended since the snapshot was scored.
        public var inLivePurchases: Bool

        public init(inSnapshot: Bool, inLivePurchases: Bool) {
            (self.inSnapshot, self.inLivePurchases) = (inSnapshot, inLivePurchases)
        }
    }

    /// The snapshot that look-ups are answered from, without the customers.
    public var snapshot: SnapshotInfo
    /// The number of the erasure among all records of the workspace's log:
    /// `patron erase WORKSPACE --receipt NUMBER` says how far it is.
    public var record: UInt64
    /// When it was asked for the first time; seconds since 1970-01-01T00:00Z.
    public var time: Int64
    /// Whether the key had come before: nothing was erased now.
    public var isRepeat: Bool
    /// In the order of the customers.
    public var found: [Found]
}

extension PatronOperations {
    /// Erases customers: everything of theirs up to now. When it returns that is durable, and no
    /// connection of the server shows them; the next ingest takes them out of the workspace's files. Who
    /// buys again is a new customer.
    ///
    /// A pool asks again as its rules for retries say, with the same key. Where the outcome is not known in
    /// the end, call this again with the same customers and the same key.
    /// - Parameters:
    ///   - customers: of one kind, at least one and at most as many as a look-up may have. One of whom
    ///     nothing is known is recorded all the same: files that are not ingested yet may have them.
    ///   - key: a random one by default, which is of no use for sending them again later.
    public func erase(
        _ customers: [PatronID], key: AppendKey = AppendKey(), deadline: Duration? = nil
    ) async throws(PatronError) -> EraseReceipt {
        let request = Request.erase(EraseRequest(ids: try idColumn(customers)))
        let operation = PatronOperation(request, idempotencyKey: key.bytes) {
            (response) throws(PatronError) -> EraseReceipt? in
            guard case .erase(let answer) = response else { return nil }
            guard case .int32(let found)? = answer.found[.erasureFound]?.values,
                found.count == customers.count
            else { throw .malformedAnswer(reason: "the receipt is not of the customers sent") }
            return EraseReceipt(
                snapshot: SnapshotInfo(answer.stamp), record: answer.sequence,
                time: answer.erasedAt,
                isRepeat: answer.isRepeat,
                found: found.map { number in
                    let flags = ErasureFound(rawValue: number)
                    return EraseReceipt.Found(
                        inSnapshot: flags.contains(.snapshot),
                        inLivePurchases: flags.contains(.live))
                })
        }
        return try await perform(operation, deadline: deadline)
    }
}
