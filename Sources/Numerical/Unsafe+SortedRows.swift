// Why unsafe: rows lie in memory of their own and are read at any place. What is read is checked
// against the rows and the fields that there are.

/// Rows by two of their columns, which are read where they are wanted.
package struct SortedRows: Sendable {
    package let count: Int
    /// The least and the largest value of the second column.
    package let secondBounds: ClosedRange<Int64>
    let memory: RowMemory
    /// By sorted row, where it lies; empty where all lie in their order.
    let order: [UInt32]

    /// Appends a column of some rows: patterns of 8 bytes.
    /// - Precondition: the field is the first, the second or one of words.
    package func append(_ field: RowField, _ rows: Range<Int>, to words: inout [UInt64]) {
        let start = words.count
        words.append(contentsOf: repeatElement(0, count: rows.count))
        words.withUnsafeMutableBufferPointer {
            copy(field, rows, to: UnsafeMutableBufferPointer(rebasing: $0[start...]))
        }
    }

    /// The same of patterns of 4 bytes, or the low halves of the first or the second column.
    package func append(_ field: RowField, _ rows: Range<Int>, to halves: inout [UInt32]) {
        let start = halves.count
        guard case .value = field else {
            var words: [UInt64] = []
            append(field, rows, to: &words)
            halves.append(contentsOf: words.lazy.map { UInt32(truncatingIfNeeded: $0) })
            return
        }
        halves.append(contentsOf: repeatElement(0, count: rows.count))
        halves.withUnsafeMutableBufferPointer {
            copy(field, rows, to: UnsafeMutableBufferPointer(rebasing: $0[start...]))
        }
    }

    /// A column of numbers of all rows.
    package func words(_ field: RowField, threadCount: Int) -> [Int64] {
        parallelArray(count: count, chunkRows: 1 << 16, threadCount: threadCount) {
            rows, slice in
            slice.withUnsafeMutableBytes {
                copy(field, rows, to: $0.bindMemory(to: UInt64.self))
            }
        }
    }

    /// A column of 4 bytes of all rows.
    package func halves(_ field: RowField, threadCount: Int) -> [UInt32] {
        parallelArray(count: count, chunkRows: 1 << 16, threadCount: threadCount) {
            rows, slice in
            slice.withUnsafeMutableBufferPointer { copy(field, rows, to: $0) }
        }
    }

    private func copy(
        _ field: RowField, _ rows: Range<Int>, to target: UnsafeMutableBufferPointer<UInt64>
    ) {
        let layout = memory.layout
        switch field {
        case .first: copy(rows, to: target) { UInt64(bitPattern: layout.first($0)) }
        case .second: copy(rows, to: target) { UInt64(bitPattern: layout.second($0)) }
        case .value(let index):
            precondition(layout.kinds[index] == .word)
            let offset = layout.places[index]
            if layout.isWide {
                copy(rows, to: target) { $0.load(fromByteOffset: offset, as: UInt64.self) }
            } else {
                copy(rows, to: target) {
                    let half = $0.load(fromByteOffset: offset, as: Int32.self)
                    return UInt64(bitPattern: Int64(half))
                }
            }
        }
    }

    private func copy(
        _ field: RowField, _ rows: Range<Int>, to target: UnsafeMutableBufferPointer<UInt32>
    ) {
        guard case .value(let index) = field, memory.layout.kinds[index] == .half else {
            preconditionFailure("a field of 4 bytes")
        }
        let offset = memory.layout.places[index]
        copy(rows, to: target) { $0.load(fromByteOffset: offset, as: UInt32.self) }
    }

    @inline(__always)
    private func copy<Value: BitwiseCopyable>(
        _ rows: Range<Int>, to target: UnsafeMutableBufferPointer<Value>,
        _ value: (UnsafeRawPointer) -> Value
    ) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= count)
        precondition(target.count == rows.count)
        let (base, stride) = (UnsafeRawPointer(memory.base), memory.layout.stride)
        if order.isEmpty {
            for row in rows { target[row &- rows.lowerBound] = value(base + row &* stride) }
            return
        }
        order.withUnsafeBufferPointer { order in
            for row in rows {
                target[row &- rows.lowerBound] = value(base + Int(order[row]) &* stride)
            }
        }
    }
}

/// The memory of rows.
final class RowMemory: @unchecked Sendable {
    let layout: RowLayout
    let capacity: Int
    /// Written by a collector alone, which others see when it is done.
    let base: UnsafeMutableRawPointer
    /// Rows written; a collector that knows of fewer is a copy of the one that wrote them.
    var usedCount = 0

    init(_ layout: RowLayout, capacity: Int) {
        self.layout = layout
        self.capacity = capacity
        let byteCount = max(8, capacity * layout.stride)
        base = .allocate(byteCount: byteCount, alignment: byteCount < 4 << 20 ? 64 : 2 << 20)
        useLargePages(base, byteCount: byteCount)
    }

    deinit { base.deallocate() }
}

/// What a row looks like. Where the numbers of a batch are small, as they nearly always are:
/// ```
/// u64  first column - origin, shifted by 32 bits, + second column - origin
/// u32  values of 4 bytes; values of 8 bytes as i32; 0 to the next multiple of 8
/// ```
/// or else wide: `i64 first, i64 second, values of 8 bytes, values of 4 bytes`.
struct RowLayout: Sendable {
    let isWide: Bool
    let firstOrigin: Int64
    let secondOrigin: Int64
    /// Bytes of a row, and where its values start.
    let stride: Int
    let places: [Int]
    let kinds: [Kind]

    /// The size of a value: 4 bytes or 8.
    enum Kind: Sendable {
        case half
        case word
    }

    init(_ values: [RowValues], _ range: RowRange) {
        kinds = values.map(\.kind)
        firstOrigin = max(Int64.min + 1 << 31, range.firstLow) - 1 << 31
        secondOrigin = max(Int64.min + 1 << 31, range.secondLow) - 1 << 31
        isWide = !Self.areSmall(range, firstOrigin, secondOrigin)
        var end = isWide ? 16 : 8
        var places = [Int](repeating: 0, count: values.count)
        for kind in [Kind.word, .half] {
            for index in places.indices where kinds[index] == kind {
                places[index] = end
                end += kind == .word && isWide ? 8 : 4
            }
        }
        self.places = places
        stride = (end + 7) & ~7
    }

    func fits(_ range: RowRange) -> Bool {
        isWide || Self.areSmall(range, firstOrigin, secondOrigin)
    }

    private static func areSmall(
        _ range: RowRange, _ firstOrigin: Int64, _ secondOrigin: Int64
    ) -> Bool {
        func isSmall(_ low: Int64, _ high: Int64, _ origin: Int64) -> Bool {
            low >= origin && UInt64(bitPattern: high &- origin) <= UInt64(UInt32.max)
        }
        return range.areWordsSmall && isSmall(range.firstLow, range.firstHigh, firstOrigin)
            && isSmall(range.secondLow, range.secondHigh, secondOrigin)
    }

    @inline(__always)
    func storeKey(_ first: Int64, _ second: Int64, at place: UnsafeMutableRawPointer) {
        if isWide {
            place.storeBytes(of: first, as: Int64.self)
            place.storeBytes(of: second, toByteOffset: 8, as: Int64.self)
        } else {
            let key = (first &- firstOrigin) &<< 32 | (second &- secondOrigin)
            place.storeBytes(of: key, as: Int64.self)
        }
    }

    @inline(__always)
    func first(_ row: UnsafeRawPointer) -> Int64 {
        if isWide { return row.load(as: Int64.self) }
        return firstOrigin &+ Int64(row.load(as: UInt64.self) >> 32)
    }

    @inline(__always)
    func second(_ row: UnsafeRawPointer) -> Int64 {
        if isWide { return row.load(fromByteOffset: 8, as: Int64.self) }
        return secondOrigin &+ Int64(row.load(as: UInt64.self) & 0xFFFF_FFFF)
    }
}

/// What the numbers of rows lie between, and whether the rows ascend as they came.
struct RowRange: Sendable {
    var firstLow = Int64.max
    var firstHigh = Int64.min
    var secondLow = Int64.max
    var secondHigh = Int64.min
    /// Whether all words fit 32 bits.
    var areWordsSmall = true
    var areSorted = true
    private var head: (Int64, Int64) = (0, 0)
    private var last: (Int64, Int64)?

    init() {}

    init(_ first: [Int64], _ second: [Int64], _ values: [RowValues], _ threadCount: Int) {
        let parts = parallelMap(count: first.count, chunkSize: 1 << 16, threadCount: threadCount) {
            _, rows in RowRange(first, second, values, rows)
        }
        for part in parts { add(part) }
    }

    private init(
        _ first: [Int64], _ second: [Int64], _ values: [RowValues], _ rows: Range<Int>
    ) {
        head = (first[rows.lowerBound], second[rows.lowerBound])
        last = (first[rows.upperBound - 1], second[rows.upperBound - 1])
        (firstLow, firstHigh) = Self.bounds(of: first, rows)
        (secondLow, secondHigh) = Self.bounds(of: second, rows)
        for row in rows.dropFirst() {
            if (first[row - 1], second[row - 1]) > (first[row], second[row]) {
                areSorted = false
                break
            }
        }
        for case .words(let words) in values {
            let bits = words.withUnsafeBufferPointer { words in
                // 0 above the lowest 32 bits exactly for an Int32.
                var bits: UInt64 = 0
                for row in rows { bits |= UInt64(bitPattern: words[row] &+ 1 << 31) }
                return bits
            }
            areWordsSmall = areWordsSmall && bits >> 32 == 0
        }
    }

    private static func bounds(of values: [Int64], _ rows: Range<Int>) -> (Int64, Int64) {
        values.withUnsafeBufferPointer { values in
            var (low, high) = (Int64.max, Int64.min)
            for row in rows {
                low = min(low, values[row])
                high = max(high, values[row])
            }
            return (low, high)
        }
    }

    /// Adds the rows that come next.
    mutating func add(_ other: RowRange) {
        guard let otherLast = other.last else { return }
        firstLow = min(firstLow, other.firstLow)
        firstHigh = max(firstHigh, other.firstHigh)
        secondLow = min(secondLow, other.secondLow)
        secondHigh = max(secondHigh, other.secondHigh)
        areWordsSmall = areWordsSmall && other.areWordsSmall
        areSorted = areSorted && other.areSorted && (last.map { $0 <= other.head } ?? true)
        if last == nil { head = other.head }
        last = otherLast
    }
}
