import ByteCoding
import Wire

extension PatronOperations {
    /// Products to offer to a customer, best first, with what is expected of each.
    /// - Throws: `invalidOption`, before anything is sent, for options that cannot be meant.
    public func offerProducts(
        customer: PatronID, count: Int = 10, _ options: OfferOptions = OfferOptions(),
        deadline: Duration? = nil
    ) async throws(PatronError) -> OfferResult {
        let request = try OfferProductsRequest(EntityID(customer), count: count, options)
        let operation = PatronOperation(.offerProducts(request)) {
            (response) throws(PatronError) -> OfferResult? in
            guard case .offerProducts(let answer) = response else { return nil }
            return try OfferResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Customers to offer a product to, best first.
    /// - Parameters:
    ///   - byProbability: ranks by purchase probability, which knows what was bought before.
    ///   - promoted: probabilities are those while the product is promoted, by which customers are
    ///     ranked.
    public func offerCustomers(
        product: PatronID, count: Int = 10, byProbability: Bool = false, promoted: Bool = false,
        excludingPurchasers: Bool = true, deadline: Duration? = nil
    ) async throws(PatronError) -> OfferResult {
        var request = OfferCustomersRequest(id: EntityID(product), count: count)
        request.rank = byProbability ? .probability : .affinity
        request.isPromoted = promoted
        request.excludesPurchasers = excludingPurchasers
        let operation = PatronOperation(.offerCustomers(request)) {
            (response) throws(PatronError) -> OfferResult? in
            guard case .offerCustomers(let answer) = response else { return nil }
            return try OfferResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }

    /// Customers who buy like one, best first; scores are cosines, -1 … 1.
    public func similarCustomers(
        to customer: PatronID, count: Int = 10, deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        try await similar(.customer, customer, count, deadline)
    }

    /// Products that are bought by the same customers, likewise.
    public func similarProducts(
        to product: PatronID, count: Int = 10, deadline: Duration? = nil
    ) async throws(PatronError) -> TopResult {
        try await similar(.product, product, count, deadline)
    }

    private func similar(
        _ subject: SimilarRequest.Subject, _ id: PatronID, _ count: Int, _ deadline: Duration?
    ) async throws(PatronError) -> TopResult {
        let request = SimilarRequest(subject: subject, id: EntityID(id), count: count)
        let operation = PatronOperation(.similar(request)) {
            (response) throws(PatronError) -> TopResult? in
            guard case .similar(let answer) = response else { return nil }
            return try TopResult(answer)
        }
        return try await perform(operation, deadline: deadline)
    }
}
