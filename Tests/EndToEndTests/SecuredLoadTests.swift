import Foundation
import PatronClient
import Server
import TestSupport
import Testing

/// `patron load` by TLS, and of the generation with a label.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct SecuredLoadTests {
    private func certificate(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/tls/\(name)").path
    }

    private func object(_ outcome: Program.Outcome) throws -> [String: Any] {
        #expect(outcome.code == 0, "\(outcome.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
        return try #require(object as? [String: Any])
    }

    private static let one = "--id-range 10000001-10000300 --duration 0.3 --warm-up 0"

    @Test func everythingIsAnsweredByTLS() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetailer(folder, customers: 300)
            #expect(try Program.run(["run", "ws"], in: folder).code == 0)
            try folder.write(
                (1...20).map { "P\(String(1_000_000 + $0).dropFirst())\n" }.joined(),
                as: "products.txt")
            let (ca, client) = (certificate("ca.pem"), certificate("client.pem"))
            let key = certificate("client.key")
            let trust = PatronTLS(authoritiesPath: ca, certificatePath: client, keyPath: key)
            let files = TLSFiles(
                certificatePath: certificate("server.pem"), keyPath: certificate("server.key"),
                clientCAPath: ca)
            try await serving(folder.sub("ws"), tls: files, trust: trust) { _, server in
                func load(_ options: String) throws -> Program.Outcome {
                    let words = "load --connect 127.0.0.1:\(server.address.port ?? 0) \(options)"
                    return try Program.run(
                        words.split(separator: " ").map(String.init), in: folder)
                }
                let secured = "--tls --ca \(ca) --client-cert \(client) --client-key \(key)"
                let operations =
                    "ping,describe,lookup,top-products,top-customers,segments,offer-products,count,scan"
                let all = try object(
                    try load(
                        """
                        \(secured) --rate 300 --duration 0.6 --warm-up 0 --connections 3 --json \
                        --ids-per-request 4 --pipeline 4 --threads 2 --rule revenue>=0 \
                        --id-range 10000001-10000300 --products products.txt --check-every 1 \
                        --mix \(operations)
                        """))
                #expect(all["tls"] as? Bool == true && all["label"] == nil)
                let rows = try #require(all["operations"] as? [[String: Any]])
                #expect(rows.count == 9)
                for row in rows {
                    #expect((row["count"] as? Int ?? 0) > 0, "\(row)")
                    #expect((row["errors"] as? [String: Int]) == [:], "\(row)")
                    #expect(row["unanswered"] as? Int == 0, "\(row)")
                }
                // Answers of many TLS records, several at a time, beside scans and silence.
                let large = try object(
                    try load(
                        """
                        \(secured) \(Self.one) --closed --ids-per-request 3000 --pipeline 8 \
                        --connections 4 --threads 2 --check-every 1 --background-scan 1 \
                        --idle-connections 3 --json
                        """))
                let lookups = try #require((large["operations"] as? [[String: Any]])?.first)
                #expect((lookups["count"] as? Int ?? 0) > 0, "\(lookups)")
                #expect((lookups["errors"] as? [String: Int]) == [:], "\(lookups)")
                #expect(lookups["keysFound"] as? Int == lookups["keysChecked"] as? Int)
                let scans = try #require(large["background"] as? [String: Any])
                #expect((scans["count"] as? Int ?? 0) > 0, "\(scans)")
                #expect((large["idle"] as? [String: Any])?["alive"] as? Int == 3)
                #expect(large["lostConnections"] as? Int == 0)
                let text = try load("\(secured) \(Self.one) --closed")
                #expect(text.output.contains("patron with TLS"), "\(text.output)")

                let stranger = certificate("stranger.pem")
                let wrong: [(options: String, words: String)] = [
                    ("", "this port speaks TLS"), ("--tls --ca \(ca)", "certificate"),
                    (
                        "--tls --ca \(stranger) --client-cert \(client) --client-key \(key)",
                        "no authority that is trusted here"
                    ),
                ]
                for (options, words) in wrong {
                    let outcome = try load("\(options) \(Self.one) --closed")
                    #expect(outcome.code == 69, "\(options): \(outcome.errors)")
                    #expect(outcome.errors.contains(words), "\(options): \(outcome.errors)")
                }
            }
            try await serving(folder.sub("ws")) { _, server in
                let words =
                    "load --connect 127.0.0.1:\(server.address.port ?? 0) --tls \(Self.one) --closed"
                let outcome = try Program.run(
                    words.split(separator: " ").map(String.init), in: folder)
                #expect(outcome.code == 69, "\(outcome.errors)")
                #expect(outcome.errors.contains("does not speak TLS"), "\(outcome.errors)")
            }
        }
    }

    /// The generation with the label is of an earlier day: it has fewer customers.
    @Test func labelledGenerationsAnswer() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetailer(folder, customers: 300)
            #expect(try Program.run(["run", "ws"], in: folder).code == 0)
            let early = try scoreEarlier(folder)
            #expect(early.code == 0, "\(early.errors)")
            try await serving(folder.sub("ws")) { connection, server in
                try await connection.setLabel("canary", to: 2)
                let canary = try await connection.labelled("canary").describe()
                #expect((1..<300).contains(canary.customerCount))
                func load(_ options: String) throws -> Program.Outcome {
                    let words = "load --connect 127.0.0.1:\(server.address.port ?? 0) \(options)"
                    return try Program.run(
                        words.split(separator: " ").map(String.init), in: folder)
                }
                let checked = "\(Self.one) --closed --check-every 1 --ids-per-request 50 --json"
                func shareFound(_ report: [String: Any]) throws -> Double {
                    let rows = try #require(report["operations"] as? [[String: Any]])
                    return Double(rows[0]["keysFound"] as? Int ?? 0)
                        / Double(rows[0]["keysChecked"] as? Int ?? 0)
                }
                let labelled = try object(try load("--label canary \(checked)"))
                #expect(labelled["label"] as? String == "canary")
                let found = try shareFound(labelled)
                #expect(abs(found - Double(canary.customerCount) / 300) < 0.1, "\(found)")
                #expect(try shareFound(try object(try load(checked))) == 1)
                // PING takes no label; streams do.
                let mixed = try load(
                    "--label canary \(Self.one) --closed --mix ping,scan,lookup --columns revenue")
                #expect(mixed.code == 0 && mixed.output.contains("label canary"), "\(mixed.errors)")
                #expect(!mixed.output.contains("times"), "\(mixed.output)")
                let unknown = try load("--label canari \(checked)")
                #expect(unknown.code == 69 && unknown.errors.contains("unknownLabel"))
            }
        }
    }

    /// Scores as of the middle of the purchases.
    private func scoreEarlier(_ folder: URL) throws -> Program.Outcome {
        let text = try String(contentsOfFile: folder.sub("data/purchases.csv"), encoding: .utf8)
        let lines = text.split(separator: "\n")
        let names = lines[0].split(separator: ",")
        let place = try #require(names.firstIndex { $0.contains("time") || $0.contains("date") })
        let days = lines.dropFirst().map { $0.split(separator: ",")[place].prefix(10) }.sorted()
        let day = String(days[days.count / 2])
        let trained = try Program.run(["train", "ws", "--as-of", day], in: folder)
        #expect(trained.code == 0, "\(trained.errors)")
        return try Program.run(["score", "ws", "--as-of", day], in: folder)
    }
}
