package import Foundation

/// Real data sets for tests: looked for in the folder PATRON_TEST_DATA, else in `shared/data`
/// beside the checkout. Tests that need one skip, and say so, where it is absent.
package enum TestData {
    package static let folder: URL? = {
        if let named = ProcessInfo.processInfo.environment["PATRON_TEST_DATA"] {
            return existing(URL(fileURLWithPath: named, isDirectory: true))
        }
        let packageRoot = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return existing(
            packageRoot.deletingLastPathComponent().appendingPathComponent("shared/data"))
    }()

    /// The file `name` below the data folder; nil, with a printed message, where it is absent.
    package static func file(_ name: String) -> URL? {
        if let url = folder.map({ $0.appendingPathComponent(name) }), existing(url) != nil {
            return url
        }
        print("skipped: \(name) is not here (set PATRON_TEST_DATA to the folder that holds it)")
        return nil
    }

    private static func existing(_ url: URL) -> URL? {
        FileManager.default.fileExists(atPath: url.path) ? url : nil
    }
}

/// An empty folder of its own for one test, removed when `body` ends.
package func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// The same for asynchronous tests.
package func inTemporaryFolder<Result>(
    _ body: (URL) async throws -> Result
) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("patron-test-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
