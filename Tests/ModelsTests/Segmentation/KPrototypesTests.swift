import Models
import Numerical
import Testing

/// Rows with a planted cluster: numbers about its centre, categories mostly its own.
struct MixedPlanted {
    let numbers: [[Float]]
    let codes: [[Int32]]
    let truth: [Int32]

    init(
        _ rowCount: Int, clusters: Int, numeric: Int, categories: Int, spread: Double = 0.6,
        purity: Double = 0.8, codeCount: Int = 6, missing: Double = 0, seed: UInt64 = 3
    ) {
        var random = SeededRandom(seed: seed)
        let centres = (0..<clusters * numeric).map { _ in random.normal() * 2 }
        let modes = (0..<clusters * categories).map { _ in random.below(codeCount) }
        var numbers = [[Float]](repeating: [], count: numeric)
        var codes = [[Int32]](repeating: [], count: categories)
        var truth: [Int32] = []
        for _ in 0..<rowCount {
            let cluster = random.below(clusters)
            truth.append(Int32(cluster))
            for j in 0..<numeric {
                numbers[j].append(
                    Float(centres[cluster * numeric + j] + random.normal() * spread))
            }
            for j in 0..<categories {
                let isOwn = random.uniform() < purity
                let code = isOwn ? modes[cluster * categories + j] : random.below(codeCount)
                codes[j].append(random.uniform() < missing ? -1 : Int32(code))
            }
        }
        self.numbers = numbers
        self.codes = codes
        self.truth = truth
    }

    var rows: MixedRows {
        MixedRows(
            numeric: numbers.isEmpty
                ? FeatureMatrix(rowCount: truth.count, featureCount: 0)
                : FeatureMatrix(columns: numbers),
            categories: CategoryMatrix(columns: codes, rowCount: truth.count))
    }
}

@Suite struct KPrototypesTests {
    /// Lloyd's iterations on plain arrays, in double precision.
    private func reference(
        _ rows: MixedRows, means: [Double], modes: [Int32], gamma: Double, clusterCount k: Int,
        iterations: Int
    ) -> (labels: [Int], cost: Double) {
        let (n, d, c) = (rows.rowCount, rows.numericCount, rows.categoryCount)
        var (means, modes) = (means, modes)
        var labels = [Int](repeating: -1, count: n)
        var cost = 0.0
        for _ in 0...iterations {
            cost = 0
            for row in 0..<n {
                var best = Double.infinity
                for cluster in 0..<k {
                    var distance = 0.0
                    for j in 0..<d {
                        let difference = Double(rows.numeric[row, j]) - means[cluster * d + j]
                        distance += difference * difference
                    }
                    for j in 0..<c where rows.categories[row, j] >= 0 {
                        if rows.categories[row, j] != modes[cluster * c + j] { distance += gamma }
                    }
                    if distance < best { (best, labels[row]) = (distance, cluster) }
                }
                cost += best
            }
            for cluster in 0..<k {
                let own = (0..<n).filter { labels[$0] == cluster }
                if own.isEmpty { continue }
                for j in 0..<d {
                    means[cluster * d + j] =
                        own.reduce(0) { $0 + Double(rows.numeric[$1, j]) } / Double(own.count)
                }
                for j in 0..<c {
                    var counts: [Int32: Int] = [:]
                    for row in own where rows.categories[row, j] >= 0 {
                        counts[rows.categories[row, j], default: 0] += 1
                    }
                    let most = counts.values.max() ?? 0
                    modes[cluster * c + j] =
                        counts.filter { $0.value == most }.keys.min() ?? -1
                }
            }
        }
        return (labels, cost)
    }

    @Test(arguments: [(4, 3, 0.0), (0, 5, 0.1), (3, 0, 0.0), (2, 4, 0.3)])
    func equalsAPlainImplementation(numeric: Int, categories: Int, missing: Double) throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            let data = MixedPlanted(
                500, clusters: 5, numeric: numeric, categories: categories, spread: 1.5,
                missing: missing, seed: seed)
            let rows = data.rows
            let parameters = KPrototypes.Parameters(
                clusterCount: 4, gamma: 1.25, seed: seed, restarts: 1, tolerance: 0)
            let fitted = try KPrototypes.fit(rows, parameters)
            #expect(fitted.converged)
            // One iteration more of the plain one changes nothing, and costs as much.
            let plain = reference(
                rows, means: fitted.means.map { Double($0) }, modes: fitted.modes, gamma: 1.25,
                clusterCount: 4, iterations: 1)
            #expect(plain.labels == fitted.assignments.map { Int($0) })
            #expect(abs(plain.cost / fitted.cost - 1) < 1e-6)
            #expect(fitted.sizes == (0..<4).map { k in plain.labels.count { $0 == k } })
            for (before, after) in zip(fitted.costPerIteration, fitted.costPerIteration.dropFirst())
            {
                #expect(after <= before * (1 + 1e-6))
            }
        }
    }

    @Test func costNeverRises() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let data = MixedPlanted(
                400, clusters: 7, numeric: 3, categories: 4, spread: 2, purity: 0.4, missing: 0.1,
                seed: seed)
            let fitted = try KPrototypes.fit(
                data.rows, .init(clusterCount: 9, seed: seed, restarts: 1, tolerance: 0))
            let costs = fitted.costPerIteration + [fitted.cost]
            for (before, after) in zip(costs, costs.dropFirst()) {
                #expect(after <= before * (1 + 1e-6), "seed \(seed): \(costs)")
            }
            #expect(fitted.assign(data.rows, threadCount: 1).segments == fitted.assignments)
        }
    }

    @Test func plantedClustersAreRecovered() throws {
        for (numeric, categories) in [(4, 4), (0, 10), (6, 0)] {
            let data = MixedPlanted(
                4000, clusters: 6, numeric: numeric, categories: categories, seed: 12)
            let fitted = try KPrototypes.fit(data.rows, .init(clusterCount: 6, threadCount: 2))
            let index = adjustedRandIndex(fitted.assignments, data.truth)
            #expect(index > 0.95, "\(numeric) \(categories): \(index)")
        }
    }

    @Test func categoriesDecideWhereNumbersDoNot() throws {
        let data = MixedPlanted(2000, clusters: 3, numeric: 2, categories: 6, spread: 30, seed: 8)
        let scaling = try FeatureScaling.fit(.zScore, columns: data.numbers)
        let rows = MixedRows(
            numeric: try scaling.apply(columns: data.numbers, threadCount: 1),
            categories: data.rows.categories)
        let fitted = try KPrototypes.fit(rows, .init(clusterCount: 3))
        #expect(adjustedRandIndex(fitted.assignments, data.truth) > 0.9)
        let blind = try KPrototypes.fit(
            rows, .init(clusterCount: 3, categoryWeights: [0, 0, 0, 0, 0, 0]))
        #expect(adjustedRandIndex(blind.assignments, data.truth) < 0.1)
    }

    @Test func sameForAnyThreadCount() throws {
        let data = MixedPlanted(
            9000, clusters: 5, numeric: 3, categories: 3, spread: 2, codeCount: 400, missing: 0.05)
        for k in [3, 600] {
            // 600 clusters × 400 categories are walked along, 3 × 400 are counted.
            var parameters = KPrototypes.Parameters(
                clusterCount: k, restarts: 2, maximumIterations: 5)
            let one = try KPrototypes.fit(data.rows, parameters)
            parameters.threadCount = 3
            let three = try KPrototypes.fit(data.rows, parameters)
            #expect(one == three)
            #expect(
                one.assign(data.rows, threadCount: 1) == three.assign(data.rows, threadCount: 3))
        }
    }

    @Test func countingAndWalkingFindTheSameModes() throws {
        // Codes times a million are not counted; their order is the same, so the fit is.
        let data = MixedPlanted(3000, clusters: 4, numeric: 2, categories: 3, missing: 0.2)
        let wide = MixedRows(
            numeric: data.rows.numeric,
            categories: CategoryMatrix(
                columns: data.codes.map { $0.map { $0 < 0 ? $0 : $0 * 1_000_000 } },
                rowCount: 3000))
        let counted = try KPrototypes.fit(data.rows, .init(clusterCount: 4))
        let walked = try KPrototypes.fit(wide, .init(clusterCount: 4))
        #expect(walked.assignments == counted.assignments && walked.gamma == counted.gamma)
        #expect(walked.modes == counted.modes.map { $0 < 0 ? $0 : $0 * 1_000_000 })
        #expect(walked.cost == counted.cost)
    }

    @Test func aCategoryOfManyValues() throws {
        // Every row its own category: the column says nothing, and takes no table.
        let n = 100_000
        let data = MixedPlanted(n, clusters: 3, numeric: 3, categories: 2)
        let rows = MixedRows(
            numeric: data.rows.numeric,
            categories: CategoryMatrix(
                columns: data.codes + [(0..<Int32(n)).reversed().map { $0 * 10 }], rowCount: n))
        let fitted = try KPrototypes.fit(rows, .init(clusterCount: 3, restarts: 1, threadCount: 2))
        #expect(adjustedRandIndex(fitted.assignments, data.truth) > 0.95)
        // The lowest code of each cluster, as all are as frequent.
        for cluster in 0..<3 {
            let last = fitted.assignments.lastIndex(of: Int32(cluster)) ?? 0
            #expect(fitted.modes[cluster * 3 + 2] == Int32(n - 1 - last) * 10)
        }
    }

    @Test func gammaIsVarianceOverHeterogeneity() throws {
        // Variances 1 and 4; heterogeneities 1/2 and 3/8; what does not vary is left out.
        let rows = MixedRows(
            numeric: FeatureMatrix(columns: [[1, -1, 1, -1], [102, 98, 98, 102], [7, 7, 7, 7]]),
            categories: CategoryMatrix(
                columns: [[0, 0, 5, 5], [0, 0, 0, 1], [2, 2, 2, -1]], rowCount: 4))
        let fitted = try KPrototypes.fit(
            rows, .init(clusterCount: 1, categoryWeights: [1, 2, 3]))
        #expect(abs(fitted.gamma - 2.5 / 0.4375) < 1e-12)
        #expect(fitted.categoryCosts == [1, 2, 3].map { Float($0 * 2.5 / 0.4375) })
        #expect(fitted.modes == [0, 0, 2])
        // Two mismatches in the first column, one in the second.
        #expect(abs(fitted.cost - (4 + 16 + 4 * 2.5 / 0.4375)) < 1e-5)
        let alone = MixedRows(
            numeric: FeatureMatrix(rowCount: 4, featureCount: 0), categories: rows.categories)
        #expect(try KPrototypes.fit(alone, .init(clusterCount: 2)).gamma == 1)
    }

    @Test func noClusterIsEmpty() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            let (n, k) = (20 + random.below(100), 2 + random.below(12))
            // Few distinct rows, more than clusters; every one occurs.
            let kinds = k + random.below(4)
            let values = (0..<n).map { $0 < kinds ? $0 : random.below(kinds) }
            let rows = MixedRows(
                numeric: FeatureMatrix(columns: [values.map { Float($0 % 3) }]),
                categories: CategoryMatrix(
                    columns: [values.map { Int32($0 / 3) }], rowCount: n))
            let fitted = try KPrototypes.fit(
                rows,
                .init(
                    clusterCount: k, seed: seed, restarts: 2,
                    maximumIterations: 1 + random.below(3)))
            #expect(fitted.sizes.allSatisfy { $0 > 0 }, "seed \(seed)")
            #expect(fitted.sizes.reduce(0, +) == n)
            #expect(fitted.assign(rows, threadCount: 1).segments == fitted.assignments)
        }
    }

    /// Three seeds in a row of which the middle one, at 1, first takes -1 too and has its mean at 0;
    /// the outer ones move inwards, nearer to either row than that: it is left without any. About
    /// one seeding in two hundred is of the rows -3.5, 1 and 2.7; without the refill those fits fail,
    /// the first of seed 6.
    @Test func emptyClustersAreRefilled() throws {
        let column: [Float] =
            [-3.5, -1.3, -1.3, -1.3, -1, 1] + [Float](repeating: 1.9, count: 10) + [2.7]
        let rows = MixedRows(
            numeric: FeatureMatrix(columns: [column]),
            categories: CategoryMatrix(columns: [], rowCount: column.count))
        for seed in 1...6_000 as ClosedRange<UInt64> {
            let fitted = try KPrototypes.fit(
                rows, .init(clusterCount: 3, seed: seed, restarts: 1, tolerance: 0))
            #expect(fitted.sizes.allSatisfy { $0 > 0 }, "seed \(seed)")
            #expect(fitted.assign(rows, threadCount: 1).segments == fitted.assignments)
        }
    }

    /// Of numbers so far apart that the mean variance leaves single precision.
    @Test func gammaIsHeld() throws {
        let wide = MixedRows(
            numeric: FeatureMatrix(columns: [[-9e15, 9e15, 9e15, -9e15]]),
            categories: CategoryMatrix(columns: [[0, 0, 0, 1]], rowCount: 4))
        let fitted = try KPrototypes.fit(
            wide, .init(clusterCount: 2, categoryWeights: [1e6]))
        #expect(fitted.gamma == KPrototypes.largestGamma)
        #expect(fitted.categoryCosts.allSatisfy { $0.isFinite })
        #expect(fitted.cost.isFinite)
        let narrow = MixedRows(
            numeric: FeatureMatrix(columns: [[1e-30, 2e-30, 1e-30, 2e-30]]),
            categories: wide.categories)
        #expect(try KPrototypes.fit(narrow, .init(clusterCount: 1)).categoryCosts[0] > 0)
    }

    @Test func moreClustersThanDistinctRows() {
        let rows = MixedRows(
            numeric: FeatureMatrix(columns: [[1, 1, 1, 1, 1, 2]]),
            categories: CategoryMatrix(columns: [[0, 0, 0, 0, 3, -1]], rowCount: 6))
        #expect(
            throws: ModelError.tooFewDistinctRows(model: "k-prototypes", actual: 3, needed: 4)
        ) { try KPrototypes.fit(rows, .init(clusterCount: 4)) }
        #expect(throws: ModelError.tooFewRows(model: "k-prototypes", actual: 6, needed: 7)) {
            try KPrototypes.fit(rows, .init(clusterCount: 7))
        }
    }

    @Test func unseenAndMissingCategories() throws {
        let data = MixedPlanted(1000, clusters: 3, numeric: 2, categories: 2, spread: 0.2)
        let fitted = try KPrototypes.fit(data.rows, .init(clusterCount: 3))
        let numbers = FeatureMatrix(columns: data.numbers.map { Array($0.prefix(3)) })
        func distances(_ codes: [Int32]) -> [Float] {
            fitted.assign(
                MixedRows(
                    numeric: numbers,
                    categories: CategoryMatrix(columns: [codes, codes], rowCount: 3)),
                threadCount: 1
            ).distances
        }
        let missing = distances([-1, -1, -1])
        let unseen = distances([Int32.max, 1_000_000, 77])
        for row in 0..<3 {
            let more = Double(unseen[row] * unseen[row] - missing[row] * missing[row])
            #expect(abs(more / (2 * fitted.gamma) - 1) < 1e-4)
        }
    }

    @Test func refusesBadInput() {
        func rows(_ values: [Float]) -> MixedRows {
            MixedRows(
                numeric: FeatureMatrix(columns: [values, values]),
                categories: CategoryMatrix(
                    columns: [values.map { _ in 0 }], rowCount: values.count))
        }
        #expect(throws: ModelError.noRows(model: "k-prototypes")) {
            try KPrototypes.fit(rows([]), .init())
        }
        #expect(throws: ModelError.nonFiniteValue(what: "k-prototypes", row: 1, column: 0)) {
            try KPrototypes.fit(rows([1, .nan]), .init(clusterCount: 1))
        }
        #expect(throws: ModelError.self) {
            try KPrototypes.fit(rows([1, 3e38]), .init(clusterCount: 1))
        }
        #expect(
            throws: ModelError.countMismatch(what: "categoryWeights", actual: 2, expected: 1)
        ) {
            try KPrototypes.fit(rows([1]), .init(clusterCount: 1, categoryWeights: [1, 1]))
        }
        for gamma in [0, -1, .nan, .infinity] {
            #expect(throws: ModelError.self) {
                try KPrototypes.fit(rows([1]), .init(clusterCount: 1, gamma: gamma))
            }
        }
    }
}
