import Engine
import Foundation
import Server
import Testing

/// The manifest is read when it has changed, and not five times a second.
@Suite struct ManifestWatchTests {
    @Test func aManifestIsReadWhenItChanges() async throws {
        try await withLiveWorkspace { folder in
            let path = URL(fileURLWithPath: "\(folder)/MANIFEST")
            let bytes = try Data(contentsOf: path)
            let manifest = ManifestWatch(folder)
            for _ in 0..<100 { #expect(try manifest.location() == nil) }
            #expect(manifest.readCount == 1)
            // Once more when its change is a second old, and never again.
            try await Task.sleep(for: .milliseconds(1_100))
            for _ in 0..<100 { _ = try manifest.location() }
            #expect(manifest.readCount == 2)
            try await Task.sleep(for: .milliseconds(100))
            for _ in 0..<100 { _ = try manifest.location() }
            #expect(manifest.readCount == 2)
            // Another file with the same bytes.
            try bytes.write(to: path, options: .atomic)
            for _ in 0..<100 { _ = try manifest.location() }
            #expect(manifest.readCount == 3)
            // One that cannot be read is tried at every question.
            try Data("no manifest".utf8).write(to: path, options: .atomic)
            for _ in 0..<5 {
                #expect(throws: EngineError.self) { _ = try manifest.location() }
            }
            #expect(manifest.readCount == 8)
            try bytes.write(to: path, options: .atomic)
            for _ in 0..<5 { #expect(try manifest.location() == nil) }
            #expect(manifest.readCount == 9)
        }
    }

    /// Two writes in one step of the file system's clock, which leave the same stamp, are seen.
    @Test func theSecondOfTwoWritesIsSeen() async throws {
        try await withLiveWorkspace { folder in
            let path = "\(folder)/MANIFEST"
            let manifest = ManifestWatch(folder)
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            defer { try? file.close() }
            let bytes = try #require(try file.readToEnd())
            _ = try manifest.location()
            // In place, so that only the times could tell; a byte that the checksum covers.
            try file.seek(toOffset: UInt64(bytes.count - 1))
            try file.write(contentsOf: Data([bytes[bytes.count - 1] ^ 1]))
            for _ in 0..<400 {
                do { _ = try manifest.location() } catch { break }
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(throws: EngineError.self) { _ = try manifest.location() }
        }
    }
}
