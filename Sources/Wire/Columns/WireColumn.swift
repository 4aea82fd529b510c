package import ByteCoding

/// The number of a column. 1 … 0xEFFF are the snapshot's own columns, named by DESCRIBE;
/// 0xF000 … 0xFFFF belong to the protocol. protocol/WIRE.md, "Columns".
package struct ColumnID: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    // Score columns with a fixed number.
    package static let repeatPurchaseCount = ColumnID(rawValue: 1)
    package static let ageAtLastPurchaseDays = ColumnID(rawValue: 2)
    package static let observedAgeDays = ColumnID(rawValue: 3)
    package static let daysSinceLastPurchase = ColumnID(rawValue: 4)
    package static let meanOrderValue = ColumnID(rawValue: 5)
    package static let revenue = ColumnID(rawValue: 6)
    package static let margin = ColumnID(rawValue: 7)
    package static let probabilityAlive = ColumnID(rawValue: 16)
    package static let expectedPurchases = ColumnID(rawValue: 17)
    package static let expectedOrderValue = ColumnID(rawValue: 18)
    package static let lifetimeValue = ColumnID(rawValue: 19)
    package static let churnProbability = ColumnID(rawValue: 20)
    package static let simpleLifetimeValue = ColumnID(rawValue: 21)
    package static let valueTier = ColumnID(rawValue: 22)
    package static let lifetimeChurnProbability = ColumnID(rawValue: 23)
    /// From here to 0xEFFF a snapshot gives out numbers; DESCRIBE names them.
    package static let firstOfSnapshot = ColumnID(rawValue: 64)

    package static let rowStatus = ColumnID(rawValue: 0xF001)
    package static let entityID = ColumnID(rawValue: 0xF002)
    package static let score = ColumnID(rawValue: 0xF003)
    package static let purchaseProbability = ColumnID(rawValue: 0xF004)
    package static let expectedMargin = ColumnID(rawValue: 0xF005)
    package static let affinityBasis = ColumnID(rawValue: 0xF006)
    package static let promotionLift = ColumnID(rawValue: 0xF007)

    package static let segmentation = ColumnID(rawValue: 0xF010)
    package static let segmentID = ColumnID(rawValue: 0xF011)
    package static let segmentName = ColumnID(rawValue: 0xF012)
    package static let segmentCustomerCount = ColumnID(rawValue: 0xF013)
    package static let segmentCustomerShare = ColumnID(rawValue: 0xF014)
    package static let segmentRevenue = ColumnID(rawValue: 0xF015)
    package static let segmentRevenueShare = ColumnID(rawValue: 0xF016)
    package static let segmentMeanLifetimeValue = ColumnID(rawValue: 0xF017)
    package static let segmentMeanChurnProbability = ColumnID(rawValue: 0xF018)
    package static let segmentMargin = ColumnID(rawValue: 0xF019)
    package static let segmentMeanExpectedPurchases = ColumnID(rawValue: 0xF01A)
    package static let segmentDistinctions = ColumnID(rawValue: 0xF01B)

    package static let columnID = ColumnID(rawValue: 0xF020)
    package static let columnName = ColumnID(rawValue: 0xF021)
    package static let columnType = ColumnID(rawValue: 0xF022)
    package static let columnUnit = ColumnID(rawValue: 0xF023)
    package static let columnDescription = ColumnID(rawValue: 0xF024)
    package static let columnValueNames = ColumnID(rawValue: 0xF025)

    package static let profileFeature = ColumnID(rawValue: 0xF030)
    package static let profileCategory = ColumnID(rawValue: 0xF031)
    package static let profileMean = ColumnID(rawValue: 0xF032)
    package static let profileIndex = ColumnID(rawValue: 0xF033)
    package static let profileDifference = ColumnID(rawValue: 0xF034)
    package static let profileMissingShare = ColumnID(rawValue: 0xF035)
    package static let profileOverallMean = ColumnID(rawValue: 0xF036)

    package static let explainValue = ColumnID(rawValue: 0xF050)
    package static let explainText = ColumnID(rawValue: 0xF051)
    package static let explainSegmentText = ColumnID(rawValue: 0xF052)
    package static let explainNextText = ColumnID(rawValue: 0xF053)
    package static let explainNextMean = ColumnID(rawValue: 0xF054)
    package static let explainDifference = ColumnID(rawValue: 0xF055)
    package static let explainShare = ColumnID(rawValue: 0xF056)

    package static let lineDay = ColumnID(rawValue: 0xF080)
    package static let lineTime = ColumnID(rawValue: 0xF081)
    package static let lineAmount = ColumnID(rawValue: 0xF082)
    package static let lineMargin = ColumnID(rawValue: 0xF083)
    package static let lineCost = ColumnID(rawValue: 0xF084)
    package static let lineQuantity = ColumnID(rawValue: 0xF085)
    package static let lineOrder = ColumnID(rawValue: 0xF086)
    package static let lineProduct = ColumnID(rawValue: 0xF087)
    package static let lineCategory = ColumnID(rawValue: 0xF088)
    package static let linePromotion = ColumnID(rawValue: 0xF089)
    package static let lineChannel = ColumnID(rawValue: 0xF08A)

    package static let refusedLine = ColumnID(rawValue: 0xF090)
    package static let refusedColumn = ColumnID(rawValue: 0xF091)
    package static let refusalReason = ColumnID(rawValue: 0xF092)

    package static let label = ColumnID(rawValue: 0xF0A0)
    package static let generation = ColumnID(rawValue: 0xF0A1)
    package static let generationAsOfDay = ColumnID(rawValue: 0xF0A2)
    package static let generationCustomerCount = ColumnID(rawValue: 0xF0A3)
    package static let generationByteCount = ColumnID(rawValue: 0xF0A4)
    package static let generationModels = ColumnID(rawValue: 0xF0A5)
    package static let generationLabels = ColumnID(rawValue: 0xF0A6)
    package static let generationState = ColumnID(rawValue: 0xF0A7)
    package static let generationProblem = ColumnID(rawValue: 0xF0A8)
    package static let modelName = ColumnID(rawValue: 0xF0A9)
    package static let modelVersion = ColumnID(rawValue: 0xF0AA)
    package static let modelChecksum = ColumnID(rawValue: 0xF0AB)
    package static let statGroup = ColumnID(rawValue: 0xF0AC)
    package static let statName = ColumnID(rawValue: 0xF0AD)
    package static let statValue = ColumnID(rawValue: 0xF0AE)
    package static let statUnit = ColumnID(rawValue: 0xF0AF)

    package static let shadowCompared = ColumnID(rawValue: 0xF0B0)
    package static let shadowDiffering = ColumnID(rawValue: 0xF0B1)
    package static let shadowOnlyCurrent = ColumnID(rawValue: 0xF0B2)
    package static let shadowOnlyCandidate = ColumnID(rawValue: 0xF0B3)
    package static let shadowMeanDifference = ColumnID(rawValue: 0xF0B4)
    package static let shadowLargestDifference = ColumnID(rawValue: 0xF0B5)
    package static let shadowMedianDifference = ColumnID(rawValue: 0xF0B6)
    package static let shadowDifference90 = ColumnID(rawValue: 0xF0B7)
    package static let shadowDifference99 = ColumnID(rawValue: 0xF0B8)
    package static let shadowFrom = ColumnID(rawValue: 0xF0B9)
    package static let shadowTo = ColumnID(rawValue: 0xF0BA)
    package static let shadowMoveCount = ColumnID(rawValue: 0xF0BB)

    package static let erasureFound = ColumnID(rawValue: 0xF0C0)
}

package enum ColumnType: UInt8, Sendable, CaseIterable {
    case int32 = 1
    case int64 = 2
    case float32 = 3
    case float64 = 4
    case text = 5

    /// Bytes of a lane; of a text's offset.
    var stride: Int { self == .int64 || self == .float64 ? 8 : 4 }
}

enum ColumnEncoding: UInt8 {
    /// A buffer of lanes.
    case plain = 0
    /// All rows hold the value in the descriptor.
    case constant = 1
}

/// Bits of a column descriptor's flag byte. Bits 0 to 3 are critical, 4 to 7 optional.
package enum ColumnFlags {
    static let hasValidity: UInt8 = 1 << 0
    package static let allMissing: UInt8 = 1 << 1
    static let skippable: UInt8 = 1 << 2
    static let unknownCritical: UInt8 = 0b1000
}

/// Which rows of a column hold a value: bit `i % 8` of byte `i / 8`, least significant first.
/// Bits past the last row are zero.
package struct ValidityBitmap: Sendable, Equatable {
    package private(set) var bytes: [UInt8]
    package private(set) var count: Int

    /// Every row missing, to be set one by one.
    package init(missing count: Int) {
        self.count = count
        bytes = [UInt8](repeating: 0, count: (count + 7) / 8)
    }

    package init(_ valid: [Bool]) {
        self.init(missing: valid.count)
        for (row, isValid) in valid.enumerated() where isValid { setValid(row) }
    }

    init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        self.count = count
    }

    package subscript(row: Int) -> Bool { bytes[row >> 3] >> UInt8(row & 7) & 1 == 1 }

    package mutating func setValid(_ row: Int) { bytes[row >> 3] |= 1 << UInt8(row & 7) }

    package var validCount: Int { bytes.reduce(0) { $0 + $1.nonzeroBitCount } }
}

/// The lanes of a column. Lanes of rows without a value hold 0 or an empty text.
package enum WireValues: Sendable, Equatable {
    case int32([Int32])
    case int64([Int64])
    case float32([Float])
    case float64([Double])
    case text(TextArray)

    package var count: Int {
        switch self {
        case .int32(let values): values.count
        case .int64(let values): values.count
        case .float32(let values): values.count
        case .float64(let values): values.count
        case .text(let values): values.count
        }
    }

    package var type: ColumnType {
        switch self {
        case .int32: .int32
        case .int64: .int64
        case .float32: .float32
        case .float64: .float64
        case .text: .text
        }
    }
}

/// A column of an answer. Floats are finite wherever the row is valid.
package struct WireColumn: Sendable, Equatable {
    package var id: ColumnID
    package var values: WireValues
    /// Nil where every row holds a value.
    package var validity: ValidityBitmap?

    package init(_ id: ColumnID, _ values: WireValues, validity: ValidityBitmap? = nil) {
        self.id = id
        self.values = values
        self.validity = validity
    }

    /// Ids of customers or products as a column.
    package init(_ id: ColumnID, ids: IDColumn) {
        switch ids {
        case .integers(let values): self.init(id, .int64(values))
        case .texts(let values): self.init(id, .text(values))
        }
    }

    package func isValid(_ row: Int) -> Bool { validity.map { $0[row] } ?? true }

    /// The value of a numeric column, nil where it has none; text columns give nil.
    package func number(_ row: Int) -> Double? {
        guard isValid(row) else { return nil }
        return switch values {
        case .int32(let values): Double(values[row])
        case .int64(let values): Double(values[row])
        case .float32(let values): Double(values[row])
        case .float64(let values): values[row]
        case .text: nil
        }
    }

    /// The value as text, nil where it has none; numbers in their shortest form.
    package func text(_ row: Int) -> String? {
        guard isValid(row) else { return nil }
        return switch values {
        case .int32(let values): String(values[row])
        case .int64(let values): String(values[row])
        case .float32(let values): String(values[row])
        case .float64(let values): String(values[row])
        case .text(let values): values[row]
        }
    }

    /// The column as ids: int64 or text without missing rows; nil otherwise.
    package var ids: IDColumn? {
        guard validity == nil else { return nil }
        return switch values {
        case .int64(let values): .integers(values)
        case .text(let values): .texts(values)
        default: nil
        }
    }
}

/// One value of a column whose rows are all the same.
package enum WireConstant: Sendable, Equatable {
    case int32(Int32)
    case int64(Int64)
    case float32(Float)
    case float64(Double)
    case missing(ColumnType)

    var type: ColumnType {
        switch self {
        case .int32: .int32
        case .int64: .int64
        case .float32: .float32
        case .float64: .float64
        case .missing(let type): type
        }
    }

    /// The eight bytes of a descriptor's value field.
    var bits: UInt64 {
        switch self {
        case .int32(let value): UInt64(UInt32(bitPattern: value))
        case .int64(let value): UInt64(bitPattern: value)
        case .float32(let value): UInt64(value.bitPattern)
        case .float64(let value): value.bitPattern
        case .missing: 0
        }
    }
}
