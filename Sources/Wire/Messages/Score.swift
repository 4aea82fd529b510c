package import ByteCoding

/// SCORE: histories that are in no snapshot, to be scored by the models behind it.
///
///      0  u16 columnCount (0: all)   2  u16 attributeCount   4  u32 zero
///      8  u16 column ids; then the attributes' names: u16 byteCount, UTF-8; zeros up to a multiple
///         of 64; a table: columns 1 to 3, 5 and 6 as customers have them, 64 + i for attribute i
package struct ScoreRequest: Sendable, Equatable {
    /// Columns of the answer, in its order; nil for all that there are.
    package var columns: [ColumnID]?
    /// Names of attributes of the plan; column 64 + i of the table has the values of number i.
    package var attributes: [String]
    /// A row a history. 1 … `WireLimits.lookupIDs` rows.
    package var table: Table

    /// Columns that every history has: int32 each.
    package static let needed: [ColumnID] = [
        .repeatPurchaseCount, .ageAtLastPurchaseDays, .observedAgeDays,
    ]
    /// Columns that a history may have: float64 each.
    package static let optional: [ColumnID] = [.meanOrderValue, .revenue]

    package init(columns: [ColumnID]? = nil, attributes: [String] = [], table: Table) {
        self.columns = columns
        self.attributes = attributes
        self.table = table
    }

    /// The values of an attribute; nil where the table has none.
    package func values(ofAttribute index: Int) -> WireColumn? { table[Self.attribute(index)] }

    package static func attribute(_ index: Int) -> ColumnID {
        ColumnID(rawValue: ColumnID.firstOfSnapshot.rawValue + UInt16(index))
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        writer.append(UInt16(columns?.count ?? 0))
        writer.append(UInt16(attributes.count))
        writer.append(UInt32(0))
        for column in columns ?? [] { writer.append(column.rawValue) }
        for name in attributes {
            let name = ByteWriter.clipped(name, to: WireLimits.textBytes)
            writer.append(UInt16(name.utf8.count))
            writer.append(contentsOf: name.utf8)
        }
        writer.alignBody(bodyStart)
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let columnCount = try body.readCount(
            .columnCount, at: 0, as: UInt16.self, limit: limits.columns)
        let attributeCount = try body.readCount(
            .attributes, at: 2, as: UInt16.self, limit: limits.columns)
        try body.requireZero(at: 4, count: 4)
        try body.requireBytes(.columnIDs, at: 8, count: columnCount * 2)
        var named: [ColumnID] = []
        var seen: Set<ColumnID> = []
        for index in 0..<columnCount {
            let id = ColumnID(rawValue: body.integer(at: 8 + index * 2) ?? 0)
            guard seen.insert(id).inserted else {
                throw .duplicateColumn(id: id.rawValue, byteOffset: 8 + index * 2)
            }
            named.append(id)
        }
        columns = columnCount == 0 ? nil : named
        var offset = 8 + columnCount * 2
        attributes = []
        var names: Set<String> = []
        for _ in 0..<attributeCount {
            let byteCount = try body.readCount(
                .attributes, at: offset, as: UInt16.self, limit: WireLimits.textBytes)
            let name = try body.readText(.attributes, at: offset + 2, count: byteCount)
            guard !name.isEmpty, names.insert(name).inserted else {
                throw .valueOutOfRange(
                    field: .attributes, actual: Int64(byteCount),
                    range: 1...Int64(WireLimits.textBytes), byteOffset: offset)
            }
            attributes.append(name)
            offset += 2 + byteCount
        }
        let start = (offset + 63) & ~63
        try body.requireZero(at: offset, count: start - offset)
        var tableLimits = limits
        tableLimits.rows = limits.lookupIDs
        table = try Table(decoding: body, from: start, limits: tableLimits)
        guard table.rowCount >= 1 else {
            throw .valueOutOfRange(
                field: .rowCount, actual: 0, range: 1...Int64(limits.lookupIDs), byteOffset: start)
        }
        for id in Self.needed where table[id]?.values.type != .int32 {
            throw .unknownColumn(id: id.rawValue, byteOffset: start)
        }
        for id in Self.optional where table[id].map({ $0.values.type != .float64 }) ?? false {
            throw .unknownColumn(id: id.rawValue, byteOffset: start)
        }
        for index in attributes.indices where values(ofAttribute: index) == nil {
            throw .unknownColumn(id: Self.attribute(index).rawValue, byteOffset: start)
        }
    }
}
