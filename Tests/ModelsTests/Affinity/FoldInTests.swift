import Foundation
import Models
import Numerical
import Testing

@Suite struct FoldInTests {
    private static func fitted(
        exponent: Double = 0
    ) throws -> (matrix: SparseMatrix, model: FittedALS) {
        var random = SeededRandom(seed: 2)
        let matrix = SparseMatrix(
            rowCount: 300, columnCount: 80,
            rows: (0..<4_000).map { _ in Int32(random.below(300)) },
            columns: (0..<4_000).map { _ in Int32(random.below(80)) },
            values: (0..<4_000).map { _ in Float(1 + random.below(3)) })
        return (
            matrix,
            try ImplicitALS.fit(
                matrix,
                .init(
                    factorCount: 12, regularization: 0.1, iterations: 4,
                    regularizationExponent: exponent))
        )
    }

    /// One customer alone against the half-sweep over all: few entries, many, none.
    @Test(arguments: [0, 0.7]) func equalsTheHalfSweep(exponent: Double) throws {
        let (matrix, model) = try Self.fitted(exponent: exponent)
        let expected = try ImplicitALS.foldIn(matrix, into: model, threadCount: 2)
        let foldIn = try FoldIn(model)
        var scratch = foldIn.scratch()
        var largest: Float = 0
        for row in 0..<matrix.rowCount {
            // The first rows with a few of their products: another way in the half-sweep.
            let entries = matrix.entries(of: row).prefix(row < 100 ? 5 : 80)
            let own = try foldIn.factors(
                items: Array(matrix.columnIndices[entries]), values: Array(matrix.values[entries]),
                &scratch)
            let theirs: [Float]
            if row < 100 {
                theirs = try ImplicitALS.foldIn(
                    SparseMatrix(
                        rowCount: 1, columnCount: 80, rowOffsets: [0, entries.count],
                        columnIndices: Array(matrix.columnIndices[entries]),
                        values: Array(matrix.values[entries])), into: model, threadCount: 1)
            } else {
                theirs = Array(expected[row * 12..<(row + 1) * 12])
            }
            for (a, b) in zip(own, theirs) { largest = max(largest, abs(a - b)) }
        }
        #expect(largest < 2e-5)
        let longest = model.itemFactors.reduce(0) { max($0, abs($1)) }
        #expect(longest > 0.1)
        let none = try foldIn.factors(items: [], values: [], &scratch)
        #expect(none == [Float](repeating: 0, count: 12))
    }

    /// Items that came after the fit: zeros, which may not change what the exponent counts.
    @Test(arguments: [0, 0.7, 1]) func itemsOfLaterChangeNothing(exponent: Double) throws {
        let (matrix, model) = try Self.fitted(exponent: exponent)
        let expected = try ImplicitALS.foldIn(matrix, into: model, threadCount: 1)
        let longer = FittedALS(
            parameters: model.parameters,
            itemFactors: model.itemFactors + [Float](repeating: 0, count: 500 * 12))
        let wide = SparseMatrix(
            rowCount: matrix.rowCount, columnCount: 580, rowOffsets: matrix.rowOffsets,
            columnIndices: matrix.columnIndices, values: matrix.values)
        let same = try ImplicitALS.foldIn(
            wide, into: longer, fittedItemCount: 80, threadCount: 2)
        #expect(same == expected)
        let others = try ImplicitALS.foldIn(wide, into: longer, threadCount: 2)
        #expect((others == expected) == (exponent == 0))
        let (plain, foldIn) = (try FoldIn(model), try FoldIn(longer, fittedItemCount: 80))
        var (one, other) = (plain.scratch(), foldIn.scratch())
        for items: [Int32] in [[3], [0, 7, 79], Array(0..<60)] {
            let values = items.map { Float($0 % 3 + 1) }
            #expect(
                try plain.factors(items: items, values: values, &one)
                    == foldIn.factors(items: items, values: values, &other))
        }
    }

    @Test func refusesWhatTheFitDoes() throws {
        let foldIn = try FoldIn(Self.fitted().model)
        var scratch = foldIn.scratch()
        let bad: [([Int32], [Float])] = [
            ([80], [1]), ([3, 3], [1, 1]), ([-1], [1]), ([5, 2], [1, 1]), ([1], [-1]),
            ([1], [.nan]),
            ([1, 2], [1]),
        ]
        for (items, values) in bad {
            #expect(throws: ModelError.self) {
                try foldIn.factors(items: items, values: values, &scratch)
            }
        }
    }

    @Test func coldCustomersHaveTheirSegments() throws {
        let factors: [Float] = [1, 0, 3, 0, 0, 0, 0, 2, 0, 4]
        let means = try ColdFactors.groupMeans(
            factors, factorCount: 2, groups: [0, 0, 0, 1, -1], groupCount: 3, priorCount: 0)
        // The row of zeros says nothing; group 2 has no rows.
        #expect(means == [2, 0, 0, 2, 1, 1.5])
        let drawn = try ColdFactors.groupMeans(
            factors, factorCount: 2, groups: [0, 0, 0, 1, -1], groupCount: 3, priorCount: 2)
        let third = Float(5.0 / 3)
        #expect(drawn[0] == 1.5)
        #expect(drawn[3] == third)
        let blend = try ColdFactors.blended(
            means, factorCount: 2, groups: [(0, 3), (1, 1)])
        #expect(blend == [1.5, 0.5])
        #expect(try ColdFactors.blended(means, factorCount: 2, groups: []) == [0, 0])
        #expect(throws: ModelError.self) {
            try ColdFactors.blended(means, factorCount: 2, groups: [(3, 1)])
        }
        #expect(throws: ModelError.self) {
            try ColdFactors.groupMeans([.nan], factorCount: 1, groups: [0], groupCount: 1)
        }
    }

    @Test func coldProductsHaveThoseOfTheirCategoryNearInPrice() throws {
        // Two of category 0 at 1 and 100; cold ones at 1, at 100, without price, of category 1 (empty),
        // of none.
        let factors: [Float] = [1, 3, 0, 0, 0, 0, 0]
        let filled = try ColdFactors.products(
            factors, factorCount: 1, categories: [0, 0, 0, 0, 0, 1, -1], categoryCount: 2,
            prices: [1, 100, 1, 100, 0, 5, 5], priorCount: 0.01)
        #expect(filled[0] == 1 && filled[1] == 3)
        #expect(abs(filled[2] - 1.01) < 0.01)
        #expect(abs(filled[3] - 2.99) < 0.01)
        #expect(filled[4...] == [2, 2, 2])
    }

    @Test func similarRowsPointTheSameWay() throws {
        let factors: [Float] = [1, 0, 2, 0.1, 0, 1, -1, 0, 0, 0]
        let similarity = try FactorSimilarity(factors, factorCount: 2)
        let list = similarity.similar(to: 0, count: 5)
        #expect(list.map(\.item) == [1, 2, 3])
        let cosine = Float(2 / 4.01.squareRoot())
        #expect(abs(list[0].score - cosine) < 1e-6)
        #expect(list[1].score == 0 && list[2].score == -1)
        #expect(similarity.similar(to: 4, count: 5).isEmpty)
        var eligible = Bitmap(count: 5, repeating: true)
        eligible[1] = false
        #expect(similarity.similar(to: 0, count: 1, eligible: eligible).map(\.item) == [2])
        #expect(throws: ModelError.self) { try FactorSimilarity([.nan], factorCount: 1) }
    }
}
