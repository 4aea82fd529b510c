import Numerical

/// The exact solution of one side's factors for fixed factors of the other side.
///
/// Factors are held `[rowCount × width]` with `width` = factor count rounded up to a multiple of
/// 16 and zero padding, as the kernels want them.
struct HalfSweep {
    /// Rows of a chunk, of either side.
    private static let chunkRows = 64
    /// Rows of a chunk of the Gram matrix.
    private static let gramRows = 4096
    /// Entries that are gathered at a time: at 64 factors the panel is 32 KiB.
    private static let panelRows = 128
    /// How often the diagonal of a system that rounding has made indefinite is raised, 16-fold each
    /// time from one unit in the last place of the largest entry: the last is 1 % of it.
    private static let maximumShifts = 5

    private let factorCount: Int
    private let width: Int
    private let regularization: Float
    private let alpha: Double
    private let threadCount: Int
    private let kernels: KernelTable

    init(_ parameters: ImplicitALS.Parameters, _ kernels: KernelTable) {
        factorCount = parameters.factorCount
        width = (parameters.factorCount + 15) / 16 * 16
        regularization = Float(parameters.regularization)
        alpha = parameters.confidenceWeight
        threadCount = parameters.threadCount
        self.kernels = kernels
    }

    /// Small random factors for the rows of `matrix` that have entries. A row's numbers depend on
    /// the seed and its index only.
    func drawn(_ matrix: SparseMatrix, _ seed: UInt64) -> [Float] {
        var factors = [Float](repeating: 0, count: matrix.rowCount * width)
        for row in 0..<matrix.rowCount where !matrix.entries(of: row).isEmpty {
            var random = SeededRandom(seed: seed, stream: UInt64(row))
            for j in 0..<factorCount {
                factors[row * width + j] = Float((random.uniform() - 0.5) * 0.1)
            }
        }
        return factors
    }

    func padded(_ factors: [Float]) -> [Float] { copied(factors, from: factorCount, to: width) }

    func unpadded(_ factors: [Float]) -> [Float] { copied(factors, from: width, to: factorCount) }

    private func copied(_ factors: [Float], from: Int, to: Int) -> [Float] {
        if from == to { return factors }
        let rowCount = factors.count / from
        var copy = [Float](repeating: 0, count: rowCount * to)
        for row in 0..<rowCount {
            for j in 0..<min(from, to) { copy[row * to + j] = factors[row * from + j] }
        }
        return copy
    }

    /// - Parameters:
    ///   - matrix: `[rowCount × otherCount]`.
    ///   - others: `[otherCount × width]`.
    /// - Returns: `[rowCount × width]`.
    func solve(
        _ matrix: SparseMatrix, against others: [Float], what: String
    ) throws(ModelError) -> [Float] {
        let base = regularizedGram(others)
        let coefficients = Coefficients(matrix, alpha)
        let (solver, width) = (self, width)
        let solved = parallelMap(
            count: matrix.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            var system = NormalSystem(width: width)
            var panel = [Float](repeating: 0, count: width * Self.panelRows)
            var solutions: [Float] = []
            solutions.reserveCapacity(width * rows.count)
            for row in rows {
                let entries = matrix.entries(of: row)
                system.start(base)
                // More factors than rows on the other side, or one very large confidence, leave λ
                // alone on part of the diagonal, where the rounding of the rest can swallow it.
                // Without any λ the system has no unique solution and is refused.
                var shift: Float = 0
                var attempts = solver.regularization > 0 ? Self.maximumShifts : 0
                while !entries.isEmpty {
                    solver.add(entries, matrix, coefficients, others, &panel, &system)
                    // A pivot this far below the largest diagonal entry has no correct digit left.
                    let smallestPivot =
                        system.fillPadding(after: solver.factorCount) * Float.ulpOfOne
                    let isSolved = solver.kernels.solvePositiveDefinite(
                        &system.matrix, &system.rightSide, smallestPivot: smallestPivot)
                    if isSolved { break }
                    if attempts == 0 { return (failedRow: row, factors: solutions) }
                    attempts -= 1
                    shift = 16 * max(shift, smallestPivot)
                    system.start(base)
                    for j in 0..<solver.factorCount { system.matrix[j * width + j] += shift }
                }
                solutions.append(contentsOf: system.rightSide)
            }
            return (failedRow: -1, factors: solutions)
        }
        var factors: [Float] = []
        factors.reserveCapacity(matrix.rowCount * width)
        for part in solved {
            guard part.failedRow < 0 else {
                throw .singularSystem(what: what, row: part.failedRow)
            }
            factors.append(contentsOf: part.factors)
        }
        return factors
    }

    /// Adds a row's entries to its normal equations.
    private func add(
        _ entries: Range<Int>, _ matrix: SparseMatrix, _ coefficients: Coefficients,
        _ others: [Float], _ panel: inout [Float], _ system: inout NormalSystem
    ) {
        var first = entries.lowerBound
        while first < entries.upperBound {
            let range = first..<min(entries.upperBound, first + Self.panelRows)
            kernels.gather(
                others.span, indices: matrix.columnIndices.span.extracting(range),
                scales: coefficients.scales.span.extracting(range),
                weights: coefficients.weights.span.extracting(range),
                panel: &panel, rightSide: &system.rightSide)
            kernels.addOuterProducts(
                panel.span, rowCount: range.count, width: width, matrix: &system.matrix)
            first = range.upperBound
        }
    }

    /// YᵀY + λ I, upper triangle; zero in the padding.
    private func regularizedGram(_ factors: [Float]) -> [Float] {
        var matrix = gram(factors).map { Float($0) }
        for j in 0..<factorCount { matrix[j * width + j] += regularization }
        return matrix
    }

    /// YᵀY, upper triangle. Chunks in single precision, their sum in double.
    private func gram(_ factors: [Float]) -> [Double] {
        let (width, kernels) = (width, kernels)
        let partials = parallelMap(
            count: factors.count / width, chunkSize: Self.gramRows, threadCount: threadCount
        ) { _, rows in
            var matrix = [Float](repeating: 0, count: width * width)
            kernels.addOuterProducts(
                factors.span.extracting(rows.lowerBound * width..<rows.upperBound * width),
                rowCount: rows.count, width: width, matrix: &matrix)
            return matrix
        }
        var sum = [Double](repeating: 0, count: width * width)
        for partial in partials {
            for r in 0..<width {
                for c in r..<width { sum[r * width + c] += Double(partial[r * width + c]) }
            }
        }
        return sum
    }

    /// The objective. Over the pairs without an entry it needs no loop: Σ (x·y)² over all pairs is
    /// the scalar product of XᵀX and YᵀY.
    func loss(_ matrix: SparseMatrix, users: [Float], items: [Float]) -> Double {
        let (width, alpha, kernels) = (width, alpha, kernels)
        let partials = parallelMap(
            count: matrix.rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            var sum = 0.0
            for row in rows {
                let user = users.span.extracting(row * width..<(row + 1) * width)
                for i in matrix.entries(of: row) {
                    let item = Int(matrix.columnIndices[i])
                    let score = Double(
                        kernels.dot(
                            user, items.span.extracting(item * width..<(item + 1) * width)))
                    let confidence = 1 + alpha * Double(matrix.values[i])
                    sum += confidence * (1 - score) * (1 - score) - score * score
                }
            }
            return sum
        }
        var sum = partials.reduce(0, +)
        let (left, right) = (gram(users), gram(items))
        for r in 0..<width {
            sum += left[r * width + r] * right[r * width + r]
            for c in r + 1..<width {
                sum += 2 * left[r * width + c] * right[r * width + c]
            }
            sum += Double(regularization) * (left[r * width + r] + right[r * width + r])
        }
        return sum
    }

    /// Of each entry: √(c - 1), which makes the update of the matrix a product of a panel with
    /// itself, and c.
    private struct Coefficients: Sendable {
        let scales: [Float]
        let weights: [Float]

        init(_ matrix: SparseMatrix, _ alpha: Double) {
            scales = matrix.values.map { Float((alpha * Double($0)).squareRoot()) }
            weights = matrix.values.map { Float(1 + alpha * Double($0)) }
        }
    }

    /// One row's normal equations; the right side becomes the solution.
    private struct NormalSystem {
        var matrix: [Float]
        var rightSide: [Float]

        init(width: Int) {
            matrix = [Float](repeating: 0, count: width * width)
            rightSide = [Float](repeating: 0, count: width)
        }

        /// Puts the largest diagonal entry of the first `count` rows on the diagonal of the padding,
        /// which then passes for a pivot whatever the magnitude of the factors.
        /// - Returns: that entry.
        mutating func fillPadding(after count: Int) -> Float {
            let width = rightSide.count
            var largest: Float = 0
            for j in 0..<count { largest = max(largest, matrix[j * width + j]) }
            for j in count..<width { matrix[j * width + j] = largest }
            return largest
        }

        mutating func start(_ base: [Float]) {
            let source = base.span
            var target = matrix.mutableSpan
            for i in source.indices { target[i] = source[i] }
            for i in rightSide.indices { rightSide[i] = 0 }
        }
    }
}
