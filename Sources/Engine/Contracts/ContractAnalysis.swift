import ColumnStore
import Foundation
import Ingest
import Models

/// Reads a table of contracts, each with a flag that says whether it has ended, and tells who leaves and,
/// with durations, how long they stay. Needs no workspace; the same bytes for any thread count.
/// - Parameters:
///   - path: of a delimited text with a header; `-` is standard input.
///   - scoresPath: where the probability of every contract goes, as CSV.
///   - report: hears how far it is.
/// - Throws: `ingest` and `unusableTable` for what is wrong with the file; `model` where there is too
///   little in it; `store` where the scores cannot be written.
package func analyzeContracts(
    path: String, _ options: ContractOptions, scoresPath: String? = nil, threadCount: Int = 1,
    report: (String) -> Void = { _ in }
) throws(EngineError) -> ContractsReport {
    report("reading \(path)")
    let table = try mapErrors(EngineError.ingest) { () throws(IngestError) in
        try readTable(path: path, mapping: options.mapping)
    }
    return try analyzeContracts(
        table, options, scoresPath: scoresPath, threadCount: threadCount, report: report)
}

/// As above, of a table that was read by the options' mapping.
func analyzeContracts(
    _ source: PlainTable, _ options: ContractOptions, scoresPath: String? = nil,
    threadCount: Int = 1,
    report: (String) -> Void = { _ in }
) throws(EngineError) -> ContractsReport {
    let table = try ContractTable(source, options)
    report("fitting \(options.foldCount) folds of \(table.rowCount) contracts")
    let churn = try ContractChurn(table, options, threadCount: threadCount)
    let churnReport = try churn.report()
    var stay: ContractStayReport?
    if let name = options.duration, let durations = table.durations {
        report("regressing the stay of \(table.rowCount) contracts")
        stay = try modelErrors("retention") { () throws(ModelError) in
            try ContractStay(
                table, durations, durationColumn: name, threadCount: threadCount
            ).report(durationColumn: name)
        }
    }
    if let scoresPath {
        try ContractScoreFile(
            contracts: churn.scored, idColumn: options.id ?? "line",
            reasonCount: min(options.reasonCount, table.predictors.columns.count)
        ).write(to: scoresPath)
    }
    return ContractsReport(
        path: source.path, rowCount: table.rowCount,
        leftCount: table.outcome.labels.count { $0 }, outcome: options.outcome.text,
        columns: table.columns, churn: churnReport, stay: stay, scoresPath: scoresPath,
        seed: options.seed, warnings: warnings(churnReport))
}

private func warnings(_ churn: ContractChurnReport) -> [String] {
    guard churn.evaluation.areaUnderROC ?? 0 > 0.99, let first = churn.influences.first else {
        return []
    }
    return [
        """
        who leaves is all but known from the columns, most of all from `\(first.column)`: see that \
        it does not tell the outcome itself, else leave it out (--ignore '\(first.column)')
        """
    ]
}

/// The scores as CSV: `id`, `has_left`, `fold`, `churn_probability` and, a reason,
/// `churn_reason_1`, `churn_reason_1_value`, `churn_reason_1_effect`.
private struct ContractScoreFile {
    let contracts: [ScoredContract]
    let idColumn: String
    let reasonCount: Int

    /// The file appears whole or not at all.
    func write(to path: String) throws(EngineError) {
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let file = try AtomicFile(path: path)
            var header = [idColumn, "has_left", "fold", "churn_probability"]
            for place in 0..<reasonCount {
                let name = "churn_reason_\(place + 1)"
                header += [name, name + "_value", name + "_effect"]
            }
            try file.write(Self.line(header))
            for contract in contracts {
                var fields = [
                    contract.name, contract.hasLeft ? "1" : "0", String(contract.fold),
                    "\(contract.probability)",
                ]
                for place in 0..<reasonCount {
                    guard place < contract.reasons.count else {
                        fields += ["", "", ""]
                        continue
                    }
                    let reason = contract.reasons[place]
                    fields += [reason.column, reason.value, "\(reason.effect)"]
                }
                try file.write(Self.line(fields))
            }
            try file.commit()
        }
    }

    private static func line(_ fields: [String]) -> [UInt8] {
        Array((fields.map(CSVFile.field).joined(separator: ",") + "\n").utf8)
    }
}
