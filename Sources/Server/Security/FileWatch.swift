#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What tells one state of a file from another without reading it: the device and number of the file
/// that the path leads to, its size, and when its content and its entry changed, in nanoseconds.
struct FileStamp: Sendable, Equatable {
    private var modified: [Int] = []
    private var byteCount = 0
    private var number: UInt64 = 0
    private var device: UInt64 = 0

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
        device = UInt64(truncatingIfNeeded: information.st_dev)
    }

    /// Whether it changed so lately that another change might leave the same stamp: file systems
    /// count time in steps, of up to a second.
    fileprivate var isYoung: Bool {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let age = (now.tv_sec - modified[2]) * 1_000_000_000 + (now.tv_nsec - modified[3])
        // A time to come is that of a clock that was set back: it says nothing.
        return age >= 0 && age < 1_000_000_000
    }
}

/// Tells when files have to be read again, by their stamps: whenever one has changed, and once more
/// when the change is a second old, because one that came in the same step of the clock cannot be
/// seen.
struct FileWatch: Sendable {
    private let paths: [String]
    private var stamps: [FileStamp?]
    private var wasYoung: Bool

    /// Takes the files as they are now: to be made before they are read.
    init(_ paths: [String]) {
        self.paths = paths
        stamps = paths.map { FileStamp(path: $0) }
        wasYoung = stamps.contains { $0?.isYoung ?? false }
    }

    /// Looks at the files, and takes them as they are now.
    /// - Returns: whether they are to be read.
    mutating func isDue() -> Bool {
        let next = FileWatch(paths)
        let isDue = next.stamps != stamps || wasYoung && !next.wasYoung
        self = next
        return isDue
    }
}
