#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What tells one state of a file from another without reading it.
struct FileStamp: Sendable, Equatable {
    private var modified: [Int] = []
    private var byteCount = 0
    private var number: UInt64 = 0

    /// Nil where there is no such file.
    init?(path: String) {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        #if canImport(Glibc)
        modified = [
            Int(information.st_mtim.tv_sec), Int(information.st_mtim.tv_nsec),
            Int(information.st_ctim.tv_sec), Int(information.st_ctim.tv_nsec),
        ]
        #else
        modified = [
            Int(information.st_mtimespec.tv_sec), Int(information.st_mtimespec.tv_nsec),
            Int(information.st_ctimespec.tv_sec), Int(information.st_ctimespec.tv_nsec),
        ]
        #endif
        byteCount = Int(information.st_size)
        number = UInt64(information.st_ino)
    }
}
