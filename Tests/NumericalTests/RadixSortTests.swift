import Numerical
import Testing

@Suite struct RadixSortTests {
    private func check(_ keys: [UInt64], _ comment: String) {
        let expected = keys.indices.sorted { keys[$0] != keys[$1] ? keys[$0] < keys[$1] : $0 < $1 }
        for threadCount in [1, 3] {
            var sorted = SortedOrder(sorting: keys, threadCount: threadCount)
            #expect(sorted.keys == expected.map { keys[$0] }, "\(comment)")
            let rows = sorted.reorder(keys.indices.map { Int64($0) })
            #expect(rows == expected.map { Int64($0) }, "\(comment)")
            #expect(sorted.reorder(keys.indices.map { Float($0) }) == rows.map { Float($0) })
            #expect(sorted.reorder(keys.indices.map { UInt32($0) }) == rows.map { UInt32($0) })
        }
    }

    @Test(arguments: [0, 1, 2, 7, 47, 48, 49, 1_000, 20_000])
    func agreesWithAStableSort(count: Int) {
        var random = SeededRandom(seed: 3, stream: UInt64(count))
        for bits in [0, 1, 8, 9, 10, 11, 33, 47, 63, 64] {
            let mask = bits == 64 ? UInt64.max : (1 << UInt64(bits)) - 1
            check((0..<count).map { _ in random.next() & mask }, "\(bits) bits")
            check((0..<count).map { _ in random.next() | ~mask }, "\(bits) low bits")
        }
        check((0..<count).map { UInt64($0) }, "sorted")
        check((0..<count).map { UInt64(count - $0) }, "falling")
        // Nearly all in one bucket.
        check((0..<count).map { $0 == 0 ? .max : random.next() & 0xFFFF }, "one bucket")
    }

    /// More than one chunk of the first pass.
    @Test func chunksKeepTheOrderOfEqualKeys() {
        var random = SeededRandom(seed: 4)
        let keys = (0..<600_000).map { _ in random.next() & 0xFFF }
        check(keys, "many equal keys")
    }
}
