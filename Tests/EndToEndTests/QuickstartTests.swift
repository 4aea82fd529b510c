import Foundation
import Testing

/// The arguments of `tools/quickstart` are judged before anything is installed or built.
@Suite struct QuickstartTests {
    private static let cases: [(words: [String], code: Int32, said: String)] = [
        (["--customers"], 64, "--customers needs a value"),
        (["--keep"], 64, "--keep needs a value"),
        (["--keep", "--customers"], 64, "--keep needs a value"),
        (["--customers", "x"], 64, "not x"), (["--customers", "0"], 64, "not 0"),
        (["--customers", "-5"], 64, "not -5"), (["--cutsomers", "5"], 64, "unknown argument"),
        (["--help"], 0, ""),
    ]

    @Test(arguments: cases)
    func arguments(words: [String], code: Int32, said: String) throws {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["bash", root.appendingPathComponent("tools/quickstart").path] + words
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        process.waitUntilExit()
        let text = { (pipe: Pipe) in
            String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }
        #expect(process.terminationStatus == code)
        let (printed, complaint) = (text(output), text(errors))
        #expect((code == 0 ? printed : complaint).contains("usage: tools/quickstart"))
        #expect(said.isEmpty ? complaint.isEmpty : complaint.contains(said))
    }
}
