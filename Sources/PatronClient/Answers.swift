/// The id of a customer or a product, of the kind that `Description` names.
///
/// Two texts are the same id where their UTF-8 is the same, byte by byte.
public enum PatronID: Hashable, Sendable, CustomStringConvertible {
    case integer(Int64)
    case text(String)

    public static func == (a: PatronID, b: PatronID) -> Bool {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): x == y
        case (.text(let x), .text(let y)): x.utf8.elementsEqual(y.utf8)
        default: false
        }
    }

    /// Equal ids have equal hashes; so have texts that only Unicode holds for equivalent.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .integer(let value): hasher.combine(value)
        case .text(let value): hasher.combine(value)
        }
    }

    public var description: String {
        switch self {
        case .integer(let value): String(value)
        case .text(let value): value
        }
    }
}

public enum PatronIDKind: Sendable, Equatable {
    case integer, text
}

/// The snapshot that an answer comes from.
public struct SnapshotInfo: Sendable, Equatable {
    public struct Model: Sendable, Equatable {
        public var name: String
        public var version: UInt32
        /// CRC-32C of the model's file.
        public var checksum: UInt32
    }

    public var generation: UInt64
    /// Days from 1970-01-01 to the last day whose purchases count.
    public var asOfDay: Int
    /// ISO 4217 code of every amount of money.
    public var currency: String
    public var models: [Model]
}

/// Why a customer has no score. Numbers of newer servers are `other`.
public enum CustomerStatus: Hashable, Sendable {
    case ok, unknownCustomer, tooLittleHistory, onlyReturns, modelNotFitted, notEligible
    case other(Int)
}

/// What the server has.
public struct Description: Sendable, Equatable {
    public struct Column: Sendable, Equatable {
        /// What a look-up names it by.
        public var id: UInt16
        public var name: String
        /// A currency code, `days`, `probability` …; empty for a bare number.
        public var unit: String
        public var description: String
        /// What its numbers are called, ascending, a line each, as `3 Sleeping`; empty for a quantity.
        public var valueNames = ""
    }

    /// What affinity there is, and which offers can be asked for.
    public struct Affinity: Sendable, Equatable {
        /// `factors`, `hybrid`, `popular`, `repeatPurchase`; `other` and a number of newer servers.
        public var variant: String
        /// Cross-sell, up-sell, and products by category and price.
        public var hasDetails: Bool
        /// Purchase probabilities and expected margins.
        public var hasProbabilities: Bool
        /// Purchases since the scoring.
        public var takesBoughtSince: Bool
        /// Customers of a product under promotion.
        public var hasPromotions: Bool
        /// Similar customers and products.
        public var findsSimilar: Bool
        /// Customers who have bought nothing, by their attributes.
        public var servesColdCustomers: Bool
        /// Products that nobody has bought, by category and price.
        public var servesColdProducts: Bool
    }

    public var snapshot: SnapshotInfo
    public var customerCount: Int
    public var productCount: Int
    /// Nil where there are none.
    public var customerIDKind: PatronIDKind?
    public var productIDKind: PatronIDKind?
    /// Nil where there is none, and for a server that does not say.
    public var affinity: Affinity?
    public var columns: [Column]
}

/// One column of a look-up's answer.
public struct ScoreValues: Sendable, Equatable {
    public enum Lanes: Sendable, Equatable {
        case int32([Int32])
        case int64([Int64])
        case float32([Float])
        case float64([Double])
        case text([String])
    }

    public var id: UInt16
    /// A value a row; 0 or an empty text where it has none.
    public var lanes: Lanes
    /// Which rows have a value; nil: all.
    public var valid: [Bool]?

    /// The value of a row as a number; nil where it has none or is a text.
    public func number(_ row: Int) -> Double? {
        guard valid?[row] ?? true else { return nil }
        switch lanes {
        case .int32(let values): return Double(values[row])
        case .int64(let values): return Double(values[row])
        case .float32(let values): return Double(values[row])
        case .float64(let values): return values[row]
        case .text: return nil
        }
    }

    /// The value of a row as text; nil where it has none.
    public func text(_ row: Int) -> String? {
        guard valid?[row] ?? true else { return nil }
        switch lanes {
        case .int32(let values): return String(values[row])
        case .int64(let values): return String(values[row])
        case .float32(let values): return String(values[row])
        case .float64(let values): return String(values[row])
        case .text(let values): return values[row]
        }
    }
}

/// The answer to a look-up: a row an id, in the order of the ids.
public struct LookupResult: Sendable, Equatable {
    public var snapshot: SnapshotInfo
    /// Why a row has no scores, or ok.
    public var status: [CustomerStatus]
    public var columns: [ScoreValues]

    /// The column of that id; nil where the answer has none.
    public func column(_ id: UInt16) -> ScoreValues? { columns.first { $0.id == id } }
}

/// The best products of a customer, or customers of a product.
public struct TopResult: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public var id: PatronID
        /// Comparable within one answer only.
        public var score: Float
    }

    public var snapshot: SnapshotInfo
    /// Why there are no entries, or ok.
    public var status: CustomerStatus
    /// Best first.
    public var entries: [Entry]
}

/// The segments of one segmentation or of all.
public struct SegmentsResult: Sendable, Equatable {
    public struct Segment: Sendable, Equatable, Encodable {
        public var segmentation: String
        /// What the segmentation's score column holds.
        public var number: Int
        public var name: String
        public var customerCount: Int
        /// Of the customers of its segmentation, 0 … 1.
        public var customerShare: Double?
        /// In the snapshot's currency.
        public var revenue: Double?
        /// Of the revenue of its segmentation.
        public var revenueShare: Double?
        public var meanLifetimeValue: Double?
        public var meanChurnProbability: Double?
        /// In the snapshot's currency.
        public var margin: Double?
        /// Expected orders in the lifetime horizon.
        public var meanExpectedPurchases: Double?
        /// What sets it apart, most first, as `revenue 310 (+1.8); …`: the index (100: as all), and
        /// standard deviations.
        public var distinctions: String?
    }

    public var snapshot: SnapshotInfo
    public var segments: [Segment]
}

/// What segments are like beside all customers.
public struct SegmentProfilesResult: Sendable, Equatable {
    /// A feature, or a category of one, in one segment.
    public struct Row: Sendable, Equatable {
        public var segmentation: String
        /// The segment's number, as in `SegmentsResult`.
        public var segment: Int
        public var feature: String
        /// Nil for numbers.
        public var category: String?
        /// Of numbers; of a category its share. Nil where no value is there.
        public var mean: Double?
        public var overallMean: Double?
        /// 100 × mean / overallMean.
        public var index: Double?
        /// (mean - overallMean) in standard deviations of all customers.
        public var difference: Double
        public var missingShare: Double?
    }

    public var snapshot: SnapshotInfo
    public var rows: [Row]
}

/// One customer's row of the answer to a look-up.
public struct CustomerRow: Sendable, Equatable {
    public var id: PatronID
    /// Shared with the look-ups that were asked together with this one.
    let answer: LookupResult
    let row: Int

    init(id: PatronID, answer: LookupResult, row: Int) {
        self.id = id
        self.answer = answer
        self.row = row
    }

    public var snapshot: SnapshotInfo { answer.snapshot }
    /// Why there are no scores, or ok.
    public var status: CustomerStatus { answer.status[row] }
    /// The ids of the columns, in the order asked for.
    public var columns: [UInt16] { answer.columns.map(\.id) }

    /// The value of a column as a number; nil where there is none or it is a text.
    public func number(_ column: UInt16) -> Double? { answer.column(column)?.number(row) }

    /// The value of a column as text; nil where there is none.
    public func text(_ column: UInt16) -> String? { answer.column(column)?.text(row) }

    public static func == (left: Self, right: Self) -> Bool {
        left.id == right.id && left.snapshot == right.snapshot && left.status == right.status
            && left.columns == right.columns
            && left.columns.allSatisfy { left.text($0) == right.text($0) }
    }
}
