import Foundation
import Models
import TestSupport

/// 432 releases watched for 52 weeks, 114 arrests, with seven covariates.
/// Source: Rossi, Berk & Lenihan, "Money, Work and Crime", 1980.
struct RossiData {
    static let names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]

    let times: SurvivalTimes
    /// In the order of `names`.
    let columns: [CovariateColumn]

    static let shared = RossiData()

    /// What a test of it is enabled by, so that it is reported as skipped where the file is absent.
    static var isHere: Bool { shared != nil }

    private init?() {
        guard let url = TestData.file("rossi/rossi.csv"),
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return nil }
        let lines = text.split(whereSeparator: \.isNewline)
        let header = lines[0].split(separator: ",").map(String.init)
        let rows = lines.dropFirst().map { $0.split(separator: ",").compactMap { Double($0) } }
        func values(_ name: String) -> [Double] {
            guard let index = header.firstIndex(of: name) else { return [] }
            return rows.map { $0[index] }
        }
        guard
            let times = try? SurvivalTimes(
                durations: values("week"), isEvent: values("arrest").map { $0 == 1 })
        else { return nil }
        self.times = times
        columns = Self.names.map { CovariateColumn(name: $0, values: values($0)) }
    }

    /// 1, 2, 3, 1, 2, …
    var weights: [Double] { times.durations.indices.map { row -> Double in Double(row % 3 + 1) } }

    /// Every other row comes under watch late: at min(week − 1, row mod 17).
    var entries: [Double] {
        var entries = [Double](repeating: 0, count: times.rowCount)
        for row in stride(from: 1, to: entries.count, by: 2) {
            entries[row] = min(times.durations[row] - 1, Double(row % 17))
        }
        return entries
    }

    var race: [Int32] { columns[2].values.map { Int32($0) } }
    var withoutRace: [CovariateColumn] { columns.filter { $0.name != "race" } }

    func times(entries: [Double]?, weights: [Double]?) throws -> SurvivalTimes {
        try SurvivalTimes(
            durations: times.durations, isEvent: times.isEvent, entries: entries,
            weights: weights)
    }
}
