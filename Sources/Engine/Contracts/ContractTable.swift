import ByteCoding
import Foundation
import Ingest
import Models

/// A table of contracts as models take it.
struct ContractTable: Sendable {
    let source: PlainTable
    let predictors: PredictorTable
    let outcome: ChurnOutcome
    let durations: [Double]?
    /// Of all columns but the id, the outcome and those ignored.
    let columns: [ContractColumn]

    var rowCount: Int { source.rowCount }

    /// What a contract is called: its id, or its line.
    func name(_ row: Int) -> String { source.ids?[row] ?? String(source.lineNumbers[row]) }

    /// - Throws: `unusableTable` for an outcome or duration that is missing or cannot be one, for an
    ///   outcome with one value, and where no column is left to learn from.
    init(_ table: PlainTable, _ options: ContractOptions) throws(EngineError) {
        source = table
        let outcomeName = options.outcome.column
        let labels = try Self.labels(table, options.outcome)
        outcome = try modelErrors("churn") { () throws(ModelError) in
            try ChurnOutcome(labels)
        }
        if let name = options.duration {
            durations = try Self.durations(table, name)
        } else {
            durations = nil
        }
        var columns: [ContractColumn] = []
        var taken: [PredictorTable.Column] = []
        for column in table.columns where column.name != outcomeName {
            let (note, predictor) = try Self.predictor(column, table)
            columns.append(note)
            if let predictor { taken.append(predictor) }
        }
        guard !taken.isEmpty else {
            throw .unusableTable(
                path: table.path, line: nil, column: nil,
                reason: """
                    no column is left to learn from, beside the id and the outcome; give the table \
                    columns that differ between the contracts
                    """)
        }
        self.columns = columns
        predictors = try modelErrors("churn") { () throws(ModelError) in
            try PredictorTable(taken)
        }
    }

    private static func labels(
        _ table: PlainTable, _ outcome: OutcomeColumn
    ) throws(EngineError) -> [Bool] {
        guard case .texts(let texts)? = table.column(outcome.column)?.values else { return [] }
        func bad(_ reason: String, line: Int? = nil) -> EngineError {
            .unusableTable(
                path: table.path, line: line, column: outcome.column, reason: reason)
        }
        if let row = texts.codes.firstIndex(of: CodedText.missing) {
            throw bad(
                "the outcome is empty; fill it in, or take the line out",
                line: table.lineNumbers[row])
        }
        let values = texts.values.strings
        let list = values.sorted().prefix(10).map { "`\($0)`" }.joined(separator: ", ")
        guard values.count > 1 else {
            throw bad(
                """
                all lines have the outcome \(list), so nothing tells who leaves; take a table \
                with contracts that ended and others that did not
                """)
        }
        let isLeaving: [Bool]
        if let value = outcome.value {
            guard values.contains(value) else {
                let nearest = nearestName(to: value, among: values)
                throw bad(
                    "no line has the outcome `\(value)`; the lines have \(list)"
                        + (nearest.map { "; did you mean `\($0)`?" } ?? ""))
            }
            isLeaving = values.map { $0 == value }
        } else {
            guard values.allSatisfy({ [0, 1].contains(Double($0)) }) else {
                throw bad(
                    """
                    the outcome is not 0 or 1 but \(list); say which value is that of who left, \
                    as in --outcome '\(outcome.column)=\(values.sorted().last ?? "")'
                    """)
            }
            isLeaving = values.map { Double($0) == 1 }
            guard isLeaving.contains(true), isLeaving.contains(false) else {
                throw bad("all lines have one outcome, so nothing tells who leaves")
            }
        }
        return texts.codes.map { isLeaving[Int($0)] }
    }

    private static func durations(
        _ table: PlainTable, _ name: String
    ) throws(EngineError) -> [Double] {
        guard case .numbers(let durations)? = table.column(name)?.values else { return [] }
        for (row, duration) in durations.enumerated() where !(duration >= 0) {
            throw .unusableTable(
                path: table.path, line: table.lineNumbers[row], column: name,
                reason: duration.isNaN
                    ? "the duration is empty; fill it in, or take the line out"
                    : "the duration is negative; correct it, or take the line out")
        }
        return durations
    }

    /// A column as a predictor; nil, with the reason in the note, where it says nothing.
    private static func predictor(
        _ column: PlainTable.Column, _ table: PlainTable
    ) throws(EngineError) -> (ContractColumn, PredictorTable.Column?) {
        var note = ContractColumn(name: column.name, missingCount: column.missingCount)
        if let line = column.firstTextLine {
            note.warning = """
                most of its fields are numbers, but line \(line) has a text, so that all count as \
                names; --numbers '\(column.name)' finds every such line
                """
        }
        guard column.missingCount < table.rowCount else {
            note.leftOut = "empty in all lines"
            return (note, nil)
        }
        let predictor: PredictorTable.Column
        switch column.values {
        case .numbers(let numbers):
            if let row = numbers.firstIndex(where: {
                abs($0) > Double(Float.greatestFiniteMagnitude)
            }) {
                throw .unusableTable(
                    path: table.path, line: table.lineNumbers[row], column: column.name,
                    reason: "the number is beyond ±3.4e38; correct it, or leave it empty")
            }
            let known = numbers.lazy.filter { !$0.isNaN }
            if column.missingCount == 0, known.min() == known.max() {
                note.leftOut = "one value in all lines"
            }
            predictor = PredictorTable.Column(column.name, numbers: numbers.map { Float($0) })
        case .texts(let texts):
            // By name, so that the order of the lines has no part in what is fitted.
            let names = texts.values.strings
            let order = names.indices.sorted { names[$0] < names[$1] }
            var moved = [Int32](repeating: 0, count: names.count)
            for (code, place) in order.enumerated() { moved[place] = Int32(code) }
            note.categoryCount = names.count
            if column.missingCount == 0, names.count == 1 {
                note.leftOut = "one value in all lines"
            }
            predictor = PredictorTable.Column(
                column.name,
                codes: texts.codes.map { $0 == CodedText.missing ? -1 : moved[Int($0)] },
                categories: order.map { names[$0] })
        }
        return (note, note.leftOut == nil ? predictor : nil)
    }

    /// A value as it is shown beside a reason; empty where it is missing.
    func value(_ row: Int, column: Int) -> String {
        switch predictors.columns[column].values {
        case .numbers(let values):
            values[row].isNaN ? "" : Self.text(Double(values[row]))
        case .categories(let codes, let names):
            codes[row] < 0 ? "" : names[Int(codes[row])]
        }
    }

    /// The shortest digits that a single-precision number is known by.
    static func text(_ number: Double) -> String {
        let single = Float(number)
        return abs(single) < 1e7 && single == single.rounded()
            ? String(Int(single)) : "\(single)"
    }
}
