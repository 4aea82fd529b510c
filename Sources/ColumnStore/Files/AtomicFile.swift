import ByteCoding
import CPlatform
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file that appears whole or not at all.
///
/// Bytes go to `.NAME.PROCESS.NUMBER.tmp` in the destination's own folder (a rename is atomic only within
/// one file system). `commit` syncs them, renames the file into place and syncs the folder, so a
/// crash leaves the previous file or the new one. Every other end removes the temporary file; that by
/// a signal where `PendingFiles.removeWhenSignalled` was called.
package final class AtomicFile {
    package let path: String
    /// Bytes written so far.
    package private(set) var byteCount = 0
    let temporaryPath: String
    private let folder: String
    private var descriptor: Int32
    /// Whether the temporary file is still there, and this value's to remove.
    private var isPending = true
    private var crc = CRC32C()
    private var headByteCount = 0
    /// Bytes that wait until there are enough for one call of the system.
    private var waiting: [UInt8] = []
    private static let writeByteCount = 1 << 20
    /// Bytes that the system has, and those of them that it was asked to write to the disk.
    private var givenByteCount = 0
    private var startedByteCount = 0
    private static let startByteCount = 8 << 20

    /// Keeps two files apart that one process writes to the same name.
    private static let nextNumber = Atomic<Int>(0)

    /// Opens the temporary file; one that an earlier crash left under the same name is removed.
    package init(path: String) throws(StoreError) {
        let (folder, name) = splitPath(path)
        guard !name.isEmpty else {
            throw .notReplaceable(path: path, kind: path.isEmpty ? "an empty name" : "a folder")
        }
        // A rename would put a file in the place of a device such as /dev/stdout.
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            let kind =
                switch status.st_mode & S_IFMT {
                case S_IFDIR: "a folder"
                case S_IFLNK: "a symbolic link"
                default: "not an ordinary file"
                }
            throw .notReplaceable(path: path, kind: kind)
        }
        self.path = path
        self.folder = folder
        let number = Self.nextNumber.wrappingAdd(1, ordering: .relaxed).newValue
        let temporaryPath = "\(folder)/.\(name).\(getpid()).\(number).tmp"
        self.temporaryPath = temporaryPath
        unlink(temporaryPath)
        descriptor = try PendingFiles.create(temporaryPath) { () throws(StoreError) in
            try retryingInterrupts("open", path) {
                open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
            }
        }
    }

    deinit { abandon() }

    /// Whether more may be written: false after `commit`, `abandon` and any error.
    package var isOpen: Bool { descriptor >= 0 }

    /// CRC-32C of everything written so far.
    package var checksum: UInt32 { crc.value }

    /// Appends bytes. An error may come with a later call; after one the file is abandoned.
    package func write(_ bytes: [UInt8]) throws(StoreError) {
        guard bytes.count < Self.writeByteCount / 4 else { return try write(bytes.span.bytes) }
        try requireOpen()
        if waiting.isEmpty { waiting.reserveCapacity(Self.writeByteCount) }
        waiting += bytes
        crc.add(bytes.span.bytes)
        byteCount += bytes.count
        if waiting.count > Self.writeByteCount * 3 / 4 { try writeWaiting() }
    }

    /// The same.
    /// - Parameter checksum: the bytes' own, where it is known: they are read once less.
    package func write(_ bytes: RawSpan, checksum: UInt32? = nil) throws(StoreError) {
        try requireOpen()
        try writeWaiting()
        try writeNow(bytes)
        if let checksum {
            crc.add(count: bytes.byteCount, withChecksum: checksum)
        } else {
            crc.add(bytes)
        }
        byteCount += bytes.byteCount
    }

    /// Leaves room at the start of the file for bytes that follow from those after them. Call before
    /// any `write`, and `writeHead` after the last.
    func reserveHead(byteCount: Int) throws(StoreError) {
        precondition(self.byteCount == 0, "the head of a file comes first")
        try requireOpen()
        try retryingInterrupts("lseek", path) { lseek(descriptor, off_t(byteCount), SEEK_SET) }
        (headByteCount, self.byteCount) = (byteCount, byteCount)
        (givenByteCount, startedByteCount) = (byteCount, byteCount)
    }

    /// Writes the bytes that room was left for.
    func writeHead(_ bytes: [UInt8]) throws(StoreError) {
        precondition(bytes.count == headByteCount, "as many bytes as room was left for")
        try writeWaiting()
        do throws(StoreError) {
            try writeAll(bytes.span.bytes, to: descriptor, at: 0, path: path)
        } catch {
            abandon()
            throw error
        }
        var whole = CRC32C()
        whole.add(bytes)
        whole.add(count: byteCount - headByteCount, withChecksum: crc.value)
        crc = whole
    }

    private func requireOpen() throws(StoreError) {
        guard isOpen else {
            throw .invalidInput(path: path, reason: "the file is already closed")
        }
    }

    private func writeWaiting() throws(StoreError) {
        guard !waiting.isEmpty else { return }
        var bytes: [UInt8] = []
        swap(&bytes, &waiting)
        try writeNow(bytes.span.bytes)
        bytes.removeAll(keepingCapacity: true)
        swap(&bytes, &waiting)
    }

    private func writeNow(_ bytes: RawSpan) throws(StoreError) {
        do throws(StoreError) {
            try writeAll(bytes, to: descriptor, path: path)
        } catch {
            abandon()
            throw error
        }
        givenByteCount += bytes.byteCount
        if givenByteCount - startedByteCount >= Self.startByteCount {
            patron_start_writing(
                descriptor, Int64(startedByteCount), Int64(givenByteCount - startedByteCount))
            startedByteCount = givenByteCount
        }
    }

    /// Makes the file visible and durable. After an error the previous file is still in place,
    /// except where only the folder's own sync failed: then either may survive a power cut.
    /// - Parameters:
    ///   - isProvisional: a signal removes the file all the same, until one that names it is
    ///     committed with its path in `settling`, or `PendingFiles.remove` removes it.
    ///   - settling: paths of provisional files that this one names.
    package func commit(
        isProvisional: Bool = false, settling: [String] = []
    ) throws(StoreError) {
        try Self.commit([self], isProvisional: isProvisional, settling: settling)
    }

    /// Ends the writing and lets the temporary file be until `abandon` or the value's release. Not
    /// synced: nothing may rely on it after a crash.
    /// - Returns: where it lies.
    package func seal() throws(StoreError) -> String {
        try requireOpen()
        try writeWaiting()
        try closeDescriptor()
        return temporaryPath
    }

    /// Makes the file visible, and durable when the system gets to it: after a power cut it may be
    /// the previous one, the new one or damaged. For what its checksums tell apart and can be made
    /// anew.
    package func commitWithoutSync() throws(StoreError) {
        do throws(StoreError) {
            try finishWriting(syncs: false)
            try PendingFiles.rename([self], isProvisional: false, settling: [])
        } catch {
            abandon()
            throw error
        }
    }

    /// Makes several files visible and durable, in order. Whatever fails before the first rename,
    /// as a full disk does, leaves all previous files in place; a crash or a rename that fails may
    /// leave the first of the new ones.
    package static func commit(
        _ files: [AtomicFile], isProvisional: Bool = false, settling: [String] = []
    ) throws(StoreError) {
        do throws(StoreError) {
            for file in files { try file.finishWriting() }
            try PendingFiles.rename(files, isProvisional: isProvisional, settling: settling)
        } catch {
            for file in files { file.abandon() }
            throw error
        }
        var synced: Set<String> = []
        for file in files where synced.insert(file.folder).inserted { try syncFolder(file.folder) }
    }

    private func finishWriting(syncs: Bool = true) throws(StoreError) {
        try requireOpen()
        try writeWaiting()
        if syncs { try retryingInterrupts("fsync", path) { fsync(descriptor) } }
        try closeDescriptor()
    }

    private func closeDescriptor() throws(StoreError) {
        waiting = []
        let closing = descriptor
        descriptor = -1
        // Not retried: Linux releases the descriptor even where close reports EINTR.
        if close(closing) != 0, errno != EINTR {
            throw .system(SystemError(code: errno, operation: "close", path: path))
        }
    }

    func wasRenamed() { isPending = false }

    /// Drops what was written and removes the temporary file. Does nothing after `commit`.
    package func abandon() {
        waiting = []
        if descriptor >= 0 {
            close(descriptor)
            descriptor = -1
        }
        if isPending { PendingFiles.remove(temporaryPath) }
        isPending = false
    }

    /// Writes a whole file: `init`, `write`, `commit`.
    package static func write(
        _ bytes: [UInt8], to path: String, settling: [String] = []
    ) throws(StoreError) {
        let file = try AtomicFile(path: path)
        try file.write(bytes)
        try file.commit(settling: settling)
    }
}

/// The folder ("." where there is none) and the last component of a path.
func splitPath(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let folder = path[..<slash]
    return (folder.isEmpty ? "/" : String(folder), String(path[path.index(after: slash)...]))
}

/// Makes the names in a folder durable.
package func syncFolder(_ path: String) throws(StoreError) {
    let descriptor = try retryingInterrupts("open", path) {
        open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    defer { close(descriptor) }
    try retryingInterrupts("fsync", path) { fsync(descriptor) }
}
