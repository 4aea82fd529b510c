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
    /// - Parameter folds: whether the snapshot can go on from them; else only who has bought is known.
    func update(_ customers: [EntityID], from live: LiveCustomers, folds: Bool) {
        var bought: [(EntityID, [String])] = []
        for customer in customers {
            let all = folds ? live.boughtSince(customer) : []
            bought.append((customer, Array(all.suffix(Self.limit))))
        }
        products.withLock { for (customer, list) in bought { $0[customer] = list } }
    }

    /// The newest last; nil for customers who have not bought since.
    func products(of customer: EntityID) -> [String]? { products.withLock { $0[customer] } }
}
