// Why unsafe: pread(2) takes a pointer. It comes from a buffer of the caller's, lives for one call,
// and the count is what is left of the buffer.

import ColumnStore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The bytes of a file, a pipe or an array, by their offset; those of gzip data as they unpack. A file
/// is read rather than mapped: it belongs to someone else, and one that is cut short while it is
/// mapped would end the process.
///
/// Of a pipe or gzip data, what may be asked for again is kept: everything from `release(before:)` on.
/// Several threads may read a plain file or an array at once; the others only one, which may read ahead
/// while others work on what has been read.
package final class ByteSource: @unchecked Sendable {
    private enum Kind {
        case feed(ByteFeed)
        case file(Int32)
        case memory([UInt8])
    }

    let path: String
    /// The bytes in all, as the system says at first; nil for a pipe and for gzip data.
    let byteCount: Int?
    /// What `progress` counts to: of a packed file its packed bytes. Nil for a pipe.
    private let wholeByteCount: Int?
    private let kind: Kind
    /// Closed at the end; -1 for none. `firstState` is that of a file.
    private var descriptor: Int32 = -1
    private var firstState: FileState?
    /// Of a feed: what was read and is still wanted, from `heldStart` on in the stream.
    private var held: [UInt8] = []
    private var heldStart = 0
    private var isAtEnd = false
    /// What the feed said when it failed: what it had read until then is gone, so that nothing after
    /// it may follow. 0 before.
    private var failure = 0

    /// Standard input for `-`. Throws `missingFile` or `system`.
    convenience init(path: String) throws(IngestError) {
        if path == "-" {
            self.init(descriptor: 0, path: path)
        } else {
            try self.init(file: path)
        }
    }

    private init(file path: String) throws(IngestError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? .missingFile(path: path)
                : .system(SystemError(code: errno, operation: "open", path: path))
        }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let code = errno
            close(descriptor)
            throw .system(SystemError(code: code, operation: "fstat", path: path))
        }
        guard information.st_mode & S_IFMT != S_IFDIR else {
            close(descriptor)
            throw .system(SystemError(code: EISDIR, operation: "read", path: path))
        }
        self.descriptor = descriptor
        guard information.st_mode & S_IFMT == S_IFREG else {
            kind = .feed(ByteFeed(descriptor: descriptor))
            (byteCount, wholeByteCount) = (nil, nil)
            return
        }
        let size = Int(information.st_size)
        firstState = FileState(information)
        wholeByteCount = size
        var first: (UInt8, UInt8) = (0, 0)
        // A failure here comes again with the first real read.
        let isPacked =
            withUnsafeMutableBytes(of: &first) { pread(descriptor, $0.baseAddress, 2, 0) } == 2
            && ByteFeed.isPacked(first.0, first.1)
        kind = isPacked ? .feed(ByteFeed(descriptor: descriptor)) : .file(descriptor)
        byteCount = isPacked ? nil : size
    }

    /// What comes from an open pipe, which stays open; `path` is its name.
    package init(descriptor: Int32, path: String) {
        self.path = path
        kind = .feed(ByteFeed(descriptor: descriptor))
        (byteCount, wholeByteCount) = (nil, nil)
    }

    /// Bytes in memory; `path` is their name.
    init(_ bytes: [UInt8], path: String) {
        self.path = path
        let isPacked = bytes.count >= 2 && ByteFeed.isPacked(bytes[0], bytes[1])
        kind = isPacked ? .feed(ByteFeed(memory: bytes)) : .memory(bytes)
        byteCount = isPacked ? nil : bytes.count
        wholeByteCount = bytes.count
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Whether the bytes may be as many as one of some numbers. Gzip data say how many their last
    /// member unpacks to, modulo 2^32; a pipe says nothing.
    func mayHold(_ byteCounts: Set<Int>) -> Bool {
        if let byteCount { return byteCounts.contains(byteCount) }
        guard let wholeByteCount, wholeByteCount >= 4, descriptor >= 0 else { return false }
        var last: UInt32 = 0
        let received = withUnsafeMutableBytes(of: &last) {
            readFully(descriptor, wholeByteCount - 4, $0)
        }
        let size = UInt32(littleEndian: last)
        return received == 4
            && byteCounts.contains { UInt32(truncatingIfNeeded: $0) == size }
    }

    /// Whether several threads may read at once.
    var isConcurrent: Bool {
        if case .feed = kind { return false }
        return true
    }

    /// How far the file has been read, where that is `offset` in its unpacked bytes.
    func progress(at offset: Int) -> ReadingProgress {
        guard case .feed(let feed) = kind else {
            return ReadingProgress(
                byteCount: min(offset, byteCount ?? offset), totalByteCount: byteCount)
        }
        return ReadingProgress(
            byteCount: wholeByteCount == nil ? offset : feed.consumedCount,
            totalByteCount: wholeByteCount)
    }

    /// Fills `target` with the bytes from `offset` on; fewer only at the end.
    /// - Returns: how many, or a negative number that `error(_:)` explains.
    package func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) -> Int {
        switch kind {
        case .file(let descriptor):
            // What is added meanwhile is not read: it may be the first half of a line.
            let count = min(target.count, max((byteCount ?? 0) - offset, 0))
            return readFully(descriptor, offset, .init(rebasing: target[..<count]))
        case .memory(let bytes):
            let count = min(target.count, max(bytes.count - offset, 0))
            guard count > 0 else { return 0 }
            bytes.withUnsafeBytes {
                target.copyMemory(from: .init(rebasing: $0[offset..<offset + count]))
            }
            return count
        case .feed(let feed):
            let failure = hold(feed, to: offset + target.count)
            if failure != 0 { return failure }
            precondition(offset >= heldStart, "bytes of a feed are gone once they are released")
            let count = min(target.count, max(heldStart + held.count - offset, 0))
            guard count > 0 else { return 0 }
            let start = offset - heldStart
            held.withUnsafeBytes {
                target.copyMemory(from: .init(rebasing: $0[start..<start + count]))
            }
            return count
        }
    }

    /// Reads a pipe, or unpacks gzip data, up to `end`, so that `read` finds it there. An error is
    /// left to `read`.
    func readAhead(to end: Int) {
        if case .feed(let feed) = kind { _ = hold(feed, to: end) }
    }

    /// What a negative result of `read` means.
    func error(_ result: Int) -> IngestError {
        if case .feed(let feed) = kind, let damage = feed.damage {
            return .damagedGzip(path: path, byteOffset: damage.byteOffset, what: damage.what)
        }
        return .system(SystemError(code: Int32(-result), operation: "read", path: path))
    }

    /// Throws `changedWhileRead` where a file is no longer what it was when it was opened.
    func checkUnchanged() throws(IngestError) {
        guard let firstState else { return }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            throw .system(SystemError(code: errno, operation: "fstat", path: path))
        }
        let state = FileState(information)
        guard state == firstState else {
            throw .changedWhileRead(
                path: path, byteCountBefore: firstState.byteCount,
                byteCountAfter: state.byteCount)
        }
    }

    /// Says that nothing before `offset` will be asked for again.
    func release(before offset: Int) {
        // Moving what is left costs, so that it is done only where it is the smaller part.
        guard !isConcurrent, (offset - heldStart) * 2 >= held.count else { return }
        let count = min(offset - heldStart, held.count)
        held.removeFirst(count)
        heldStart += count
    }

    /// Reads a feed on until `end`. Returns a negative number where that fails, else 0.
    private func hold(_ feed: ByteFeed, to end: Int) -> Int {
        if failure != 0 { return failure }
        while !isAtEnd, heldStart + held.count < end {
            let start = held.count
            let missing = max(end - heldStart - start, 1 << 16)
            // The zeros are written over; the array keeps its memory from round to round.
            held.append(contentsOf: repeatElement(0, count: missing))
            let received = held.withUnsafeMutableBytes {
                feed.read(into: .init(rebasing: $0[start...]))
            }
            held.removeLast(missing - max(received, 0))
            if received < 0 {
                failure = received
                return received
            }
            if received < missing { isAtEnd = true }
        }
        return 0
    }
}

/// By what a file that is written to meanwhile is known.
private struct FileState: Equatable {
    var byteCount: Int
    var seconds: Int
    var nanoseconds: Int

    init(_ information: stat) {
        byteCount = Int(information.st_size)
        #if canImport(Darwin)
        seconds = information.st_mtimespec.tv_sec
        nanoseconds = information.st_mtimespec.tv_nsec
        #else
        seconds = information.st_mtim.tv_sec
        nanoseconds = information.st_mtim.tv_nsec
        #endif
    }
}

/// Reads until all is there or nothing more comes; a negative error number where that fails.
private func readFully(
    _ descriptor: Int32, _ offset: Int, _ target: UnsafeMutableRawBufferPointer
) -> Int {
    guard let base = target.baseAddress else { return 0 }
    var count = 0
    while count < target.count {
        let received = pread(descriptor, base + count, target.count - count, off_t(offset + count))
        if received < 0 && errno == EINTR { continue }
        if received < 0 { return -Int(errno) }
        if received == 0 { break }
        count += received
    }
    return count
}

/// The hash of a file's content, unpacked where it is gzip data, if there may be as many bytes of it as
/// one of some numbers; nil where there are not, without reading it.
/// - Throws: what `ByteSource` does, `damagedGzip` and `system`.
package func contentHash(
    ofFile path: String, ifOneOf byteCounts: Set<Int>
) throws(IngestError) -> UInt64? {
    guard path != "-", !byteCounts.isEmpty else { return nil }
    let source = try ByteSource(path: path)
    guard source.mayHold(byteCounts) else { return nil }
    var hasher = ContentHasher()
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let start = hasher.byteCount
        let received = piece.withUnsafeMutableBytes { source.read(at: start, into: $0) }
        guard received >= 0 else { throw source.error(received) }
        hasher.add(piece.span.bytes.extracting(first: received))
        if received < piece.count { return hasher.value }
        source.release(before: hasher.byteCount)
    }
}
