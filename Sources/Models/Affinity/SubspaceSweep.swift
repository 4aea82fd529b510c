package import Numerical

/// One half-sweep of implicit ALS by blocks of factors: each row's factors are improved block by
/// block, each block solved exactly while the others stay.
///
/// A block of b factors costs b² an entry and b³ a row, so all blocks cost factors × b and
/// factors × b² instead of factors² and factors³. The blocks are blocks of the axes in which the
/// fixed side's Gram matrix is diagonal (see `PrincipalAxes`): what all rows have in common does not
/// couple them. No block raises the objective.
///
/// Source: S. Rendle, W. Krichene, L. Zhang, Y. Koren, "iALS++: Speeding up Matrix Factorization
/// with Subspace Optimization", 2021, algorithm 2, here in turned axes.
package struct SubspaceSweep: Sendable {
    package static let defaultSize = 64
    private static let chunkRows = 64
    private static let chunkEntries = 8192
    /// Entries that are gathered at a time: at 64 factors 32 KiB.
    private static let panelRows = 128
    /// As in `ExactSweep`: how often an indefinite system's diagonal is raised, 16-fold each time.
    private static let maximumShifts = 5

    private let width: Int
    private let size: Int
    private let terms: RowTerms
    private let parameters: ImplicitALS.Parameters
    private let threadCount: Int
    private let kernels: KernelTable

    /// - Parameter subspaceSize: factors of a block, 1 or more; rounded up to a multiple of 16. Up:
    ///   closer to the exact solution, slower.
    package init(
        _ parameters: ImplicitALS.Parameters, _ kernels: KernelTable,
        subspaceSize: Int = defaultSize
    ) {
        precondition(subspaceSize >= 1)
        width = parameters.width
        size = min(width, (subspaceSize + 15) / 16 * 16)
        terms = RowTerms(parameters)
        self.parameters = parameters
        threadCount = parameters.threadCount
        self.kernels = kernels
    }

    /// Improves the factors of all rows against fixed factors of the other side.
    /// - Parameters:
    ///   - purchases: `[rowCount × columnCount]`, values finite, every confidence at least 1.
    ///   - fixed: `[columnCount × width]`, width = factor count rounded up to a multiple of 16,
    ///     padding zero.
    ///   - rows: `[rowCount × width]`: the previous factors in, the new ones out; zero for a row
    ///     without entries.
    ///   - what: names the rows in an error.
    /// - Throws: `singularSystem` where a row's factors, or the fixed ones, leave the range of
    ///   single precision.
    /// - Complexity: O(entries × factors × size + rows × factors × (factors + size²)). The same
    ///   bytes for any thread count.
    package func solve(
        _ purchases: SparseMatrix, against fixed: AlignedFloats, updating rows: inout AlignedFloats,
        what: String
    ) throws(ModelError) {
        precondition(fixed.count == purchases.columnCount * width)
        precondition(rows.count == purchases.rowCount * width)
        guard
            let axes = PrincipalAxes(
                of: fixed, parameters, kernels)
        else { throw .singularSystem(what: what, row: 0) }
        var turned = AlignedFloats(count: fixed.count)
        axes.turn(fixed, into: &turned, threadCount: threadCount, kernels)
        let (width, sweep) = (width, self)
        let blocks = stride(from: 0, to: width, by: size).map { first in
            Block(
                of: turned, width: width, columns: first..<min(width, first + size),
                threadCount: threadCount)
        }
        let longest = (0..<purchases.rowCount).reduce(0) {
            max($0, purchases.entries(of: $1).count)
        }
        let scratch = Scratch(
            width: width, chunkRows: Self.chunkRows, blocks: blocks, longestRow: longest)
        var scratches = [Scratch](repeating: scratch, count: threadCount)
        let bounds = boundsByEntries(
            purchases, rows: Self.chunkRows, entries: Self.chunkEntries)
        parallelFill(&rows, rowWidth: width, bounds: bounds, scratches: &scratches) {
            scratch, chunk, slice in
            do {
                var factors = scratch.factors.mutableSpan
                sweep.kernels.multiplyRows(
                    slice.span, width: width, by: axes.intoAxes, &factors)
            }
            for row in chunk {
                let position = row - chunk.lowerBound
                if purchases.entries(of: row).isEmpty {
                    for k in 0..<width { scratch.factors[position * width + k] = 0 }
                } else if !sweep.improve(row, purchases, blocks, axes, position, &scratch) {
                    scratch.failedRow = min(scratch.failedRow, row)
                }
            }
            sweep.kernels.multiplyRows(
                scratch.factors.span.extracting(0..<slice.count), width: width,
                by: axes.outOfAxes, &slice)
        }
        let failed = scratches.reduce(Int.max) { min($0, $1.failedRow) }
        if failed < Int.max { throw .singularSystem(what: what, row: failed) }
    }

    /// All blocks of one row, in order.
    /// - Returns: false where a factor is no longer finite.
    private func improve(
        _ row: Int, _ matrix: SparseMatrix, _ blocks: [Block], _ axes: PrincipalAxes,
        _ position: Int, _ scratch: inout Scratch
    ) -> Bool {
        let entries = matrix.entries(of: row)
        let lambda = terms.regularization(
            entryCount: entries.count, otherCount: matrix.columnCount)
        let values = matrix.values.span.extracting(entries)
        var largest: Float = 0
        for i in values.indices { largest = max(largest, values[i]) }
        // Scaled so that the largest weight is about 1: no sum overflows.
        let scale = 1 / (1 + max(0, terms.confidence.excess(largest)))
        for i in values.indices {
            let excess = max(0, terms.confidence.excess(values[i]))
            scratch.excess[i] = scale * excess
            scratch.scales[i] = (scale * excess).squareRoot()
            scratch.products[i] = 0
        }
        for (b, block) in blocks.enumerated() {
            var system = scratch.takeSystem(b, block, position, width)
            addProducts(matrix, entries, block, system, &scratch)
            swap(&system, &scratch.systems[b])
        }
        for (b, block) in blocks.enumerated() {
            var system = scratch.takeSystem(b, block, position, width)
            for i in values.indices {
                scratch.weights[i] = scale + scratch.excess[i] * (1 - scratch.products[i])
            }
            if solve(matrix, entries, block, axes, scale, lambda, scratch, &system) {
                addProducts(matrix, entries, block, system, &scratch)
                for k in 0..<block.size {
                    scratch.factors[position * width + block.first + k] += system.rightSide[k]
                }
            }
            swap(&system, &scratch.systems[b])
        }
        for k in position * width..<(position + 1) * width where !scratch.factors[k].isFinite {
            return false
        }
        return true
    }

    /// Adds the products of the row's entries with the block's vector in `rightSide`.
    private func addProducts(
        _ matrix: SparseMatrix, _ entries: Range<Int>, _ block: Block, _ system: BlockSystem,
        _ scratch: inout Scratch
    ) {
        kernels.rowProducts(
            block.rows, matrix, entries: entries, with: system.rightSide.span,
            products: &scratch.part, scratch: &scratch.work)
        for i in 0..<entries.count { scratch.products[i] += scratch.part[i] }
    }

    /// The step of one block: the solution of its normal equations for what the weights leave over.
    /// - Returns: false where they have none in single precision; then the block stays.
    private func solve(
        _ matrix: SparseMatrix, _ entries: Range<Int>, _ block: Block, _ axes: PrincipalAxes,
        _ scale: Float, _ lambda: Float, _ scratch: Scratch, _ system: inout BlockSystem
    ) -> Bool {
        let size = block.size
        // Moved out and back: a span of one field borrows the whole value.
        guard var panel = system.panel.take() else { preconditionFailure("in use") }
        defer { system.panel = panel }
        var shift: Float = 0
        for _ in 0...Self.maximumShifts {
            system.start(
                from: axes.axes.span.extracting(block.first..<block.first + size),
                lambda: lambda, scale: scale, shift: shift)
            var first = 0
            while first < entries.count {
                let part = first..<min(entries.count, first + Self.panelRows)
                let range = entries.lowerBound + first..<entries.lowerBound + part.upperBound
                kernels.gather(
                    block.rows.span, indices: matrix.columnIndices.span.extracting(range),
                    scales: scratch.scales.span.extracting(part),
                    weights: scratch.weights.span.extracting(part), panel: &panel,
                    rightSide: &system.rightSide)
                var sums = system.matrix.mutableSpan
                kernels.addOuterProducts(
                    panel.span, rowCount: part.count, width: size, matrix: &sums)
                first = part.upperBound
            }
            let smallestPivot = system.largestDiagonal * Float.ulpOfOne
            if kernels.solvePositiveDefinite(
                &system.matrix, &system.rightSide, smallestPivot: smallestPivot)
            {
                return true
            }
            shift = 16 * max(shift, smallestPivot)
        }
        return false
    }

    /// The fixed side's factors of one block, by themselves.
    private struct Block: Sendable {
        let first: Int
        let size: Int
        /// `[columnCount × size]`.
        let rows: AlignedFloats

        init(of turned: AlignedFloats, width: Int, columns: Range<Int>, threadCount: Int) {
            let (first, size) = (columns.lowerBound, columns.count)
            var rows = AlignedFloats(count: turned.count / width * size)
            parallelFill(&rows, rowWidth: size, chunkRows: 1024, threadCount: threadCount) {
                chunk, slice in
                let source = turned.span
                for row in chunk {
                    for k in 0..<size {
                        slice[(row - chunk.lowerBound) * size + k] = source[row * width + first + k]
                    }
                }
            }
            self.first = first
            self.size = size
            self.rows = rows
        }
    }

    /// The normal equations of a block; the right side becomes the step.
    private struct BlockSystem: Sendable {
        var matrix: AlignedFloats
        var rightSide: AlignedFloats
        /// The block's factors before the step.
        var before: [Float]
        /// Gathered rows; taken out while they are in use.
        var panel: AlignedFloats?

        init(size: Int) {
            panel = AlignedFloats(count: size * SubspaceSweep.panelRows)
            matrix = AlignedFloats(count: size * size)
            rightSide = AlignedFloats(count: size)
            before = [Float](repeating: 0, count: size)
        }

        /// The diagonal that all rows share, and what it makes of the factors before the step.
        mutating func start(from axes: Span<Float>, lambda: Float, scale: Float, shift: Float) {
            // Moved out and back: a span of one field borrows the whole value.
            var known: [Float] = []
            swap(&known, &before)
            defer { swap(&known, &before) }
            let size = known.count
            do {
                var sums = matrix.mutableSpan
                for k in 0..<size * size { sums[k] = 0 }
                for k in 0..<size { sums[k * size + k] = (axes[k] + lambda) * scale + shift }
            }
            var right = rightSide.mutableSpan
            for k in 0..<size { right[k] = -(axes[k] + lambda) * scale * known[k] }
        }

        var largestDiagonal: Float {
            let sums = matrix.span
            return before.indices.reduce(0) { max($0, sums[$1 * before.count + $1]) }
        }
    }

    /// A thread's memory; per entry of a row: c - 1 and its root, the residual's weight, and the
    /// products with the row's factors.
    private struct Scratch: Sendable {
        var factors: AlignedFloats
        var systems: [BlockSystem]
        /// Stands where a system is taken out.
        private let empty = BlockSystem(size: 0)
        var excess: [Float]
        var scales: [Float]
        var weights: [Float]
        var products: [Float]
        var part: [Float]
        var work = AlignedFloats(count: 320)
        var failedRow = Int.max

        init(width: Int, chunkRows: Int, blocks: [Block], longestRow: Int) {
            factors = AlignedFloats(count: width * chunkRows)
            systems = blocks.map { BlockSystem(size: $0.size) }
            excess = [Float](repeating: 0, count: longestRow)
            scales = excess
            weights = excess
            products = excess
            part = excess
        }

        /// Takes out a block's system with the factors of the row at `position` in it; to be put
        /// back.
        mutating func takeSystem(
            _ b: Int, _ block: Block, _ position: Int, _ width: Int
        ) -> BlockSystem {
            var system = empty
            swap(&system, &systems[b])
            let values = factors.span
            let first = position * width + block.first
            for k in 0..<block.size { system.before[k] = values[first + k] }
            var rightSpan = system.rightSide.mutableSpan
            for k in 0..<block.size { rightSpan[k] = values[first + k] }
            return system
        }
    }
}
