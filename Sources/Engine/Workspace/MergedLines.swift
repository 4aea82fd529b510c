import ByteCoding
import ColumnStore
import Features

/// Lines of the same customers in several segments, by (customer, time, segment, line).
struct MergedLines {
    let customerIDs: IDColumn
    let lineOffsets: [Int]
    private let parts: [SegmentLines]
    /// By merged line, which it is of the parts' lines end to end; nil for one part, whose order is
    /// theirs.
    private let order: [UInt32]?

    /// - Parameter parts: in the order of their segments; their lines are fewer than 2^32.
    /// - Complexity: O(lines x parts that share a customer + customers x log parts).
    init(_ parts: [SegmentLines]) {
        self.parts = parts
        guard parts.count > 1 else {
            customerIDs = parts.first?.customerIDs ?? .integers([])
            lineOffsets = parts.first?.lineOffsets ?? [0]
            order = nil
            return
        }
        var ids = parts[0].customerIDs.slice(0..<0)
        // By part, where its customers and its lines start among those of all.
        var firsts: [Int] = []
        var starts: [Int] = []
        var lineCount = 0
        for part in parts {
            firsts.append(ids.count)
            starts.append(lineCount)
            let isOfOneKind = ids.append(contentsOf: part.customerIDs)
            precondition(isOfOneKind, "the splits of a history refuse ids of two kinds")
            lineCount += part.count
        }
        var heads = CustomerHeads(ids, firsts)
        var order: [UInt32] = []
        order.reserveCapacity(lineCount)
        var customers: [Int] = []
        var offsets = [0]
        // The lines of the customer in the parts that have any.
        var waiting: [(part: Int, lines: Range<Int>)] = []
        while let (customer, part) = heads.take() {
            customers.append(customer)
            waiting.append((part, parts[part].lines(ofCustomer: customer - firsts[part])))
            while let (other, part) = heads.take(equalTo: customer) {
                waiting.append((part, parts[part].lines(ofCustomer: other - firsts[part])))
            }
            Self.merge(&waiting, parts, starts, into: &order)
            offsets.append(order.count)
        }
        customerIDs = ids.gather(customers)
        lineOffsets = offsets
        self.order = order
    }

    /// Takes the lines of one customer by time; equal times in the order of the parts.
    /// - Parameter waiting: ascending by part; none is left.
    private static func merge(
        _ waiting: inout [(part: Int, lines: Range<Int>)], _ parts: [SegmentLines],
        _ starts: [Int], into order: inout [UInt32]
    ) {
        while waiting.count > 1 {
            var best = 0
            var time = parts[waiting[0].part].times[waiting[0].lines.lowerBound]
            for index in 1..<waiting.count {
                let other = parts[waiting[index].part].times[waiting[index].lines.lowerBound]
                if other < time { (best, time) = (index, other) }
            }
            let (part, lines) = waiting[best]
            order.append(UInt32(starts[part] + lines.lowerBound))
            if lines.count == 1 {
                waiting.remove(at: best)
            } else {
                waiting[best].lines = lines.dropFirst()
            }
        }
        guard let (part, lines) = waiting.popLast() else { return }
        for line in lines { order.append(UInt32(starts[part] + line)) }
    }

    /// A column that every part has.
    func joined<Value>(_ column: (SegmentLines) -> [Value]) -> [Value] {
        inOrder(ofPart: { column(parts[$0]) })
    }

    private func inOrder<Value>(ofPart column: (Int) -> [Value]) -> [Value] {
        guard let order else { return parts.isEmpty ? [] : column(0) }
        var all: [Value] = []
        all.reserveCapacity(order.count)
        for part in parts.indices { all += column(part) }
        return order.map { all[Int($0)] }
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
        // By part; of none without the column.
        var numbers: [[UInt32]] = []
        for part in parts {
            var translated: [UInt32] = []
            if let values = part.texts[column.rawValue]?.values {
                translated.reserveCapacity(values.count)
                for code in 0..<values.count {
                    guard let number = dictionary?.interner.number(ofKnown: values, code) else {
                        throw .features(.inconsistentHistory("a text that no survey has met"))
                    }
                    translated.append(number)
                }
            }
            numbers.append(translated)
        }
        let translated = inOrder(ofPart: { part in
            codes(parts[part], column) { numbers[part][Int($0)] }
        })
        return CodedText(codes: translated, values: dictionary?.values ?? TextArray())
    }

    /// A text column in codes of its own.
    func text(_ column: LineColumns) -> CodedText {
        var interner = TextInterner()
        let codes = joined { part -> [UInt32] in
            let known = column == .orders ? part.orders?.column : part.texts[column.rawValue]
            guard let text = known else {
                return [UInt32](repeating: CodedText.missing, count: part.count)
            }
            let numbers = (0..<text.values.count).map { interner.number(of: text.values, $0) }
            return text.codes.map { $0 == CodedText.missing ? $0 : numbers[Int($0)] }
        }
        return CodedText(codes: codes, values: interner.texts)
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

/// The customers of several parts in ascending order: a heap of the parts by their next customers.
private struct CustomerHeads {
    private let ids: IDColumn
    /// By part, where its next customer is among `ids`, and the end.
    private var next: [Int]
    private let ends: [Int]
    /// Parts with customers left: no child is before its parent.
    private var heap: [Int] = []

    /// - Parameters:
    ///   - ids: of all parts end to end, each ascending.
    ///   - firsts: where those of each part start.
    init(_ ids: IDColumn, _ firsts: [Int]) {
        self.ids = ids
        next = firsts
        ends = firsts.dropFirst() + [ids.count]
        heap = firsts.indices.filter { firsts[$0] < ends[$0] }
        for place in heap.indices.reversed() { sink(place) }
    }

    /// The next customer of all, of equal ones the first part's.
    mutating func take() -> (customer: Int, part: Int)? {
        guard let part = heap.first else { return nil }
        let customer = next[part]
        next[part] += 1
        if next[part] == ends[part] {
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
        }
        sink(0)
        return (customer, part)
    }

    /// The same where it is a certain one.
    mutating func take(equalTo customer: Int) -> (customer: Int, part: Int)? {
        guard let part = heap.first, !ids.precedes(customer, next[part]) else { return nil }
        return take()
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && isBefore(heap[child], heap[least]) { least = child }
            if least == place { return }
            heap.swapAt(place, least)
            place = least
        }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        if ids.precedes(next[a], next[b]) { return true }
        return a < b && !ids.precedes(next[b], next[a])
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
