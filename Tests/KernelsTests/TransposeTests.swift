import Numerical
import Testing

@Suite struct TransposeTests {
    @Test(arguments: sizes) func packingIsATransposition(d: Int) {
        if d == 0 { return }
        for rowCount in sizes {
            let rows = reals(rowCount * d, stream: d)
            let expected = FeatureMatrix(rowMajor: rows, rowCount: rowCount, featureCount: d)
            for level in ISALevel.available {
                var packed = FeatureMatrix(rowCount: rowCount, featureCount: d)
                packed.pack(rows.span, kernels: KernelTable(level))
                #expect(packed == expected, "\(level) \(rowCount) \(d)")
                // Padding becomes zero whatever was there.
                guard rowCount > 0 else { continue }
                packed.pack(reals(64 * d, stream: 9)[0..<d].span, kernels: KernelTable(level))
                #expect(packed.storage.span[min(63, 1)] == 0)
            }
        }
    }
}
