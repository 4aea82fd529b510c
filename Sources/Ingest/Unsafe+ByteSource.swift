// Why unsafe: read(2) and pread(2) take a pointer. It comes from a buffer of the caller's, lives for
// one call, and the count is what is left of the buffer.

import ColumnStore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The bytes of a file, a pipe or an array, by their offset. A file is read rather than mapped: it
/// belongs to someone else, and one that is cut short while it is mapped would end the process.
///
/// Of a pipe, what may be asked for again is kept: everything from `release(before:)` on.
/// Several threads may read a file or an array at once; a pipe only one.
final class ByteSource: @unchecked Sendable {
    private enum Kind {
        case file(Int32)
        case memory([UInt8])
        case pipe(Int32)
    }

    let path: String
    /// The bytes in all, as the system says at first; nil for a pipe.
    let byteCount: Int?
    private let kind: Kind
    /// Of a pipe: what was read and is still wanted, from `heldStart` on in the stream.
    private var held: [UInt8] = []
    private var heldStart = 0
    private var isAtEnd = false

    /// Standard input for `-`. Throws `missingFile` or `system`.
    init(path: String) throws(IngestError) {
        self.path = path
        if path == "-" {
            kind = .pipe(0)
            byteCount = nil
            return
        }
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
        let isFile = information.st_mode & S_IFMT == S_IFREG
        kind = isFile ? .file(descriptor) : .pipe(descriptor)
        byteCount = isFile ? Int(information.st_size) : nil
    }

    /// Bytes in memory; `path` is their name.
    init(_ bytes: [UInt8], path: String) {
        self.path = path
        kind = .memory(bytes)
        byteCount = bytes.count
    }

    deinit {
        switch kind {
        case .file(let descriptor): close(descriptor)
        case .pipe(let descriptor): if descriptor != 0 { close(descriptor) }
        case .memory: break
        }
    }

    /// Whether several threads may read at once.
    var isConcurrent: Bool {
        if case .pipe = kind { return false }
        return true
    }

    /// Fills `target` with the bytes from `offset` on; fewer only at the end.
    /// - Returns: how many, or the system's error number as a negative one.
    func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) -> Int {
        switch kind {
        case .file(let descriptor):
            return readFully(target) { pread(descriptor, $0, $1, off_t(offset + $2)) }
        case .memory(let bytes):
            let count = min(target.count, max(bytes.count - offset, 0))
            guard count > 0 else { return 0 }
            bytes.withUnsafeBytes {
                target.copyMemory(from: .init(rebasing: $0[offset..<offset + count]))
            }
            return count
        case .pipe(let descriptor):
            let failure = hold(descriptor, to: offset + target.count)
            if failure != 0 { return -Int(failure) }
            precondition(offset >= heldStart, "bytes of a pipe are gone once they are released")
            let count = min(target.count, max(heldStart + held.count - offset, 0))
            guard count > 0 else { return 0 }
            let start = offset - heldStart
            held.withUnsafeBytes {
                target.copyMemory(from: .init(rebasing: $0[start..<start + count]))
            }
            return count
        }
    }

    /// Says that nothing before `offset` will be asked for again.
    func release(before offset: Int) {
        // Moving what is left costs, so that it is done only where it is the smaller part.
        guard case .pipe = kind, (offset - heldStart) * 2 >= held.count else { return }
        let count = min(offset - heldStart, held.count)
        held.removeFirst(count)
        heldStart += count
    }

    /// Reads a pipe on until `end`. Returns an error number or 0.
    private func hold(_ descriptor: Int32, to end: Int) -> Int32 {
        while !isAtEnd, heldStart + held.count < end {
            let start = held.count
            let missing = max(end - heldStart - start, 1 << 16)
            // The zeros are written over; the array keeps its memory from round to round.
            held.append(contentsOf: repeatElement(0, count: missing))
            let received = held.withUnsafeMutableBytes { buffer in
                readFully(.init(rebasing: buffer[start...])) { place, count, _ in
                    readOnce(descriptor, place, count)
                }
            }
            held.removeLast(missing - max(received, 0))
            if received < 0 { return Int32(-received) }
            if received < missing { isAtEnd = true }
        }
        return 0
    }
}

private func readOnce(
    _ descriptor: Int32, _ target: UnsafeMutableRawPointer, _ count: Int
) -> Int {
    read(descriptor, target, count)
}

/// Repeats `read(target, count, bytes so far)` until all is there or nothing more comes.
private func readFully(
    _ target: UnsafeMutableRawBufferPointer,
    _ read: (UnsafeMutableRawPointer, Int, Int) -> Int
) -> Int {
    guard let base = target.baseAddress else { return 0 }
    var count = 0
    while count < target.count {
        let received = read(base + count, target.count - count, count)
        if received < 0 && errno == EINTR { continue }
        if received < 0 { return -Int(errno) }
        if received == 0 { break }
        count += received
    }
    return count
}

/// All bytes of a file or a pipe, or of standard input for `-`. Throws `missingFile` or `system`.
func readWholeFile(_ path: String) throws(IngestError) -> [UInt8] {
    let source = try ByteSource(path: path)
    var bytes: [UInt8] = []
    var capacity = max((source.byteCount ?? 0) + 1, 1 << 16)
    while true {
        var received = 0
        let start = bytes.count
        let piece = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            received = source.read(at: start, into: UnsafeMutableRawBufferPointer(buffer))
            count = max(received, 0)
        }
        guard received >= 0 else {
            throw .system(SystemError(code: Int32(-received), operation: "read", path: path))
        }
        if start == 0 { bytes = piece } else { bytes.append(contentsOf: piece) }
        if received < capacity { return bytes }
        source.release(before: bytes.count)
        capacity = max(bytes.count, 1 << 16)
    }
}
