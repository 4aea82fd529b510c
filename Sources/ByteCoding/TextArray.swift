/// Texts end to end in one buffer: text `i` is `bytes[offsets[i] ..< offsets[i + 1]]`, UTF-8.
package struct TextArray: Sendable, Equatable {
    package private(set) var bytes: [UInt8]
    package private(set) var offsets: [Int]

    package init() {
        bytes = []
        offsets = [0]
    }

    package init(_ texts: some Sequence<String>) {
        self.init()
        for text in texts { append(text) }
    }

    /// Nil unless offsets start at 0, never decrease, and end at the byte count.
    package init?(bytes: [UInt8], offsets: [Int]) {
        guard offsets.first == 0, offsets.last == bytes.count else { return nil }
        for index in 1..<offsets.count where offsets[index] < offsets[index - 1] { return nil }
        self.bytes = bytes
        self.offsets = offsets
    }

    package var count: Int { offsets.count - 1 }
    package var isEmpty: Bool { count == 0 }

    package subscript(index: Int) -> String {
        String(decoding: bytes[offsets[index]..<offsets[index + 1]], as: UTF8.self)
    }

    /// The UTF-8 bytes of text `index`, not copied.
    package func utf8(_ index: Int) -> ArraySlice<UInt8> {
        bytes[offsets[index]..<offsets[index + 1]]
    }

    package mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        offsets.append(bytes.count)
    }

    /// Keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        offsets.append(0)
    }

    package mutating func append(utf8 span: RawSpan) {
        span.withUnsafeBytes { bytes.append(contentsOf: $0) }
        offsets.append(bytes.count)
    }

    package mutating func append(utf8: some Collection<UInt8>) {
        bytes.append(contentsOf: utf8)
        offsets.append(bytes.count)
    }

    package mutating func append(contentsOf other: TextArray) {
        let base = bytes.count
        bytes += other.bytes
        for index in 0..<other.count { offsets.append(base + other.offsets[index + 1]) }
    }

    /// Consecutive texts.
    package func slice(_ rows: Range<Int>) -> TextArray {
        let base = offsets[rows.lowerBound]
        var result = TextArray()
        result.bytes = Array(bytes[base..<offsets[rows.upperBound]])
        result.offsets = offsets[rows.lowerBound...rows.upperBound].map { $0 - base }
        return result
    }

    package mutating func reserveCapacity(count: Int, byteCount: Int) {
        offsets.reserveCapacity(count + 1)
        bytes.reserveCapacity(byteCount)
    }

    /// Texts at `indices`, in that order.
    package func gather(_ indices: [Int]) -> TextArray {
        var result = TextArray()
        result.reserveCapacity(count: indices.count, byteCount: bytes.count)
        for index in indices { result.append(utf8: utf8(index)) }
        return result
    }

    /// Bytewise order of two texts, which for UTF-8 is the order of their code points.
    package func precedes(_ i: Int, _ other: TextArray, _ j: Int) -> Bool {
        utf8(i).lexicographicallyPrecedes(other.utf8(j))
    }

    package var strings: [String] { (0..<count).map { self[$0] } }
}

extension [UInt8] {
    /// Appends some texts of an array, and to `ends` where each ends.
    package mutating func append(_ texts: TextArray, _ rows: [UInt32], ends: inout [Int]) {
        let start = count
        var end = start
        ends.reserveCapacity(ends.count + rows.count)
        for row in rows {
            end += texts.offsets[Int(row) + 1] - texts.offsets[Int(row)]
            ends.append(end)
        }
        append(contentsOf: repeatElement(0, count: end - start))
        withUnsafeMutableBytes { target in
            texts.bytes.withUnsafeBytes { source in
                var place = start
                for row in rows {
                    let first = texts.offsets[Int(row)]
                    let byteCount = texts.offsets[Int(row) + 1] - first
                    if byteCount <= 8 && first + 8 <= source.count && place + 8 <= end {
                        // Eight at once; what is too much, the next text overwrites.
                        target.storeBytes(
                            of: source.loadUnaligned(fromByteOffset: first, as: UInt64.self),
                            toByteOffset: place, as: UInt64.self)
                    } else {
                        UnsafeMutableRawBufferPointer(rebasing: target[place..<place + byteCount])
                            .copyMemory(
                                from: UnsafeRawBufferPointer(
                                    rebasing: source[first..<first + byteCount]))
                    }
                    place += byteCount
                }
            }
        }
    }
}

/// A text column of few distinct values: row `i` holds `values[Int(codes[i])]`, or nothing where
/// the code is `CodedText.missing`. Values are distinct, in order of first appearance.
package struct CodedText: Sendable, Equatable {
    package static let missing = UInt32.max

    package var codes: [UInt32]
    package var values: TextArray

    package init(codes: [UInt32] = [], values: TextArray = TextArray()) {
        self.codes = codes
        self.values = values
    }

    /// `count` rows without a value.
    package init(missing count: Int) {
        self.init(codes: [UInt32](repeating: Self.missing, count: count))
    }

    package var count: Int { codes.count }

    /// Adds the rows of another column, whose texts get codes among this one's values.
    package mutating func append(_ other: CodedText) {
        var codeOfText: [ArraySlice<UInt8>: UInt32] = [:]
        for code in 0..<values.count { codeOfText[values.utf8(code)] = UInt32(code) }
        let translated = (0..<other.values.count).map { code -> UInt32 in
            let text = other.values.utf8(code)
            if let known = codeOfText[text] { return known }
            let code = UInt32(values.count)
            values.append(utf8: text)
            codeOfText[text] = code
            return code
        }
        codes += other.codes.map { $0 == Self.missing ? $0 : translated[Int($0)] }
    }

    package subscript(row: Int) -> String? {
        codes[row] == Self.missing ? nil : values[Int(codes[row])]
    }
}
