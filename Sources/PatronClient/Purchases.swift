import ByteCoding
import Wire

/// Purchase lines to append, by column: a value a line in each. Which of the optional columns a server
/// wants, the plan of its workspace says.
public struct Purchases: Sendable {
    public enum Times: Sendable, Equatable {
        /// Days since 1970-01-01 in the time zone of the workspace's plan; nil for none.
        case days([Int?])
        /// Seconds since 1970-01-01T00:00Z; nil for none.
        case instants([Int64?])
    }

    /// Of one kind.
    public var customers: [PatronID]
    public var times: Times
    /// In 10^-`decimals` units of the currency; negative for returns; nil for none.
    public var amounts: [Int64?]
    /// ISO 4217: that of the workspace.
    public var currency: String
    /// 0 … 4, of amounts, margins and costs.
    public var decimals = 2
    public var margins: [Int64?]?
    /// In place of margins.
    public var costs: [Int64?]?
    /// Nil for one that is not known.
    public var quantities: [Float?]?
    /// Texts of this and of what follows: an empty one is none.
    public var orders: [String]?
    public var products: [String]?
    public var categories: [String]?
    public var promotions: [String]?
    public var channels: [String]?

    public init(customers: [PatronID], times: Times, amounts: [Int64?], currency: String) {
        self.customers = customers
        self.times = times
        self.amounts = amounts
        self.currency = currency
    }

    public var count: Int { amounts.count }
}

/// What a batch of purchases, or an erasure, is known by when it is sent again: 16 bytes, of which not all are zero.
public struct AppendKey: Hashable, Sendable {
    let first: UInt64
    let second: UInt64

    /// A random one.
    public init() { self.init(.random(in: 1 ... .max), .random(in: 1 ... .max)) }

    /// One that the caller keeps, such as of a file and the place in it.
    public init(_ first: UInt64, _ second: UInt64) { (self.first, self.second) = (first, second) }

    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.append(first)
        writer.append(second)
        return writer.bytes
    }
}

/// What has become of purchases that were sent.
public struct AppendResult: Sendable, Equatable {
    /// Why a line was not taken.
    public struct Refusal: Sendable, Equatable {
        /// Of the lines sent, from 0.
        public var line: Int
        /// `customer`, `time`, `amount` …
        public var column: String
        /// By its name in protocol/WIRE.md, such as `missingAmount`.
        public var reason: String
    }

    /// The snapshot whose look-ups have the new rows now.
    public var snapshot: SnapshotInfo
    /// The batch's number among all of the workspace; nil where none of its lines was taken.
    public var sequence: UInt64?
    public var acceptedCount: Int
    public var refusedCount: Int
    /// Whether the key had come before: nothing was appended now.
    public var isRepeat: Bool
    /// By line; a line may have several reasons.
    public var refusals: [Refusal]
}

extension Purchases {
    /// - Throws: `invalidOption` for columns that differ in count, `mixedIDs`.
    func request(_ ids: IDColumn) throws(PatronError) -> AppendRequest {
        var columns = [WireColumn(.entityID, ids: ids)]
        switch times {
        case .days(let days):
            columns.append(
                WireColumn(
                    .lineDay, .int32(days.map { Int32(clamping: $0 ?? 0) }),
                    validity: Self.validity(days)))
        case .instants(let instants):
            columns.append(
                WireColumn(
                    .lineTime, .int64(instants.map { $0 ?? 0 }), validity: Self.validity(instants)))
        }
        let numbers: [(ColumnID, [Int64?]?)] = [
            (.lineAmount, amounts), (.lineMargin, margins), (.lineCost, costs),
        ]
        for case (let id, let values?) in numbers {
            columns.append(
                WireColumn(id, .int64(values.map { $0 ?? 0 }), validity: Self.validity(values)))
        }
        if let quantities {
            columns.append(
                WireColumn(
                    .lineQuantity, .float32(quantities.map { $0 ?? 0 }),
                    validity: Self.validity(quantities)))
        }
        let texts: [(ColumnID, [String]?)] = [
            (.lineOrder, orders), (.lineProduct, products), (.lineCategory, categories),
            (.linePromotion, promotions), (.lineChannel, channels),
        ]
        for case (let id, let values?) in texts {
            columns.append(WireColumn(id, .text(TextArray(values))))
        }
        for column in columns where column.values.count != count {
            throw .invalidOption(
                name: "the column \(column.id.lineName)",
                reason: "has \(column.values.count) values, there are \(count) amounts")
        }
        guard (0...4).contains(decimals), (1...8).contains(currency.utf8.count) else {
            throw .invalidOption(
                name: "the currency or its decimals",
                reason: "are not a currency code and 0 to 4 decimals")
        }
        return AppendRequest(
            decimals: decimals, currency: currency,
            lines: Table(rowCount: count, columns: columns))
    }

    /// Nil where all have a value.
    private static func validity<Value>(_ values: [Value?]) -> ValidityBitmap? {
        let flags = values.map { $0 != nil }
        return flags.allSatisfy(\.self) ? nil : ValidityBitmap(flags)
    }
}

extension ColumnID {
    /// What a column of lines is called.
    var lineName: String {
        switch self {
        case .entityID: "customer"
        case .lineDay, .lineTime: "time"
        case .lineAmount: "amount"
        case .lineMargin: "margin"
        case .lineCost: "cost"
        case .lineQuantity: "quantity"
        case .lineOrder: "order"
        case .lineProduct: "product"
        case .lineCategory: "category"
        case .linePromotion: "promotion"
        case .lineChannel: "channel"
        default: "column \(rawValue)"
        }
    }
}

extension AppendResult {
    init(_ answer: AppendResponse) {
        let table = answer.refusals
        func number(_ id: ColumnID, _ row: Int) -> Int {
            table[id]?.number(row).flatMap { Int(exactly: $0) } ?? 0
        }
        self.init(
            snapshot: SnapshotInfo(answer.stamp), sequence: answer.sequence,
            acceptedCount: Int(answer.acceptedLines), refusedCount: Int(answer.refusedLines),
            isRepeat: answer.isRepeat,
            refusals: (0..<table.rowCount).map { row in
                let reason = number(.refusalReason, row)
                let column = ColumnID(rawValue: UInt16(clamping: number(.refusedColumn, row)))
                return Refusal(
                    line: number(.refusedLine, row), column: column.lineName,
                    reason: LineRefusal(rawValue: UInt8(clamping: reason)).map { "\($0)" }
                        ?? "reason \(reason)")
            })
    }
}
