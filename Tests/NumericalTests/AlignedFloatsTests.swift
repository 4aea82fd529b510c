import Numerical
import Testing

@Suite struct AlignedFloatsTests {
    /// Below and above the size from which memory is mapped.
    @Test(arguments: [0, 1, 15, 16, 17, 1_000, 1 << 20, (1 << 20) + 5])
    func startsZeroedAtACacheLine(count: Int) {
        let values = AlignedFloats(count: count)
        #expect(values.count == count && values.span.count == count)
        let span = values.span
        #expect(span.indices.allSatisfy { span[$0] == 0 })
        let address = span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(address % UInt(AlignedFloats.alignment) == 0)
    }

    @Test(arguments: [17, 1 << 20])
    func copiesAreIndependent(count: Int) {
        var first = AlignedFloats(count: count)
        first[3] = 1
        var second = first
        #expect(second == first)
        var span = second.mutableSpan
        span[3] = 2
        second[4] = 5
        #expect(first[3] == 1 && first[4] == 0 && second[3] == 2 && second[4] == 5)
        #expect(second != first)
        #expect(AlignedFloats(second.span) == second)
    }

    @Test func fillsInParallel() {
        var values = AlignedFloats(count: 3 * 1_000)
        parallelFill(&values, rowWidth: 3, chunkRows: 7, threadCount: 4) { rows, slice in
            for i in slice.indices { slice[i] = Float(rows.lowerBound * 3 + i) }
        }
        #expect((0..<values.count).allSatisfy { values[$0] == Float($0) })
    }
}
