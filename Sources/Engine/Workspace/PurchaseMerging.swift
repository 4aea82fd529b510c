import ByteCoding
import ColumnStore
import Features
import Numerical

extension PurchaseSegments {
    /// Merges segments of the same columns into one by (customer, time, segment, line): what one
    /// ingest of all their lines, in the order of the segments, would have written.
    ///
    /// Chunks of whole customers, one a thread, are read from all segments and written in order, so
    /// memory holds but a few blocks of each.
    /// - Parameters:
    ///   - paths: two and more.
    ///   - path: of the new segment.
    /// - Returns: the writer, whose file is not finished.
    static func merged(
        _ paths: [String], to path: String, chunkLineCount: Int, threadCount: Int,
        progress: (_ share: Double) -> Void = { _ in }
    ) throws(EngineError) -> SegmentWriter {
        try written(
            paths, leavingOut: nil, to: path, chunkLineCount: chunkLineCount,
            threadCount: threadCount, progress: progress
        ).writer
    }

    /// The same of one segment and more, without the lines of customers who are erased.
    /// - Returns: also the first and the last time of the lines that are written, with an erasure and
    ///   lines alone.
    static func written(
        _ paths: [String], leavingOut erased: ErasedLines?, to path: String, chunkLineCount: Int,
        threadCount: Int, progress: (_ share: Double) -> Void = { _ in }
    ) throws(EngineError) -> (writer: SegmentWriter, times: ClosedRange<Int64>?) {
        let history = try SegmentedHistory(
            paths: paths, grossMarginRate: 0, chunkLineCount: chunkLineCount,
            threadCount: threadCount)
        guard history.segments.allSatisfy({ $0.columns == history.columns }) else {
            throw .features(
                .inconsistentHistory("segments of different columns are not merged"))
        }
        let isOfTexts = if case .texts = history.splits { true } else { false }
        let writer = try writer(
            to: path, columns: history.columns, isOfTexts: isOfTexts, threadCount: threadCount)
        var times: ClosedRange<Int64>?
        var erasedCount = 0
        for start in stride(from: 0, to: history.chunkCount, by: threadCount) {
            let count = min(threadCount, history.chunkCount - start)
            let parts = parallelMap(count: count, chunkSize: 1, threadCount: threadCount) {
                index, _ -> Result<MergedChunk, EngineError> in
                do throws(EngineError) {
                    return .success(try history.merged(chunk: start + index, erased))
                } catch {
                    return .failure(error)
                }
            }
            for part in parts {
                let chunk = try part.get()
                erasedCount += chunk.erasedCount
                if let range = chunk.times {
                    let first = min(times?.lowerBound ?? .max, range.lowerBound)
                    times = first...max(times?.upperBound ?? .min, range.upperBound)
                }
                if chunk.erasedCount > 0, chunk.times == nil { continue }
                try mapErrors(EngineError.store) { () throws(StoreError) in
                    try writer.append(chunk.columns)
                }
            }
            progress(Double(start + count) / Double(history.chunkCount))
        }
        guard writer.rowCount + erasedCount == history.lineCount else {
            writer.abandon()
            throw .features(
                .inconsistentHistory(
                    "of \(history.lineCount) lines of \(paths.joined(separator: ", ")), "
                        + "\(writer.rowCount) were merged; `patron verify` says what is damaged"))
        }
        return (writer, times)
    }
}

/// Lines that a segment is written of.
private struct MergedChunk: Sendable {
    var columns: [Column]
    /// With an erasure: those of the lines left; nil where none is.
    var times: ClosedRange<Int64>?
    var erasedCount = 0
}

extension SegmentedHistory {
    /// All columns of the lines of a chunk's customers, as they are written.
    fileprivate func merged(
        chunk index: Int, _ erased: ErasedLines?
    ) throws(EngineError) -> MergedChunk {
        var parts: [SegmentLines] = []
        for segment in segments {
            let lines = try segment.lines(
                from: index > 0 ? index - 1 : nil, upTo: index < splits.count ? index : nil,
                of: splits, columns)
            if let lines { parts.append(lines) }
        }
        let merged = MergedLines(parts)
        var result = [
            Column(
                name: "customer",
                data: PurchaseSegments.customerColumn(
                    merged.customerIDs, merged.lineOffsets, threadCount: 1)),
            Column(name: "time", data: .int64(merged.joined { $0.times })),
            Column(name: "amount", data: .int64(merged.joined { $0.amounts })),
        ]
        if columns.contains(.margins) {
            result.append(Column(name: "margin", data: .int64(merged.joined { $0.margins ?? [] })))
        }
        if columns.contains(.quantities) {
            result.append(
                Column(name: "quantity", data: .float32(merged.joined { $0.quantities ?? [] })))
        }
        for (column, name) in PurchaseSegments.textNames where columns.contains(column) {
            result.append(Column(name: name, data: .coded(merged.text(column))))
        }
        guard let erased else { return MergedChunk(columns: result) }
        let times = merged.joined { $0.times }
        let kept = erased.keptLines(merged.customerIDs, merged.lineOffsets, times)
        let least = kept.lazy.map { times[$0] }.min()
        let most = kept.lazy.map { times[$0] }.max()
        return MergedChunk(
            columns: kept.count == times.count ? result : result.map { $0.gather(kept) },
            times: least.flatMap { first in most.map { first...$0 } },
            erasedCount: times.count - kept.count)
    }
}
