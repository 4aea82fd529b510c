import Wire

extension PatronOperations {
    /// Appends purchase lines. When it returns they are durable, and look-ups on any connection of the
    /// server give the rows of their customers with them.
    ///
    /// A pool asks again as its rules for retries say, with the same key: lines are taken once. Where
    /// the outcome is not known in the end (`connectionClosed`, `deadlinePassed`, `cancelled`), call
    /// this again with the same lines and the same key.
    /// - Parameter key: a random one by default, which is of no use for sending them again later.
    public func append(
        _ purchases: Purchases, key: AppendKey = AppendKey(), deadline: Duration? = nil
    ) async throws(PatronError) -> AppendResult {
        let request = Request.append(
            try purchases.request(try idColumn(purchases.customers)))
        let operation = PatronOperation(request, idempotencyKey: key.bytes) {
            (response) throws(PatronError) -> AppendResult? in
            guard case .append(let answer) = response else { return nil }
            return AppendResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }
}
