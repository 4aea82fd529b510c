import Engine
import Ingest
import Models
import Units

/// A pipeline step with its time, as printed and as JSON.
struct IngestStep: Encodable {
    var seconds: Double
    var linesPerSecond: Double
    var summary: IngestSummary

    var text: String {
        var lines: [String] = []
        for report in summary.reports {
            lines.append(
                "\(report.path): \(report.lineCount.grouped) lines, "
                    + "\(report.acceptedCount.grouped) taken"
                    + (report.returnCount > 0 ? " (\(report.returnCount.grouped) returns)" : ""))
            for reason in report.reasonCounts.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
                let count = report.reasonCounts[reason] ?? 0
                lines.append("  left out, \(reason.rawValue): \(count.grouped)")
            }
        }
        if let live = summary.live {
            lines.append(
                "\(live.lineCount.grouped) live purchase lines taken, of "
                    + "\(live.recordCount.grouped) batches")
        }
        if let erased = summary.erasure {
            lines.append(
                "\(erased.customerCount.grouped) customers erased, as \(erased.requestCount.grouped) "
                    + "requests wanted: \(erased.lineCount.grouped) purchase lines, "
                    + "\(erased.rowCount.grouped) rows of customers, \(erased.stayCount.grouped) "
                    + "stays in segments; \(erased.fileCount.grouped) files written anew")
        }
        if summary.reports.isEmpty && summary.live == nil && summary.erasure == nil {
            lines.append("nothing new to ingest")
        }
        if let path = summary.rejectsPath { lines.append("left-out lines are listed in \(path)") }
        if !summary.reports.isEmpty || summary.live != nil {
            lines.append(
                "ingested in \(seconds.decimals(2)) s, \(linesPerSecond.grouped) lines/s")
        }
        if let merged = summary.compaction {
            lines.append(
                "merged \(merged.before) segments into \(merged.after), "
                    + "\(merged.lineCount.grouped) lines")
        }
        if let problem = summary.compactionProblem {
            lines.append("warning: segments not merged: \(problem)")
        }
        return lines.joined(separator: "\n")
    }
}

struct TrainStep: Encodable {
    var seconds: Double
    var summary: TrainSummary

    var text: String {
        var lines = summary.models.map { card in
            "\(card.name) version \(card.version): \(card.headline)"
                + card.warnings.map { "\n  warning: \($0)" }.joined()
        }
        for (name, reason) in summary.notFitted.sorted(by: { $0.key < $1.key }) {
            lines.append("warning: \(name) not fitted: \(reason)")
        }
        lines.append(
            "trained on \(summary.customerCount.grouped) customers as of \(summary.asOf) in "
                + "\(seconds.decimals(2)) s")
        return lines.joined(separator: "\n")
    }
}

struct ScoreStep: Encodable {
    var seconds: Double
    var customersPerSecond: Double
    var bytesPerCustomer: Double
    var summary: ScoreSummary

    var text: String {
        var text =
            "generation \(summary.generation): \(summary.customerCount.grouped) customers as of "
            + "\(summary.asOf) scored in \(seconds.decimals(2)) s "
            + "(\(customersPerSecond.grouped) customers/s), "
            + "\(bytesPerCustomer.decimals(0)) bytes a customer"
        if !summary.missingModels.isEmpty {
            text += "\n  without \(summary.missingModels.joined(separator: ", ")): not trained"
        }
        if !summary.modelsOfOtherPlans.isEmpty {
            text +=
                "\n  note: the plan has changed since the training of "
                + "\(summary.modelsOfOtherPlans.joined(separator: ", ")); "
                + "patron train applies the change"
        }
        for note in summary.notes ?? [] { text += "\n  \(note)" }
        return text
    }
}

extension Workspace {
    func timedIngest(
        _ files: IngestFiles, again: Bool = false, skipKnown: Bool = false, rejects: String? = nil,
        memory: IngestMemory, threads: Int
    ) throws -> IngestStep {
        let (seconds, summary) = try timed {
            try ingest(
                files, again: again, skipKnown: skipKnown, rejectsPath: rejects,
                memory: memory, threadCount: threads, report: Terminal.progress)
        }
        Terminal.endProgress()
        let lines = summary.reports.reduce(summary.live?.lineCount ?? 0) { $0 + $1.lineCount }
        return IngestStep(
            seconds: seconds, linesPerSecond: Double(lines) / max(seconds, 1e-9),
            summary: summary)
    }

    func timedTrain(
        asOf: CalendarDay?, today: CalendarDay, only: [String]? = nil, threads: Int
    ) throws -> TrainStep {
        let (seconds, summary) = try timed {
            try train(
                asOf: asOf, today: today, only: only, threadCount: threads,
                report: Terminal.progress)
        }
        Terminal.endProgress()
        return TrainStep(seconds: seconds, summary: summary)
    }

    func timedScore(
        asOf: CalendarDay?, today: CalendarDay, csvPath: String?, threads: Int
    ) throws -> ScoreStep {
        let (seconds, summary) = try timed {
            try score(
                asOf: asOf, today: today, csvPath: csvPath, threadCount: threads,
                report: Terminal.progress)
        }
        Terminal.endProgress()
        let count = Double(max(1, summary.customerCount))
        return ScoreStep(
            seconds: seconds, customersPerSecond: count / max(seconds, 1e-9),
            bytesPerCustomer: Double(summary.byteCount) / count, summary: summary)
    }
}

extension ModelCard {
    /// The fit's main numbers in one line.
    var headline: String {
        func number(_ name: String, _ decimals: Int) -> String {
            "\(name) \((diagnostics[name] ?? 0).decimals(decimals))"
        }
        switch algorithm {
        case "als":
            return ["factorCount", "iterations", "productCount"].map { number($0, 0) }
                .joined(separator: ", ") + ", " + number("loss", 6)
        case "hybrid", "popular", "repeatPurchase":
            return [
                ("factorCount", 0), ("productCount", 0), ("factorWeight", 3),
                ("popularityWeight", 2), ("halfLifeDays", 1), ("priorCount", 0),
                ("repeatRate", 4), ("lastBasketNDCG", 4),
            ].filter { diagnostics[$0.0] != nil }.map { number($0.0, $0.1) }
                .joined(separator: ", ")
        case "kmeans":
            return number("clusterCount", 0) + (clusterCountChoice?.headline ?? "") + ", "
                + number("inertia", 1) + ", " + number("iterations", 0)
        case "kprototypes":
            return [number("clusterCount", 0), number("gamma", 4), number("cost", 1)]
                .joined(separator: ", ") + ", " + number("iterations", 0)
        case "layers":
            return number("clusterCount", 0) + ", " + number("dividedCount", 0)
        case "join", "lifecycle", "quadrants", "rfm":
            return diagnostics.sorted { $0.key < $1.key }.map {
                "\($0.key) \($0.value.decimals(0))"
            }
            .joined(separator: ", ")
        case "logistic", "trees":
            let trees = diagnostics["treeCount"] == nil ? "" : number("treeCount", 0) + ", "
            return trees
                + ["areaUnderROC", "logLoss", "calibrationError"].map { number($0, 4) }
                .joined(separator: ", ")
        default:
            let names = ["r", "alpha", "a", "b", "s", "beta", "p", "q", "v"].filter {
                diagnostics[$0] != nil
            }
            return names.map { number($0, 5) }.joined(separator: ", ") + ", "
                + number("logLikelihood", 3)
        }
    }

    /// The whole card for people.
    var text: String {
        var lines = [
            "\(name) version \(version) (\(algorithm))",
            "  as of \(asOf), \(data.customerCount.grouped) customers, "
                + "\(data.lineCount.grouped) purchase lines, currency \(currency), seed \(seed)",
            "  convention: \(conventionText)",
            "  plan: \(planHash)",
        ]
        for (name, value) in diagnostics.sorted(by: { $0.key < $1.key }) {
            let whole = Int(exactly: value).map(String.init)
            lines.append("  \(name) = \(whole ?? String(value))")
        }
        lines += clusterCountChoice?.lines ?? []
        lines += churn?.lines ?? []
        lines += covariates?.lines ?? []
        lines += refit?.lines ?? []
        lines += map?.lines ?? []
        lines += warnings.map { "  warning: \($0)" }
        return lines.joined(separator: "\n")
    }
}

extension ModelCard.ChurnCheck {
    /// Whether its probabilities came true, a line a bin.
    fileprivate var lines: [String] {
        var table = TextTable([
            "predicted from>", "to>", "mean>", "left>", "95 % interval>", "customers>",
        ])
        for bin in summary.bins {
            table.add([
                bin.lowest.decimals(4), bin.highest.decimals(4), bin.meanPredicted.decimals(4),
                bin.observedShare.decimals(4),
                "\(bin.interval.lowerBound.decimals(4)) ... \(bin.interval.upperBound.decimals(4))",
                bin.rowCount.grouped,
            ])
        }
        let rows = table.text.split(separator: "\n").map { "    \($0)" }
        return [
            "  learned from what was known on \(fitDay), checked on \(checkDay): "
                + "who had no order in the \(horizonDays) days after"
        ] + rows
    }
}

extension SegmentMap {
    /// A line a segment.
    fileprivate var lines: [String] {
        let shares = varianceShares.map { ($0 * 100).decimals(1) + " %" }
        return [
            "  for a picture, on two principal axes (\(shares.joined(separator: " and ")) of the "
                + "variance):"
        ]
            + positions.enumerated().map { segment, position in
                "    \(segment): \(position.map { $0.decimals(3) }.joined(separator: ", "))"
            }
    }
}

extension ModelCard.ClusterCountChoice {
    fileprivate var headline: String {
        guard let first = trials.first, let last = trials.last else { return "" }
        return " (of \(first.clusterCount) to \(last.clusterCount) by \(criterion.rawValue))"
    }

    /// The curve, a line a number of segments.
    fileprivate var lines: [String] {
        func text(_ value: Double?, _ decimals: Int) -> String {
            value.map { $0.decimals(decimals) } ?? "-"
        }
        return ["  numbers of segments, silhouettes of \(sampleRowCount.grouped) customers:"]
            + trials.map { trial in
                let result =
                    trial.failure
                    ?? "inertia \(text(trial.inertia, 1)), "
                    + "silhouette \(text(trial.silhouette, 4)), "
                    + "calinskiHarabasz \(text(trial.calinskiHarabasz, 1))"
                return "    \(trial.clusterCount): \(result)"
            }
    }
}
