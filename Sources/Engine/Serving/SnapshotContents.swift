package import ByteCoding
package import Units

/// Everything one generation serves, as plain arrays in memory: what `SnapshotWriter` takes.
///
/// Row `i` of every array is customer `customerIDs[i]`.
package struct SnapshotContents: Sendable {
    /// 1 or more; greater than every generation published before.
    package var generation: Int
    /// The last day whose purchases the scores have seen, inclusive.
    package var asOf: CalendarDay
    /// ISO 4217 code of every amount of money in the columns.
    package var currency: String
    /// The model versions behind the columns.
    package var models: [ModelReference]
    /// `[customerCount]`, ascending, no id twice.
    package var customerIDs: IDColumn
    /// `[customerCount]`, a score status each (0 ok … 5 notEligible).
    package var status: [UInt8]
    /// Columns of `customerCount` values each; ids and names are distinct.
    package var columns: [ScoreColumn]
    /// Nil where no affinity model is served: top products and top customers then answer
    /// `ScoreStatus.modelNotFitted`.
    package var affinity: AffinityContents?
    /// Nil where offers know nothing but factors; never without `affinity`.
    package var offers: OfferContents?
    package var segments: [SegmentTable]
    /// Of segmentations that are among `segments`; may lack some.
    package var profiles: [SegmentProfile] = []
    /// Nil where that is not known.
    package var history: SnapshotDescriptor.Coverage?

    package init(
        generation: Int, asOf: CalendarDay, currency: String, models: [ModelReference],
        customerIDs: IDColumn, status: [UInt8], columns: [ScoreColumn],
        affinity: AffinityContents? = nil, segments: [SegmentTable] = []
    ) {
        self.generation = generation
        self.asOf = asOf
        self.currency = currency
        self.models = models
        self.customerIDs = customerIDs
        self.status = status
        self.columns = columns
        self.affinity = affinity
        self.segments = segments
    }
}

/// Why a customer has no score; the numbers are fixed in protocol/WIRE.md and never reused.
package enum ScoreStatus: UInt8, Sendable, CaseIterable {
    case ok = 0
    case unknownCustomer = 1
    case tooLittleHistory = 2
    case onlyReturns = 3
    case modelNotFitted = 4
    case notEligible = 5
}

/// The version of a model behind a snapshot's columns.
package struct ModelReference: Sendable, Hashable, Codable {
    /// As the plan names it: `lifetime`, `affinity`, `segmentation.value` …
    package var name: String
    /// Counts up from 1 with every training.
    package var version: Int
    /// CRC-32C of the model file.
    package var checksum: UInt32

    package init(name: String, version: Int, checksum: UInt32) {
        self.name = name
        self.version = version
        self.checksum = checksum
    }
}

/// One value a customer, of one type and unit.
package struct ScoreColumn: Sendable, Equatable {
    package enum Values: Sendable, Equatable {
        case int32([Int32])
        case float32([Float])
        case float64([Double])
    }

    /// What a look-up's column mask names; never reused for another meaning.
    package var id: UInt16
    package var name: String
    /// `GBP`, `probability`, `orders`, `days`, `segment` …; empty for a bare number.
    package var unit: String
    /// One sentence for whoever lists the columns; may be empty.
    package var description: String
    package var values: Values
    /// `[customerCount]`; false where the customer has no such score. Nil means all true. A value
    /// whose flag is false is stored as 0, whatever it was.
    package var valid: [Bool]?

    package init(
        id: UInt16, name: String, unit: String, description: String = "", values: Values,
        valid: [Bool]? = nil
    ) {
        self.id = id
        self.name = name
        self.unit = unit
        self.description = description
        self.values = values
        self.valid = valid
    }

    package var count: Int {
        switch values {
        case .int32(let values): values.count
        case .float32(let values): values.count
        case .float64(let values): values.count
        }
    }
}

/// Factors of the affinity model, and who bought what.
package struct AffinityContents: Sendable {
    package static let maximumFactorCount = 4096

    /// 1 ... `maximumFactorCount`.
    package var factorCount: Int
    /// `[customerCount × factorCount]`, row-major, in the row order of the customers.
    package var customerFactors: [Float]
    /// `[productCount]`, in the row order of `productFactors`; no id twice.
    package var productIDs: IDColumn
    /// `[productCount × factorCount]`, row-major.
    package var productFactors: [Float]
    /// `[customerCount + 1]`: customer `i` bought the products
    /// `purchasedProducts[purchasedOffsets[i] ..< purchasedOffsets[i + 1]]`. A customer without
    /// any has no affinity scores (`ScoreStatus.tooLittleHistory`).
    package var purchasedOffsets: [Int]
    /// Product rows, ascending within a customer.
    package var purchasedProducts: [Int32]
    /// Of each of `purchasedProducts`, what is added to the scalar product of factors of the customer
    /// and the product; empty where nothing is.
    package var purchasedScores: [Float] = []
    /// Of each of `purchasedProducts`, by weight, the customer's baskets after the first with it, which
    /// the repeat score of a later basket goes on from; empty where no score is of repeats.
    package var purchasedOpportunities: [Float] = []
    /// `[customerCount]`: the day of each one's last basket, days since 1970-01-01, 0 without any; empty
    /// likewise.
    package var lastBasketDays: [Int32] = []
    /// Of each of `purchasedProducts`, how much of it was bought, as the fit counts; empty where the
    /// model has no factors, or each counts once.
    package var purchasedCounts: [Float] = []
    /// `[customerCount × topItemCount]`: the products that were ranked highest for each, best first,
    /// -1 for none. Not served: a later scoring goes on from them.
    var topItems: [Int32] = []
    var topItemCount = 0
    /// Where it is not nil, what is above of customers is that of some rows alone, and the rest are
    /// those of an earlier generation.
    var base: AffinityBase?

    package init(
        factorCount: Int, customerFactors: [Float], productIDs: IDColumn, productFactors: [Float],
        purchasedOffsets: [Int], purchasedProducts: [Int32]
    ) {
        self.factorCount = factorCount
        self.customerFactors = customerFactors
        self.productIDs = productIDs
        self.productFactors = productFactors
        self.purchasedOffsets = purchasedOffsets
        self.purchasedProducts = purchasedProducts
    }
}

/// The affinity file of an earlier generation whose rows some customers still have.
struct AffinityBase: Sendable {
    var path: String
    /// What its generation says of it.
    var file: SnapshotDescriptor.File
    var rowCount: Int
    /// `[customerCount]`: a row of the file, or `rowCount` + one of those in memory.
    var places: [Int32]
}

/// The segments of one segmentation with what the analyst wants to see of each.
package struct SegmentTable: Sendable, Equatable, Codable {
    /// As the plan names it: `value`, `behaviour`, `tier`.
    package var segmentation: String
    package var segments: [Segment]

    package init(segmentation: String, segments: [Segment]) {
        self.segmentation = segmentation
        self.segments = segments
    }

    /// The score column that holds the numbers of its segments.
    package var columnName: String {
        segmentation == "tier" ? "value_tier" : "\(segmentation)_segment"
    }

    /// A feature, or a category of one, that a segment's customers have more or less of.
    package struct Distinction: Sendable, Equatable, Codable {
        package var feature: String
        package var category: String?
        /// In standard deviations of all customers; above 0: more than all.
        package var difference: Double
        /// 100 × mean / everybody's; nil where everybody's is not above 0.
        package var index: Double?
    }

    package struct Segment: Sendable, Equatable, Codable {
        /// The number that the segmentation's score column holds.
        package var number: Int
        package var name: String
        package var customerCount: Int
        /// Sum over the segment's customers of all purchases up to the as-of day, returns
        /// subtracted, in the snapshot's currency.
        package var revenue: Double
        /// Mean predicted lifetime value of the segment's scored customers, in the snapshot's
        /// currency; nil where there is none.
        package var meanLifetimeValue: Double?
        /// Mean churn probability of the segment's scored customers; nil where there is none.
        package var meanChurnProbability: Double?
        /// As `revenue`; nil in generations of before there was one.
        package var margin: Double?
        /// Mean expected orders in the lifetime horizon of the segment's scored customers; nil where
        /// there is none.
        package var meanExpectedPurchases: Double?
        /// What sets it apart, most first; nil where there is no profile.
        package var distinctions: [Distinction]?

        package init(
            number: Int, name: String, customerCount: Int, revenue: Double,
            meanLifetimeValue: Double? = nil, meanChurnProbability: Double? = nil
        ) {
            self.number = number
            self.name = name
            self.customerCount = customerCount
            self.revenue = revenue
            self.meanLifetimeValue = meanLifetimeValue
            self.meanChurnProbability = meanChurnProbability
        }
    }
}
