import Numerical
import Testing

@Suite struct IncompleteBetaTests {
    /// Digits by SciPy 1.17.
    @Test(arguments: [
        (2.5, 3.7, 0.4, 0.5151961496687577), (0.01, 5, 0.2, 0.9978180380770353),
        (300, 2, 0.99, 0.19616357628514303), (1e-3, 1e-3, 0.3, 0.4995769621396763),
        (5e4, 3e4, 0.626, 0.7203344755067362),
    ])
    func agreesWithTheTable(_ row: (a: Double, b: Double, x: Double, value: Double)) {
        let value = incompleteBeta(row.x, complement: 1 - row.x, row.a, row.b)
        #expect(abs(value / row.value - 1) < 1e-15 * max(100, 20 * (row.a + row.b)), "\(value)")
        let rest = incompleteBeta(1 - row.x, complement: row.x, row.b, row.a)
        #expect(abs(value + rest - 1) < 1e-15 * max(10, 20 * (row.a + row.b)))
    }

    @Test func knowsItsEnds() {
        for (a, b) in [(1e-7, 1e6), (3, 0.2), (40, 40)] {
            #expect(incompleteBeta(0, complement: 1, a, b) == 0)
            #expect(incompleteBeta(1, complement: 0, a, b) == 1)
            var before = 0.0
            for x in stride(from: 0.0, through: 1, by: 0.01) {
                let value = incompleteBeta(x, complement: 1 - x, a, b)
                #expect(value >= before - 1e-12 && value <= 1)
                before = value
            }
        }
        // 1 − (1 − x)^b, with x far below the last digit of 1.
        let tiny = incompleteBeta(1e-200, complement: 1, 1, 3)
        #expect(abs(tiny / 3e-200 - 1) < 1e-12)
    }
}
