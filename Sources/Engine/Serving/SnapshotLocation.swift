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
