/// The first thing in `bytes[start ..< end]` that text may not have: a NUL byte or a byte that is
/// no UTF-8; nil where there is none.
func firstTextProblem(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
) -> (offset: Int, reason: RejectReason)? {
    let raw = bytes.bytes
    var index = start
    while index < end {
        // Eight bytes at a time while all are ASCII and none is NUL: subtracting one sets the high
        // bit of a zero byte, and no other byte below 128 gets it unless a zero byte borrows.
        while index + 8 <= end {
            let word = loadWord(raw, at: index)
            guard (word | (word &- 0x0101_0101_0101_0101)) & 0x8080_8080_8080_8080 == 0 else {
                break
            }
            index += 8
        }
        let stop = min(index + 8, end)
        while index < stop {
            let byte = bytes[index]
            if byte == 0 { return (index, .nulByte) }
            if byte < 0x80 {
                index += 1
            } else {
                let length = scalarLength(bytes, at: index, end: end)
                if length == 0 { return (index, .invalidUTF8) }
                index += length
            }
        }
    }
    return nil
}

/// The byte count (1…4) of the well-formed UTF-8 sequence at `index`, or 0 where there is none.
/// Source: The Unicode Standard 16, table 3-7.
func scalarLength(_ bytes: Span<UInt8>, at index: Int, end: Int) -> Int {
    let first = bytes[index]
    if first < 0x80 { return 1 }
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: length = 2
    case 0xE0:
        length = 3
        second = 0xA0...0xBF
    case 0xED:
        length = 3
        second = 0x80...0x9F
    case 0xE1...0xEF: length = 3
    case 0xF0:
        length = 4
        second = 0x90...0xBF
    case 0xF4:
        length = 4
        second = 0x80...0x8F
    case 0xF1...0xF3: length = 4
    default: return 0
    }
    guard index + length <= end, second.contains(bytes[index + 1]) else { return 0 }
    for offset in 2..<max(length, 2) where bytes[index + offset] & 0xC0 != 0x80 { return 0 }
    return length
}
