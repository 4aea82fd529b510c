import ByteCoding

/// Turns the texts of one chunk into bytes, by the encoding that takes the fewest.
enum TextEncoder {
    /// Encodes texts given as numbers into an interner's distinct texts (in order of first
    /// appearance, rows without a value aside).
    /// - Parameter isValid: nil where every row has a value; a row without one is written as the
    ///   code of the row before (0 at the start), or as an empty text.
    static func encode(
        codes: [UInt32], isValid: [Bool]?, interner: TextInterner
    ) -> (encoding: Encoding, payload: ByteWriter) {
        let lengths = (0..<interner.count).map {
            UInt64(interner.offsets[$0 + 1] - interner.offsets[$0])
        }
        let lengthWidth = BitPacking.width(of: lengths.max() ?? 0)
        let codeWidth = BitPacking.width(of: UInt64(max(1, interner.count) - 1))
        var rowByteCount = 0
        for row in codes.indices where isValid?[row] ?? true {
            rowByteCount += Int(lengths[Int(codes[row])])
        }
        let rawByteCount =
            16 + BitPacking.wordCount(count: codes.count, width: lengthWidth) * 8
            + rowByteCount.roundedUp(to: 8)
        let dictionaryByteCount =
            16 + BitPacking.wordCount(count: interner.count, width: lengthWidth) * 8
            + interner.bytes.count.roundedUp(to: 8)
            + LanePacking.byteCount(count: codes.count, width: codeWidth)
        var payload = ByteWriter()
        if dictionaryByteCount < rawByteCount {
            payload.append(UInt32(interner.count))
            payload.append(UInt8(codeWidth))
            payload.append(UInt8(lengthWidth))
            payload.append(UInt16(0))
            payload.append(UInt64(interner.bytes.count))
            payload.append(lanes: BitPacking.pack(lengths, width: lengthWidth))
            payload.append(contentsOf: interner.bytes)
            payload.pad(to: 8)
            payload.append(
                contentsOf: LanePacking.pack(filled(codes, isValid), width: codeWidth))
            return (.packedDictionary, payload)
        }
        payload.append(UInt8(lengthWidth))
        payload.append(contentsOf: [0, 0, 0, 0, 0, 0, 0])
        payload.append(UInt64(rowByteCount))
        let rowLengths = codes.indices.map { row in
            isValid?[row] ?? true ? lengths[Int(codes[row])] : 0
        }
        payload.append(lanes: BitPacking.pack(rowLengths, width: lengthWidth))
        for row in codes.indices where isValid?[row] ?? true {
            let code = Int(codes[row])
            payload.append(
                contentsOf: interner.bytes[interner.offsets[code]..<interner.offsets[code + 1]])
        }
        payload.pad(to: 8)
        return (.raw, payload)
    }

    private static func filled(_ codes: [UInt32], _ isValid: [Bool]?) -> [UInt32] {
        guard let isValid else { return codes }
        var previous: UInt32 = 0
        return codes.indices.map { row in
            if isValid[row] { previous = codes[row] }
            return previous
        }
    }
}
