import Engine
import Foundation
import Models

extension ContractsReport {
    var text: String {
        var parts = [introduction, churn.text]
        if let stay { parts += stay.sections }
        if let scoresPath {
            parts.append(
                "Scores of \(rowCount.grouped) contracts are in \(scoresPath): each probability and its "
                    + "reasons are by the model that had not seen the contract.")
        }
        return parts.joined(separator: "\n\n")
    }

    private var introduction: String {
        let numberCount = columns.count(where: { $0.categoryCount == nil })
        let missing = columns.filter { $0.missingCount > 0 }
            .map { "\($0.name) \($0.missingCount.grouped)" }
        var lines = [
            "\(path == "-" ? "standard input" : path): \(rowCount.grouped) contracts, \(leftCount.grouped) left (\(outcome)), "
                + "\(ContractWords.percent(Double(leftCount) / Double(rowCount)))",
            "\(columns.count) columns, \(numberCount) of numbers; "
                + (missing.isEmpty
                    ? "no field is empty" : "empty fields: " + missing.joined(separator: ", ")),
        ]
        for column in columns {
            if let reason = column.leftOut { lines.append("left out: \(column.name), \(reason)") }
            if let warning = column.warning { lines.append("warning: \(column.name): \(warning)") }
        }
        lines += warnings.map { "warning: \($0)" }
        return lines.joined(separator: "\n")
    }
}

extension ContractChurnReport {
    fileprivate var text: String {
        var sections = [
            ContractWords.heading(
                model == .trees ? "Who leaves: boosted trees" : "Who leaves: logistic regression")
                + "\n" + measures,
            "Are the probabilities true?\n" + calibrationTable,
            "Whom to ask first\n" + liftTable,
        ]
        if let oddsRatios { sections.append(oddsRatios.text) }
        sections.append("What moves the probability\n" + influenceTable)
        if !mostAtRisk.isEmpty {
            sections.append("Still there, most likely to leave\n" + riskTable)
        }
        return sections.joined(separator: "\n\n")
    }

    private var measures: String {
        let area = evaluation.areaUnderROC.map { $0.decimals(4) } ?? "none"
        let folds = foldAreas.map { $0.decimals(3) }.sorted()
        var lines = [
            "\(foldCount)-fold cross-validation: every figure is of contracts that the model had not "
                + "seen.",
            "  AUC                \(area)  (folds \(folds.first ?? "") to \(folds.last ?? ""))",
            "  log-loss           \(evaluation.logLoss.decimals(4))",
            "  Brier score        \(evaluation.brierScore.decimals(4))",
            "  calibration error  \(evaluation.calibrationError.decimals(4))",
        ]
        if let least = treeCounts.min(), let most = treeCounts.max() {
            lines.append("  trees a fold       \(least) to \(most)")
        }
        return lines.joined(separator: "\n")
    }

    private var calibrationTable: String {
        var table = TextTable(["predicted>", "left>", "95 % interval>", "contracts>"])
        for bin in evaluation.bins {
            table.add([
                ContractWords.percent(bin.meanPredicted), ContractWords.percent(bin.observedShare),
                "\(ContractWords.percent(bin.interval.lowerBound)) to \(ContractWords.percent(bin.interval.upperBound))",
                bin.rowCount.grouped,
            ])
        }
        return ContractWords.indented(table.text)
    }

    private var liftTable: String {
        var table = TextTable(["first>", "contracts>", "left>", "of all who left>", "lift>"])
        for row in evaluation.lift where row.share < 0.55 {
            table.add([
                ContractWords.percent(row.share, 0), row.rowCount.grouped,
                ContractWords.percent(row.observedShare),
                ContractWords.percent(row.foundShare), row.lift.decimals(2),
            ])
        }
        return ContractWords.indented(table.text)
    }

    private var influenceTable: String {
        var table = TextTable(["column", "mean effect (log-odds)>", "share>", "leaves where"])
        for influence in influences where influence.meanAbsoluteContribution > 0 {
            table.add([
                influence.column, influence.meanAbsoluteContribution.decimals(3),
                ContractWords.percent(influence.share), influence.leavingWhere ?? "up and down",
            ])
        }
        let silent = influences.filter { $0.meanAbsoluteContribution == 0 }.map(\.column)
        return ContractWords.indented(table.text)
            + (silent.isEmpty ? "" : "\n  no effect: " + silent.joined(separator: ", "))
    }

    private var riskTable: String {
        var table = TextTable(["contract", "probability>", "because of"])
        for contract in mostAtRisk.prefix(5) {
            let reasons = contract.reasons.map {
                "\($0.column) \($0.value.isEmpty ? "missing" : $0.value) "
                    + ($0.effect < 0 ? "" : "+") + $0.effect.decimals(2)
            }
            table.add([
                contract.name, ContractWords.percent(contract.probability),
                reasons.joined(separator: ", "),
            ])
        }
        return ContractWords.indented(table.text)
    }
}

extension OddsRatioReport {
    fileprivate var text: String {
        var lines = [
            "Odds ratios: how one unit more, or that category, multiplies the odds of leaving"
        ]
        switch basis {
        case .allContracts:
            lines.append("  maximum likelihood on all contracts")
        case .completeContracts:
            lines.append(
                "  maximum likelihood on the \(rowCount.grouped) contracts without an empty field; on all "
                    + "of them there is none:\n  \(basisReason ?? "")")
        case .penalized:
            lines.append(
                "  with a penalty of 1, which draws ratios towards 1; without it there is no fit:\n"
                    + "  \(basisReason ?? "")")
        }
        var table = TextTable([
            "term", "compared with", "odds ratio>", "95 % interval>", "a deviation>", "p>",
        ])
        for row in rows {
            table.add([
                row.term, row.reference ?? "", ContractWords.ratio(row.oddsRatio),
                "\(ContractWords.ratio(row.lower)) to \(ContractWords.ratio(row.upper))",
                ContractWords.ratio(row.oddsRatioPerDeviation),
                ContractWords.pValue(row.pValue),
            ])
        }
        lines.append(ContractWords.indented(table.text))
        let constant = dropped.filter(\.with.isEmpty).map(\.term)
        if !constant.isEmpty {
            lines.append("  left out, one value only: " + constant.joined(separator: ", "))
        }
        lines += ContractWords.sameAs(
            dropped.filter { !$0.with.isEmpty }.map { ($0.term, $0.with) })
        return lines.joined(separator: "\n")
    }
}

/// How the figures of a contracts report look.
enum ContractWords {
    static func heading(_ text: String) -> String {
        text + "\n" + String(repeating: "=", count: text.count)
    }

    /// Every line two blanks to the right.
    static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }
            .joined(separator: "\n")
    }

    static func percent(_ share: Double, _ decimals: Int = 1) -> String {
        (share * 100).decimals(decimals) + " %"
    }

    /// Three significant digits; more close to 1, powers of ten far from it.
    static func ratio(_ value: Double) -> String {
        if value != 1, abs(value - 1) < 0.01 { return value.decimals(5) }
        guard value >= 0.001, value < 1_000 else { return String(format: "%.1e", value) }
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : value >= 0.1 ? 3 : 4
        return value.decimals(digits)
    }

    static func pValue(_ value: Double) -> String {
        value < 0.0001 ? "< .0001" : value.decimals(4)
    }

    /// Without decimals where it is whole.
    static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15
            ? value.grouped : String(format: "%.4g", value)
    }

    /// What the first of a set of columns that say the same were left out for, one paragraph a set.
    static func sameAs(_ dropped: [(name: String, others: [String])]) -> [String] {
        var sets: [[String]: [String]] = [:]
        for (name, others) in dropped { sets[others, default: []].append(name) }
        return sets.sorted { $0.value[0] < $1.value[0] }.map { others, names in
            "  left out, since \(others.joined(separator: ", ")) "
                + "\(others.count == 1 ? "says" : "say") the same:\n    "
                + names.joined(separator: "\n    ")
        }
    }
}
