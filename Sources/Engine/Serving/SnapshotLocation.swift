/// Where the current generation lies, as the workspace's manifest says.
package struct SnapshotLocation: Sendable, Equatable {
    package var generation: Int
    /// The generation's folder.
    package var folder: String

    package init(generation: Int, folder: String) {
        self.generation = generation
        self.folder = folder
    }
}

extension ServingSnapshot {
    /// Opens what is current; nil where nothing is.
    ///
    /// Between the look at the manifest and the opening of the files, another process may publish
    /// and prune: then there is another current generation, and that one is opened.
    package static func current(
        _ source: () throws(EngineError) -> SnapshotLocation?
    ) throws(EngineError) -> ServingSnapshot? {
        var location = try source()
        while let current = location {
            do throws(EngineError) {
                return try ServingSnapshot(current)
            } catch {
                location = try source()
                guard location != current else { throw error }
            }
        }
        return nil
    }
}
