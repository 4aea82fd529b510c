import Foundation
import Models
import Numerical
import Testing

@Suite struct SegmentProfilesTests {
    private let segments: [Int32] = [0, 0, 0, 1, 1, -1]

    private func profiles(threads: Int = 1) throws -> SegmentProfiles {
        try SegmentProfiles(
            assignments: segments, segmentCount: 3, names: ["spend", "visits", "constant", "none"],
            columns: [
                [1, 2, 3, 10, 14, 1000], [4, .nan, 4, 0, 2, 1000], [0.1, 0.1, 0.1, 0.1, 0.1, 9],
                [.nan, 0, 0, 0, 0, 0],
            ],
            valid: [
                nil, [true, false, true, true, true, true], nil,
                [Bool](repeating: false, count: 6),
            ],
            categories: [
                CategoryColumn(
                    "region", codes: [2, 2, -1, 0, 2, 1], categories: ["north", "west", "south"])
            ], threadCount: threads)
    }

    @Test func meansIndicesAndDifferences() throws {
        let profiles = try profiles()
        #expect(profiles.sizes == [3, 2, 0])
        let spend = profiles.numbers[0]
        // Mean 6, variance (25 + 16 + 9 + 16 + 64) / 5 = 26.
        #expect(spend.mean == 6 && abs(spend.standardDeviation - 26.0.squareRoot()) < 1e-12)
        #expect(spend.segments.map(\.mean) == [2, 12, nil])
        let index = spend.segments[0].index ?? 0
        #expect(abs(index - 100.0 / 3) < 1e-12)
        #expect(spend.segments[1].index == 200 && spend.segments[2].index == nil)
        let expected: [Double] = [-4 / 26.0.squareRoot(), 6 / 26.0.squareRoot()]
        for (segment, difference) in expected.enumerated() {
            #expect(abs(spend.segments[segment].difference - difference) < 1e-12)
        }
        let visits = profiles.numbers[1]
        #expect(visits.mean == 2.5 && visits.segments[0].mean == 4)
        #expect(abs(visits.missingShare - 0.2) < 1e-12)
        #expect(abs(visits.segments[0].missingShare - 1.0 / 3) < 1e-12)
        let constant = profiles.numbers[2]
        #expect(constant.standardDeviation == 0 && constant.segments[0].difference == 0)
        let none = profiles.numbers[3]
        #expect(none.mean == nil && none.missingShare == 1 && none.segments[2].missingShare == 0)
        // A segment's means weigh to everybody's.
        let weighted = spend.segments.enumerated().reduce(0.0) {
            $0 + ($1.element.mean ?? 0) * Double(profiles.sizes[$1.offset])
        }
        #expect(abs(weighted / 5 - 6) < 1e-12)
    }

    @Test func sharesOfCategories() throws {
        let region = try profiles().categories[0]
        #expect(abs(region.missingShare - 0.2) < 1e-12)
        #expect(abs(region.missingShares[0] - 1.0 / 3) < 1e-12)
        #expect(region.missingShares[2] == 0)
        // Known: south 3 of 4, north 1 of 4; west is of no segment.
        #expect(region.segments[0].map(\.category) == ["north", "south"])
        #expect(region.segments[0].map(\.share) == [0, 1])
        #expect(region.segments[0].map(\.overallShare) == [0.25, 0.75])
        #expect(region.segments[0].map(\.index) == [0, 100 / 0.75])
        let expected = 0.25 / (0.25 * 0.75).squareRoot()
        #expect(abs(region.segments[0][1].difference - expected) < 1e-12)
        #expect(region.segments[1].map(\.share) == [0.5, 0.5])
        #expect(region.segments[2].allSatisfy { $0.difference == 0 })
    }

    @Test func distinctionsComeInOrder() throws {
        let profiles = try profiles()
        let found = profiles.distinctions(of: 1, most: 3, least: 0.1)
        // Spend 6 / 5.1, visits -1.5 / 1.66 (missing left out), then region ±0.577: north before
        // south by code.
        #expect(found.map(\.column) == ["spend", "visits", "region"])
        #expect(found.map(\.category) == [nil, nil, "north"])
        #expect(found[0].difference > 1 && found[1].difference < 0 && found[2].difference > 0)
        #expect(profiles.distinctions(of: 1, most: 9, least: 1).count == 1)
        #expect(profiles.distinctions(of: 2, most: 9, least: 0).isEmpty)
        let decoded = try JSONDecoder().decode(
            SegmentProfiles.self, from: JSONEncoder().encode(profiles))
        #expect(decoded == profiles)
        #expect(try self.profiles(threads: 3) == profiles)
    }

    @Test func aCategoryOfManyValuesKeepsFew() throws {
        let n = 50_000
        var random = SeededRandom(seed: 1)
        let segments = (0..<n).map { _ in Int32(random.below(4)) }
        // Half of segment 3 has one value, all else is its own.
        let codes = (0..<n).map {
            segments[$0] == 3 && $0 % 2 == 0 ? Int32(n) : Int32($0)
        }
        let names = (0...n).map { "c\($0)" }
        let profiles = try SegmentProfiles(
            assignments: segments, segmentCount: 4, names: [], columns: [],
            categories: [CategoryColumn("city", codes: codes, categories: names)],
            mostCategories: 3, threadCount: 2)
        #expect(profiles.categories[0].segments.allSatisfy { $0.count == 3 })
        #expect(profiles.distinctions(of: 3, most: 1).map(\.category) == ["c50000"])
        #expect(abs(profiles.categories[0].segments[3][0].share - 0.5) < 0.03)
    }

    @Test func refusesBadInput() throws {
        func make(
            _ segments: [Int32], _ column: [Float], _ codes: [Int32] = []
        ) throws -> SegmentProfiles {
            try SegmentProfiles(
                assignments: segments, segmentCount: 2, names: ["a"], columns: [column],
                categories: codes.isEmpty
                    ? [] : [CategoryColumn("b", codes: codes, categories: ["x"])],
                threadCount: 1)
        }
        #expect(throws: ModelError.nonFiniteValue(what: "column \"a\"", row: 1, column: 0)) {
            try make([0, 1], [1, .infinity])
        }
        #expect(throws: ModelError.self) { try make([0, 2], [1, 1]) }
        #expect(throws: ModelError.self) { try make([0, 1], [1]) }
        #expect(throws: ModelError.self) { try make([0, 1], [1, 1], [0, 1]) }
        let empty = try make([], [])
        #expect(empty.numbers[0].mean == nil && empty.numbers[0].missingShare == 0)
    }
}

@Suite struct SegmentExplanationTests {
    @Test func partsSumToTheDifference() throws {
        var random = SeededRandom(seed: 3)
        let columns = (0..<4).map { j in
            (0..<600).map { Float(Double($0 % 3) * Double(j + 1) + random.normal()) }
        }
        let (model, assignment) = try SegmentationModel.fit(
            featureNames: ["a", "b", "c", "d"], columns: columns, scaling: .zScore,
            parameters: .init(clusterCount: 3))
        for row in 0..<600 {
            let values: [Float?] = columns.indices.map { row % 7 == $0 ? nil : columns[$0][row] }
            let explained = try model.explain(values: values)
            if row % 7 > 3 {
                #expect(explained.segment == Int(assignment.segments[row]))
                #expect(abs(explained.distance - Double(assignment.distances[row])) < 1e-4)
            }
            #expect(explained.parts.map(\.column) == ["a", "b", "c", "d"])
            let sum = explained.parts.reduce(0.0) { $0 + $1.difference }
            #expect(sum == explained.difference)
            let next = try #require(explained.nextDistance)
            let squares = next * next - explained.distance * explained.distance
            #expect(abs(squares - explained.difference) <= 1e-12 * max(1, next * next))
            #expect(explained.difference >= -1e-12)
            let decisive = explained.decisive(most: 2)
            #expect(decisive.count == 2)
            #expect(abs(decisive[0].difference) >= abs(decisive[1].difference))
            if explained.difference > 1e-9 {
                let whole = explained.parts.reduce(0.0) { $0 + $1.share }
                #expect(abs(whole - 1) < 1e-9)
            }
        }
        let other = try model.explain(values: columns.map { $0[0] }, segment: 1)
        #expect(other.segment == 1 && other.nextSegment != 1)
        #expect(throws: ModelError.self) { try model.explain(values: [1, 2, 3, 4], segment: 3) }
        #expect(throws: ModelError.self) { try model.explain(values: [1]) }
    }

    @Test func categoriesHaveTheirPart() throws {
        let data = MixedPlanted(900, clusters: 3, numeric: 2, categories: 2, seed: 4)
        let names = (0..<6).map { "v\($0)" }
        let (model, assignment) = try MixedSegmentationModel.fit(
            featureNames: ["x", "y"], columns: data.numbers,
            categories: zip(["p", "q"], data.codes).map {
                CategoryColumn($0, codes: $1, categories: names)
            }, scaling: .zScore, parameters: .init(clusterCount: 3))
        for row in 0..<900 {
            let explained = try model.explain(
                values: data.numbers.map { $0[row] },
                categories: data.codes.map { names[Int($0[row])] })
            #expect(explained.segment == Int(assignment.segments[row]))
            #expect(abs(explained.distance - Double(assignment.distances[row])) < 1e-4)
            #expect(explained.parts.map(\.column) == ["x", "y", "p", "q"])
            let cost = Double(model.categoryCosts[0])
            #expect([0, cost, -cost].contains(explained.parts[2].difference))
        }
        let missing = try model.explain(values: [nil, nil], categories: [nil, "unheard of"])
        #expect(missing.parts[2].difference == 0 && missing.parts[3].difference == 0)
        let alone = try MixedSegmentationModel.fit(
            featureNames: [], columns: [],
            categories: [CategoryColumn("p", codes: data.codes[0], categories: names)],
            scaling: .zScore, parameters: .init(clusterCount: 1)
        ).model.explain(values: [], categories: ["v1"])
        #expect(alone.nextSegment == nil && alone.parts.isEmpty && alone.difference == 0)
    }
}
