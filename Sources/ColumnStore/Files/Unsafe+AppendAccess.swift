#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes bytes at a place of a file, in as many calls as the system wants.
/// - Returns: how many were written, fewer than all after a failure.
func writeCounted(
    _ bytes: RawSpan, to descriptor: Int32, at place: Int, path: String
) -> (count: Int, failure: StoreError?) {
    var offset = 0
    while offset < bytes.byteCount {
        do throws(StoreError) {
            // The pointer lives only within the closure; offset < byteCount.
            offset += try retryingInterrupts("write", path) {
                bytes.withUnsafeBytes { buffer in
                    pwrite(
                        descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset,
                        off_t(place + offset))
                }
            }
        } catch {
            return (offset, error)
        }
    }
    return (offset, nil)
}

/// Makes the bytes of a file durable, and its size.
func syncData(_ descriptor: Int32, _ path: String) throws(StoreError) {
    #if canImport(Glibc)
    try retryingInterrupts("fdatasync", path) { fdatasync(descriptor) }
    #else
    try retryingInterrupts("fsync", path) { fsync(descriptor) }
    #endif
}

/// Copies a file that may grow meanwhile: what it has when the call begins. It is not mapped, because
/// a writer may cut off what it could not finish, and a mapping of bytes that are gone ends the
/// process.
/// - Parameters:
///   - syncs: makes what is copied durable first.
///   - limit: more bytes than this are refused before memory is taken for them.
func copyOfFile(_ path: String, syncs: Bool, limit: Int) throws(StoreError) -> [UInt8] {
    let descriptor = try retryingInterrupts("open", path) { open(path, O_RDONLY | O_CLOEXEC) }
    defer { close(descriptor) }
    var status = stat()
    try retryingInterrupts("fstat", path) { fstat(descriptor, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else {
        throw .notAStoreFile(path: path, expected: "a regular file")
    }
    let byteCount = Int(status.st_size)
    guard byteCount <= limit else {
        throw .limitExceeded(
            path: path, byteOffset: 0, what: "the file's byte count", actual: byteCount,
            limit: limit)
    }
    if syncs { try syncData(descriptor, path) }
    var code: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
        while count < byteCount {
            let step = pread(
                descriptor, buffer.baseAddress.map { $0 + count }, byteCount - count, off_t(count))
            if step > 0 {
                count += step
            } else if step == 0 || errno != EINTR {
                // Shorter than it was: what was cut off was never finished.
                code = step == 0 ? 0 : errno
                return
            }
        }
    }
    guard code == 0 else {
        throw .system(SystemError(code: code, operation: "read", path: path))
    }
    return bytes
}

/// The first bytes of a file, fewer where it is shorter.
func prefixOfFile(_ path: String, byteCount: Int) throws(StoreError) -> [UInt8] {
    let descriptor = try retryingInterrupts("open", path) { open(path, O_RDONLY | O_CLOEXEC) }
    defer { close(descriptor) }
    return readPrefix(of: descriptor, byteCount: byteCount)
}
