import ByteCoding
package import ColumnStore
import Features
import Foundation
import Models

/// A folder that holds a company's history, models and snapshots.
///
/// ```
/// patron.yaml       the plan
/// ORIGIN            the folder that the plan's relative file names start from
/// LABELS            generations that servers keep beside the current one, by label
/// LOCK              held by the command that changes the workspace
/// MANIFEST          what belongs to the current state; replaced whole by an atomic rename
/// purchases/ customers/ products/   segment files, one an ingested file; small ones are merged
/// ledger/           who was when in which segment, by published days
/// models/           model files, one a version
/// snapshots/        one folder a generation: what `score` writes and `publish` makes current
/// rejects/          the lines that were left out, one file an ingest
/// cache/            what can be computed anew from the others; may be removed at any time
/// ```
///
/// Every command writes new files under new names first and then commits one manifest that names
/// them, so a crash at any instant leaves the previous or the next state.
package final class Workspace {
    package let folder: String
    package let plan: Plan
    /// The state of the last commit.
    package private(set) var manifest: Manifest
    /// Held while the value lives, where it was opened for changes.
    private let lock: FolderLock?
    /// The history of the segments that `manifest` names, once opened, and its texts, once found.
    var loadedHistory: (segments: [String], history: SegmentedHistory, texts: LineTexts?)?
    var loadedFeatures: (key: FeatureKey, names: Set<String>?, table: FeatureTable)?
    /// The unique purchase histories of the features that were kept or found last.
    var loadedCollapsed: (key: FeatureKey, history: CollapsedHistory?)?

    package enum Access: Sendable {
        /// Reads the state of now; a commit of another process does not change it.
        case reading
        /// Takes the lock: one process at a time.
        case writing
    }

    /// Makes a workspace of a new or empty folder.
    /// - Parameter planPath: is checked, then copied as `patron.yaml`.
    package static func create(folder: String, planPath: String) throws(EngineError) {
        let text = try readText(planPath)
        _ = try parsePlan(text, planPath)
        let files = FileManager.default
        var isFolder: ObjCBool = false
        if files.fileExists(atPath: folder, isDirectory: &isFolder) {
            guard isFolder.boolValue else {
                throw .workspaceExists(path: folder, reason: "is a file")
            }
            let contents = (try? files.contentsOfDirectory(atPath: folder)) ?? []
            if contents.contains("MANIFEST") {
                throw .workspaceExists(path: folder, reason: "is a workspace already")
            }
            guard contents.isEmpty else {
                throw .workspaceExists(path: folder, reason: "is not empty")
            }
        }
        try createFolder(folder)
        let lock = try mapErrors(EngineError.store) { () throws(StoreError) in
            try FolderLock(folder: folder)
        }
        defer { withExtendedLifetime(lock) {} }
        for name in ["purchases", "customers", "products", "models", "snapshots", "rejects"] {
            try createFolder("\(folder)/\(name)")
        }
        let origin = URL(fileURLWithPath: planPath).deletingLastPathComponent().path
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try AtomicFile.write(Array(text.utf8), to: "\(folder)/patron.yaml")
            try Origin(path: origin).write(into: folder)
            try Manifest().commit(to: folder)
            try syncFolder(URL(fileURLWithPath: folder).deletingLastPathComponent().path)
        }
    }

    package init(folder: String, access: Access) throws(EngineError) {
        // Before the lock, which would leave its file in a folder that is no workspace.
        _ = try Self.loadManifest(folder)
        self.folder = folder
        lock =
            access == .reading
            ? nil
            : try mapErrors(EngineError.store) { () throws(StoreError) in
                try FolderLock(folder: folder)
            }
        let planPath = "\(folder)/patron.yaml"
        plan = try Self.readPlan(planPath)
        manifest = try Self.loadManifest(folder)
    }

    /// The plan of a file, checked.
    package static func readPlan(_ path: String) throws(EngineError) -> Plan {
        try parsePlan(try readText(path), path)
    }

    private static func parsePlan(_ text: String, _ path: String) throws(EngineError) -> Plan {
        try mapErrors(EngineError.plan) { () throws(PlanError) in
            try Plan(parsing: text, path: path)
        }
    }

    /// The state that the folder's manifest describes now.
    static func loadManifest(_ folder: String) throws(EngineError) -> Manifest {
        let manifest = try mapErrors(EngineError.store) { () throws(StoreError) in
            try Manifest.load(from: folder)
        }
        guard let manifest else { throw .notAWorkspace(path: folder) }
        return manifest
    }

    /// Goes on with the state that another process has made since, where this one only looks.
    /// - Returns: whether there is one.
    func takeNewerState() -> Bool {
        guard lock == nil, let now = try? Self.loadManifest(folder), now != manifest else {
            return false
        }
        manifest = now
        return true
    }

    /// Makes `next` the current state.
    /// - Parameter settling: paths of provisional files that it names.
    func commit(_ changed: Manifest, settling: [String] = []) throws(EngineError) {
        precondition(lock != nil, "a workspace opened for reading is not changed")
        var next = changed
        next.revision = manifest.revision + 1
        try mapErrors(EngineError.store) { () throws(StoreError) in
            try next.commit(to: folder, settling: settling)
        }
        manifest = next
    }

    /// The plan's files, from the folder that its relative names start from.
    func sourcePaths(_ files: [String]) throws(EngineError) -> [String] {
        let origin = try Origin(folder: folder).path
        return files.map { Plan.path(of: $0, besidePlan: "\(origin)/patron.yaml") }
    }
}

func readText(_ path: String) throws(EngineError) -> String {
    let file = try mapErrors(EngineError.store) { () throws(StoreError) in
        try MappedFile(path: path)
    }
    let bytes: [UInt8]? = file.withBytes { $0.lanes(at: 0, count: $0.byteCount) }
    return String(decoding: bytes ?? [], as: UTF8.self)
}

func createFolder(_ path: String) throws(EngineError) {
    do {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    } catch {
        throw .store(
            .system(SystemError(code: errno, operation: "create the folder", path: path)))
    }
}
