import ByteCoding

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Appends records to a log. One process at a time: the folder's lock is held while the value lives.
/// Not for use by several threads at once.
///
/// What readers may have seen is never taken back: a record that was written whole stays, even where
/// making it durable failed and it was not acknowledged.
package final class LogWriter {
    package let folder: String
    /// A file of so many bytes is followed by another.
    private let rotationByteCount: Int
    private let lock: FolderLock
    private var descriptor: Int32 = -1
    /// Of the file that is appended to.
    private var fileVersion = LogFormat.version
    /// Whether the file has an erasure: another one follows it, so that it can be removed.
    private var hasErasure = false
    /// Where the next record goes.
    package private(set) var position: LogPosition
    /// Why nothing can be appended any more; nil as long as it can.
    package private(set) var failure: StoreError?
    private var writer = ByteWriter()

    /// Opens the log of a folder, which is made if it is not there, and cuts off a last record that
    /// was not finished.
    /// - Parameters:
    ///   - start: up to where records are known to whoever reads them: a log of no files begins
    ///     there.
    ///   - visit: gets every record that there is.
    /// - Throws: `locked` where another process appends; `corrupt` for a damaged log; `system`.
    package init(
        folder: String, from start: LogPosition = .start, rotationByteCount: Int = 64 << 20,
        visiting visit: (LogRecord) -> Void = { _ in }
    ) throws(StoreError) {
        self.folder = folder
        self.rotationByteCount = rotationByteCount
        if !FileManager.default.fileExists(atPath: folder) {
            if mkdir(folder, 0o777) != 0, errno != EEXIST {
                throw .system(SystemError(code: errno, operation: "mkdir", path: folder))
            }
            try syncFolder(splitPath(folder).folder)
        }
        lock = try FolderLock(folder: folder)
        position = start
        Self.removeTemporaries(folder)
        let numbers = LogFormat.fileNumbers(in: folder)
        guard let first = numbers.first, let last = numbers.last else {
            try begin(start.file + 1, from: start.sequence)
            return
        }
        var end: LogPosition?
        var byteCount = 0
        for number in numbers {
            var file = try LogFile(
                folder: folder, number: number, isLast: number == last, syncs: number == last)
            if number != first, file.firstSequence != end?.sequence {
                throw .corrupt(
                    path: file.path, byteOffset: 24,
                    reason: "it begins with record \(file.firstSequence), but record "
                        + "\(end?.sequence ?? 0) is the next: log files are missing")
            }
            hasErasure = false
            while let record = try file.next() {
                if record.kind == .erasure { hasErasure = true }
                visit(record)
            }
            (byteCount, fileVersion) = (file.byteCount, file.version)
            end = LogPosition(
                file: number, byteOffset: file.byteOffset, sequence: file.sequence)
        }
        position = end ?? start
        guard position.sequence >= start.sequence else {
            throw .corrupt(
                path: path, byteOffset: position.byteOffset,
                reason: "the log ends with record \(position.sequence), but \(start.sequence) "
                    + "records were read before")
        }
        try open()
        if byteCount > position.byteOffset {
            let (descriptor, end) = (descriptor, position.byteOffset)
            try retryingInterrupts("ftruncate", path) { ftruncate(descriptor, off_t(end)) }
            try syncData(descriptor, path)
        }
        if hasErasure { try begin(position.file + 1, from: position.sequence) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private var path: String { "\(folder)/\(LogFormat.fileName(position.file))" }

    /// New files whose making was interrupted: nobody else makes any while the lock is held.
    private static func removeTemporaries(_ folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(".") && name.hasSuffix(".tmp") {
            unlink("\(folder)/\(name)")
        }
    }

    private func open() throws(StoreError) {
        let path = path
        descriptor = try retryingInterrupts("open", path) {
            #if canImport(Glibc)
            Glibc.open(path, O_WRONLY | O_CLOEXEC)
            #else
            Darwin.open(path, O_WRONLY | O_CLOEXEC)
            #endif
        }
    }

    /// Makes the next file; it is there whole or not at all.
    /// - Parameter version: of its layout; nil for that of the file before.
    private func begin(
        _ number: Int, from sequence: Int, version: UInt32? = nil
    ) throws(StoreError) {
        let version = version ?? fileVersion
        try AtomicFile.write(
            LogFormat.fileHeader(
                number: number, firstSequence: sequence, version: version),
            to: "\(folder)/\(LogFormat.fileName(number))")
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        (fileVersion, hasErasure) = (version, false)
        position = LogPosition(
            file: number, byteOffset: LogFormat.fileHeaderByteCount, sequence: sequence)
        try open()
    }

    /// Writes some records one after the other and makes them durable together.
    ///
    /// Where there is no more room, those that still fit are durable, and the log goes on once there
    /// is room again. Where the system cannot say what of them is durable, none is, and nothing can
    /// be appended until the log is opened anew; records that were not acknowledged may be there then.
    /// - Returns: how many of the records are durable, the first ones; why the others are not.
    package func append(_ entries: [LogEntry]) -> (count: Int, failure: StoreError?) {
        if let failure { return (0, failure) }
        if entries.isEmpty { return (0, nil) }
        let erases = entries.contains { $0.kind == .erasure }
        let isFull =
            position.byteOffset > LogFormat.fileHeaderByteCount
            && position.byteOffset >= rotationByteCount
        if isFull || hasErasure || erases && fileVersion < LogFormat.versionWithErasures {
            // From the first erasure on files may have more: each needs no file of its own before it.
            let version = erases ? LogFormat.versionWithErasures : fileVersion
            if let error = beginNext(version) { return (0, error) }
        }
        writer.removeAll()
        var ends: [Int] = []
        for (index, entry) in entries.enumerated() {
            LogFormat.append(
                entry, sequence: position.sequence + index, durable: position.byteOffset,
                to: &writer)
            ends.append(writer.count)
        }
        let bytes = writer.bytes
        let written = writeCounted(
            bytes.span.bytes, to: descriptor, at: position.byteOffset, path: path)
        let count = ends.count { $0 <= written.count }
        let end = position.byteOffset + (count > 0 ? ends[count - 1] : 0)
        do throws(StoreError) {
            if written.failure != nil {
                let (descriptor, path) = (descriptor, path)
                try retryingInterrupts("ftruncate", path) { ftruncate(descriptor, off_t(end)) }
            }
            if count > 0 || written.failure != nil { try syncData(descriptor, path) }
        } catch {
            failure = error
            return (0, error)
        }
        position.byteOffset = end
        position.sequence += count
        if entries[..<count].contains(where: { $0.kind == .erasure }) {
            hasErasure = true
            // Where that cannot be done now, the next append tries again.
            _ = beginNext(fileVersion)
        }
        return (count, written.failure)
    }

    /// - Returns: why the next file could not be made; nil where it is.
    private func beginNext(_ version: UInt32) -> StoreError? {
        do throws(StoreError) {
            try begin(position.file + 1, from: position.sequence, version: version)
            return nil
        } catch {
            // The file is there, but could not be opened: where records go is not known.
            if descriptor < 0 { failure = error }
            return error
        }
    }
}
