/// A row for the rejects file.
struct RejectRow: Sendable, Equatable {
    /// The physical line, counted from where the judge began.
    var lineNumber: Int
    /// From 0, or -1 for the whole line.
    var field: Int
    var reason: RejectReason
    /// The first bytes, among the judge's excerpts.
    var excerpt: Range<Int>
}

/// What some lines come to in the rejects file.
struct RejectRows: Sendable, Equatable {
    /// So many are kept before they are written: a file may be rejected line by line.
    static let most = 4_096

    var rows: [RejectRow] = []
    var excerpts: [UInt8] = []

    mutating func removeAll() {
        rows.removeAll(keepingCapacity: true)
        excerpts.removeAll(keepingCapacity: true)
    }
}

/// Counts of lines; see `IngestReport`.
struct LineTally: Sendable, Equatable {
    var lineCount = 0
    var acceptedCount = 0
    var rejectedCount = 0
    var setAsideCount = 0
    var returnCount = 0
    var reasonCounts: [RejectReason: Int] = [:]
    /// `Int64.max` and `Int64.min` for no line.
    var firstTime = Int64.max
    var lastTime = Int64.min
}

/// Collects what is wrong with the current line, and counts lines.
struct LineJudge: Sendable {
    private struct Issue {
        let reason: RejectReason
        /// From 0, or -1 for the whole line.
        let field: Int
    }

    private let fieldCount: Int
    private let setAside: Set<RejectReason>
    private let keepsRows: Bool
    private var issues: [Issue] = []
    var tally = LineTally()
    /// What the rejects file is to get, where there is one.
    var rejects = RejectRows()

    init(layout: ColumnLayout, format: TextFormat, keepsRows: Bool) {
        fieldCount = layout.fieldCount
        setAside = format.setAside
        self.keepsRows = keepsRows
    }

    var hasIssues: Bool { !issues.isEmpty }

    mutating func add(_ reason: RejectReason, field: Int) {
        issues.append(Issue(reason: reason, field: field))
    }

    /// Starts a line and looks at its structure; false where its fields cannot be used, so that
    /// no reason about them would mean anything.
    mutating func begin(_ bytes: Span<UInt8>, _ record: Record) -> Bool {
        tally.lineCount += 1
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
        if record.fields.count != fieldCount {
            add(.wrongFieldCount, field: -1)
            return false
        }
        return true
    }

    mutating func accept() { tally.acceptedCount += 1 }

    mutating func acceptPurchase(time: Int64, isReturn: Bool) {
        tally.acceptedCount += 1
        if isReturn { tally.returnCount += 1 }
        tally.firstTime = min(tally.firstTime, time)
        tally.lastTime = max(tally.lastTime, time)
    }

    /// Counts the line's reasons and keeps its rows.
    mutating func reject(_ bytes: Span<UInt8>, _ record: Record) {
        if issues.allSatisfy({ setAside.contains($0.reason) }) {
            tally.setAsideCount += 1
        } else {
            tally.rejectedCount += 1
        }
        for (index, issue) in issues.enumerated() {
            // A line counts once under a reason, however many of its fields have it.
            if !issues[..<index].contains(where: { $0.reason == issue.reason }) {
                tally.reasonCounts[issue.reason, default: 0] += 1
            }
            guard keepsRows else { continue }
            let isField = record.fields.indices.contains(issue.field)
            let start = isField ? record.fields[issue.field].start : record.start
            let end = isField ? record.fields[issue.field].end : record.end
            let shownEnd = max(start, min(end, start + Limits.excerptByteCount + 1))
            let first = rejects.excerpts.count
            for index in start..<shownEnd { rejects.excerpts.append(bytes[index]) }
            rejects.rows.append(
                RejectRow(
                    lineNumber: record.lineNumber, field: issue.field, reason: issue.reason,
                    excerpt: first..<rejects.excerpts.count))
        }
        issues.removeAll(keepingCapacity: true)
    }
}

/// Adds up what is known of one file.
struct FileTally {
    private let layout: ColumnLayout
    private let format: TextFormat
    private let rejects: RejectsWriter?
    private(set) var total = LineTally()

    init(layout: ColumnLayout, format: TextFormat, rejects: RejectsWriter?) {
        self.layout = layout
        self.format = format
        self.rejects = rejects
    }

    /// Adds the lines after those added before, whose physical lines are counted from `firstLine`.
    mutating func add(
        _ tally: LineTally, _ rows: RejectRows, firstLine: Int
    ) throws(IngestError) {
        total.lineCount += tally.lineCount
        total.acceptedCount += tally.acceptedCount
        total.rejectedCount += tally.rejectedCount
        total.setAsideCount += tally.setAsideCount
        total.returnCount += tally.returnCount
        total.firstTime = min(total.firstTime, tally.firstTime)
        total.lastTime = max(total.lastTime, tally.lastTime)
        for (reason, count) in tally.reasonCounts {
            total.reasonCounts[reason, default: 0] += count
        }
        guard let rejects else { return }
        for row in rows.rows {
            try rejects.add(
                file: layout.path, line: firstLine + row.lineNumber,
                column: row.field >= 0 ? layout.label(row.field) : "", reason: row.reason,
                value: Array(rows.excerpts[row.excerpt]))
        }
    }

    /// The finished report. Throws `noLines` for a file without any, and `tooManyRejects`.
    func report(byteCount: Int, contentHash: UInt64) throws(IngestError) -> IngestReport {
        var report = IngestReport(
            path: layout.path, byteCount: byteCount, contentHash: contentHash)
        report.lineCount = total.lineCount
        report.acceptedCount = total.acceptedCount
        report.rejectedCount = total.rejectedCount
        report.setAsideCount = total.setAsideCount
        report.returnCount = total.returnCount
        report.reasonCounts = total.reasonCounts
        if total.firstTime <= total.lastTime {
            report.firstTime = total.firstTime
            report.lastTime = total.lastTime
        }
        guard report.lineCount > 0 else { throw .noLines(path: layout.path) }
        let allowed = format.maximumRejectShare * Double(report.lineCount)
        if Double(report.rejectedCount) > allowed {
            throw .tooManyRejects(
                path: layout.path, rejectedCount: report.rejectedCount,
                lineCount: report.lineCount, maximumShare: format.maximumRejectShare,
                reasonCounts: report.reasonCounts, rejectsPath: rejects?.path)
        }
        return report
    }
}
