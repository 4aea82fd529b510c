import Numerical

/// A question that a scan asks of each value of a column. Rows without a value never match.
package enum Predicate: Sendable {
    /// Of an int64 column.
    case integers(ClosedRange<Int64>)
    /// Of a float32 or float64 column; NaN never matches, −0 equals 0.
    case numbers(ClosedRange<Double>)
}

/// Which of up to 1,024 rows of a vector match: a bit a row in lane order, as the kernels make and
/// use them. Bit r of word `16 g + l` is row `512 g + 16 r + l`.
package struct Selection: Sendable, Equatable {
    package private(set) var words = [UInt32](repeating: 0, count: 32)

    package init() {}

    package var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    package var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    package subscript(row: Int) -> Bool {
        get { words[Self.word(row)] >> Self.bit(row) & 1 == 1 }
        set {
            let bit: UInt32 = 1 << Self.bit(row)
            if newValue { words[Self.word(row)] |= bit } else { words[Self.word(row)] &= ~bit }
        }
    }

    /// The matching rows, ascending.
    package var rows: [Int] { (0..<1_024).filter { self[$0] } }

    package mutating func formIntersection(_ other: Selection) {
        for word in words.indices { words[word] &= other.words[word] }
    }

    private static func word(_ row: Int) -> Int { row / 512 * 16 + row % 16 }
    private static func bit(_ row: Int) -> UInt32 { UInt32(row % 512 / 16) }

    mutating func set(all isSelected: Bool, rowCount: Int) {
        for word in words.indices { words[word] = isSelected ? .max : 0 }
        if isSelected { clear(rows: rowCount..<1_024) }
    }

    mutating func clear(rows: Range<Int>) { for row in rows { self[row] = false } }

    /// Lends the words of a half of the vector.
    mutating func withGroup(
        _ group: Int, _ body: (UnsafeMutableBufferPointer<UInt32>) -> Void
    ) {
        words.withUnsafeMutableBufferPointer {
            body(UnsafeMutableBufferPointer(rebasing: $0[group * 16..<group * 16 + 16]))
        }
    }
}

/// What a zone says about a predicate.
private enum Verdict { case all, none, some }

extension EncodedColumn {
    /// What a predicate asks of the packed numbers of a block.
    enum PackedTest {
        /// No row of the block matches, as its bounds say.
        case none
        case four(PackedRange<UInt32>?)
        case eight(PackedRange<UInt64>?)

        var isNone: Bool { if case .none = self { true } else { false } }
    }

    /// Finds once for all vectors of a block what a predicate asks of its packed numbers.
    func packedTest(_ predicate: Predicate, block: Int) -> PackedTest {
        defer { extendLifetime(file) }
        switch storage {
        case .four(let blocks):
            let isNone = blocks[block].zone.verdict(predicate) == .none
            return isNone ? .none : .four(blocks[block].packedRange(predicate))
        case .eight(let blocks):
            let isNone = blocks[block].zone.verdict(predicate) == .none
            return isNone ? .none : .eight(blocks[block].packedRange(predicate))
        }
    }

    /// The rows of a vector that match. A vector whose zone (or block bounds) decides is not
    /// decoded; packed numbers are compared before the reference is added.
    /// Traps where the predicate is of another type of column.
    package func select(
        _ predicate: Predicate, vector: Int, into selection: inout Selection,
        _ memory: DecodeMemory
    ) {
        select(
            predicate, packedTest(predicate, block: vector / 16), vector: vector,
            into: &selection, memory)
    }

    /// - Parameter test: of the same predicate and the vector's block.
    func select(
        _ predicate: Predicate, _ test: PackedTest, vector: Int,
        into selection: inout Selection, _ memory: DecodeMemory
    ) {
        defer { extendLifetime(file) }
        let (index, place) = (vector / 16, vector % 16)
        switch (storage, test) {
        case (.four(let blocks), .four(let packed)):
            blocks[index].select(predicate, packed, vector: place, into: &selection, memory) {
                values, range, selection in
                let floats = UnsafeRawPointer(values).assumingMemoryBound(to: Float.self)
                guard let range = Float.enclosed(range) else {
                    return selection.update(repeating: 0)
                }
                memory.kernels.select(
                    UnsafeBufferPointer(start: floats, count: LanePacking.groupCount), range,
                    selection)
            }
        case (.eight(let blocks), .eight(let packed)):
            blocks[index].select(predicate, packed, vector: place, into: &selection, memory) {
                values, range, selection in
                let doubles = UnsafeRawPointer(values).assumingMemoryBound(to: Double.self)
                memory.kernels.select(
                    UnsafeBufferPointer(start: doubles, count: LanePacking.groupCount), range,
                    selection)
            }
        case (_, .none):
            selection.set(all: false, rowCount: 0)
        case (.four, .eight), (.eight, .four):
            preconditionFailure("a test of another column")
        }
    }
}

/// Which packed numbers of a block match a predicate. Non-owning, as the block.
struct PackedRange<Pattern: LanePattern> {
    let numbers: LanePacked
    /// Nil where none match.
    let range: ClosedRange<UInt32>?
    /// Rows that are compared in full.
    let exceptions: Exceptions<Pattern>?
}

extension Float {
    /// The floats of a range of doubles; nil where there are none.
    fileprivate static func enclosed(_ range: ClosedRange<Double>) -> ClosedRange<Float>? {
        var lower = Float(range.lowerBound)
        if Double(lower) < range.lowerBound { lower = lower.nextUp }
        var upper = Float(range.upperBound)
        if Double(upper) > range.upperBound { upper = upper.nextDown }
        return lower <= upper ? lower...upper : nil
    }
}

extension EncodedColumn.Block {
    fileprivate func select(
        _ predicate: Predicate, _ packed: PackedRange<Pattern>?, vector: Int,
        into selection: inout Selection, _ memory: DecodeMemory,
        _ selectFloats: (
            UnsafeMutablePointer<Pattern>, ClosedRange<Double>, UnsafeMutableBufferPointer<UInt32>
        ) -> Void
    ) {
        let rows = chunk.rows(ofVector: vector)
        switch verdict(predicate, vector) {
        case .none:
            selection.set(all: false, rowCount: 0)
            return
        case .all where validity == nil:
            selection.set(all: true, rowCount: rows.count)
            return
        case .all, .some:
            break
        }
        if let packed {
            select(predicate, packed, vector, into: &selection, memory)
        } else {
            let values = memory.vector.assumingMemoryBound(to: Pattern.self)
            chunk.decode(vector: vector, into: values, memory)
            for group in 0..<2 {
                let start = values + group * LanePacking.groupCount
                selection.withGroup(group) { words in
                    switch predicate {
                    case .integers(let range):
                        let longs = UnsafeRawPointer(start).assumingMemoryBound(to: UInt64.self)
                        memory.kernels.select(
                            UnsafeBufferPointer(start: longs, count: LanePacking.groupCount), range,
                            words)
                    case .numbers(let range):
                        selectFloats(start, range, words)
                    }
                }
            }
        }
        if rows.count < Limits.vectorRowCount {
            selection.clear(rows: rows.count..<Limits.vectorRowCount)
        }
        restrict(&selection, vector)
    }

    /// Takes the rows without a value out.
    func restrict(_ selection: inout Selection, _ vector: Int) {
        guard validity != nil else { return }
        let rows = chunk.rows(ofVector: vector)
        for row in 0..<rows.count where !isValid(rows.lowerBound + row) { selection[row] = false }
    }

    /// What a predicate asks of packed numbers as they are; nil where the encoding or the predicate
    /// is another.
    fileprivate func packedRange(_ predicate: Predicate) -> PackedRange<Pattern>? {
        guard case .direct(let direct) = chunk.body else { return nil }
        switch (direct.body, predicate) {
        case (.packed(let packed, let reference, let exceptions), .integers(let wanted))
        where packed.width <= 32 && !packed.wraps(Int64(bitPattern: reference)):
            return PackedRange(
                numbers: packed, range: packed.range(of: wanted, Int64(bitPattern: reference)),
                exceptions: exceptions)
        case (.packedDictionary(let codes, let values), _):
            guard let range = codeRange(predicate, values) else { return nil }
            return PackedRange(numbers: codes, range: range, exceptions: nil)
        default:
            return nil
        }
    }

    private func select(
        _ predicate: Predicate, _ packed: PackedRange<Pattern>, _ vector: Int,
        into selection: inout Selection, _ memory: DecodeMemory
    ) {
        guard let words = memory.words.baseAddress else { return }
        for group in 0..<2 {
            guard let range = packed.range,
                (vector * 2 + group) * LanePacking.groupCount < chunk.rowCount
            else {
                selection.withGroup(group) { $0.update(repeating: 0) }
                continue
            }
            packed.numbers.unpack(group: vector * 2 + group, into: words, memory)
            selection.withGroup(group) {
                memory.kernels.select(
                    UnsafeBufferPointer(start: words, count: LanePacking.groupCount), range, $0)
            }
        }
        guard let exceptions = packed.exceptions, exceptions.count > 0,
            case .integers(let wanted) = predicate
        else { return }
        let first = vector * Limits.vectorRowCount
        var index = exceptions.lowerBound(first)
        while index < exceptions.count, exceptions.row(index) < first + Limits.vectorRowCount {
            let value = Int64(truncatingIfNeeded: exceptions.value(index))
            selection[exceptions.row(index) - first] = wanted.contains(value)
            index += 1
        }
    }

    /// The codes whose values match, where they are neighbours; an empty range as nil inside.
    private func codeRange(
        _ predicate: Predicate, _ values: UnsafeRawBufferPointer
    ) -> ClosedRange<UInt32>?? {
        let count = values.count / MemoryLayout<Pattern>.size
        // Asking each of so many values takes longer than comparing the rows.
        if count > Limits.vectorRowCount { return nil }
        var (first, last, matches) = (0, -1, 0)
        for code in 0..<count {
            let value = values.loadUnaligned(
                fromByteOffset: code * MemoryLayout<Pattern>.size, as: Pattern.self)
            guard predicate.matches(value) else { continue }
            if matches == 0 { first = code }
            last = code
            matches += 1
        }
        if matches == 0 { return .some(nil) }
        return matches == last - first + 1 ? .some(UInt32(first)...UInt32(last)) : nil
    }

    private func verdict(_ predicate: Predicate, _ vector: Int) -> Verdict {
        guard let zones else { return zone.verdict(predicate) }
        let bounds: ZoneMap.Bounds? =
            switch zone.bounds {
            case .int64:
                .int64(
                    minimum: zones.integers(vector).lower, maximum: zones.integers(vector).upper)
            case .float64:
                .float64(minimum: zones.floats(vector).lower, maximum: zones.floats(vector).upper)
            case .textPrefix, nil: nil
            }
        return ZoneMap(rowCount: 0, nullCount: 0, bounds: bounds).verdict(predicate)
    }
}

extension ZoneMap {
    /// What bounds say about a predicate; those of a vector without a value are upside down.
    fileprivate func verdict(_ predicate: Predicate) -> Verdict {
        switch (predicate, bounds) {
        case (_, nil):
            // No row has a value, or all are NaN.
            return .none
        case (.integers(let range), .int64(let lower, let upper)):
            if lower > upper || upper < range.lowerBound || lower > range.upperBound {
                return .none
            }
            return range.contains(lower) && range.contains(upper) ? .all : .some
        case (.numbers(let range), .float64(let lower, let upper)):
            if lower > upper || upper < range.lowerBound || lower > range.upperBound {
                return .none
            }
            // NaN is not in the bounds, so even a whole zone may hold rows that do not match.
            return .some
        default:
            preconditionFailure("a predicate of another type of column")
        }
    }
}

extension LanePacked {
    private var largest: Int64 { width == 0 ? 0 : Int64(UInt32.max >> UInt32(32 - width)) }

    /// Whether sums with a reference pass the largest int64: ranges are then no ranges of numbers.
    fileprivate func wraps(_ reference: Int64) -> Bool {
        reference.addingReportingOverflow(largest).overflow
    }

    /// The numbers whose sum with a reference lies in a range; nil where there are none.
    fileprivate func range(
        of wanted: ClosedRange<Int64>, _ reference: Int64
    ) -> ClosedRange<UInt32>? {
        let top = reference + largest
        let lower = max(wanted.lowerBound, reference)
        let upper = min(wanted.upperBound, top)
        return lower <= upper
            ? UInt32(lower - reference)...UInt32(upper - reference) : nil
    }
}

extension Predicate {
    fileprivate func matches<Pattern: LanePattern>(_ value: Pattern) -> Bool {
        switch self {
        case .integers(let range):
            return range.contains(Int64(truncatingIfNeeded: value))
        case .numbers(let range):
            return MemoryLayout<Pattern>.size == 4
                ? range.contains(Double(Float(bitPattern: UInt32(truncatingIfNeeded: value))))
                : range.contains(Double(bitPattern: UInt64(truncatingIfNeeded: value)))
        }
    }
}
