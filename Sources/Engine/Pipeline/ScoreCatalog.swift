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
            }
        }
    }

    /// The id of the first segmentation's column; the others follow in the order of their names.
    static let firstSegmentationID: UInt16 = 64
    static let maximumSegmentationCount = 1_000
}
