import Numerical

/// The rows with so many entries that the fixed rows they gather fit no cache: all of them take
/// their steps together, and a pass over the fixed side brings each of its blocks into the
/// second-level cache once for all of them.
struct PopularRows {
    /// Entries of a popular row, at least: at 64 factors 512 KiB of fixed rows.
    static let leastBytes = 512 << 10
    /// Fixed rows of a block: about 512 KiB.
    private static let blockBytes = 512 << 10
    /// The most parts that a pass is cut into; each has its own sums, merged in order.
    private static let maximumParts = 64

    let leastCount: Int
    /// The popular rows, ascending.
    let indices: [Int]
    private let width: Int
    private let blockCount: Int
    private let partBlocks: Int
    private let kernels: KernelTable
    /// `[indices.count × (blockCount + 1)]`: the first entry of each row in each block.
    private var offsets: [Int] = []
    /// `[indices.count × width]`, in the axes.
    private var factors: AlignedFloats
    /// `[indices.count]` or more: memory of a sweep before is kept.
    private(set) var states: [DescentState]
    private var scales: [Float]
    /// Positions in `indices` of the rows that take another step.
    private var active: [Int] = []
    /// `[partCount × indices.count × width]`.
    private var sums: AlignedFloats
    /// 0 ... part count.
    private let partBounds: [Int]
    private var scratches: [Scratch] = []

    /// A thread's memory.
    private struct Scratch: Sendable {
        var work = AlignedFloats(count: 320)
        var pieces: [PullPiece] = []
    }

    /// - Parameter states: memory of a sweep before, of any rows; taken out.
    init(
        _ matrix: SparseMatrix, _ side: DiagonalSide, _ terms: RowTerms, _ axes: PrincipalAxes,
        rows: AlignedFloats, states memory: inout [DescentState], threadCount: Int,
        _ kernels: KernelTable
    ) {
        let width = side.width
        let blockRows = max(1, Self.blockBytes / (4 * width))
        let blocks = (matrix.columnCount + blockRows - 1) / blockRows
        // Eight entries a block on average: fewer cost more than the misses they save, and so the
        // offsets take a byte an entry at most.
        let leastCount = max(1, Self.leastBytes / (4 * width), 8 * blocks)
        self.leastCount = leastCount
        self.width = width
        self.kernels = kernels
        indices = (0..<matrix.rowCount).filter { matrix.entries(of: $0).count >= leastCount }
        blockCount = (matrix.columnCount + blockRows - 1) / blockRows
        partBlocks = max(1, (blockCount + Self.maximumParts - 1) / Self.maximumParts)
        let partCount = (blockCount + partBlocks - 1) / partBlocks
        partBounds = Array(0...partCount)
        factors = AlignedFloats(count: 0)
        sums = AlignedFloats(count: partCount * indices.count * width)
        scales = []
        states = []
        swap(&states, &memory)
        if indices.isEmpty { return }
        scales.reserveCapacity(indices.count)
        active.reserveCapacity(indices.count)
        while states.count < indices.count { states.append(DescentState(width: width)) }
        scratches = (0..<threadCount).map { [count = indices.count] _ in
            var scratch = Scratch()
            scratch.pieces.reserveCapacity(count)
            return scratch
        }

        var old = AlignedFloats(count: indices.count * width)
        for (i, row) in indices.enumerated() {
            for k in 0..<width { old[i * width + k] = rows[row * width + k] }
        }
        var turned = AlignedFloats(count: indices.count * width)
        do {
            var output = turned.mutableSpan
            kernels.multiplyRows(old.span, width: width, by: axes.intoAxes, &output)
        }
        factors = turned
        offsets = Self.blockOffsets(
            matrix, indices, blockRows: blockRows, blockCount: blockCount,
            threadCount: threadCount)
        for (i, row) in indices.enumerated() {
            let entries = matrix.entries(of: row)
            var largest: Float = 0
            for entry in entries { largest = max(largest, matrix.values[entry]) }
            let scale = 1 / (1 + max(0, terms.confidence.excess(largest)))
            kernels.prepareDescent(
                side,
                regularization: terms.regularization(
                    entryCount: entries.count, otherCount: matrix.columnCount),
                scale: scale, x: turned.span.extracting(i * width..<(i + 1) * width),
                &states[i])
            scales.append(scale)
        }
    }

    /// Where each block starts in each row, by one scan of the row's columns.
    private static func blockOffsets(
        _ matrix: SparseMatrix, _ indices: [Int], blockRows: Int, blockCount: Int,
        threadCount: Int
    ) -> [Int] {
        let size = blockCount + 1
        var offsets = [Int](repeating: 0, count: indices.count * size)
        parallelFill(&offsets, rowWidth: size, chunkRows: 1, threadCount: threadCount) {
            chunk, slice in
            let entries = matrix.entries(of: indices[chunk.lowerBound])
            let columns = matrix.columnIndices.span
            var first = entries.lowerBound
            for block in 0..<blockCount {
                slice[block] = first
                // Columns ascend: halve to the first one behind the block.
                let end = (block + 1) * blockRows
                var last = entries.upperBound
                while first < last {
                    let middle = (first + last) / 2
                    if Int(columns[middle]) < end { first = middle + 1 } else { last = middle }
                }
            }
            slice[blockCount] = entries.upperBound
        }
        return offsets
    }

    /// At most `steps` steps of every row.
    mutating func descend(
        _ matrix: SparseMatrix, _ side: DiagonalSide, _ terms: RowTerms, steps: Int,
        tolerance: Float
    ) {
        if indices.isEmpty { return }
        active.append(contentsOf: indices.indices)
        addPulls(matrix, side, terms, on: factors, isResidual: true)
        for i in indices.indices { kernels.startDescent(&states[i]) }
        var directions = AlignedFloats(count: factors.count)
        for _ in 0..<steps {
            active.removeAll(keepingCapacity: true)
            for i in indices.indices where states[i].remainder > tolerance { active.append(i) }
            if active.isEmpty { return }
            for i in active { states[i].copyDirection(to: &directions, at: i) }
            addPulls(matrix, side, terms, on: directions, isResidual: false)
            for i in active { kernels.stepDescent(&states[i], factors: &factors, at: i) }
        }
    }

    /// Completes the images of the active rows: one pass over the fixed side.
    private mutating func addPulls(
        _ matrix: SparseMatrix, _ side: DiagonalSide, _ terms: RowTerms,
        on vectors: AlignedFloats, isResidual: Bool
    ) {
        let (partBlocks, blockCount, offsets, scales) = (partBlocks, blockCount, offsets, scales)
        let (active, kernels, rowWidth) = (active, kernels, indices.count * width)
        var sums = AlignedFloats(count: 0)
        swap(&sums, &self.sums)
        parallelFill(&sums, rowWidth: rowWidth, bounds: partBounds, scratches: &scratches) {
            scratch, part, slice in
            for k in slice.indices { slice[k] = 0 }
            let first = part.lowerBound * partBlocks
            for block in first..<min(blockCount, first + partBlocks) {
                scratch.pieces.removeAll(keepingCapacity: true)
                for i in active {
                    let at = i * (blockCount + 1) + block
                    scratch.pieces.append(
                        PullPiece(
                            position: i, entries: offsets[at]..<offsets[at + 1], scale: scales[i]))
                }
                let pieces = scratch.pieces
                kernels.addPulls(
                    matrix, pieces.span, of: side, confidence: terms.confidence,
                    isResidual: isResidual, on: vectors, to: &slice, scratch: &scratch.work)
            }
        }
        for i in active {
            for part in 0..<sums.count / rowWidth {
                states[i].addToImage(sums, at: part * indices.count + i)
            }
        }
        self.sums = sums
    }

    /// Puts the new factors, out of the axes, in their places.
    /// - Returns: the first row with one that is not finite.
    func write(_ axes: PrincipalAxes, to rows: inout AlignedFloats) -> Int? {
        if indices.isEmpty { return nil }
        var turned = AlignedFloats(count: factors.count)
        var output = turned.mutableSpan
        kernels.multiplyRows(factors.span, width: width, by: axes.outOfAxes, &output)
        var target = rows.mutableSpan
        for (i, row) in indices.enumerated() {
            for k in 0..<width {
                guard output[i * width + k].isFinite else { return row }
                target[row * width + k] = output[i * width + k]
            }
        }
        return nil
    }
}
