import ByteCoding
import ColumnStore
import Features

/// Lines of the same customers in several segments, by (customer, time, segment, line).
struct MergedLines {
    let customerIDs: IDColumn
    let lineOffsets: [Int]
    private let parts: [SegmentLines]
    /// Where the merged lines come from, in their order; nil for one part, whose order is theirs.
    private let runs: [Run]?

    private struct Run {
        var part: Int
        var lines: Range<Int>
    }

    /// - Parameter parts: in the order of their segments.
    init(_ parts: [SegmentLines]) {
        self.parts = parts
        guard parts.count > 1 else {
            customerIDs = parts.first?.customerIDs ?? .integers([])
            lineOffsets = parts.first?.lineOffsets ?? [0]
            runs = nil
            return
        }
        var ids = parts[0].customerIDs
        var owners: [(part: Int, row: Int)] = []
        for (index, part) in parts.enumerated() {
            if index > 0 {
                let isOfOneKind = ids.append(contentsOf: part.customerIDs)
                precondition(isOfOneKind, "the splits of a history refuse ids of two kinds")
            }
            for row in 0..<part.customerIDs.count { owners.append((index, row)) }
        }
        let order = sortedOrder(of: ids)
        var runs: [Run] = []
        var heads: [Int] = []
        var offsets = [0]
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count, !ids.precedes(order[start], order[end]) { end += 1 }
            heads.append(order[start])
            let first = runs.count
            Self.append(order[start..<end].map { owners[$0] }, of: parts, to: &runs)
            offsets.append(
                runs[first...].reduce(offsets[offsets.count - 1]) { $0 + $1.lines.count })
            start = end
        }
        customerIDs = ids.gather(heads)
        lineOffsets = offsets
        self.runs = runs
    }

    /// The lines of one customer, who is in these parts.
    private static func append(
        _ owners: [(part: Int, row: Int)], of parts: [SegmentLines], to runs: inout [Run]
    ) {
        if owners.count == 1 {
            let lines = parts[owners[0].part].lines(ofCustomer: owners[0].row)
            runs.append(Run(part: owners[0].part, lines: lines))
            return
        }
        var lines: [(time: Int64, part: Int, line: Int)] = []
        for owner in owners {
            let part = parts[owner.part]
            for line in part.lines(ofCustomer: owner.row) {
                lines.append((part.times[line], owner.part, line))
            }
        }
        lines.sort { ($0.time, $0.part, $0.line) < ($1.time, $1.part, $1.line) }
        let first = runs.count
        for line in lines {
            if runs.count > first, runs[runs.count - 1].part == line.part,
                runs[runs.count - 1].lines.upperBound == line.line
            {
                runs[runs.count - 1].lines = runs[runs.count - 1].lines.lowerBound..<line.line + 1
            } else {
                runs.append(Run(part: line.part, lines: line.line..<line.line + 1))
            }
        }
    }

    /// A column that every part has.
    func joined<Value>(_ column: (SegmentLines) -> [Value]) -> [Value] {
        guard let runs else { return parts.first.map(column) ?? [] }
        let columns = parts.map(column)
        var result: [Value] = []
        result.reserveCapacity(lineOffsets[lineOffsets.count - 1])
        for run in runs { result.append(contentsOf: columns[run.part][run.lines]) }
        return result
    }

    /// Lines of segments without margins get amount x rate.
    func margins(_ grossMarginRate: Double) -> [Int64] {
        joined { part in
            part.margins ?? part.amounts.map { Int64((Double($0) * grossMarginRate).rounded()) }
        }
    }

    /// Lines of segments without quantities count one item.
    func quantities() -> [Float] {
        joined { part in part.quantities ?? part.amounts.map { $0 < 0 ? -1 : 1 } }
    }

    /// Equal texts of a customer have equal codes; lines of segments without orders have none.
    func orderCodes() -> [UInt32] {
        var all = LineOrders()
        all.codes = joined { part -> [UInt32] in
            guard let orders = part.orders else {
                return [UInt32](repeating: CodedText.missing, count: part.count)
            }
            return all.append(orders)
        }
        all.matchTexts(lineOffsets: lineOffsets)
        return all.codes
    }

    /// A text column in the codes of a dictionary.
    /// - Throws: where the dictionary lacks a text: it is not of these segments.
    func text(
        _ column: LineColumns, _ dictionary: LineDictionary?
    ) throws(EngineError) -> CodedText {
        var numbers: [Int: [UInt32]] = [:]
        for (index, part) in parts.enumerated() {
            guard let values = part.texts[column.rawValue]?.values else { continue }
            var translated: [UInt32] = []
            translated.reserveCapacity(values.count)
            for code in 0..<values.count {
                guard let number = dictionary?.interner.number(ofKnown: values, code) else {
                    throw .features(.inconsistentHistory("a text that no survey has met"))
                }
                translated.append(number)
            }
            numbers[index] = translated
        }
        var index = -1
        let translated = joined { part -> [UInt32] in
            index += 1
            let numbers = numbers[index]
            return codes(part, column) { numbers?[Int($0)] ?? CodedText.missing }
        }
        return CodedText(codes: translated, values: dictionary?.values ?? TextArray())
    }

    private func codes(
        _ part: SegmentLines, _ column: LineColumns, _ translate: (UInt32) -> UInt32
    ) -> [UInt32] {
        guard let text = part.texts[column.rawValue] else {
            return [UInt32](repeating: CodedText.missing, count: part.count)
        }
        return text.codes.map { $0 == CodedText.missing ? $0 : translate($0) }
    }
}

extension TextInterner {
    /// The number of a text of an array, a new one where it has none.
    mutating func number(of texts: TextArray, _ row: Int) -> UInt32 {
        number(of: texts.bytes.span.bytes.extracting(texts.offsets[row]..<texts.offsets[row + 1]))
    }

    /// The number of a text of an array; nil where it has none.
    func number(ofKnown texts: TextArray, _ row: Int) -> UInt32? {
        number(
            ofKnown: texts.bytes.span.bytes.extracting(texts.offsets[row]..<texts.offsets[row + 1]))
    }
}
