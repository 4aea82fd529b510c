package import Numerical

/// Rows of features that a pass reads chunk by chunk, wherever they lie: in memory, in a file, in
/// encoded column blocks. A pass holds one chunk a thread, never the whole.
package protocol PointSource: Sendable {
    var rowCount: Int { get }
    var featureCount: Int { get }

    /// Calls `body` with a matrix that holds the rows, and with where in it they are.
    /// - Parameters:
    ///   - rows: in range; the first one a multiple of 64. Where in the matrix they start is a
    ///     multiple of 64 too.
    ///   - scratch: memory that the caller keeps from chunk to chunk; a source that must decode
    ///     writes there, others leave it alone.
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
