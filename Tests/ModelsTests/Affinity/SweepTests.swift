import Models
import Numerical
import Testing

/// The half-sweeps that improve factors instead of solving for them.
@Suite struct SweepTests {
    private enum Solver: String, CaseIterable {
        case conjugateGradient, subspace
    }

    /// Purchases by planted groups: users of a group buy among its items, and little else.
    private func purchases(
        users: Int, items: Int, entries: Int, groups: Int = 1, seed: UInt64 = 1, largest: Int = 3
    ) -> SparseMatrix {
        var random = SeededRandom(seed: seed)
        var (rows, columns, values): ([Int32], [Int32], [Float]) = ([], [], [])
        for _ in 0..<entries {
            let user = random.below(users)
            var item = random.below(items)
            if groups > 1 && random.below(20) > 0 {
                item = item / groups * groups + user % groups
                if item >= items { item = user % groups }
            }
            rows.append(Int32(user))
            columns.append(Int32(item))
            values.append(Float(1 + random.below(largest)))
        }
        return SparseMatrix(
            rowCount: users, columnCount: items, rows: rows, columns: columns, values: values)
    }

    private func width(_ f: Int) -> Int { (f + 15) / 16 * 16 }

    /// Reals in ±0.5, zero in the padding.
    private func factors(_ rowCount: Int, _ f: Int, stream: UInt64) -> AlignedFloats {
        var random = SeededRandom(seed: 77, stream: stream)
        var factors = AlignedFloats(count: rowCount * width(f))
        for row in 0..<rowCount {
            for k in 0..<f { factors[row * width(f) + k] = Float(random.uniform() - 0.5) }
        }
        return factors
    }

    private func run(
        _ solver: Solver, _ parameters: ImplicitALS.Parameters, _ matrix: SparseMatrix,
        _ fixed: AlignedFloats, _ rows: inout AlignedFloats, steps: Int = 3,
        tolerance: Float = ConjugateGradientSweep.defaultTolerance, size: Int = 16,
        kernels: KernelTable = .current
    ) throws {
        switch solver {
        case .conjugateGradient:
            var sweep = ConjugateGradientSweep(
                parameters, kernels, conjugateGradientSteps: steps, tolerance: tolerance)
            try sweep.solve(matrix, against: fixed, updating: &rows, what: "test rows")
        case .subspace:
            try SubspaceSweep(parameters, kernels, subspaceSize: size).solve(
                matrix, against: fixed, updating: &rows, what: "test rows")
        }
    }

    /// The part of the objective that depends on `rows`, in double precision over all pairs.
    private func objective(
        _ matrix: SparseMatrix, _ rows: AlignedFloats, _ fixed: AlignedFloats, _ f: Int,
        lambda: Double, alpha: Double
    ) -> Double {
        let w = width(f)
        var sum = 0.0
        for row in 0..<matrix.rowCount {
            var confidences = [Double](repeating: 1, count: matrix.columnCount)
            var preferences = [Double](repeating: 0, count: matrix.columnCount)
            for i in matrix.entries(of: row) {
                confidences[Int(matrix.columnIndices[i])] = 1 + alpha * Double(matrix.values[i])
                preferences[Int(matrix.columnIndices[i])] = 1
            }
            for column in 0..<matrix.columnCount {
                var score = 0.0
                for k in 0..<f {
                    score += Double(rows[row * w + k]) * Double(fixed[column * w + k])
                }
                let error = preferences[column] - score
                sum += confidences[column] * error * error
            }
            for k in 0..<f { sum += lambda * Double(rows[row * w + k] * rows[row * w + k]) }
        }
        return sum
    }

    /// x = (Σ c y yᵀ + λ I)⁻¹ Σ c p y of every row, in double precision by Gauss-Jordan.
    private func exact(
        _ matrix: SparseMatrix, _ fixed: AlignedFloats, _ f: Int, lambda: Double, alpha: Double
    ) -> [Double] {
        let w = width(f)
        var gram = [Double](repeating: 0, count: f * f)
        for column in 0..<matrix.columnCount {
            for r in 0..<f {
                for c in 0..<f {
                    gram[r * f + c] += Double(fixed[column * w + r]) * Double(fixed[column * w + c])
                }
            }
        }
        var solutions: [Double] = []
        for row in 0..<matrix.rowCount {
            var system = [Double](repeating: 0, count: f * (f + 1))
            for r in 0..<f {
                for c in 0..<f { system[r * (f + 1) + c] = gram[r * f + c] }
                system[r * (f + 1) + r] += lambda
            }
            for i in matrix.entries(of: row) {
                let y = (0..<f).map { Double(fixed[Int(matrix.columnIndices[i]) * w + $0]) }
                let excess = alpha * Double(matrix.values[i])
                for r in 0..<f {
                    for c in 0..<f { system[r * (f + 1) + c] += excess * y[r] * y[c] }
                    system[r * (f + 1) + f] += (1 + excess) * y[r]
                }
            }
            for pivot in 0..<f {
                for r in 0..<f where r != pivot {
                    let factor = system[r * (f + 1) + pivot] / system[pivot * (f + 1) + pivot]
                    for c in pivot...f {
                        system[r * (f + 1) + c] -= factor * system[pivot * (f + 1) + c]
                    }
                }
            }
            solutions += (0..<f).map { system[$0 * (f + 1) + f] / system[$0 * (f + 1) + $0] }
        }
        return solutions
    }

    /// Many steps, or sweeps over the blocks, reach the exact solution; conditions are below 100,
    /// so single precision keeps four digits of it.
    @Test(arguments: [1, 15, 16, 17, 33], Solver.allCases)
    private func manyStepsReachTheExactSolution(f: Int, solver: Solver) throws {
        let matrix = purchases(users: 23, items: 90, entries: 300)
        let parameters = ImplicitALS.Parameters(
            factorCount: f, regularization: 2, confidenceWeight: 4)
        let fixed = factors(90, f, stream: 1)
        let expected = exact(matrix, fixed, f, lambda: 2, alpha: 4)
        for level in ISALevel.available {
            var rows = factors(23, f, stream: 2)
            for _ in 0..<(solver == .subspace ? 40 : 1) {
                try run(
                    solver, parameters, matrix, fixed, &rows, steps: 60, tolerance: 1e-12,
                    kernels: KernelTable(level))
            }
            for row in 0..<23 where !matrix.entries(of: row).isEmpty {
                for k in 0..<width(f) {
                    let wanted = k < f ? expected[row * f + k] : 0
                    #expect(
                        abs(Double(rows[row * width(f) + k]) - wanted) < 1e-3,
                        "\(level) row \(row) factor \(k)")
                }
            }
        }
    }

    /// One block of all factors is the exact solution at once, and many factors too.
    @Test(arguments: [64, 128]) func manyFactors(f: Int) throws {
        let matrix = purchases(users: 12, items: 400, entries: 500)
        let parameters = ImplicitALS.Parameters(
            factorCount: f, regularization: 5, confidenceWeight: 4)
        let fixed = factors(400, f, stream: 1)
        let expected = exact(matrix, fixed, f, lambda: 5, alpha: 4)
        for solver in Solver.allCases {
            var rows = factors(12, f, stream: 2)
            try run(
                solver, parameters, matrix, fixed, &rows, steps: 60, tolerance: 1e-12, size: 128)
            for row in 0..<12 {
                for k in 0..<f {
                    #expect(
                        abs(Double(rows[row * f + k]) - expected[row * f + k]) < 2e-3,
                        "\(solver) row \(row) factor \(k)")
                }
            }
        }
    }

    /// Every step and every block lowers a row's objective, however few there are.
    @Test(arguments: Solver.allCases) private func objectiveNeverRises(solver: Solver) throws {
        let f = 40
        for seed in 1...3 as ClosedRange<UInt64> {
            let matrix = purchases(users: 60, items: 50, entries: 900, seed: seed)
            let parameters = ImplicitALS.Parameters(
                factorCount: f, regularization: 0.5, confidenceWeight: 20)
            let transposed = matrix.transposed()
            var users = factors(60, f, stream: seed)
            var items = factors(50, f, stream: seed + 10)
            var before = objective(matrix, users, items, f, lambda: 0.5, alpha: 20)
            for step in 1...4 {
                try run(solver, parameters, matrix, items, &users, steps: step)
                var after = objective(matrix, users, items, f, lambda: 0.5, alpha: 20)
                #expect(after <= before * (1 + 1e-6), "seed \(seed) step \(step)")
                before = objective(transposed, items, users, f, lambda: 0.5, alpha: 20)
                try run(solver, parameters, transposed, users, &items, steps: step)
                after = objective(transposed, items, users, f, lambda: 0.5, alpha: 20)
                #expect(after <= before * (1 + 1e-6), "seed \(seed) step \(step)")
                before = objective(matrix, users, items, f, lambda: 0.5, alpha: 20)
            }
        }
    }

    /// Rows with thousands of entries take their steps together: same bytes, same solution.
    @Test(arguments: Solver.allCases) private func sameForAnyThreadCount(solver: Solver) throws {
        let f = 60
        let wide = purchases(users: 6000, items: 12, entries: 60_000)
        let matrix = wide.transposed()
        #expect((0..<12).contains { matrix.entries(of: $0).count > 2048 })
        for (matrix, rowCount, fixedCount) in [(wide, 6000, 12), (matrix, 12, 6000)] {
            let fixed = factors(fixedCount, f, stream: 3)
            var results: [AlignedFloats] = []
            for threads in [1, 2, 5] {
                let parameters = ImplicitALS.Parameters(
                    factorCount: f, regularization: 1, confidenceWeight: 4, threadCount: threads)
                var rows = factors(rowCount, f, stream: 4)
                try run(solver, parameters, matrix, fixed, &rows, steps: 4, tolerance: 1e-6)
                results.append(rows)
            }
            #expect(results[0] == results[1] && results[0] == results[2])
            if rowCount == 12 && solver == .conjugateGradient {
                let expected = exact(matrix, fixed, f, lambda: 1, alpha: 4)
                for row in 0..<12 {
                    for k in 0..<f {
                        #expect(
                            abs(Double(results[0][row * 64 + k]) - expected[row * f + k]) < 1e-3)
                    }
                }
            }
        }
    }

    @Test(arguments: Solver.allCases) private func plantedGroupsAreRecovered(solver: Solver) throws
    {
        let (groups, f) = (4, 8)
        let matrix = purchases(users: 200, items: 60, entries: 3000, groups: groups)
        let transposed = matrix.transposed()
        let parameters = ImplicitALS.Parameters(
            factorCount: f, regularization: 1, confidenceWeight: 10)
        var users = AlignedFloats(count: 200 * width(f))
        var items = factors(60, f, stream: 5)
        for _ in 0..<8 {
            try run(solver, parameters, matrix, items, &users)
            try run(solver, parameters, transposed, users, &items)
        }
        var hits = 0
        for user in 0..<200 {
            let scores = (0..<60).map { item in
                (0..<f).reduce(Float(0)) {
                    $0 + users[user * width(f) + $1] * items[item * width(f) + $1]
                }
            }
            let best = scores.indices.max { scores[$0] < scores[$1] } ?? 0
            if best % groups == user % groups { hits += 1 }
        }
        #expect(hits >= 196, "\(hits) of 200")
    }

    /// Rows and columns without entries, a fixed side of zeros, no regularization, and confidences
    /// at both ends: finite, and zero where nothing is known.
    @Test(arguments: Solver.allCases) private func degenerateInput(solver: Solver) throws {
        let matrix = SparseMatrix(
            rowCount: 5, columnCount: 4, rowOffsets: [0, 2, 2, 3, 3, 4],
            columnIndices: [0, 3, 1, 3], values: [1, 2, 0, 7])
        for f in [1, 20] {
            for lambda in [0.0, 1e-9, 0.05] {
                for alpha in [0.0, 1, 1e14] {
                    for scale: Float in [0, 1e-15, 1, 1e12] {
                        let parameters = ImplicitALS.Parameters(
                            factorCount: f, regularization: lambda, confidenceWeight: alpha)
                        var fixed = factors(4, f, stream: 6)
                        for i in 0..<fixed.count { fixed[i] *= scale }
                        var rows = factors(5, f, stream: 7)
                        try run(solver, parameters, matrix, fixed, &rows)
                        let w = width(f)
                        for i in 0..<rows.count {
                            #expect(rows[i].isFinite, "λ \(lambda) α \(alpha) scale \(scale)")
                            let isEmpty = matrix.entries(of: i / w).isEmpty
                            if isEmpty || i % w >= f { #expect(rows[i] == 0) }
                        }
                    }
                }
            }
        }
    }

    /// Rows with so many entries that they take their steps together: the one that fails is named,
    /// and of all that fail the first, popular or not.
    @Test func theFailedRowIsNamed() {
        let columnCount = 9_000
        // Rows 0, 2 and 3 have 8192 entries and more, row 1 has one.
        let counts = [columnCount, 1, columnCount - 1, columnCount - 500]
        let offsets = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
        let columns = counts.flatMap { (0..<$0).map(Int32.init) }
        let matrix = SparseMatrix(
            rowCount: 4, columnCount: columnCount, rowOffsets: offsets, columnIndices: columns,
            values: [Float](repeating: 1, count: columns.count))
        let fixed = factors(columnCount, 3, stream: 1)
        for (bad, expected) in [([2], 2), ([3], 3), ([1, 3], 1), ([0, 1], 0), ([3, 2], 2)] {
            var rows = factors(4, 3, stream: 2)
            for row in bad { rows[row * 16] = .infinity }
            #expect(throws: ModelError.singularSystem(what: "test rows", row: expected)) {
                try run(
                    .conjugateGradient, ImplicitALS.Parameters(factorCount: 3, threadCount: 2),
                    matrix, fixed, &rows)
            }
        }
    }

    /// Memory kept from half-sweep to half-sweep changes nothing, whatever rows it was of.
    @Test func popularRowsOfAnEarlierSweepLeaveNoTrace() throws {
        let columnCount = 8_300
        func matrix(rowCount: Int, step: Int) -> SparseMatrix {
            let columns = (0..<rowCount).flatMap { row in
                (0..<columnCount - row * step).map(Int32.init)
            }
            let offsets = (0..<rowCount).reduce(into: [0]) {
                $0.append($0[$0.count - 1] + columnCount - $1 * step)
            }
            return SparseMatrix(
                rowCount: rowCount, columnCount: columnCount, rowOffsets: offsets,
                columnIndices: columns, values: columns.indices.map { Float(1 + $0 % 3) })
        }
        let fixed = factors(columnCount, 5, stream: 1)
        let parameters = ImplicitALS.Parameters(factorCount: 5, threadCount: 2)
        let (few, many) = (matrix(rowCount: 2, step: 1), matrix(rowCount: 5, step: 30))
        func solved(_ matrix: SparseMatrix, after earlier: [SparseMatrix]) throws -> AlignedFloats {
            var sweep = ConjugateGradientSweep(parameters, .current)
            for matrix in earlier {
                var rows = factors(matrix.rowCount, 5, stream: 3)
                try sweep.solve(matrix, against: fixed, updating: &rows, what: "test rows")
            }
            var rows = factors(matrix.rowCount, 5, stream: 2)
            try sweep.solve(matrix, against: fixed, updating: &rows, what: "test rows")
            return rows
        }
        #expect(try solved(few, after: [many, few]) == solved(few, after: []))
        #expect(try solved(many, after: [few]) == solved(many, after: []))
    }

    @Test(arguments: Solver.allCases) private func overflowIsAnError(solver: Solver) {
        let matrix = SparseMatrix(
            rowCount: 1, columnCount: 2, rowOffsets: [0, 2], columnIndices: [0, 1], values: [1, 1])
        var fixed = factors(2, 3, stream: 1)
        for i in 0..<fixed.count { fixed[i] *= 1e30 }
        var rows = factors(1, 3, stream: 2)
        #expect(throws: ModelError.self) {
            try run(solver, ImplicitALS.Parameters(factorCount: 3), matrix, fixed, &rows)
        }
    }
}
