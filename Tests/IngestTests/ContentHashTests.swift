import Ingest
import Testing

@Suite struct ContentHashTests {
    /// Computed by a separate program from the definition in the type's comment.
    @Test func worked() {
        let examples: [([UInt8], UInt64)] = [
            ([], 0xAA80_F746_6CA3_941F), (Array("a".utf8), 0x614E_67CF_1C1A_9435),
            (Array("customer,time,amount\n".utf8), 0x62F0_3AF5_B8D5_002B),
            (Array(0..<32), 0xCDF6_1C3F_2471_63F4), (Array(0..<100), 0x32E8_2738_B895_2EFB),
        ]
        for (bytes, expected) in examples { #expect(ContentHash.hash(bytes.span) == expected) }
    }

    @Test func everyBitAndLengthCounts() {
        let bytes = [UInt8](repeating: 0, count: 70)
        var seen: Set<UInt64> = []
        for count in 0...70 { seen.insert(ContentHash.hash(Array(bytes[..<count]).span)) }
        for bit in 0..<560 {
            var flipped = bytes
            flipped[bit / 8] |= 1 << UInt8(bit % 8)
            seen.insert(ContentHash.hash(flipped.span))
        }
        #expect(seen.count == 71 + 560)
    }

    /// However the bytes are cut.
    @Test func parts() {
        let bytes = (0..<200).map { UInt8($0 * 7 % 251) }
        let whole = ContentHash.hash(bytes.span)
        for step in [1, 2, 3, 31, 32, 33, 64, 199, 200] {
            var hasher = ContentHasher()
            var start = 0
            while start < bytes.count {
                let end = min(start + step, bytes.count)
                hasher.add(bytes.span.extracting(start..<end).bytes)
                start = end
            }
            #expect(hasher.value == whole && hasher.byteCount == 200, "parts of \(step)")
        }
    }
}
