package import ByteCoding

/// The answer to DESCRIBE (whose request has an empty body): a stamp, 64 bytes of facts, and a
/// table with a row for every column that LOOKUP can give.
///
///     stamp + 0  u64 customerCount   8  u64 productCount
///            16  u8 customerIDKind (0 none)   17  u8 productIDKind
///            18  u8 affinityVariant   19  zero   20  u32 offers   24  40 zero bytes
package struct DescribeResponse: Sendable, Equatable {
    /// A column that LOOKUP can give.
    package struct Column: Sendable, Equatable {
        package var id: ColumnID
        package var name: String
        package var type: ColumnType
        /// What its numbers count: a currency code, `days`, `probability`; empty for none.
        package var unit: String
        package var description: String
        /// What its numbers are called, ascending, a line each, as `3 Sleeping`; empty for a quantity.
        package var valueNames: String

        package init(
            id: ColumnID, name: String, type: ColumnType, unit: String, description: String,
            valueNames: String = ""
        ) {
            self.id = id
            self.name = name
            self.type = type
            self.unit = unit
            self.description = description
            self.valueNames = valueNames
        }
    }

    /// What affinity there is, and what can be asked of it.
    package struct Affinity: Sendable, Equatable {
        /// Numbers of newer servers are `other`.
        package enum Variant: Sendable, Equatable {
            case factors, hybrid, popular, repeatPurchase
            case other(UInt8)
        }

        /// What OFFER_PRODUCTS, OFFER_CUSTOMERS and SIMILAR can do with the snapshot.
        package struct Offers: OptionSet, Sendable {
            package let rawValue: UInt32
            package init(rawValue: UInt32) { self.rawValue = rawValue }

            /// Cross-sell, up-sell, and products by category and price.
            package static let details = Offers(rawValue: 1 << 0)
            /// Purchase probabilities and expected margins.
            package static let probabilities = Offers(rawValue: 1 << 1)
            /// Purchases since the scoring.
            package static let boughtSince = Offers(rawValue: 1 << 2)
            /// Customers of a product under promotion.
            package static let promotions = Offers(rawValue: 1 << 3)
            /// Similar customers and products.
            package static let similar = Offers(rawValue: 1 << 4)
            /// Customers who have bought nothing, by their attributes.
            package static let coldCustomers = Offers(rawValue: 1 << 5)
            /// Products that nobody has bought, by category and price.
            package static let coldProducts = Offers(rawValue: 1 << 6)
        }

        package var variant: Variant
        package var offers: Offers

        package init(variant: Variant, offers: Offers) {
            (self.variant, self.offers) = (variant, offers)
        }
    }

    package var stamp: SnapshotStamp
    package var customerCount: UInt64
    package var productCount: UInt64
    /// Nil where there are none.
    package var customerIDKind: IDKind?
    package var productIDKind: IDKind?
    /// Nil where there is none, and where `affinityFacts` was not agreed on.
    package var affinity: Affinity?
    package var columns: [Column]

    package init(
        stamp: SnapshotStamp, customerCount: UInt64, productCount: UInt64,
        customerIDKind: IDKind?, productIDKind: IDKind?, affinity: Affinity? = nil,
        columns: [Column]
    ) {
        self.stamp = stamp
        self.customerCount = customerCount
        self.productCount = productCount
        self.customerIDKind = customerIDKind
        self.productIDKind = productIDKind
        self.affinity = affinity
        self.columns = columns
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(customerCount)
        writer.append(productCount)
        writer.append(customerIDKind?.rawValue ?? 0)
        writer.append(productIDKind?.rawValue ?? 0)
        writer.append(affinity?.variant.rawValue ?? 0)
        writer.append(UInt8(0))
        writer.append(affinity?.offers.rawValue ?? 0)
        writer.appendZeros(40)
        var table = Table(
            rowCount: columns.count,
            columns: [
                WireColumn(.columnID, .int32(columns.map { Int32($0.id.rawValue) })),
                WireColumn(.columnName, .text(TextArray(columns.map(\.name)))),
                WireColumn(.columnType, .int32(columns.map { Int32($0.type.rawValue) })),
                WireColumn(.columnUnit, .text(TextArray(columns.map(\.unit)))),
                WireColumn(.columnDescription, .text(TextArray(columns.map(\.description)))),
            ])
        if columns.contains(where: { !$0.valueNames.isEmpty }) {
            table.columns.append(
                WireColumn(
                    .columnValueNames, .text(TextArray(columns.map(\.valueNames)))))
        }
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    private static let required: [ColumnID] = [
        .columnID, .columnName, .columnType, .columnUnit, .columnDescription,
    ]

    /// Columns whose type this release does not know are left out: it cannot ask for them.
    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        customerCount = try body.read(.customerCount, at: start)
        productCount = try body.read(.productCount, at: start + 8)
        customerIDKind = try readOptionalKind(.customerIDKind, body, at: start + 16)
        productIDKind = try readOptionalKind(.productIDKind, body, at: start + 17)
        let variant = Affinity.Variant(rawValue: try body.read(.body, at: start + 18))
        try body.requireZero(at: start + 19, count: variant == nil ? 45 : 1)
        affinity = try variant.map { variant throws(WireError) in
            try body.requireZero(at: start + 24, count: 40)
            let offers: UInt32 = try body.read(.body, at: start + 20)
            return Affinity(variant: variant, offers: Affinity.Offers(rawValue: offers))
        }
        let table = try Table(decoding: body, from: start + 64, limits: limits)
        for id in Self.required where table[id] == nil || table[id]?.validity != nil {
            throw .unknownColumn(id: id.rawValue, byteOffset: start + 64)
        }
        guard case .int32(let ids)? = table[.columnID]?.values,
            case .text(let names)? = table[.columnName]?.values,
            case .int32(let types)? = table[.columnType]?.values,
            case .text(let units)? = table[.columnUnit]?.values,
            case .text(let descriptions)? = table[.columnDescription]?.values
        else { throw .unknownColumn(id: ColumnID.columnID.rawValue, byteOffset: start + 64) }
        // Servers of before there were names do not send it.
        var valueNames: TextArray?
        if let column = table[.columnValueNames], case .text(let texts) = column.values {
            valueNames = texts
        }
        columns = []
        for row in 0..<table.rowCount {
            guard let id = UInt16(exactly: ids[row]) else {
                throw .valueOutOfRange(
                    field: .columnID, actual: Int64(ids[row]), range: 0...65_535,
                    byteOffset: start + 64)
            }
            guard let rawType = UInt8(exactly: types[row]), let type = ColumnType(rawValue: rawType)
            else { continue }
            columns.append(
                Column(
                    id: ColumnID(rawValue: id), name: names[row], type: type, unit: units[row],
                    description: descriptions[row], valueNames: valueNames?[row] ?? ""))
        }
    }
}

extension DescribeResponse.Affinity.Variant {
    /// 0 is "no affinity".
    fileprivate var rawValue: UInt8 {
        switch self {
        case .factors: 1
        case .hybrid: 2
        case .popular: 3
        case .repeatPurchase: 4
        case .other(let number): number
        }
    }

    fileprivate init?(rawValue: UInt8) {
        switch rawValue {
        case 0: return nil
        case 1: self = .factors
        case 2: self = .hybrid
        case 3: self = .popular
        case 4: self = .repeatPurchase
        default: self = .other(rawValue)
        }
    }
}

private func readOptionalKind(
    _ field: WireField, _ body: RawSpan, at offset: Int
) throws(WireError) -> IDKind? {
    let raw: UInt8 = try body.read(field, at: offset)
    if raw == 0 { return nil }
    guard let kind = IDKind(rawValue: raw) else {
        throw .valueOutOfRange(field: field, actual: Int64(raw), range: 0...2, byteOffset: offset)
    }
    return kind
}
