import ByteCoding

/// A piece of a rule's text.
struct RuleToken: Equatable {
    enum Kind: Equatable {
        /// A column or a word of the language.
        case word(String)
        case number(Double)
        /// In quotes: the name of a segment.
        case text(String)
        /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `(`, `)`, `,`.
        case sign(String)
        case end
    }

    var kind: Kind
    var byteOffset: Int
}

/// The tokens of a rule, an `end` last.
func ruleTokens(_ text: String) throws(RuleFlaw) -> [RuleToken] {
    let bytes = Array(text.utf8)
    var tokens: [RuleToken] = []
    var place = 0
    while place < bytes.count {
        let start = place
        let byte = bytes[place]
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
            place += 1
            continue
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: "="):
            place += 1
        case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "!"):
            place += 1
            if place < bytes.count, bytes[place] == UInt8(ascii: "=") { place += 1 }
            if byte == UInt8(ascii: "!"), place == start + 1 {
                throw RuleFlaw(
                    text: "'!' alone", hint: "write != or the word not", byteOffset: start)
            }
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            tokens.append(try quoted(bytes, &place))
            continue
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
            UInt8(ascii: "."):
            tokens.append(try number(bytes, &place))
            continue
        default:
            guard isWordByte(byte) else {
                throw RuleFlaw(
                    text: "a character that has no meaning here",
                    hint: "names of segments stand in quotes", byteOffset: start)
            }
            while place < bytes.count, isWordByte(bytes[place]) { place += 1 }
            tokens.append(
                RuleToken(
                    kind: .word(String(decoding: bytes[start..<place], as: UTF8.self)),
                    byteOffset: start))
            continue
        }
        let sign = String(decoding: bytes[start..<place], as: UTF8.self)
        tokens.append(RuleToken(kind: .sign(sign), byteOffset: start))
    }
    tokens.append(RuleToken(kind: .end, byteOffset: bytes.count))
    return tokens
}

/// Letters of any script, digits, underscores and points: what names of columns are made of.
private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), 0x80...:
        true
    default: false
    }
}

/// A text in quotes of one kind; two of them stand for one inside.
private func quoted(_ bytes: [UInt8], _ place: inout Int) throws(RuleFlaw) -> RuleToken {
    let (start, quote) = (place, bytes[place])
    var content: [UInt8] = []
    place += 1
    while place < bytes.count {
        if bytes[place] == quote {
            guard place + 1 < bytes.count, bytes[place + 1] == quote else {
                place += 1
                return RuleToken(
                    kind: .text(String(decoding: content, as: UTF8.self)), byteOffset: start)
            }
            place += 1
        }
        content.append(bytes[place])
        place += 1
    }
    throw RuleFlaw(
        text: "a quoted name does not end", hint: "close it with the quote that opened it",
        byteOffset: start)
}

private func number(_ bytes: [UInt8], _ place: inout Int) throws(RuleFlaw) -> RuleToken {
    let start = place
    if bytes[place] == UInt8(ascii: "-") || bytes[place] == UInt8(ascii: "+") { place += 1 }
    while place < bytes.count {
        let byte = bytes[place]
        let isExponentSign =
            (byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+"))
            && (bytes[place - 1] | 0x20) == UInt8(ascii: "e")
        guard isWordByte(byte) || isExponentSign else { break }
        place += 1
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    guard let value = Double(text), value.isFinite, !text.lowercased().contains("x") else {
        throw RuleFlaw(
            text: "'\(text)' is not a number", hint: "write numbers as 12, 0.5 or 1e6",
            byteOffset: start)
    }
    return RuleToken(kind: .number(value), byteOffset: start)
}
