import Foundation
import Numerical
import Testing

/// The elementary kernels beside the C library in a wider type.
@Suite struct ElementaryTests {
    /// Distance in units in the last place of the exact result, which a wider type holds.
    private func ulps(_ actual: Float, _ exact: Double) -> Double {
        let rounded = Float(exact)
        if actual == rounded || (actual.isNaN && rounded.isNaN) { return 0 }
        return abs(Double(actual) - exact) / Double(rounded.ulp)
    }

    /// Many finite arguments: a sweep over all bit patterns.
    private let floats: [Float] = (0..<40_000).map {
        let value = Float(bitPattern: UInt32(truncatingIfNeeded: $0 &* 107_377 &+ 11))
        return value.isFinite ? value : 0
    }

    private func results(
        _ x: [Float], _ level: ISALevel,
        _ function: (KernelTable) -> (Span<Float>, inout MutableSpan<Float>) -> Void
    ) -> [Float] {
        var output = [Float](repeating: .nan, count: x.count)
        var span = output.mutableSpan
        function(KernelTable(level))(x.span, &span)
        return output
    }

    private func results(
        _ x: [Double], _ level: ISALevel,
        _ function: (KernelTable) -> (Span<Double>, inout MutableSpan<Double>) -> Void
    ) -> [Double] {
        var output = [Double](repeating: .nan, count: x.count)
        var span = output.mutableSpan
        function(KernelTable(level))(x.span, &span)
        return output
    }

    @Test(arguments: ISALevel.available) func floatExponentials(level: ISALevel) {
        let x = floats.map { $0.magnitude > 1e-30 && $0.magnitude < 200 ? $0 : fmodf($0, 110) }
        let y = results(x, level) { $0.exponentials }
        let worst = zip(x, y).map { ulps($1, exp(Double($0))) }.max() ?? .infinity
        print("exp, Float, \(level): \(worst) ulp")
        #expect(worst <= 1)
    }

    @Test(arguments: ISALevel.available) func floatLogarithms(level: ISALevel) {
        let x = floats.map(abs) + (0..<2_000).map { 1 + Float($0 - 1_000) * 1e-6 }
        let y = results(x, level) { $0.logarithms }
        let worst = zip(x, y).map { ulps($1, log(Double($0))) }.max() ?? .infinity
        print("log, Float, \(level): \(worst) ulp")
        #expect(worst <= 1)
    }

    @Test(arguments: ISALevel.available) func floatLogistics(level: ISALevel) {
        let x = floats.map { fmodf($0, 100) }
        let y = results(x, level) { $0.logistics }
        let worst = zip(x, y).map { ulps($1, 1 / (1 + exp(-Double($0)))) }.max() ?? .infinity
        print("logistic, Float, \(level): \(worst) ulp")
        #expect(worst <= 2)
    }

    #if arch(x86_64)
    /// By the series of e^(x/64) in 80-bit numbers, squared six times.
    private func preciseExponential(_ x: Double) -> Float80 {
        let steps = 64.0
        let power = (0..<24).reversed().reduce(Float80(1)) {
            1 + Float80(x) / Float80(steps) / Float80($1 + 1) * $0
        }
        return (0..<6).reduce(power) { value, _ in value * value }
    }

    /// By ln 2 and the series of 2 artanh(f / (2 + f)) in 80-bit numbers.
    private func preciseLogarithm(_ x: Double) -> Float80 {
        var (exponent, significand) = (Float80(x.exponent), Float80(x.significand))
        if significand > 1.5 { (exponent, significand) = (exponent + 1, significand / 2) }
        let s = (significand - 1) / (significand + 1)
        let series = (0..<40).reversed().reduce(Float80(0)) { 1 / Float80(2 * $1 + 1) + s * s * $0 }
        return exponent * 0.693_147_180_559_945_309_417_232_121_458 + 2 * s * series
    }

    /// `count` arguments from whole numbers around zero.
    private func arguments(_ count: Int, _ body: (Double) -> Double) -> [Double] {
        (0..<count).map { body(Double($0 - count / 2)) }
    }

    private func ulps(_ actual: Double, _ exact: Float80) -> Double {
        let rounded = Double(exact)
        if actual == rounded || (actual.isNaN && rounded.isNaN) { return 0 }
        return Double(abs(Float80(actual) - exact) / Float80(rounded.ulp))
    }

    @Test(arguments: ISALevel.available) func doubleExponentialsAndLogistics(level: ISALevel) {
        let x = arguments(20_000) { $0 * 0.0041 + 1e-7 }
        let y = results(x, level) { $0.exponentials }
        let worst = zip(x, y).map { ulps($1, preciseExponential($0)) }.max() ?? .infinity
        let z = results(x, level) { $0.logistics }
        let worstLogistic =
            zip(x, z).map { argument, actual in
                ulps(actual, 1 / (1 + preciseExponential(-argument)))
            }.max() ?? .infinity
        print("exp and logistic, Double, \(level): \(worst), \(worstLogistic) ulp")
        #expect(worst <= 1)
        #expect(worstLogistic <= 2.5)
    }

    @Test(arguments: ISALevel.available) func doubleLogarithms(level: ISALevel) {
        let wide = arguments(20_000) { exp($0 * 0.0041) }
        let x = wide + arguments(2_000) { 1 + $0 * 1e-6 }
        let y = results(x, level) { $0.logarithms }
        let worst = zip(x, y).map { ulps($1, preciseLogarithm($0)) }.max() ?? .infinity
        print("log, Double, \(level): \(worst) ulp")
        #expect(worst <= 1.5)
    }
    #endif

    @Test(arguments: ISALevel.available) func specialValues(level: ISALevel) {
        let special: [Float] = [
            .nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude,
            .leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, -1, 88.73,
            -103.9, -104.1, -87.5,
        ]
        func same(_ a: Float, _ b: Float) -> Bool {
            a.isNaN ? b.isNaN : abs(a - b) <= b.ulp || a == b
        }
        let powers = results(special, level) { $0.exponentials }
        let logs = results(special, level) { $0.logarithms }
        let shares = results(special, level) { $0.logistics }
        for (i, x) in special.enumerated() {
            #expect(same(powers[i], expf(x)), "exp \(x): \(powers[i])")
            #expect(same(logs[i], x < 0 ? .nan : logf(x)), "log \(x): \(logs[i])")
            let share = x.isNaN ? Float.nan : Float(1 / (1 + exp(-Double(x))))
            #expect(same(shares[i], share), "logistic \(x): \(shares[i])")
        }
        let doubles: [Double] = [
            .nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude,
            .leastNormalMagnitude / 64,
            .greatestFiniteMagnitude, -1, 709.9, -745.2, -744.9, -708.5,
        ]
        let doublePowers = results(doubles, level) { $0.exponentials }
        let doubleLogs = results(doubles, level) { $0.logarithms }
        for (i, x) in doubles.enumerated() {
            let (power, logarithm) = (exp(x), x < 0 ? Double.nan : log(x))
            #expect(
                power.isNaN
                    ? doublePowers[i].isNaN
                    : abs(doublePowers[i] - power) <= power.ulp
                        || doublePowers[i] == power, "exp \(x): \(doublePowers[i])")
            #expect(
                logarithm.isNaN
                    ? doubleLogs[i].isNaN
                    : doubleLogs[i] == logarithm
                        || abs(doubleLogs[i] - logarithm) <= logarithm.ulp,
                "log \(x): \(doubleLogs[i])")
        }
    }

    /// A value's result does not depend on where in the array it is, and nothing beyond is written.
    @Test(arguments: sizes) func everySizeAndLane(n: Int) {
        let x = (0..<n).map { Float($0) * 0.37 - 5 }
        let positive = (0..<n).map { Double($0) * 0.37 + 0.1 }
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            for i in 0..<n {
                let whole = results(x, level) { $0.exponentials }
                #expect(results([x[i]], level) { $0.exponentials } == [whole[i]])
            }
            let logs = results(positive, level) { $0.logarithms }
            for i in 0..<n {
                #expect(results([positive[i]], level) { $0.logarithms } == [logs[i]])
            }
            var output = [Float](repeating: -7, count: n + 3)
            output.withUnsafeMutableBufferPointer { buffer in
                var part = UnsafeMutableBufferPointer(rebasing: buffer[1..<n + 1]).mutableSpan
                kernels.logistics(x.span, &part)
            }
            #expect(output[0] == -7 && output[n + 1] == -7 && output[n + 2] == -7)
        }
    }
}
