import Models
import Numerical
import Testing

@Suite struct ImplicitALSTests {
    /// λ (n + m / α)^ν beyond single precision is refused, whatever the solver.
    @Test(arguments: ImplicitALS.Solver.allCases)
    func refusesRegularizationOutOfRange(solver: ImplicitALS.Solver) {
        let matrix = SparseMatrix(
            rowCount: 3, columnCount: 2, rowOffsets: [0, 1, 2, 3], columnIndices: [0, 1, 0],
            values: [1, 1, 1])
        let parameters = ImplicitALS.Parameters(
            factorCount: 2, regularization: 1, confidenceWeight: 1e-40, iterations: 2,
            solver: solver, regularizationExponent: 1)
        #expect {
            try ImplicitALS.fit(matrix, parameters)
        } throws: { error in
            guard case .outOfRange = error as? ModelError else { return false }
            return true
        }
    }

    private func purchases(
        users: Int, items: Int, entries: Int, seed: UInt64 = 1
    ) -> SparseMatrix {
        var random = SeededRandom(seed: seed)
        return SparseMatrix(
            rowCount: users, columnCount: items,
            rows: (0..<entries).map { _ in Int32(random.below(users)) },
            columns: (0..<entries).map { _ in Int32(random.below(items)) },
            values: (0..<entries).map { _ in Float(1 + random.below(3)) })
    }

    /// The exact half-sweep in double precision over all pairs, as section 4 of the paper states
    /// it: x = (Σ c y yᵀ + λ I)⁻¹ Σ c p y.
    private func denseHalfSweep(
        _ matrix: SparseMatrix, _ others: [Double], _ f: Int, _ lambda: Double, _ alpha: Double
    ) -> [Double] {
        var solution: [Double] = []
        for row in 0..<matrix.rowCount {
            let entries = matrix.entries(of: row)
            var system = [Double](repeating: 0, count: f * (f + 1))
            for item in 0..<matrix.columnCount {
                let entry = entries.first { Int(matrix.columnIndices[$0]) == item }
                let confidence = entry.map { 1 + alpha * Double(matrix.values[$0]) } ?? 1
                let y = others[item * f..<(item + 1) * f].map { $0 }
                for r in 0..<f {
                    for c in 0..<f { system[r * (f + 1) + c] += confidence * y[r] * y[c] }
                    if entry != nil { system[r * (f + 1) + f] += confidence * y[r] }
                }
            }
            for r in 0..<f { system[r * (f + 1) + r] += lambda }
            // Gauss-Jordan; the system is positive definite, so no pivoting.
            for pivot in 0..<f {
                for r in 0..<f where r != pivot {
                    let factor = system[r * (f + 1) + pivot] / system[pivot * (f + 1) + pivot]
                    for c in 0...f {
                        system[r * (f + 1) + c] -= factor * system[pivot * (f + 1) + c]
                    }
                }
            }
            solution += (0..<f).map { system[$0 * (f + 1) + f] / system[$0 * (f + 1) + $0] }
        }
        return solution
    }

    private func denseLoss(
        _ matrix: SparseMatrix, _ users: [Double], _ items: [Double], _ f: Int, _ lambda: Double,
        _ alpha: Double
    ) -> Double {
        var loss = 0.0
        var weight = 0.0
        for user in 0..<matrix.rowCount {
            for item in 0..<matrix.columnCount {
                let entry = matrix.entries(of: user).first {
                    Int(matrix.columnIndices[$0]) == item
                }
                let confidence = entry.map { 1 + alpha * Double(matrix.values[$0]) } ?? 1
                let score = (0..<f).reduce(0.0) { $0 + users[user * f + $1] * items[item * f + $1] }
                let error = (entry == nil ? 0 : 1) - score
                loss += confidence * error * error
                weight += confidence
            }
        }
        for value in users + items { loss += lambda * value * value }
        return loss / weight
    }

    @Test(arguments: [1, 3, 5, 17]) func equalsTheDenseReference(f: Int) throws {
        let matrix = purchases(users: 23, items: 19, entries: 120)
        let start = (0..<19 * f).map { Float(($0 * 7919 % 101)) / 500 - 0.1 }
        // Enough regularization for a condition at which single precision keeps four digits.
        let (lambda, alpha) = (5.0, 4.0)
        var items = start.map(Double.init)
        var users: [Double] = []
        var losses: [Double] = []
        for _ in 0..<3 {
            users = denseHalfSweep(matrix, items, f, lambda, alpha)
            items = denseHalfSweep(matrix.transposed(), users, f, lambda, alpha)
            losses.append(denseLoss(matrix, users, items, f, lambda, alpha))
        }
        for level in ISALevel.available {
            let fitted = try ImplicitALS.fit(
                matrix,
                .init(
                    factorCount: f, regularization: lambda, confidenceWeight: alpha,
                    iterations: 3), initialItemFactors: start, kernels: KernelTable(level))
            for (actual, expected) in zip(fitted.userFactors, users) {
                #expect(abs(Double(actual) - expected) < 2e-3, "\(level)")
            }
            for (actual, expected) in zip(fitted.itemFactors, items) {
                #expect(abs(Double(actual) - expected) < 2e-3, "\(level)")
            }
            for (actual, expected) in zip(fitted.lossPerIteration, losses) {
                #expect(abs(actual / expected - 1) < 1e-4, "\(level)")
            }
        }
    }

    @Test func lossNeverRises() throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            let matrix = purchases(users: 200, items: 60, entries: 2000, seed: seed)
            let fitted = try ImplicitALS.fit(
                matrix, .init(factorCount: 8, iterations: 12, seed: seed))
            for (before, after) in zip(fitted.lossPerIteration, fitted.lossPerIteration.dropFirst())
            {
                #expect(after <= before * (1 + 1e-6), "seed \(seed)")
            }
        }
    }

    @Test func sameForAnyThreadCount() throws {
        let matrix = purchases(users: 700, items: 150, entries: 6000)
        var parameters = ImplicitALS.Parameters(factorCount: 20, iterations: 3)
        let one = try ImplicitALS.fit(matrix, parameters)
        for threads in [2, 5] {
            parameters.threadCount = threads
            let other = try ImplicitALS.fit(matrix, parameters)
            #expect(other.userFactors == one.userFactors)
            #expect(other.itemFactors == one.itemFactors)
            #expect(other.lossPerIteration == one.lossPerIteration)
        }
    }

    @Test func emptyRowsAndColumnsGetZeroFactors() throws {
        let matrix = SparseMatrix(
            rowCount: 4, columnCount: 5, rows: [0, 0, 2], columns: [1, 3, 3], values: [1, 2, 1])
        // More factors than rows and columns.
        let fitted = try ImplicitALS.fit(matrix, .init(factorCount: 33, iterations: 4))
        let zeros = [Float](repeating: 0, count: 33)
        for user in [1, 3] {
            #expect(Array(fitted.userFactors[user * 33..<(user + 1) * 33]) == zeros)
        }
        for item in [0, 2, 4] {
            #expect(Array(fitted.itemFactors[item * 33..<(item + 1) * 33]) == zeros)
        }
        #expect((fitted.userFactors + fitted.itemFactors).allSatisfy { $0.isFinite })
    }

    /// Users and items without entries, first, last and most of them: every way to fit stays finite
    /// and leaves them at zero, and so does what is made of the factors.
    @Test(arguments: ImplicitALS.Solver.allCases)
    func rowsWithoutEntriesStayFinite(solver: ImplicitALS.Solver) throws {
        let (userCount, itemCount) = (70, 40)
        // Of users 20 ..< 50 every third, of items 10 ..< 30 every second has entries.
        let users = (20..<50).filter { $0 % 3 == 0 }
        var (rows, columns): ([Int32], [Int32]) = ([], [])
        for user in users {
            for item in stride(from: 10 + user % 4 * 2, to: 30, by: 6) {
                rows.append(Int32(user))
                columns.append(Int32(item))
            }
        }
        let matrix = SparseMatrix(
            rowCount: userCount, columnCount: itemCount, rows: rows, columns: columns,
            values: [Float](repeating: 2, count: rows.count))
        let transposed = matrix.transposed()
        for f in [1, 16, 33] {
            for (confidence, exponent, lambda) in [
                (ImplicitALS.Confidence.onePlusAlphaR, 0.0, 0.05), (.alphaR, 0, 1e-9),
                (.onePlusAlphaR, 1, 0.01), (.alphaR, 0.5, 0.01),
            ] {
                let fitted = try ImplicitALS.fit(
                    matrix,
                    .init(
                        factorCount: f, regularization: lambda, confidenceWeight: 4, iterations: 3,
                        threadCount: 2, solver: solver, confidence: confidence,
                        regularizationExponent: exponent))
                for (factors, side) in [
                    (fitted.userFactors, matrix), (fitted.itemFactors, transposed),
                ] {
                    for row in 0..<side.rowCount {
                        let values = factors[row * f..<(row + 1) * f]
                        #expect(values.allSatisfy { $0.isFinite })
                        let isZero = values.allSatisfy { $0 == 0 }
                        #expect(isZero == side.entries(of: row).isEmpty, "row \(row)")
                    }
                }
                #expect(fitted.lossPerIteration.count == 3)
                #expect(
                    fitted.lossPerIteration.allSatisfy { $0.isFinite && $0 >= 0 && $0 < 1 },
                    "\(f) \(confidence) \(exponent) \(lambda): \(fitted.lossPerIteration)")
                let folded = try ImplicitALS.foldIn(matrix, into: fitted, threadCount: 2)
                #expect(folded.allSatisfy { $0.isFinite })
                #expect(folded[0..<20 * f].allSatisfy { $0 == 0 })
                let lists = try TopN(
                    itemFactors: fitted.itemFactors, itemCount: itemCount, factorCount: f
                ).top(5, queryFactors: fitted.userFactors, excluding: matrix, threadCount: 2)
                #expect(lists.scores.allSatisfy { $0.isFinite })
            }
        }
    }

    @Test func plantedGroupsAreFound() throws {
        // Users of group g buy items of group g only; one item of the group is held out.
        var random = SeededRandom(seed: 6)
        var (rows, columns): ([Int32], [Int32]) = ([], [])
        var heldOut: [Int32] = []
        for user in 0..<300 {
            let group = user % 5
            let missing = random.below(10)
            heldOut.append(Int32(group * 10 + missing))
            for item in 0..<10 where item != missing && random.uniform() < 0.8 {
                rows.append(Int32(user))
                columns.append(Int32(group * 10 + item))
            }
        }
        let matrix = SparseMatrix(
            rowCount: 300, columnCount: 50, rows: rows, columns: columns,
            values: [Float](repeating: 1, count: rows.count))
        let fitted = try ImplicitALS.fit(matrix, .init(factorCount: 5, iterations: 8))
        let top = try TopN(itemFactors: fitted.itemFactors, itemCount: 50, factorCount: 5)
            .top(10, queryFactors: fitted.userFactors, excluding: matrix, threadCount: 2)
        for user in 0..<300 {
            let remaining = 10 - matrix.entries(of: user).count
            let best = top[user].prefix(remaining).map(\.item)
            #expect(best.contains(heldOut[user]))
            #expect(best.allSatisfy { Int($0) / 10 == user % 5 })
        }
    }

    @Test func foldInEqualsAHalfSweep() throws {
        let matrix = purchases(users: 90, items: 40, entries: 500)
        let fitted = try ImplicitALS.fit(matrix, .init(factorCount: 6, iterations: 2))
        let folded = try ImplicitALS.foldIn(matrix, into: fitted, threadCount: 2)
        let expected = denseHalfSweep(matrix, fitted.itemFactors.map(Double.init), 6, 0.05, 10)
        for (actual, expected) in zip(folded, expected) {
            #expect(abs(Double(actual) - expected) < 2e-3)
        }
        // A row's factors do not depend on the other rows.
        let row = matrix.entries(of: 17)
        let alone = SparseMatrix(
            rowCount: 1, columnCount: 40, rowOffsets: [0, row.count],
            columnIndices: Array(matrix.columnIndices[row]), values: Array(matrix.values[row]))
        #expect(
            try ImplicitALS.foldIn(alone, into: fitted, threadCount: 1)
                == Array(folded[17 * 6..<18 * 6]))
    }

    @Test func refusesWhatCannotBeFitted() throws {
        let empty = SparseMatrix(rowCount: 3, columnCount: 3, rows: [], columns: [], values: [])
        #expect(throws: ModelError.noRows(model: "affinity")) {
            try ImplicitALS.fit(empty, .init())
        }
        func single(_ value: Float) -> SparseMatrix {
            SparseMatrix(rowCount: 2, columnCount: 2, rows: [1], columns: [1], values: [value])
        }
        #expect(throws: ModelError.nonFiniteValue(what: "purchases", row: 1, column: 1)) {
            try ImplicitALS.fit(single(.nan), .init())
        }
        #expect(throws: ModelError.self) { try ImplicitALS.fit(single(-1), .init()) }
        #expect(throws: ModelError.self) {
            try ImplicitALS.fit(single(1), .init(factorCount: 0))
        }
        #expect(throws: ModelError.singularSystem(what: "customer factors", row: 1)) {
            try ImplicitALS.fit(single(1), .init(factorCount: 3, regularization: 0))
        }
        let fitted = try ImplicitALS.fit(single(1), .init(factorCount: 2))
        let wide = SparseMatrix(rowCount: 1, columnCount: 3, rows: [], columns: [], values: [])
        #expect(throws: ModelError.countMismatch(what: "products", actual: 3, expected: 2)) {
            try ImplicitALS.foldIn(wide, into: fitted, threadCount: 1)
        }
    }

    /// More factors than products and far more customers: the customers' Gram matrix has no full
    /// rank, and its rounding is larger than the regularization.
    @Test func fewProductsManyFactorsAndLittleRegularization() throws {
        let matrix = purchases(users: 30_000, items: 6, entries: 90_000)
        let fitted = try ImplicitALS.fit(
            matrix, .init(factorCount: 32, regularization: 1e-6, iterations: 4, threadCount: 2))
        #expect(fitted.userFactors.allSatisfy { $0.isFinite })
        #expect(fitted.itemFactors.allSatisfy { $0.isFinite })
        for (before, after) in zip(
            fitted.lossPerIteration, fitted.lossPerIteration.dropFirst())
        {
            #expect(after <= before + 1e-5)
        }
    }

    @Test func oneRowOneColumnAndStoredZeros() throws {
        let parameters = ImplicitALS.Parameters(factorCount: 8, iterations: 3)
        let row = SparseMatrix(
            rowCount: 1, columnCount: 5, rows: [0, 0], columns: [1, 3], values: [1, 0])
        for matrix in [row, row.transposed()] {
            let fitted = try ImplicitALS.fit(matrix, parameters)
            #expect((fitted.userFactors + fitted.itemFactors).allSatisfy { $0.isFinite })
            #expect(fitted.lossPerIteration.allSatisfy { $0.isFinite && $0 >= 0 })
        }
        let cold = try ImplicitALS.foldIn(
            SparseMatrix(rowCount: 2, columnCount: 5, rows: [], columns: [], values: []),
            into: try ImplicitALS.fit(row, parameters), threadCount: 1)
        #expect(cold == [Float](repeating: 0, count: 16))
    }

    @Test(arguments: [Float(1e6), 1e12, 1e30])
    func hugePurchaseCounts(value: Float) throws {
        let matrix = SparseMatrix(
            rowCount: 3, columnCount: 4, rows: [0, 1, 1, 2], columns: [0, 0, 2, 3],
            values: [value, 1, value, 2])
        do throws(ModelError) {
            let fitted = try ImplicitALS.fit(matrix, .init(factorCount: 4))
            #expect((fitted.userFactors + fitted.itemFactors).allSatisfy { $0.isFinite })
        } catch {
            guard case .outOfRange = error else {
                Issue.record("\(error)")
                return
            }
            #expect(value > 1e13)
        }
    }
}
