import Foundation
import Lab
import Models
import Numerical
import TestSupport
import Testing

@Suite struct GBDTLabTests {
    private let setting = LabSetting(threadCount: 2, level: KernelTable.current.level)

    @Test func treesAreFittedAndScored() throws {
        try withTemporaryFolder { folder in
            var random = SeededRandom(seed: 1)
            var (rows, labels): ([Float], [Int32]) = ([], [])
            for _ in 0..<2_000 {
                let (a, b) = (random.uniform(), random.uniform())
                rows += [Float(a), random.bernoulli(0.1) ? .nan : Float(b)]
                labels.append(random.bernoulli(a > 0.5 ? 0.9 : 0.1) ? 1 : 0)
            }
            let features = folder.sub("x.npy")
            try NumPyOutput(features).write(rows, shape: [2_000, 2])
            let truth = folder.sub("y.npy")
            try NumPyOutput(truth).write(labels, shape: [2_000])
            var options = GBDTLab.TrainOptions(featuresPath: features, labelsPath: truth)
            var parameters = BoostedTrees.Parameters()
            parameters.treeCount = 20
            options.algorithm = .trees(parameters)
            options.scoresOutput = folder.sub("s.npy")
            let report = try GBDTLab.train(options, setting)
            let area = try #require(report.number("auc"))
            #expect(area > 0.88 && area <= 1)
            #expect(try #require(report.number("log_loss")) < 0.45)
            #expect(report["trees"] == .integer(20) && report["threads"] == .integer(2))
            let scores = try NumPyFile(folder.sub("s.npy")).doubles()
            #expect(scores.count == 2_000 && scores.allSatisfy { $0.isFinite })

            var logistic = options
            logistic.algorithm = .logistic(LogisticRegression.Parameters())
            let other = try GBDTLab.train(logistic, setting)
            #expect(other["algorithm"] == .text("logistic") && other["terms"] == .integer(3))
            #expect(try #require(other.number("auc")) > 0.88)
            #expect(try #require(other.number("calibration_error")) < 0.2)

            // Rows to predict that do not fit are refused by their own name.
            let narrow = folder.sub("narrow.npy")
            try NumPyOutput(narrow).write(rows, shape: [4_000, 1])
            let bad = folder.sub("bad.npy")
            try NumPyOutput(bad).write([Int32](repeating: 2, count: 2_000), shape: [2_000])
            for (rows, labels, name) in [(narrow, nil, "narrow"), (features, bad, "bad")] {
                var other = options
                (other.testFeaturesPath, other.testLabelsPath) = (rows, labels)
                do throws(LabError) {
                    _ = try GBDTLab.train(other, setting)
                    Issue.record("\(name) was taken")
                } catch {
                    #expect("\(error)".contains("\(name).npy: "), "\(error)")
                }
            }

            let short = folder.sub("short.npy")
            try NumPyOutput(short).write([1, 0] as [Int32], shape: [2])
            options.labelsPath = short
            #expect(throws: LabError.self) { try GBDTLab.train(options, setting) }
            options.labelsPath = features
            #expect(throws: LabError.self) { try GBDTLab.train(options, setting) }
            var imported = GBDTLab.PredictOptions(featuresPath: features, lightGBMPath: truth)
            #expect(throws: LabError.self) { try GBDTLab.predict(imported, setting) }
            imported.lightGBMPath = folder.sub("nothing.txt")
            #expect(throws: LabError.self) { try GBDTLab.predict(imported, setting) }
        }
    }

    /// The models and what LightGBM predicts with them are those of the model tests.
    @Test func importedModelsAreScored() throws {
        let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/lightgbm").standardizedFileURL
        let lines = try String(
            contentsOf: fixtures.appendingPathComponent("nan.csv"), encoding: .utf8
        ).split(separator: "\n").map { $0.split(separator: ",").compactMap { Double($0) } }
        try withTemporaryFolder { folder in
            let features = folder.sub("x.npy")
            try NumPyOutput(features).write(
                lines.flatMap { $0[0..<5].map { Float($0) } }, shape: [lines.count, 5])
            var options = GBDTLab.PredictOptions(
                featuresPath: features,
                lightGBMPath: fixtures.appendingPathComponent("nan.txt").path)
            options.scoresOutput = folder.sub("s.npy")
            let report = try GBDTLab.predict(options, setting)
            #expect(report["trees"] == .integer(4) && report["auc"] == nil)
            let scores = try NumPyFile(folder.sub("s.npy")).doubles()
            for (score, line) in zip(scores, lines) { #expect(abs(score - line[5]) < 1e-12) }
        }
    }
}
