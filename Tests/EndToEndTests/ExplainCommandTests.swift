import Foundation
import PatronClient
import TestSupport
import Testing

/// `patron explain` of a workspace and of a server that serves it.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct ExplainCommandTests {
    @Test func aServerExplainsAsTheWorkspace() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetailer(folder, customers: 400)
            #expect(try Program.run(["run", "ws"], in: folder).code == 0)
            #expect(try Program.run(["score", "ws"], in: folder).code == 0)
            try await serving(folder.sub("ws")) { connection, server in
                try await connection.setLabel("canary", to: 2)
                let port = server.address.port ?? 0
                func explain(_ from: String, _ options: String) throws -> Program.Outcome {
                    let words = "explain \(from) \(options)"
                    return try Program.run(
                        words.split(separator: " ").map(String.init), in: folder)
                }
                let asked = "--connect 127.0.0.1:\(port)"
                var rules = 0
                for (id, name) in [
                    (10_000_001, "value"), (10_000_017, "value"), (10_000_399, "behaviour"),
                    (10_000_002, "tier"),
                ] {
                    for form in ["", "--json"] {
                        let options = "--customer \(id) --segmentation \(name) \(form)"
                        let local = try explain("ws", options)
                        let remote = try explain(asked, options)
                        guard local.code == 0 else {
                            // What is not explained here is not there either.
                            rules += 1
                            #expect(remote.code != 0, "\(remote.output)")
                            continue
                        }
                        #expect(remote.code == 0, "\(remote.errors)")
                        #expect(remote.output == local.output)
                        #expect(local.output.contains("\(id)") && local.output.contains(name))
                    }
                }
                #expect(rules == 2)
                let labelled = try explain(
                    asked, "--label canary --customer 10000001 --segmentation value --json")
                #expect(labelled.output.contains("\"generation\":2"), "\(labelled.errors)")
                let cases: [(options: String, code: Int32, words: String)] = [
                    ("--customer 5 --segmentation value", 1, "unknownCustomer"),
                    ("--customer x --segmentation value", 64, "whole numbers"),
                    ("--customer 10000001 --segmentation none", 1, "unknownSegmentation"),
                    (
                        "--label none --customer 10000001 --segmentation value", 1, "unknownLabel"
                    ),
                ]
                for (options, code, words) in cases {
                    let outcome = try explain(asked, options)
                    #expect(outcome.code == code, "\(options): \(outcome.errors)")
                    #expect(outcome.errors.contains(words), "\(options): \(outcome.errors)")
                }
            }
        }
    }
}
