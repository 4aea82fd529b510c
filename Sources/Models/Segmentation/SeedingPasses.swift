import Numerical
import Synchronization

/// What a seeding keeps of the rows between its passes: the closest squared distances, by chunk, and
/// sums of them, by stripe of 512 rows.
///
/// A draw finds its stripe among the sums, then its row among those of the stripe alone.
struct SeedingPasses {
    static let stripeRows = KernelTable.stripeRowCount
    /// Most bytes of a chunk, the work of a thread at a time: it stays in a second-level cache
    /// while it is decoded and used.
    private static let chunkByteCount = 512 << 10

    /// What a chunk owns. Values are `[ceil(rows / 64) × 64]`.
    struct Chunk: Sendable {
        let rows: Range<Int>
        /// 0 for the rows that fill the last block up.
        var closest: AlignedFloats
        /// Empty: every row counts once.
        var weights: [Float]
        /// The nearest candidate, where that is kept.
        var labels: [Int32] = []
        /// `[stripes × width]`.
        var potentials: [Double] = []
        var failure: ModelError?

        var stripeCount: Int { (rows.count + stripeRows - 1) / stripeRows }
    }

    /// A stripe and how far into the sum of its weighted distances a draw falls.
    struct Place {
        let stripe: Int
        let rest: Double
    }

    private let points: any PointSource
    private let threadCount: Int
    private let kernels: KernelTable
    private let scratches: ScratchMatrices
    private(set) var chunks: [Chunk]
    /// Stripes of a chunk, whatever the number of threads.
    private let chunkStripes: Int
    /// Sums kept of a stripe.
    private var width = 1

    init(
        _ points: any PointSource, weights: [Float] = [], threadCount: Int, kernels: KernelTable
    ) {
        precondition(weights.isEmpty || weights.count == points.rowCount)
        self.points = points
        self.threadCount = threadCount
        self.kernels = kernels
        let stripeBytes = Self.stripeRows * points.featureCount * MemoryLayout<Float>.stride
        chunkStripes = min(max(1, Self.chunkByteCount / stripeBytes), 16)
        let chunkRows = chunkStripes * Self.stripeRows
        scratches = ScratchMatrices(
            rowCount: min(chunkRows, points.rowCount), featureCount: points.featureCount)
        chunks = stride(from: 0, to: points.rowCount, by: chunkRows).map { first in
            let rows = first..<min(points.rowCount, first + chunkRows)
            let size = FeatureMatrix.blockRowCount
            let count = (rows.count + size - 1) / size * size
            var closest = AlignedFloats(count: count)
            var values = closest.mutableSpan
            for i in 0..<rows.count { values[i] = .infinity }
            var padded: [Float] = []
            if !weights.isEmpty {
                padded = weights[rows] + [Float](repeating: 0, count: count - rows.count)
            }
            return Chunk(rows: rows, closest: closest, weights: padded)
        }
    }

    // MARK: - Passes

    /// Lowers the closest distances to those to one vector, and sums what they would become with
    /// each candidate.
    /// - Returns: `[candidates.groupCount × 4]`: a candidate's sum over all rows.
    mutating func lower(
        to vector: [Float], candidates: VectorGroups
    ) throws(ModelError) -> [Double] {
        width = candidates.groupCount * VectorGroups.width
        let (width, kernels) = (width, kernels)
        try forEachChunk { chunk, matrix, rows in
            chunk.withBuffers(width: width) { weights, closest, _, potentials in
                kernels.seed(
                    matrix, rows: rows, chosen: vector.span, candidates: candidates,
                    weights: weights, closest: &closest, potentials: &potentials)
            }
        }
        var sums = [Double](repeating: 0, count: width)
        for chunk in chunks {
            for stripe in 0..<chunk.stripeCount {
                for i in 0..<width { sums[i] += chunk.potentials[stripe * width + i] }
            }
        }
        return sums
    }

    /// Lowers the closest distances to those to the nearest of some vectors, and keeps which it is.
    /// - Parameters:
    ///   - vectors: `[count × featureCount]`, at least one.
    ///   - firstIndex: the index of the first one.
    mutating func lower(toNearestOf vectors: [Float], firstIndex: Int) throws(ModelError) {
        let d = points.featureCount
        let last = vectors.suffix(d)
        var padded = vectors
        while padded.count % (VectorGroups.width * d) != 0 { padded += last }
        let groups = VectorGroups(
            rowMajor: padded.span, count: padded.count / d, featureCount: d)
        width = 1
        let kernels = kernels
        try forEachChunk { chunk, matrix, rows in
            if chunk.labels.isEmpty {
                chunk.labels = [Int32](repeating: 0, count: chunk.closest.count)
            }
            chunk.withBuffers(width: 1) { _, closest, labels, potentials in
                kernels.lowerToNearest(
                    matrix, rows: rows, vectors: groups, firstIndex: firstIndex,
                    closest: &closest, labels: &labels, potentials: &potentials)
            }
        }
    }

    private mutating func forEachChunk(
        _ body: @Sendable (inout Chunk, FeatureMatrix, Range<Int>) -> Void
    ) throws(ModelError) {
        let (points, scratches) = (points, scratches)
        parallelFill(&chunks, chunkRows: 1, threadCount: threadCount) { _, slice in
            // Moved out and back in, so that its buffers are written without being copied.
            var chunk = slice[0]
            slice[0] = Chunk(rows: chunk.rows, closest: Self.nothing, weights: [])
            do throws(ModelError) {
                try scratches.withRows(chunk.rows, of: points) { matrix, rows in
                    body(&chunk, matrix, rows)
                }
            } catch {
                chunk.failure = error
            }
            slice[0] = chunk
        }
        for chunk in chunks {
            if let failure = chunk.failure { throw failure }
        }
    }

    fileprivate static let nothing = AlignedFloats(count: 0)

    // MARK: - Draws

    /// The stripes' sums with one candidate of the last pass added.
    func stripeSums(ofCandidate candidate: Int = 0) -> StripeSums {
        var running = 0.0
        var sums: [Double] = []
        for chunk in chunks {
            for stripe in 0..<chunk.stripeCount {
                running += chunk.potentials[stripe * width + candidate]
                sums.append(running)
            }
        }
        return StripeSums(running: sums)
    }

    /// The row at a place.
    /// - Parameter vector: the centroid that the place's stripe sums hold already and the closest
    ///   distances do not yet; nil where they do.
    func row(at place: Place, loweredTo vector: [Float]? = nil) throws(ModelError) -> Int {
        let chunk = chunks[place.stripe / chunkStripes]
        let first = place.stripe % chunkStripes * Self.stripeRows
        let count = min(chunk.closest.count - first, Self.stripeRows)
        var closest: [Float] = []
        closest.reserveCapacity(count)
        for i in first..<first + count { closest.append(chunk.closest[i]) }
        let start = chunk.rows.lowerBound + first
        if let vector {
            let rows = start..<min(chunk.rows.upperBound, start + Self.stripeRows)
            let none = VectorGroups(
                rowMajor: Span(), count: 0, featureCount: points.featureCount)
            try scratches.withRows(rows, of: points) { matrix, rows in
                var values = closest.mutableSpan
                var sums = MutableSpan<Double>()
                kernels.seed(
                    matrix, rows: rows, chosen: vector.span, candidates: none, weights: Span(),
                    closest: &values, potentials: &sums)
            }
        }
        var rest = place.rest
        var last = 0
        for i in 0..<count {
            let weight = chunk.weights.isEmpty ? 1 : chunk.weights[first + i]
            let potential = Double(closest[i]) * Double(weight)
            if potential <= 0 { continue }
            last = i
            rest -= potential
            if rest < 0 { break }
        }
        return start + last
    }

    func rowValues(
        at place: Place, loweredTo vector: [Float]? = nil
    ) throws(ModelError) -> [Float] {
        try row(try row(at: place, loweredTo: vector))
    }

    /// The features of one row.
    func row(_ row: Int) throws(ModelError) -> [Float] {
        let size = FeatureMatrix.blockRowCount
        let first = row / size * size
        let rows = first..<min(points.rowCount, first + size)
        return try scratches.withRows(rows, of: points) { matrix, rows in
            matrix.row(rows.lowerBound + row - first)
        }
    }
}

extension SeedingPasses.Chunk {
    /// Calls `body` with the weights, the closest distances, the labels and `width` potentials a
    /// stripe.
    fileprivate mutating func withBuffers(
        width: Int,
        _ body: (
            Span<Float>, inout MutableSpan<Float>, inout MutableSpan<Int32>,
            inout MutableSpan<Double>
        ) -> Void
    ) {
        // Moved out and back in: several spans of one value at a time would overlap.
        var (values, indices, sums) = (closest, labels, potentials)
        (closest, labels, potentials) = (SeedingPasses.nothing, [], [])
        if sums.count != stripeCount * width {
            sums = [Double](repeating: 0, count: stripeCount * width)
        }
        var valueSpan = values.mutableSpan
        var indexSpan = indices.mutableSpan
        var sumSpan = sums.mutableSpan
        body(weights.span, &valueSpan, &indexSpan, &sumSpan)
        (closest, labels, potentials) = (values, indices, sums)
    }
}

/// Running sums over the stripes, in their order.
struct StripeSums {
    let running: [Double]

    var total: Double { running.last ?? 0 }

    /// - Parameter target: 0 ..< total.
    func place(of target: Double) -> SeedingPasses.Place {
        var (low, high) = (0, running.count)
        while low < high {
            let middle = (low + high) / 2
            if running[middle] > target { high = middle } else { low = middle + 1 }
        }
        // Rounding must not carry the search past the last stripe that adds anything.
        if low == running.count, let last = running.firstIndex(of: total) { low = last }
        let before = low > 0 ? running[low - 1] : 0
        return SeedingPasses.Place(stripe: low, rest: target - before)
    }
}

/// Memory that a source decodes rows into: a matrix for each thread that reads at a time, kept from
/// chunk to chunk and from pass to pass.
final class ScratchMatrices: Sendable {
    private let rowCount: Int
    private let featureCount: Int
    private let free = Mutex<[FeatureMatrix]>([])

    /// - Parameter rowCount: most rows read at a time.
    init(rowCount: Int, featureCount: Int) {
        self.rowCount = rowCount
        self.featureCount = featureCount
    }

    func withRows<Result>(
        _ rows: Range<Int>, of points: any PointSource,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        var scratch =
            free.withLock { $0.popLast() }
            ?? FeatureMatrix(rowCount: rowCount, featureCount: featureCount)
        defer { free.withLock { [scratch] in $0.append(scratch) } }
        return try points.withRows(rows, scratch: &scratch, body)
    }
}
