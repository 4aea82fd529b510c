import Foundation
import Models
import Numerical
import Testing

@Suite struct FeatureScalingTests {
    private let columns: [[Float]] = [[1, 2, 3, 4], [5, 5, 5, 5], [0, 0, 0, 9]]

    @Test func zScoreHasMeanZeroAndVarianceOne() throws {
        let scaling = try FeatureScaling.fit(.zScore, columns: columns)
        let points = try scaling.apply(columns: columns, threadCount: 2)
        for feature in [0, 2] {
            let values = (0..<4).map { Double(points[$0, feature]) }
            #expect(abs(values.reduce(0, +)) < 1e-6)
            #expect(abs(values.reduce(0) { $0 + $1 * $1 } - 4) < 1e-6)
        }
        #expect((0..<4).allSatisfy { points[$0, 1] == 0 })
        #expect(abs(scaling.value(ofCoordinate: points[2, 0], 0) - 3) < 1e-6)
        #expect(scaling.value(ofCoordinate: 0, 1) == 5)
    }

    @Test func logZScoreIsOddAndInvertible() throws {
        let values: [Float] = [-1000, -1, 0, 1, 1000]
        let scaling = try FeatureScaling.fit(.logZScore, columns: [values])
        let points = try scaling.apply(columns: [values], threadCount: 1)
        for row in 0..<5 {
            #expect(points[row, 0] == -points[4 - row, 0])
            let back = scaling.value(ofCoordinate: points[row, 0], 0)
            // The coordinate is single precision and the logarithm is at most 7.
            #expect(abs(back - Double(values[row])) <= 1e-5 * max(1, abs(Double(values[row]))))
        }
    }

    @Test func robustUsesQuartilesAndFallsBackToTheDeviation() throws {
        let scaling = try FeatureScaling.fit(.robust, columns: columns)
        #expect(scaling.centres == [2.5, 5, 0])
        // Quartiles 1.75 and 3.25 (R, type 7).
        #expect(abs(1 / scaling.factors[0] - 1.5 / 1.349) < 1e-12)
        #expect(scaling.factors[1] == 0)
        // Three of four are 0, so the quartiles are 0 and 2.25.
        #expect(abs(1 / scaling.factors[2] - 2.25 / 1.349) < 1e-12)
        let sparse = try FeatureScaling.fit(.robust, columns: [[0, 0, 0, 0, 0, 0, 0, 8]])
        #expect(abs(1 / sparse.factors[0] - (8.0 * 8 / 8 - 1).squareRoot()) < 1e-12)
    }

    @Test func quantilesRankTheValues() throws {
        // Five different values: ranks 0, 1/4 ... 1, in any order.
        let scaling = try FeatureScaling.fit(.quantile, columns: [[8, 1, 1000, 2, 4]])
        let root = 12.0.squareRoot()
        func rank(_ value: Float) -> Double {
            Double(scaling.coordinate(value, 0)) / root + 0.5
        }
        let values: [Float] = [1, 2, 4, 8, 1000, 3, 504, -7, 1e30]
        let ranks: [Double] = [0, 0.25, 0.5, 0.75, 1, 0.375, 0.875, 0, 1]
        for (value, expected) in zip(values, ranks) {
            let found = rank(value)
            #expect(abs(found - expected) < 1e-6, "\(value)")
        }
        for value in [Float(1), 2, 3, 8, 504, 1000] {
            let back = scaling.value(ofCoordinate: scaling.coordinate(value, 0), 0)
            #expect(abs(back / Double(value) - 1) < 1e-5)
        }
        #expect(scaling.value(ofCoordinate: 99, 0) == 1000)
    }

    @Test func tiedValuesGetTheMeanOfTheirRanks() throws {
        // 60 of 100 customers with one purchase, as many ranks each for 2 ... 5.
        let counts: [Float] = (0..<100).map { (row: Int) -> Float in
            row < 60 ? 1 : Float(2 + (row - 60) / 10)
        }
        let scaling = try FeatureScaling.fit(.quantile, columns: [counts])
        func rank(_ value: Float) -> Double {
            Double(scaling.coordinate(value, 0)) / 12.0.squareRoot() + 0.5
        }
        for (value, position) in [(Float(1), 29.5), (2, 64.5), (5, 94.5)] {
            let found = rank(value)
            #expect(abs(found - position / 99) < 1e-6)
        }
        #expect(scaling.value(ofCoordinate: scaling.coordinate(1, 0), 0) == 1)
        #expect(scaling.value(ofCoordinate: 0, 0) == scaling.centres[0])
    }

    @Test func manyValuesAreHeldByFewCutPoints() throws {
        var random = SeededRandom(seed: 2)
        let values = (0..<20_000).map { _ in Float(random.normal() * random.normal() * 1000) }
        let scaling = try FeatureScaling.fit(.quantile, columns: [values])
        #expect(scaling.cutPoints?[0].count == 257)
        let sorted = values.sorted()
        for (index, value) in sorted.enumerated() where index % 97 == 0 {
            let rank = Double(scaling.coordinate(value, 0)) / 12.0.squareRoot() + 0.5
            let expected = Double(index) / 19_999
            #expect(abs(rank - expected) < 1.0 / 256)
        }
        let points = try scaling.apply(columns: [values], threadCount: 2)
        let squares = (0..<20_000).reduce(0.0) { $0 + Double(points[$1, 0] * points[$1, 0]) }
        #expect(abs(squares / 20_000 - 1) < 0.01)
    }

    @Test func savedAndLoadedIsTheSame() throws {
        for kind in FeatureScaling.Kind.allCases {
            let scaling = try FeatureScaling.fit(kind, columns: columns)
            let data = try JSONEncoder().encode(scaling)
            #expect(try JSONDecoder().decode(FeatureScaling.self, from: data) == scaling)
            // Files of the other kinds are as they were before there were cut points.
            let text = String(decoding: data, as: UTF8.self)
            #expect(text.contains("cutPoints") == (kind == .quantile))
            let broken = text.replacingOccurrences(
                of: kind == .quantile ? "\"cutPoints\":[" : "\"factors\":[",
                with: kind == .quantile ? "\"cutPoints\":[[]," : "\"factors\":[1,")
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(FeatureScaling.self, from: Data(broken.utf8))
            }
        }
    }

    @Test func missingValuesGetTheCentre() throws {
        let flags: [[Bool]?] = [[true, true, false, true], nil, [false, false, false, false]]
        var dirty = columns
        dirty[0][2] = .nan
        for kind in FeatureScaling.Kind.allCases {
            let scaling = try FeatureScaling.fit(kind, columns: dirty, valid: flags)
            let points = try scaling.apply(columns: dirty, valid: flags, threadCount: 1)
            let expected: Float = kind == .none ? Float(7.0 / 3) : 0
            #expect(points[2, 0] == expected)
            #expect((0..<4).allSatisfy { points[$0, 2] == 0 })
            #expect((0..<4).allSatisfy { points.row($0).allSatisfy(\.isFinite) })
        }
    }

    @Test func refusesBadInput() {
        #expect(throws: ModelError.noRows(model: "feature scaling")) {
            try FeatureScaling.fit(.zScore, columns: [])
        }
        #expect(throws: ModelError.noRows(model: "feature scaling")) {
            try FeatureScaling.fit(.zScore, columns: [[]])
        }
        for bad in [Float.nan, .infinity, -.infinity] {
            #expect(throws: ModelError.nonFiniteValue(what: "features", row: 1, column: 1)) {
                try FeatureScaling.fit(.none, columns: [[1, 2], [3, bad]])
            }
        }
        #expect(
            throws: ModelError.countMismatch(what: "rows of feature 1", actual: 1, expected: 2)
        ) {
            try FeatureScaling.fit(.zScore, columns: [[1, 2], [3]])
        }
    }
}
