import Numerical

/// The exact solution of one side's factors for fixed factors of the other side.
///
/// A row with n entries has the system (G + Σ d y yᵀ) x = Σ c y over them, with G = YᵀY + λ I of all
/// rows and d = c - 1. Rows with at most `fewEntriesLimit` entries are solved in n dimensions (the
/// kernel `solveFewEntries`), for which all y are multiplied by L⁻¹ once, G = L Lᵀ; the others in
/// `factorCount` dimensions. Which it is depends on n alone, and a row's factors depend on its own
/// entries and the other side alone, so any subset of rows gets the same bytes.
struct ExactSweep {
    /// Systems of more entries than this leave the second-level cache.
    private static let largestFewEntries = 256
    /// How often the diagonal of a system that rounding has made indefinite is raised, 16-fold each
    /// time from one unit in the last place of the largest entry: the last is an eighth of
    /// it.
    private static let maximumShifts = 5
    /// From so many floats of partial sums on (16 MiB), or 16 pieces where those are more, no further
    /// row with many entries joins a group. A row's own pieces are held together, however many.
    private static let pieceFloats = 1 << 22

    private let parameters: ImplicitALS.Parameters
    private let tables: FactorTables
    private let factorCount: Int
    private let width: Int
    private let alpha: Float
    private let base: Float
    private let kernels: KernelTable
    /// Rows with at most so many entries are solved in that dimension, where the arithmetic of
    /// both ways is about equal; 0 where every row has a regularization of its own.
    private let fewEntriesLimit: Int
    /// Rows of the other side that the regularization counts; those that there are where nil.
    private let otherCount: Int?

    /// - Parameter otherCount: as of `ImplicitALS.foldIn`.
    init(
        _ parameters: ImplicitALS.Parameters, _ kernels: KernelTable, otherCount: Int? = nil
    ) {
        self.parameters = parameters
        self.otherCount = otherCount
        tables = FactorTables(parameters)
        factorCount = parameters.factorCount
        width = parameters.width
        alpha = Float(parameters.confidenceWeight)
        base = Float(parameters.confidenceBase)
        self.kernels = kernels
        fewEntriesLimit =
            parameters.regularizationExponent == 0
            ? min(parameters.factorCount, Self.largestFewEntries) : 0
    }

    /// - Parameters:
    ///   - matrix: `[rowCount × columnCount]`.
    ///   - fixed: `[columnCount × width]`, the padding zero.
    ///   - rows: `[rowCount × width]`; what it holds is not read, zero for a row without entries.
    ///   - what: names the side in an error.
    func solve(
        _ matrix: SparseMatrix, against fixed: AlignedFloats, updating rows: inout AlignedFloats,
        what: String
    ) throws(ModelError) {
        precondition(rows.count == matrix.rowCount * width)
        precondition(fixed.count == matrix.columnCount * width)
        var schedule = SweepSchedule(matrix, width: width, fewEntries: fewEntriesLimit)
        let shared = shared(fixed, hasFew: schedule.hasFew)
        if shared.whitening == nil && schedule.hasFew {
            // G has no full rank in single precision; each row finds out for itself.
            schedule = SweepSchedule(matrix, width: width, fewEntries: 0)
        }
        var scratches = (0..<parameters.threadCount).map { _ in
            Scratch(width: width, fewEntries: fewEntriesLimit, kernels: kernels)
        }
        parallelFill(
            &rows, rowWidth: width, bounds: schedule.bounds, scratches: &scratches
        ) { scratch, chunk, slice in
            solveChunk(chunk, matrix, shared, &scratch, &slice)
        }
        solveHeavy(schedule.heavyRows, matrix, shared, &scratches, &rows)
        let failedRow = scratches.reduce(Int.max) { min($0, $1.failedRow) }
        if failedRow < .max { throw .singularSystem(what: what, row: failedRow) }
    }

    /// What all rows of a half-sweep read.
    struct Shared: Sendable {
        fileprivate let fixed: AlignedFloats
        /// YᵀY, and λ on its diagonal where it is the same for all rows.
        fileprivate let gram: AlignedFloats
        fileprivate let whitening: Whitening?
        /// `[columnCount × width]`; empty without `whitening`.
        fileprivate let whitened: AlignedFloats
    }

    /// - Parameter hasFew: whether rows are to be solved in as many dimensions as they have entries.
    func shared(_ fixed: AlignedFloats, hasFew: Bool) -> Shared {
        let sums = tables.gram(fixed, kernels)
        let isUniform = parameters.regularizationExponent == 0
        let regularization = isUniform ? parameters.regularization : 0
        var gram = AlignedFloats(count: width * width)
        for i in 0..<width * width { gram[i] = Float(sums[i]) }
        for j in 0..<factorCount { gram[j * width + j] += Float(regularization) }
        var whitening: Whitening?
        var whitened = AlignedFloats(count: 0)
        if hasFew {
            whitening = Whitening(
                gram: sums, factorCount: factorCount, width: width,
                regularization: regularization)
        }
        if let toWhite = whitening?.toWhite {
            let (width, kernels) = (width, kernels)
            whitened = AlignedFloats(count: fixed.count)
            parallelFill(
                &whitened, rowWidth: width, chunkRows: 1024, threadCount: parameters.threadCount
            ) { rows, slice in
                kernels.multiplyTriangle(
                    fixed.span.extracting(rows.lowerBound * width..<rows.upperBound * width),
                    matrix: toWhite.span, isUpper: true, width: width, output: &slice)
            }
        }
        return Shared(fixed: fixed, gram: gram, whitening: whitening, whitened: whitened)
    }

    /// Memory of one thread for `solveOne`.
    func scratch() -> Scratch { Scratch(width: width, fewEntries: 0, kernels: kernels) }

    /// One row, in `factorCount` dimensions whatever its entries.
    /// - Parameters:
    ///   - matrix: `[1 × columnCount]`, with an entry at least.
    ///   - factors: `[width]`, overwritten where there is a solution.
    /// - Returns: whether its system has one.
    func solveOne(
        _ matrix: SparseMatrix, _ shared: Shared, _ scratch: inout Scratch,
        _ factors: inout MutableSpan<Float>
    ) -> Bool {
        scratch.failedRow = .max
        solveMany(0, matrix, shared, &scratch)
        if scratch.failedRow < .max { return false }
        write(scratch.rightSide.span, 0, &factors)
        return true
    }

    private func solveChunk(
        _ rows: Range<Int>, _ matrix: SparseMatrix, _ shared: Shared, _ scratch: inout Scratch,
        _ slice: inout MutableSpan<Float>
    ) {
        let offsets = matrix.rowOffsets.span
        let limit = shared.whitening == nil ? 0 : fewEntriesLimit
        for row in rows {
            let n = offsets[row + 1] - offsets[row]
            if n == 0 {
                for j in (row - rows.lowerBound) * width..<(row + 1 - rows.lowerBound) * width {
                    slice[j] = 0
                }
            } else if n > limit && n < SweepSchedule.heavyEntries {
                solveMany(row, matrix, shared, &scratch)
                write(scratch.rightSide.span, row - rows.lowerBound, &slice)
            }
        }
        guard limit > 0, let fromWhite = shared.whitening?.fromWhite else { return }
        // By entry count, so that the lanes of a batch have about as much to do.
        scratch.sort(rows, offsets, limit)
        var first = 0
        while first < scratch.order.count {
            let count = min(kernels.fewEntriesBatch, scratch.order.count - first)
            solveBatch(first..<first + count, matrix, shared, fromWhite, &scratch)
            for index in 0..<count {
                let row = scratch.order[first + index]
                if scratch.few.margins[index] > 0 {
                    write(
                        scratch.few.solutions.span.extracting(index * width..<(index + 1) * width),
                        row - rows.lowerBound, &slice)
                } else {
                    // This way knows what to do about a system without a correct digit.
                    solveMany(row, matrix, shared, &scratch)
                    write(scratch.rightSide.span, row - rows.lowerBound, &slice)
                }
            }
            first += count
        }
    }

    private func write(
        _ factors: Span<Float>, _ row: Int, _ slice: inout MutableSpan<Float>
    ) {
        for j in factors.indices { slice[row * width + j] = factors[j] }
    }

    /// A batch of rows with few entries; the solutions are left in the scratch.
    private func solveBatch(
        _ batch: Range<Int>, _ matrix: SparseMatrix, _ shared: Shared,
        _ fromWhite: AlignedFloats, _ scratch: inout Scratch
    ) {
        let order = scratch.order
        kernels.solveFewEntries(
            shared.whitened.span, fromWhite: fromWhite.span,
            indices: matrix.columnIndices.span, values: matrix.values.span,
            entries: { index in
                index < batch.count ? matrix.entries(of: order[batch.lowerBound + index]) : nil
            }, alpha: alpha, base: base, &scratch.few)
    }

    /// A row in `factorCount` dimensions; the solution is left in the scratch.
    private func solveMany(
        _ row: Int, _ matrix: SparseMatrix, _ shared: Shared, _ scratch: inout Scratch
    ) {
        solve(row, matrix, shared, &scratch) { scratch in
            addEntries(matrix.entries(of: row), matrix, shared.fixed, &scratch)
        }
    }

    /// Solves the system that `addSums` completes, raising its diagonal where it must.
    ///
    /// More factors than rows on the other side, or one very large confidence, leave λ alone on
    /// part of the diagonal, where the rounding of the rest can swallow it. Without any λ the
    /// system has no unique solution and is refused.
    private func solve(
        _ row: Int, _ matrix: SparseMatrix, _ shared: Shared, _ scratch: inout Scratch,
        addSums: (inout Scratch) -> Void
    ) {
        let own =
            parameters.regularizationExponent == 0
            ? 0
            : Float(
                parameters.regularization(
                    entryCount: matrix.entries(of: row).count,
                    otherCount: otherCount ?? matrix.columnCount))
        var shift: Float = 0
        var attempts = parameters.regularization > 0 ? Self.maximumShifts : 0
        while true {
            scratch.start(shared.gram, diagonal: own + shift, factorCount)
            addSums(&scratch)
            // A pivot this far below the largest diagonal entry has no correct digit left.
            let smallestPivot = scratch.fillPadding(after: factorCount) * Float.ulpOfOne
            if scratch.solve(smallestPivot: smallestPivot, kernels) { return }
            if attempts == 0 {
                scratch.failedRow = min(scratch.failedRow, row)
                return
            }
            attempts -= 1
            shift = 16 * max(shift, smallestPivot)
        }
    }

    /// Adds entries to the sums in the scratch.
    private func addEntries(
        _ entries: Range<Int>, _ matrix: SparseMatrix, _ fixed: AlignedFloats,
        _ scratch: inout Scratch
    ) {
        kernels.addWeightedRows(
            fixed.span, indices: matrix.columnIndices.span, values: matrix.values.span,
            entries: entries, alpha: alpha, base: base, scratch: &scratch.panel,
            matrix: &scratch.matrix, rightSide: &scratch.rightSide)
    }

    /// Rows with very many entries, in groups whose pieces are summed in parallel and then added
    /// in order.
    private func solveHeavy(
        _ heavyRows: [Int], _ matrix: SparseMatrix, _ shared: Shared,
        _ scratches: inout [Scratch], _ rows: inout AlignedFloats
    ) {
        let most = max(16, Self.pieceFloats / (width * width + width))
        var group: [Int] = []
        var pieceCount = 0
        for row in heavyRows {
            group.append(row)
            pieceCount += matrix.entries(of: row).count / SweepSchedule.pieceEntries + 1
            if pieceCount < most && row != heavyRows.last { continue }
            let solutions = solveGroup(group, matrix, shared, &scratches)
            for index in group.indices {
                for j in 0..<width { rows[group[index] * width + j] = solutions[index * width + j] }
            }
            group.removeAll(keepingCapacity: true)
            pieceCount = 0
        }
    }

    /// - Returns: `[group.count × width]`.
    private func solveGroup(
        _ group: [Int], _ matrix: SparseMatrix, _ shared: Shared, _ scratches: inout [Scratch]
    ) -> AlignedFloats {
        var pieces: [Range<Int>] = []
        var firstPieces = [0]
        for row in group {
            let entries = matrix.entries(of: row)
            var first = entries.lowerBound
            while first < entries.upperBound {
                let end = min(entries.upperBound, first + SweepSchedule.pieceEntries)
                pieces.append(first..<end)
                first = end
            }
            firstPieces.append(pieces.count)
        }
        let sums = sums(pieces, matrix, shared, &scratches)
        var solutions = AlignedFloats(count: group.count * width)
        parallelFill(
            &solutions, rowWidth: width, bounds: Array(0...group.count), scratches: &scratches
        ) { [firstPieces] scratch, index, slice in
            let parts = firstPieces[index.lowerBound]..<firstPieces[index.lowerBound + 1]
            solve(group[index.lowerBound], matrix, shared, &scratch) { scratch in
                for part in parts { scratch.addSums(sums, at: part * (width * width + width)) }
            }
            write(scratch.rightSide.span, 0, &slice)
        }
        return solutions
    }

    /// Sums of pieces of rows: `[pieces.count × (width² + width)]`, matrix and right side.
    private func sums(
        _ pieces: [Range<Int>], _ matrix: SparseMatrix, _ shared: Shared,
        _ scratches: inout [Scratch]
    ) -> AlignedFloats {
        let sumCount = width * width + width
        var sums = AlignedFloats(count: pieces.count * sumCount)
        parallelFill(
            &sums, rowWidth: sumCount, bounds: Array(0...pieces.count), scratches: &scratches
        ) { scratch, piece, slice in
            scratch.clear()
            addEntries(pieces[piece.lowerBound], matrix, shared.fixed, &scratch)
            scratch.copySums(to: &slice)
        }
        return sums
    }
}
