import ByteCoding
import ColumnStore

/// What a compaction merged.
package struct CompactionSummary: Codable, Sendable, Equatable {
    /// Segment files before and after.
    package var before: Int
    package var after: Int
    /// Lines that were written again.
    package var lineCount: Int
}

/// Which segments become one.
///
/// Every ingest adds a segment, and every pass over customers reads all of them. While there are
/// `fewest` or more neighbours of which none holds more than half of their lines, those of the
/// fewest lines are merged. So a line is written again only into a segment of at least twice the
/// lines, a few times in its life, and the number of segments grows with the logarithm of the lines.
///
/// Only neighbours, so that lines of one customer and time stay in the order of their ingest.
package enum Compaction {
    package static let fewest = 8

    /// - Parameters:
    ///   - lineCounts: by segment.
    ///   - kinds: by segment; only neighbours of one kind are merged.
    /// - Returns: ranges of segments, ascending, each to become one.
    package static func ranges(lineCounts: [Int], kinds: [String]) -> [Range<Int>] {
        var groups = lineCounts.indices.map {
            (range: $0..<$0 + 1, lineCount: lineCounts[$0], kind: kinds[$0])
        }
        while let window = window(groups.map(\.lineCount), groups.map(\.kind)) {
            let (first, last) = (groups[window.lowerBound], groups[window.upperBound - 1])
            let lineCount = groups[window].reduce(0) { $0 + $1.lineCount }
            groups.replaceSubrange(
                window,
                with: [(first.range.lowerBound..<last.range.upperBound, lineCount, first.kind)])
        }
        return groups.map(\.range).filter { $0.count > 1 }
    }

    /// The neighbours of the fewest lines that may be merged, the first of several.
    private static func window(_ lineCounts: [Int], _ kinds: [String]) -> Range<Int>? {
        var best: (range: Range<Int>, lineCount: Int)?
        for start in lineCounts.indices {
            var (sum, most) = (0, 0)
            for end in start..<lineCounts.count {
                guard kinds[end] == kinds[start] else { break }
                sum += lineCounts[end]
                most = max(most, lineCounts[end])
                if let best, sum >= best.lineCount { break }
                if end + 1 - start >= fewest, most * 2 <= sum {
                    best = (start..<end + 1, sum)
                    break
                }
            }
        }
        return best?.range
    }
}

extension Workspace {
    /// Merges small segments of purchase lines, where there are many, as one commit of its own: a
    /// crash leaves the state before or after. The merged files stay until `prune`, for readers that
    /// have them open. Caches are of use as before.
    /// - Returns: nil where there is nothing to merge.
    package func compact(
        memory: IngestMemory, threadCount: Int, report: (String) -> Void = { _ in }
    ) throws(EngineError) -> CompactionSummary? {
        let segments = manifest.purchaseSegments
        guard segments.count >= Compaction.fewest else { return nil }
        let ends = manifest.purchaseEnds
        let cached = FeatureCache.ends(ofCachesIn: folder)
        var cachedCount = 0
        var kinds: [String] = []
        for (segment, end) in zip(segments, ends) {
            let path = "\(folder)/\(segment.file)"
            let reader = try mapErrors(EngineError.store) { () throws(StoreError) in
                try SegmentReader(path: path)
            }
            kinds.append("\(cachedCount) \(reader.schema.map(\.name).joined(separator: " "))")
            // What a cache knows is told apart from what is new to it by segments.
            if cached.contains(end) { cachedCount += 1 }
        }
        let ranges = Compaction.ranges(lineCounts: segments.map(\.rowCount), kinds: kinds)
        if ranges.isEmpty { return nil }
        var summary = CompactionSummary(before: segments.count, after: segments.count, lineCount: 0)
        var next = manifest
        var files = NewSegments(workspace: self)
        do throws(EngineError) {
            // From the last, so that the positions before stay what they are.
            for range in ranges.reversed() {
                let parts = segments[range]
                let lineCount = parts.reduce(0) { $0 + $1.rowCount }
                report("merging \(range.count) segments of \(lineCount) purchase lines")
                let file = files.next("purchases", &next)
                let merged = try files.merge(
                    parts.map { "\(folder)/\($0.file)" }, to: file, memory, threadCount)
                next.purchaseSegments.replaceSubrange(
                    range,
                    with: [
                        Manifest.Segment(
                            file: file, rowCount: merged.rowCount, byteCount: merged.byteCount,
                            checksum: merged.checksum,
                            firstTime: parts.compactMap(\.firstTime).min(),
                            lastTime: parts.compactMap(\.lastTime).max(),
                            end: ends[range.upperBound - 1])
                    ])
                summary.lineCount += lineCount
            }
            try commit(next, settling: files.paths)
        } catch {
            files.remove()
            throw error
        }
        summary.after = manifest.purchaseSegments.count
        return summary
    }
}

/// Segment files under their names that no manifest names yet.
struct NewSegments {
    private let folder: String
    /// Provisional files, to be settled by a commit or removed.
    private(set) var paths: [String] = []

    init(workspace: Workspace) { folder = workspace.folder }

    /// The name of the next file, relative to the workspace.
    mutating func next(_ part: String, _ manifest: inout Manifest) -> String {
        let name = "\(part)/\(sixDigits(manifest.nextFileNumber)).seg"
        manifest.nextFileNumber += 1
        paths.append("\(folder)/\(name)")
        return name
    }

    /// Takes the name given last back: nothing was written under it.
    mutating func dropLast(_ manifest: inout Manifest) {
        paths.removeLast()
        manifest.nextFileNumber -= 1
    }

    /// Removes what no manifest will name.
    func remove() {
        for path in paths { PendingFiles.remove(path) }
    }

    /// Merges segments of the same columns into one, in several passes where they are many.
    func merge(
        _ paths: [String], to file: String, _ memory: IngestMemory, _ threadCount: Int,
        progress: (Double) -> Void = { _ in }
    ) throws(EngineError) -> SegmentSummary {
        let plan = memory.merging(threadCount: threadCount)
        let target = "\(folder)/\(file)"
        var paths = paths
        // Of the temporary files among the paths.
        var runs: [SegmentWriter] = []
        defer { for run in runs { run.abandon() } }
        while paths.count > plan.runCount {
            var merged: [String] = []
            var writers: [SegmentWriter] = []
            for start in stride(from: 0, to: paths.count, by: plan.runCount) {
                let part = Array(paths[start..<min(paths.count, start + plan.runCount)])
                let writer = try PurchaseSegments.merged(
                    part, to: target, chunkLineCount: plan.chunkLineCount,
                    threadCount: plan.threadCount)
                merged.append(
                    try mapErrors(EngineError.store) { () throws(StoreError) in
                        try writer.finish(.temporary).path
                    })
                writers.append(writer)
            }
            for run in runs { run.abandon() }
            paths = merged
            runs = writers
        }
        let writer = try PurchaseSegments.merged(
            paths, to: target, chunkLineCount: plan.chunkLineCount, threadCount: plan.threadCount,
            progress: progress)
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try writer.finish(.provisional)
        }
    }
}
