import Numerical

extension KMeans {
    /// Where the first centroids come from.
    package enum Seeding: String, Sendable, Equatable, Codable, CaseIterable {
        /// Greedy k-means++: each further centroid is the best of several drawn rows.
        case greedy
        /// k-means||: many rows a pass.
        case parallel
        /// By the number of rows.
        case auto
    }
}

/// The first centroids of a k-means fit.
enum KMeansSeeding {
    /// What a chunk of rows keeps: distances to the nearest centroid so far, and their sums.
    fileprivate struct Chunk: Sendable {
        let rows: Range<Int>
        var closest: [Float]
        var potentials: [Double] = []
        var failure: ModelError?
    }

    /// Greedy k-means++: each further centroid is the best of 2 + ln(k) rows that are drawn with a
    /// probability proportional to the squared distance to the centroids so far.
    /// - Returns: `[clusterCount × featureCount]`, row-major.
    static func centroids(
        of points: any PointSource, clusterCount k: Int, method: KMeans.Seeding,
        random: inout SeededRandom, threadCount: Int, kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let d = points.featureCount
        let candidateCount = 2 + Int(log2Floor(k) * 7 / 10)
        let chunkRows = chunkRowCount(featureCount: d)
        var chunks = shards(rowCount: points.rowCount, chunkRows: chunkRows, most: .max).map {
            Chunk(rows: $0, closest: [Float](repeating: .infinity, count: $0.count))
        }
        var scratches = (0..<threadCount).map { _ in
            FeatureMatrix(rowCount: chunkRows, featureCount: d)
        }
        func pass(_ vectors: VectorGroups, takesClosest: Bool) throws(ModelError) {
            parallelFor(&chunks, scratches: &scratches) { chunk, scratch in
                do throws(ModelError) {
                    try points.withRows(chunk.rows, scratch: &scratch) { matrix, place in
                        chunk.add(matrix, place, vectors, takesClosest, kernels)
                    }
                } catch {
                    chunk.failure = error
                }
            }
            for chunk in chunks { if let failure = chunk.failure { throw failure } }
        }
        var scratch = FeatureMatrix(rowCount: 64, featureCount: d)
        func row(_ index: Int) throws(ModelError) -> [Float] {
            let first = index / 64 * 64
            return try points.withRows(
                first..<min(points.rowCount, first + 64), scratch: &scratch
            ) { matrix, place in matrix.row(place.lowerBound + index % 64) }
        }
        var centroids = try row(random.below(points.rowCount))
        try pass(
            VectorGroups(rowMajor: centroids.span, count: 1, featureCount: d), takesClosest: true)
        for chosen in 1..<max(1, k) {
            let potential = chunks.reduce(0) { $0 + $1.potentials[0] }
            guard potential > 0 else {
                throw .tooFewDistinctRows(model: "k-means", actual: chosen, needed: k)
            }
            var candidates: [Float] = []
            for _ in 0..<candidateCount {
                candidates += try row(draw(chunks, random.uniform() * potential))
            }
            let groups = VectorGroups(
                rowMajor: candidates.span, count: candidateCount, featureCount: d)
            try pass(groups, takesClosest: false)
            var best = 0
            var bestPotential = Double.infinity
            for candidate in 0..<candidateCount {
                let sum = chunks.reduce(0) { $0 + $1.potentials[candidate] }
                if sum < bestPotential { (best, bestPotential) = (candidate, sum) }
            }
            let row = Array(candidates[best * d..<(best + 1) * d])
            try pass(
                VectorGroups(rowMajor: row.span, count: 1, featureCount: d), takesClosest: true)
            centroids += row
        }
        return centroids
    }

    /// The row at which the running sum of the closest squared distances passes `target`.
    private static func draw(_ chunks: [Chunk], _ target: Double) -> Int {
        var rest = target
        var last = 0
        // Rounding must not carry the search past the last row that can be drawn.
        let lastChunk = chunks.lastIndex { $0.potentials[0] > 0 }
        for (index, chunk) in chunks.enumerated() {
            if rest >= chunk.potentials[0] && index != lastChunk {
                rest -= chunk.potentials[0]
                continue
            }
            for i in chunk.closest.indices where chunk.closest[i] > 0 {
                last = chunk.rows.lowerBound + i
                rest -= Double(chunk.closest[i])
                if rest < 0 { return last }
            }
        }
        return last
    }

    /// Floor of the binary logarithm of a positive number.
    private static func log2Floor(_ value: Int) -> Int {
        Int.bitWidth - 1 - value.leadingZeroBitCount
    }
}

extension KMeansSeeding.Chunk {
    /// The sums of the closest distances if each vector became a centroid; of one vector that does,
    /// the closest distances too.
    fileprivate mutating func add(
        _ points: FeatureMatrix, _ place: Range<Int>, _ vectors: VectorGroups,
        _ takesClosest: Bool, _ kernels: KernelTable
    ) {
        let size = FeatureMatrix.blockRowCount
        var distances = [Float](repeating: 0, count: vectors.groupCount * 4 * size)
        var sums = [Double](repeating: 0, count: vectors.count)
        for first in stride(from: 0, to: rows.count, by: size) {
            kernels.squaredDistances(
                points, block: (place.lowerBound + first) / size, to: vectors,
                distances: &distances)
            let count = min(rows.count - first, size)
            for candidate in 0..<vectors.count {
                var sum = 0.0
                for i in 0..<count {
                    let nearest = min(closest[first + i], distances[candidate * size + i])
                    sum += Double(nearest)
                    if takesClosest { closest[first + i] = nearest }
                }
                sums[candidate] += sum
            }
        }
        potentials = sums
    }
}
