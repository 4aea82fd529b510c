import ColumnStore
import Foundation

/// How far an erasure is.
package struct ErasureProgress: Codable, Sendable, Equatable {
    /// What it waits for; the last one is that it is complete.
    package enum Step: String, Codable, Sendable, CaseIterable {
        /// The segments, tables and ledgers have the customers.
        case ingest
        /// A model was fitted with them among others.
        case train
        /// The generation that is served has them, and no newer one is without.
        case score
        /// A newer one is without them, and is not served.
        case publish
        /// Files that nothing uses any more, or that something other than the erasure keeps.
        case prune
        case complete
    }

    /// The number of its record.
    package var record: Int
    package var step: Step
    /// What has the customers still, file by file.
    package var remains: [String]
    /// Who was asked for; nil once the record is gone.
    package var customerCount: Int?
    /// When it was asked for, UTC seconds since 1970; nil once the record is gone.
    package var time: Int64?
}

extension Workspace {
    /// How far an erasure is.
    /// - Parameter record: its number, as its receipt says.
    /// - Throws: `.unknownErasure` for a number that is no erasure's.
    package func erasureProgress(record: Int) throws(EngineError) -> ErasureProgress {
        let live = Self.liveFolder(folder)
        let (erasures, end) = try RecordedErasure.read(workspace: folder, from: .start)
        let first = try mapErrors(EngineError.store) { () throws(StoreError) in
            try LogFormat.firstPosition(in: live)
        }
        let found = erasures.first { $0.sequence == record }
        let isApplied = (manifest.erasures ?? []).contains { $0.records.contains(record) }
        guard found != nil || isApplied else {
            throw .unknownErasure(
                sequence: record,
                reason: record >= end.sequence
                    ? "the log has \(end.sequence) records; take the number of the receipt"
                    : "it erased nobody; take the number of the receipt")
        }
        var progress = ErasureProgress(
            record: record, step: .ingest, remains: [], customerCount: found?.customerIDs.count,
            time: found?.time)
        guard isApplied else {
            progress.remains = ["the log's record \(record) is not applied: `patron ingest`"]
            return progress
        }
        let models = trainedBefore(record)
        if !models.latest.isEmpty {
            progress.step = .train
            progress.remains = models.latest
            return progress
        }
        var kept: [String] = []
        var newest: Int?
        var currentHasThem = false
        let labels = try GenerationLabels.load(folder).generations
        for generation in manifest.generations {
            let seen = try SnapshotDescriptor(folder: "\(folder)/\(generation.folder)").history?
                .live
            if (seen ?? .start).sequence > record {
                newest = generation.number
            } else if generation.number == manifest.currentGeneration
                || manifest.currentGeneration == nil
            {
                currentHasThem = true
            } else {
                let names = labels.filter { $0.value == generation.number }.keys.sorted()
                kept.append(
                    generation.folder
                        + (names.isEmpty
                            ? generation.number > manifest.currentGeneration ?? 0
                                ? ", newer than the current one: publish one that comes after it"
                                : ""
                            : ", kept by the label \(names.joined(separator: " and ")): move it"))
            }
        }
        if currentHasThem {
            let current = manifest.currentGeneration.map { "generation \($0)" } ?? "what is scored"
            if let newest, newest > manifest.currentGeneration ?? 0 {
                progress.step = .publish
                progress.remains = ["\(current) is from before it, \(newest) is not published"]
            } else {
                progress.step = .score
                progress.remains = ["\(current) is from before it"]
            }
            return progress
        }
        progress.remains = kept + models.older
        if let first, first.sequence <= record {
            progress.remains.append("live/\(LogFormat.fileName(first.file)) and what follows it")
        }
        progress.remains += unnamedFiles(of: manifest)
        progress.step = progress.remains.isEmpty ? .complete : .prune
        return progress
    }

    /// Versions of models that were fitted before an erasure was applied: those that nothing newer
    /// replaces, and the others.
    private func trainedBefore(_ record: Int) -> (latest: [String], older: [String]) {
        guard let erasure = manifest.erasures?.first(where: { $0.records.contains(record) }) else {
            return ([], [])
        }
        let latest = Dictionary(
            manifest.models.map { ($0.name, $0.version) }, uniquingKeysWith: max)
        var result: (latest: [String], older: [String]) = ([], [])
        for model in manifest.models where model.version <= erasure.models[model.name] ?? 0 {
            if isAbandoned(model) {
                result.older.append(
                    "\(model.file), which the plan does not name any more: it goes with the last "
                        + "generation that was scored by it")
            } else if latest[model.name] == model.version {
                result.latest.append(
                    "\(model.file) is fitted to them among others: `patron train`")
            } else {
                result.older.append(model.file)
            }
        }
        return result
    }
}
