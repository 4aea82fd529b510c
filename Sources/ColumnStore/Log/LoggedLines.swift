package import ByteCoding

/// Purchase lines as the body of a log's record: columns end to end.
///
/// ```
/// u32 lines n, u8 customers (1 integers, 2 texts), u8 columns, u16 0
/// customers   i64[n], or texts[n]
/// times, amounts   i64[n] each
/// margins          i64[n]      where bit 0 of columns is set
/// quantities       f32[n]      bit 1
/// order ids, products, categories, promotions, channels   coded texts, bits 2 to 6
///
/// texts[n]      u32 bytes b, u32[n] where each text ends, b bytes
/// coded texts   u32 distinct texts v, texts[v], u8 width w, n codes of w bytes; all ones is no text
/// ```
/// w is 1 where v < 255, 2 where v < 65,535, else 4. Nothing is aligned; all is little-endian.
package struct LoggedLines: Sendable, Equatable {
    package var customerIDs: IDColumn
    /// UTC seconds since 1970.
    package var times: [Int64]
    /// Ten-thousandths of the currency unit; negative for returns.
    package var amounts: [Int64]
    package var margins: [Int64]?
    /// Finite.
    package var quantities: [Float]?
    /// Order ids, products, categories, promotions and channels, nil for a column that there is not.
    package var texts: [CodedText?]

    package static let textColumnCount = 5

    package init(
        customerIDs: IDColumn, times: [Int64], amounts: [Int64], margins: [Int64]? = nil,
        quantities: [Float]? = nil, texts: [CodedText?]
    ) {
        self.customerIDs = customerIDs
        self.times = times
        self.amounts = amounts
        self.margins = margins
        self.quantities = quantities
        self.texts = texts
    }

    package var count: Int { times.count }

    private static func width(_ valueCount: Int) -> Int {
        valueCount < 255 ? 1 : valueCount < 65_535 ? 2 : 4
    }

    /// - Throws: `invalidInput` where columns differ in count or a code has no text.
    func encoded() throws(StoreError) -> [UInt8] {
        let counts =
            [customerIDs.count, amounts.count, margins?.count, quantities?.count]
            + texts.map(\.?.count)
        guard counts.allSatisfy({ $0 == nil || $0 == count }), count <= Limits.logRowCount,
            texts.count == Self.textColumnCount
        else {
            throw .invalidInput(path: "a log", reason: "columns of a batch differ in count")
        }
        var writer = ByteWriter()
        writer.reserveCapacity(64 + count * 64)
        writer.append(UInt32(count))
        var mask: UInt8 = margins == nil ? 0 : 1
        if quantities != nil { mask |= 2 }
        for (index, text) in texts.enumerated() where text != nil { mask |= 4 << index }
        switch customerIDs {
        case .integers(let ids):
            writer.append(UInt8(1))
            writer.append(mask)
            writer.append(UInt16(0))
            writer.append(lanes: ids)
        case .texts(let ids):
            writer.append(UInt8(2))
            writer.append(mask)
            writer.append(UInt16(0))
            try Self.append(ids, to: &writer)
        }
        writer.append(lanes: times)
        writer.append(lanes: amounts)
        if let margins { writer.append(lanes: margins) }
        if let quantities { writer.append(lanes: quantities) }
        for case let text? in texts { try Self.append(text, to: &writer) }
        return writer.bytes
    }

    private static func append(_ texts: TextArray, to writer: inout ByteWriter) throws(StoreError) {
        guard texts.bytes.count <= Limits.logBodyByteCount else {
            throw .invalidInput(path: "a log", reason: "the texts of a batch are too long")
        }
        writer.append(UInt32(texts.bytes.count))
        writer.append(lanes: texts.offsets.dropFirst().map { UInt32($0) })
        writer.append(contentsOf: texts.bytes)
    }

    private static func append(_ text: CodedText, to writer: inout ByteWriter) throws(StoreError) {
        let limit = UInt32(clamping: text.values.count)
        guard text.codes.allSatisfy({ $0 < limit || $0 == CodedText.missing }) else {
            throw .invalidInput(path: "a log", reason: "a code of a batch has no text")
        }
        writer.append(UInt32(text.values.count))
        try append(text.values, to: &writer)
        let width = width(text.values.count)
        writer.append(UInt8(width))
        switch width {
        case 1: writer.append(lanes: text.codes.map { UInt8(truncatingIfNeeded: $0) })
        case 2: writer.append(lanes: text.codes.map { UInt16(truncatingIfNeeded: $0) })
        default: writer.append(lanes: text.codes)
        }
    }

    /// Reads the body of a record.
    /// - Parameters:
    ///   - path: of the file, for errors.
    ///   - base: where the body is in it.
    /// - Throws: `corrupt` or `truncated` for any bytes that `encoded` does not write.
    package init(decoding body: [UInt8], path: String, base: Int) throws(StoreError) {
        var parser = LineParser(body: body, path: path, base: base)
        let count = Int(try parser.number(UInt32.self))
        let kind = try parser.number(UInt8.self)
        let mask = try parser.number(UInt8.self)
        guard try parser.number(UInt16.self) == 0, mask < 128, kind == 1 || kind == 2,
            count <= Limits.logRowCount
        else { throw parser.corrupt("the head of the lines is none") }
        if kind == 1 {
            customerIDs = .integers(try parser.lanes(count))
        } else {
            customerIDs = .texts(try parser.texts(count))
        }
        times = try parser.lanes(count)
        amounts = try parser.lanes(count)
        margins = mask & 1 != 0 ? try parser.lanes(count) : nil
        quantities = mask & 2 != 0 ? try parser.lanes(count) : nil
        texts = []
        for index in 0..<Self.textColumnCount {
            texts.append(mask & 4 << index != 0 ? try parser.codedText(count) : nil)
        }
        guard parser.isAtEnd else { throw parser.corrupt("bytes are left over") }
        guard quantities?.allSatisfy({ $0.isFinite }) ?? true else {
            throw parser.corrupt("a quantity is not finite")
        }
    }

    /// Takes columns off the front of a body.
    private struct LineParser {
        let body: [UInt8]
        let path: String
        let base: Int
        var offset = 0

        init(body: [UInt8], path: String, base: Int) {
            (self.body, self.path, self.base) = (body, path, base)
        }

        var isAtEnd: Bool { offset == body.count }

        func corrupt(_ reason: String) -> StoreError {
            .corrupt(path: path, byteOffset: base + offset, reason: reason)
        }

        mutating func number<T: FixedWidthInteger & BitwiseCopyable>(
            _ type: T.Type
        ) throws(StoreError) -> T {
            guard let value = body.span.bytes.integer(at: offset, as: type) else {
                throw corrupt("the body ends too early")
            }
            offset += MemoryLayout<T>.size
            return value
        }

        mutating func lanes<T: BitwiseCopyable>(_ count: Int) throws(StoreError) -> [T] {
            guard let values = body.span.bytes.lanes(at: offset, count: count, as: T.self) else {
                throw corrupt("the body ends too early")
            }
            offset += count * MemoryLayout<T>.stride
            return values
        }

        mutating func texts(_ count: Int) throws(StoreError) -> TextArray {
            let byteCount = Int(try number(UInt32.self))
            let ends: [UInt32] = try lanes(count)
            let bytes: [UInt8] = try lanes(byteCount)
            guard let texts = TextArray(bytes: bytes, offsets: [0] + ends.map { Int($0) }) else {
                throw corrupt("texts do not fit their ends")
            }
            return texts
        }

        mutating func codedText(_ count: Int) throws(StoreError) -> CodedText {
            let valueCount = Int(try number(UInt32.self))
            let values = try texts(valueCount)
            let width = Int(try number(UInt8.self))
            guard width == LoggedLines.width(valueCount) else { throw corrupt("a width of codes") }
            let codes: [UInt32]
            switch width {
            case 1:
                let narrow: [UInt8] = try lanes(count)
                codes = narrow.map { $0 == .max ? CodedText.missing : UInt32($0) }
            case 2:
                let narrow: [UInt16] = try lanes(count)
                codes = narrow.map { $0 == .max ? CodedText.missing : UInt32($0) }
            default: codes = try lanes(count)
            }
            guard codes.allSatisfy({ $0 < valueCount || $0 == CodedText.missing }) else {
                throw corrupt("a code has no text")
            }
            return CodedText(codes: codes, values: values)
        }
    }
}
