import ByteCoding

/// Joins the decoded blocks of a text column.
struct TextCollector {
    private let form: SegmentReader.TextForm
    private var bytes: [UInt8] = []
    private var offsets = [0]
    private var codes: [UInt32] = []
    private var interner = TextInterner()

    init(form: SegmentReader.TextForm) { self.form = form }

    var data: ColumnData {
        switch form {
        case .texts:
            .text(Self.join(bytes, offsets))
        case .coded:
            .coded(
                CodedText(codes: codes, values: Self.join(interner.bytes, interner.offsets)))
        }
    }

    private static func join(_ bytes: [UInt8], _ offsets: [Int]) -> TextArray {
        guard let texts = TextArray(bytes: bytes, offsets: offsets) else {
            preconditionFailure("offsets grow with the bytes")
        }
        return texts
    }

    mutating func append(_ block: DecodedTexts, _ validity: [Bool]?) {
        switch (block, form) {
        case (.raw(let texts), .texts): appendRaw(texts, validity)
        case (.raw(let texts), .coded): internRaw(texts, validity)
        case (.dictionary(let values, let rows), .texts): appendCoded(values, rows, validity)
        case (.dictionary(let values, let rows), .coded): internCoded(values, rows, validity)
        }
    }

    private mutating func appendRaw(_ texts: TextArray, _ validity: [Bool]?) {
        let textOffsets = texts.offsets
        guard let validity else {
            let base = bytes.count
            bytes.append(contentsOf: texts.bytes)
            for offset in textOffsets.dropFirst() { offsets.append(base + offset) }
            return
        }
        let textBytes = texts.bytes
        for row in validity.indices {
            if validity[row] {
                bytes.append(contentsOf: textBytes[textOffsets[row]..<textOffsets[row + 1]])
            }
            offsets.append(bytes.count)
        }
    }

    private mutating func internRaw(_ texts: TextArray, _ validity: [Bool]?) {
        let textBytes = texts.bytes
        let textOffsets = texts.offsets
        for row in 0..<texts.count {
            if validity?[row] ?? true {
                codes.append(
                    interner.number(
                        of: textBytes.span.bytes.extracting(
                            textOffsets[row]..<textOffsets[row + 1])))
            } else {
                codes.append(CodedText.missing)
            }
        }
    }

    private mutating func appendCoded(_ values: TextArray, _ rows: [UInt32], _ validity: [Bool]?) {
        let valueBytes = values.bytes
        let valueOffsets = values.offsets
        for row in rows.indices {
            if validity?[row] ?? true {
                let code = Int(rows[row])
                bytes.append(contentsOf: valueBytes[valueOffsets[code]..<valueOffsets[code + 1]])
            }
            offsets.append(bytes.count)
        }
    }

    private mutating func internCoded(_ values: TextArray, _ rows: [UInt32], _ validity: [Bool]?) {
        let valueBytes = values.bytes
        let valueOffsets = values.offsets
        let numbers = (0..<values.count).map { code in
            interner.number(
                of: valueBytes.span.bytes.extracting(valueOffsets[code]..<valueOffsets[code + 1]))
        }
        guard let validity else {
            codes.append(contentsOf: rows.lazy.map { numbers[Int($0)] })
            return
        }
        for row in rows.indices {
            codes.append(validity[row] ? numbers[Int(rows[row])] : CodedText.missing)
        }
    }
}
