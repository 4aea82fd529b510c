import Ingest

/// How much memory an ingest may take, and what follows from it: how many purchase lines are sorted
/// at a time, and how many of the sorted runs are merged at once.
///
/// What is written is the same for any.
package struct IngestMemory: Sendable {
    /// Bytes, `least` and more.
    package let byteCount: Int
    /// Lines of a run, however much would fit; for tests.
    package var mostRunLines = Int.max
    /// Runs merged at once, 2 and more, and lines of a chunk of merged customers; for tests.
    package var mostRuns = 256
    package var mostChunkLines = SegmentedHistory.chunkLineCount

    /// Less than this holds no sensible number of lines beside the program itself.
    package static let least = 256 << 20
    /// What the program takes beside the data.
    private static let programByteCount = 64 << 20
    /// What a line takes besides its columns while it is sorted.
    private static let sortingByteCount = 32
    /// Lines that are read at a time, so many that a cache has them still when they are moved.
    private static let batchLineCount = 1 << 18
    /// What a thread holds of a block of a run that it merges: about 60 bytes a line, decoded.
    private static let mergedBlockByteCount = 2 << 20
    /// What a thread holds of a line of a chunk: as decoded, merged and encoded.
    private static let mergedLineByteCount = 200

    /// - Parameter byteCount: less than `least` is taken for it.
    package init(byteCount: Int) { self.byteCount = max(byteCount, Self.least) }

    /// A quarter of the machine's memory: as much again is the system's for the files, and the rest
    /// for others.
    package static func quarter(ofMachine byteCount: Int) -> IngestMemory {
        IngestMemory(byteCount: byteCount / 4)
    }

    /// How a file is cut for reading: what threads hold of it is an eighth at most, where that is
    /// possible.
    func readingPlan(threadCount: Int) -> ReadingPlan {
        var plan = ReadingPlan()
        // A piece's bytes and its columns.
        let pieces = byteCount / 8 / threadCount / (3 * plan.pieceByteCount)
        plan.piecesPerThread = min(plan.piecesPerThread, max(1, pieces))
        return plan
    }

    private func readingByteCount(_ threadCount: Int) -> Int {
        let plan = readingPlan(threadCount: threadCount)
        return 3 * plan.pieceByteCount * plan.piecesPerThread * threadCount
    }

    private func dataByteCount(_ threadCount: Int) -> Int {
        max(Self.least / 8, byteCount - Self.programByteCount - readingByteCount(threadCount))
    }

    /// Lines of a run, lines that are read at a time and bytes of the texts of a run.
    ///
    /// Lines with integer ids move into the run as they are read; those with ids that are texts are
    /// held as read and as sorted.
    func run(
        lineByteCount: Int, hasTextIDs: Bool, threadCount: Int
    ) -> (lineCount: Int, batchLineCount: Int, byteCount: Int) {
        let bytes = dataByteCount(threadCount)
        let textBytes = bytes * 2 / 5
        if hasTextIDs {
            let lineCount = min(
                mostRunLines, bytes / (2 * lineByteCount + Self.sortingByteCount))
            return (lineCount, lineCount, textBytes)
        }
        let lineCount = min(
            mostRunLines, bytes * 7 / 8 / (lineByteCount + Self.sortingByteCount))
        let batch = min(Self.batchLineCount, bytes / 8 / lineByteCount)
        return (lineCount, max(1, min(lineCount, batch)), textBytes)
    }

    /// How runs are merged, or segments.
    func merging(threadCount: Int) -> (threadCount: Int, runCount: Int, chunkLineCount: Int) {
        let bytes = byteCount - Self.programByteCount
        // Fewer threads rather than steps of a few lines.
        let threads = max(1, min(threadCount, bytes / (64 << 20)))
        let share = bytes / threads
        return (
            threads, max(2, min(mostRuns, share / 2 / (2 * Self.mergedBlockByteCount))),
            max(1, min(mostChunkLines, share / 2 / Self.mergedLineByteCount))
        )
    }
}
