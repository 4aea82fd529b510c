import Features
package import Ingest
package import Models
package import Units

/// Everything a team decides about its customers' scores: the contents of `patron.yaml`, defaults
/// filled in. Values are within the ranges that `PlanLimits` and the comments name.
package struct Plan: Sendable, Equatable {
    /// Version of the schema; 1.
    package var version = 1
    /// ISO 4217 code; `XXX` (no currency) where the plan names none.
    package var currency = "XXX"
    /// Name in the system's zone database, such as `Europe/London`.
    package var timeZone = "UTC"
    /// The unit in which the lifetime models count time.
    package var timeGrid = TimeGrid.week
    package var seed: UInt64 = 1
    /// Nil for the day of the last purchase in the store.
    package var asOf: CalendarDay?
    /// Margin / revenue where neither margin nor cost is mapped; 0…1.
    package var grossMarginRate = 0.3
    package var discountRate = DiscountRate(annual: 0.10)
    package var sources: Sources
    /// In the order of their names. Two defaults where the plan has no such key; none where it is
    /// empty.
    package var segmentations = Segmentation.defaults
    package var lifetime = Lifetime()
    package var churn = Churn()
    package var simpleFormula = SimpleFormula()
    package var affinity = Affinity()

    package init(sources: Sources) { self.sources = sources }

    /// The names under which segmentations may use customer attributes.
    package var attributeNames: [String] {
        let names = sources.customers?.mapping.attributes.map(\.name) ?? []
        return places == nil ? names : names + [FeatureCatalog.coordinates]
    }
}

extension Plan {
    /// The files of a plan and how to read them.
    package struct Sources: Sendable, Equatable {
        /// Nil where customers have attributes only.
        package var purchases: PurchaseSource?
        package var customers: EntitySource?
        package var products: EntitySource?

        package init(
            purchases: PurchaseSource?, customers: EntitySource? = nil,
            products: EntitySource? = nil
        ) {
            self.purchases = purchases
            self.customers = customers
            self.products = products
        }
    }

    package struct PurchaseSource: Sendable, Equatable {
        /// As written: relative to the plan's folder (`Plan.path(of:besidePlan:)`). May be empty.
        package var files: [String]
        package var mapping: PurchaseMapping

        package init(files: [String], mapping: PurchaseMapping) {
            self.files = files
            self.mapping = mapping
        }
    }

    package struct EntitySource: Sendable, Equatable {
        package var files: [String]
        package var mapping: EntityMapping

        package init(files: [String], mapping: EntityMapping) {
            self.files = files
            self.mapping = mapping
        }
    }

    /// How a feature is brought to a common scale before distances are taken.
    package enum Scaling: String, Sendable, CaseIterable {
        case none, zScore, logZScore, robust, quantile
    }

    /// How many segments a segmentation has.
    package enum ClusterCount: Sendable, Equatable, ExpressibleByIntegerLiteral {
        /// 1…1,024.
        case fixed(Int)
        /// Chosen at each training.
        case automatic(ClusterCountRange)

        package init(integerLiteral value: Int) { self = .fixed(value) }
    }

    /// Numbers of segments to choose from.
    package struct ClusterCountRange: Sendable, Equatable {
        /// 2…1,024.
        package var from = 2
        /// `from`…1,024, at most 100 of them; each costs a fit.
        package var to = 12
        package var criterion = ClusterCountCriterion.silhouette

        package init() {}
    }

    /// What the numbers of segments are compared by.
    package enum ClusterCountCriterion: String, Sendable, CaseIterable {
        case silhouette, calinskiHarabasz
    }

    /// What a segmentation may be called in a plan.
    package enum SegmentationAlgorithm: String, Sendable, CaseIterable {
        case join, kMeans, kPrototypes, lifecycle, quadrants, rfm

        /// Whether its segments are clusters.
        package var isOfClusters: Bool { self == .kMeans || self == .kPrototypes }
    }

    /// A segmentation by rules instead of clusters.
    package enum SegmentRules: Sendable, Equatable {
        case lifecycle(LifecycleStages)
        /// The least values that count as high; nil cuts each feature in halves.
        case quadrants([Double]?)
        /// 2…9 levels of each of three features.
        case rfm(levelCount: Int)
    }

    /// What k-prototypes has beside the settings of k-means.
    package struct PrototypeSettings: Sendable, Equatable {
        /// What a mismatch of categories costs beside squared differences of scaled numbers; above
        /// 0, at most 1e15. Nil: found from the data.
        package var gamma: Double?

        package init() {}
    }

    package struct Segmentation: Sendable, Equatable {
        package var name: String
        /// What segments are called, by their ids; others have the names that models make.
        package var names: [Int: String] = [:]
        /// Names of features, groups of features, attributes or predictions.
        package var features: [String]
        /// Nil for clusters, which alone have the settings that follow, and for joins.
        package var rules: SegmentRules?
        /// Names of the segmentations whose segments are joined; empty for no join.
        package var parts: [String] = []
        /// The segmentation within each of whose segments this one is fitted on its own.
        package var per: String?
        /// Of k-prototypes; nil for k-means.
        package var prototypes: PrototypeSettings?
        package var clusterCount: ClusterCount = 5
        package var scaling = Scaling.zScore
        /// Independent seedings, of which the one of the least inertia is kept; 1…100.
        package var restarts = 4
        /// Lloyd iterations; 1…10,000.
        package var maximumIterations = 100

        package init(name: String, features: [String]) {
            self.name = name
            self.features = features
        }

        package var algorithm: SegmentationAlgorithm {
            switch rules {
            case nil where !parts.isEmpty: .join
            case nil: prototypes == nil ? .kMeans : .kPrototypes
            case .lifecycle: .lifecycle
            case .quadrants: .quadrants
            case .rfm: .rfm
            }
        }

        package static let defaults: [Segmentation] = {
            let behaviour = Segmentation(
                name: "behaviour",
                features: [
                    "hourShares", "weekdayShares", "categoryShares", "channelShares",
                    "promotionShare", "returnRate",
                ])
            var value = Segmentation(
                name: "value",
                features: [
                    "revenue365Days", "margin365Days", "orderCount", "meanOrderValue",
                    "daysSinceLastPurchase",
                ])
            value.scaling = .logZScore
            return [behaviour, value]
        }()
    }

    /// What a customer's value is counted in.
    package enum ValueBasis: String, Sendable, CaseIterable {
        case margin, revenue
    }

    package struct Lifetime: Sendable, Equatable {
        package var model = PurchaseModelKind.bgnbd
        /// How far ahead purchases and value are predicted; above 0, up to 100 years.
        package var horizon = Horizon(52, .week)
        package var basis = ValueBasis.margin
        /// Attributes of the customers, numbers and texts, that shift the purchase rate and the
        /// drop-out; none for `nbd`. Their values are of now, not of the as-of day.
        package var covariates: [String] = []

        package init() {}
    }

    /// What a churn probability comes from.
    package enum ChurnModelKind: String, Sendable, CaseIterable {
        /// The lifetime model: 1 - probability of an order in the churn horizon.
        case lifetime
        /// Learned from who stayed away for a churn horizon, by features before it.
        case logistic, trees

        /// Whether it is a model of its own.
        package var isLearned: Bool { self != .lifetime }
    }

    /// How scores of a learned churn model become probabilities.
    package enum ChurnCalibration: String, Sendable, CaseIterable {
        case isotonic, none, platt
    }

    package struct Churn: Sendable, Equatable {
        /// A customer without a purchase for so long counts as gone; above 0, up to 100 years.
        package var horizon = Horizon(13, .week)
        package var model = ChurnModelKind.lifetime
        /// Names of features, groups of features or attributes that a learned model sees.
        package var features = Churn.defaultFeatures
        package var calibration = ChurnCalibration.isotonic
        /// Reasons that scores name for each customer where the model is a learned one; 0…10. Those
        /// of trees take longer than all other scores.
        package var reasonCount = 0

        package init() {}

        /// No attributes: their values are of now, not of the days that the model learns from.
        package static let defaultFeatures = [
            "repeatPurchaseCount", "ageAtLastPurchaseDays", "observedAgeDays",
            "daysSinceLastPurchase", "orderCount30Days", "orderCount90Days", "orderCount365Days",
            "revenue30Days", "revenue90Days", "revenue365Days", "meanOrderValueWithFirst",
            "itemsPerOrder", "returnRate", "promotionShare", "interPurchaseMeanDays",
            "interPurchaseDeviationDays", "categoryShares", "channelShares",
        ]
    }

    /// Monthly revenue x gross margin x expected duration.
    package struct SimpleFormula: Sendable, Equatable {
        /// Months that a customer is expected to stay, above 0; nil to derive it from churn.
        package var durationMonths: Double?

        package init() {}
    }

    /// What ranks products for customers.
    package enum AffinityVariant: String, Sendable, CaseIterable, Codable {
        /// Implicit-feedback factors of customers and products.
        case factors
        /// Factors, popularity and repeat purchase in one score, with learned weights.
        case hybrid
        /// The products that most customers bought, the same for everybody.
        case popular
        /// What the customer buys again, then what everybody buys.
        case repeatPurchase

        /// Whether it looks at baskets and what is bought again.
        package var readsBaskets: Bool { self == .hybrid || self == .repeatPurchase }
        /// Whether it has factors.
        package var hasFactors: Bool { self == .factors || self == .hybrid }
    }

    /// Products of customers and customers of products.
    package struct Affinity: Sendable, Equatable {
        package var variant = AffinityVariant.factors
        /// 1…512; more follow finer tastes and cost time with their square.
        package var factorCount = 32
        /// 0…1e6; more pulls the factors of rare customers and products towards 0.
        package var regularization = 0.05
        /// 0…1; above 0 the regularization of a row grows with its count of observations to this
        /// power, those not bought by their weight: `ImplicitALS.Parameters.regularizationExponent`.
        /// 1 is that of weighted-λ-regularization, the regularization times the count.
        /// Source: Y. Zhou et al., "Large-scale parallel collaborative filtering for the Netflix
        /// prize", 2008 (ALS-WR); S. Rendle et al., 2021 (implicit feedback, the exponent).
        package var regularizationExponent = 0.0
        /// 0…1e6; how much more a purchase weighs than a product not bought.
        package var confidenceWeight = 10.0
        /// 1…1,000.
        package var iterations = 10
        /// Products kept for each customer; 1…1,000.
        package var topProductCount = 10
        /// Whether products that the customer has bought are left out of the top products. Where the
        /// plan does not say, they are but for the variants that look at what is bought again.
        package var excludePurchased = true
        /// How far ahead purchase probabilities look, at most 100 years.
        package var horizon = Affinity.defaultHorizon

        package static let defaultHorizon = Horizon(4, .week)

        package init() {}
    }

    /// The path of a file of the plan: an absolute one as it is, else beside the plan file.
    package static func path(of file: String, besidePlan planPath: String) -> String {
        guard !file.hasPrefix("/"), let slash = planPath.lastIndex(of: "/") else { return file }
        return planPath[...slash] + file
    }
}

/// What a plan may hold at most; larger texts and lists are refused before they are read.
package enum PlanLimits {
    package static let byteCount = 1 << 20
    package static let fileCount = 10_000
    package static let columnNumber = 10_000
    package static let attributeCount = 200
    /// Of an ordinal attribute.
    package static let levelCount = 1_000
    /// Segmentations that one join may join.
    package static let joinedSegmentationCount = 8
    package static let segmentationCount = 100
    package static let featureCount = 1_000
    /// Mappings and lists within each other.
    package static let depth = 20
    /// Attributes of a lifetime model.
    package static let covariateCount = 20
    /// Names that a segmentation gives to segments, their ids, and the characters of one.
    package static let segmentNameCount = 1_024
    package static let segmentID = 0...Int(Int32.max) - 1
    package static let segmentNameLength = 100
    package static let clusterCount = 1...1_024
    /// Of a segmentation that chooses its own.
    package static let automaticClusterCount = 2...1_024
    /// Numbers of segments that one choice may try.
    package static let clusterCountTrials = 100
    package static let restarts = 1...100
    package static let maximumIterations = 1...10_000
    package static let factorCount = 1...512
    package static let affinityIterations = 1...1_000
    package static let topProductCount = 1...1_000
    package static let reasonCount = 0...10
    package static let horizonDays = 100 * daysPerYear
    package static let durationMonths = 1_200.0
}
