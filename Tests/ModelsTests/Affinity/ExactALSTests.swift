import Foundation
import Models
import Numerical
import Testing

/// Exact implicit ALS: conventions, starts, and rows of every kind.
@Suite struct ExactALSTests {
    private func purchases(
        users: Int, items: Int, entries: Int, seed: UInt64 = 1
    ) -> SparseMatrix {
        var random = SeededRandom(seed: seed)
        // Squares of uniform numbers: some customers buy much, some products are bought by many.
        return SparseMatrix(
            rowCount: users, columnCount: items,
            rows: (0..<entries).map { _ in
                let u = random.uniform()
                return Int32(Double(users) * u * u)
            },
            columns: (0..<entries).map { _ in
                let u = random.uniform()
                return Int32(Double(items) * u * u)
            }, values: (0..<entries).map { _ in Float(1 + random.below(3)) })
    }

    /// Loss and factors as implicit 0.7.3 gives them: three times `least_squares` for users and
    /// items and `calculate_loss` of `implicit.cpu._als`, regularization 0.1, from these product
    /// factors; its confidences are 2 r, and 1 + 2 r.
    @Test(arguments: [
        (
            ImplicitALS.Confidence.alphaR,
            [0.1986736474440935, 0.12848755534515496, 0.11358861832648935],
            [0.20805417, 3.0393515] as [Float]
        ),
        (
            .onePlusAlphaR, [0.21350335957576969, 0.13481966534288783, 0.11653098363509543],
            [0.4135467, 3.2974463]
        ),
    ])
    func lossEqualsThatOfImplicit(
        confidence: ImplicitALS.Confidence, losses: [Double], firstUser: [Float]
    ) throws {
        let matrix = SparseMatrix(
            rowCount: 5, columnCount: 4, rows: [0, 0, 1, 2, 2, 2, 3, 4],
            columns: [0, 2, 1, 0, 1, 3, 3, 2], values: [1, 3, 2, 1, 1, 4, 2, 5])
        for level in ISALevel.available {
            let fitted = try ImplicitALS.fit(
                matrix,
                .init(
                    factorCount: 2, regularization: 0.1, confidenceWeight: 2, iterations: 3,
                    confidence: confidence),
                initialItemFactors: [0.05, -0.02, 0.03, 0.04, -0.01, 0.06, 0.02, 0.02],
                kernels: KernelTable(level))
            for (actual, expected) in zip(fitted.lossPerIteration, losses) {
                #expect(abs(actual / expected - 1) < 1e-4, "\(level) \(fitted.lossPerIteration)")
            }
            for (actual, expected) in zip(fitted.userFactors, firstUser) {
                #expect(abs(actual - expected) < 2e-3, "\(level)")
            }
        }
    }

    @Test func confidencesBelowOneAreRefused() {
        let matrix = SparseMatrix(
            rowCount: 2, columnCount: 2, rows: [0, 1], columns: [0, 1], values: [2, 0.5])
        #expect(
            throws: ModelError.outOfRange(
                what: "confidenceWeight times a purchase count of row 1", actual: 0.5,
                allowed: "1 ... 1e15 as a confidence")
        ) {
            try ImplicitALS.fit(matrix, .init(confidenceWeight: 1, confidence: .alphaR))
        }
    }

    /// Rows at both sides of the crossover have the gradient of the objective at zero.
    @Test(arguments: [(8, 0.0), (8, 0.5), (33, 0.0), (33, 1.0)])
    func solutionsHaveNoGradient(f: Int, exponent: Double) throws {
        let matrix = purchases(users: 120, items: 70, entries: f == 8 ? 2500 : 6000)
        let parameters = ImplicitALS.Parameters(
            factorCount: f, regularization: exponent == 0 ? 2 : 0.3, confidenceWeight: 4,
            iterations: 2, regularizationExponent: exponent)
        let items = (0..<70 * f).map { Float(($0 * 7919 % 101)) / 100 - 0.5 }
        let counts = (0..<120).map { matrix.entries(of: $0).count }
        let hasBoth = counts.contains { $0 > f } && counts.contains { $0 > 0 && $0 <= f }
        try #require(hasBoth)
        for level in ISALevel.available {
            let users = try ImplicitALS.foldIn(
                matrix, into: FittedALS(parameters: parameters, itemFactors: items),
                threadCount: 2, kernels: KernelTable(level))
            for user in 0..<120 {
                let x = (0..<f).map { Double(users[user * f + $0]) }
                var bought = [Int: Double]()
                for i in matrix.entries(of: user) {
                    bought[Int(matrix.columnIndices[i])] = 1 + 4 * Double(matrix.values[i])
                }
                // λ (n + m / α)ᵛ.
                let weight = pow(Double(counts[user]) + 70.0 / 4, exponent)
                var gradient = x.map { $0 * parameters.regularization * weight }
                for item in 0..<70 {
                    let y = (0..<f).map { Double(items[item * f + $0]) }
                    let error =
                        zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
                        - (bought[item] == nil ? 0 : 1)
                    for j in 0..<f { gradient[j] += (bought[item] ?? 1) * error * y[j] }
                }
                if counts[user] == 0 {
                    #expect(x.allSatisfy { $0 == 0 })
                } else {
                    // Beside terms that add up to about 100.
                    let isZero = gradient.allSatisfy { abs($0) < 2e-3 }
                    #expect(isZero, "\(level) user \(user)")
                }
            }
        }
    }

    @Test(arguments: [0.0, 0.7]) func lossNeverRisesAndCountsThePenalty(exponent: Double) throws {
        let matrix = purchases(users: 150, items: 60, entries: 2000)
        let parameters = ImplicitALS.Parameters(
            factorCount: 6, regularization: 0.1, confidenceWeight: 3, iterations: 6,
            regularizationExponent: exponent)
        let fitted = try ImplicitALS.fit(matrix, parameters)
        for (before, after) in zip(
            fitted.lossPerIteration, fitted.lossPerIteration.dropFirst())
        {
            #expect(after <= before * (1 + 1e-6))
        }
        var (loss, weight) = (0.0, 0.0)
        let columns = matrix.transposed()
        func score(_ user: Int, _ item: Int) -> Double {
            (0..<6).reduce(0) {
                $0 + Double(fitted.userFactors[user * 6 + $1])
                    * Double(fitted.itemFactors[item * 6 + $1])
            }
        }
        func penalty(_ factors: [Float], _ row: Int, _ count: Int, _ others: Int) -> Double {
            (0..<6).reduce(0) { $0 + pow(Double(factors[row * 6 + $1]), 2) } * 0.1
                * pow(Double(count) + Double(others) / 3, exponent)
        }
        for user in 0..<150 {
            var confidences = [Double](repeating: 1, count: 60)
            for i in matrix.entries(of: user) {
                confidences[Int(matrix.columnIndices[i])] += 3 * Double(matrix.values[i])
            }
            for item in 0..<60 {
                let target = confidences[item] > 1 ? 1.0 : 0
                loss += confidences[item] * pow(target - score(user, item), 2)
                weight += confidences[item]
            }
            loss += penalty(fitted.userFactors, user, matrix.entries(of: user).count, 60)
        }
        for item in 0..<60 {
            loss += penalty(fitted.itemFactors, item, columns.entries(of: item).count, 150)
        }
        #expect(abs((fitted.lossPerIteration.last ?? 0) / (loss / weight) - 1) < 1e-4)
    }

    /// The customers' factors of one more half-sweep are the bytes that a fold-in gives, for all
    /// customers and for any part of them.
    @Test(arguments: [5, 24]) func foldInIsAHalfSweep(f: Int) throws {
        let matrix = purchases(users: 3000, items: 50, entries: 40_000)
        let parameters = ImplicitALS.Parameters(
            factorCount: f, iterations: 2, threadCount: 2)
        let fitted = try ImplicitALS.fit(matrix, parameters)
        var further = parameters
        further.iterations = 1
        let users = try ImplicitALS.fit(
            matrix, further, initialItemFactors: fitted.itemFactors
        ).userFactors
        #expect(try ImplicitALS.foldIn(matrix, into: fitted, threadCount: 2) == users)
        let chosen = [2, 17, 900, 1700, 2999]
        let part = SparseMatrix(
            rowCount: chosen.count, columnCount: 50,
            rowOffsets: chosen.reduce(into: [0]) {
                $0.append($0[$0.count - 1] + matrix.entries(of: $1).count)
            }, columnIndices: chosen.flatMap { matrix.columnIndices[matrix.entries(of: $0)] },
            values: chosen.flatMap { matrix.values[matrix.entries(of: $0)] })
        #expect(
            try ImplicitALS.foldIn(part, into: fitted, threadCount: 1)
                == chosen.flatMap { users[$0 * f..<($0 + 1) * f] })
    }

    @Test func startsFromGivenFactors() throws {
        let matrix = purchases(users: 60, items: 30, entries: 500)
        let first = try ImplicitALS.fit(matrix, .init(factorCount: 4, iterations: 3))
        let more = ImplicitALS.Parameters(factorCount: 4, iterations: 2)
        let continued = try ImplicitALS.fit(
            matrix, more, initialItemFactors: first.itemFactors)
        let whole = try ImplicitALS.fit(matrix, .init(factorCount: 4, iterations: 5))
        #expect(continued.userFactors == whole.userFactors)
        #expect(continued.itemFactors == whole.itemFactors)
        // From the customers' factors the products' come first, which is where the fit stood.
        let fromUsers = try ImplicitALS.fit(
            matrix, more, initialUserFactors: first.userFactors)
        #expect(fromUsers.itemFactors == whole.itemFactors)
        #expect(
            throws: ModelError.countMismatch(
                what: "initial user factors", actual: 3, expected: 240)
        ) { try ImplicitALS.fit(matrix, more, initialUserFactors: [1, 2, 3]) }
    }

    /// A factor that cannot be started from is named by its row and column, and by what it is.
    @Test func badInitialFactorsAreNamed() {
        let matrix = purchases(users: 9_000, items: 30, entries: 20_000)
        let parameters = ImplicitALS.Parameters(factorCount: 4, iterations: 1, threadCount: 2)
        func failure(users: Bool, _ bad: [Int: Float]) -> ModelError? {
            var factors = [Float](repeating: 0.1, count: (users ? 9_000 : 30) * 4)
            for (index, value) in bad { factors[index] = value }
            do throws(ModelError) {
                _ = try ImplicitALS.fit(
                    matrix, parameters, initialItemFactors: users ? nil : factors,
                    initialUserFactors: users ? factors : nil)
                return nil
            } catch { return error }
        }
        #expect(
            failure(users: false, [4 * 7 + 2: .nan])
                == .nonFiniteValue(what: "initial item factors", row: 7, column: 2))
        #expect(
            failure(users: true, [4 * 8_999 + 3: -.infinity, 4 * 4_096 + 1: .nan])
                == .nonFiniteValue(what: "initial user factors", row: 4_096, column: 1))
        #expect(
            failure(users: false, [4 * 3 + 1: -2e10])
                == .outOfRange(
                    what: "initial item factors: row 3, column 1", actual: Double(Float(-2e10)),
                    allowed: "-1e10 ... 1e10; scale the factors down"))
        #expect(failure(users: false, [5: 1e10]) == nil)
    }

    /// Two products that nearly everybody has bought: their rows are split into pieces.
    @Test func rowsWithVeryManyEntries() throws {
        var random = SeededRandom(seed: 2)
        var (offsets, columns): ([Int], [Int32]) = ([0], [])
        let userCount = 40_000
        for _ in 0..<userCount {
            for column in 0..<3 where random.uniform() < [0.95, 0.85, 0.01][column] {
                columns.append(Int32(column))
            }
            offsets.append(columns.count)
        }
        let matrix = SparseMatrix(
            rowCount: userCount, columnCount: 3, rowOffsets: offsets, columnIndices: columns,
            values: columns.indices.map { Float(1 + $0 % 3) })
        let transposed = matrix.transposed(threadCount: 2)
        #expect(transposed.entries(of: 1).count > 32_768)
        #expect(transposed == matrix.transposed())
        var parameters = ImplicitALS.Parameters(
            factorCount: 2, regularization: 1, iterations: 3, threadCount: 1)
        let one = try ImplicitALS.fit(matrix, parameters)
        parameters.threadCount = 3
        let three = try ImplicitALS.fit(matrix, parameters)
        #expect(one.itemFactors == three.itemFactors && one.userFactors == three.userFactors)
        #expect(one.lossPerIteration == three.lossPerIteration)
        // The normal equations of product 0 in double precision.
        var (a, b, c, p, q) = (1.0, 0.0, 1.0, 0.0, 0.0)
        var confidences = [Double](repeating: 1, count: userCount)
        for i in transposed.entries(of: 0) {
            confidences[Int(transposed.columnIndices[i])] += 10 * Double(transposed.values[i])
        }
        for user in 0..<userCount {
            let (x, y) = (Double(one.userFactors[2 * user]), Double(one.userFactors[2 * user + 1]))
            let weight = confidences[user]
            a += weight * x * x
            b += weight * x * y
            c += weight * y * y
            if weight > 1 {
                p += weight * x
                q += weight * y
            }
        }
        let determinant = a * c - b * b
        #expect(abs(Double(one.itemFactors[0]) - (c * p - b * q) / determinant) < 1e-3)
        #expect(abs(Double(one.itemFactors[1]) - (a * q - b * p) / determinant) < 1e-3)
    }

    @Test func oldFilesMeanTheDefaults() throws {
        let old = """
            {"factorCount":7,"regularization":0.5,"confidenceWeight":3,"iterations":2,"seed":9}
            """
        let read = try JSONDecoder().decode(
            ImplicitALS.Parameters.self, from: Data(old.utf8))
        #expect(
            read
                == ImplicitALS.Parameters(
                    factorCount: 7, regularization: 0.5, confidenceWeight: 3, iterations: 2,
                    seed: 9))
        var new = read
        new.solver = .subspace
        new.confidence = .alphaR
        new.regularizationExponent = 0.5
        let written = try JSONEncoder().encode(new)
        #expect(try JSONDecoder().decode(ImplicitALS.Parameters.self, from: written) == new)
    }

    @Test func refusesWrongSettings() {
        let matrix = purchases(users: 5, items: 5, entries: 9)
        for exponent in [-0.1, 1.1, .nan] {
            #expect(throws: ModelError.self) {
                try ImplicitALS.fit(matrix, .init(regularizationExponent: exponent))
            }
        }
        #expect(throws: ModelError.self) {
            try ImplicitALS.fit(
                matrix, .init(confidenceWeight: 0, regularizationExponent: 0.5))
        }
    }
}
