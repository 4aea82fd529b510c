import Foundation
import Models
import Numerical
import Testing

@Suite struct SegmentationModelTests {
    private let names = ["revenue", "orders", "constant"]

    /// Three groups of 60, 30 and 10 of 100 customers.
    private func columns(_ rowCount: Int) -> [[Float]] {
        var random = SeededRandom(seed: 9)
        var revenue: [Float] = []
        var orders: [Float] = []
        for row in 0..<rowCount {
            let (amount, count): (Double, Double) =
                switch row % 10 {
                case 0: (5000, 40)
                case 1...3: (300, 8)
                default: (20, 1)
                }
            revenue.append(Float(amount * (0.9 + 0.2 * random.uniform())))
            orders.append(Float(count + random.uniform() * 0.5))
        }
        return [revenue, orders, [Float](repeating: 3, count: rowCount)]
    }

    private func fit(
        _ order: SegmentationModel.Order = .size, threads: Int = 1
    ) throws -> (model: SegmentationModel, assignment: SegmentationModel.Assignment) {
        try SegmentationModel.fit(
            featureNames: names, columns: columns(1000), scaling: .logZScore,
            parameters: .init(clusterCount: 3, seed: 4, restarts: 2, threadCount: threads),
            order: order)
    }

    @Test func segmentsAreOrderedAndRecovered() throws {
        let (model, assignment) = try fit()
        #expect(model.sizes == [600, 300, 100])
        for row in 0..<1000 {
            let expected: Int32 = row % 10 == 0 ? 2 : row % 10 <= 3 ? 1 : 0
            #expect(assignment.segments[row] == expected)
        }
        #expect(model.explainedVariance > 0.95 && model.explainedVariance <= 1)
        #expect(assignment.distances.allSatisfy { $0.isFinite && $0 >= 0 })
        let values = model.centroidValues(of: 2)
        #expect(abs(values[0] / 5000 - 1) < 0.05 && values[2] == 3)
        #expect(try fit(.feature(0)).model.sizes == [100, 300, 600])
    }

    @Test func savedAndLoadedGivesTheSameScores() throws {
        let (model, assignment) = try fit()
        let loaded = try JSONDecoder().decode(
            SegmentationModel.self, from: JSONEncoder().encode(model))
        #expect(loaded == model)
        #expect(try loaded.assign(columns: columns(1000), threadCount: 2) == assignment)
    }

    @Test func sameForAnyThreadCount() throws {
        let one = try fit()
        let three = try fit(threads: 3)
        #expect(one.model.centroids == three.model.centroids)
        #expect(one.assignment == three.assignment)
    }

    @Test func refusesBadInput() throws {
        #expect(
            throws: ModelError.countMismatch(what: "feature names", actual: 1, expected: 3)
        ) {
            try SegmentationModel.fit(
                featureNames: ["a"], columns: columns(10), scaling: .none, parameters: .init())
        }
        let model = try fit().model
        #expect(
            throws: ModelError.countMismatch(what: "feature columns", actual: 1, expected: 3)
        ) { try model.assign(columns: [[1]], threadCount: 1) }
        #expect(try model.assign(columns: [[], [], []], threadCount: 1).segments.isEmpty)
    }
}
