#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes all bytes, in as many calls as the system wants.
/// - Parameter place: where in the file; where the last write ended if nil.
func writeAll(
    _ bytes: RawSpan, to descriptor: Int32, at place: Int? = nil, path: String
) throws(StoreError) {
    var offset = 0
    while offset < bytes.byteCount {
        // The pointer lives only within the closure; offset < byteCount.
        offset += try retryingInterrupts("write", path) {
            bytes.withUnsafeBytes { buffer in
                let (start, count) = (
                    buffer.baseAddress.map { $0 + offset }, buffer.count - offset
                )
                guard let place else { return write(descriptor, start, count) }
                return pwrite(descriptor, start, count, off_t(place + offset))
            }
        }
    }
}

/// The first bytes of an open file, fewer where it is shorter or cannot be read.
func readPrefix(of descriptor: Int32, byteCount: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
        count = max(0, pread(descriptor, buffer.baseAddress, byteCount, 0))
    }
}
