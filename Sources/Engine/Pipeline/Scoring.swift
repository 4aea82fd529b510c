import ByteCoding
import ColumnStore
import Features
import Foundation
import Models
import Numerical
package import Units

/// What a scoring wrote.
package struct ScoreSummary: Codable, Sendable {
    package var generation: Int
    package var asOf: String
    package var customerCount: Int
    /// Customers of each status number.
    package var statusCounts: [String: Int]
    /// Names of the columns, in the order of their ids.
    package var columns: [String]
    /// Bytes of the generation's folder.
    package var byteCount: Int
    /// Models of the plan that were not trained: their columns are left out.
    package var missingModels: [String]
    /// Models that were trained before the plan's last change.
    package var modelsOfOtherPlans: [String]
    /// How customers were read whose attributes are missing, rare or new to the lifetime model; nil
    /// for none.
    package var notes: [String]?
}

extension Workspace {
    /// Scores every customer with the latest version of each model and writes a new generation,
    /// which `publish` makes current.
    /// - Parameters:
    ///   - asOf: nil as in `asOfDay`, which `today` goes to. Models trained on a later day are refused: they have seen
    ///     what the scores may not.
    ///   - csvPath: also writes the columns as CSV.
    package func score(
        asOf requested: CalendarDay? = nil, today: CalendarDay? = nil, csvPath: String? = nil,
        threadCount: Int,
        report: (String) -> Void = { _ in }
    ) throws(EngineError) -> ScoreSummary {
        let asOf = try asOfDay(requested, today: today, threadCount: threadCount)
        report("computing features as of \(asOf)")
        var next = manifest
        let segmentationIDs = try ScoreCatalog.segmentationIDs(
            plan.segmentations.map(\.name), known: manifest.segmentationColumns ?? [:])
        next.segmentationColumns = segmentationIDs.isEmpty ? nil : segmentationIDs
        var scoring = try scoring(asOf, segmentationIDs, threadCount, report)
        let customerCount = scoring.customerCount
        report("scoring \(customerCount) customers")
        try scoring.run(report)
        guard !scoring.models.isEmpty else { throw .modelMissing(name: plan.modelNames[0]) }

        let generation = (manifest.generations.map(\.number).max() ?? 0) + 1
        report("writing generation \(generation)")
        // A folder of this number that no manifest names was left by a crash.
        let folderName = SnapshotWriter.folderName(generation: generation)
        let snapshotFolder = "\(folder)/snapshots/\(folderName)"
        if FileManager.default.fileExists(atPath: snapshotFolder) {
            try removeItem(snapshotFolder)
        }
        let contents = scoring.takeContents(generation: generation, asOf: asOf)
        let scores = scoring.scoreFile(contents)
        var counts = [Int](repeating: 0, count: 256)
        for status in contents.status { counts[Int(status)] += 1 }
        var statusCounts: [String: Int] = [:]
        for (status, count) in counts.enumerated() where count > 0 {
            statusCounts[String(status)] = count
        }
        let columnNames = contents.columns.map(\.name)
        let location = try SnapshotWriter.write(
            consume contents, scores: scores, into: "\(folder)/snapshots", isProvisional: true,
            threadCount: threadCount)
        next.generations.append(
            Manifest.Generation(number: generation, folder: "snapshots/\(folderName)"))
        do throws(EngineError) {
            if let csvPath { try scores.writeCSV(to: csvPath, threadCount: threadCount) }
            try commit(next, settling: [location.folder])
        } catch {
            PendingFiles.remove(location.folder)
            throw error
        }
        keepSegments(scoring, scoring.table.customerIDs, asOf: asOf, report)
        keepAffinity(scoring, scores, generation: "snapshots/\(folderName)", asOf: asOf, report)
        return ScoreSummary(
            generation: generation, asOf: asOf.description, customerCount: customerCount,
            statusCounts: statusCounts, columns: columnNames,
            byteCount: folderByteCount(location.folder), missingModels: scoring.missing,
            modelsOfOtherPlans: scoring.otherPlans,
            notes: scoring.notes.isEmpty ? nil : scoring.notes)
    }

    /// Keeps whose products the generation has for the next scoring, which can do without.
    private func keepAffinity(
        _ scoring: Scoring, _ scores: ScoreFile, generation: String, asOf: CalendarDay,
        _ report: (String) -> Void
    ) {
        guard let key = scoring.affinityKey else { return }
        do throws(EngineError) {
            try AffinityCache.write(
                scores.contents.customerIDs, key: key, lines: lines(asOf: asOf),
                generation: generation,
                self)
        } catch {
            report("the products of customers are not kept: \(error)")
        }
    }

    /// The same for the segments.
    private func keepSegments(
        _ scoring: Scoring, _ customerIDs: IDColumn, asOf: CalendarDay, _ report: (String) -> Void
    ) {
        guard !scoring.segmentNumbers.isEmpty else { return }
        do throws(EngineError) {
            try SegmentCache.write(
                scoring.segmentNumbers, of: customerIDs,
                key: try featureCacheKey(threadCount: scoring.threadCount),
                lines: lines(asOf: asOf),
                into: folder)
        } catch {
            report("the segments are not kept: \(error)")
        }
    }

    /// A run over the day's features, which alone holds them: what it is done with goes.
    private func scoring(
        _ asOf: CalendarDay, _ segmentationIDs: [String: Int], _ threadCount: Int,
        _ report: (String) -> Void
    ) throws(EngineError) -> Scoring {
        let (features, carried, predictions) = try scoredFeatures(asOf, threadCount, report)
        return Scoring(
            workspace: self, features: features, carried: carried,
            known: try knownCustomers(
                beside: features.table, keeping: try featureNamesOfAttributes()),
            history: try surveyedHistory(threadCount: threadCount),
            segmentationIDs: segmentationIDs, predictions: predictions, threadCount: threadCount)
    }
}
