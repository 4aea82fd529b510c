import ByteCoding
import ColumnStore
import Features
import Numerical

extension PurchaseSegments {
    /// Merges segments of the same columns into one by (customer, time, segment, line): what one
    /// ingest of all their lines, in the order of the segments, would have written.
    ///
    /// Chunks of whole customers, one a thread, are read from all segments and written in order, so
    /// memory holds but a few blocks of each.
    /// - Parameters:
    ///   - paths: two and more.
    ///   - path: of the new segment.
    /// - Returns: the writer, whose file is not finished.
    static func merged(
        _ paths: [String], to path: String, chunkLineCount: Int, threadCount: Int,
        progress: (_ share: Double) -> Void = { _ in }
    ) throws(EngineError) -> SegmentWriter {
        let history = try SegmentedHistory(
            paths: paths, grossMarginRate: 0, chunkLineCount: chunkLineCount,
            threadCount: threadCount)
        guard history.segments.allSatisfy({ $0.columns == history.columns }) else {
            throw .features(
                .inconsistentHistory("segments of different columns are not merged"))
        }
        let isOfTexts = if case .texts = history.splits { true } else { false }
        let writer = try writer(
            to: path, columns: history.columns, isOfTexts: isOfTexts, threadCount: threadCount)
        for start in stride(from: 0, to: history.chunkCount, by: threadCount) {
            let count = min(threadCount, history.chunkCount - start)
            let parts = parallelMap(count: count, chunkSize: 1, threadCount: threadCount) {
                index, _ -> Result<[Column], EngineError> in
                do throws(EngineError) {
                    return .success(try history.mergedColumns(ofChunk: start + index))
                } catch {
                    return .failure(error)
                }
            }
            for part in parts {
                let columns = try part.get()
                try mapErrors(EngineError.store) { () throws(StoreError) in
                    try writer.append(columns)
                }
            }
            progress(Double(start + count) / Double(history.chunkCount))
        }
        return writer
    }
}

extension SegmentedHistory {
    /// All columns of the lines of a chunk's customers, as they are written.
    fileprivate func mergedColumns(ofChunk index: Int) throws(EngineError) -> [Column] {
        var parts: [SegmentLines] = []
        for segment in segments {
            let lines = try segment.lines(
                from: index > 0 ? index - 1 : nil, upTo: index < splits.count ? index : nil,
                of: splits, columns)
            if let lines { parts.append(lines) }
        }
        let merged = LineOrder(parts)
        var result = [
            Column(
                name: "customer",
                data: PurchaseSegments.customerColumn(
                    merged.customerIDs, merged.lineOffsets, threadCount: 1)),
            Column(name: "time", data: .int64(merged.joined { $0.times })),
            Column(name: "amount", data: .int64(merged.joined { $0.amounts })),
        ]
        if columns.contains(.margins) {
            result.append(Column(name: "margin", data: .int64(merged.joined { $0.margins ?? [] })))
        }
        if columns.contains(.quantities) {
            result.append(
                Column(name: "quantity", data: .float32(merged.joined { $0.quantities ?? [] })))
        }
        for (column, name) in PurchaseSegments.textNames where columns.contains(column) {
            result.append(Column(name: name, data: .coded(merged.text(column))))
        }
        return result
    }
}

/// The lines of the same customers in several segments by (customer, time, segment, line).
private struct LineOrder {
    private(set) var customerIDs: IDColumn
    private(set) var lineOffsets = [0]
    private let parts: [SegmentLines]
    /// By merged line, which it is of all parts' lines end to end.
    private var lines: [UInt32] = []

    /// - Parameter parts: in the order of their segments; their lines are fewer than 2^32.
    init(_ parts: [SegmentLines]) {
        self.parts = parts
        var starts: [Int] = []
        var lineCount = 0
        for part in parts {
            starts.append(lineCount)
            lineCount += part.count
        }
        customerIDs = parts.first?.customerIDs.slice(0..<0) ?? .integers([])
        lines.reserveCapacity(lineCount)
        var ids = customerIDs
        for part in parts { _ = ids.append(contentsOf: part.customerIDs) }
        let times = parts.count > 1 ? parts.flatMap(\.times) : []
        // By part, where its next customer stands in `ids`, and where they end.
        var next: [Int] = []
        var ends: [Int] = []
        for part in parts {
            next.append(ends.last ?? 0)
            ends.append((ends.last ?? 0) + part.customerIDs.count)
        }
        let firsts = next
        var heads: [Int] = []
        // The lines of the customer in the parts that have any.
        var waiting: [Range<Int>] = []
        while let head = Self.least(next, ends, ids) {
            heads.append(head)
            waiting.removeAll(keepingCapacity: true)
            for part in parts.indices where next[part] < ends[part] {
                if next[part] != head, ids.precedes(head, next[part]) { continue }
                let own = parts[part].lines(ofCustomer: next[part] - firsts[part])
                waiting.append(own.lowerBound + starts[part]..<own.upperBound + starts[part])
                next[part] += 1
            }
            merge(&waiting, times)
            lineOffsets.append(lines.count)
        }
        customerIDs = ids.gather(heads)
    }

    /// The first customer that is left; of several parts' the first part's. Nil at the end.
    private static func least(_ next: [Int], _ ends: [Int], _ ids: IDColumn) -> Int? {
        var least: Int?
        for part in next.indices where next[part] < ends[part] {
            if let known = least, !ids.precedes(next[part], known) { continue }
            least = next[part]
        }
        return least
    }

    /// Takes the lines of one customer by time; equal times in the order of the parts.
    private mutating func merge(_ waiting: inout [Range<Int>], _ times: [Int64]) {
        while waiting.count > 1 {
            var best = 0
            for index in 1..<waiting.count
            where times[waiting[index].lowerBound] < times[waiting[best].lowerBound] {
                best = index
            }
            lines.append(UInt32(waiting[best].lowerBound))
            let rest = waiting[best].dropFirst()
            if rest.isEmpty { waiting.remove(at: best) } else { waiting[best] = rest }
        }
        for range in waiting {
            for line in range { lines.append(UInt32(line)) }
        }
    }

    /// A column that every part has.
    func joined<Value>(_ column: (SegmentLines) -> [Value]) -> [Value] {
        if parts.count == 1 { return column(parts[0]) }
        var all: [Value] = []
        all.reserveCapacity(lines.count)
        for part in parts { all += column(part) }
        return lines.map { all[Int($0)] }
    }

    /// A text column that every part has, in codes of its own.
    func text(_ column: LineColumns) -> CodedText {
        var interner = TextInterner()
        let codes = joined { part -> [UInt32] in
            let known =
                column == .orders ? part.orders?.column : part.texts[column.rawValue]
            guard let text = known else {
                return [UInt32](repeating: CodedText.missing, count: part.count)
            }
            let numbers = (0..<text.values.count).map { interner.number(of: text.values, $0) }
            return text.codes.map { $0 == CodedText.missing ? $0 : numbers[Int($0)] }
        }
        return CodedText(codes: codes, values: interner.texts)
    }
}
