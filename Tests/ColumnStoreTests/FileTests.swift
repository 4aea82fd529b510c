import ColumnStore
import Foundation
import Testing

@Suite(.serialized) struct FileTests {
    @Test func atomicFileReplaces() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a")
        try AtomicFile.write([1, 2, 3], to: path)
        let file = try AtomicFile(path: path)
        try file.write([4])
        #expect(try folder.bytes("a") == [1, 2, 3])
        try file.write([5])
        try file.commit()
        #expect(try folder.bytes("a") == [4, 5])
        #expect(folder.names == ["a"])
        #expect(throws: StoreError.self) { try file.write([6]) }
    }

    @Test func abandonedAndReleasedFilesLeaveNothing() throws {
        let folder = try TemporaryFolder()
        try AtomicFile.write([1], to: folder.file("a"))
        let file = try AtomicFile(path: folder.file("a"))
        try file.write([2])
        file.abandon()
        do {
            let released = try AtomicFile(path: folder.file("a"))
            try released.write([3])
        }
        #expect(folder.names == ["a"])
        #expect(try folder.bytes("a") == [1])
    }

    /// Two files on their way to one name do not touch each other; the later commit stays.
    @Test func twoFilesOfOneName() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a")
        var first: AtomicFile? = try AtomicFile(path: path)
        try first?.write([1])
        try first?.commit()
        let second = try AtomicFile(path: path)
        let third = try AtomicFile(path: path)
        try third.write([3])
        first = nil
        try second.write([2])
        third.abandon()
        try second.commit()
        #expect(try folder.bytes("a") == [2])
        #expect(folder.names == ["a"])
    }

    /// A rename over `/dev/stdout` would take it away from everybody.
    @Test func onlyOrdinaryFilesAreReplaced() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.file("folder"), withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("link"), withDestinationPath: "/dev/stdout")
        for path in [folder.file("folder"), folder.file("link"), "/dev/null"] {
            #expect(throws: StoreError.self) { try AtomicFile(path: path) }
        }
        #expect(folder.names.sorted() == ["folder", "link"])
    }

    /// One that cannot be finished keeps the others back.
    @Test func severalFilesAppearTogether() throws {
        let folder = try TemporaryFolder()
        try AtomicFile.write([1], to: folder.file("a"))
        let first = try AtomicFile(path: folder.file("a"))
        let second = try AtomicFile(path: folder.file("b"))
        try first.write([2])
        second.abandon()
        #expect(throws: StoreError.self) { try AtomicFile.commit([first, second]) }
        #expect(folder.names == ["a"])
        #expect(try folder.bytes("a") == [1])
        let files = try ["a", "b"].map { try AtomicFile(path: folder.file($0)) }
        for file in files { try file.write([3]) }
        #expect(try folder.bytes("a") == [1])
        try AtomicFile.commit(files)
        #expect(folder.names.sorted() == ["a", "b"])
        #expect(try folder.bytes("a") == [3] && folder.bytes("b") == [3])
    }

    /// A pipe without a writer would hold up who opens it for reading.
    @Test(.timeLimit(.minutes(1)))
    func onlyRegularFilesAreMapped() throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
        for path in [folder.file("pipe"), folder.path, "/dev/null"] {
            #expect(throws: StoreError.notAStoreFile(path: path, expected: "a regular file")) {
                try MappedFile(path: path)
            }
        }
    }

    @Test func whichFileAPathLeadsTo() throws {
        let folder = try TemporaryFolder()
        try AtomicFile.write([1], to: folder.file("a"))
        try AtomicFile.write([1], to: folder.file("b"))
        try FileManager.default.linkItem(atPath: folder.file("a"), toPath: folder.file("hard"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("soft"), withDestinationPath: "a")
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("here"), withDestinationPath: folder.path)
        let file = FileIdentity(folder.file("a"))
        for name in ["a", "./a", "hard", "soft", "here/a"] {
            #expect(file.isSame(as: FileIdentity(folder.file(name))), "\(name)")
        }
        for name in ["b", "none", "none/a"] {
            #expect(!file.isSame(as: FileIdentity(folder.file(name))), "\(name)")
        }
        // Files that are not there yet.
        let new = FileIdentity(folder.file("new"))
        #expect(new.isSame(as: FileIdentity(folder.file("here/new"))))
        #expect(!new.isSame(as: FileIdentity(folder.file("newer"))))
    }

    @Test func failingRenameLeavesThePreviousState() throws {
        let folder = try TemporaryFolder()
        let file = try AtomicFile(path: folder.file("taken"))
        try file.write([1])
        try FileManager.default.createDirectory(
            atPath: folder.file("taken"), withIntermediateDirectories: false)
        #expect(throws: StoreError.self) { try file.commit() }
        #expect(folder.names == ["taken"])
        #expect(throws: StoreError.self) { try AtomicFile(path: folder.file("")) }
    }

    /// A file-size limit stands in for a full disk: both fail in write(2).
    @Test func failingWriteLeavesThePreviousState() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a")
        try AtomicFile.write([1], to: path)
        signal(SIGXFSZ, SIG_IGN)
        var saved = rlimit()
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        #else
        let resource = RLIMIT_FSIZE
        #endif
        getrlimit(resource, &saved)
        // Far above what other tests of the process write at the same time.
        let limit = 128 << 20
        var low = rlimit(rlim_cur: rlim_t(limit), rlim_max: saved.rlim_max)
        setrlimit(resource, &low)
        defer { setrlimit(resource, &saved) }
        let file = try AtomicFile(path: path)
        let megabyte = [UInt8](repeating: 7, count: 1 << 20)
        #expect {
            for _ in 0...128 { try file.write(megabyte) }
        } throws: { error in
            guard case StoreError.system(let system) = error else { return false }
            return system.operation == "write" && system.code == EFBIG && system.path == path
                && "\(system)".contains("limit")
        }
        #expect(folder.names == ["a"])
        #expect(try folder.bytes("a") == [1])
    }

    @Test func lockIsExclusive() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("LOCK")
        do {
            let lock = try FolderLock(folder: folder.path)
            #expect(lock.path == path)
            #expect(throws: StoreError.locked(path: path, processID: getpid())) {
                try FolderLock(folder: folder.path)
            }
            withExtendedLifetime(lock) {}
        }
        let again = try FolderLock(folder: folder.path)
        withExtendedLifetime(again) {}
        #expect(throws: StoreError.self) { try FolderLock(folder: folder.file("none")) }
    }

    @Test func mappedFileChecksBounds() throws {
        let folder = try TemporaryFolder()
        try folder.write([1, 2, 3, 4], "a")
        try folder.write([], "empty")
        let file = try MappedFile(path: folder.file("a"))
        #expect(file.withBytes { $0.byteCount } == 4)
        #expect(try file.withBytes(at: 2, count: 2) { $0.byteCount } == 2)
        #expect(try file.withBytes(at: 4, count: 0) { $0.byteCount } == 0)
        for (offset, count) in [(0, 5), (5, 0), (-1, 1), (1, -1), (1, Int.max), (Int.max, 1)] {
            #expect(throws: StoreError.self) {
                try file.withBytes(at: offset, count: count) { _ in }
            }
        }
        #expect(try MappedFile(path: folder.file("empty")).byteCount == 0)
        #expect(throws: StoreError.self) { try MappedFile(path: folder.path) }
        #expect {
            try MappedFile(path: folder.file("none"))
        } throws: { error in
            guard case StoreError.system(let system) = error else { return false }
            return system.isMissingFile && "\(error)".contains("none: open: No such file")
        }
    }
}
