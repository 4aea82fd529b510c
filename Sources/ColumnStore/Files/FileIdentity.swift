#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Which file a path leads to, so that two paths to one file are known before one is written over.
package struct FileIdentity: Sendable {
    private struct Place: Sendable, Equatable {
        let device: UInt64
        let number: UInt64

        /// Nil where nothing is there.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(truncatingIfNeeded: status.st_dev)
            number = UInt64(truncatingIfNeeded: status.st_ino)
        }
    }

    private let file: Place?
    private let folder: Place?
    private let name: String

    package init(_ path: String) {
        let (folder, name) = splitPath(path)
        file = Place(path)
        self.folder = Place(folder)
        self.name = name
    }

    /// Whether both are the same file under any names, or would be one name of the same folder.
    package func isSame(as other: FileIdentity) -> Bool {
        if let file, file == other.file { return true }
        return folder != nil && folder == other.folder && name == other.name
    }
}
