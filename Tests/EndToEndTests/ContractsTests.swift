import Engine
import Foundation
import Ingest
import Models
import Numerical
import TestSupport
import Testing

/// Contracts whose hazard is known: plan `plus` ends at e^-1 times the hazard of `basic`, and each unit of
/// price raises it by e^.05. `paid` is price times months, `same` says what `plan` says, `always` is
/// constant, `noise` nothing.
private func contracts(_ count: Int, seed: UInt64) -> String {
    var random = SeededRandom(seed: seed)
    var text = "id,plan,same,price,noise,always,paid,months,ended\n"
    for row in 0..<count {
        let isPlus = random.bernoulli(0.4)
        let price = 20 + (random.uniform() * 400).rounded() / 10
        let rate = 0.03 * exp((isPlus ? -1 : 0) + 0.05 * (price - 40))
        let end = -log(1 - random.uniform()) / rate
        let watched = random.uniform() * 60
        let months = min(end, watched).rounded(.up)
        let noise = random.below(100) < 5 ? "" : String(random.below(50))
        text += "c\(row),\(isPlus ? "plus" : "basic"),\(isPlus ? 1 : 0),\(price),\(noise),x,"
        text += "\(price * months),\(Int(months)),\(end <= watched ? "yes" : "no")\n"
    }
    return text
}

@Suite struct ContractsTests {
    private func options(_ model: ContractOptions.Model = .trees) -> ContractOptions {
        var options = ContractOptions(outcome: OutcomeColumn(column: "ended", value: "yes"))
        options.id = "id"
        options.duration = "months"
        options.model = model
        return options
    }

    private func analyzed(
        _ text: String, _ options: ContractOptions, threads: Int = 2
    ) throws -> ContractsReport {
        try withTemporaryFolder { folder in
            let path = try folder.write(text, as: "t.csv")
            return try analyzeContracts(path: path, options, threadCount: threads)
        }
    }

    @Test func theStayIsWhatWasPlanted() throws {
        let stay = try #require(try analyzed(contracts(4_000, seed: 3), options(.logistic)).stay)
        // It grows with the stay whatever the reason to leave.
        #expect(stay.growing.map(\.column) == ["paid"])
        #expect(stay.growing.first?.with == "price")
        let factors = try #require(stay.factors)
        #expect(factors.ridge == 0)
        #expect(factors.omitted.map(\.reason) == [.collinear])
        let rows = factors.factors.flatMap(\.rows)
        let plan = try #require(rows.first { ["plan = plus", "same"].contains($0.term) })
        #expect(plan.lower < exp(-1) && plan.upper > exp(-1), "\(plan)")
        let price = try #require(rows.first { $0.term == "price" })
        #expect(price.lower < exp(0.05) && price.upper > exp(0.05), "\(price)")
        #expect(price.pValue < 1e-9)
        let noise = try #require(factors.factors.first { $0.column == "noise" })
        #expect(noise.adjustedPValue > 0.01)
        #expect(Set(stay.tests.prefix(3).map(\.column)) == ["plan", "same", "price"])
        #expect(stay.times == [12, 24, 36, 48, 60])
        let groups = try #require(stay.groups.first { $0.column == "plan" })
        #expect(groups.curves.map(\.name) == ["basic", "plus"])
        let shares = groups.curves.compactMap { $0.points.first?.share }
        #expect(shares[0].upper < shares[1].lower)
        #expect(shares.allSatisfy { $0.lower < $0.value && $0.value < $0.upper })
        // Rows that are plan `basic` and have left before month 13 or are watched that long.
        #expect(stay.overall.points.first?.time == 12)
        #expect(stay.eventCount == stay.groups[0].curves.reduce(0) { $0 + $1.eventCount })
    }

    @Test(arguments: ContractOptions.Model.allCases)
    func probabilitiesAreThoseOfContractsNotSeen(model: ContractOptions.Model) throws {
        let text = contracts(3_000, seed: 4)
        let report = try analyzed(text, options(model))
        #expect(report.rowCount == 3_000)
        #expect(report.columns.filter { $0.leftOut != nil }.map(\.name) == ["always"])
        #expect(report.columns.first { $0.name == "noise" }?.missingCount ?? 0 > 50)
        let evaluation = report.churn.evaluation
        #expect(evaluation.rowCount == 3_000)
        #expect(try #require(evaluation.areaUnderROC) > 0.7)
        #expect(evaluation.calibrationError < 0.05)
        #expect(report.churn.foldAreas.count == 5)
        let noise = report.churn.influences.first { $0.column == "noise" }
        #expect(noise?.share ?? 1 < 0.05)
        let plan = try #require(
            report.churn.influences.first { ["plan", "same"].contains($0.column) && $0.share > 0 })
        #expect(["basic", "low"].contains(plan.leavingWhere))
        #expect(report.churn.mostAtRisk.allSatisfy { !$0.hasLeft })
        // The outcome of contracts says nothing where it is drawn anew.
        var random = SeededRandom(seed: 8)
        let shuffled = text.split(separator: "\n").enumerated().map { line, fields in
            guard line > 0, let comma = fields.lastIndex(of: ",") else { return String(fields) }
            return fields[...comma] + (random.bernoulli(0.3) ? "yes" : "no")
        }
        let nothing = try analyzed(shuffled.joined(separator: "\n"), options(model))
        let area = try #require(nothing.churn.evaluation.areaUnderROC)
        #expect(area > 0.44 && area < 0.56, "\(area)")
    }

    @Test func oddsRatiosSayWhatWasLeftOut() throws {
        let report = try analyzed(contracts(2_000, seed: 5), options(.logistic))
        let odds = try #require(report.churn.oddsRatios)
        #expect(odds.basis == .allContracts)
        #expect(odds.dropped.count == 1)
        #expect(Set(odds.dropped.flatMap { [$0.term] + $0.with }) == ["plan = plus", "same"])
        #expect(odds.rows.contains { $0.term == "noise is missing" })
        for row in odds.rows {
            #expect(row.lower < row.oddsRatio && row.oddsRatio < row.upper)
        }
        let trees = try analyzed(contracts(2_000, seed: 5), options(.trees))
        #expect(trees.churn.oddsRatios == nil)
        #expect(trees.churn.treeCounts.count == 5)
    }

    /// A column that tells the outcome: the likelihoods have no maximum, and the report says so.
    @Test func aColumnThatTellsTheOutcome() throws {
        let lines = contracts(1_000, seed: 6).split(separator: "\n")
        let text = lines.enumerated().map { line, fields in
            fields + (line == 0 ? ",refund" : fields.hasSuffix("yes") ? ",7" : ",0")
        }.joined(separator: "\n")
        let report = try analyzed(text, options(.logistic))
        #expect(report.warnings.first?.contains("`refund`") ?? false)
        let odds = try #require(report.churn.oddsRatios)
        #expect(odds.basis == .penalized)
        #expect(odds.basisReason?.contains("\"refund\" separates") ?? false)
        #expect(report.stay?.factors?.ridge == 1)
        #expect(report.stay?.factors?.ridgeReason?.contains("refund") ?? false)
    }

    @Test func threadsHaveNoPart() throws {
        let text = contracts(800, seed: 7)
        func bytes(_ threads: Int) throws -> Data {
            let report = try withTemporaryFolder { folder in
                let path = try folder.write(text, as: "t.csv")
                let report = try analyzeContracts(
                    path: path, options(), scoresPath: folder.sub("s.csv"), threadCount: threads)
                return (
                    report.churn, report.stay,
                    try String(contentsOfFile: folder.sub("s.csv"), encoding: .utf8)
                )
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            return try encoder.encode(report.0) + encoder.encode(report.1) + Data(report.2.utf8)
        }
        #expect(try bytes(1) == bytes(3))
    }

    @Test(
        .enabled(
            if: TestData.file("telco_churn/telco_churn.csv") != nil, "the Telco table is not here"),
        arguments: [(ContractOptions.Model.trees, 0.846), (.logistic, 0.844)])
    func telco(model: ContractOptions.Model, least: Double) throws {
        let path = try #require(TestData.file("telco_churn/telco_churn.csv")).path
        var options = ContractOptions(outcome: OutcomeColumn(column: "Churn", value: "Yes"))
        options.id = "customerID"
        options.duration = "tenure"
        options.model = model
        let report = try analyzeContracts(path: path, options, threadCount: 2)
        #expect(report.rowCount == 7_043 && report.leftCount == 1_869)
        #expect(report.columns.map(\.missingCount).reduce(0, +) == 11)
        #expect(try #require(report.churn.evaluation.areaUnderROC) >= least)
        #expect(report.churn.evaluation.calibrationError < 0.02)
        let stay = try #require(report.stay)
        #expect(stay.growing.map(\.column) == ["TotalCharges"])
        // The services of those without internet and without telephone say one thing.
        #expect(stay.factors?.omitted.count == 7)
        #expect(stay.tests.first?.column == "Contract")
    }
}

/// The program itself: what it prints, what it writes, and how it ends.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct ContractsCommandTests {
    private let usual = ["t.csv", "--outcome", "ended=yes", "--id", "id"]

    @Test func printsAndWrites() throws {
        try withTemporaryFolder { folder in
            try folder.write(contracts(600, seed: 1), as: "t.csv")
            let words = ["contracts"] + usual + ["--duration", "months", "--out", "s.csv"]
            let text = try Program.run(words + ["--ignore", "same"], in: folder)
            #expect(text.code == 0, "\(text.errors)")
            for part in [
                "600 contracts", "AUC", "calibration error", "Kaplan-Meier", "log-rank",
                "hazard ratio", "paid is about months x price", "always, one value",
            ] {
                #expect(text.output.contains(part), "\(part)")
            }
            #expect(!text.output.contains("nan") && !text.output.contains("inf "))
            let lines = try String(contentsOfFile: folder.sub("s.csv"), encoding: .utf8)
                .split(separator: "\n").map { $0.split(separator: ",") }
            #expect(lines.count == 601)
            #expect(
                lines[0].prefix(5) == [
                    "id", "has_left", "fold", "churn_probability", "churn_reason_1",
                ])
            #expect(lines[0].count == 13)
            #expect(lines[1][0] == "c0")
            for line in lines.dropFirst() {
                let probability = try #require(Double(line[3]))
                #expect(probability > 0 && probability < 1)
            }
            let json = try Program.run(words + ["--json", "--model", "logistic"], in: folder)
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
            #expect(object["rowCount"] as? Int == 600)
            #expect(json.output.split(separator: "\n").count == 1 && json.errors.isEmpty)
        }
    }

    @Test func badInput() throws {
        try withTemporaryFolder { folder in
            let good = contracts(300, seed: 2)
            let header = good.split(separator: "\n")[0]
            func file(_ name: String, _ text: String) throws { try folder.write(text, as: name) }
            try file("t.csv", good)
            try file("ragged.csv", good + "c9,basic\n")
            try file("empty.csv", "")
            try file("twice.csv", good + "c0,basic,0,20,1,x,20,1,yes\n")
            try file("one.csv", good.replacing(",yes\n", with: ",no\n"))
            try file("missing.csv", good + "c300,basic,0,20,1,x,20,1,\n")
            try file("negative.csv", good + "c300,basic,0,20,1,x,20,-1,yes\n")
            try file("text.csv", good + "c300,basic,0,cheap,1,x,20,1,yes\n")
            try file("few.csv", good.split(separator: "\n").prefix(40).joined(separator: "\n"))
            try file("bare.csv", "id,ended\na,yes\nb,no\n")
            try file("semicolon.csv", good.replacing(",", with: ";"))
            var many = "\(header),note\n"
            for (line, fields) in good.split(separator: "\n").dropFirst().enumerated() {
                many += "\(fields),n\(line)\n"
            }
            try file("many.csv", many)
            let cases: [(arguments: [String], code: Int32, words: [String])] = [
                (["none.csv", "--outcome", "ended=yes"], 65, ["none.csv: there is no such file"]),
                (["t.csv"], 64, ["--outcome"]),
                (["t.csv", "--outcome", "=yes"], 64, ["Churn=Yes"]),
                (["t.csv", "--outcome", "ended=yes", "--folds", "1"], 64, ["--folds"]),
                (["t.csv", "--outcome", "ended=yes"], 65, ["`id`", "--id 'id'", "--ignore 'id'"]),
                (["t.csv", "--outcome", "ende=yes"], 65, ["did you mean `ended`?"]),
                (["t.csv", "--outcome", "ended=Yes", "--id", "id"], 65, ["did you mean `yes`?"]),
                (["t.csv", "--outcome", "ended", "--id", "id"], 65, ["--outcome 'ended=yes'"]),
                (
                    usual + ["--duration", "plan"], 65,
                    ["t.csv, line 2, column `plan`", "no number"]
                ),
                (usual + ["--ignore", "prise"], 65, ["--ignore", "did you mean `price`?"]),
                (usual + ["--ignore", "id"], 65, ["both --id and --ignore"]),
                (usual + ["--folds", "200"], 65, ["foldCount"]),
                (usual + ["--out", "none/s.csv"], 74, ["none/"]),
                (["ragged.csv"] + usual.dropFirst(), 65, ["line 302: the line has 2 fields"]),
                (["empty.csv"] + usual.dropFirst(), 65, ["empty.csv: the file is empty"]),
                (["twice.csv"] + usual.dropFirst(), 65, ["line 302, column `id`: line 2 has"]),
                (["one.csv"] + usual.dropFirst(), 65, ["column `ended`", "`no`", "who leaves"]),
                (["missing.csv"] + usual.dropFirst(), 65, ["line 302, column `ended`", "empty"]),
                (
                    ["negative.csv"] + usual.dropFirst() + ["--duration", "months"], 65,
                    ["line 302, column `months`: the duration is negative"]
                ),
                (
                    ["text.csv"] + usual.dropFirst() + ["--numbers", "price"], 65,
                    ["line 302, column `price`: the field is no number"]
                ),
                (["few.csv"] + usual.dropFirst(), 65, ["100 rows are needed, there are 39"]),
                (["bare.csv"] + usual.dropFirst(), 65, ["no column is left to learn from"]),
                (["semicolon.csv"] + usual.dropFirst(), 65, ["is the delimiter semicolon?"]),
                (
                    ["many.csv"] + usual.dropFirst(), 65,
                    ["column `note`: 300 different texts in 300 lines", "--ignore 'note'"]
                ),
            ]
            for (arguments, code, words) in cases {
                let outcome = try Program.run(["contracts"] + arguments, in: folder)
                #expect(outcome.code == code, "\(arguments): \(outcome.errors)")
                #expect(outcome.output.isEmpty, "\(arguments)")
                for word in words {
                    #expect(outcome.errors.contains(word), "\(arguments): \(outcome.errors)")
                }
            }
            let same = try Program.run(
                ["contracts", "semicolon.csv", "--delimiter", "semicolon"] + usual.dropFirst(),
                in: folder)
            #expect(same.code == 0, "\(same.errors)")
        }
    }
}
