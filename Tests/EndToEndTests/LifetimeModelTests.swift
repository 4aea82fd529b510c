import Engine
import Foundation
import Models
import Synthetic
import TestSupport
import Testing

/// The models of repeat purchases that a plan may name, from files to scores.
@Suite struct LifetimeModelTests {
    @Test func eachModelIsTrainedAndScored() throws {
        try withTemporaryFolder { folder in
            var parameters = Retailer.Parameters()
            parameters.customerCount = 1_000
            _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
            let planPath = folder.sub("data/\(Retailer.FileName.plan)")
            let plan = try String(contentsOfFile: planPath, encoding: .utf8)
            #expect(plan.contains("model: bgnbd"))
            let names: [PurchaseModelKind: [String]] = [
                .bgnbd: ["r", "alpha", "a", "b"], .mbgnbd: ["r", "alpha", "a", "b"],
                .paretonbd: ["r", "alpha", "s", "beta"], .nbd: ["r", "alpha"],
            ]
            var expected: [PurchaseModelKind: Double] = [:]
            for kind in PurchaseModelKind.allCases {
                try plan.replacingOccurrences(of: "model: bgnbd", with: "model: \(kind.rawValue)")
                    .write(toFile: planPath, atomically: true, encoding: .utf8)
                let path = folder.sub(kind.rawValue)
                try Workspace.create(folder: path, planPath: planPath)
                let workspace = try Workspace(folder: path, access: .writing)
                _ = try workspace.ingest()
                let trained = try workspace.train(only: ["lifetime"], threadCount: 2)
                let card = try #require(trained.models.first)
                #expect(card.algorithm == "\(kind.rawValue)+gammagamma")
                #expect(card.warnings.isEmpty, "\(card.warnings)")
                for name in try #require(names[kind]) {
                    let (value, error) = (
                        try #require(card.diagnostics[name]),
                        try #require(card.diagnostics["standardError.\(name)"])
                    )
                    #expect(value > 0 && error > 0 && error < 2 * value, "\(kind) \(name)")
                }
                _ = try workspace.score(csvPath: path + ".csv", threadCount: 2)
                let lines = try String(contentsOfFile: path + ".csv", encoding: .utf8)
                    .split(separator: "\n")
                let header = lines[0].split(separator: ",")
                let column = try #require(header.firstIndex(of: "expected_purchases"))
                var sum = 0.0
                for line in lines.dropFirst() {
                    let field = line.split(
                        separator: ",", omittingEmptySubsequences: false)[column]
                    if !field.isEmpty { sum += try #require(Double(field)) }
                }
                expected[kind] = sum
            }
            // Nobody leaves in the last one: it expects more than those who know that some do.
            let never = try #require(expected[.nbd])
            for kind in [PurchaseModelKind.bgnbd, .mbgnbd, .paretonbd] {
                let sum = try #require(expected[kind])
                #expect(sum > 0 && sum < never, "\(expected)")
            }
        }
    }

    /// Coefficients of covariates, and how far one customer may be from the expectation.
    @Test(.enabled(if: Program.path != nil)) func theProgramPrintsCovariatesAndQuantiles() throws {
        try withTemporaryFolder { folder in
            var parameters = Retailer.Parameters()
            parameters.customerCount = 1_000
            _ = try Retailer(parameters).generate(into: folder.sub("data"), threadCount: 2)
            let planPath = folder.sub("data/\(Retailer.FileName.plan)")
            let plan = try String(contentsOfFile: planPath, encoding: .utf8)
            try plan.replacingOccurrences(
                of: "model: bgnbd", with: "model: bgnbd, covariates: [gender, age]"
            ).write(toFile: planPath, atomically: true, encoding: .utf8)
            try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
            let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
            _ = try workspace.ingest()
            _ = try workspace.train(only: ["lifetime"], threadCount: 2)
            func run(_ command: String) throws -> Program.Outcome {
                try Program.run(command.split(separator: " ").map(String.init), in: folder)
            }
            let models = try run("models ws")
            #expect(models.code == 0, "\(models)")
            for words in ["purchase rate", "drop-out", "standard error", "gender=", "age"] {
                #expect(models.output.contains(words), "\(words): \(models.output)")
            }
            let history = try run("history ws --customer 10000001 --step 26w")
            #expect(history.code == 0 && history.output.contains("orders P10"), "\(history)")
            #expect(history.output.contains("covariates of now: "), "\(history)")
            let json = try run("history ws --customer 10000001 --json")
            let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
            let quantiles = (object as? [String: Any])?["quantiles"] as? [String: Any]
            #expect((quantiles?["purchases"] as? [Int])?.count == 3, "\(json)")
            #expect((quantiles?["values"] as? [Double])?.count == 3, "\(json)")
            let value = try run("value ws")
            #expect(value.code == 0 && value.output.contains("covariates"), "\(value)")
            let project = try run("project ws")
            #expect(project.code == 1, "\(project)")
            #expect(project.errors.contains("take lifetime.covariates out"), "\(project)")
        }
    }
}
