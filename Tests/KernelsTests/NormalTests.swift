import Numerical
import Testing

/// The kernels of the normal equations; widths are multiples of 16 by contract.
@Suite struct NormalTests {
    private func upperTriangle(_ matrix: [Float], _ width: Int) -> [Float] {
        (0..<width).flatMap { r in (r..<width).map { matrix[r * width + $0] } }
    }

    private func solve(
        _ kernels: KernelTable, _ matrix: inout [Float], _ side: inout [Float]
    ) -> Bool {
        var (system, solution) = (AlignedFloats(matrix.span), AlignedFloats(side.span))
        let isSolved = kernels.solvePositiveDefinite(&system, &solution, smallestPivot: 0)
        for j in side.indices { side[j] = solution[j] }
        return isSolved
    }

    @Test(arguments: sizes) func gatherAndOuterProductsAgreeWithScalar(count: Int) {
        for width in [16, 32, 48, 64, 80] {
            let rows = integers(70 * width, stream: width)
            let indices = integers(count, stream: count, bound: 34).map { Int32($0) + 34 }
            let scales = integers(count, stream: 8, bound: 2)
            let weights = integers(count, stream: 9, bound: 3)
            func run(
                _ level: ISALevel
            ) -> (panel: AlignedFloats, side: AlignedFloats, matrix: [Float]) {
                let kernels = KernelTable(level)
                var panel = AlignedFloats(count: count * width)
                var side = AlignedFloats(integers(width, stream: 10).span)
                var matrix = integers(width * width, stream: 11)
                kernels.gather(
                    rows.span, indices: indices.span, scales: scales.span, weights: weights.span,
                    panel: &panel, rightSide: &side)
                var target = matrix.mutableSpan
                kernels.addOuterProducts(
                    panel.span, rowCount: count, width: width, matrix: &target)
                return (panel, side, upperTriangle(matrix, width))
            }
            let expected = run(.scalar)
            for level in ISALevel.available {
                let actual = run(level)
                #expect(actual.panel == expected.panel, "\(level) \(count) \(width)")
                #expect(actual.side == expected.side, "\(level) \(count) \(width)")
                #expect(actual.matrix == expected.matrix, "\(level) \(count) \(width)")
            }
        }
    }

    @Test(arguments: [16, 32, 48, 64, 96]) func solvesPositiveDefiniteSystems(width: Int) {
        let panel = reals(2 * width * width, stream: width)
        var system = [Float](repeating: 0, count: width * width)
        var target = system.mutableSpan
        KernelTable(.scalar).addOuterProducts(
            panel.span, rowCount: 2 * width, width: width, matrix: &target)
        for j in 0..<width { system[j * width + j] += 1 }
        let solution = reals(width, stream: 99)
        func entry(_ r: Int, _ c: Int) -> Double {
            Double(r <= c ? system[r * width + c] : system[c * width + r])
        }
        let side = (0..<width).map { r in
            Float((0..<width).reduce(0.0) { $0 + entry(r, $1) * Double(solution[$1]) })
        }
        // What lies below the diagonal must not be read.
        for r in 0..<width { for c in 0..<r { system[r * width + c] = .nan } }
        for level in ISALevel.available {
            var (matrix, x) = (system, side)
            #expect(solve(KernelTable(level), &matrix, &x))
            // Condition below 100: about two digits of the seven are lost.
            for j in 0..<width { #expect(abs(x[j] - solution[j]) < 1e-4, "\(level) \(j)") }
        }
    }

    @Test func refusesIndefiniteAndSingularSystems() {
        for level in ISALevel.available {
            for pivot: Float in [0, -1, .nan] {
                for position in [0, 7, 15, 16, 31] {
                    var matrix = [Float](repeating: 0, count: 32 * 32)
                    for j in 0..<32 { matrix[j * 32 + j] = j == position ? pivot : 1 }
                    var side = [Float](repeating: 1, count: 32)
                    #expect(!solve(KernelTable(level), &matrix, &side))
                }
            }
        }
    }
}
