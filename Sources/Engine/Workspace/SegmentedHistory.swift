package import ByteCoding
import ColumnStore
package import Features
import Numerical
import Units

/// The purchase lines of all segment files, read in chunks of whole customers, ascending by id.
///
/// A chunk is what the whole history holds of its customers: their lines by (customer, time,
/// segment, line). No result may depend on where chunks start. Nothing of a chunk is kept: a pass
/// holds one a thread.
package struct SegmentedHistory: Sendable {
    let segments: [PurchaseSegment]
    /// The columns that some segment has: lines of the others get them filled.
    package let columns: LineColumns
    /// The first customers of all chunks but the first.
    package let splits: IDColumn
    let grossMarginRate: Double

    /// About so many lines a chunk. Their columns take 20 to 30 MB: several threads' fit in memory
    /// many times over, and the blocks that two chunks share are a small part of the 32 of one.
    package static let chunkLineCount = 1 << 19
    /// So many encoded bytes count as a line: long texts make chunks of fewer lines.
    static let lineByteCount = 64
    /// Rows that a chunk can have where one customer has nearly all of them.
    static let largestChunkRowCount = Int(UInt32.max) - 1

    /// - Parameters:
    ///   - paths: segment files as `PurchaseSegments` writes them, in the order of their ingest.
    ///   - grossMarginRate: gives lines of segments without margins theirs, where other segments
    ///     have them.
    package init(
        paths: [String], grossMarginRate: Double, chunkLineCount: Int = Self.chunkLineCount,
        threadCount: Int
    ) throws(EngineError) {
        var segments: [PurchaseSegment] = []
        for path in paths {
            segments.append(try PurchaseSegment(path: path, threadCount: threadCount))
        }
        try self.init(
            segments, splits: Self.splits(of: segments, chunkLineCount), grossMarginRate)
    }

    private init(
        _ segments: [PurchaseSegment], splits: IDColumn?, _ grossMarginRate: Double
    ) throws(EngineError) {
        guard let splits else { throw .idKindMismatch(table: "customer") }
        self.segments = segments
        columns = segments.reduce(into: []) { $0.formUnion($1.columns) }
        self.splits = splits
        self.grossMarginRate = grossMarginRate
    }

    /// The same lines in other chunks.
    /// - Parameter splits: ascending ids of customers, none the first of all.
    package func split(at splits: IDColumn) throws(EngineError) -> SegmentedHistory {
        try SegmentedHistory(segments, splits: splits, grossMarginRate)
    }

    package var chunkCount: Int { splits.count + 1 }
    package var paths: [String] { segments.map(\.reader.path) }
    package var lineCount: Int { segments.reduce(0) { $0 + $1.reader.rowCount } }

    /// Chunks start with customers that start a block of some segment, as soon as the blocks before
    /// hold enough lines.
    /// - Returns: nil for segments with ids of different kinds.
    private static func splits(of segments: [PurchaseSegment], _ chunkLineCount: Int) -> IDColumn? {
        var heads = segments.first?.blockHeads ?? .integers([])
        var lineCounts: [Int] = []
        for (index, segment) in segments.enumerated() {
            if index > 0, !heads.append(contentsOf: segment.blockHeads) { return nil }
            lineCounts += (0..<segment.reader.blockCount).map {
                max(
                    segment.reader.rows(ofBlock: $0).count,
                    segment.reader.encodedByteCount(ofBlock: $0) / lineByteCount)
            }
        }
        var starts: [Int] = []
        var last: Int?
        var lineCount = 0
        for head in sortedOrder(of: heads) {
            if let last, lineCount >= chunkLineCount, heads.precedes(last, head) {
                starts.append(head)
                lineCount = 0
            }
            // The head of the chunk; all heads equal to it are in the chunk as well.
            if lineCount == 0 { last = head }
            lineCount += lineCounts[head]
        }
        return heads.gather(starts)
    }

    /// The lines of the customers of a chunk.
    /// - Parameters:
    ///   - wanted: columns to read. Products, categories, promotions and channels have the codes of
    ///     `texts`; order codes are the chunk's own.
    ///   - texts: of a survey; its product categories stand in where no segment names categories.
    /// - Throws: `.store` for damaged files, `.features` for columns that are no history.
    package func chunk(
        _ index: Int, _ wanted: LineColumns, _ texts: LineTexts
    ) throws(EngineError) -> PurchaseHistory {
        try chunk(index, wanted, texts, changed: nil)
    }

    /// - Parameter change: leaves the lines of the customers alone who have changed; nil leaves
    ///   all.
    package func chunk(
        _ index: Int, _ wanted: LineColumns, _ texts: LineTexts, changed change: HistoryChange?
    ) throws(EngineError) -> PurchaseHistory {
        var read = wanted.intersection(columns)
        let byProduct = wanted.contains(.categories) && texts.categoryOfProduct != nil
        if byProduct { read.insert(.products) }
        var found: [(segment: PurchaseSegment, lines: SegmentLines)] = []
        for (position, segment) in segments.enumerated().reversed() {
            // Segments of before last: where nobody is new and no line's age matters, their part of
            // the chunk need not be looked at.
            if let change, found.isEmpty, position < change.segmentCount, change.windows.isEmpty {
                break
            }
            let lines = try segment.customers(
                from: index > 0 ? index - 1 : nil, upTo: index < splits.count ? index : nil,
                of: splits)
            guard var lines else { continue }
            if let change, !change.windows.isEmpty { try segment.decodeTimes(of: &lines) }
            lines.isNew = position >= change?.segmentCount ?? 0
            found.insert((segment, lines), at: 0)
        }
        if let change {
            let kept = change.changedCustomers(of: found.map(\.lines))
            for (position, rows) in kept.enumerated() {
                found[position].lines.keep(customers: rows)
            }
        }
        try Self.requireFewRows(found.map(\.lines))
        var parts: [SegmentLines] = []
        for (segment, lines) in found {
            guard lines.count > 0 else {
                segment.forget(lines)
                continue
            }
            var lines = lines
            try segment.decode(read, into: &lines)
            parts.append(lines)
        }
        let merged = MergedLines(parts)
        func coded(_ column: LineColumns) throws(EngineError) -> CodedText? {
            guard read.contains(column) else { return nil }
            return try merged.text(column, texts[column])
        }
        let products = try coded(.products)
        var categories = try coded(.categories)
        if byProduct, let products, let categoryOfProduct = texts.categoryOfProduct {
            categories = CodedText(
                codes: products.codes.map { code in
                    code == CodedText.missing ? code : categoryOfProduct.codes[Int(code)]
                }, values: categoryOfProduct.values)
        }
        let (promotions, channels) = (try coded(.promotions), try coded(.channels))
        let finalCategories = categories
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try PurchaseHistory(
                customerIDs: merged.customerIDs, lineOffsets: merged.lineOffsets,
                times: merged.joined { $0.times }, amounts: merged.joined { $0.amounts },
                margins: read.contains(.margins) ? merged.margins(grossMarginRate) : nil,
                quantities: read.contains(.quantities) ? merged.quantities() : nil,
                orderCodes: read.contains(.orders) ? merged.orderCodes() : nil,
                products: products, categories: finalCategories, promotions: promotions,
                channels: channels)
        }
    }

    /// Codes of orders count the rows of the blocks, 32 bits each.
    /// - Throws: `.tooMany` for lines in more blocks, before any column of them is decoded.
    private static func requireFewRows(_ lines: [SegmentLines]) throws(EngineError) {
        let rowCount = lines.reduce(0) { $0 + $1.blocks.count * Limits.blockRowCount }
        guard rowCount <= largestChunkRowCount else {
            throw .features(
                .tooMany(
                    what: "lines of a chunk of customers", actual: rowCount,
                    limit: largestChunkRowCount))
        }
    }

    /// Runs `map` on every chunk, in parallel, and merges what comes out in the order of chunks.
    /// - Parameter change: leaves the customers alone who have changed; nil leaves all.
    /// - Throws: the error of the first chunk that has one.
    func reduce<Result: Sendable, Partial: Sendable>(
        into initial: Result, _ wanted: LineColumns, _ texts: LineTexts,
        changed change: HistoryChange? = nil, threadCount: Int,
        map: @Sendable (PurchaseHistory) -> Partial,
        merge: @Sendable (inout Result, Partial) -> Void
    ) throws(EngineError) -> Result {
        try parallelFold(into: initial, count: chunkCount, threadCount: threadCount) {
            (index) throws(EngineError) in
            map(try chunk(index, wanted, texts, changed: change))
        } merge: { result, part in
            merge(&result, part)
        }
    }

    /// All lines as one history: for what memory holds.
    package func whole(threadCount: Int) throws(EngineError) -> PurchaseHistory {
        let texts = try survey(asOf: nil, clock: .utc, threadCount: threadCount).texts
        return try split(at: splits.gather([])).chunk(0, .all, texts)
    }
}
