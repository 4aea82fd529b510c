import Numerical

/// The encoded numbers of a chunk, checked once and then decoded by vectors of 1,024 rows or read
/// one by one. Non-owning: the pointers lie in bytes that whoever holds the chunk keeps alive.
/// Without references of its own, so that reading a value counts none.
struct NumberChunk<Pattern: LanePattern> {
    enum Body {
        case direct(DirectChunk<Pattern>)
        case packedDelta(LanePacked, reference: UInt64, firsts: UnsafeRawPointer)
        case runEnds(LanePacked, values: UnsafeRawBufferPointer)
        case sparse(Sparse)
    }

    /// One frequent value, a bit a row, and the rest.
    struct Sparse {
        let frequent: Pattern
        let bits: UnsafeRawBufferPointer
        /// UInt16 a vector: the others before it.
        let ranks: UnsafeRawPointer
        let others: DirectChunk<Pattern>
    }

    static var vectorRowCount: Int { Limits.vectorRowCount }

    let rowCount: Int
    let body: Body

    var vectorCount: Int { (rowCount + Self.vectorRowCount - 1) / Self.vectorRowCount }

    func rows(ofVector vector: Int) -> Range<Int> {
        vector * Self.vectorRowCount..<min(rowCount, (vector + 1) * Self.vectorRowCount)
    }
}

extension NumberChunk {
    /// One value. Traps outside `0 ..< rowCount`. Constant time but for exceptions and runs, which
    /// are searched by halves, and deltas, which add up to 1,023 numbers.
    @inline(__always)
    func value(_ row: Int) -> Pattern {
        precondition(row >= 0 && row < rowCount, "row outside the chunk")
        switch body {
        case .direct(let chunk):
            return chunk.value(row)
        case .packedDelta(let numbers, let reference, let firsts):
            let vector = row / Self.vectorRowCount
            var value = firsts.loadUnaligned(fromByteOffset: vector * 8, as: UInt64.self)
            for index in vector * Self.vectorRowCount..<row {
                value = value &+ reference &+ numbers[index + 1]
            }
            return Pattern(truncatingIfNeeded: value)
        case .runEnds(let ends, let values):
            return values.loadUnaligned(
                fromByteOffset: Self.run(ofRow: row, ends) &* MemoryLayout<Pattern>.size,
                as: Pattern.self)
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
        case .direct(let chunk):
            let groups = LanePacking.groupCount
            if rows.count == 2 * groups {
                chunk.decode(group: 2 * vector, groupCount: 2, into: values, memory)
                return
            }
            for group in rows.lowerBound / groups...(rows.upperBound - 1) / groups {
                chunk.decode(
                    group: group, into: values + (group * groups - rows.lowerBound), memory)
            }
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
        // At most 1,024 others lie in at most three groups.
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
                count: end - first),
            frequent: frequent, into: target, memory)
    }

    func decodeAll(into values: UnsafeMutableBufferPointer<Pattern>, _ memory: DecodeMemory) {
        let scratch = memory.others.assumingMemoryBound(to: Pattern.self)
        for group in 0..<(others.rowCount + LanePacking.groupCount - 1) / LanePacking.groupCount {
            others.decode(group: group, into: scratch + group * LanePacking.groupCount, memory)
        }
        Pattern.spread(
            bits, others: UnsafeBufferPointer(start: scratch, count: others.rowCount),
            frequent: frequent, into: values, memory)
    }
}
