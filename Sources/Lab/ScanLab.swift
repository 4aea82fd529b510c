import ColumnStore
import Foundation
import Numerical

/// `patron lab scan`: the sum of one column over the rows where others lie in ranges.
package enum ScanLab {
    package struct Options: Sendable {
        /// Of which the values are added: one column, '<f4', '<f8', '<i8' or '<i4' (as int64).
        package var sumPath: String
        package var conditions: [Condition]

        package init(sumPath: String, conditions: [Condition]) {
            self.sumPath = sumPath
            self.conditions = conditions
        }
    }

    /// A column and the range that its values lie in, both ends included.
    package struct Condition: Sendable, Equatable {
        package var path: String
        /// As they were written: whole numbers where the column is of integers.
        package var lower: String
        package var upper: String

        package init(path: String, lower: String, upper: String) {
            self.path = path
            self.lower = lower
            self.upper = upper
        }

        /// `PATH=VALUE` or `PATH=LOWER..UPPER`; nil for anything else.
        package init?(_ text: String) {
            guard let sign = text.lastIndex(of: "="), sign > text.startIndex else { return nil }
            let ends = text[text.index(after: sign)...].split(
                separator: "..", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), !ends.contains(where: \.isEmpty) else { return nil }
            self.init(
                path: String(text[..<sign]), lower: String(ends[0]),
                upper: String(ends[ends.count - 1]))
        }
    }

    /// Writes the columns as a segment file, opens them for look-ups and adds, over and over. The
    /// file stays in the system's cache: what is measured is memory and processor.
    /// - Throws: `LabError` for arrays that cannot be used or that are of different lengths.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let paths = unique([options.sumPath] + options.conditions.map(\.path))
        var columns: [ColumnData] = []
        for path in paths {
            let read = try CodecLab.read(path)
            guard read.count == 1 else {
                throw .mismatch(
                    path: path, found: "\(read.count) columns", expected: "one is needed",
                    other: "here")
            }
            columns.append(read[0])
            guard read[0].count == columns[0].count else {
                throw .mismatch(
                    path: path, found: "\(read[0].count) rows",
                    expected: "\(columns[0].count) are in", other: paths[0])
            }
        }
        var predicates: [ColumnStore.Predicate] = []
        for condition in options.conditions {
            predicates.append(
                try predicate(condition, columns[paths.firstIndex(of: condition.path) ?? 0]))
        }
        let file = CodecLab.temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: file) }
        do throws(StoreError) {
            let summary = try CodecLab.write(columns, to: file)
            let opened = try CodecLab.open(file, setting.threadCount)
            let asked = zip(options.conditions, predicates).map { condition, predicate in
                (column: opened[paths.firstIndex(of: condition.path) ?? 0], predicate: predicate)
            }
            var total = ColumnTotal()
            var samples: [Double] = []
            // The first pass brings the pages.
            for pass in 0...setting.repeatCount {
                let (found, seconds) = timed {
                    opened[0].sum(
                        where: asked, threadCount: setting.threadCount, kernels: setting.kernels)
                }
                total = found
                if pass > 0 { samples.append(seconds) }
            }
            return report(total, columns[0], summary.byteCount, samples, setting)
        } catch {
            throw .store(error)
        }
    }

    private static func report(
        _ total: ColumnTotal, _ column: ColumnData, _ byteCount: Int, _ samples: [Double],
        _ setting: LabSetting
    ) -> LabReport {
        var report = LabReport()
        report.add("rows", .integer(column.count))
        report.add("file_bytes", .integer(byteCount))
        report.add("matching_rows", .integer(total.count))
        if column.type == .int64 {
            report.add("sum", .integer(Int(clamping: total.integer)))
        } else {
            report.add("sum", .number(total.number))
        }
        let seconds = median(samples)
        report.add("seconds", .number(seconds))
        report.add("rows_per_second", .number(Double(column.count) / max(seconds, 1e-9)))
        report.add(setting, samples: samples, as: "seconds")
        return report
    }

    private static func predicate(
        _ condition: Condition, _ column: ColumnData
    ) throws(LabError) -> ColumnStore.Predicate {
        func refused(_ kind: String) -> LabError {
            .option(
                name: "--where",
                reason:
                    "\(condition.path)=\(condition.lower)..\(condition.upper) is no range of \(kind)"
            )
        }
        if column.type == .int64 {
            guard let lower = Int64(condition.lower), let upper = Int64(condition.upper),
                lower <= upper
            else { throw refused("whole numbers of 64 bits, the lower one first") }
            return .integers(lower...upper)
        }
        guard let lower = Double(condition.lower), let upper = Double(condition.upper),
            lower <= upper
        else { throw refused("numbers, the lower one first") }
        return .numbers(lower...upper)
    }

    private static func unique(_ paths: [String]) -> [String] {
        var unique: [String] = []
        for path in paths where !unique.contains(path) { unique.append(path) }
        return unique
    }
}
