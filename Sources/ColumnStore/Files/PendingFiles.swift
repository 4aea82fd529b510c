import CPlatform
import Dispatch
import Synchronization

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

/// The files and folders of this process that are not part of anything yet, so that a signal that
/// ends the process can remove them: temporary ones that are not renamed into place, and provisional
/// ones that are, but that no committed file names.
///
/// A temporary is made, renamed and removed under one lock. A signal takes that lock for good: what
/// it has removed cannot come back, and files that are renamed together are renamed all or none.
package enum PendingFiles {
    private struct Paths {
        var files: Set<String> = []
        /// With all that lies in them.
        var folders: Set<String> = []
    }

    private static let paths = Mutex(Paths())

    /// Makes a temporary file.
    /// - Returns: what `open` returns.
    static func create(
        _ path: String, _ open: () throws(StoreError) -> Int32
    ) throws(StoreError) -> Int32 {
        try paths.withLock { paths throws(StoreError) in
            let descriptor = try open()
            paths.files.insert(path)
            return descriptor
        }
    }

    /// Gives a file another name in a folder that may be a temporary one.
    /// - Returns: what `link` returns.
    static func link(_ source: String, _ target: String) -> Int32 {
        paths.withLock { _ in systemLink(source, target) }
    }

    /// Makes a temporary folder in place of one that an earlier crash left under the same name.
    package static func createFolder(_ path: String) throws(StoreError) {
        try paths.withLock { paths throws(StoreError) in
            try? FileManager.default.removeItem(atPath: path)
            try retryingInterrupts("mkdir", path) { mkdir(path, 0o777) }
            paths.folders.insert(path)
        }
    }

    /// Renames a temporary folder into place.
    /// - Parameter isProvisional: it stays pending under its new name, until a file that names it is
    ///   committed with its path in `settling`, or `remove` removes it.
    package static func renameFolder(
        _ from: String, to path: String, isProvisional: Bool
    ) throws(StoreError) {
        try paths.withLock { paths throws(StoreError) in
            try retryingInterrupts("rename", path) { systemRename(from, path) }
            paths.folders.remove(from)
            if isProvisional { paths.folders.insert(path) }
        }
    }

    /// Removes a temporary or provisional file or folder, if it still is one.
    package static func remove(_ path: String) {
        paths.withLock { paths in
            if paths.files.remove(path) != nil { unlink(path) }
            if paths.folders.remove(path) != nil {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
    }

    /// Renames temporary files into place, in order, up to the first that fails.
    /// - Parameters:
    ///   - isProvisional: they stay pending under their new names.
    ///   - settling: paths of provisional files and folders that are no longer pending once all are
    ///     renamed.
    static func rename(
        _ files: [AtomicFile], isProvisional: Bool, settling: [String]
    ) throws(StoreError) {
        try paths.withLock { paths throws(StoreError) in
            for file in files {
                let (from, to) = (file.temporaryPath, file.path)
                try retryingInterrupts("rename", to) { systemRename(from, to) }
                paths.files.remove(from)
                if isProvisional { paths.files.insert(to) }
                file.wasRenamed()
            }
            paths.files.subtract(settling)
            paths.folders.subtract(settling)
        }
    }

    /// From now on SIGINT, SIGTERM and SIGHUP remove what is pending, then end the process as
    /// they do by default. A signal that is ignored stays ignored. Call once, at the start.
    package static func removeWhenSignalled() {
        for number in [SIGINT, SIGTERM, SIGHUP] where !patron_is_ignored(number) {
            #if canImport(Darwin)
            // There a source sees a signal beside its action, on Linux in place of it.
            signal(number, SIG_IGN)
            #endif
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { removeAll(andEndBy: number) }
            // Until it is registered, which another thread does, a signal would end the process.
            let registered = DispatchSemaphore(value: 0)
            source.setRegistrationHandler { registered.signal() }
            source.activate()
            registered.wait()
            // One that is released sees no more signals; these are wanted to the end.
            _ = Unmanaged.passRetained(source as AnyObject)
        }
    }

    private static let queue = DispatchQueue(label: "patron.signals", qos: .userInteractive)

    private static func removeAll(andEndBy number: Int32) {
        paths.withLock { paths in
            for path in paths.files { unlink(path) }
            for path in paths.folders { try? FileManager.default.removeItem(atPath: path) }
            patron_end_by(number)
        }
    }
}

/// rename(2) and link(2), hidden within `PendingFiles` by its own.
private func systemRename(_ from: String, _ to: String) -> Int32 { rename(from, to) }
private func systemLink(_ from: String, _ to: String) -> Int32 { link(from, to) }
