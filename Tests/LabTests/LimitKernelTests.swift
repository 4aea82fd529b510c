import Numerical
import Testing

@Suite struct LimitKernelTests {
    static let sizes = [
        0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1_000,
    ]

    private func values(_ count: Int) -> AlignedFloats {
        var random = SeededRandom(seed: 7)
        // The span of a name: in a debug build the 6.3.1 compiler breaks on that of a temporary.
        let drawn = (0..<count).map { _ in Float(random.uniform()) - 0.5 }
        return AlignedFloats(drawn.span)
    }

    /// Exact: the order of an exclusive or does not matter.
    @Test(arguments: ISALevel.available)
    func combinedBits(level: ISALevel) {
        let kernels = KernelTable(level)
        for count in Self.sizes {
            let values = values(count)
            let expected = (0..<count).reduce(UInt32(0)) { $0 ^ values[$1].bitPattern }
            let combined = (1...3).map { kernels.combineBits(values.span, passes: $0) }
            #expect(combined == [expected, 0, expected], "\(count)")
        }
    }

    /// Every value is written, and nothing beside it.
    @Test(arguments: ISALevel.available)
    func fillAndCopy(level: ISALevel) {
        let kernels = KernelTable(level)
        for count in Self.sizes {
            let values = values(count)
            var target = [Float](repeating: -1, count: count + 2)
            target.withUnsafeMutableBufferPointer { buffer in
                var part = UnsafeMutableBufferPointer(rebasing: buffer[1..<count + 1]).mutableSpan
                kernels.copy(values.span, to: &part)
            }
            #expect(target == [-1] + (0..<count).map { values[$0] } + [-1])
            var filled = [Float](repeating: -1, count: count)
            var all = filled.mutableSpan
            kernels.fill(&all, with: 2.5)
            #expect(filled == [Float](repeating: 2.5, count: count))
        }
    }

    /// With factor 1 and addend 1 each value is its start plus the iterations: small integers, exact.
    @Test(arguments: ISALevel.available)
    func chains(level: ISALevel) {
        let kernels = KernelTable(level)
        let lanes = kernels.multiplyAddChainOperations / 24
        #expect(kernels.multiplyAddChainOperations == 24 * lanes)
        for iterations in [0, 1, 2, 10] {
            let sum = kernels.multiplyAddChains(iterations, factor: 1, addend: 1)
            #expect(sum == Float(lanes * (66 + 12 * iterations)))
            // x/2 + 1/2 approaches 1.
            let limit = kernels.multiplyAddChains(100, factor: 0.5, addend: 0.5)
            #expect(limit == Float(12 * lanes))
        }
    }
}
