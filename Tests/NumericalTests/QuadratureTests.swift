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
}
