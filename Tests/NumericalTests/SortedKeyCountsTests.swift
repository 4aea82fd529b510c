import Numerical
import TestSupport
import Testing

@Suite struct SortedKeyCountsTests {
    private static func reference(_ keys: [UInt64]) -> [UInt64: Int] {
        keys.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    private static func counted(_ keys: [UInt64], threadCount: Int) -> SortedKeyCounts {
        SortedKeyCounts(rowCount: keys.count, threadCount: threadCount) { rows, result in
            result += keys[rows]
        }
    }

    /// Sizes about the chunk's, whose parts are merged.
    @Test(arguments: [0, 1, 2, 3, 1_000, 262_143, 262_144, 262_145, 800_001])
    func everyKeyIsCounted(rowCount: Int) {
        var random = SeededRandom(seed: UInt64(rowCount) + 1)
        let keys = (0..<rowCount).map { _ in
            let (x, age) = (random.next() % 7, random.next() % 700)
            return x << 40 | age << 20 | random.next() % (age + 1)
        }
        let counted = Self.counted(keys, threadCount: 2)
        let expected = Self.reference(keys)
        #expect(counted.keys == expected.keys.sorted())
        #expect(counted.counts == expected.keys.sorted().map { expected[$0] ?? 0 })
        #expect(counted == Self.counted(keys, threadCount: 1))
    }

    /// Any bit may tell two keys apart, the highest and the lowest too.
    @Test func keysMayHaveAllBits() {
        var keys: [UInt64] = [.max, 0, .max, 1 << 63, 1, 0, .max - 1]
        for bit in 0..<64 as Range<UInt64> {
            let power: UInt64 = 1 << bit
            keys += [power, ~power]
        }
        let counted = Self.counted(keys, threadCount: 1)
        let expected = Self.reference(keys)
        #expect(counted.keys == expected.keys.sorted())
        #expect(counted.counts.reduce(0, +) == keys.count)
        #expect(counted.counts.last == expected[.max])
    }

    @Test func theLargestKeyIsMerged() {
        let keys = [UInt64](repeating: .max, count: 600_000)
        let counted = Self.counted(keys, threadCount: 2)
        #expect(counted.keys == [.max])
        #expect(counted.counts == [600_000])
    }

    /// What is not appended is not counted.
    @Test func rowsMayBeLeftOut() {
        let counted = SortedKeyCounts(rowCount: 1_000, threadCount: 2) { rows, keys in
            for row in rows where row % 10 == 0 { keys.append(UInt64(row % 20)) }
        }
        #expect(counted.keys == [0, 10])
        #expect(counted.counts == [50, 50])
    }
}
