package import Models
package import Numerical

/// The rows of a mapped `[rowCount × featureCount]` array of single-precision floats, brought into
/// the kernels' order chunk by chunk: a pass over a file of any size needs a chunk a thread.
package struct NumPyPoints: PointSource {
    package let rowCount: Int
    package let featureCount: Int
    package let file: NumPyFile
    private let kernels: KernelTable

    /// - Throws: `badArray` where the file holds another type or another number of axes.
    package init(_ file: NumPyFile, kernels: KernelTable) throws(LabError) {
        try file.requireElement(.float32)
        try file.requireAxes(2, "rows and features")
        rowCount = file.shape[0]
        featureCount = file.shape[1]
        self.file = file
        self.kernels = kernels
    }

    package func withRows<Result>(
        _ rows: Range<Int>, scratch: inout FeatureMatrix,
        _ body: (FeatureMatrix, Range<Int>) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= rowCount)
        if scratch.rowCount < rows.count || scratch.featureCount != featureCount {
            scratch = FeatureMatrix(rowCount: rows.count, featureCount: featureCount)
        }
        if !rows.isEmpty {
            // One chunk: the whole of the scratch memory, of which the rows need the first blocks.
            scratch.fillBlocks(chunkBlocks: scratch.blockCount, threadCount: 1) { _, values in
                transpose(rows, into: &values)
            }
        }
        return try body(scratch, 0..<rows.count)
    }

    /// All rows in memory, brought into order on `threadCount` threads.
    package func matrix(threadCount: Int) -> FeatureMatrix {
        var matrix = FeatureMatrix(rowCount: rowCount, featureCount: featureCount)
        // 64 blocks of 32 features are 512 KiB: few enough chunks to cost nothing, and the part of
        // the result that a thread touches first is its own.
        matrix.fillBlocks(chunkBlocks: 64, threadCount: threadCount) { rows, values in
            transpose(rows, into: &values)
        }
        return matrix
    }

    private func transpose(_ rows: Range<Int>, into blocks: inout MutableSpan<Float>) {
        let stride = 4 * featureCount
        file.withElementBytes { bytes in
            kernels.transpose(
                bytes.extracting(rows.lowerBound * stride..<rows.upperBound * stride),
                featureCount: featureCount, into: &blocks)
        }
    }
}
