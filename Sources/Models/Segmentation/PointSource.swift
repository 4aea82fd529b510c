package import Numerical
import Synchronization

/// Rows of features that a pass reads chunk by chunk, wherever they lie: in memory, in a file, in
/// encoded column blocks. A pass holds one chunk a thread, never the whole.
package protocol PointSource: Sendable {
    var rowCount: Int { get }
    var featureCount: Int { get }

    /// Calls `body` with a matrix that holds the rows, and with where in it they are. Called by
    /// several threads at once. The rest of the rows' last block is zero.
    /// - Parameters:
    ///   - rows: in range; the first one a multiple of 64. Where in the matrix they start is a
    ///     multiple of 64 too.
    ///   - scratch: memory that the caller keeps from chunk to chunk, of at least as many rows; a
    ///     source that must decode writes there, others leave it alone.
    /// - Throws: `unreadable` where the rows cannot be read.
    func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result
}

extension FeatureMatrix: PointSource {
    package func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        try body(self, rows)
    }
}

/// Another source's rows minus one vector, chunk by chunk.
///
/// The chunks of the threads that read at the same time are kept for the next ones, so that a
/// pass allocates nothing.
final class CentredPoints: PointSource {
    private let points: any PointSource
    private let origin: [Float]
    private let spares: Mutex<[FeatureMatrix]>

    var rowCount: Int { points.rowCount }
    var featureCount: Int { points.featureCount }

    init(_ points: any PointSource, origin: [Float], threadCount: Int) {
        precondition(origin.count == points.featureCount)
        self.points = points
        self.origin = origin
        let chunkRows = chunkRowCount(
            rowCount: points.rowCount, featureCount: origin.count)
        spares = Mutex(
            (0..<threadCount).map { _ in
                FeatureMatrix(rowCount: chunkRows, featureCount: origin.count)
            })
    }

    func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        let spare = spares.withLock { $0.popLast() }
        var centred: FeatureMatrix
        if let spare, spare.rowCount >= rows.count {
            centred = consume spare
        } else {
            centred = FeatureMatrix(rowCount: rows.count, featureCount: origin.count)
        }
        defer { spares.withLock { [centred] in $0.append(centred) } }
        try points.withRows(rows, scratch: &scratch) { (matrix, place) throws(ModelError) in
            centred.setDifference(of: matrix, rows: place, origin: origin)
        }
        return try body(centred, 0..<rows.count)
    }
}

extension PointSource {
    /// Calls `body` with every chunk of some rows, in order.
    /// - Parameters:
    ///   - rows: the first one a multiple of 64.
    ///   - body: gets the matrix, where in it the chunk's rows are, and the first one's number.
    func forEachChunk(
        of rows: Range<Int>, chunkRows: Int, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>, Int) throws(ModelError) -> Void
    ) throws(ModelError) {
        var first = rows.lowerBound
        while first < rows.upperBound {
            let end = min(first + chunkRows, rows.upperBound)
            try withRows(first..<end, scratch: &scratch) { (matrix, place) throws(ModelError) in
                try body(matrix, place, first)
            }
            first = end
        }
    }
}

/// Rows that a pass holds at once, whatever the thread count: about a 64th of all, so that threads
/// find work to share, but no fewer than 1024, and no more than 16384 or two megabytes (256 where
/// rows are very wide), which stay in the caches while all the work is done on them; no more blocks
/// than hold all rows. Large chunks have whole tiles of rows that fail their bounds in one cluster. A power of two: chunks divide
/// the 16384 rows of a block on disk.
func chunkRowCount(rowCount: Int, featureCount: Int) -> Int {
    let blockRows = FeatureMatrix.blockRowCount
    let fitting = (2 << 20) / (max(1, featureCount) * blockRows * MemoryLayout<Float>.stride)
    let shared = (rowCount + 64 * blockRows - 1) / (64 * blockRows)
    let most = min(max(fitting, 4), 256)
    var blocks = 4
    while blocks * 2 <= most && (blocks < shared || blocks < 16) { blocks *= 2 }
    // One chunk holds all rows all the same, in less memory.
    while blocks > 1 && blocks / 2 * blockRows >= rowCount { blocks /= 2 }
    return blocks * blockRows
}

/// Rows cut into contiguous shards of whole chunks, as equal as those allow, whatever the thread
/// count: what is summed by shard and merged in shard order does not depend on it.
func shards(rowCount: Int, chunkRows: Int, most: Int) -> [Range<Int>] {
    let chunkCount = (rowCount + chunkRows - 1) / chunkRows
    let shardCount = min(chunkCount, most)
    return (0..<shardCount).map { shard in
        let first = shard * chunkCount / shardCount * chunkRows
        let end = (shard + 1) * chunkCount / shardCount * chunkRows
        return first..<min(end, rowCount)
    }
}
