import ByteCoding
import Engine
import Synchronization

/// What customers have bought since a snapshot, for whatever ranks products: read on the scan
/// threads, changed on the thread that scores anew.
final class LiveBaskets: Sendable {
    private let products = Mutex<[EntityID: [String]]>([:])

    /// The newest products that count for one customer at most.
    private static let limit = 1_024

    /// Of the customers named, from all live purchases.
    /// - Parameter affinity: of the snapshot, where it can go on from them: by the products that it
    ///   knows; else only who has bought is known.
    func update(
        _ customers: [EntityID], from live: LiveCustomers, _ affinity: AffinityFile?
    ) {
        var bought: [(EntityID, [String]?)] = []
        for customer in customers {
            guard live.hasLines(of: customer) else {
                // Erased.
                bought.append((customer, nil))
                continue
            }
            let all =
                affinity.map { affinity in
                    live.boughtSince(customer).filter { affinity.knows(product: $0) }
                } ?? []
            bought.append((customer, Array(all.suffix(Self.limit))))
        }
        products.withLock { for (customer, list) in bought { $0[customer] = list } }
    }

    /// The newest last; nil for customers who have not bought since.
    func products(of customer: EntityID) -> [String]? { products.withLock { $0[customer] } }
}

extension AffinityFile {
    /// Whether it has the product of a purchase line, whose integers are written by their digits.
    fileprivate func knows(product id: String) -> Bool {
        if productIDsAreTexts { return productRow(.text(id)) != nil }
        return Int64(id).flatMap { productRow(.integer($0)) } != nil
    }
}
