import Foundation
import Synthetic
import TestSupport
import Testing

/// The commands about retention, as people and scripts run them.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct RetentionCommandTests {
    private func run(_ command: String, in folder: URL) throws -> Program.Outcome {
        try Program.run(command.split(separator: " ").map(String.init), in: folder)
    }

    private func object(_ command: String, in folder: URL) throws -> [String: Any] {
        let outcome = try run(command + " --json", in: folder)
        #expect(outcome.code == 0, "\(command): \(outcome.errors)")
        let parsed = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
        return try #require(parsed as? [String: Any], "\(command): \(outcome.output)")
    }

    private func prepare(_ folder: URL, customers: Int) throws {
        for command in [
            "generate data --customers \(customers) --days 600 --products 60",
            "init ws --plan data/patron.yaml", "ingest ws",
        ] {
            let outcome = try run(command, in: folder)
            #expect(outcome.code == 0, "\(command): \(outcome.errors)")
        }
    }

    @Test func cohortsAndSurvival() throws {
        try withTemporaryFolder { folder in
            try prepare(folder, customers: 2_000)
            let cohorts = try object("cohorts ws --out cohorts.csv", in: folder)
            let all = try #require(cohorts["cohorts"] as? [[String: Any]])
            let members = all.compactMap { $0["customerCount"] as? Int }.reduce(0, +)
            #expect(members == cohorts["customerCount"] as? Int && members > 1_500)
            let csv = try String(contentsOfFile: folder.sub("cohorts.csv"), encoding: .utf8)
            let cells = all.compactMap { ($0["cells"] as? [Any])?.count }.reduce(0, +)
            #expect(csv.split(separator: "\n").count == cells + 1)
            let one = try run("cohorts ws --grid week --threads 1 --json", in: folder)
            let three = try run("cohorts ws --grid week --threads 3 --json", in: folder)
            #expect(one.code == 0 && one.output == three.output)
            let text = try run("cohorts ws", in: folder)
            #expect(text.code == 0 && text.output.contains("share with an order"))

            let command = "survival ws --by gender --factors gender age city interests"
            let survival = try object(command + " --out curves.csv", in: folder)
            let overall = try #require(survival["overall"] as? [String: Any])
            let points = try #require(overall["points"] as? [[String: Any]])
            let shares = points.compactMap { $0["survival"] as? Double }
            #expect(shares.count > 5 && zip(shares, shares.dropFirst()).allSatisfy { $0 >= $1 })
            let first = try run(command + " --threads 1 --json", in: folder)
            let second = try run(command + " --threads 3 --json", in: folder)
            #expect(first.output == second.output)
            let words = try run(command, in: folder)
            #expect(words.output.contains("log-rank test") && words.output.contains("hazard ratio"))

            for (command, code, words) in [
                ("survival ws --by orderCount", 64, "who stays longer"),
                ("survival ws --gap soon", 64, "--gap"),
                ("survival ws --gap 100m", 65, "shorter --gap"),
                ("cohorts ws --grid year", 64, "--grid"),
                ("cohorts ws --out none/x.csv", 74, "none/x.csv"),
            ] {
                let outcome = try run(command, in: folder)
                #expect(outcome.code == Int32(code), "\(command): \(outcome.code)")
                #expect(outcome.errors.contains(words), "\(command): \(outcome.errors)")
            }
        }
    }

    @Test func tiersAndHistory() throws {
        try withTemporaryFolder { folder in
            try prepare(folder, customers: 1_500)
            let missing = try run("tiers ws", in: folder)
            #expect(missing.code == 1 && missing.errors.contains("patron train"))
            let trained = try run("train ws --only lifetime", in: folder)
            #expect(trained.code == 0, "\(trained.errors)")

            let tiers = try object("tiers ws --since 2024-06-01 --out map.csv", in: folder)
            let all = try #require(tiers["tiers"] as? [[String: Any]])
            let counts = all.compactMap { $0["customerCount"] as? Int }
            #expect(counts.count == 4 && counts.reduce(0, +) > 1_000)
            let cells = try #require(tiers["cells"] as? [Any])
            let map = try String(contentsOfFile: folder.sub("map.csv"), encoding: .utf8)
            #expect(map.split(separator: "\n").count == cells.count + 1)
            let one = try run("tiers ws --threads 1 --json", in: folder)
            let three = try run("tiers ws --threads 3 --json", in: folder)
            #expect(one.code == 0 && one.output == three.output)
            let text = try run("tiers ws --since 2024-06-01", in: folder)
            #expect(text.output.contains("from tier") && text.output.contains("yardstick"))

            let path = try object("history ws --customer 10000001 --out path.csv", in: folder)
            let steps = try #require(path["steps"] as? [[String: Any]])
            #expect(steps.allSatisfy { $0["probabilityAlive"] as? Double != nil })
            let orders = try #require(path["orders"] as? [Any])
            let csv = try String(contentsOfFile: folder.sub("path.csv"), encoding: .utf8)
            #expect(csv.split(separator: "\n").count == 1 + steps.count + orders.count)
            let words = try run("history ws --customer 10000001 --step 13w", in: folder)
            #expect(words.code == 0 && words.output.contains("P(alive)"))

            for (command, code, words) in [
                ("history ws --customer 5", 65, "customer 5"),
                ("history ws --customer joe", 65, "whole numbers"),
                ("history ws", 64, "--customer"),
                ("history ws --customer 10000001 --step 0", 64, "--step"),
                ("tiers ws --since 2124-01-01", 64, "--since"),
                ("tiers ws --as-of 2024-01-01", 1, "train"),
            ] {
                let outcome = try run(command, in: folder)
                #expect(outcome.code == Int32(code), "\(command): \(outcome.code)")
                #expect(outcome.errors.contains(words), "\(command): \(outcome.errors)")
            }
        }
    }
}
