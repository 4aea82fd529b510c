import Numerical
import Testing

@Suite struct VectorTests {
    @Test(arguments: sizes) func vectorsAgreeWithScalar(n: Int) {
        let (x, y) = (integers(n, stream: 1), integers(n, stream: 2))
        let (rx, ry) = (reals(n, stream: 4), reals(n, stream: 5))
        let exact = zip(rx, ry).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            #expect(kernels.dot(x.span, y.span) == zip(x, y).reduce(0) { $0 + $1.0 * $1.1 })
            // Each of n terms of at most 1 is rounded at most n times.
            #expect(abs(Double(kernels.dot(rx.span, ry.span)) - exact) <= Double(n) * 0x1p-20)
            var sum = y
            do {
                var span = sum.mutableSpan
                kernels.axpy(3, x.span, &span)
            }
            #expect(sum == zip(x, y).map { 3 * $0 + $1 })
        }
    }
}
