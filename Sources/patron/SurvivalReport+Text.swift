import Engine
import Models

extension SurvivalReport {
    var text: String {
        var lines = [
            "how long customers stay, as of \(asOf)", convention,
            "\(customerCount.grouped) customers, \(lostCount.grouped) \(event.rawValue) "
                + "(\(percent(lostCount, of: customerCount)) %); "
                + "\(newCustomerCount.grouped) first ordered after \(followedTo) and are left out",
            "\(silentCount.grouped) customers were silent for \(gapDays) days at some time; "
                + "\(returnedCount.grouped) (\(percent(returnedCount, of: silentCount)) %) of them "
                + "came back",
        ]
        lines += warnings.map { "warning: \($0)" }
        lines.append("")
        var table = TextTable(["days>", "at risk>", "stay %>", "95 % from>", "to>"])
        for point in overall.points {
            table.add([
                point.days.decimals(0), point.atRisk.grouped,
                (point.survival * 100).decimals(2), (point.lower * 100).decimals(2),
                (point.upper * 100).decimals(2),
            ])
        }
        lines.append(table.text)
        lines.append("half are gone after \(overall.medianText)")
        if let groups { lines += ["", groups.text] }
        if let factors { lines += ["", factors.text] }
        return lines.joined(separator: "\n")
    }

    private func percent(_ count: Int, of total: Int) -> String {
        total > 0 ? (Double(count) / Double(total) * 100).decimals(1) : "0.0"
    }
}

extension SurvivalReport.Curve {
    fileprivate var medianText: String {
        guard let days = median.time else { return "longer than anybody was followed" }
        func limit(_ value: Double?) -> String { value.map { $0.decimals(0) } ?? "?" }
        return "\(days.decimals(0)) days (\(limit(median.lower)) to \(limit(median.upper)))"
    }
}

extension SurvivalReport.Groups {
    fileprivate var text: String {
        let days = [0, 30, 91, 183, 365, 730].map(Double.init).filter { day in
            curves.contains { $0.points.contains { $0.days == day } }
        }
        var table = TextTable(
            [attribute, "customers>", "gone>"]
                + days.map { "stay % \($0.decimals(0)) d>" } + ["half are gone after"])
        for curve in curves {
            table.add(
                [curve.name, curve.customerCount.grouped, curve.lostCount.grouped]
                    + days.map { day in
                        curve.points.first { $0.days == day }
                            .map { ($0.survival * 100).decimals(2) } ?? ""
                    } + [curve.medianText])
        }
        guard let logRank else {
            return table.text + "\nno test: \(logRankMissing ?? "")"
        }
        return table.text
            + "\nlog-rank test that the groups stay alike: chi-square "
            + "\(logRank.test.statistic.decimals(3)) on \(logRank.test.degreesOfFreedom), "
            + "p \(probability(logRank.test.pValue))"
    }
}

extension SurvivalReport.Factors {
    fileprivate var text: String {
        var lines = [
            "what staying depends on (Cox regression, \(ties.rawValue)'s ties); a hazard ratio "
                + "above 1 means gone sooner"
        ]
        var table = TextTable([
            "factor", "column", "hazard ratio>", "95 % from>", "to>", "p>", "a deviation>",
            "chi-square without>", "p, adjusted>",
        ])
        for factor in ranked {
            for (index, column) in factor.columns.enumerated() {
                let isFirst = index == 0
                table.add([
                    isFirst ? factor.name : "", column.name, column.hazardRatio.decimals(4),
                    column.hazardRatioLower.decimals(4), column.hazardRatioUpper.decimals(4),
                    probability(column.pValue),
                    factor.hazardRatiosPerDeviation[index].value.decimals(4),
                    isFirst ? factor.likelihoodRatioDrop.statistic.decimals(2) : "",
                    isFirst ? probability(factor.adjustedPValue) : "",
                ])
            }
        }
        lines.append(table.text)
        for (name, level) in references.sorted(by: { $0.key < $1.key }) {
            lines.append("\(name) is compared with \(level)")
        }
        lines += notes
        lines += omitted.map { "left out: \($0.description)" }
        if let concordance { lines.append("concordance \(concordance.decimals(4))") }
        return lines.joined(separator: "\n")
    }
}

private func probability(_ p: Double) -> String { p < 1e-4 ? "<.0001" : p.decimals(4) }
