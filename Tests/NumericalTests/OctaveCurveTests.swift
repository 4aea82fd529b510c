import Foundation
import Numerical
import Testing

@Suite struct OctaveCurveTests {
    @Test(arguments: [-1_022, -40, -1, 0, 1, 9, 1_023])
    func anOctaveHoldsItsPlaces(octave: Int) {
        let places = OctaveCurve.places(in: octave)
        #expect(places.count == OctaveCurve.nodeCount)
        #expect(Set(places).count == OctaveCurve.nodeCount)
        for place in places { #expect(OctaveCurve.octave(of: place) == octave) }
    }

    @Test func octavesStartAtPowersOfTwo() {
        #expect(OctaveCurve.octave(of: 1) == 0)
        #expect(OctaveCurve.octave(of: 1.0.nextDown) == -1)
        #expect(OctaveCurve.octave(of: 2.0.nextDown) == 0)
        #expect(OctaveCurve.octave(of: 0.25) == -2)
    }

    /// Functions as they occur: 1 − (1 + h/t)^−k, bounded by 1 where |Im ln t| <= π/2.
    @Test(arguments: [0.01, 1, 52, 5_000.0], [0.3, 1, 7, 400.0])
    func functionsOfTheLogarithmAreFound(horizon: Double, shape: Double) {
        func function(_ t: Double) -> Double { -expm1(-shape * log1p(horizon / t)) }
        var largest = 0.0
        for octave in -6...12 {
            let curve = OctaveCurve(OctaveCurve.places(in: octave).map(function))
            let start = exp2(Double(octave))
            for step in 0..<200 {
                let t = start * (1 + Double(step) / 200)
                let found = curve.value(at: OctaveCurve.Position(of: t))
                largest = max(largest, abs(found / function(t) - 1))
            }
        }
        #expect(largest < 3e-14)
    }

    /// A polynomial in log2 t of degree 15 is met to the last places.
    @Test func polynomialsAreMet() {
        func polynomial(_ t: Double) -> Double {
            let u = log2(t)
            return (0...15).reduce(0) { sum, power in
                sum + Double(power - 7) * pow(u, Double(power))
            }
        }
        let curve = OctaveCurve(OctaveCurve.places(in: 0).map(polynomial))
        for step in 0..<64 {
            let t = 1 + Double(step) / 64
            let difference = abs(curve.value(at: OctaveCurve.Position(of: t)) - polynomial(t))
            #expect(difference < 1e-13)
        }
    }
}
