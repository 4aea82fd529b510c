import Numerical

/// The encoded numbers of a chunk, checked once and then decoded by groups of 512 rows or read one
/// by one. Non-owning: the pointers lie in bytes that whoever holds the chunk keeps alive.
struct NumberChunk<Pattern: LanePattern> {
    indirect enum Body {
        case constant(Pattern)
        case raw(UnsafeRawPointer)
        case packed(LanePacked, reference: UInt64, Exceptions<Pattern>)
        case packedDelta(LanePacked, reference: UInt64, firsts: UnsafeRawPointer)
        case packedDictionary(LanePacked, values: UnsafeRawBufferPointer)
        case runEnds(LanePacked, values: UnsafeRawBufferPointer)
        case decimal(LanePacked, reference: Int64, exponent: Int, Exceptions<Pattern>)
        case sparse(Sparse)
    }

    /// One frequent value, a bit a row, and the rest.
    struct Sparse {
        let frequent: Pattern
        let bits: UnsafeRawBufferPointer
        /// UInt16 a vector: the others before it.
        let ranks: UnsafeRawPointer
        let others: NumberChunk<Pattern>
    }

    static var vectorRowCount: Int { 1_024 }

    let rowCount: Int
    let body: Body

    var vectorCount: Int { (rowCount + Self.vectorRowCount - 1) / Self.vectorRowCount }

    func rows(ofVector vector: Int) -> Range<Int> {
        vector * Self.vectorRowCount..<min(rowCount, (vector + 1) * Self.vectorRowCount)
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

extension NumberChunk {
    /// One value. Traps outside `0 ..< rowCount`. Constant time but for exceptions and runs, which
    /// are searched by halves, and deltas, which add up to 1,023 numbers.
    func value(_ row: Int) -> Pattern {
        precondition(row >= 0 && row < rowCount, "row outside the chunk")
        switch body {
        case .constant(let value):
            return value
        case .raw(let values):
            return values.loadUnaligned(
                fromByteOffset: row &* MemoryLayout<Pattern>.size, as: Pattern.self)
        case .packed(let numbers, let reference, let exceptions):
            return exceptions.find(row) ?? Pattern(truncatingIfNeeded: numbers[row] &+ reference)
        case .packedDelta(let numbers, let reference, let firsts):
            let vector = row / Self.vectorRowCount
            var value = firsts.loadUnaligned(fromByteOffset: vector * 8, as: UInt64.self)
            for index in vector * Self.vectorRowCount..<row {
                value = value &+ reference &+ numbers[index + 1]
            }
            return Pattern(truncatingIfNeeded: value)
        case .packedDictionary(let codes, let values):
            return values.loadUnaligned(
                fromByteOffset: Int(codes[row]) &* MemoryLayout<Pattern>.size, as: Pattern.self)
        case .runEnds(let ends, let values):
            return values.loadUnaligned(
                fromByteOffset: Self.run(ofRow: row, ends) &* MemoryLayout<Pattern>.size,
                as: Pattern.self)
        case .decimal(let numbers, let reference, let exponent, let exceptions):
            return exceptions.find(row)
                ?? Pattern.decimal(
                    reference &+ Int64(bitPattern: numbers[row]), exponent: exponent)
        case .sparse(let sparse):
            guard let rank = sparse.rank(ofRow: row) else { return sparse.frequent }
            return sparse.others.value(rank)
        }
    }

    /// The run that holds a row.
    static func run(ofRow row: Int, _ ends: LanePacked) -> Int {
        var range = 0..<ends.count - 1
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if Int(ends[middle]) < row {
                range = middle + 1..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }

    /// Decodes a vector.
    /// - Parameter values: room for 1,024 values whatever the vector's rows; those behind them have
    ///   no meaning.
    func decode(
        vector: Int, into values: UnsafeMutablePointer<Pattern>, _ memory: DecodeMemory
    ) {
        let rows = rows(ofVector: vector)
        switch body {
        case .packedDelta(let numbers, let reference, let firsts):
            let first = firsts.loadUnaligned(fromByteOffset: vector * 8, as: UInt64.self)
            decodeDelta(numbers, rows, first, reference, into: values, memory)
        case .runEnds(let ends, let table):
            var row = rows.lowerBound
            var run = Self.run(ofRow: row, ends)
            while row < rows.upperBound {
                let end = min(Int(ends[run]) + 1, rows.upperBound)
                let value = table.loadUnaligned(
                    fromByteOffset: run &* MemoryLayout<Pattern>.size, as: Pattern.self)
                (values + (row - rows.lowerBound)).update(repeating: value, count: end - row)
                (row, run) = (end, run + 1)
            }
        case .sparse(let sparse):
            sparse.decode(vector: vector, rows, into: values, memory)
        default:
            let groups = LanePacking.groupCount
            if rows.count == 2 * groups {
                decode(group: 2 * vector, groupCount: 2, into: values, memory)
                return
            }
            for group in rows.lowerBound / groups...(rows.upperBound - 1) / groups {
                decode(group: group, into: values + (group * groups - rows.lowerBound), memory)
            }
        }
    }

    /// Decodes 512 rows (fewer at the end) or 1,024 of the encodings that have no wider unit.
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
        case .packedDelta, .runEnds, .sparse:
            preconditionFailure("decoded by vectors")
        }
    }

    private func decodeDelta(
        _ numbers: LanePacked, _ rows: Range<Int>, _ first: UInt64, _ reference: UInt64,
        into values: UnsafeMutablePointer<Pattern>, _ memory: DecodeMemory
    ) {
        // Only int64 columns have deltas: a pattern is a UInt64 here.
        let longs = UnsafeMutableRawPointer(values).assumingMemoryBound(to: UInt64.self)
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: LanePacking.groupCount)
        {
            numbers.unpack(
                group: start / LanePacking.groupCount, reference: 0 as UInt64,
                into: longs + (start - rows.lowerBound), memory)
        }
        memory.kernels.sumUp(
            UnsafeMutableBufferPointer(start: longs, count: rows.count), first: first,
            step: reference)
    }

    /// Decodes all rows.
    /// - Parameter values: exactly `rowCount` values.
    func decodeAll(into values: UnsafeMutableBufferPointer<Pattern>, _ memory: DecodeMemory) {
        precondition(values.count == rowCount)
        guard let base = values.baseAddress else { return }
        if case .sparse(let sparse) = body {
            sparse.decodeAll(into: values, memory)
            return
        }
        for vector in 0..<vectorCount {
            let rows = rows(ofVector: vector)
            if rows.count == Self.vectorRowCount {
                decode(vector: vector, into: base + rows.lowerBound, memory)
                continue
            }
            let scratch = memory.vector.assumingMemoryBound(to: Pattern.self)
            decode(vector: vector, into: scratch, memory)
            (base + rows.lowerBound).update(from: scratch, count: rows.count)
        }
    }
}

extension NumberChunk.Sparse {
    /// The position among the others; nil for a row with the frequent value.
    @inline(__always)
    func rank(ofRow row: Int) -> Int? {
        let word = word(row / 64)
        let bit = UInt64(row % 64)
        guard word >> bit & 1 == 1 else { return nil }
        let vector = row / NumberChunk.vectorRowCount
        var rank = Int(ranks.loadUnaligned(fromByteOffset: 2 * vector, as: UInt16.self))
        for index in vector * 16..<row / 64 { rank += self.word(index).nonzeroBitCount }
        return rank + (word & (1 << bit - 1)).nonzeroBitCount
    }

    @inline(__always)
    func word(_ index: Int) -> UInt64 {
        bits.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
    }

    func rank(ofVector vector: Int) -> Int {
        Int(ranks.loadUnaligned(fromByteOffset: 2 * vector, as: UInt16.self))
    }

    func decode(
        vector: Int, _ rows: Range<Int>, into values: UnsafeMutablePointer<Pattern>,
        _ memory: DecodeMemory
    ) {
        let first = rank(ofVector: vector)
        // Behind the last vector are all others.
        let isLast = rows.upperBound + 64 > bits.count * 8
        let end = isLast ? others.rowCount : rank(ofVector: vector + 1)
        let target = UnsafeMutableBufferPointer(start: values, count: rows.count)
        let bytes = UnsafeRawBufferPointer(rebasing: bits[(rows.lowerBound / 8)...])
        // At most 1,024 others lie in at most three groups; one value more is read.
        let scratch = memory.others.assumingMemoryBound(to: Pattern.self)
        let firstGroup = first / LanePacking.groupCount
        if first < end {
            for group in firstGroup...(end - 1) / LanePacking.groupCount {
                others.decode(
                    group: group, into: scratch + (group - firstGroup) * LanePacking.groupCount,
                    memory)
            }
        }
        Pattern.spread(
            bytes,
            others: UnsafeBufferPointer(
                start: scratch + (first - firstGroup * LanePacking.groupCount),
                count: end - first + 1),
            frequent: frequent, into: target, memory)
    }

    func decodeAll(into values: UnsafeMutableBufferPointer<Pattern>, _ memory: DecodeMemory) {
        let scratch = memory.others.assumingMemoryBound(to: Pattern.self)
        for group in 0..<(others.rowCount + LanePacking.groupCount - 1) / LanePacking.groupCount {
            others.decode(group: group, into: scratch + group * LanePacking.groupCount, memory)
        }
        Pattern.spread(
            bits, others: UnsafeBufferPointer(start: scratch, count: others.rowCount + 1),
            frequent: frequent, into: values, memory)
    }
}
