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
    private let threadCount: Int
    private let kernels: KernelTable
    /// `[indices.count × (blockCount + 1)]`: the first entry of each row in each block.
    private var offsets: [Int] = []
    /// `[indices.count × width]`, in the axes.
    private var factors: AlignedFloats
    private var states: [DescentState]
    private var scales: [Float]
    /// `[partCount × indices.count × width]`.
    private var sums: AlignedFloats

    init(
        _ matrix: SparseMatrix, _ side: DiagonalSide, _ terms: RowTerms, _ axes: PrincipalAxes,
        rows: AlignedFloats, threadCount: Int, _ kernels: KernelTable
    ) {
        let width = side.width
        let blockRows = max(1, Self.blockBytes / (4 * width))
        let blocks = (matrix.columnCount + blockRows - 1) / blockRows
        // Eight entries a block on average: fewer cost more than the misses they save, and so the
        // offsets take a byte an entry at most.
        let leastCount = max(1, Self.leastBytes / (4 * width), 8 * blocks)
        self.leastCount = leastCount
        self.width = width
        self.threadCount = threadCount
        self.kernels = kernels
        indices = (0..<matrix.rowCount).filter { matrix.entries(of: $0).count >= leastCount }
        blockCount = (matrix.columnCount + blockRows - 1) / blockRows
        partBlocks = max(1, (blockCount + Self.maximumParts - 1) / Self.maximumParts)
        let partCount = (blockCount + partBlocks - 1) / partBlocks
        factors = AlignedFloats(count: 0)
        sums = AlignedFloats(count: partCount * indices.count * width)
        scales = []
        states = []
        if indices.isEmpty { return }

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
            var state = DescentState(width: width)
            kernels.prepareDescent(
                side,
                regularization: terms.regularization(
                    entryCount: entries.count, otherCount: matrix.columnCount),
                scale: scale, x: turned.span.extracting(i * width..<(i + 1) * width), &state)
            scales.append(scale)
            states.append(state)
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
        addPulls(matrix, side, terms, Array(indices.indices), on: factors, isResidual: true)
        for i in indices.indices { kernels.startDescent(&states[i]) }
        var directions = AlignedFloats(count: factors.count)
        for _ in 0..<steps {
            let active = indices.indices.filter { states[$0].remainder > tolerance }
            if active.isEmpty { return }
            for i in active { states[i].copyDirection(to: &directions, at: i) }
            addPulls(matrix, side, terms, active, on: directions, isResidual: false)
            for i in active { kernels.stepDescent(&states[i], factors: &factors, at: i) }
        }
    }

    /// Completes the images of the active rows: one pass over the fixed side.
    private mutating func addPulls(
        _ matrix: SparseMatrix, _ side: DiagonalSide, _ terms: RowTerms, _ active: [Int],
        on vectors: AlignedFloats, isResidual: Bool
    ) {
        let (partBlocks, blockCount, offsets, scales) = (partBlocks, blockCount, offsets, scales)
        let (kernels, rowWidth) = (kernels, indices.count * width)
        var sums = AlignedFloats(count: 0)
        swap(&sums, &self.sums)
        parallelFill(&sums, rowWidth: rowWidth, chunkRows: 1, threadCount: threadCount) {
            part, slice in
            var scratch = AlignedFloats(count: 320)
            for k in slice.indices { slice[k] = 0 }
            let first = part.lowerBound * partBlocks
            for block in first..<min(blockCount, first + partBlocks) {
                let pieces = active.map { i in
                    let at = i * (blockCount + 1) + block
                    return PullPiece(
                        position: i, entries: offsets[at]..<offsets[at + 1], scale: scales[i])
                }
                kernels.addPulls(
                    matrix, pieces.span, of: side, confidence: terms.confidence,
                    isResidual: isResidual, on: vectors, to: &slice, scratch: &scratch)
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
    /// - Returns: false where one is not finite.
    func write(_ axes: PrincipalAxes, to rows: inout AlignedFloats) -> Bool {
        if indices.isEmpty { return true }
        var turned = AlignedFloats(count: factors.count)
        var output = turned.mutableSpan
        kernels.multiplyRows(factors.span, width: width, by: axes.outOfAxes, &output)
        var target = rows.mutableSpan
        for (i, row) in indices.enumerated() {
            for k in 0..<width {
                guard output[i * width + k].isFinite else { return false }
                target[row * width + k] = output[i * width + k]
            }
        }
        return true
    }
}
