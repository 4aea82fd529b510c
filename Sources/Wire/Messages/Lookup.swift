package import ByteCoding

/// How the ids of a message are written.
package enum IDKind: UInt8, Sendable, CaseIterable {
    case integer = 1
    case text = 2
}

extension IDColumn {
    package var kind: IDKind {
        switch self {
        case .integers: .integer
        case .texts: .text
        }
    }
}

/// LOOKUP: columns of many customers, a row an id, in the order of the ids.
///
///     0  u8 idKind (1 integer, 2 text)   1  u8 options (bit 0: leave unknown columns out)
///     2  u16 columnCount (0: all)        4  u32 idCount
///     8  u16 column ids, zeros to a multiple of 8
///        integer ids: i64 each
///        text ids: u32 offsets (idCount + 1), then their UTF-8
package struct LookupRequest: Sendable, Equatable {
    package var ids: IDColumn
    /// The columns wanted, in the order of the answer; nil for all.
    package var columns: [ColumnID]?
    /// Unknown columns are left out of the answer instead of failing the request.
    package var leavesOutUnknownColumns: Bool

    package init(ids: IDColumn, columns: [ColumnID]? = nil, leavesOutUnknownColumns: Bool = false) {
        self.ids = ids
        self.columns = columns
        self.leavesOutUnknownColumns = leavesOutUnknownColumns
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(ids.kind.rawValue)
        writer.append(UInt8(leavesOutUnknownColumns ? 1 : 0))
        writer.append(UInt16(columns?.count ?? 0))
        writer.append(UInt32(ids.count))
        for column in columns ?? [] { writer.append(column.rawValue) }
        writer.appendZeros((4 - (columns?.count ?? 0) % 4) % 4 * 2)
        switch ids {
        case .integers(let values): writer.append(lanes: values)
        case .texts(let texts):
            for offset in texts.offsets { writer.append(UInt32(offset)) }
            writer.append(contentsOf: texts.bytes)
        }
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let layout = try LookupLayout(body, limits: limits)
        columns = layout.columnCount == 0 ? nil : layout.columns(body)
        leavesOutUnknownColumns = layout.leavesOutUnknownColumns
        switch layout.idKind {
        case .integer:
            ids = .integers(body.lanes(at: layout.idsOffset, count: layout.idCount) ?? [])
        case .text: ids = .texts(try layout.texts(body, limits: limits))
        }
    }
}

/// Where the parts of a LOOKUP body lie: all a server needs to answer integer ids without
/// allocating. Its members take the body that it was made from.
package struct LookupLayout: Sendable, Equatable {
    package let idKind: IDKind
    package let leavesOutUnknownColumns: Bool
    /// 0 means all.
    package let columnCount: Int
    package let idCount: Int
    let idsOffset: Int
    /// Where the column ids that begin at 8 end.
    package var columnsEnd: Int { 8 + columnCount * 2 }

    /// Checks counts against `limits` and the body's size; allocates only where more than 16
    /// columns are named.
    package init(_ body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        idKind = try readIDKind(body, at: 0)
        leavesOutUnknownColumns = try readOptions(body, at: 1) & 1 == 1
        columnCount = try body.readCount(
            .columnCount, at: 2, as: UInt16.self, limit: limits.columns)
        idCount = try body.readCount(.idCount, at: 4, as: UInt32.self, limit: limits.lookupIDs)
        guard idCount >= 1 else {
            throw .valueOutOfRange(
                field: .idCount, actual: 0, range: 1...Int64(limits.lookupIDs), byteOffset: 4)
        }
        let columnsEnd = 8 + columnCount * 2
        idsOffset = (columnsEnd + 7) & ~7
        try body.requireBytes(.columnIDs, at: 8, count: idsOffset - 8)
        try body.requireZero(at: columnsEnd, count: idsOffset - columnsEnd)
        switch idKind {
        case .integer:
            try body.requireBytes(.ids, at: idsOffset, count: idCount * 8)
            try body.requireEnd(at: idsOffset + idCount * 8)
        case .text:
            try body.requireBytes(.ids, at: idsOffset, count: (idCount + 1) * 4)
        }
        if let index = firstRepeatedColumn(body) {
            throw .duplicateColumn(id: column(index, body).rawValue, byteOffset: 8 + index * 2)
        }
    }

    /// The first column that stands before already.
    private func firstRepeatedColumn(_ body: RawSpan) -> Int? {
        // Up to here comparing all with all is quicker than a set, and allocates nothing.
        if columnCount <= 16 {
            for index in 0..<columnCount {
                let id = column(index, body)
                for other in 0..<index where column(other, body) == id { return index }
            }
            return nil
        }
        var seen: Set<ColumnID> = []
        return (0..<columnCount).first { !seen.insert(column($0, body)).inserted }
    }

    /// Column `index`, 0 … columnCount - 1.
    package func column(_ index: Int, _ body: RawSpan) -> ColumnID {
        ColumnID(rawValue: body.integer(at: 8 + index * 2) ?? 0)
    }

    package func columns(_ body: RawSpan) -> [ColumnID] {
        (0..<columnCount).map { column($0, body) }
    }

    /// The id of a request that has one, where nothing has to be checked but that an unknown id is
    /// ASCII text; nil for all others.
    package func onlyID(_ body: RawSpan) -> OnlyID? {
        guard idCount == 1 else { return nil }
        switch idKind {
        case .integer: return body.integer(at: idsOffset).map(OnlyID.integer)
        case .text:
            let start = idsOffset + 8
            guard body.integer(at: idsOffset, as: UInt32.self) == 0,
                let byteCount = body.integer(at: idsOffset + 4, as: UInt32.self).map({ Int($0) }),
                byteCount <= WireLimits.idBytes, start + byteCount == body.byteCount
            else { return nil }
            for place in start..<body.byteCount {
                guard let byte: UInt8 = body.integer(at: place), byte < 0x80 else { return nil }
            }
            return .text(start..<body.byteCount)
        }
    }

    package enum OnlyID: Sendable, Equatable {
        case integer(Int64)
        /// Where its bytes lie in the body.
        case text(Range<Int>)
    }

    /// All integer ids. Only for `idKind == .integer`.
    /// - Precondition: `ids` is `idCount` long.
    package func copyIntegerIDs(_ body: RawSpan, into ids: inout [Int64]) {
        precondition(ids.count == idCount)
        for index in ids.indices { ids[index] = body.integer(at: idsOffset + index * 8) ?? 0 }
    }

    /// All text ids, each at most 1,024 bytes. Only for `idKind == .text`.
    package func texts(
        _ body: RawSpan, limits: WireLimits = .standard
    ) throws(WireError) -> TextArray {
        let bytesAt = idsOffset + (idCount + 1) * 4
        var budget = ByteBudget(limits.decodedBytes)
        let end = Int(try body.read(.ids, at: bytesAt - 4, as: UInt32.self))
        try body.requireBytes(.ids, at: bytesAt, count: end)
        try body.requireEnd(at: bytesAt + end)
        let texts = try decodeTexts(
            body, count: idCount, offsetsAt: idsOffset, bytesAt: bytesAt, byteCount: end,
            field: .ids, budget: &budget)
        let offsets = texts.offsets
        for index in 0..<texts.count
        where offsets[index + 1] - offsets[index] > WireLimits.idBytes {
            throw .tooManyItems(
                field: .ids, actual: offsets[index + 1] - offsets[index],
                limit: WireLimits.idBytes, byteOffset: idsOffset + index * 4)
        }
        return texts
    }
}

func readIDKind(_ body: RawSpan, at offset: Int) throws(WireError) -> IDKind {
    let raw: UInt8 = try body.read(.idKind, at: offset)
    guard let kind = IDKind(rawValue: raw) else {
        throw .valueOutOfRange(
            field: .idKind, actual: Int64(raw), range: 1...2, byteOffset: offset)
    }
    return kind
}

/// An option byte of which only bit 0 is assigned.
func readOptions(_ body: RawSpan, at offset: Int) throws(WireError) -> UInt8 {
    let options: UInt8 = try body.read(.options, at: offset)
    guard options <= 1 else { throw .nonzeroReserved(field: .options, byteOffset: offset) }
    return options
}
