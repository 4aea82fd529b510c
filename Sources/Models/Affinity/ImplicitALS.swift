package import Numerical

/// Factors of customers and products from implicit feedback, by alternating least squares.
///
/// With purchases r (≥ 0) of user u and item i, the preference is p = 1 where an entry is stored,
/// 0 elsewhere, and the confidence c = 1 + `confidenceWeight` · r (the paper's c = 1 + α r; the
/// Python package `implicit` takes its input as c itself, so the same fit there is
/// `alpha=1` on data 1 + α r). Minimised is
///
///     Σ c (p - x·y)²  over all user-item pairs  +  regularization · (Σ |x|² + Σ |y|²)
///
/// Each half-sweep solves the exact normal equations of every row by Cholesky,
/// (YᵀY + Σ (c - 1) y yᵀ + λ I) x = Σ c y, sums over the row's entries. Rows and columns without
/// entries get zero factors. The same bytes for any thread count.
/// Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit feedback datasets",
/// 2008, section 4.
package enum ImplicitALS {
    /// Largest regularization and confidence: the sums of single-precision products of factors
    /// with these stay finite.
    package static let largestWeight = 1e15

    package struct Parameters: Sendable, Equatable, Codable {
        /// 1 ... 512. More: closer fit, cost of a sweep grows with its square.
        package var factorCount: Int = 32
        /// λ, at least 0; not scaled by the number of entries. Up: smaller factors, smoother.
        package var regularization: Double = 0.05
        /// α, at least 0. Up: bought products count more against the not bought ones.
        package var confidenceWeight: Double = 10
        /// Sweeps over users and items, at least 1.
        package var iterations: Int = 10
        package var seed: UInt64 = 1
        /// At least 1; does not change the result.
        package var threadCount: Int = 1

        /// Without the thread count: it changes no result, so it may change no file.
        private enum CodingKeys: String, CodingKey {
            case factorCount, regularization, confidenceWeight, iterations, seed
        }

        package init(
            factorCount: Int = 32, regularization: Double = 0.05, confidenceWeight: Double = 10,
            iterations: Int = 10, seed: UInt64 = 1, threadCount: Int = 1
        ) {
            self.factorCount = factorCount
            self.regularization = regularization
            self.confidenceWeight = confidenceWeight
            self.iterations = iterations
            self.seed = seed
            self.threadCount = threadCount
        }

        func check() throws(ModelError) {
            guard (1...512).contains(factorCount) else {
                throw .outOfRange(
                    what: "factorCount", actual: Double(factorCount), allowed: "1 ... 512")
            }
            guard (0...ImplicitALS.largestWeight).contains(regularization) else {
                throw .outOfRange(
                    what: "regularization", actual: regularization, allowed: "0 ... 1e15")
            }
            guard (0...ImplicitALS.largestWeight).contains(confidenceWeight) else {
                throw .outOfRange(
                    what: "confidenceWeight", actual: confidenceWeight, allowed: "0 ... 1e15")
            }
            guard iterations >= 1 else {
                throw .outOfRange(
                    what: "iterations", actual: Double(iterations), allowed: "at least 1")
            }
            guard threadCount >= 1 else {
                throw .outOfRange(
                    what: "threadCount", actual: Double(threadCount), allowed: "at least 1")
            }
        }
    }

    /// Fits factors to users' purchases.
    /// - Parameters:
    ///   - purchases: `[userCount × itemCount]`, values finite and at least 0. A stored 0 counts as
    ///     a preference with confidence 1.
    ///   - initialItemFactors: `[itemCount × factorCount]` to start from instead of drawn ones.
    /// - Throws: `noRows` for a matrix without entries; `outOfRange`; `nonFiniteValue`;
    ///   `singularSystem` where regularization is 0 and a row's system cannot be solved in single
    ///   precision. With any regularization above 0 such a system is given the least more of it
    ///   that it needs (see `HalfSweep`).
    /// - Complexity: O(entries × factors² + (users + items) × factors³) a sweep.
    package static func fit(
        _ purchases: SparseMatrix, _ parameters: Parameters, initialItemFactors: [Float]? = nil,
        kernels: KernelTable = .current
    ) throws(ModelError) -> FittedALS {
        try parameters.check()
        try checkValues(purchases, confidenceWeight: parameters.confidenceWeight)
        guard purchases.valueCount > 0 else { throw .noRows(model: "affinity") }
        let transposed = purchases.transposed()
        let solver = HalfSweep(parameters, kernels)
        var items: [Float]
        if let initialItemFactors {
            let expected = purchases.columnCount * parameters.factorCount
            guard initialItemFactors.count == expected else {
                throw .countMismatch(
                    what: "initial item factors", actual: initialItemFactors.count,
                    expected: expected)
            }
            items = solver.padded(initialItemFactors)
        } else {
            items = solver.drawn(transposed, parameters.seed)
        }
        var users: [Float] = []
        var losses: [Double] = []
        let weight = totalWeight(purchases, parameters.confidenceWeight)
        for _ in 0..<parameters.iterations {
            users = try solver.solve(purchases, against: items, what: "customer factors")
            items = try solver.solve(transposed, against: users, what: "product factors")
            losses.append(solver.loss(purchases, users: users, items: items) / weight)
        }
        return FittedALS(
            parameters: parameters, userCount: purchases.rowCount,
            itemCount: purchases.columnCount, userFactors: solver.unpadded(users),
            itemFactors: solver.unpadded(items), lossPerIteration: losses)
    }

    /// The factors of customers that were not in the fit: one half-sweep against fixed products.
    /// - Parameter purchases: `[newUserCount × itemCount]`.
    /// - Returns: `[newUserCount × factorCount]`.
    /// - Throws: as `fit`, and `countMismatch` where the items differ in number.
    package static func foldIn(
        _ purchases: SparseMatrix, into fitted: FittedALS, threadCount: Int,
        kernels: KernelTable = .current
    ) throws(ModelError) -> [Float] {
        guard purchases.columnCount == fitted.itemCount else {
            throw .countMismatch(
                what: "products", actual: purchases.columnCount, expected: fitted.itemCount)
        }
        try checkValues(purchases, confidenceWeight: fitted.parameters.confidenceWeight)
        var parameters = fitted.parameters
        parameters.threadCount = threadCount
        try parameters.check()
        let solver = HalfSweep(parameters, kernels)
        let items = solver.padded(fitted.itemFactors)
        return solver.unpadded(
            try solver.solve(purchases, against: items, what: "customer factors"))
    }

    private static func checkValues(
        _ purchases: SparseMatrix, confidenceWeight: Double
    ) throws(ModelError) {
        for row in 0..<purchases.rowCount {
            for i in purchases.entries(of: row) {
                let value = purchases.values[i]
                guard value.isFinite else {
                    throw .nonFiniteValue(
                        what: "purchases", row: row, column: Int(purchases.columnIndices[i]))
                }
                guard value >= 0 else {
                    throw .outOfRange(
                        what: "a purchase count of row \(row)", actual: Double(value),
                        allowed: "at least 0; leave returns out")
                }
                guard confidenceWeight * Double(value) <= largestWeight else {
                    throw .outOfRange(
                        what: "confidenceWeight times a purchase count of row \(row)",
                        actual: confidenceWeight * Double(value), allowed: "at most 1e15")
                }
            }
        }
    }

    /// Σ c over all pairs: the loss is divided by it.
    private static func totalWeight(_ purchases: SparseMatrix, _ alpha: Double) -> Double {
        var sum = Double(purchases.rowCount) * Double(purchases.columnCount)
        for value in purchases.values { sum += alpha * Double(value) }
        return sum
    }
}

/// The result of an affinity fit.
package struct FittedALS: Sendable, Equatable, Codable {
    package let parameters: ImplicitALS.Parameters
    package let userCount: Int
    package let itemCount: Int
    /// `[userCount × factorCount]`, row-major; zero for a user without entries.
    package let userFactors: [Float]
    /// `[itemCount × factorCount]`, row-major; zero for an item without entries.
    package let itemFactors: [Float]
    /// The objective after each sweep divided by the sum of all confidences, which never rises
    /// beyond rounding.
    package let lossPerIteration: [Double]

    package var factorCount: Int { parameters.factorCount }
}
