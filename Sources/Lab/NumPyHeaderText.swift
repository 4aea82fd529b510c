import ByteCoding

/// The dictionary of a .npy header: three keys in any order, as Python writes them.
struct NumPyHeaderText {
    private(set) var shape: [Int] = []
    private(set) var isFortranOrder = false
    private(set) var elementOffset = 0
    private(set) var orderOffset = 0
    private(set) var shapeOffset = 0
    private var descriptor = ""

    private let path: String
    private let text: [UInt8]
    private let textOffset: Int
    /// The next byte of `text` to read.
    private var position = 0

    init(bytes: RawSpan, range: Range<Int>, path: String) throws(LabError) {
        self.path = path
        textOffset = range.lowerBound
        text = bytes.lanes(at: range.lowerBound, count: range.count, as: UInt8.self) ?? []
        try readDictionary()
    }

    /// The element type that the header names.
    func element(_ allowed: [NumPyElement]) throws(LabError) -> NumPyElement {
        if let element = NumPyElement(rawValue: descriptor), allowed.contains(element) {
            return element
        }
        throw NumPyElement.refused(descriptor, path: path, byteOffset: elementOffset, allowed)
    }

    private mutating func readDictionary() throws(LabError) {
        var missing: Set<String> = ["descr", "fortran_order", "shape"]
        try take("{", "a dictionary")
        while !isNext("}") {
            let keyOffset = offset
            let key = try readString("a key")
            guard missing.remove(key) != nil else {
                throw bad(
                    keyOffset, "the key '\(key)'", "descr, fortran_order and shape, once each")
            }
            try take(":", "a colon")
            skipSpaces()
            switch key {
            case "descr":
                elementOffset = offset
                guard !isNext("[") else {
                    throw .badArray(
                        path: path, byteOffset: offset, found: "a structured element type",
                        expected: "a plain one",
                        advice: "save one field at a time, as array['field']")
                }
                descriptor = try readString("an element type")
            case "fortran_order":
                orderOffset = offset
                isFortranOrder = try readTruth()
            default:
                shapeOffset = offset
                shape = try readSizes()
            }
            if !isNext("}") { try take(",", "a comma or a closing brace") }
        }
        try take("}", "a closing brace")
        skipSpaces()
        guard position == text.count else { throw unexpected("spaces up to the end of the header") }
        if let key = missing.sorted().first {
            throw bad(textOffset, "no key '\(key)'", "descr, fortran_order and shape")
        }
    }

    /// `(3, 2)`, `(3,)`, `()`; Python 2 wrote `3L`.
    private mutating func readSizes() throws(LabError) -> [Int] {
        var sizes: [Int] = []
        try take("(", "a shape in parentheses")
        while !isNext(")") {
            let start = offset
            var digits = ""
            while let byte = peek, (0x30...0x39).contains(byte) {
                digits.append(Character(UnicodeScalar(byte)))
                position += 1
            }
            guard !digits.isEmpty else { throw unexpected("a size of the shape") }
            guard let size = Int(digits) else {
                throw bad(start, "the size \(digits)", "less than 2^63")
            }
            sizes.append(size)
            if peek == UInt8(ascii: "L") { position += 1 }
            if !isNext(")") { try take(",", "a comma or a closing parenthesis") }
        }
        try take(")", "a closing parenthesis")
        guard sizes.count <= NumPyHeader.axisLimit else {
            throw bad(
                shapeOffset, "\(sizes.count) axes", "at most \(NumPyHeader.axisLimit)")
        }
        return sizes
    }

    private mutating func readTruth() throws(LabError) -> Bool {
        for (word, value) in [("True", true), ("False", false)]
        where text[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return value
        }
        throw unexpected("True or False")
    }

    private mutating func readString(_ what: String) throws(LabError) -> String {
        skipSpaces()
        guard let quote = peek, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            throw unexpected(what + " in quotes")
        }
        guard let end = text[(position + 1)...].firstIndex(of: quote) else {
            throw unexpected(what + " with its closing quote")
        }
        let content = String(decoding: text[(position + 1)..<end], as: UTF8.self)
        position = end + 1
        return content
    }

    // MARK: - Bytes

    private var offset: Int { textOffset + position }

    private var peek: UInt8? { position < text.count ? text[position] : nil }

    private mutating func skipSpaces() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x09 { position += 1 }
    }

    private mutating func isNext(_ character: Unicode.Scalar) -> Bool {
        skipSpaces()
        return peek == UInt8(ascii: character)
    }

    private mutating func take(
        _ character: Unicode.Scalar, _ what: String
    ) throws(LabError) {
        guard isNext(character) else { throw unexpected(what) }
        position += 1
        skipSpaces()
    }

    private func unexpected(_ expected: String) -> LabError {
        let found =
            peek.map {
                (0x20...0x7E).contains($0)
                    ? "'\(Character(UnicodeScalar($0)))'" : "0x" + String($0, radix: 16)
            } ?? "the end of the header"
        return bad(offset, found, expected)
    }

    private func bad(_ offset: Int, _ found: String, _ expected: String) -> LabError {
        .badArray(
            path: path, byteOffset: offset, found: found, expected: expected,
            advice: "the header is damaged: write the array again with numpy.save")
    }
}
