import Numerical
import Testing

@Suite struct SortedRowsTests {
    /// Against the sort of the library, with values of all kinds beside the keys.
    private func check(
        _ first: [Int64], _ second: [Int64], scale: Int64 = -1, _ comment: String
    ) {
        let order = first.indices.sorted {
            (first[$0], second[$0], $0) < (first[$1], second[$1], $1)
        }
        for (threadCount, batchCount) in [(1, 1), (3, 1), (2, 5)] {
            let size = max(1, (first.count + batchCount - 1) / batchCount)
            func values(_ rows: Range<Int>) -> [RowValues] {
                [
                    .floats(rows.map { Float($0) }), .words(rows.map { scale * Int64($0) }),
                    .halves(rows.map { UInt32($0) }),
                ]
            }
            var rows = RowCollector(
                like: first, second, values(first.indices), capacity: first.count,
                threadCount: threadCount)
            for start in stride(from: 0, to: first.count, by: size) {
                let part = start..<min(start + size, first.count)
                let isAdded = rows.add(
                    Array(first[part]), Array(second[part]), values(part),
                    threadCount: threadCount)
                #expect(isAdded, "\(comment)")
            }
            #expect(rows.count == first.count)
            let sorted = rows.sorted(threadCount: threadCount)
            func words(_ field: RowField) -> [Int64] {
                sorted.words(field, threadCount: threadCount)
            }
            func halves(_ field: RowField) -> [UInt32] {
                sorted.halves(field, threadCount: threadCount)
            }
            #expect(words(.first) == order.map { first[$0] }, "\(comment)")
            #expect(words(.second) == order.map { second[$0] }, "\(comment)")
            #expect(words(.value(1)) == order.map { scale * Int64($0) }, "\(comment)")
            #expect(halves(.value(2)) == order.map { UInt32($0) }, "\(comment)")
            #expect(halves(.value(0)) == order.map { Float($0).bitPattern }, "\(comment)")
            var low: [UInt32] = [7]
            sorted.append(.second, 0..<first.count, to: &low)
            #expect(
                low == [7] + order.map { UInt32(truncatingIfNeeded: second[$0]) }, "\(comment)")
            if first.count > 0 {
                #expect(sorted.secondBounds == second.min()!...second.max()!, "\(comment)")
            }
        }
    }

    @Test(arguments: [0, 1, 2, 7, 47, 48, 49, 1_000, 20_000])
    func agreesWithAStableSort(count: Int) {
        var random = SeededRandom(seed: 3, stream: UInt64(count))
        /// Numbers of so many bits, some of them below 0.
        func numbers(_ bits: Int) -> [Int64] {
            (0..<count).map { _ in
                let mask = bits == 64 ? UInt64.max : (1 << UInt64(bits)) - 1
                return Int64(bitPattern: random.next() & mask) &- Int64(mask >> 1)
            }
        }
        for (first, second) in [
            (0, 0), (1, 0), (0, 1), (8, 3), (9, 9), (10, 26), (20, 26), (33, 30), (13, 50), (0, 64),
            (64, 0), (32, 20), (64, 64), (60, 26), (53, 3),
        ] {
            check(numbers(first), numbers(second), "\(first) and \(second) bits")
        }
        let rows = (0..<count).map { Int64($0) }
        check(rows, rows.map { _ in 5 }, "sorted")
        check(rows.reversed(), rows, "falling")
        // Nearly all in one bucket.
        check(
            rows.map { $0 == 3 ? 1 << 40 : 7 }, numbers(20), "one bucket")
        // Keys of a bucket that have no room above the number of the row.
        check(
            rows.map { $0 == 3 ? 1 << 53 : $0 % 2 << 41 },
            numbers(14).map { $0 == 1 ? (1 << 33) - 1 : abs($0) % 50 }, "dropped bits")
    }

    /// Few numbers at either end of all there are, and one far from the others.
    @Test func bucketsAtTheEndsOfAllNumbers() {
        check([.max, .max], [5, 3], "the last bucket")
        check([.max, .max - 1], [5, 5], "the last two")
        check([.min + 1, .min], [5, 5], "the first two")
        check([.max - 3, .max, .max - 1, .max, .max - 2_000], [1, 2, 3, 1, 5], "the last 2,001")
        let rows = (0..<20_000).map { row -> Int64 in Int64((row * 7_919) % 9_973) }
        for outlier in [Int64.max, .min, 999_999_999_999] {
            var ids = rows
            ids[7] = outlier
            check(ids, rows.map { $0 % 366 }, "an id far away")
        }
    }

    /// More than one chunk of the first pass.
    @Test func chunksKeepTheOrderOfEqualKeys() throws {
        var random = SeededRandom(seed: 4)
        let first = (0..<600_000).map { _ in Int64(random.next() & 0xFF) }
        check(first, first.map { _ in Int64(random.next() & 0xF) }, "many equal keys")
    }

    /// Batches that come with ever larger numbers, and words that need all their bits.
    @Test func batchesMayReachFurtherAndFurther() {
        let first = (0..<50_000).map { row -> Int64 in
            let number = row * row % 77_777
            return Int64(number * (1 + row / 10_000))
        }
        check(first, first.map { $0 % 1_000 }, "further")
        check(first.map { $0 << 40 }, first.map { $0 % 1_000 }, scale: 1 << 46, "wide")
    }

    @Test func refusesWhatDoesNotFit() {
        var rows = RowCollector(like: [7], [9], [.words([5])], capacity: 3, threadCount: 1)
        func isAdded(_ first: [Int64], _ second: [Int64], _ words: [Int64]) -> Bool {
            rows.add(first, second, [.words(words)], threadCount: 1)
        }
        #expect(isAdded([7], [9], [5]))
        #expect(!isAdded([1 << 40], [9], [5]))
        #expect(!isAdded([7], [.min], [5]))
        #expect(!isAdded([7], [9], [1 << 31]))
        #expect(!isAdded([.max], [.max], [.max]))
        #expect(isAdded([], [], []))
        #expect(isAdded([6, 1 << 31], [8, 9], [-1 << 31, 1]))
        #expect(!isAdded([7], [9], [5]), "no room")
        let sorted = rows.sorted(threadCount: 1)
        #expect(sorted.words(.first, threadCount: 1) == [6, 7, 1 << 31])
        #expect(sorted.words(.value(0), threadCount: 1) == [-1 << 31, 5, 1])
        let (first, second) = ([Int64.max, .min], [Int64.min, .max])
        var wide = RowCollector(like: first, second, [], capacity: 2, threadCount: 1)
        let isWide = wide.add(first, second, [], threadCount: 1)
        #expect(isWide)
        #expect(wide.sorted(threadCount: 1).words(.second, threadCount: 1) == [.max, .min])
    }
}
