import ByteCoding
import ColumnStore

/// The generations of a workspace on disk: what a server lists, verifies and makes current.
package struct GenerationShelf: Sendable {
    /// The workspace's.
    package let folder: String

    package init(folder: String) { self.folder = folder }

    package struct Entry: Sendable {
        package var location: SnapshotLocation
        /// Whether it is what the manifest calls current.
        package var isCurrent: Bool
        /// Nil where it cannot be read.
        package var descriptor: SnapshotDescriptor?
        /// Why; empty where it can. Only the descriptor is looked at, not the files that it names.
        package var problem: String
        /// Of all files, as the descriptor says.
        package var byteCount: Int { descriptor?.files.reduce(0) { $0 + $1.byteCount } ?? 0 }
    }

    /// All that the manifest names, oldest first.
    package func entries() throws(EngineError) -> [Entry] {
        let manifest = try Workspace.loadManifest(folder)
        return manifest.generations.map { generation in
            let location = SnapshotLocation(
                generation: generation.number, folder: "\(folder)/\(generation.folder)")
            var entry = Entry(
                location: location, isCurrent: generation.number == manifest.currentGeneration,
                descriptor: nil, problem: "")
            do throws(EngineError) {
                entry.descriptor = try SnapshotDescriptor(folder: location.folder)
            } catch {
                entry.problem = error.description
            }
            return entry
        }
    }

    /// Where a generation lies; nil where the manifest does not name it.
    /// - Parameter generation: nil for the newest.
    package func location(of generation: Int?) throws(EngineError) -> SnapshotLocation? {
        let generations = try Workspace.loadManifest(folder).generations
        let found = generations.last { generation == nil || $0.number == generation }
        return found.map {
            SnapshotLocation(generation: $0.number, folder: "\(folder)/\($0.folder)")
        }
    }

    /// What the manifest calls current; nil before the first publish.
    package func current() throws(EngineError) -> Int? {
        try Workspace.loadManifest(folder).currentGeneration
    }

    /// Makes a generation current, as `patron publish` does; its files are not read again.
    /// - Parameter snapshot: of one of this workspace's generations, verified.
    /// - Throws: `store(.locked)` where another process changes the workspace.
    package func publish(
        _ snapshot: ServingSnapshot
    ) throws(EngineError) -> Workspace.PublishSummary {
        let workspace = try Workspace(folder: folder, access: .writing)
        return try workspace.publishing(
            generation: snapshot.generation, verified: snapshot, threadCount: 1)
    }
}

extension SnapshotLocation {
    /// Bytes that are read between two calls of `progress`.
    private static let pieceByteCount = 4 << 20

    /// Reads every file of the generation, a piece at a time, and compares it with its checksum.
    /// - Parameter progress: gets the bytes read and those there are; false ends the reading.
    /// - Returns: the bytes read; nil where `progress` ended it.
    /// - Throws: `damagedSnapshot` or `store`, with the file's name.
    /// - Complexity: O(bytes), at the speed of the disk or of memory.
    package func verify(
        progress: (_ done: Int, _ total: Int) -> Bool
    ) throws(EngineError) -> Int? {
        let descriptor = try SnapshotDescriptor(folder: folder)
        let total = descriptor.files.reduce(0) { $0 + $1.byteCount }
        var done = 0
        guard progress(done, total) else { return nil }
        for file in descriptor.files {
            let path = "\(folder)/\(file.name)"
            let mapped = try mapErrors(EngineError.store) { () throws(StoreError) in
                try MappedFile(path: path)
            }
            guard mapped.byteCount == file.byteCount else {
                throw .damagedSnapshot(
                    path: path, byteOffset: min(mapped.byteCount, file.byteCount),
                    reason: "\(mapped.byteCount) bytes, \(file.byteCount) were written")
            }
            var crc = CRC32C()
            var offset = 0
            while offset < file.byteCount {
                let end = min(offset + Self.pieceByteCount, file.byteCount)
                mapped.withBytes { crc.add($0.extracting(offset..<end)) }
                done += end - offset
                offset = end
                guard progress(done, total) else { return nil }
            }
            guard crc.value == file.checksum else {
                throw .damagedSnapshot(
                    path: path, byteOffset: 0,
                    reason: "the file's checksum is not the stored one")
            }
        }
        return done
    }
}
