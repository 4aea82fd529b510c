import Foundation
import Models
import Numerical
import TestSupport
import Testing

/// What every model of segments or of affinity does with data that nobody expects; that it is the same
/// for any number of threads; and that a saved one says what it said before.
@Suite struct SharedModelTests {
    /// A model that was fitted, and what it says of the rows that it was fitted on.
    struct Outcome: Equatable {
        /// As it is saved.
        var saved: Data
        /// One or more a row; what a row has no answer for is -1.
        var answers: [Double]
        /// The same by the model that was read back.
        var answersOfSaved: [Double]
    }

    private static func outcome<Model: Codable>(
        _ model: Model, _ answers: (Model) throws -> [Double]
    ) throws -> Outcome {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let saved = try encoder.encode(model)
        let read = try JSONDecoder().decode(Model.self, from: saved)
        #expect(try encoder.encode(read) == saved)
        return Outcome(
            saved: saved, answers: try answers(model), answersOfSaved: try answers(read))
    }

    // MARK: Segmentations

    /// Three columns and a text of the same rows.
    struct Table: Sendable {
        var columns: [[Float]]
        var valid: [[Bool]?] = [nil, nil, nil]
        var text: [Int32]

        var rowCount: Int { text.count }
        var texts: [CategoryColumn] {
            [CategoryColumn("text", codes: text, categories: ["a", "b", "c"])]
        }

        static func planted(_ rowCount: Int) -> Table {
            var random = SeededRandom(seed: 3)
            var table = Table(columns: [[], [], []], text: [])
            for row in 0..<rowCount {
                let kind = Float(row % 3)
                for column in 0..<3 {
                    table.columns[column].append(
                        abs(20 + 50 * kind + Float(random.normal()) + Float(column)))
                }
                table.text.append(Int32(row % 3))
            }
            return table
        }

        static func constant(_ rowCount: Int) -> Table {
            Table(
                columns: [[Float]](
                    repeating: [Float](repeating: 7, count: rowCount), count: 3),
                text: [Int32](repeating: 1, count: rowCount))
        }
    }

    struct Segmentation: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let segmentCount: Int
        let fit: @Sendable (Table, _ threadCount: Int) throws -> Outcome

        static let all = [
            Segmentation(testDescription: "k-means", segmentCount: 3) { table, threads in
                try outcome(
                    SegmentationModel.fit(
                        featureNames: ["a", "b", "c"], columns: table.columns, valid: table.valid,
                        scaling: .zScore,
                        parameters: KMeans.Parameters(clusterCount: 3, threadCount: threads)
                    ).model
                ) {
                    try $0.assign(
                        columns: table.columns, valid: table.valid, threadCount: threads
                    ).segments.map(Double.init)
                }
            },
            Segmentation(testDescription: "k-prototypes", segmentCount: 3) { table, threads in
                try outcome(
                    MixedSegmentationModel.fit(
                        featureNames: ["a", "b", "c"], columns: table.columns, valid: table.valid,
                        categories: table.texts, scaling: .zScore,
                        parameters: KPrototypes.Parameters(clusterCount: 3, threadCount: threads)
                    ).model
                ) {
                    try $0.assign(
                        columns: table.columns, valid: table.valid, categories: table.texts,
                        threadCount: threads
                    ).segments.map(Double.init)
                }
            },
            Segmentation(testDescription: "k-modes", segmentCount: 3) { table, threads in
                try outcome(
                    MixedSegmentationModel.fit(
                        featureNames: [], columns: [], categories: table.texts, scaling: .none,
                        parameters: KPrototypes.Parameters(clusterCount: 3, threadCount: threads)
                    ).model
                ) {
                    try $0.assign(columns: [], categories: table.texts, threadCount: threads)
                        .segments.map(Double.init)
                }
            },
            Segmentation(testDescription: "RFM grid", segmentCount: 27) { table, _ in
                try outcome(
                    RFMGrid.fit(columns: table.columns, valid: table.valid, levelCount: 3)
                ) {
                    $0.assign(columns: table.columns, valid: table.valid).map(Double.init)
                }
            },
            Segmentation(testDescription: "quadrants", segmentCount: 4) { table, _ in
                let (columns, valid) = (Array(table.columns[..<2]), Array(table.valid[..<2]))
                return try outcome(
                    QuadrantModel.fit(featureNames: ["a", "b"], columns: columns, valid: valid)
                ) { $0.assign(columns: columns, valid: valid).map(Double.init) }
            },
            Segmentation(testDescription: "lifecycle", segmentCount: 5) { table, _ in
                try outcome(LifecycleStages(newDays: 30, activeDays: 60, lapsedDays: 90)) {
                    $0.assign(columns: table.columns, valid: table.valid).map(Double.init)
                }
            },
        ]
    }

    @Test(arguments: Segmentation.all)
    func segmentsAreTheSameForAnyThreadCountAndAfterSaving(_ model: Segmentation) throws {
        let table = Table.planted(3_000)
        let outcome = try model.fit(table, 1)
        #expect(outcome == (try model.fit(table, 1)))
        #expect(outcome == (try model.fit(table, 2)))
        #expect(outcome == (try model.fit(table, 5)))
        #expect(outcome.answers == outcome.answersOfSaved)
        #expect(outcome.answers.count == table.rowCount)
        #expect(outcome.answers.allSatisfy { (0..<Double(model.segmentCount)).contains($0) })
        // Three kinds of rows, far from each other, are told apart.
        #expect(Set(outcome.answers).count >= 2)
    }

    /// Either there is a reason in words, or every row has a segment.
    @Test(arguments: Segmentation.all, [0, 1, 2])
    func fewRowsAreNoFault(_ model: Segmentation, rowCount: Int) throws {
        let table = Table.planted(rowCount)
        do {
            let outcome = try model.fit(table, 2)
            #expect(outcome.answers.count == rowCount)
            #expect(outcome.answers.allSatisfy { (0..<Double(model.segmentCount)).contains($0) })
            #expect(outcome.answers == outcome.answersOfSaved)
        } catch let error as ModelError {
            #expect(!error.description.isEmpty)
        }
    }

    @Test(arguments: Segmentation.all)
    func equalRowsAreInOneSegment(_ model: Segmentation) throws {
        do {
            let outcome = try model.fit(.constant(500), 2)
            #expect(Set(outcome.answers).count == 1)
            #expect(outcome.answers == outcome.answersOfSaved)
        } catch let error as ModelError {
            // More segments than different rows.
            #expect(!error.description.isEmpty)
        }
    }

    /// A column that is missing everywhere, and a text nobody has.
    @Test(arguments: Segmentation.all)
    func whatIsMissingEverywhereIsNoFault(_ model: Segmentation) throws {
        var table = Table.planted(300)
        table.valid[1] = [Bool](repeating: false, count: 300)
        table.columns[1] = [Float](repeating: 0, count: 300)
        table.text = [Int32](repeating: -1, count: 300)
        do {
            let outcome = try model.fit(table, 2)
            #expect(outcome.answers.count == 300)
            #expect(outcome.answers.allSatisfy { (-1..<Double(model.segmentCount)).contains($0) })
        } catch let error as ModelError {
            #expect(!error.description.isEmpty)
        }
    }

    // MARK: Affinity

    struct Affinity: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Answers of every customer.
        let fit: @Sendable (PurchaseBaskets, _ threadCount: Int) throws -> Outcome

        static let all = [
            Affinity(testDescription: "factors") { baskets, threads in
                let parameters = ImplicitALS.Parameters(
                    factorCount: 4, iterations: 3, seed: 2, threadCount: threads)
                let fitted = try ImplicitALS.fit(baskets.counts, parameters)
                return try outcome(fitted) { model in
                    try ImplicitALS.foldIn(baskets.counts, into: model, threadCount: threads)
                        .map(Double.init)
                }
            },
            Affinity(testDescription: "repeat purchase") { baskets, threads in
                try outcome(RepeatPurchase.fit(baskets)) { model in
                    try model.scores(baskets, threadCount: threads).values.map(Double.init)
                }
            },
            Affinity(testDescription: "hybrid") { baskets, threads in
                let factors = ImplicitALS.Parameters(
                    factorCount: 4, iterations: 3, seed: 2, threadCount: threads)
                var parameters = AffinityHybrid.Parameters()
                parameters.threadCount = threads
                let fitted = try AffinityHybrid.fit(baskets, factors: factors, parameters)
                return try outcome(fitted) { model in
                    let again = try model.repeats.scores(baskets, threadCount: threads).values
                    var answers = [model.factorWeight, model.popularityWeight]
                    answers += model.shares.map(Double.init)
                    answers += again.map(Double.init)
                    return answers
                }
            },
            Affinity(testDescription: "promotion response") { baskets, _ in
                let cells = (0..<baskets.customerCount).map { customer in
                    PromotionResponse.Cell(
                        customer: Int32(customer), category: 0,
                        promotedCount: Int32(customer % 3), count: 4)
                }
                return try outcome(
                    PromotionResponse.fit(
                        cells, customerCount: baskets.customerCount, categoryCount: 1)
                ) { $0.customerLifts }
            },
        ]
    }

    /// Customers of two tastes with a few baskets each.
    private static func baskets(_ customerCount: Int, itemCount: Int = 12) throws -> PurchaseBaskets
    {
        var random = SeededRandom(seed: 8)
        var (customers, offsets, items) = ([0], [0], [Int32]())
        for customer in 0..<customerCount {
            for _ in 0..<(1 + random.below(4)) {
                var basket: Set<Int32> = []
                for _ in 0..<3 {
                    let half = random.uniform() < 0.9 ? customer % 2 : random.below(2)
                    basket.insert(Int32(half * itemCount / 2 + random.below(itemCount / 2)))
                }
                items += basket.sorted()
                offsets.append(items.count)
            }
            customers.append(offsets.count - 1)
        }
        return try PurchaseBaskets(
            itemCount: itemCount, customerOffsets: customers, basketOffsets: offsets, items: items)
    }

    @Test(arguments: Affinity.all)
    func affinityIsTheSameForAnyThreadCountAndAfterSaving(_ model: Affinity) throws {
        let baskets = try Self.baskets(400)
        let outcome = try model.fit(baskets, 1)
        #expect(outcome == (try model.fit(baskets, 1)))
        #expect(outcome == (try model.fit(baskets, 2)))
        #expect(outcome.answers == outcome.answersOfSaved)
        #expect(!outcome.answers.isEmpty)
        #expect(outcome.answers.allSatisfy { $0.isFinite })
        #expect(Set(outcome.answers).count > 1)
    }

    @Test(arguments: Affinity.all, [0, 1, 2])
    func fewCustomersAreNoFault(_ model: Affinity, customerCount: Int) throws {
        do {
            let outcome = try model.fit(try Self.baskets(customerCount), 2)
            #expect(outcome.answers.allSatisfy { $0.isFinite })
            #expect(outcome.answers == outcome.answersOfSaved)
        } catch let error as ModelError {
            #expect(!error.description.isEmpty)
        }
    }

    /// Everybody has bought everything, and products that nobody bought are there too.
    @Test(arguments: Affinity.all)
    func whoBoughtEverythingIsNoFault(_ model: Affinity) throws {
        let everything = (0..<50).flatMap { _ in [Int32](0..<6) }
        let baskets = try PurchaseBaskets(
            itemCount: 9, customerOffsets: Array(0...50), basketOffsets: (0...50).map { $0 * 6 },
            items: everything)
        do {
            let outcome = try model.fit(baskets, 2)
            #expect(outcome.answers.allSatisfy { $0.isFinite })
            #expect(outcome.answers == outcome.answersOfSaved)
        } catch let error as ModelError {
            #expect(!error.description.isEmpty)
        }
    }
}
