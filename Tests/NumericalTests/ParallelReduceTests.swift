import Numerical
import Testing

@Suite struct ParallelReduceTests {
    /// Pieces that take longer the earlier they come still merge in order.
    @Test(arguments: [0, 1, 2, 17, 200], [1, 2, 4])
    func mergesInOrder(count: Int, threads: Int) {
        let merged = parallelReduce(into: [Int](), count: count, threadCount: threads) { index in
            var sum = index
            for step in 0..<(count - index) * 2_000 { sum = (sum &* 31) ^ step }
            return (index, sum)
        } merge: { result, part in
            result.append(part.0)
        }
        #expect(merged == Array(0..<count))
    }
}
