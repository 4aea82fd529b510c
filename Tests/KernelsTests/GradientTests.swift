import Numerical
import Testing

/// The kernels of conjugate gradients; widths are multiples of 16 by contract.
@Suite struct GradientTests {
    private func aligned(_ values: [Float]) -> AlignedFloats { AlignedFloats(values.span) }

    private func matrix(_ count: Int) -> SparseMatrix {
        SparseMatrix(
            rowCount: 1, columnCount: max(1, 2 * count), rowOffsets: [0, count],
            columnIndices: (0..<count).map { Int32(2 * $0) },
            values: integers(count, stream: 3, bound: 3).map(abs))
    }

    @Test(arguments: sizes) func pullsAndProductsAgreeWithScalar(count: Int) {
        for width in [16, 48, 64, 80, 128] {
            let matrix = matrix(count)
            let fixed = DiagonalSide(
                rows: aligned(integers(matrix.columnCount * width, stream: width, bound: 2)),
                axes: AlignedFloats(count: width), floor: 1)
            let vector = integers(width, stream: 10, bound: 2)
            func run(_ level: ISALevel, _ isResidual: Bool) -> (pulls: [Float], products: [Float]) {
                let kernels = KernelTable(level)
                var scratch = AlignedFloats(count: 320)
                var output = integers(width, stream: 11)
                var products = [Float](repeating: 0, count: count)
                do {
                    let pieces = [PullPiece(position: 0, entries: 0..<count, scale: 1)]
                    var span = output.mutableSpan
                    kernels.addPulls(
                        matrix, pieces.span, of: fixed,
                        confidence: LinearConfidence(intercept: 1, slope: 2),
                        isResidual: isResidual, on: aligned(vector), to: &span,
                        scratch: &scratch)
                }
                kernels.rowProducts(
                    fixed.rows, matrix, entries: 0..<count, with: vector.span,
                    products: &products, scratch: &scratch)
                return (output, products)
            }
            // Integers below 2^24 throughout: exact in any order.
            for isResidual in [true, false] {
                let expected = run(.scalar, isResidual)
                for level in ISALevel.available {
                    let actual = run(level, isResidual)
                    #expect(actual.pulls == expected.pulls, "\(level) \(count) \(width)")
                    #expect(actual.products == expected.products, "\(level) \(count) \(width)")
                }
            }
        }
    }

    @Test(arguments: [16, 32, 48, 64, 80, 128]) func rowProductAgreesWithScalar(width: Int) {
        let square = aligned(integers(width * width, stream: 1))
        for count in [0, 1, 3, 4, 5, 7, 8, 9] {
            let input = integers(count * width, stream: 2)
            func run(_ level: ISALevel) -> [Float] {
                var output = [Float](repeating: -1, count: count * width)
                var span = output.mutableSpan
                KernelTable(level).multiplyRows(input.span, width: width, by: square, &span)
                return output
            }
            let expected = run(.scalar)
            for level in ISALevel.available { #expect(run(level) == expected, "\(level) \(count)") }
        }
    }

    /// As many steps as factors solve a system, whatever the level; a step on nothing stays.
    @Test func descentsAgreeWithScalar() {
        let (width, count) = (48, 37)
        let matrix = matrix(count)
        let fixed = DiagonalSide(
            rows: aligned(reals(matrix.columnCount * width, stream: 4)),
            axes: aligned(reals(width, stream: 5).map { 20 + 5 * $0 }), floor: 1e-3)
        func run(_ level: ISALevel, steps: Int) -> [Float] {
            var factors = aligned(reals(2 * width, stream: 6))
            var state = DescentState(width: width)
            #expect(
                KernelTable(level).descend(
                    matrix, row: 0, against: fixed,
                    confidence: LinearConfidence(intercept: 0, slope: 1), regularization: 0.5,
                    steps: steps, tolerance: 0, factors: &factors, at: 1, state: &state))
            return (0..<2 * width).map { factors[$0] }
        }
        for steps in [0, 1, 3, 30] {
            let expected = run(.scalar, steps: steps)
            for level in ISALevel.available {
                for (actual, wanted) in zip(run(level, steps: steps), expected) {
                    #expect(abs(actual - wanted) < 1e-4, "\(level) \(steps) steps")
                }
            }
        }
    }

    @Test(arguments: [1, 2, 3, 5, 16, 17, 64]) func eigenvectorsDiagonalize(size: Int) throws {
        var random = SeededRandom(seed: 4, stream: UInt64(size))
        // Of half rank, so that eigenvalues repeat at zero.
        let panel = (0..<(size + 1) / 2 * size).map { _ in random.uniform() - 0.5 }
        var matrix = [Double](repeating: 0, count: size * size)
        for row in 0..<(size + 1) / 2 {
            for r in 0..<size {
                for c in 0..<size {
                    matrix[r * size + c] += panel[row * size + r] * panel[row * size + c]
                }
            }
        }
        for level in ISALevel.available {
            // Only the upper triangle may be read.
            var upper = matrix
            for r in 0..<size { for c in 0..<r { upper[r * size + c] = 1e9 } }
            let eigen = try #require(KernelTable(level).symmetricEigen(upper, size: size))
            for i in 0..<size {
                let v = eigen.vectors[i * size..<(i + 1) * size].map { $0 }
                for r in 0..<size {
                    let image = (0..<size).reduce(0.0) { $0 + matrix[r * size + $1] * v[$1] }
                    #expect(abs(image - eigen.values[i] * v[r]) < 1e-12, "\(level) \(i)")
                }
                for j in 0...i {
                    let product = (0..<size).reduce(0.0) {
                        $0 + v[$1] * eigen.vectors[j * size + $1]
                    }
                    #expect(abs(product - (i == j ? 1 : 0)) < 1e-12, "\(level) \(i) \(j)")
                }
            }
        }
        #expect(KernelTable(.scalar).symmetricEigen([.nan], size: 1) == nil)
    }
}
