package import Numerical

/// One half-sweep of implicit ALS by conjugate gradients: each row's factors are improved by a few
/// steps from where they are, instead of solved for.
///
/// The steps are taken in the axes in which the fixed side's Gram matrix is diagonal (see
/// `PrincipalAxes`), with Λ + λ I as the preconditioner: in exact arithmetic, conjugate gradients
/// on the row's normal equations preconditioned by FᵀF + λ I. A step costs the row's entries alone,
/// and a row with few entries is one or two steps from its solution. No step raises the objective.
///
/// Source: G. Takács, I. Pilászy, D. Tikk, "Applications of the Conjugate Gradient Method for
/// Implicit Feedback Collaborative Filtering", RecSys 2011, for the steps from the last factors.
package struct ConjugateGradientSweep: Sendable {
    /// Where the squared residual, in the preconditioner's norm, has fallen to this part of its
    /// first value, a row is done.
    package static let defaultTolerance: Float = 1e-2
    private static let chunkRows = 64
    /// 4 MiB: as much as is worth huge pages, without which the gathers miss in the page tables.
    private static let leastCount = 1 << 20
    private static let chunkEntries = 8192

    private let width: Int
    private let terms: RowTerms
    private let parameters: ImplicitALS.Parameters
    private let threadCount: Int
    private let steps: Int
    private let tolerance: Float
    private let kernels: KernelTable
    /// The fixed side in its axes; kept, so that a pass writes to memory it has used before.
    private var turned = AlignedFloats(count: 0)
    /// Memory of the popular rows, kept for the same reason.
    private var popularStates: [DescentState] = []

    /// - Parameters:
    ///   - conjugateGradientSteps: at most this many a row and half-sweep, at least 1. Up: closer
    ///     to the exact solution, in proportion slower.
    ///   - tolerance: at least 0; 0 takes all steps.
    package init(
        _ parameters: ImplicitALS.Parameters, _ kernels: KernelTable,
        conjugateGradientSteps: Int = 3, tolerance: Float = defaultTolerance
    ) {
        precondition(conjugateGradientSteps >= 1 && tolerance >= 0)
        width = parameters.width
        terms = RowTerms(parameters)
        self.parameters = parameters
        threadCount = parameters.threadCount
        steps = conjugateGradientSteps
        self.tolerance = tolerance
        self.kernels = kernels
    }

    /// Improves the factors of all rows against fixed factors of the other side.
    /// - Parameters:
    ///   - purchases: `[rowCount × columnCount]`, values finite and at least 0.
    ///   - fixed: `[columnCount × width]`, width = factor count rounded up to a multiple of 16,
    ///     padding zero.
    ///   - rows: `[rowCount × width]`: the previous factors in, the new ones out; zero for a row
    ///     without entries.
    ///   - what: names the rows in an error.
    /// - Throws: `singularSystem` where a row's factors, or the fixed ones, leave the range of
    ///   single precision.
    /// - Complexity: O(entries × factors × steps + (rows + columns) × factors² + factors³).
    ///   The same bytes for any thread count.
    package mutating func solve(
        _ purchases: SparseMatrix, against fixed: AlignedFloats, updating rows: inout AlignedFloats,
        what: String
    ) throws(ModelError) {
        precondition(fixed.count == purchases.columnCount * width)
        precondition(rows.count == purchases.rowCount * width)
        guard
            let axes = PrincipalAxes(
                of: fixed, parameters, kernels)
        else { throw .singularSystem(what: what, row: 0) }
        var memory = AlignedFloats(count: 0)
        swap(&memory, &turned)
        if memory.count < fixed.count {
            memory = AlignedFloats(count: max(fixed.count, Self.leastCount / width * width))
        }
        axes.turn(fixed, into: &memory, threadCount: threadCount, kernels)
        let side = DiagonalSide(rows: memory, axes: axes.axes, floor: axes.floor)
        memory = AlignedFloats(count: 0)
        defer { turned = side.rows }

        var popular = PopularRows(
            purchases, side, terms, axes, rows: rows, states: &popularStates,
            threadCount: threadCount, kernels)
        defer { popularStates = popular.states }
        popular.descend(purchases, side, terms, steps: steps, tolerance: tolerance)
        let failedRow = descend(purchases, side, axes, popular, &rows)
        let failedPopularRow = popular.write(axes, to: &rows)
        if let row = [failedRow, failedPopularRow].compactMap({ $0 }).min() {
            throw .singularSystem(what: what, row: row)
        }
    }

    /// All rows but the popular ones.
    /// - Returns: the first row whose factors are not finite.
    private func descend(
        _ purchases: SparseMatrix, _ side: DiagonalSide, _ axes: PrincipalAxes,
        _ popular: PopularRows, _ rows: inout AlignedFloats
    ) -> Int? {
        let (width, sweep) = (width, self)
        let popularCount = popular.leastCount
        var scratches = [Scratch](
            repeating: Scratch(width: width, rows: Self.chunkRows), count: threadCount)
        let bounds = boundsByEntries(
            purchases, rows: Self.chunkRows, entries: Self.chunkEntries)
        parallelFill(&rows, rowWidth: width, bounds: bounds, scratches: &scratches) {
            scratch, chunk, slice in
            do {
                var turned = scratch.turned.mutableSpan
                sweep.kernels.multiplyRows(
                    slice.span, width: width, by: axes.intoAxes, &turned)
            }
            for row in chunk {
                let count = purchases.entries(of: row).count
                let position = row - chunk.lowerBound
                if count == 0 || count >= popularCount {
                    for k in 0..<width { scratch.turned[position * width + k] = 0 }
                    continue
                }
                let isFinite = sweep.kernels.descend(
                    purchases, row: row, against: side, confidence: sweep.terms.confidence,
                    regularization: sweep.terms.regularization(
                        entryCount: count, otherCount: purchases.columnCount),
                    steps: sweep.steps, tolerance: sweep.tolerance,
                    factors: &scratch.turned, at: position, state: &scratch.state)
                if !isFinite { scratch.failedRow = min(scratch.failedRow, row) }
            }
            sweep.kernels.multiplyRows(
                scratch.turned.span.extracting(0..<slice.count), width: width,
                by: axes.outOfAxes, &slice)
        }
        let failed = scratches.reduce(Int.max) { min($0, $1.failedRow) }
        return failed == Int.max ? nil : failed
    }

    /// A thread's memory.
    private struct Scratch: Sendable {
        /// Factors of a chunk's rows in the axes.
        var turned: AlignedFloats
        var state: DescentState
        var failedRow = Int.max

        init(width: Int, rows: Int) {
            turned = AlignedFloats(count: rows * width)
            state = DescentState(width: width)
        }
    }
}
