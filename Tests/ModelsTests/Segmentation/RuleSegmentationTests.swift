import Foundation
import Models
import Testing

@Suite struct RankCutsTests {
    @Test func levelsAreEquallyLargeWithoutTies() throws {
        let values = (0..<1_000).map { Float(($0 * 7_919) % 1_000) }
        let cuts = try RankCuts.fit(values, levelCount: 5, name: "x")
        #expect(cuts.leastValues == [200, 400, 600, 800])
        var counts = [Int](repeating: 0, count: 5)
        for value in values { counts[cuts.level(value) - 1] += 1 }
        #expect(counts == [200, 200, 200, 200, 200])
        #expect(cuts.level(-.greatestFiniteMagnitude) == 1 && cuts.level(1e30) == 5)
    }

    /// 60 % of the customers have one order: they are together, in the level of their middle.
    @Test func tiesAreNeverSplit() throws {
        let values = [Float](repeating: 1, count: 600) + (0..<400).map { Float(2 + $0 % 40) }
        let cuts = try RankCuts.fit(values.shuffled(), levelCount: 5, name: "orders")
        // Middle of the 600 among 1,000: rank 300, in the second fifth.
        #expect(cuts.level(1) == 2)
        #expect(cuts.leastValues.first == 1)
        // The level of a value is that of the middle rank among equals, by counting.
        for value in Set(values) {
            let below = values.count { $0 < value }
            let equal = values.count { $0 == value }
            #expect(cuts.level(value) == min(5, 5 * (2 * below + equal) / 2_000 + 1))
        }
    }

    @Test func oneValueAloneIsInTheMiddle() throws {
        let cuts = try RankCuts.fit([3, 3, 3], levelCount: 5, name: "x")
        #expect(cuts.level(3) == 3 && cuts.level(2) == 1 && cuts.level(4) == 3)
        #expect(try RankCuts.fit([3], levelCount: 1, name: "x").level(3) == 1)
    }

    @Test func refusesByName() throws {
        #expect(throws: ModelError.noRows(model: "levels of x")) {
            try RankCuts.fit([], levelCount: 5, name: "x")
        }
        #expect(throws: ModelError.nonFiniteValue(what: "x", row: 1, column: 0)) {
            try RankCuts.fit([1, .nan], levelCount: 5, name: "x")
        }
        #expect(throws: ModelError.outOfRange(what: "levels", actual: 0, allowed: "1...100")) {
            try RankCuts.fit([1], levelCount: 0, name: "x")
        }
        #expect(throws: ModelError.self) { try RankCuts(leastValues: [2, 2]) }
        #expect(throws: ModelError.self) { try RankCuts(leastValues: [.infinity]) }
    }
}

@Suite struct RFMGridTests {
    private let since: [Float] = (0..<500).map { Float(($0 * 37) % 500) }
    private let orders: [Float] = (0..<500).map { Float(1 + ($0 * $0) % 11) }
    private let revenue: [Float] = (0..<500).map { Float(($0 * 101) % 499) }

    @Test func fewerDaysAreBetter() throws {
        let grid = try RFMGrid.fit(columns: [since, orders, revenue])
        #expect(grid.segmentCount == 125 && grid.segmentNames[0] == "R1 F1 M1")
        #expect(grid.segmentNames[124] == "R5 F5 M5" && grid.segmentNames[29] == "R2 F1 M5")
        let segments = grid.assign(columns: [since, orders, revenue])
        for row in since.indices {
            let scores = grid.scores(of: Int(segments[row]))
            // A hundred days to a level.
            #expect(scores[0] == 5 - Int(since[row]) / 100)
            #expect(scores[1] == grid.cuts[1].level(orders[row]))
            #expect(scores[2] == grid.cuts[2].level(revenue[row]))
        }
        #expect(
            grid.segment(daysSinceLastPurchase: 0, frequency: 1e9, amount: 1e9) == 124)
        #expect(grid.segment(daysSinceLastPurchase: 1e9, frequency: 0, amount: -5) == 0)
    }

    @Test func isThatOfItsRowsAloneAndIsRestored() throws {
        let rows = Array(stride(from: 1, to: 500, by: 3))
        let grid = try RFMGrid.fit(columns: [since, orders, revenue], rows: rows, levelCount: 4)
        let alone = try RFMGrid.fit(
            columns: [since, orders, revenue].map { column in rows.map { column[$0] } },
            levelCount: 4)
        #expect(grid == alone)
        let restored = try JSONDecoder().decode(
            RFMGrid.self, from: try JSONEncoder().encode(grid))
        #expect(restored == grid)
        let part = grid.assign(columns: [since, orders, revenue], rows: rows)
        let all = grid.assign(columns: [since, orders, revenue])
        #expect(part == rows.map { all[$0] })
    }

    /// Who has no value is in level 1, also where fewer is better, and moves no cut.
    @Test func whatIsMissingIsLowest() throws {
        let valid: [[Bool]?] = [since.indices.map { $0 % 4 != 0 }, nil, nil]
        let columns = [since.indices.map { $0 % 4 == 0 ? 0 : since[$0] }, orders, revenue]
        let grid = try RFMGrid.fit(columns: columns, valid: valid)
        let known = since.indices.filter { $0 % 4 != 0 }
        #expect(
            try grid.cuts[0] == RankCuts.fit(known.map { -since[$0] }, levelCount: 5, name: "x"))
        let segments = grid.assign(columns: columns, valid: valid)
        for row in stride(from: 0, to: 500, by: 4) {
            #expect(grid.scores(of: Int(segments[row]))[0] == 1)
        }
    }

    @Test(arguments: [
        #"{"featureNames":["a","b"],"cuts":[],"levelCount":5}"#,
        #"{"featureNames":["a","b","c"],"cuts":[],"levelCount":3000000}"#,
        #"{"featureNames":["a","b","c"],"levelCount":2,"cuts":[{"levelCount":3,"leastValues":[]},{"levelCount":2,"leastValues":[]},{"levelCount":2,"leastValues":[]}]}"#,
        #"{"featureNames":["a","b","c"],"levelCount":2,"cuts":[{"levelCount":2,"leastValues":[2,1]},{"levelCount":2,"leastValues":[]},{"levelCount":2,"leastValues":[]}]}"#,
    ])
    func partsThatDoNotFitAreRefused(text: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(RFMGrid.self, from: Data(text.utf8))
        }
    }

    @Test func refusesOtherShapes() {
        #expect(throws: ModelError.self) { try RFMGrid.fit(columns: [since, orders]) }
        #expect(throws: ModelError.self) {
            try RFMGrid.fit(columns: [since, orders, revenue], levelCount: 10)
        }
        #expect(throws: ModelError.noRows(model: "levels of daysSinceLastPurchase")) {
            try RFMGrid.fit(columns: [[], [], []])
        }
    }
}

@Suite struct LifecycleStageTests {
    private typealias Stage = LifecycleStages.Stage

    @Test(arguments: [
        (0, 0, nil, Stage.new), (90, 90, nil, .new), (91, 90, nil, .active),
        (91, 91, nil, .atRisk), (400, 365, 10, .atRisk), (400, 366, 10, .lapsed),
        (500, 5, 366, .reactivated), (500, 5, 365, .active), (500, 91, 366, .atRisk),
        (90, 5, 85, .new),
    ])
    private func theFirstRuleDecides(
        _ age: Float, _ since: Float, _ gap: Float?, _ stage: Stage
    ) throws {
        let stages = try LifecycleStages()
        #expect(stages.stage(observedAge: age, sinceLast: since, lastGap: gap) == stage)
        let assigned = stages.assign(
            columns: [[age], [since], [gap ?? 0]], valid: [nil, nil, [gap != nil]])
        #expect(assigned == [stage.rawValue])
    }

    @Test func stagesAreNamedInOrder() throws {
        let stages = try LifecycleStages(newDays: 30, activeDays: 60, lapsedDays: 61)
        #expect(stages.segmentNames == ["new", "active", "reactivated", "at risk", "lapsed"])
        let restored = try JSONDecoder().decode(
            LifecycleStages.self, from: try JSONEncoder().encode(stages))
        #expect(restored == stages)
    }

    @Test func daysThatContradictAreRefused() {
        #expect(
            throws: ModelError.outOfRange(
                what: "lapsedDays", actual: 90, allowed: "more than activeDays, 90")
        ) {
            try LifecycleStages(activeDays: 90, lapsedDays: 90)
        }
        #expect(throws: ModelError.self) { try LifecycleStages(newDays: -1) }
    }
}

@Suite struct QuadrantModelTests {
    @Test func halvesAreHighAndLow() throws {
        let value: [Float] = [1, 2, 3, 4, 0]
        let potential: [Float] = [10, 40, 20, 30, 0]
        let valid: [[Bool]?] = [nil, [true, true, true, true, false]]
        let model = try QuadrantModel.fit(
            featureNames: ["value", "potential"], columns: [value, potential], valid: valid,
            rows: [0, 1, 2, 3, 4])
        #expect(
            model.segmentNames == [
                "high value, high potential", "high value, low potential",
                "low value, high potential", "low value, low potential",
            ])
        // Of five values the middle one, 2, is in the upper half; the missing potential is low.
        #expect(model.assign(columns: [value, potential], valid: valid) == [3, 0, 1, 0, 3])
    }

    @Test func statedCutsAreTakenAsTheyAre() throws {
        let model = try QuadrantModel.fit(
            featureNames: ["a", "b"], columns: [[1, 5], [1, 5]], leastHighValues: [5, 100])
        #expect(model.assign(columns: [[1, 5, 9], [1, 5, 100]]) == [3, 1, 0])
        #expect(throws: ModelError.self) {
            try QuadrantModel.fit(
                featureNames: ["a", "b"], columns: [[1], [1]], leastHighValues: [5])
        }
    }
}
