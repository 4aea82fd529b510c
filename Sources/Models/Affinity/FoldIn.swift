package import Numerical

/// Factors of one customer from purchases alone, at look-up time: for a customer who was not in the
/// fit, or has bought since.
///
/// Prepared once for the products: their Gram matrix, which is most of the work of folding in a
/// single customer by `ImplicitALS.foldIn`. With it a customer costs one exact solution of the
/// regularized least squares (YᵀY + Σ (c - 1) y yᵀ + λ I) x = Σ c y over what was bought: the
/// half-sweep's own update of a row, but for rounding where that one takes the shorter way for few
/// entries.
/// Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit feedback datasets",
/// 2008, equation 4.
package struct FoldIn: Sendable {
    package let itemCount: Int
    package let factorCount: Int
    private let parameters: ImplicitALS.Parameters
    private let sweep: ExactSweep
    private let shared: ExactSweep.Shared

    /// The memory that one thread works in: one system of `factorCount` equations.
    package struct Scratch: Sendable {
        fileprivate let factorCount: Int
        fileprivate var sweep: ExactSweep.Scratch
    }

    /// - Parameters:
    ///   - fittedItemCount: as of `ImplicitALS.foldIn`.
    ///   - threadCount: at least 1, for this preparation; does not change the result.
    /// - Throws: as `ImplicitALS.foldIn` for factors or parameters that cannot be used.
    /// - Complexity: O(items × f²). Memory: a copy of the products' factors and f² floats.
    package init(
        _ fitted: FittedALS, fittedItemCount: Int? = nil, threadCount: Int = 1,
        kernels: KernelTable = .current
    ) throws(ModelError) {
        var parameters = fitted.parameters
        parameters.threadCount = threadCount
        try parameters.check()
        try parameters.checkRegularization(rowCount: 0, columnCount: fitted.itemCount)
        self.parameters = parameters
        (itemCount, factorCount) = (fitted.itemCount, fitted.factorCount)
        let items = try FactorTables(parameters).padded(
            fitted.itemFactors, rowCount: fitted.itemCount, what: "product factors")
        sweep = ExactSweep(parameters, kernels, otherCount: fittedItemCount)
        shared = sweep.shared(items, hasFew: false)
    }

    package func scratch() -> Scratch {
        Scratch(factorCount: factorCount, sweep: sweep.scratch())
    }

    /// - Parameters:
    ///   - items: what the customer bought, ascending, each once.
    ///   - values: how much of each, as in the fit: finite, at least 0.
    /// - Returns: `[factorCount]`; zeros for a customer without purchases.
    /// - Throws: `countMismatch`; `outOfRange` for products or values that are not allowed;
    ///   `nonFiniteValue`; `singularSystem` where the regularization is 0.
    /// - Precondition: the scratch is of as many factors.
    /// - Complexity: O(n f² + f³) for n purchases, whatever the number of products.
    package func factors(
        items: [Int32], values: [Float], _ scratch: inout Scratch
    ) throws(ModelError) -> [Float] {
        precondition(scratch.factorCount == factorCount, "the scratch of another fold-in")
        try requireCount(values.count, items.count, "amounts of products bought")
        var last: Int32 = -1
        for (i, item) in items.enumerated() {
            guard item > last, Int(item) < itemCount else {
                throw .outOfRange(
                    what: "product \(i) of the purchases", actual: Double(item),
                    allowed: "ascending numbers below \(itemCount), each once")
            }
            last = item
        }
        if items.isEmpty { return [Float](repeating: 0, count: factorCount) }
        let matrix = SparseMatrix(
            rowCount: 1, columnCount: itemCount, rowOffsets: [0, items.count],
            columnIndices: items, values: values)
        try ImplicitALS.checkValues(matrix, parameters)
        var padded = [Float](repeating: 0, count: parameters.width)
        var output = padded.mutableSpan
        guard sweep.solveOne(matrix, shared, &scratch.sweep, &output) else {
            throw .singularSystem(what: "customer factors", row: 0)
        }
        padded.removeLast(padded.count - factorCount)
        return padded
    }
}
