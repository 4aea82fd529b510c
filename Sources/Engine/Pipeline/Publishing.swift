import ColumnStore
import Foundation

extension Workspace {
    /// Makes a scored generation the one that is served.
    /// - Parameter generation: nil for the newest.
    /// - Returns: its number. The snapshot is opened, and so verified, first.
    @discardableResult
    package func publish(generation: Int? = nil) throws(EngineError) -> Int {
        try publishing(generation: generation, threadCount: 1).generation
    }

    /// What `publish` did.
    package struct PublishSummary: Codable, Sendable {
        package var generation: Int
        /// What of it is in the ledgers now, by segmentation.
        package var ledgers: [LedgerChange]
    }

    /// The same, in one commit with what customers' moves between segments were.
    /// - Parameters:
    ///   - keepsLedgers: false leaves the ledgers as they are.
    ///   - verified: the generation's snapshot, where it is open already.
    package func publishing(
        generation: Int? = nil, verified: ServingSnapshot? = nil, keepsLedgers: Bool = true,
        threadCount: Int
    ) throws(EngineError) -> PublishSummary {
        guard let newest = manifest.generations.last else {
            throw .noSnapshot(
                workspace: folder, what: "nothing is scored yet: run `patron score` first")
        }
        let number = generation ?? newest.number
        guard let chosen = manifest.generations.first(where: { $0.number == number }) else {
            let known = manifest.generations.map { String($0.number) }.joined(separator: ", ")
            throw .noSnapshot(
                workspace: folder, what: "there is no generation \(number); there are \(known)")
        }
        let path = "\(folder)/\(chosen.folder)"
        let snapshot =
            if let verified, verified.generation == number {
                verified
            } else {
                try ServingSnapshot(SnapshotLocation(generation: number, folder: path))
            }
        var ledgers = SegmentLedgers(self, threadCount: threadCount)
        do throws(EngineError) {
            if keepsLedgers { try ledgers.enter(snapshot, folder: path) }
            var next = ledgers.manifest
            next.currentGeneration = number
            try commit(next, settling: ledgers.files.paths)
        } catch {
            ledgers.files.remove()
            throw error
        }
        return PublishSummary(generation: number, ledgers: ledgers.changes)
    }

    /// Where the generation lies that is served now; nil before the first publish. Reads the
    /// manifest anew, so that a running server sees a publish.
    package static func currentSnapshot(
        _ folder: String
    ) throws(EngineError) -> SnapshotLocation? {
        let manifest = try loadManifest(folder)
        guard let number = manifest.currentGeneration,
            let generation = manifest.generations.first(where: { $0.number == number })
        else { return nil }
        return SnapshotLocation(generation: number, folder: "\(folder)/\(generation.folder)")
    }

    /// What `prune` removed.
    package struct PruneSummary: Codable, Sendable {
        package var removed: [String]
        package var byteCount: Int
    }

    /// Removes what nothing refers to any more: generations older than the current one and without a
    /// label, model
    /// versions that are neither the latest nor behind a kept generation (nor the latest, where the plan
    /// does not name the model any more and somebody was erased since it was fitted), log files of live purchases
    /// that the segments and every kept generation have, and files that no manifest names (left by an
    /// interrupted command).
    package func prune() throws(EngineError) -> PruneSummary {
        var next = manifest
        let oldest = manifest.currentGeneration ?? 0
        let labels = try GenerationLabels.load(folder)
        let labelled = Set(labels.generations.values)
        next.generations.removeAll { $0.number < oldest && !labelled.contains($0.number) }
        var kept: Set<String> = []
        var live = livePosition
        for generation in next.generations {
            let snapshot = try ServingSnapshot(
                SnapshotLocation(
                    generation: generation.number, folder: "\(folder)/\(generation.folder)"))
            for model in snapshot.models { kept.insert("\(model.name) \(model.version)") }
            let seen = snapshot.descriptor.history?.live ?? .start
            if seen.sequence < live.sequence { live = seen }
        }
        let latest = Dictionary(
            next.models.map { ($0.name, $0.version) }, uniquingKeysWith: max)
        next.models.removeAll {
            (latest[$0.name] != $0.version || isAbandoned($0))
                && !kept.contains("\($0.name) \($0.version)")
        }
        // The manifest first: a file that goes before its name is gone would be damage.
        // While no label can be given to a generation that goes.
        let isDone = try GenerationLabels.change(folder) { [next] (now) throws(EngineError) in
            guard now == labels else { return false }
            if next != manifest { try commit(next) }
            return true
        }
        // Labels have changed meanwhile: all over again.
        guard isDone else { return try prune() }
        var summary = PruneSummary(removed: [], byteCount: 0)
        // From the first, so that those left are always one piece; a server may have the last one
        // open.
        let logs = LogFormat.fileNumbers(in: Self.liveFolder(folder))
        for path in logs.dropLast().filter({ $0 < live.file }).map({
            "live/\(LogFormat.fileName($0))"
        }) + unnamedFiles(of: manifest) {
            summary.byteCount += folderByteCount("\(folder)/\(path)", countsShared: false)
            try removeItem("\(folder)/\(path)")
            summary.removed.append(path)
        }
        return summary
    }

    /// Whether a model has customers who were erased since, and no training will replace it.
    func isAbandoned(_ model: Manifest.Model) -> Bool {
        !plan.modelNames.contains(model.name)
            && (manifest.erasures ?? []).contains { model.version <= $0.models[model.name] ?? 0 }
    }

    /// What lies in the workspace and no manifest names, by relative path: what an interrupted
    /// command left, and what is out of date.
    func unnamedFiles(of manifest: Manifest) -> [String] {
        let named = Set(manifest.fileNames)
        var result: [String] = []
        for part in ["purchases", "customers", "products", "models", "snapshots", "ledger"] {
            result += names(in: part).filter { !named.contains($0) }
        }
        // The manifest, the lists of rejects and the cache are nobody's part; what a killed command
        // had not finished of them is.
        for part in [".", "rejects", "cache"] {
            result += names(in: part).filter { path in
                let name = path.split(separator: "/").last ?? ""
                return name.hasPrefix(".") && name.hasSuffix(".tmp")
            }
        }
        return result
    }

    /// The items of a folder of the workspace, by relative path.
    func names(in part: String) -> [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(part)")
        return (names ?? []).sorted().map { part == "." ? $0 : "\(part)/\($0)" }
    }

    /// Removes a file or a folder with all in it.
    func removeItem(_ path: String) throws(EngineError) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw .store(.system(SystemError(code: errno, operation: "remove", path: path)))
        }
    }
}

/// Bytes of a file, or of all files below a folder.
/// - Parameter countsShared: also those of files that have further names.
func folderByteCount(_ path: String, countsShared: Bool = true) -> Int {
    let files = FileManager.default
    func size(_ path: String) -> Int {
        guard let attributes = try? files.attributesOfItem(atPath: path) else { return 0 }
        let names = attributes[.referenceCount] as? Int ?? 1
        return names > 1 && !countsShared ? 0 : attributes[.size] as? Int ?? 0
    }
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
        return size(path)
    }
    let names = (try? files.subpathsOfDirectory(atPath: path)) ?? []
    return names.reduce(0) { sum, name in
        var isFolder: ObjCBool = false
        let full = "\(path)/\(name)"
        let exists = files.fileExists(atPath: full, isDirectory: &isFolder)
        return sum + (exists && !isFolder.boolValue ? size(full) : 0)
    }
}
