package import ByteCoding

/// SCAN (all customers) and AUDIENCE (those of a rule): columns of customers, as a stream of chunks.
///
///      0  u32 credit            4  u16 columnCount (0: all)   6  u16 zero
///      8  32 bytes resume token, zeros to begin              40  u32 ruleBytes   44  u32 zero
///     48  u16 column ids, then the rule's UTF-8
package struct StreamRequest: Sendable, Equatable {
    /// Bytes of chunks that the server may send before it is given more.
    /// `WireLimits.smallestCredit … WireLimits.connectionCredit`.
    package var credit: UInt32
    /// The columns wanted, in the order of the chunks; nil for all.
    package var columns: [ColumnID]?
    /// Of the last chunk that arrived; nil to begin.
    package var resumeToken: ResumeToken?
    /// Nil for all customers: SCAN.
    package var rule: String?

    package init(
        credit: UInt32 = 1 << 20, columns: [ColumnID]? = nil, resumeToken: ResumeToken? = nil,
        rule: String? = nil
    ) {
        self.credit = credit
        self.columns = columns
        self.resumeToken = resumeToken
        self.rule = rule
    }

    package func encode(into writer: inout ByteWriter) {
        let rule = ByteWriter.clipped(rule ?? "", to: WireLimits.ruleBytes)
        writer.append(credit)
        writer.append(UInt16(columns?.count ?? 0))
        writer.append(UInt16(0))
        (resumeToken ?? .none).encode(into: &writer)
        writer.append(UInt32(rule.utf8.count))
        writer.append(UInt32(0))
        for column in columns ?? [] { writer.append(column.rawValue) }
        writer.append(contentsOf: rule.utf8)
    }

    /// - Parameter hasRule: whether it is an AUDIENCE, which has a rule of at least a byte; a SCAN
    ///   has none.
    package init(
        decoding body: RawSpan, hasRule: Bool, limits: WireLimits = .standard
    ) throws(WireError) {
        credit = try readCredit(body, at: 0, least: WireLimits.smallestCredit)
        let columnCount = try body.readCount(
            .columnCount, at: 4, as: UInt16.self, limit: limits.columns)
        try body.requireZero(at: 6, count: 2)
        let token = try ResumeToken(decoding: body, at: 8)
        resumeToken = token == .none ? nil : token
        let ruleBytes = try readRuleBytes(body, at: 40, isNeeded: hasRule)
        try body.requireZero(at: 44, count: 4)
        try body.requireBytes(.columnIDs, at: 48, count: columnCount * 2)
        var named: [ColumnID] = []
        var seen: Set<ColumnID> = []
        for index in 0..<columnCount {
            let id = ColumnID(rawValue: body.integer(at: 48 + index * 2) ?? 0)
            guard seen.insert(id).inserted else {
                throw .duplicateColumn(id: id.rawValue, byteOffset: 48 + index * 2)
            }
            named.append(id)
        }
        columns = columnCount == 0 ? nil : named
        let text = try body.readText(.rule, at: 48 + columnCount * 2, count: ruleBytes)
        rule = hasRule ? text : nil
        try body.requireEnd(at: 48 + columnCount * 2 + ruleBytes)
    }
}

/// Where a stream goes on after a chunk: 32 bytes that only the server that made them can read.
package struct ResumeToken: Sendable, Hashable {
    package static let byteCount = 32
    static let none = ResumeToken(words: [0, 0, 0, 0])

    /// Four little-endian words.
    package let words: InlineArray<4, UInt64>

    package init(words: InlineArray<4, UInt64>) { self.words = words }

    package static func == (a: ResumeToken, b: ResumeToken) -> Bool {
        a.words.indices.allSatisfy { a.words[$0] == b.words[$0] }
    }

    package func hash(into hasher: inout Hasher) {
        for index in words.indices { hasher.combine(words[index]) }
    }

    func encode(into writer: inout ByteWriter) {
        for index in words.indices { writer.append(words[index]) }
    }

    init(decoding body: RawSpan, at offset: Int) throws(WireError) {
        var words: InlineArray<4, UInt64> = [0, 0, 0, 0]
        for index in words.indices {
            words[index] = try body.read(.resumeToken, at: offset + index * 8)
        }
        self.words = words
    }
}

/// A part of the answer to SCAN or AUDIENCE; all but the last have the flag MORE.
///
///     stamp + 0  u64 scannedCustomers   8  32 bytes resume token   40  24 zero bytes
///     then a table: entityID, rowStatus, the columns asked for
package struct StreamChunk: Sendable, Equatable {
    package var stamp: SnapshotStamp
    /// Customers of the snapshot that the stream has gone past, with those of this chunk.
    package var scannedCustomers: UInt64
    package var resumeToken: ResumeToken
    package var table: Table
    /// Whether another chunk follows: the flag MORE of its frame.
    package var hasMore: Bool

    package static let factBytes = 64

    package init(
        stamp: SnapshotStamp, scannedCustomers: UInt64, resumeToken: ResumeToken, table: Table,
        hasMore: Bool
    ) {
        self.stamp = stamp
        self.scannedCustomers = scannedCustomers
        self.resumeToken = resumeToken
        self.table = table
        self.hasMore = hasMore
    }

    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        Self.encodeFacts(scannedCustomers, resumeToken, into: &writer)
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    package static func encodeFacts(
        _ scannedCustomers: UInt64, _ resumeToken: ResumeToken, into writer: inout ByteWriter
    ) {
        writer.append(scannedCustomers)
        resumeToken.encode(into: &writer)
        writer.appendZeros(24)
    }

    package init(
        decoding body: RawSpan, hasMore: Bool, limits: WireLimits = .standard
    ) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        scannedCustomers = try body.read(.customerCount, at: start)
        resumeToken = try ResumeToken(decoding: body, at: start + 8)
        try body.requireZero(at: start + 40, count: 24)
        table = try Table(decoding: body, from: start + Self.factBytes, limits: limits)
        self.hasMore = hasMore
    }
}

/// COUNT: how many customers a rule holds for. `0 u32 ruleBytes   4 u32 zero   8 rule`
package struct CountRequest: Sendable, Equatable {
    package var rule: String

    package init(rule: String) { self.rule = rule }

    package func encode(into writer: inout ByteWriter) {
        let rule = ByteWriter.clipped(rule, to: WireLimits.ruleBytes)
        writer.append(UInt32(rule.utf8.count))
        writer.append(UInt32(0))
        writer.append(contentsOf: rule.utf8)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        let ruleBytes = try readRuleBytes(body, at: 0, isNeeded: true)
        try body.requireZero(at: 4, count: 4)
        rule = try body.readText(.rule, at: 8, count: ruleBytes)
        try body.requireEnd(at: 8 + ruleBytes)
    }
}

/// The answer to COUNT: a stamp, then
///
///     0  u64 matchingCustomers   8  u64 customers of the snapshot   16  48 zero bytes
package struct CountResponse: Sendable, Equatable {
    package var stamp: SnapshotStamp
    package var matchingCustomers: UInt64
    package var customerCount: UInt64

    package init(stamp: SnapshotStamp, matchingCustomers: UInt64, customerCount: UInt64) {
        self.stamp = stamp
        self.matchingCustomers = matchingCustomers
        self.customerCount = customerCount
    }

    package func encode(into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        writer.append(matchingCustomers)
        writer.append(customerCount)
        writer.appendZeros(48)
    }

    package init(decoding body: RawSpan) throws(WireError) {
        var start = 0
        stamp = try SnapshotStamp(decoding: body, end: &start)
        matchingCustomers = try body.read(.customerCount, at: start)
        customerCount = try body.read(.customerCount, at: start + 8)
        try body.requireZero(at: start + 16, count: 48)
        try body.requireEnd(at: start + 64)
    }
}

/// CREDIT, without an answer: more bytes for the stream of the same requestID.
/// `0 u32 credit   4 u32 zero`
package struct CreditMessage: Sendable, Equatable {
    /// 1 … `WireLimits.connectionCredit`.
    package var credit: UInt32

    package init(credit: UInt32) { self.credit = credit }

    package func encode(into writer: inout ByteWriter) {
        writer.append(credit)
        writer.append(UInt32(0))
    }

    package init(decoding body: RawSpan) throws(WireError) {
        credit = try readCredit(body, at: 0, least: 1)
        try body.requireZero(at: 4, count: 4)
        try body.requireEnd(at: 8)
    }
}

private func readCredit(
    _ body: RawSpan, at offset: Int, least: Int
) throws(WireError) -> UInt32 {
    let credit: UInt32 = try body.read(.credit, at: offset)
    guard (least...WireLimits.connectionCredit).contains(Int(credit)) else {
        throw .valueOutOfRange(
            field: .credit, actual: Int64(credit),
            range: Int64(least)...Int64(WireLimits.connectionCredit), byteOffset: offset)
    }
    return credit
}

private func readRuleBytes(
    _ body: RawSpan, at offset: Int, isNeeded: Bool
) throws(WireError) -> Int {
    let byteCount = try body.readCount(
        .rule, at: offset, as: UInt32.self, limit: isNeeded ? WireLimits.ruleBytes : 0)
    guard byteCount > 0 || !isNeeded else {
        throw .valueOutOfRange(
            field: .rule, actual: 0, range: 1...Int64(WireLimits.ruleBytes), byteOffset: offset)
    }
    return byteCount
}
