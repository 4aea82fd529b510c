package import ByteCoding

/// OFFER_PRODUCTS: products to offer to a customer.
///
///     0  u8 idKind   1  u8 options (bit 0: leave out what was bought, bit 1: nothing else, not both;
///     bit 2: also what is out of stock)   2  u8 offer   3  u8 rank   4  u32 count, 1 … 10,000
///     8  i64 lowestPrice   16  i64 highestPrice   24  u16 largestRatioPercent
///    26  u16 categoryCount   28  u16 boughtSinceCount   30  u16 zero
///    32  the id as in TOP_PRODUCTS, then the categories and the ids of products bought since the
///        scoring, integers by their digits: u16 byteCount, UTF-8
package struct OfferProductsRequest: Sendable, Equatable {
    package enum Offer: UInt8, Sendable, CaseIterable {
        case next = 0
        case crossSell = 1
        case upSell = 2
    }

    package enum Rank: UInt8, Sendable, CaseIterable {
        case affinity = 0
        case margin = 1
    }

    package enum Bought: Sendable, CaseIterable {
        case leftOut, included, only
    }

    package var id: EntityID
    /// Results wanted at most. 1 … 10,000.
    package var count: Int
    package var offer = Offer.next
    package var rank = Rank.affinity
    package var bought = Bought.leftOut
    package var includesOutOfStock = false
    /// Of one unit, ten-thousandths of the currency unit; 0 for no limit, else the highest at least
    /// the lowest.
    package var lowestPrice: Int64 = 0
    package var highestPrice: Int64 = 0
    /// Of an up-sell to the dearest that was bought, in hundredths: 0 for 150, else 101 and more.
    package var largestRatioPercent: UInt16 = 0
    /// At most 1,024; none for all.
    package var categories: [String] = []
    /// Ids of products that the customer has bought since the scoring; at most 1,024.
    package var boughtSince: [String] = []

    package init(id: EntityID, count: Int) { (self.id, self.count) = (id, count) }

    private enum Options {
        static let leftOut: UInt8 = 1 << 0
        static let only: UInt8 = 1 << 1
        static let outOfStock: UInt8 = 1 << 2
    }

    package func encode(into writer: inout ByteWriter) {
        var options: UInt8 = includesOutOfStock ? Options.outOfStock : 0
        switch bought {
        case .leftOut: options |= Options.leftOut
        case .included: break
        case .only: options |= Options.only
        }
        writer.append(idKind(of: id).rawValue)
        writer.append(options)
        writer.append(offer.rawValue)
        writer.append(rank.rawValue)
        writer.append(UInt32(clamping: count))
        writer.append(lowestPrice)
        writer.append(highestPrice)
        writer.append(largestRatioPercent)
        writer.append(UInt16(clamping: categories.count))
        writer.append(UInt16(clamping: boughtSince.count))
        writer.append(UInt16(0))
        append(id, to: &writer)
        let limit = Int(UInt16.max)
        for text in categories.prefix(limit) + boughtSince.prefix(limit) {
            let text = ByteWriter.clipped(text, to: WireLimits.textBytes)
            writer.append(UInt16(text.utf8.count))
            writer.append(contentsOf: text.utf8)
        }
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let kind = try readIDKind(body, at: 0)
        let options: UInt8 = try body.read(.options, at: 1)
        guard options <= 7 else { throw .nonzeroReserved(field: .options, byteOffset: 1) }
        switch (options & Options.leftOut != 0, options & Options.only != 0) {
        case (true, false): bought = .leftOut
        case (false, true): bought = .only
        case (false, false): bought = .included
        case (true, true):
            throw .valueOutOfRange(
                field: .options, actual: Int64(options), range: 0...6, byteOffset: 1)
        }
        includesOutOfStock = options & Options.outOfStock != 0
        offer = try readChoice(.offer, body, at: 2)
        rank = try readChoice(.rank, body, at: 3)
        count = try readTopCount(body, at: 4, limits)
        lowestPrice = try body.read(.lowestPrice, at: 8)
        highestPrice = try body.read(.highestPrice, at: 16)
        guard lowestPrice >= 0 else {
            throw .valueOutOfRange(
                field: .lowestPrice, actual: lowestPrice, range: 0...Int64.max, byteOffset: 8)
        }
        guard highestPrice == 0 || highestPrice >= lowestPrice else {
            throw .valueOutOfRange(
                field: .highestPrice, actual: highestPrice, range: lowestPrice...Int64.max,
                byteOffset: 16)
        }
        largestRatioPercent = try body.read(.largestRatio, at: 24)
        guard largestRatioPercent == 0 || largestRatioPercent > 100 else {
            throw .valueOutOfRange(
                field: .largestRatio, actual: Int64(largestRatioPercent),
                range: 101...Int64(UInt16.max), byteOffset: 24)
        }
        let categoryCount = try body.readCount(
            .categories, at: 26, as: UInt16.self, limit: WireLimits.categories)
        let boughtCount = try body.readCount(
            .boughtSince, at: 28, as: UInt16.self, limit: WireLimits.boughtSince)
        try body.requireZero(at: 30, count: 2)
        var end = 32
        id = try readID(kind, body, at: &end)
        categories = try Self.texts(
            .categories, categoryCount, limit: WireLimits.textBytes, body, at: &end)
        boughtSince = try Self.texts(
            .boughtSince, boughtCount, limit: WireLimits.idBytes, body, at: &end)
        try body.requireEnd(at: end)
    }

    /// Reads texts one after another and moves behind them.
    private static func texts(
        _ field: WireField, _ count: Int, limit: Int, _ body: RawSpan, at end: inout Int
    ) throws(WireError) -> [String] {
        var texts: [String] = []
        for _ in 0..<count {
            let byteCount = try body.readCount(field, at: end, as: UInt16.self, limit: limit)
            texts.append(try body.readText(field, at: end + 2, count: byteCount))
            end += 2 + byteCount
        }
        return texts
    }
}

/// OFFER_CUSTOMERS: customers to offer a product to.
///
///     0  u8 idKind   1  u8 options (bit 0: leave out who bought it; bit 1: it is promoted)
///     2  u8 rank   3  u8 zero   4  u32 count, 1 … 10,000   8  the id as in TOP_PRODUCTS
package struct OfferCustomersRequest: Sendable, Equatable {
    package enum Rank: UInt8, Sendable, CaseIterable {
        case affinity = 0
        case probability = 1
    }

    package var id: EntityID
    package var count: Int
    package var rank = Rank.affinity
    package var excludesPurchasers = true
    /// Probabilities are then those under promotion, by which customers are ranked.
    package var isPromoted = false

    package init(id: EntityID, count: Int) { (self.id, self.count) = (id, count) }

    package func encode(into writer: inout ByteWriter) {
        writer.append(idKind(of: id).rawValue)
        writer.append((excludesPurchasers ? 1 : 0) | (isPromoted ? UInt8(2) : 0))
        writer.append(rank.rawValue)
        writer.append(UInt8(0))
        writer.append(UInt32(clamping: count))
        append(id, to: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let kind = try readIDKind(body, at: 0)
        let options: UInt8 = try body.read(.options, at: 1)
        guard options <= 3 else { throw .nonzeroReserved(field: .options, byteOffset: 1) }
        (excludesPurchasers, isPromoted) = (options & 1 != 0, options & 2 != 0)
        rank = try readChoice(.rank, body, at: 2)
        try body.requireZero(at: 3, count: 1)
        count = try readTopCount(body, at: 4, limits)
        var end = 8
        id = try readID(kind, body, at: &end)
        try body.requireEnd(at: end)
    }
}

/// SIMILAR: customers or products whose factors point the same way as one's.
///
///     0  u8 idKind   1  u8 subject: 1 customer, 2 product   2  u16 zero   4  u32 count, 1 … 10,000
///     8  the id as in TOP_PRODUCTS
package struct SimilarRequest: Sendable, Equatable {
    package enum Subject: UInt8, Sendable, CaseIterable {
        case customer = 1
        case product = 2
    }

    package var subject: Subject
    package var id: EntityID
    package var count: Int

    package init(subject: Subject, id: EntityID, count: Int) {
        (self.subject, self.id, self.count) = (subject, id, count)
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(idKind(of: id).rawValue)
        writer.append(subject.rawValue)
        writer.append(UInt16(0))
        writer.append(UInt32(clamping: count))
        append(id, to: &writer)
    }

    package init(decoding body: RawSpan, limits: WireLimits = .standard) throws(WireError) {
        let kind = try readIDKind(body, at: 0)
        subject = try readChoice(.subject, body, at: 1)
        try body.requireZero(at: 2, count: 2)
        count = try readTopCount(body, at: 4, limits)
        var end = 8
        id = try readID(kind, body, at: &end)
        try body.requireEnd(at: end)
    }
}

func idKind(of id: EntityID) -> IDKind {
    if case .integer = id { .integer } else { .text }
}

func append(_ id: EntityID, to writer: inout ByteWriter) {
    switch id {
    case .integer(let value): writer.append(value)
    case .text(let text):
        writer.append(UInt32(text.utf8.count))
        writer.append(contentsOf: text.utf8)
    }
}

/// Reads an id and moves behind it.
func readID(
    _ kind: IDKind, _ body: RawSpan, at offset: inout Int
) throws(WireError) -> EntityID {
    switch kind {
    case .integer:
        let value: Int64 = try body.read(.id, at: offset)
        offset += 8
        return .integer(value)
    case .text:
        let byteCount = try body.readCount(
            .id, at: offset, as: UInt32.self, limit: WireLimits.idBytes)
        let text = try body.readText(.id, at: offset + 4, count: byteCount)
        offset += 4 + byteCount
        return .text(text)
    }
}

private func readTopCount(
    _ body: RawSpan, at offset: Int, _ limits: WireLimits
) throws(WireError) -> Int {
    let count = try body.readCount(.count, at: offset, as: UInt32.self, limit: limits.topCount)
    guard count >= 1 else {
        throw .valueOutOfRange(
            field: .count, actual: 0, range: 1...Int64(limits.topCount), byteOffset: offset)
    }
    return count
}

/// A byte that is one of the raw values of an enumeration, which are consecutive.
private func readChoice<Choice: RawRepresentable<UInt8> & CaseIterable>(
    _ field: WireField, _ body: RawSpan, at offset: Int
) throws(WireError) -> Choice {
    let raw: UInt8 = try body.read(field, at: offset)
    guard let choice = Choice(rawValue: raw) else {
        let values = Choice.allCases.map { Int64($0.rawValue) }
        throw .valueOutOfRange(
            field: field, actual: Int64(raw), range: (values.min() ?? 0)...(values.max() ?? 0),
            byteOffset: offset)
    }
    return choice
}
