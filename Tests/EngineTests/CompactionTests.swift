import Engine
import Numerical
import Testing

/// Which neighbouring segments become one.
@Suite struct CompactionTests {
    private func ranges(_ lineCounts: [Int], _ kinds: [String]? = nil) -> [Range<Int>] {
        Compaction.ranges(
            lineCounts: lineCounts, kinds: kinds ?? lineCounts.map { _ in "customer" })
    }

    @Test func eightOfSimilarSizeBecomeOne() {
        #expect(ranges([]) == [])
        #expect(ranges([5, 5, 5, 5, 5, 5, 5]) == [])
        #expect(ranges([5, 5, 5, 5, 5, 5, 5, 5]) == [0..<8])
        #expect(ranges([5, 4, 9, 1, 1, 3, 7, 2]) == [0..<8])
        // A large one stays until small ones add up to as much.
        #expect(ranges([100, 1, 1, 1, 1, 1, 1, 1]) == [])
        #expect(ranges([100, 1, 1, 1, 1, 1, 1, 1, 1]) == [1..<9])
        #expect(ranges([20, 5, 4, 3, 3, 2, 2, 1]) == [0..<8])
        #expect(ranges([21, 5, 4, 3, 3, 2, 2, 1]) == [])
    }

    @Test func onlyNeighboursOfOneKind() {
        let ones = [Int](repeating: 1, count: 12)
        let bare = [String](repeating: "a", count: 4)
        #expect(ranges(ones, bare + bare.map { _ in "b" } + bare) == [])
        #expect(ranges(ones, ["b", "b"] + bare + bare + ["c", "c"]) == [2..<10])
    }

    /// Many ingests leave few segments and write a line again a few times.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func fewSegmentsStay(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var segments: [Int] = []
        var rewritten = 0
        for ingest in 0..<2_000 {
            let isLarge = seed > 2 && random.below(50) == 0
            segments.append(seed == 1 ? 100 : isLarge ? 20_000 : 1 + random.below(300))
            let merged = ranges(segments)
            for range in merged.reversed() {
                let sum = segments[range].reduce(0, +)
                rewritten += sum
                segments.replaceSubrange(range, with: [sum])
            }
            #expect(ranges(segments) == [], "seed \(seed), ingest \(ingest)")
            #expect(segments.count <= 50, "seed \(seed), ingest \(ingest): \(segments)")
        }
        let total = segments.reduce(0, +)
        #expect(rewritten <= total * 8, "seed \(seed): \(rewritten) of \(total)")
    }
}
