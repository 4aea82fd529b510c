import CPlatform

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

#if _endian(big)
#error("the files are little-endian and mapped as they are")
#endif

/// A whole file mapped read-only; unmapped when the last reference goes.
///
/// The files of a workspace are never changed in place (a new file is renamed over an old name),
/// so the mapping stays what was verified. A file that something else truncates while it is mapped
/// ends the process with SIGBUS, as for every program that maps files.
package final class MappedFile: Sendable {
    package let path: String
    package let byteCount: Int
    /// Nil for an empty file, which cannot be mapped. Read-only memory that lives as long as self,
    /// therefore safe to share between threads.
    nonisolated(unsafe) let base: UnsafeRawPointer?

    /// - Throws: `notAStoreFile` for a folder, a pipe or a device, at once; `system`.
    package init(path: String) throws(StoreError) {
        self.path = path
        var status = stat()
        // Asked before it is opened: who writes to a pipe would take this for a reader that left.
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw .notAStoreFile(path: path, expected: "a regular file")
        }
        // Without waiting, should it have become a pipe in the meantime.
        let descriptor = try retryingInterrupts("open", path) {
            open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        }
        defer { close(descriptor) }
        try retryingInterrupts("fstat", path) { fstat(descriptor, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .notAStoreFile(path: path, expected: "a regular file")
        }
        byteCount = Int(status.st_size)
        guard byteCount > 0 else {
            base = nil
            return
        }
        let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw .system(SystemError(code: errno, operation: "mmap", path: path))
        }
        base = UnsafeRawPointer(address)
    }

    deinit {
        if let base { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
    }

    /// Lends the whole file.
    package func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { extendLifetime(self) }
        return try body(UnsafeRawBufferPointer(start: base, count: byteCount).bytes)
    }

    /// Lends `byteCount` bytes from `byteOffset`.
    /// - Throws: `StoreError.truncated` where they reach outside the file.
    package func withBytes<Result>(
        at byteOffset: Int, count: Int, _ body: (RawSpan) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        defer { extendLifetime(self) }
        return try body(
            UnsafeRawBufferPointer(rebasing: try buffer(at: byteOffset, count: count)).bytes)
    }

    /// Copies a part of the file.
    func bytes(at byteOffset: Int, count: Int) throws(StoreError) -> [UInt8] {
        defer { extendLifetime(self) }
        return Array(try buffer(at: byteOffset, count: count))
    }

    /// A checked part of the mapping, valid while self lives.
    func buffer(
        at byteOffset: Int, count: Int
    ) throws(StoreError) -> Slice<UnsafeRawBufferPointer> {
        guard byteOffset >= 0, count >= 0, byteOffset <= byteCount,
            count <= byteCount - byteOffset
        else {
            throw .truncated(
                path: path, byteOffset: byteOffset, actual: byteCount,
                expected: byteOffset.addingReportingOverflow(count).partialValue)
        }
        return UnsafeRawBufferPointer(start: base, count: byteCount)[
            byteOffset..<byteOffset + count]
    }

    /// Gives the memory of a part's pages back to the system until they are read again: a pass over
    /// a file larger than memory leaves none of it resident. Advice, so nothing can fail.
    func forget(at byteOffset: Int, count: Int) {
        guard let base, byteOffset >= 0, count > 0, byteOffset <= byteCount - count else { return }
        let page = Int(getpagesize())
        // Pages that other parts share stay.
        let start = byteOffset.roundedUp(to: page)
        let end = (byteOffset + count) / page * page
        guard start < end else { return }
        _ = madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
    }
}
