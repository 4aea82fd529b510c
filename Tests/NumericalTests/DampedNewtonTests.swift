import Foundation
import Numerical
import Testing

@Suite struct DampedNewtonTests {
    private func rosenbrock(_ p: [Double]) -> ObjectiveEvaluation {
        let (x, y) = (p[0], p[1])
        var hessian = SymmetricMatrix(size: 2)
        hessian[0, 0] = 2 - 400 * (y - 3 * x * x)
        hessian[1, 0] = -400 * x
        hessian[1, 1] = 200
        return ObjectiveEvaluation(
            value: (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x),
            gradient: [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
            hessian: hessian)
    }

    /// Source: Rosenbrock 1960; the minimum is at (1, 1).
    @Test(arguments: [(-1.2, 1.0), (0, 0), (3, -2), (1, 1)])
    func findsTheMinimumOfRosenbrock(_ x: Double, _ y: Double) {
        let result = DampedNewton().minimize(
            from: [x, y], lower: [-5, -5], upper: [5, 5], objective: rosenbrock)
        #expect(result.outcome == .converged)
        #expect(abs(result.point[0] - 1) < 1e-9 && abs(result.point[1] - 1) < 1e-9)
        #expect(result.iterations < 60)
        #expect(result.gradientNorm < 1e-7)
    }

    @Test func stopsAtTheBound() {
        let result = DampedNewton().minimize(
            from: [0, 0], lower: [-5, -5], upper: [0.5, 5], objective: rosenbrock)
        #expect(result.outcome == .atBound)
        #expect(result.point[0] == 0.5)
        #expect(abs(result.point[1] - 0.25) < 1e-9)
    }

    @Test func leavesASaddle() {
        // x² − y² + y⁴ from near its saddle at the origin; minima at y = ±√½.
        let result = DampedNewton().minimize(
            from: [1, 1e-3], lower: [-9, -9], upper: [9, 9]
        ) { p in
            var hessian = SymmetricMatrix(size: 2)
            hessian[0, 0] = 2
            hessian[1, 1] = -2 + 12 * p[1] * p[1]
            return ObjectiveEvaluation(
                value: p[0] * p[0] - p[1] * p[1] + p[1] * p[1] * p[1] * p[1],
                gradient: [2 * p[0], -2 * p[1] + 4 * p[1] * p[1] * p[1]], hessian: hessian)
        }
        #expect(result.outcome == .converged)
        #expect(abs(result.point[1] - 0.5.squareRoot()) < 1e-9)
    }

    /// x⁴/4 − x²/2 + x/10 has its lower minimum on the left; starts on the right find the other.
    @Test func choosesTheLowestOfSeveralStarts() throws {
        func objective(_ p: [Double]) -> ObjectiveEvaluation {
            let x = p[0]
            var hessian = SymmetricMatrix(size: 1)
            hessian[0, 0] = 3 * x * x - 1
            let value = x > 3 ? .nan : x * x * x * x / 4 - x * x / 2 + x / 10
            return ObjectiveEvaluation(
                value: value, gradient: [x * x * x - x + 0.1], hessian: hessian)
        }
        func best(_ starts: [Double]) -> (result: DampedNewton.Result, start: Int)? {
            DampedNewton().best(
                from: starts.map { [$0] }, lower: [-5], upper: [5], objective: objective)
        }
        let found = try #require(best([4, 1, -1, -1.1]))
        #expect(found.start == 2)
        #expect(found.result.point[0] < -1)
        #expect(best([4, 4.5]) == nil)
        #expect(best([1, 1.1])?.start == 0)
    }

    @Test func reportsWhatIsNotFinite() {
        let result = DampedNewton().minimize(from: [1], lower: [0], upper: [2]) { _ in
            ObjectiveEvaluation(value: .nan, gradient: [0], hessian: SymmetricMatrix(size: 1))
        }
        #expect(result.outcome == .notFinite)
    }

    @Test func invertsAndDecomposes() throws {
        var random = SeededRandom(seed: 5)
        for size in 1...6 {
            var matrix = SymmetricMatrix(size: size)
            let factor = (0..<size * size).map { _ in random.uniform() - 0.5 }
            for i in 0..<size {
                for j in 0...i {
                    for k in 0..<size {
                        matrix[i, j] += factor[i * size + k] * factor[j * size + k]
                    }
                }
                matrix[i, i] += 0.1
            }
            let inverse = try #require(matrix.inverseIfPositiveDefinite())
            let (values, vectors) = matrix.eigenDecomposition()
            for i in 0..<size {
                for j in 0..<size {
                    var product = 0.0
                    for k in 0..<size { product += matrix[i, k] * inverse[k, j] }
                    #expect(abs(product - (i == j ? 1 : 0)) < 1e-12)
                    var image = 0.0
                    for k in 0..<size { image += matrix[i, k] * vectors[j][k] }
                    #expect(abs(image - values[j] * vectors[j][i]) < 1e-13)
                }
            }
            matrix[0, 0] = -1
            #expect(matrix.inverseIfPositiveDefinite() == nil)
        }
    }
}
