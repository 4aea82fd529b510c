/// FNV-1a, 64 bits, over the little-endian bytes of results: two runs that print the same hash made
/// the same bytes.
/// Source: G. Fowler, L. C. Noll, K.-P. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash Algorithm".
package struct ResultHash: Sendable {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func add(_ bytes: RawSpan) {
        var h = state
        bytes.withUnsafeBytes { buffer in
            for byte in buffer { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        }
        state = h
    }

    package mutating func add<Element: BitwiseCopyable>(_ values: [Element]) {
        add(values.span.bytes)
    }

    /// 16 hexadecimal digits.
    package var text: String {
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
