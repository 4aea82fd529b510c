import ByteCoding

/// Why the bytes of a chunk are not what its encoding says.
struct ChunkFlaw: Error {
    let reason: String
}

/// The bytes of a chunk after LZ4, read front to back. Non-owning: valid only within the closure
/// that lends it; every read is checked against the end.
struct ChunkBytes {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func take(_ count: Int) throws(ChunkFlaw) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= bytes.count - offset else {
            throw ChunkFlaw(reason: "a chunk is shorter than its contents")
        }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(ChunkFlaw) -> T {
        T(littleEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    mutating func width(_ limit: Int) throws(ChunkFlaw) -> Int {
        let width = Int(try integer(UInt8.self))
        guard width <= limit else {
            throw ChunkFlaw(reason: "a width of \(width) bits is over \(limit)")
        }
        return width
    }

    mutating func zeros(_ count: Int) throws(ChunkFlaw) {
        guard try take(count).allSatisfy({ $0 == 0 }) else {
            throw ChunkFlaw(reason: "reserved bytes or padding of a chunk are not zero")
        }
    }

    mutating func pad(after count: Int) throws(ChunkFlaw) {
        try zeros(count.roundedUp(to: 8) - count)
    }

    /// Bit-packed words and their first address (never nil: an empty part points at the buffer).
    mutating func words(count: Int, width: Int) throws(ChunkFlaw) -> UnsafeRawPointer {
        let words = try take(BitPacking.wordCount(count: count, width: width) * 8)
        guard let base = words.baseAddress else {
            throw ChunkFlaw(reason: "a chunk is empty")
        }
        let usedInLast = UInt64(count * width % 64)
        if usedInLast > 0,
            words.loadUnaligned(fromByteOffset: words.count - 8, as: UInt64.self) >> usedInLast != 0
        {
            throw ChunkFlaw(reason: "unused bits of a chunk are not zero")
        }
        return base
    }

    /// The head of a dictionary or of runs: the values, and the width of the numbers that follow.
    mutating func values(
        ofByteCount size: Int, atMost rowCount: Int
    ) throws(ChunkFlaw) -> (bytes: UnsafeRawBufferPointer, count: Int, width: Int) {
        let count = Int(try integer(UInt32.self))
        let width = try width(14)
        try zeros(3)
        guard (1...rowCount).contains(count) else {
            throw ChunkFlaw(reason: "\(count) values or runs in \(rowCount) rows")
        }
        let values = try take(count * size)
        try pad(after: values.count)
        return (values, count, width)
    }

    func requireEnd() throws(ChunkFlaw) {
        guard offset == bytes.count else {
            throw ChunkFlaw(reason: "a chunk is longer than its contents")
        }
    }
}

enum ChunkDecoder {
    /// Reads a validity bitmap.
    /// - Returns: a value a row; the number of rows without one must be `nullCount`.
    static func validity(
        _ bytes: inout ChunkBytes, rowCount: Int, nullCount: Int
    ) throws(ChunkFlaw) -> [Bool] {
        let words = try bytes.words(count: rowCount, width: 1)
        var validCount = 0
        let validity = [Bool](unsafeUninitializedCapacity: rowCount) { buffer, count in
            BitPacking.unpack(words, count: rowCount, width: 1) { row, bit in
                buffer[row] = bit == 1
                validCount += Int(bit)
            }
            count = rowCount
        }
        guard rowCount - validCount == nullCount else {
            throw ChunkFlaw(reason: "the validity bitmap does not match the null count")
        }
        return validity
    }

    /// Decodes as many numbers as `target` has room for, at least one, of an encoding that version 2
    /// no longer writes.
    static func fixed<W: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ bytes: inout ChunkBytes, _ encoding: Encoding, isInteger: Bool,
        into target: UnsafeMutableBufferPointer<W>
    ) throws(ChunkFlaw) {
        switch encoding {
        case .runLength:
            try runLength(&bytes, into: target)
        case .dictionary:
            try dictionary(&bytes, into: target)
        case .frameOfReference where isInteger:
            let reference = W(truncatingIfNeeded: try bytes.integer(UInt64.self))
            let width = try bytes.width(64)
            try bytes.zeros(7)
            let words = try bytes.words(count: target.count, width: width)
            BitPacking.unpack(words, count: target.count, width: width) { row, bits in
                target[row] = reference &+ W(truncatingIfNeeded: bits)
            }
        case .delta where isInteger:
            var value = W(truncatingIfNeeded: try bytes.integer(UInt64.self))
            let reference = W(truncatingIfNeeded: try bytes.integer(UInt64.self))
            let width = try bytes.width(64)
            try bytes.zeros(7)
            let words = try bytes.words(count: target.count - 1, width: width)
            target[0] = value
            BitPacking.unpack(words, count: target.count - 1, width: width) { row, bits in
                value = value &+ reference &+ W(truncatingIfNeeded: bits)
                target[row + 1] = value
            }
        case .frameOfReference, .delta:
            throw ChunkFlaw(reason: "an encoding of integers on another column")
        case .constant, .decimal, .packed, .packedDelta, .packedDictionary, .raw, .runEnds, .sparse:
            throw ChunkFlaw(reason: "an encoding that is read elsewhere")
        }
        try bytes.requireEnd()
    }

    private static func runLength<W: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: inout ChunkBytes, into target: UnsafeMutableBufferPointer<W>
    ) throws(ChunkFlaw) {
        let (values, runCount, width) = try bytes.values(
            ofByteCount: MemoryLayout<W>.size, atMost: target.count)
        let words = try bytes.words(count: runCount, width: width)
        var row = 0
        BitPacking.unpack(words, count: runCount, width: width) { run, excess in
            let end = row + Int(excess) + 1
            let value = values.loadUnaligned(
                fromByteOffset: run * MemoryLayout<W>.size, as: W.self)
            // Runs beyond the rows are counted but not written.
            for position in min(row, target.count)..<min(end, target.count) {
                target[position] = value
            }
            row = end
        }
        guard row == target.count else {
            throw ChunkFlaw(reason: "runs of \(row) rows in a chunk of \(target.count)")
        }
    }

    private static func dictionary<W: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: inout ChunkBytes, into target: UnsafeMutableBufferPointer<W>
    ) throws(ChunkFlaw) {
        let (values, valueCount, width) = try bytes.values(
            ofByteCount: MemoryLayout<W>.size, atMost: target.count)
        let words = try bytes.words(count: target.count, width: width)
        var largest: UInt64 = 0
        let last = UInt64(valueCount - 1)
        BitPacking.unpack(words, count: target.count, width: width) { row, code in
            largest = max(largest, code)
            // A code beyond the values is caught after the loop; until then it must not read on.
            target[row] = values.loadUnaligned(
                fromByteOffset: Int(min(code, last)) * MemoryLayout<W>.size, as: W.self)
        }
        guard largest <= last else {
            throw ChunkFlaw(reason: "code \(largest) in a dictionary of \(valueCount)")
        }
    }
}

/// A decoded chunk of texts, in the form in which it was stored.
enum DecodedTexts {
    case dictionary(TextArray, codes: [UInt32])
    case raw(TextArray)
}

extension ChunkDecoder {
    /// Reads a chunk of texts after its validity bitmap.
    /// - Parameter nullCount: rows without a value.
    static func texts(
        _ bytes: inout ChunkBytes, _ encoding: Encoding, rowCount: Int, nullCount: Int,
        _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> DecodedTexts {
        switch encoding {
        case .raw:
            let lengthWidth = try bytes.width(25)
            try bytes.zeros(7)
            let texts = try textArray(&bytes, count: rowCount, lengthWidth: lengthWidth)
            try bytes.requireEnd()
            return .raw(texts)
        case .dictionary, .packedDictionary:
            let valueCount = Int(try bytes.integer(UInt32.self))
            let codeWidth = try bytes.width(14)
            let lengthWidth = try bytes.width(25)
            try bytes.zeros(2)
            guard valueCount <= rowCount else {
                throw ChunkFlaw(reason: "\(valueCount) distinct texts in \(rowCount) rows")
            }
            guard valueCount > 0 || nullCount == rowCount else {
                throw ChunkFlaw(reason: "rows with a value and no text to take it from")
            }
            let values = try textArray(&bytes, count: valueCount, lengthWidth: lengthWidth)
            if encoding == .packedDictionary {
                let codes = try laneCodes(
                    &bytes, rowCount: rowCount, width: codeWidth, limit: max(1, valueCount),
                    memory)
                return .dictionary(values, codes: codes)
            }
            let words = try bytes.words(count: rowCount, width: codeWidth)
            var largest: UInt64 = 0
            let codes = [UInt32](unsafeUninitializedCapacity: rowCount) { buffer, count in
                BitPacking.unpack(words, count: rowCount, width: codeWidth) { row, code in
                    largest = max(largest, code)
                    buffer[row] = UInt32(truncatingIfNeeded: code)
                }
                count = rowCount
            }
            // With no values every row is without one and every code is 0.
            guard largest < UInt64(max(1, valueCount)) else {
                throw ChunkFlaw(reason: "code \(largest) in a dictionary of \(valueCount)")
            }
            try bytes.requireEnd()
            return .dictionary(values, codes: codes)
        case .constant, .decimal, .delta, .frameOfReference, .packed, .packedDelta, .runEnds,
            .runLength, .sparse:
            throw ChunkFlaw(reason: "an encoding of numbers on a text column")
        }
    }

    /// Lane-packed codes up to the end of a chunk, each below `limit`.
    private static func laneCodes(
        _ bytes: inout ChunkBytes, rowCount: Int, width: Int, limit: Int, _ memory: DecodeMemory
    ) throws(ChunkFlaw) -> [UInt32] {
        let base = try bytes.part(LanePacking.byteCount(count: rowCount, width: width))
        let numbers = LanePacked(base: base, count: rowCount, width: width)
        guard numbers.isPadded(memory) else {
            throw ChunkFlaw(reason: "unused bits of a chunk are not zero")
        }
        try bytes.requireEnd()
        // Room for whole groups, of which the rows are kept.
        let groupCount = (rowCount + LanePacking.groupCount - 1) / LanePacking.groupCount
        let codes = [UInt32](unsafeUninitializedCapacity: groupCount * LanePacking.groupCount) {
            buffer, count in
            guard let target = buffer.baseAddress else { return }
            for group in 0..<groupCount {
                numbers.unpack(
                    group: group, into: target + group * LanePacking.groupCount, memory)
            }
            count = rowCount
        }
        guard let largest = codes.max(), largest < limit else {
            throw ChunkFlaw(reason: "a code is over the last of \(limit) texts")
        }
        return codes
    }

    private static func textArray(
        _ bytes: inout ChunkBytes, count: Int, lengthWidth: Int
    ) throws(ChunkFlaw) -> TextArray {
        let byteCount = try bytes.integer(UInt64.self)
        let words = try bytes.words(count: count, width: lengthWidth)
        var offsets = [0]
        offsets.reserveCapacity(count + 1)
        var end = 0
        BitPacking.unpack(words, count: count, width: lengthWidth) { _, length in
            end += Int(length)
            offsets.append(end)
        }
        guard UInt64(end) == byteCount else {
            throw ChunkFlaw(reason: "texts of \(end) bytes in a chunk of \(byteCount)")
        }
        let contents = Array(try bytes.take(end))
        try bytes.pad(after: end)
        guard let texts = TextArray(bytes: contents, offsets: offsets) else {
            throw ChunkFlaw(reason: "the lengths of texts do not fit")
        }
        return texts
    }
}
