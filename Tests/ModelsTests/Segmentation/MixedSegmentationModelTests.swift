import Foundation
import Models
import Numerical
import Testing

@Suite struct MixedSegmentationModelTests {
    private let data = MixedPlanted(
        2000, clusters: 3, numeric: 2, categories: 2, missing: 0.05, seed: 21)

    private func columns(_ names: [String], order: [Int] = Array(0..<6)) -> [CategoryColumn] {
        // Code i of the data is the name i, wherever `order` puts it.
        let categories = (0..<6).map { place in "value \(order.firstIndex(of: place) ?? 0)" }
        return zip(names, data.codes).map { name, codes in
            CategoryColumn(
                name, codes: codes.map { $0 < 0 ? -1 : Int32(order[Int($0)]) },
                categories: categories)
        }
    }

    private func fit(
        threads: Int = 1
    ) throws -> (model: MixedSegmentationModel, assignment: SegmentationModel.Assignment) {
        try MixedSegmentationModel.fit(
            featureNames: ["income", "age"], columns: data.numbers,
            categories: columns(["region", "gender"]), scaling: .zScore,
            parameters: .init(clusterCount: 3, threadCount: threads))
    }

    @Test func segmentsAreOrderedAndRecovered() throws {
        let (model, assignment) = try fit()
        #expect(model.sizes == model.sizes.sorted(by: >) && model.sizes.reduce(0, +) == 2000)
        #expect(adjustedRandIndex(assignment.segments, data.truth) > 0.95)
        for segment in 0..<3 {
            let own = (0..<2000).filter { assignment.segments[$0] == Int32(segment) }
            #expect(own.count == model.sizes[segment])
            let mean = own.reduce(0.0) { $0 + Double(data.numbers[0][$1]) } / Double(own.count)
            #expect(abs(model.meanValues(of: segment)[0] - mean) < 1e-4)
            var counts = [Int](repeating: 0, count: 6)
            for row in own where data.codes[1][row] >= 0 { counts[Int(data.codes[1][row])] += 1 }
            let most = counts.firstIndex(of: counts.max() ?? 0) ?? -1
            #expect(model.modes(of: segment)[1] == "value \(most)")
        }
        #expect(try fit(threads: 3).assignment == assignment)
    }

    @Test func savedAndLoadedGivesTheSameScores() throws {
        let (model, assignment) = try fit()
        let loaded = try JSONDecoder().decode(
            MixedSegmentationModel.self, from: JSONEncoder().encode(model))
        #expect(loaded == model)
        // The categories may be numbered anew.
        for order in [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]] {
            let again = try loaded.assign(
                columns: data.numbers, categories: columns(["region", "gender"], order: order),
                threadCount: 2)
            #expect(again == assignment)
        }
    }

    @Test func brokenFilesAreRefused() throws {
        let model = try fit().model
        let text = String(decoding: try JSONEncoder().encode(model), as: UTF8.self)
        for (good, bad) in [
            ("\"categoryNames\":[\"region\",\"gender\"]", "\"categoryNames\":[\"region\"]"),
            ("\"featureNames\":[\"income\",\"age\"]", "\"featureNames\":[\"income\"]"),
            ("\"sizes\":[", "\"sizes\":[7,"), ("\"categoryCosts\":[", "\"categoryCosts\":[-"),
        ] {
            #expect(text.contains(good))
            let broken = text.replacingOccurrences(of: good, with: bad)
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(MixedSegmentationModel.self, from: Data(broken.utf8))
            }
        }
    }

    @Test func categoriesAloneAndNumbersAlone() throws {
        let modes = try MixedSegmentationModel.fit(
            featureNames: [], columns: [], categories: columns(["region", "gender"]),
            scaling: .zScore, parameters: .init(clusterCount: 3))
        #expect(modes.model.scaling == nil && modes.model.gamma == 1)
        #expect(
            try modes.model.assign(
                columns: [], categories: columns(["region", "gender"]), threadCount: 1)
                == modes.assignment)
        let means = try MixedSegmentationModel.fit(
            featureNames: ["income", "age"], columns: data.numbers, categories: [],
            scaling: .zScore, parameters: .init(clusterCount: 3))
        let plain = try SegmentationModel.fit(
            featureNames: ["income", "age"], columns: data.numbers, scaling: .zScore,
            parameters: .init(clusterCount: 3, restarts: 4, tolerance: 0))
        #expect(abs(means.model.cost / plain.model.inertia - 1) < 1e-3)
        #expect(adjustedRandIndex(means.assignment.segments, plain.assignment.segments) > 0.95)
        let one = try MixedSegmentationModel.fit(
            featureNames: ["income"], columns: [[5]],
            categories: [CategoryColumn("region", codes: [-1], categories: [])], scaling: .zScore,
            parameters: .init(clusterCount: 1))
        #expect(one.model.modes == [nil] && one.assignment.distances == [0])
    }

    @Test func columnsThatSayNothing() throws {
        let n = 300
        let (model, assignment) = try MixedSegmentationModel.fit(
            featureNames: ["varies", "constant", "missing"],
            columns: [
                (0..<n).map { Float($0 % 2) }, [Float](repeating: 7, count: n),
                [Float](repeating: .nan, count: n),
            ], valid: [nil, nil, [Bool](repeating: false, count: n)],
            categories: [
                CategoryColumn(
                    "constant", codes: [Int32](repeating: 0, count: n), categories: ["a"]),
                CategoryColumn(
                    "missing", codes: [Int32](repeating: -1, count: n), categories: ["a"]),
            ], scaling: .zScore, parameters: .init(clusterCount: 2))
        #expect(model.sizes == [150, 150] && model.cost == 0 && model.gamma == 1)
        #expect(model.modes == ["a", nil, "a", nil])
        for row in 0..<n { #expect(assignment.segments[row] == assignment.segments[row % 2]) }
        let empty = try model.assign(
            columns: [[], [], []],
            categories: ["constant", "missing"].map {
                CategoryColumn($0, codes: [], categories: [])
            }, threadCount: 2)
        #expect(empty.segments.isEmpty && empty.distances.isEmpty)
    }

    @Test func onlyTheRowsAskedFor() throws {
        let rows = Array(stride(from: 0, to: 2000, by: 3))
        let (model, assignment) = try MixedSegmentationModel.fit(
            featureNames: ["income", "age"], columns: data.numbers,
            categories: columns(["region", "gender"]), rows: rows, scaling: .robust,
            parameters: .init(clusterCount: 3))
        #expect(assignment.segments.count == rows.count)
        let all = try model.assign(
            columns: data.numbers, categories: columns(["region", "gender"]), threadCount: 1)
        #expect(rows.map { all.segments[$0] } == assignment.segments)
    }

    @Test func refusesBadInput() throws {
        let model = try fit().model
        #expect(
            throws: ModelError.badColumn(
                name: "sex", reason: "the model was fitted with \"gender\" in its place")
        ) {
            try model.assign(
                columns: data.numbers, categories: columns(["region", "sex"]), threadCount: 1)
        }
        #expect(
            throws: ModelError.countMismatch(what: "category columns", actual: 1, expected: 2)
        ) {
            try model.assign(
                columns: data.numbers, categories: columns(["region"]), threadCount: 1)
        }
        #expect(throws: ModelError.noRows(model: "k-prototypes")) {
            try MixedSegmentationModel.fit(
                featureNames: [], columns: [], categories: [], scaling: .zScore,
                parameters: .init(clusterCount: 1))
        }
        #expect(throws: ModelError.self) {
            try MixedSegmentationModel.fit(
                featureNames: [], columns: [],
                categories: [CategoryColumn("region", codes: [0, 3], categories: ["a"])],
                scaling: .zScore, parameters: .init(clusterCount: 1))
        }
    }
}
