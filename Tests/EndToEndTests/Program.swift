import Foundation
import Testing

/// The built program, where it lies beside the tests.
enum Program {
    /// `patron` in the folder of the test bundle; nil where it was not built.
    static let path: String? = {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let path = folder.appendingPathComponent("patron").path
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }()

    struct Outcome {
        var code: Int32
        var output: String
        var errors: String
    }

    /// Runs the program; its output goes to files, so that no pipe can fill up.
    static func run(
        _ arguments: [String], in folder: URL, output: String? = nil
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(path))
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let paths = [output ?? folder.sub("stdout"), folder.sub("stderr")]
        for path in paths where output != path {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: paths[0]))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: paths[1]))
        try process.run()
        process.waitUntilExit()
        func text(_ path: String) throws -> String {
            try output == path ? "" : String(contentsOfFile: path, encoding: .utf8)
        }
        return Outcome(
            code: process.terminationStatus, output: try text(paths[0]),
            errors: try text(paths[1]))
    }
}
