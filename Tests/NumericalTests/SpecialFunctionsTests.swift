import Foundation
import Numerical
import Testing

@Suite struct SpecialFunctionsTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let x: Double
        let lnGamma: Double
        let digamma: Double
        let trigamma: Double
        var testDescription: String { "x = \(x)" }
    }

    /// 25-digit values.
    static let table = [
        Row(
            x: 0.001, lnGamma: 6.90717888538385368, digamma: -1000.5755719318103,
            trigamma: 1000001.64253319587),
        Row(
            x: 0.3, lnGamma: 1.09579799481807552, digamma: -3.50252422220013299,
            trigamma: 12.2453645461077305),
        Row(
            x: 1, lnGamma: 0, digamma: -0.577215664901532861, trigamma: 1.64493406684822644),
        Row(
            x: 1.5, lnGamma: -0.120782237635245222, digamma: 0.0364899739785765206,
            trigamma: 0.934802200544679309),
        Row(
            x: 2, lnGamma: 0, digamma: 0.422784335098467139, trigamma: 0.644934066848226436),
        Row(
            x: 5.7, lnGamma: 4.28396765503157959, digamma: 1.65018976707859017,
            trigamma: 0.191722486029816251),
        Row(
            x: 12, lnGamma: 17.5023078458738858, digamma: 2.44266167997581202,
            trigamma: 0.0869018728717683908),
        Row(
            x: 100.25, lnGamma: 360.284559637764235, digamma: 4.60267124327471256,
            trigamma: 0.0100249786981233662),
        Row(
            x: 1e6, lnGamma: 12815504.5691476117, digamma: 13.8155100579641908,
            trigamma: 1.00000050000016667e-6),
    ]

    @Test(arguments: table) func agreesWithTheTable(_ row: Row) {
        let size = max(1, row.x * abs(log(row.x)))
        #expect(abs(lnGamma(row.x) - row.lnGamma) <= 8e-15 * size)
        #expect(abs(digamma(row.x) - row.digamma) <= 2e-15 * max(1, abs(row.digamma)))
        #expect(abs(trigamma(row.x) / row.trigamma - 1) <= 2e-15)
    }

    @Test(arguments: [1e-5, 0.2425945, 1, 3.7, 500])
    func differencesAgreeWithTheFunctions(_ argument: Double) {
        let table = GammaDifferences(argument: argument, maximumCount: 300)
        for n in [0, 1, 2, 7, 8, 9, 100, 300, 301, 5_000] {
            let end = argument + Double(n)
            let scale = max(1, lnGamma(end))
            #expect(abs(table.value(n) - (lnGamma(end) - lnGamma(argument))) <= 1e-14 * scale)
            let first = digamma(end) - digamma(argument)
            #expect(abs(table.first(n) - first) <= 1e-14 * max(1, abs(digamma(argument))))
            let second = trigamma(end) - trigamma(argument)
            #expect(abs(table.second(n) - second) <= 1e-14 * max(1, trigamma(argument)))
        }
    }
}
