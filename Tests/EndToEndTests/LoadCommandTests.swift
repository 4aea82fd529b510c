import Foundation
import TestSupport
import Testing

/// `patron load` against a server of this process, and what it says of wrong options.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct LoadCommandTests {
    private func object(_ outcome: Program.Outcome) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
        return try #require(object as? [String: Any])
    }

    @Test func everyOperationIsAnswered() async throws {
        try await inTemporaryFolder { folder in
            _ = try makeRetailer(folder, customers: 300)
            let made = try Program.run(["run", "ws"], in: folder)
            #expect(made.code == 0, "\(made.errors)")
            try folder.write(
                (1...20).map { "P\(String(1_000_000 + $0).dropFirst())\n" }.joined(),
                as: "products.txt")
            try await serving(folder.sub("ws")) { _, server in
                let address = "127.0.0.1:\(server.address.port ?? 0)"
                func load(_ options: String) throws -> Program.Outcome {
                    let words = options.split(separator: " ").map(String.init)
                    return try Program.run(["load", "--connect", address] + words, in: folder)
                }
                let operations = [
                    "ping", "describe", "lookup", "top-products", "top-customers",
                    "similar-customers", "similar-products", "segments", "segment-profiles",
                    "offer-products", "offer-customers", "count", "audience", "scan",
                ]
                let all = try load(
                    """
                    --rate 300 --duration 0.5 --warm-up 0 --connections 3 --ids-per-request 4 \
                    --pipeline 4 --threads 2 --id-range 10000001-10000300 --products products.txt \
                    --rule revenue>=0 --check-every 1 --plot all.svg --json --mix \(operations.joined(separator: ","))
                    """)
                #expect(all.code == 0, "\(all.errors)")
                let report = try object(all)
                let rows = try #require(report["operations"] as? [[String: Any]])
                #expect(rows.compactMap { $0["name"] as? String } == operations)
                for row in rows {
                    #expect((row["count"] as? Int ?? 0) > 0, "\(row)")
                    #expect((row["errors"] as? [String: Int]) == [:], "\(row)")
                    #expect(row["unanswered"] as? Int == 0, "\(row)")
                }
                #expect(rows[2]["keysChecked"] as? Int == (rows[2]["count"] as? Int ?? 0) * 4)
                #expect(rows[2]["keysFound"] as? Int == rows[2]["keysChecked"] as? Int)
                let picture = try String(contentsOfFile: folder.sub("all.svg"), encoding: .utf8)
                #expect(picture.components(separatedBy: "<polyline").count == 15)
                for row in rows.suffix(2) {
                    #expect((row["bytesPerSecond"] as? Double ?? 0) > 0, "\(row)")
                    #expect((row["chunks"] as? Int ?? 0) >= (row["count"] as? Int ?? 0), "\(row)")
                }
                #expect(rows[2]["bytesPerSecond"] == nil)

                let one = "--id-range 10000001-10000300 --duration 0.2 --warm-up 0"
                let closed = try load("\(one) --closed --keys zipf:0.99 --columns revenue margin")
                #expect(closed.code == 0, "\(closed.errors)")
                #expect(closed.output.contains("closed loop"), "\(closed.output)")
                let beside = try object(
                    try load(
                        """
                        \(one) --closed --background-scan 2 --idle-connections 20 --json \
                        --server-pid \(ProcessInfo.processInfo.processIdentifier)
                        """))
                let scans = try #require(beside["background"] as? [String: Any])
                #expect((scans["bytesPerSecond"] as? Double ?? 0) > 0, "\(scans)")
                #expect((scans["count"] as? Int ?? 0) > 0, "\(scans)")
                #expect((scans["errors"] as? [String: Int]) == [:], "\(scans)")
                let idle = try #require(beside["idle"] as? [String: Any])
                #expect(idle["connections"] as? Int == 20 && idle["alive"] as? Int == 20)
                #expect((idle["serverBytesBefore"] as? Int ?? 0) > 1 << 20)
                let search = try load("\(one) --saturate --steps 2 --p99-limit 1s --json")
                let searched = try object(search)
                #expect((searched["steps"] as? [Any])?.isEmpty == false)
                #expect((searched["closedLoopRate"] as? Double ?? 0) > 0)
                let missing = try load(
                    "--id-range 1-9 --duration 0.2 --warm-up 0 --rate 100 --check-every 1")
                #expect(
                    missing.output.contains("20 of 20 keys looked at were not found")
                        || missing.output.contains("keys looked at were not found"),
                    "\(missing.output)")

                let wrong: [(options: String, code: Int32, words: String)] = [
                    ("\(one) --closed --columns nonsense", 64, "there is no column nonsense"),
                    ("\(one) --closed --pipeline 5000", 64, "--pipeline 5000 is more"),
                    ("\(one) --closed --protocol redis", 69, "found Patron's protocol"),
                    ("--closed --product-range 1-9 --mix top-customers", 64, "ids are texts"),
                    ("--closed --mix count", 64, "need --rule"),
                    ("--closed --mix audience --rule nonsense>1", 1, "invalidRule"),
                    ("--closed --mix scan --pipeline 17", 64, "--pipeline is at most 16"),
                    ("--closed --mix ping --idle-connections 1000", 69, "tooManyConnections"),
                ]
                for (options, code, words) in wrong {
                    let outcome = try load(options)
                    #expect(outcome.code == code, "\(options): \(outcome.errors)")
                    #expect(outcome.errors.contains(words), "\(options): \(outcome.errors)")
                }
            }
        }
    }

    @Test func wrongOptionsAreTold() throws {
        try withTemporaryFolder { folder in
            try folder.write("\n\n", as: "empty.txt")
            try folder.write("{}", as: "other.json")
            let cases: [(options: String, code: Int32, words: String)] = [
                ("--connect 127.0.0.1:1", 64, "--rate"),
                ("--connect 127.0.0.1:1 --rate 1 --closed", 64, "--rate"),
                ("--connect nowhere --closed", 64, "HOST:PORT"),
                ("--connect 127.0.0.1:0 --closed", 64, "not 0"),
                ("--connect 127.0.0.1:1 --closed --id-range 1-9", 69, "cannot connect"),
                ("--connect no.such.host.invalid:1 --closed --id-range 1-9", 69, "no.such.host"),
                ("--connect 127.0.0.1:1 --rate 0 --protocol redis --id-range 1-9", 64, "--rate"),
                ("--connect 127.0.0.1:1 --closed --protocol redis", 64, "--id-range"),
                ("--connect 127.0.0.1:1 --closed --protocol redis --ids empty.txt", 65, "no id"),
                ("--connect 127.0.0.1:1 --closed --protocol redis --ids none.txt", 65, "none.txt"),
                ("--connect 127.0.0.1:1 --closed --protocol http", 64, "protocol"),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 9-1", 64,
                    "FIRST-LAST"
                ),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 1-9 --mix ping", 64,
                    "--mix"
                ),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 1-9 --keys z", 64,
                    "zipf:0.99"
                ),
                ("--connect 127.0.0.1:1 --closed --duration soon", 64, "500ms"),
                ("--connect 127.0.0.1:1 --closed --duration 0", 69, "cannot connect"),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 1-9 --duration 0",
                    64, "--duration"
                ),
                ("--connect 127.0.0.1:1 --rate 9 --arrivals never --protocol redis", 64, "poisson"),
                ("--connect 127.0.0.1:1 --closed --compare other.json", 64, "--plot"),
                ("--connect 127.0.0.1:1 --closed --server-pid 1", 64, "--idle-connections"),
                ("--connect 127.0.0.1:1 --closed --token a --token-file b", 64, "either"),
                ("--connect 127.0.0.1:1 --closed --token-file none.txt", 74, "none.txt"),
                ("--connect 127.0.0.1:1 --closed --protocol redis --token a", 64, "--token"),
                ("--connect 127.0.0.1:1 --closed --protocol redis --tls", 64, "--tls"),
                ("--connect 127.0.0.1:1 --closed --ca a.pem", 64, "--tls"),
                ("--connect 127.0.0.1:1 --closed --tls --ca a.pem", 64, "a.pem"),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 1-9 --label a", 64,
                    "--label"
                ),
                (
                    "--connect 127.0.0.1:1 --closed --protocol redis --id-range 1-9 --background-scan 1",
                    64, "--background-scan"
                ),
                (
                    "--connect 127.0.0.1:1 --closed --plot x.svg --compare none.json", 74,
                    "none.json"
                ),
                (
                    "--connect 127.0.0.1:1 --closed --plot x.svg --compare other.json", 65,
                    "other.json"
                ),
            ]
            for (options, code, words) in cases {
                let arguments = options.split(separator: " ").map(String.init)
                let outcome = try Program.run(["load"] + arguments, in: folder)
                #expect(outcome.code == code, "\(options): \(outcome.errors)")
                #expect(outcome.errors.contains(words), "\(options): \(outcome.errors)")
                #expect(outcome.output.isEmpty, "\(options): \(outcome.output)")
            }
        }
    }
}
