import Numerical

/// Encoded numbers of which any group of 512 rows is decoded without the others. Non-owning, as
/// `NumberChunk`, of which it is a part.
struct DirectChunk<Pattern: LanePattern> {
    enum Body {
        case constant(Pattern)
        case raw(UnsafeRawPointer)
        case packed(LanePacked, reference: UInt64, Exceptions<Pattern>)
        case packedDictionary(LanePacked, values: UnsafeRawBufferPointer)
        case decimal(LanePacked, reference: Int64, exponent: Int, Exceptions<Pattern>)
    }

    let rowCount: Int
    let body: Body

    /// One value, 0 ..< rowCount. Constant time but for exceptions, which are searched by halves.
    @inline(__always)
    func value(_ row: Int) -> Pattern {
        switch body {
        case .constant(let value):
            return value
        case .raw(let values):
            return values.loadUnaligned(
                fromByteOffset: row &* MemoryLayout<Pattern>.size, as: Pattern.self)
        case .packed(let numbers, let reference, let exceptions):
            return exceptions.find(row) ?? Pattern(truncatingIfNeeded: numbers[row] &+ reference)
        case .packedDictionary(let codes, let values):
            return values.loadUnaligned(
                fromByteOffset: Int(codes[row]) &* MemoryLayout<Pattern>.size, as: Pattern.self)
        case .decimal(let numbers, let reference, let exponent, let exceptions):
            return exceptions.find(row)
                ?? Pattern.decimal(
                    reference &+ Int64(bitPattern: numbers[row]), exponent: exponent)
        }
    }

    /// Decodes 512 rows (fewer at the end) or 1,024.
    /// - Parameter values: room for whole groups; those behind the rows have no meaning.
    func decode(
        group: Int, groupCount: Int = 1, into values: UnsafeMutablePointer<Pattern>,
        _ memory: DecodeMemory
    ) {
        let first = group * LanePacking.groupCount
        let count = min(groupCount * LanePacking.groupCount, rowCount - first)
        switch body {
        case .constant(let value):
            values.update(repeating: value, count: count)
        case .raw(let source):
            let size = MemoryLayout<Pattern>.size
            UnsafeMutableRawPointer(values).copyMemory(
                from: source + first * size, byteCount: count * size)
        case .packed(let numbers, let reference, let exceptions):
            Pattern.unpack(
                numbers, group: group, groupCount: groupCount, reference: reference, into: values,
                memory)
            exceptions.patch(group: group, groupCount: groupCount, values)
        case .packedDictionary(let codes, let table):
            guard let scratch = memory.words.baseAddress else { return }
            codes.unpack(group: group, groupCount: groupCount, into: scratch, memory)
            Pattern.lookUp(
                UnsafeBufferPointer(start: scratch, count: count), in: table,
                into: UnsafeMutableBufferPointer(start: values, count: count), memory)
        case .decimal(let numbers, let reference, let exponent, let exceptions):
            Pattern.unpackDecimals(
                numbers, group: group, groupCount: groupCount, reference: reference,
                exponent: exponent, into: values, memory)
            exceptions.patch(group: group, groupCount: groupCount, values)
        }
    }
}

/// Rows whose value is written in full beside a packed number. Checked: ascending and inside.
struct Exceptions<Pattern: LanePattern> {
    /// UInt16, of any alignment.
    let rows: UnsafeRawPointer
    let values: UnsafeRawPointer
    let count: Int

    @inline(__always)
    func row(_ index: Int) -> Int {
        Int(rows.loadUnaligned(fromByteOffset: 2 &* index, as: UInt16.self))
    }

    @inline(__always)
    func value(_ index: Int) -> Pattern {
        values.loadUnaligned(
            fromByteOffset: index &* MemoryLayout<Pattern>.size, as: Pattern.self)
    }

    /// The first exception at or after a row.
    func lowerBound(_ row: Int) -> Int {
        var range = 0..<count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self.row(middle) < row {
                range = middle + 1..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }

    /// The value of a row that is an exception.
    @inline(__always)
    func find(_ row: Int) -> Pattern? {
        if count == 0 { return nil }
        let index = lowerBound(row)
        return index < count && self.row(index) == row ? value(index) : nil
    }

    /// Puts the exceptions of a group or two in their places.
    func patch(group: Int, groupCount: Int, _ values: UnsafeMutablePointer<Pattern>) {
        if count == 0 { return }
        let first = group * LanePacking.groupCount
        var index = lowerBound(first)
        while index < count, row(index) < first + groupCount * LanePacking.groupCount {
            values[row(index) - first] = value(index)
            index += 1
        }
    }
}
