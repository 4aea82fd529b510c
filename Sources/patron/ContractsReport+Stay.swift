import Engine
import Foundation
import Models

extension ContractStayReport {
    var sections: [String] {
        var sections = [
            ContractWords.heading("How long they stay: \(durationColumn)") + "\n"
                + "Kaplan-Meier: \(eventCount.grouped) left, the others are still there; the longest "
                + "\(ContractWords.number(lastTime)).\n" + overallTable
        ]
        if !tests.isEmpty { sections.append("Which groups differ (log-rank test)\n" + testTable) }
        sections += groups.map(groupTable)
        if let factors {
            sections.append(factors.text + growingText)
        } else {
            sections.append("Cox regression: none, \(factorsProblem ?? "")" + growingText)
        }
        return sections
    }

    private var overallTable: String {
        var table = TextTable(["after>", "at risk>", "still there>", "95 % band>"])
        for point in overall.points {
            table.add([
                ContractWords.number(point.time), ContractWords.number(point.atRisk),
                ContractWords.percent(point.share.value),
                "\(ContractWords.percent(point.share.lower)) to \(ContractWords.percent(point.share.upper))",
            ])
        }
        var text = ContractWords.indented(table.text) + "\n  median stay: " + median(overall)
        if let mean = overall.mean, let horizon = overall.meanHorizon {
            text +=
                "; mean of the first \(ContractWords.number(horizon)): \(mean.value.decimals(1)) "
                + "(\(mean.lower.decimals(1)) to \(mean.upper.decimals(1)))"
        }
        return text
    }

    private func median(_ curve: StayCurve) -> String {
        guard let time = curve.median.time else { return "not reached" }
        let (lower, upper) = (curve.median.lower, curve.median.upper)
        return
            "\(ContractWords.number(time)) (\(lower.map(ContractWords.number) ?? "?") to \(upper.map(ContractWords.number) ?? "open"))"
    }

    private var testTable: String {
        var table = TextTable([
            "column", "groups>", "chi-square>", "degrees>", "p>", "p of all tests (Holm)>",
        ])
        for test in tests {
            table.add([
                test.column, "\(test.logRank.groups.count)",
                test.logRank.test.statistic.decimals(1), "\(test.logRank.test.degreesOfFreedom)",
                ContractWords.pValue(test.logRank.test.pValue),
                ContractWords.pValue(test.adjustedPValue),
            ])
        }
        return ContractWords.indented(table.text)
    }

    /// Bands at three of the times; the mean up to the last time that all groups reach.
    private func groupTable(_ groups: StayGroups) -> String {
        let shown = Set([0, times.count / 2, times.count - 1]).filter(times.indices.contains)
            .sorted().map { times[$0] }
        let horizon = groups.curves.first?.meanHorizon
        var table = TextTable(
            [groups.column, "contracts>", "left>", "median (95 %)>"]
                + (horizon.map { ["mean of \(ContractWords.number($0))>"] } ?? [])
                + shown.map { "after \(ContractWords.number($0))>" })
        for curve in groups.curves {
            var row = [
                curve.name, curve.rowCount.grouped, curve.eventCount.grouped, median(curve),
            ]
            if horizon != nil { row.append(curve.mean.map { $0.value.decimals(1) } ?? "-") }
            for time in shown {
                guard let share = curve.points.first(where: { $0.time == time })?.share else {
                    row.append("-")
                    continue
                }
                let limits = [share.lower, share.upper].map { ($0 * 100).decimals(1) }
                row.append("\((share.value * 100).decimals(1)) (\(limits.joined(separator: "-")))")
            }
            table.add(row)
        }
        return "By \(groups.column): % still there, with 95 % bands\n"
            + ContractWords.indented(table.text)
    }

    private var growingText: String {
        growing.map { column in
            let product = column.with.map { " x \($0)" } ?? ""
            return
                "\n  left out: \(column.column) is about \(durationColumn)\(product) (correlation "
                + "\(column.correlation.decimals(4))): it tells how long, not why"
        }.joined()
    }
}

extension StayFactors {
    fileprivate var text: String {
        var lines = [
            "What ends contracts sooner (Cox regression, Efron's ties)",
            "  Hazard ratios above 1 end it sooner; factors by what the likelihood loses without them.",
        ]
        if ridge > 0 {
            lines.append(
                "  With a ridge of \(ContractWords.number(ridge)), since without it there is no fit: "
                    + "\(ridgeReason ?? "")")
        }
        if let concordance {
            lines.append(
                "  concordance \(concordance.decimals(4)), log-likelihood "
                    + "\(logLikelihood.decimals(1)) (\(nullLogLikelihood.decimals(1)) without factors)"
            )
        }
        var table = TextTable([
            "factor", "compared with", "hazard ratio>", "95 % interval>", "a deviation>", "p>",
            "chi-square of factor>",
        ])
        for factor in factors {
            for (place, row) in factor.rows.enumerated() {
                table.add([
                    row.term, row.reference ?? "", ContractWords.ratio(row.hazardRatio),
                    "\(ContractWords.ratio(row.lower)) to \(ContractWords.ratio(row.upper))",
                    ContractWords.ratio(row.hazardRatioPerDeviation),
                    ContractWords.pValue(row.pValue),
                    place > 0 ? "" : factor.likelihoodRatioDrop.statistic.decimals(1),
                ])
            }
        }
        lines.append(ContractWords.indented(table.text))
        for column in omitted where column.reason != .collinear {
            lines.append("  left out: \(column.name), one value where it matters")
        }
        lines += ContractWords.sameAs(
            omitted.filter { $0.reason == .collinear }.map { ($0.name, $0.with) })
        return lines.joined(separator: "\n")
    }
}
