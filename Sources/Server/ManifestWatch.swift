import ColumnStore
package import Engine
import Synchronization

/// Where a workspace's current generation lies, by its manifest, which is read again only when it has
/// changed: the question comes several times a second for as long as a server runs.
package final class ManifestWatch: Sendable {
    private struct State {
        var watch: FileWatch
        /// What the manifest said; nil before it was read, or where it could not be.
        var known: SnapshotLocation??
        var readCount = 0
    }

    private let folder: String
    private let state: Mutex<State>

    package init(_ folder: String) {
        self.folder = folder
        state = Mutex(State(watch: FileWatch(["\(folder)/\(Manifest.fileName)"])))
    }

    /// Nil where nothing is published.
    /// - Throws: why the manifest cannot be read; it is tried again at the next question.
    package func location() throws(EngineError) -> SnapshotLocation? {
        try state.withLock { state throws(EngineError) in
            let isDue = state.watch.isDue()
            if !isDue, let known = state.known { return known }
            state.known = nil
            state.readCount += 1
            let location = try Workspace.currentSnapshot(folder)
            state.known = .some(location)
            return location
        }
    }

    /// How often the manifest was read.
    package var readCount: Int { state.withLock { $0.readCount } }
}
