/// Collects what is wrong with the current line and keeps the counts of the file.
struct LineJudge {
    private struct Issue {
        let reason: RejectReason
        /// From 0, or -1 for the whole line.
        let field: Int
    }

    private let layout: ColumnLayout
    private let format: TextFormat
    private let rejects: RejectsWriter?
    private var issues: [Issue] = []
    /// By the reason's place in `RejectReason.allCases`.
    private var counts: [RejectReason: Int] = [:]
    private(set) var report: IngestReport

    init(
        _ bytes: Span<UInt8>, layout: ColumnLayout, format: TextFormat, rejects: RejectsWriter?
    ) {
        self.layout = layout
        self.format = format
        self.rejects = rejects
        report = IngestReport(
            path: layout.path, byteCount: bytes.count, contentHash: ContentHash.hash(bytes))
    }

    var hasIssues: Bool { !issues.isEmpty }

    mutating func add(_ reason: RejectReason, field: Int) {
        issues.append(Issue(reason: reason, field: field))
    }

    /// Starts a line and looks at its structure; false where its fields cannot be used, so that
    /// no reason about them would mean anything.
    mutating func begin(_ bytes: Span<UInt8>, _ record: Record) -> Bool {
        report.lineCount += 1
        issues.removeAll(keepingCapacity: true)
        if let problem = record.problem {
            add(problem, field: problem == .wrongFieldCount ? -1 : record.problemField)
            return false
        }
        if let problem = firstTextProblem(bytes, from: record.start, to: record.end) {
            let field = record.fields.firstIndex {
                $0.start <= problem.offset && problem.offset < $0.end
            }
            add(problem.reason, field: field ?? -1)
        }
        if record.fields.count != layout.fieldCount {
            add(.wrongFieldCount, field: -1)
            return false
        }
        return true
    }

    mutating func accept() { report.acceptedCount += 1 }

    mutating func acceptPurchase(time: Int64, isReturn: Bool) {
        report.acceptedCount += 1
        if isReturn { report.returnCount += 1 }
        report.firstTime = min(report.firstTime ?? time, time)
        report.lastTime = max(report.lastTime ?? time, time)
    }

    /// Counts the line's reasons and writes them to the rejects file.
    mutating func reject(_ bytes: Span<UInt8>, _ record: Record) throws(IngestError) {
        if issues.allSatisfy({ format.setAside.contains($0.reason) }) {
            report.setAsideCount += 1
        } else {
            report.rejectedCount += 1
        }
        for (index, issue) in issues.enumerated() {
            // A line counts once under a reason, however many of its fields have it.
            if !issues[..<index].contains(where: { $0.reason == issue.reason }) {
                counts[issue.reason, default: 0] += 1
            }
            guard let rejects else { continue }
            let isField = record.fields.indices.contains(issue.field)
            let start = isField ? record.fields[issue.field].start : record.start
            let end = isField ? record.fields[issue.field].end : record.end
            let shownEnd = min(end, start + Limits.excerptByteCount + 1)
            try rejects.add(
                file: layout.path, line: record.lineNumber,
                column: issue.field >= 0 ? layout.label(issue.field) : "", reason: issue.reason,
                value: (start..<max(start, shownEnd)).map { bytes[$0] })
        }
    }

    /// The finished report. Throws `noLines` for a file without any, and `tooManyRejects`.
    func finish() throws(IngestError) -> IngestReport {
        var report = report
        report.reasonCounts = counts
        guard report.lineCount > 0 else { throw .noLines(path: layout.path) }
        let allowed = format.maximumRejectShare * Double(report.lineCount)
        if Double(report.rejectedCount) > allowed {
            throw .tooManyRejects(
                path: layout.path, rejectedCount: report.rejectedCount,
                lineCount: report.lineCount, maximumShare: format.maximumRejectShare,
                reasonCounts: counts, rejectsPath: rejects?.path)
        }
        return report
    }
}
