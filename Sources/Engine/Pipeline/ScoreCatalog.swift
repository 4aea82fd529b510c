/// The columns that `score` gives every customer. Ids are part of the wire's contract: never
/// reused for another meaning.
enum ScoreCatalog {
    enum Column: UInt16, CaseIterable {
        case repeatPurchaseCount = 1
        case ageAtLastPurchaseDays = 2
        case observedAgeDays = 3
        case daysSinceLastPurchase = 4
        case meanOrderValue = 5
        case revenue = 6
        case margin = 7
        case probabilityAlive = 16
        case expectedPurchases = 17
        case expectedOrderValue = 18
        case lifetimeValue = 19
        case churnProbability = 20
        case simpleLifetimeValue = 21
        case valueTier = 22
        case lifetimeChurnProbability = 23
        case promotionLift = 28

        /// As on the wire, in CSV files and in DESCRIBE.
        var name: String {
            switch self {
            case .repeatPurchaseCount: "repeat_purchase_count"
            case .ageAtLastPurchaseDays: "age_at_last_purchase_days"
            case .observedAgeDays: "observed_age_days"
            case .daysSinceLastPurchase: "days_since_last_purchase"
            case .meanOrderValue: "mean_order_value"
            case .revenue: "revenue"
            case .margin: "margin"
            case .probabilityAlive: "probability_alive"
            case .expectedPurchases: "expected_purchases"
            case .expectedOrderValue: "expected_order_value"
            case .lifetimeValue: "lifetime_value"
            case .churnProbability: "churn_probability"
            case .simpleLifetimeValue: "simple_lifetime_value"
            case .valueTier: "value_tier"
            case .lifetimeChurnProbability: "lifetime_churn_probability"
            case .promotionLift: "promotion_lift"
            }
        }

        /// One line for DESCRIBE.
        var description: String {
            switch self {
            case .repeatPurchaseCount: "orders after the first"
            case .ageAtLastPurchaseDays: "days from the first to the last order"
            case .observedAgeDays: "days from the first order to the as-of day"
            case .daysSinceLastPurchase: "days from the last order to the as-of day"
            case .meanOrderValue: "mean revenue of the repeat orders, returns not deducted"
            case .revenue: "revenue so far, returns deducted"
            case .margin: "margin so far, returns deducted"
            case .probabilityAlive:
                "probability of still being a customer; 1 before a repeat order by construction"
            case .expectedPurchases: "expected orders in the lifetime horizon"
            case .expectedOrderValue: "expected revenue of a future order"
            case .lifetimeValue: "discounted value of the expected orders in the horizon"
            case .churnProbability: "1 - probability of an order in the churn horizon"
            case .simpleLifetimeValue: "monthly revenue x gross margin x expected duration"
            case .lifetimeChurnProbability:
                "the same by the lifetime model, where the plan's churn model is another one"
            case .promotionLift:
                "how many times as much the customer buys under promotion as the average does"
            case .valueTier: "1 highest to 4 lowest, by longevity and days since the last order"
            }
        }
    }

    /// Columns of segmentations have the ids from here on.
    static let firstSegmentationID = 64

    /// The column ids of all segmentations that were ever scored: those known, and the next free
    /// ones for new names. A name keeps its id when others come, go or are renamed, so a client
    /// that remembers an id never reads another segmentation under it.
    static func segmentationIDs(
        _ names: [String], known: [String: Int]
    ) throws(EngineError) -> [String: Int] {
        var ids = known
        var next = (known.values.max() ?? firstSegmentationID - 1) + 1
        for name in names where ids[name] == nil {
            ids[name] = next
            next += 1
        }
        guard next <= Int(UInt16.max) + 1 else {
            throw .invalidSnapshotContents(reason: "no column id is left for a segmentation")
        }
        return ids
    }
}
