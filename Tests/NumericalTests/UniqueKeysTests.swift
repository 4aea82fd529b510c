import Numerical
import Testing

@Suite struct UniqueKeysTests {
    @Test func codesCountAndGrow() {
        var random = SeededRandom(seed: 11)
        var unique = UniqueKeys()
        var codes: [UInt64: Int32] = [:]
        var counts: [UInt64: Int] = [:]
        for _ in 0..<40_000 {
            // Keys that differ in their high bits only, and equal keys.
            let key = UInt64(random.below(9_000)) << 40
            let code = unique.insert(key)
            #expect(codes[key] ?? code == code)
            codes[key] = code
            counts[key, default: 0] += 1
        }
        #expect(unique.keys.count == codes.count)
        for (index, key) in unique.keys.enumerated() {
            #expect(codes[key] == Int32(index))
            #expect(counts[key] == unique.counts[index])
        }
    }
}
