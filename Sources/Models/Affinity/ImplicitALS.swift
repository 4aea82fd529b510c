package import Numerical

/// Factors of customers and products from implicit feedback, by alternating least squares.
///
/// With purchases r (≥ 0) of user u and item i, the preference is p = 1 where an entry is stored,
/// 0 elsewhere, and the confidence c = 1 + `confidenceWeight` · r (the paper's c = 1 + α r). The
/// Python package `implicit` takes α r itself for c: the same fit there is `alpha=1` on data
/// 1 + α r, and its own on data r is `Confidence.alphaR` here. Minimised is
///
///     Σ c (p - x·y)²  over all user-item pairs  +  Σ λ |x|²  +  Σ λ |y|²
///
/// with λ of each row by `regularization` and `regularizationExponent`; divided by Σ c over all
/// pairs it is the loss, as `implicit` computes it. Each half-sweep solves the normal equations of
/// every row (YᵀY + Σ (c - 1) y yᵀ + λ I) x = Σ c y, sums over the row's entries: exactly, or as
/// near as `solver` says. Rows and columns without entries get zero factors. The same bytes for any
/// thread count.
/// Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit feedback datasets",
/// 2008, section 4.
package enum ImplicitALS {
    /// Largest regularization and confidence: the sums of single-precision products of factors
    /// with these stay finite.
    package static let largestWeight = 1e15
    /// Largest magnitude of a factor to start from: its square times the largest confidence stays
    /// finite in single precision.
    package static let largestInitialFactor: Float = 1e10

    /// Fits factors to users' purchases.
    /// - Parameters:
    ///   - purchases: `[userCount × itemCount]`, values finite and at least 0. A stored 0 counts as
    ///     a preference with confidence 1.
    ///   - initialItemFactors: `[itemCount × factorCount]` to start from instead of drawn ones.
    ///   - initialUserFactors: `[userCount × factorCount]` to start from. The exact solver needs
    ///     them only where there are no initial item factors: these are then solved for first.
    ///   - measuresLoss: false leaves `lossPerIteration` empty and saves its pass.
    ///   - keepsUserFactors: false leaves `userFactors` empty and saves a copy of them: for a
    ///     training that keeps the items only.
    /// - Throws: `noRows` for a matrix without entries; `outOfRange`; `nonFiniteValue`;
    ///   `countMismatch` for initial factors of another size;
    ///   `singularSystem` where regularization is 0 and a row's system cannot be solved in single
    ///   precision. With any regularization above 0 such a system is given the least more of it
    ///   that it needs (see `ExactSweep`). Of a system with many solutions `conjugateGradient` and
    ///   `subspace` give one.
    /// - Complexity: with f factors and n entries of a row, O(n f min(n, f)) a row and half-sweep.
    ///   Memory: the matrix, its transpose, the factors of both sides and once more the factors of
    ///   the larger side (`subspace`: twice more), all in single precision.
    package static func fit(
        _ purchases: SparseMatrix, _ parameters: Parameters, initialItemFactors: [Float]? = nil,
        initialUserFactors: [Float]? = nil, measuresLoss: Bool = true,
        keepsUserFactors: Bool = true, kernels: KernelTable = .current
    ) throws(ModelError) -> FittedALS {
        try parameters.check()
        try parameters.checkRegularization(
            rowCount: purchases.rowCount, columnCount: purchases.columnCount)
        let weight = try totalWeight(purchases, parameters)
        guard purchases.valueCount > 0 else { throw .noRows(model: "affinity") }
        let transposed = purchases.transposed(threadCount: parameters.threadCount)
        var sweep = AnySweep(parameters, kernels)
        let tables = FactorTables(parameters)
        var users = try tables.padded(
            initialUserFactors, rowCount: purchases.rowCount, what: "initial user factors")
        var items = try tables.padded(
            initialItemFactors, rowCount: purchases.columnCount, what: "initial item factors")
        if initialItemFactors == nil {
            if initialUserFactors == nil {
                items = tables.drawn(transposed, parameters.seed)
            } else {
                try sweep.solve(transposed, against: users, updating: &items, what: itemsName)
            }
        }
        var losses: [Double] = []
        for _ in 0..<parameters.iterations {
            try sweep.solve(purchases, against: items, updating: &users, what: usersName)
            try sweep.solve(transposed, against: users, updating: &items, what: itemsName)
            if measuresLoss {
                let loss = ALSLoss(parameters, kernels)
                    .value(purchases, transposed, users: users, items: items)
                losses.append(loss / weight)
            }
        }
        return FittedALS(
            parameters: parameters, userCount: purchases.rowCount,
            itemCount: purchases.columnCount,
            userFactors: keepsUserFactors ? tables.unpadded(users) : [],
            itemFactors: tables.unpadded(items), lossPerIteration: losses)
    }

    private static let usersName = "customer factors"
    private static let itemsName = "product factors"

    /// The factors of customers that were not in the fit, or have bought since: one exact
    /// half-sweep against fixed products, whatever solver the fit used. A customer's factors are
    /// the same bytes as in a half-sweep over all customers.
    /// - Parameters:
    ///   - purchases: `[newUserCount × itemCount]`.
    ///   - fittedItemCount: items of the fit where `fitted` has more, at least 1: a
    ///     `regularizationExponent` counts those that there were. Nil: all.
    /// - Returns: `[newUserCount × factorCount]`.
    /// - Throws: as `fit`, and `countMismatch` where the items differ in number.
    package static func foldIn(
        _ purchases: SparseMatrix, into fitted: FittedALS, fittedItemCount: Int? = nil,
        threadCount: Int, kernels: KernelTable = .current
    ) throws(ModelError) -> [Float] {
        guard purchases.columnCount == fitted.itemCount else {
            throw .countMismatch(
                what: "products", actual: purchases.columnCount, expected: fitted.itemCount)
        }
        var parameters = fitted.parameters
        parameters.threadCount = threadCount
        try parameters.check()
        try parameters.checkRegularization(rowCount: 0, columnCount: purchases.columnCount)
        _ = try totalWeight(purchases, parameters)
        let tables = FactorTables(parameters)
        let items = try tables.padded(
            fitted.itemFactors, rowCount: fitted.itemCount, what: itemsName)
        var users = AlignedFloats(count: purchases.rowCount * parameters.width)
        try ExactSweep(parameters, kernels, otherCount: fittedItemCount)
            .solve(purchases, against: items, updating: &users, what: usersName)
        return tables.unpadded(users)
    }

    /// - Throws: as `fit` for values that are not allowed.
    static func checkValues(
        _ purchases: SparseMatrix, _ parameters: Parameters
    ) throws(ModelError) {
        _ = try totalWeight(purchases, parameters)
    }

    /// Checks every value; Σ c over all pairs, by which the loss is divided.
    private static func totalWeight(
        _ purchases: SparseMatrix, _ parameters: Parameters
    ) throws(ModelError) -> Double {
        let alpha = parameters.confidenceWeight
        // The limits of a value in single precision; the exact check names the place.
        let least = parameters.confidence == .alphaR ? 1.0 : 0
        let partials = parallelMap(
            count: purchases.valueCount, chunkSize: 1 << 16, threadCount: parameters.threadCount
        ) { _, range in
            var sum = 0.0
            var isGood = true
            for value in purchases.values[range] {
                let weight = alpha * Double(value)
                sum += weight
                let isAllowed = value >= 0 && weight >= least && weight <= largestWeight
                isGood = isGood && isAllowed
            }
            return isGood ? sum : .nan
        }
        let sum = partials.reduce(0, +)
        guard sum.isFinite else { throw valueError(purchases, parameters) }
        return Double(purchases.rowCount) * Double(purchases.columnCount) + sum
            - (1 - parameters.confidenceBase) * Double(purchases.valueCount)
    }

    /// The first value that is not allowed.
    private static func valueError(
        _ purchases: SparseMatrix, _ parameters: Parameters
    ) -> ModelError {
        for row in 0..<purchases.rowCount {
            for i in purchases.entries(of: row) {
                let value = purchases.values[i]
                let weight = parameters.confidenceWeight * Double(value)
                guard value.isFinite else {
                    return .nonFiniteValue(
                        what: "purchases", row: row, column: Int(purchases.columnIndices[i]))
                }
                guard value >= 0 else {
                    return .outOfRange(
                        what: "a purchase count of row \(row)", actual: Double(value),
                        allowed: "at least 0; leave returns out")
                }
                let least = parameters.confidence == .alphaR ? 1.0 : 0
                guard weight >= least && weight <= largestWeight else {
                    return .outOfRange(
                        what: "confidenceWeight times a purchase count of row \(row)",
                        actual: weight,
                        allowed: least == 0 ? "at most 1e15" : "1 ... 1e15 as a confidence")
                }
            }
        }
        return .outOfRange(
            what: "the sum of all confidences", actual: .infinity, allowed: "a finite sum")
    }
}

/// The half-sweep of the solver that the parameters ask for: one of the three.
private struct AnySweep {
    /// Changed in place: a copy would share its memory, and a pass over shared memory copies it.
    private var conjugateGradient: ConjugateGradientSweep?
    private var exact: ExactSweep?
    private var subspace: SubspaceSweep?

    init(_ parameters: ImplicitALS.Parameters, _ kernels: KernelTable) {
        switch parameters.solver {
        case .cholesky: exact = ExactSweep(parameters, kernels)
        case .conjugateGradient:
            conjugateGradient = ConjugateGradientSweep(
                parameters, kernels, conjugateGradientSteps: parameters.conjugateGradientSteps)
        case .subspace:
            subspace = SubspaceSweep(parameters, kernels, subspaceSize: parameters.subspaceSize)
        }
    }

    mutating func solve(
        _ matrix: SparseMatrix, against fixed: AlignedFloats, updating rows: inout AlignedFloats,
        what: String
    ) throws(ModelError) {
        try conjugateGradient?.solve(matrix, against: fixed, updating: &rows, what: what)
        try exact?.solve(matrix, against: fixed, updating: &rows, what: what)
        try subspace?.solve(matrix, against: fixed, updating: &rows, what: what)
    }
}

/// The result of an affinity fit.
package struct FittedALS: Sendable, Equatable, Codable {
    package let parameters: ImplicitALS.Parameters
    package let userCount: Int
    package let itemCount: Int
    /// `[userCount × factorCount]`, row-major; zero for a user without entries. Empty where the fit
    /// was told not to keep them.
    package let userFactors: [Float]
    /// `[itemCount × factorCount]`, row-major; zero for an item without entries.
    package let itemFactors: [Float]
    /// The objective after each sweep divided by the sum of all confidences, which never rises
    /// beyond rounding.
    package let lossPerIteration: [Double]

    package var factorCount: Int { parameters.factorCount }
}
