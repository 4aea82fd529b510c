import Engine
import Numerical
import Testing

/// Deciles found by counting are those of the sorted values.
@Suite struct ReferenceHistogramTests {
    @Test(arguments: [0, 1, 2, 9, 10, 11, 100, 4_097])
    func countsAsSortingWould(count: Int) {
        for seed in 0..<6 {
            var random = SeededRandom(seed: 7, stream: UInt64(seed * 10_000 + count))
            let values = (0..<count).map { _ -> Float in
                switch seed {
                case 0: Float(random.below(5)) - 2
                case 1: Float(random.uniform() - 0.5) * 1e30
                case 2: Float(random.below(1_000)) / 999
                case 3: random.below(2) == 0 ? 0 : -0.0
                case 4: Float(bitPattern: UInt32(random.below(8)) << 28 | 5)
                default: 3.5
                }
            }.map { $0.isFinite ? $0 : 1 }
            let valid = seed % 2 == 0 ? values.map { _ in random.below(4) > 0 } : nil
            let histogram = ReferenceHistogram(name: "x", values: values, valid: valid)
            let present = values.indices.filter { valid?[$0] ?? true }.map { values[$0] }.sorted()
            var edges: [Float] = []
            for decile in 1..<10 where !present.isEmpty {
                let edge = present[min(present.count - 1, present.count * decile / 10)]
                if edges.last != edge { edges.append(edge) }
            }
            #expect(histogram.edges == edges)
            let counts = (0...edges.count).map { bin in
                present.count { value in
                    (bin == edges.count || value <= edges[bin])
                        && (bin == 0 || value > edges[bin - 1])
                }
            }
            #expect(histogram.counts == counts)
            #expect(histogram.missingCount == values.count - present.count)
        }
    }
}
