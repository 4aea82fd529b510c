package import Units

/// Reads one file of purchase lines.
///
/// Lines that cannot be used are counted by reason, written to `rejects` where given, and left out;
/// all reasons of a line are found, not only the first. Spaces and tabs around a field's content do
/// not count. Deterministic.
///
/// - Parameters:
///   - clock: the plan's time zone, for times without an offset.
///   - rejects: shared by several files if wished; the caller finishes it, also after an error.
/// - Throws: `IngestError` where the file cannot be read or mapped, has no lines, or has more
///   rejects than the mapping allows.
package func readPurchases(
    path: String, mapping: PurchaseMapping, clock: LocalClock, rejects: RejectsWriter? = nil
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    let bytes = try readWholeFile(path)
    return try readPurchases(
        bytes.span, path: path, mapping: mapping, clock: clock, rejects: rejects)
}

/// As above, from bytes that are in memory; `path` is their name in messages and rejects.
package func readPurchases(
    _ bytes: Span<UInt8>, path: String, mapping: PurchaseMapping, clock: LocalClock,
    rejects: RejectsWriter? = nil
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    try mapping.format.check()
    var scanner = RecordScanner(bytes, delimiter: mapping.format.delimiter)
    let layout = try ColumnLayout(bytes, &scanner, format: mapping.format, path: path)
    var parser = try PurchaseParser(mapping, layout, clock)
    var judge = LineJudge(bytes, layout: layout, format: mapping.format, rejects: rejects)
    var record = Record()
    while scanner.next(bytes, &record) {
        if judge.begin(bytes, record) { try parser.parse(bytes, record, &judge) }
        if judge.hasIssues { try judge.reject(bytes, record) }
    }
    let report = try judge.finish()
    return (parser.lines, report)
}

extension TextFormat {
    func check() throws(IngestError) {
        guard maximumRejectShare >= 0, maximumRejectShare <= 1 else {
            throw .invalidMapping("maximumRejectShare is \(maximumRejectShare), not in 0…1")
        }
        guard decimalSign.byte != delimiter.byte else {
            throw .invalidMapping("the comma is both the delimiter and the decimal sign")
        }
    }
}
