import Foundation

/// What the command line prints: results on standard output, everything else on standard error.
enum Terminal {
    static func write(_ text: String, terminator: String = "\n") throws {
        try write(Data((text + terminator).utf8))
    }

    /// A message that nobody can be told about is dropped, here and below.
    static func writeError(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// A line about progress; only where somebody watches.
    static func progress(_ text: String) {
        guard isatty(STDERR_FILENO) != 0 else { return }
        try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K\(text)".utf8))
    }

    static func endProgress() {
        guard isatty(STDERR_FILENO) != 0 else { return }
        try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K".utf8))
    }

    /// One JSON object a line, keys sorted.
    static func writeJSON(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var bytes = try encoder.encode(value)
        bytes.append(UInt8(ascii: "\n"))
        try write(bytes)
    }

    /// A full disk behind `> file` is an error like any other; `FileHandle.write(_:)` would trap.
    private static func write(_ bytes: Data) throws {
        do {
            try FileHandle.standardOutput.write(contentsOf: bytes)
        } catch {
            throw CommandError(
                text: "standard output: \(error.localizedDescription)", code: 74)
        }
    }
}

/// Columns of text under a heading, numbers to the right.
struct TextTable {
    private var rows: [[String]]
    private let rightAligned: Set<Int>

    /// - Parameter heading: one title a column; those ending in `>` hold numbers.
    init(_ heading: [String]) {
        rows = [heading.map { $0.hasSuffix(">") ? String($0.dropLast()) : $0 }]
        rightAligned = Set(heading.indices.filter { heading[$0].hasSuffix(">") })
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = rows[0].indices.map { column in
            rows.map { $0[column].count }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += (column == 0 ? "" : "  ")
                line += rightAligned.contains(column) ? padding + cell : cell + padding
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}

extension Int {
    /// 1234567 as `1,234,567`.
    var grouped: String {
        let digits = String(magnitude)
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return (self < 0 ? "-" : "") + result
    }
}

extension Double {
    /// The nearest whole number as `1,234,567`; what no `Int` holds as it is written elsewhere.
    var grouped: String { Int(exactly: rounded())?.grouped ?? "\(self)" }

    /// With `count` decimals, a point, and no grouping.
    func decimals(_ count: Int) -> String { String(format: "%.\(count)f", self) }
}
