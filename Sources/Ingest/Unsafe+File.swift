// Why unsafe: read(2) takes a pointer. It comes from an array's own buffer and lives for one call,
// whose count is what is left of the buffer.

import ColumnStore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file's bytes, read rather than mapped: the file belongs to someone else, and one that is cut
/// short while it is mapped would end the process; and a pipe cannot be mapped.
/// Throws `missingFile` or `system`.
func readWholeFile(_ path: String) throws(IngestError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw errno == ENOENT
            ? .missingFile(path: path)
            : .system(SystemError(code: errno, operation: "open", path: path))
    }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else {
        throw .system(SystemError(code: errno, operation: "fstat", path: path))
    }
    guard information.st_mode & S_IFMT != S_IFDIR else {
        throw .system(SystemError(code: EISDIR, operation: "read", path: path))
    }
    var failure: Int32 = 0
    // A pipe has no size; it is read in growing pieces until its end, as is a file that grows.
    var bytes: [UInt8] = []
    var capacity = max(Int(information.st_size) + 1, 1 << 16)
    while true {
        let start = bytes.count
        var received = 0
        let piece = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            while count < buffer.count {
                received = read(
                    descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
                if received < 0 && errno == EINTR { continue }
                if received <= 0 { break }
                count += received
            }
            if received < 0 { failure = errno }
        }
        if failure != 0 { throw .system(SystemError(code: failure, operation: "read", path: path)) }
        if start == 0 { bytes = piece } else { bytes.append(contentsOf: piece) }
        if received == 0 { return bytes }
        capacity = max(bytes.count, 1 << 16)
    }
}
