import CPlatform

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The exclusive right to change a workspace, or one of its files, held until the value is released or the process
/// ends. The file `LOCK` in the folder carries the holder's process id as text; it stays behind,
/// because removing it would let two processes lock two different files of that name.
package final class FolderLock: Sendable {
    package let path: String
    private let descriptor: Int32

    /// - Parameters:
    ///   - name: of the lock's file.
    ///   - patience: milliseconds that another may hold it meanwhile; 0 does not wait.
    /// - Throws: `StoreError.locked` where another descriptor holds it for longer.
    package init(
        folder: String, name: String = "LOCK", patience: Int = 0
    ) throws(StoreError) {
        path = "\(folder)/\(name)"
        let path = path
        let descriptor = try retryingInterrupts("open", path) {
            open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        }
        do throws(StoreError) {
            try Self.lock(descriptor, path, patience: patience)
            try retryingInterrupts("ftruncate", path) { ftruncate(descriptor, 0) }
            try writeAll(Array("\(getpid())\n".utf8).span.bytes, to: descriptor, path: path)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    /// Unlocks before it closes: a process that is being started at this instant still has the
    /// descriptor, and closing it here alone would leave the lock to it.
    deinit {
        _ = patron_flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func lock(
        _ descriptor: Int32, _ path: String, patience: Int
    ) throws(StoreError) {
        var rest = patience
        while true {
            do throws(StoreError) {
                try retryingInterrupts("flock", path) {
                    patron_flock(descriptor, LOCK_EX | LOCK_NB)
                }
                return
            } catch .system(let error) where error.code == EWOULDBLOCK {
                guard rest > 0 else {
                    throw .locked(path: path, processID: readProcessID(descriptor, path))
                }
            }
            // Asked again and again: who waits in the kernel could not give up.
            rest -= 1
            usleep(1_000)
        }
    }

    private static func readProcessID(_ descriptor: Int32, _ path: String) -> Int32? {
        let bytes = readPrefix(of: descriptor, byteCount: 16)
        return Int32(String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self))
    }
}
