package import ColumnStore

/// Why a file could not be read at all. Single bad lines are rejects, not errors.
package enum IngestError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A mapped name that several columns of the header have.
    case ambiguousColumn(path: String, role: String, column: String, numbers: [Int])
    /// A line of a table that cannot be used; `column` is nil where it is not one field's fault.
    case badLine(path: String, line: Int, column: String?, reason: RejectReason)
    /// A file that is not the same at the end of the reading as at its beginning.
    case changedWhileRead(path: String, byteCountBefore: Int, byteCountAfter: Int)
    /// Gzip data that cannot be unpacked; `byteOffset` counts packed bytes.
    case damagedGzip(path: String, byteOffset: Int, what: String)
    case emptyFile(path: String)
    /// A mapping that no file could satisfy.
    case invalidMapping(String)
    case missingFile(path: String)
    /// A header, or nothing but blank lines.
    case noLines(path: String)
    /// A file that starts like UTF-16 or zip, or that unpacks to gzip data once more.
    case notText(path: String, what: String)
    /// A line of a table with more or fewer fields than its header.
    case raggedLine(path: String, line: Int, fieldCount: Int, expected: Int)
    /// The file of rejects could not be written.
    case rejectsFile(StoreError)
    /// An id of a table's line that an earlier line has.
    case repeatedID(path: String, line: Int, column: String, firstLine: Int)
    case system(SystemError)
    /// A text in a column that until then had more than `limit` different numbers.
    case textAmongNumbers(path: String, line: Int, column: String, limit: Int)
    /// A column most of whose texts stand in one line only.
    case textOfItsOwn(path: String, column: String, textCount: Int, rowCount: Int)
    /// The line at which a column of a table passes the limit of different texts.
    case tooManyCategories(path: String, line: Int, column: String, limit: Int)
    case tooManyFields(path: String, limit: Int)
    case tooManyDistinctTexts(path: String, column: String, limit: Int)
    case tooManyRejects(
        path: String, rejectedCount: Int, lineCount: Int, maximumShare: Double,
        reasonCounts: [RejectReason: Int], rejectsPath: String?)
    /// A header with a broken quote or an impossible length.
    case unreadableHeader(path: String, line: Int, reason: RejectReason)
    /// `columns` are the names in the header, or empty where the file has none of `fieldCount`.
    case unknownColumn(
        path: String, role: String, column: ColumnReference, columns: [String], fieldCount: Int)
    /// Lines that came by themselves, not in a file, and cannot be told apart line by line.
    case unusableBatch(reason: String)
    /// The first line is one field with the mapping's delimiter and several with another.
    case wrongDelimiter(
        path: String, role: String, column: ColumnReference, mapped: Delimiter,
        likely: Delimiter, firstLine: String)

    package var description: String {
        switch self {
        case .ambiguousColumn(let path, let role, let column, let numbers):
            return "\(path): \(role): the header has `\(column)` \(numbers.count) times (columns "
                + numbers.map(String.init).joined(separator: ", ")
                + "); rename one, or refer to it by number without a header"
        case .badLine(let path, let line, let column, let reason):
            return "\(path), line \(line)\(column.map { ", column `\($0)`" } ?? ""): "
                + (reason.advice ?? reason.rawValue + reason.limitNote)
        case .changedWhileRead(let path, let before, let after):
            let what =
                before == after
                ? "its \(before) bytes were written to"
                : "it had \(before) bytes and has \(after)"
            return "\(path): the file changed while it was read (\(what)); "
                + "ingest it, or a copy, once nothing writes to it"
        case .damagedGzip(let path, let byteOffset, let what):
            return "\(path), byte \(byteOffset) of the packed file: the gzip data are damaged: "
                + "\(what); fetch or pack the file again"
        case .emptyFile(let path):
            return "\(path): the file is empty"
        case .invalidMapping(let what):
            return "the mapping cannot be used: \(what)"
        case .missingFile(let path):
            return "\(path): there is no such file"
        case .noLines(let path):
            return "\(path): the file has no data lines"
        case .notText(let path, let what):
            return "\(path): the file is \(what), not UTF-8 text; convert it first"
        case .raggedLine(let path, let line, let fieldCount, let expected):
            return "\(path), line \(line): the line has \(fieldCount) fields, the header "
                + "\(expected); correct the line, and put a field that holds the delimiter into "
                + "quotes"
        case .rejectsFile(let error):
            return error.description
        case .repeatedID(let path, let line, let column, let firstLine):
            return "\(path), line \(line), column `\(column)`: line \(firstLine) has the same id; "
                + "take one of them out, or name another column as the id"
        case .system(let error):
            return error.description
        case .textAmongNumbers(let path, let line, let column, let limit):
            return "\(path), line \(line), column `\(column)`: the field is no number, after more "
                + "than \(limit) different numbers; correct it, leave it empty where the value is not "
                + "known, or leave the column out (--ignore '\(column)')"
        case .textOfItsOwn(let path, let column, let textCount, let rowCount):
            return "\(path), column `\(column)`: \(textCount) different texts in \(rowCount) lines "
                + Self.explainNothing(column)
        case .tooManyCategories(let path, let line, let column, let limit):
            return "\(path), line \(line), column `\(column)`: more than \(limit) different texts "
                + Self.explainNothing(column)
        case .tooManyFields(let path, let limit):
            return "\(path): the first line has more than \(limit) fields"
        case .tooManyDistinctTexts(let path, let column, let limit):
            return "\(path): column \(column) has more than \(limit) distinct values"
        case .tooManyRejects(
            let path, let rejectedCount, let lineCount, let maximumShare, let counts,
            let rejectsPath):
            return "\(path): \(rejectedCount) of \(lineCount) lines were rejected, more than the "
                + "\((maximumShare * 1e6).rounded() / 1e4) % that maximumRejectShare allows ("
                + Self.list(counts) + "); "
                + (rejectsPath.map { "see \($0)" } ?? "ask for a rejects file to see them")
                + ", correct the mapping or the file, or name expected reasons in setAside"
        case .unknownColumn(let path, let role, let column, let columns, let fieldCount):
            return "\(path): \(role): column \(column) not found; "
                + Self.existing(column, columns, fieldCount)
        case .unreadableHeader(let path, let line, let reason):
            return "\(path), line \(line): the header cannot be read: \(reason.rawValue)"
                + reason.limitNote
        case .unusableBatch(let reason):
            return "the purchase lines were not taken: \(reason)"
        case .wrongDelimiter(let path, let role, let column, let mapped, let likely, let line):
            return "\(path): \(role): column \(column) not found; with the delimiter "
                + "\(mapped.rawValue) the first line is one column, `\(line)`: "
                + "is the delimiter \(likely.rawValue)?"
        }
    }

    private static func explainNothing(_ column: String) -> String {
        "explain nothing; if it names the rows make it the id (--id '\(column)'), else leave it out "
            + "(--ignore '\(column)') or put its texts into fewer groups"
    }

    private static func list(_ counts: [RejectReason: Int]) -> String {
        counts.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
            .map { "\($0.key.rawValue) \($0.value)\($0.key.limitNote)" }.joined(separator: ", ")
    }

    private static func existing(
        _ column: ColumnReference, _ columns: [String], _ fieldCount: Int
    ) -> String {
        switch column {
        case .number:
            return "the first line has \(fieldCount) columns, numbered from 1"
        case .name(let name):
            guard !columns.isEmpty else {
                return "the mapping says that the file has no header: refer to columns by number"
            }
            let shown = columns.prefix(40).map { "`\($0)`" }.joined(separator: ", ")
            let rest = columns.count > 40 ? ", …" : ""
            let nearest = nearestName(to: name, among: columns).map { "; did you mean `\($0)`?" }
            return "the header has \(shown)\(rest)\(nearest ?? "")"
        }
    }
}

/// The name within a third of its length in edits (and at least one) of `name`, the closest first;
/// letter case counts nothing.
package func nearestName(to name: String, among candidates: [String]) -> String? {
    let wanted = Array(name.lowercased().utf8.prefix(64))
    var best: (distance: Int, name: String)?
    for candidate in candidates {
        let other = Array(candidate.lowercased().utf8.prefix(64))
        var row = Array(0...other.count)
        for (i, byte) in wanted.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for j in other.indices {
                let substituted = diagonal + (byte == other[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, min(row[j], row[j + 1]) + 1)
            }
        }
        if row[other.count] < best?.distance ?? .max { best = (row[other.count], candidate) }
    }
    guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
    return best.name
}
