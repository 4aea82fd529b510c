import Foundation
import Numerical
import Testing

@Suite struct QuadratureTests {
    @Test(arguments: [1, 2, 3, 7, 8, 9, 16, 32, 64])
    func legendreIntegratesPolynomials(_ count: Int) {
        let rule = QuadratureRule.gaussLegendre(count: count)
        for degree in 0..<2 * count {
            var sum = 0.0
            for (node, weight) in zip(rule.nodes, rule.weights) {
                sum += weight * pow(node, Double(degree))
            }
            #expect(abs(sum * Double(degree + 1) - 1) < 1e-13)
        }
        #expect(rule.nodes == rule.nodes.sorted())
    }

    /// Moments of the beta distribution: E[p^k] = Π (alpha + i) / (alpha + beta + i).
    @Test(arguments: [
        (0.793, 2.426), (1, 1), (0.5, 0.5), (0.4, 0.6), (1, 2.426), (1e-4, 3), (0.8, 1_002.4),
        (300, 0.7), (250, 4_000),
    ])
    func jacobiHasTheMomentsOfTheBeta(_ alpha: Double, _ beta: Double) {
        for count in [1, 2, 3, 12, 16, 32] {
            let rule = QuadratureRule.gaussJacobi(count: count, alpha: alpha, beta: beta)
            var moment = 1.0
            for degree in 0..<2 * count {
                var sum = 0.0
                for (node, weight) in zip(rule.nodes, rule.weights) {
                    sum += weight * pow(node, Double(degree))
                }
                #expect(abs(sum / moment - 1) < 1e-11, "degree \(degree) of \(count) nodes")
                moment *= (alpha + Double(degree)) / (alpha + beta + Double(degree))
                if moment < 1e-200 { break }
            }
            #expect(rule.nodes.allSatisfy { $0 > 0 && $0 <= 1 })
            #expect(rule.weights.allSatisfy { $0 >= 0 })
        }
    }

    /// Parameters next to 0, where α + β − 2 has no digit of them left.
    @Test(arguments: [1e-200, 1e-30, 1e-9, 0.5, 1])
    func gaussJacobiWithTinyParameters(size: Double) {
        for (alpha, beta) in [(size, size), (size, 2), (2, size), (size, 1 - size / 2)] {
            let rule = QuadratureRule.gaussJacobi(count: 16, alpha: alpha, beta: beta)
            #expect(rule.nodes.allSatisfy { $0 > 0 && $0 <= 1 })
            let sum = rule.weights.reduce(0, +)
            let mean = zip(rule.nodes, rule.weights).map(*).reduce(0, +)
            #expect(abs(sum - 1) < 1e-13)
            #expect(abs(mean - alpha / (alpha + beta)) < 1e-13)
        }
    }
}
