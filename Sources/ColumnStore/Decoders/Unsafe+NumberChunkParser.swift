import Numerical

extension NumberChunk {
    /// Reads and checks the bytes of a chunk of one of version 2's encodings, constant or raw, up
    /// to the end: after this no row can lead outside the bytes.
    /// - Parameter bytes: of memory that outlives the result.
    init(
        parsing bytes: inout ChunkBytes, _ encoding: Encoding, rowCount: Int, isInteger: Bool,
        _ memory: DecodeMemory
    ) throws(ChunkFlaw) {
        self.rowCount = rowCount
        body = try Self.body(&bytes, encoding, rowCount, isInteger, memory)
        try bytes.requireEnd()
    }

    /// Numbers as they are, in memory that outlives the result.
    init(plain values: UnsafeRawPointer, rowCount: Int) {
        self.rowCount = rowCount
        body = .direct(DirectChunk(rowCount: rowCount, body: .raw(values)))
    }

    private static func body(
        _ bytes: inout ChunkBytes, _ encoding: Encoding, _ rowCount: Int, _ isInteger: Bool,
        _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> Body {
        switch encoding {
        case .packedDelta where isInteger:
            let reference = try bytes.integer(UInt64.self)
            let width = try bytes.width(64)
            try bytes.zeros(7)
            let vectorCount = (rowCount + vectorRowCount - 1) / vectorRowCount
            let firsts = try bytes.part(vectorCount * 8)
            return .packedDelta(
                try lanes(&bytes, rowCount, width, memory), reference: reference, firsts: firsts)
        case .runEnds:
            return try runEnds(&bytes, rowCount, memory)
        case .sparse:
            return .sparse(try sparse(&bytes, rowCount, isInteger, memory))
        default:
            return .direct(try direct(&bytes, encoding, rowCount, isInteger, memory))
        }
    }

    private static func direct(
        _ bytes: inout ChunkBytes, _ encoding: Encoding, _ rowCount: Int, _ isInteger: Bool,
        _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> DirectChunk<Pattern> {
        let body: DirectChunk<Pattern>.Body
        switch encoding {
        case .constant:
            body = .constant(try bytes.integer(Pattern.self))
        case .raw:
            body = .raw(try bytes.part(rowCount * MemoryLayout<Pattern>.size))
        case .packed where isInteger:
            let reference = try bytes.integer(UInt64.self)
            let width = try bytes.width(64)
            try bytes.zeros(1)
            let count = Int(try bytes.integer(UInt16.self))
            try bytes.zeros(4)
            let numbers = try lanes(&bytes, rowCount, width, memory)
            body = .packed(
                numbers, reference: reference, try exceptions(&bytes, count, rowCount))
        case .packedDictionary:
            body = try dictionary(&bytes, rowCount, memory)
        case .decimal where !isInteger:
            body = try decimal(&bytes, rowCount, memory)
        case .packed, .packedDelta, .decimal:
            throw ChunkFlaw(reason: "an encoding of another type of column")
        case .delta, .dictionary, .frameOfReference, .runEnds, .runLength, .sparse:
            throw ChunkFlaw(reason: "an encoding that cannot be read here")
        }
        return DirectChunk(rowCount: rowCount, body: body)
    }

    private static func lanes(
        _ bytes: inout ChunkBytes, _ count: Int, _ width: Int, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> LanePacked {
        let base = try bytes.part(LanePacking.byteCount(count: count, width: width))
        let numbers = LanePacked(base: base, count: count, width: width)
        guard numbers.isPadded(memory) else {
            throw ChunkFlaw(reason: "unused bits of a chunk are not zero")
        }
        return numbers
    }

    private static func exceptions(
        _ bytes: inout ChunkBytes, _ count: Int, _ rowCount: Int
    ) throws(ChunkFlaw) -> Exceptions<Pattern> {
        let rows = try bytes.part(count * 2)
        try bytes.pad(after: count * 2)
        let size = count * MemoryLayout<Pattern>.size
        let values = try bytes.part(size)
        try bytes.pad(after: size)
        let exceptions = Exceptions<Pattern>(rows: rows, values: values, count: count)
        var next = 0
        for index in 0..<count {
            let row = exceptions.row(index)
            guard row >= next, row < rowCount else {
                throw ChunkFlaw(reason: "the rows of exceptions do not ascend or lie outside")
            }
            next = row + 1
        }
        return exceptions
    }

    private static func dictionary(
        _ bytes: inout ChunkBytes, _ rowCount: Int, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> DirectChunk<Pattern>.Body {
        let (values, valueCount, width) = try bytes.values(
            ofByteCount: MemoryLayout<Pattern>.size, atMost: rowCount)
        let codes = try lanes(&bytes, rowCount, width, memory)
        try codes.requireBelow(valueCount, memory)
        return .packedDictionary(codes, values: values)
    }

    private static func runEnds(
        _ bytes: inout ChunkBytes, _ rowCount: Int, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> Body {
        let (values, runCount, width) = try bytes.values(
            ofByteCount: MemoryLayout<Pattern>.size, atMost: rowCount)
        let ends = try lanes(&bytes, runCount, width, memory)
        var next = 0
        for run in 0..<runCount {
            let end = Int(ends[run])
            guard end >= next else {
                throw ChunkFlaw(reason: "the ends of runs do not ascend")
            }
            next = end + 1
        }
        guard next == rowCount else {
            throw ChunkFlaw(reason: "runs of \(next) rows in a chunk of \(rowCount)")
        }
        return .runEnds(ends, values: values)
    }

    private static func decimal(
        _ bytes: inout ChunkBytes, _ rowCount: Int, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> DirectChunk<Pattern>.Body {
        let reference = Int64(bitPattern: try bytes.integer(UInt64.self))
        let width = try bytes.width(Pattern.decimalWidthLimit)
        let exponent = Int(try bytes.integer(UInt8.self))
        let count = Int(try bytes.integer(UInt16.self))
        try bytes.zeros(4)
        let limit = Pattern.decimalReferenceLimit
        guard (-limit...limit).contains(reference), exponent <= Pattern.decimalExponentLimit else {
            throw ChunkFlaw(reason: "a decimal's reference or exponent is over its limit")
        }
        let numbers = try lanes(&bytes, rowCount, width, memory)
        return .decimal(
            numbers, reference: reference, exponent: exponent,
            try exceptions(&bytes, count, rowCount))
    }

    private static func sparse(
        _ bytes: inout ChunkBytes, _ rowCount: Int, _ isInteger: Bool, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> Sparse {
        let frequent = try bytes.integer(Pattern.self)
        try bytes.pad(after: MemoryLayout<Pattern>.size)
        let otherCount = Int(try bytes.integer(UInt32.self))
        guard let encoding = Encoding(rawValue: try bytes.integer(UInt8.self)),
            encoding.isNestable, (1...rowCount).contains(otherCount)
        else {
            throw ChunkFlaw(reason: "the others of a sparse chunk are of no valid encoding")
        }
        try bytes.zeros(3)
        let words = try bytes.words(count: rowCount, width: 1)
        let bits = UnsafeRawBufferPointer(start: words, count: (rowCount + 63) / 64 * 8)
        let vectorCount = (rowCount + vectorRowCount - 1) / vectorRowCount
        let ranks = try bytes.part(vectorCount * 2)
        try bytes.pad(after: vectorCount * 2)
        var rank = 0
        for word in 0..<(rowCount + 63) / 64 {
            if word % 16 == 0 {
                let stored = ranks.loadUnaligned(fromByteOffset: word / 8, as: UInt16.self)
                guard Int(stored) == rank else {
                    throw ChunkFlaw(reason: "the ranks of a sparse chunk do not count its bits")
                }
            }
            rank += words.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self).nonzeroBitCount
        }
        guard rank == otherCount else {
            throw ChunkFlaw(reason: "a sparse chunk has \(rank) bits for \(otherCount) others")
        }
        let others = try direct(&bytes, encoding, otherCount, isInteger, memory)
        return Sparse(frequent: frequent, bits: bits, ranks: ranks, others: others)
    }
}

extension LanePacked {
    /// - Throws: where a number, of at most 32 bits, is not below `limit`.
    func requireBelow(_ limit: Int, _ memory: DecodeMemory) throws(ChunkFlaw) {
        if width == 0 || 1 << width <= limit { return }
        let numbers = memory.words
        guard let base = numbers.baseAddress else { return }
        for group in 0..<(count + LanePacking.groupCount - 1) / LanePacking.groupCount {
            unpack(group: group, into: base, memory)
            var largest: UInt32 = 0
            // Numbers behind the last one are 0.
            for index in 0..<LanePacking.groupCount { largest = max(largest, numbers[index]) }
            guard largest < UInt32(limit) else {
                throw ChunkFlaw(reason: "code \(largest) in a dictionary of \(limit)")
            }
        }
    }
}

extension ChunkBytes {
    /// The first address of `count` bytes; never nil, an empty part points at the buffer.
    mutating func part(_ count: Int) throws(ChunkFlaw) -> UnsafeRawPointer {
        guard let base = try take(count).baseAddress else {
            throw ChunkFlaw(reason: "a chunk is empty")
        }
        return base
    }
}
