import Foundation
import Numerical
import Testing

/// Sums of 1 − (1 + p t)^(−k) beside the scalar twin, which is made of the C library's functions.
@Suite struct PowerComplementTests {
    private func sums(
        _ level: ISALevel, _ points: [Double], _ weights: [Double], _ times: [Double],
        _ shape: Double
    ) -> [Double] {
        var output = [Double](repeating: .nan, count: times.count)
        var span = output.mutableSpan
        KernelTable(level).powerComplements(
            points.span, weights: weights.span, times: times.span, shape: shape, &span)
        return output
    }

    private let times = [
        0, .leastNonzeroMagnitude, 1e-300, 1e-17, 1e-9, 1e-3, 0.5, 1, 3, 12, 1e3, 1e9, 1e300,
    ]

    /// One point at a time, so that every term shows.
    @Test(arguments: ISALevel.available) func everyTermIsThatOfTheLibrary(level: ISALevel) {
        var worst = 0.0
        for point in [1e-300, 1e-12, 1e-5, 0.01, 0.3, 0.7, 1] {
            for shape in [0, 1e-9, 0.1, 0.69, 1, 5.5, 200, 1e6] {
                let actual = sums(level, [point], [1], times, shape)
                let exact = sums(.scalar, [point], [1], times, shape)
                for (actual, exact) in zip(actual, exact) {
                    // Below the normal range a product is rounded to whole steps.
                    let step = max(exact.ulp, .leastNormalMagnitude)
                    worst = max(worst, abs(actual - exact) / step)
                    #expect(actual >= 0 && actual <= 1)
                }
            }
        }
        print("1 − (1 + pt)^−k, \(level): \(worst) ulp")
        #expect(worst <= 4)
    }

    /// Every count of points that fills no whole number of registers.
    @Test(arguments: ISALevel.available) func noPointIsLostOrCountedTwice(level: ISALevel) {
        for count in 0...35 {
            let points = (0..<count).map { 0.01 + Double($0) / 40 }
            let weights = (0..<count).map { 1 + Double($0 * $0 % 7) }
            let actual = sums(level, points, weights, times, 3.25)
            let exact = sums(.scalar, points, weights, times, 3.25)
            for (actual, exact) in zip(actual, exact) {
                #expect(
                    abs(actual - exact) <= 1e-14 * exact + .leastNormalMagnitude,
                    "\(count) points: \(actual), not \(exact)")
            }
        }
    }
}
