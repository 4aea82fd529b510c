import Numerical
import Synchronization

/// Copies blocks of a source into a matrix.
struct BlockReader {
    let points: any PointSource
    let threadCount: Int
    private let scratches: ScratchMatrices

    init(points: any PointSource, threadCount: Int) {
        self.points = points
        self.threadCount = threadCount
        scratches = ScratchMatrices(
            rowCount: FeatureMatrix.blockRowCount, featureCount: points.featureCount)
    }

    /// - Parameter blocks: whole blocks of the source.
    func read(_ blocks: [Int]) throws(ModelError) -> FeatureMatrix {
        let size = FeatureMatrix.blockRowCount
        var matrix = FeatureMatrix(
            rowCount: blocks.count * size, featureCount: points.featureCount)
        let valueCount = size * points.featureCount
        let (points, scratches) = (points, scratches)
        let failure = Mutex<ModelError?>(nil)
        matrix.fillBlocks(chunkBlocks: 16, threadCount: threadCount) { rows, values in
            for (i, block) in blocks[rows.lowerBound / size..<rows.upperBound / size].enumerated() {
                do throws(ModelError) {
                    try scratches.withRows(block * size..<(block + 1) * size, of: points) {
                        source, sourceRows in
                        let all = source.storage.span
                        let first = sourceRows.lowerBound * points.featureCount
                        for j in 0..<valueCount { values[i * valueCount + j] = all[first + j] }
                    }
                } catch {
                    failure.withLock { $0 = $0 ?? error }
                }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        return matrix
    }

    /// Blocks chosen without repetition, ascending.
    /// Source: D. Knuth, "The Art of Computer Programming", volume 2, 3.4.2, algorithm S.
    static func distinctBlocks(
        _ count: Int, of blockCount: Int, _ random: inout SeededRandom
    ) -> [Int] {
        var blocks: [Int] = []
        for block in 0..<blockCount where blocks.count < count {
            let left = Double(blockCount - block)
            if random.uniform() * left < Double(count - blocks.count) { blocks.append(block) }
        }
        return blocks
    }
}
