package import ByteCoding
package import ColumnStore
package import Ingest
package import Units

extension Workspace {
    /// Where the log of live purchases lies in a workspace.
    package static func liveFolder(_ folder: String) -> String { "\(folder)/live" }

    /// Live purchases before it are in the segments, the others in the log alone.
    package var livePosition: LogPosition { manifest.live ?? .start }

    /// What a scoring as of a day sees of the purchases.
    func coverage(asOf day: CalendarDay) -> SnapshotDescriptor.Coverage {
        let last = manifest.purchaseSegments.compactMap(\.lastTime).max()
        let isWhole = last.map { plan.clock.day(atUTC: Int($0)) <= day } ?? true
        return SnapshotDescriptor.Coverage(
            live: livePosition, isWhole: isWhole,
            lineCount: manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount })
    }
}

extension Plan {
    /// Checks purchase lines that were sent by the rules of files.
    /// - Parameters:
    ///   - currency: of the amounts; nil for the plan's.
    ///   - clock: the plan's, where it is at hand; making it takes longer than a small batch.
    /// - Throws: `.ingest(.unusableBatch)` for lines that are not those of this plan;
    ///   `.noPurchases` where the plan has none.
    package func validated(
        _ lines: SubmittedLines, currency: String? = nil, clock: LocalClock? = nil
    ) throws(EngineError) -> ValidatedLines {
        guard let purchases = sources.purchases else {
            throw .ingest(.unusableBatch(reason: "the plan has no sources.purchases"))
        }
        if let currency, currency != self.currency {
            throw .ingest(
                .unusableBatch(
                    reason: "amounts are in \(currency), the plan's are in \(self.currency)"))
        }
        return try mapErrors(EngineError.ingest) { () throws(IngestError) in
            try purchases.mapping.validated(lines, clock: clock ?? self.clock)
        }
    }
}

extension LoggedLines {
    package init(_ lines: PurchaseLines) {
        self.init(
            customerIDs: lines.customerIDs, times: lines.times, amounts: lines.amounts,
            margins: lines.margins, quantities: lines.quantities, texts: lines.textColumns)
    }

    /// The columns besides customers, times and amounts.
    var columns: LineColumns {
        var columns: LineColumns = []
        if margins != nil { columns.insert(.margins) }
        if quantities != nil { columns.insert(.quantities) }
        for (text, (column, _)) in zip(texts, PurchaseSegments.textNames) where text != nil {
            columns.insert(column)
        }
        return columns
    }
}

extension CodedText {
    /// A text a row; empty ones are missing.
    package init(interning texts: TextArray) {
        var interner = TextInterner()
        var codes: [UInt32] = []
        codes.reserveCapacity(texts.count)
        for row in 0..<texts.count {
            codes.append(
                texts.offsets[row] == texts.offsets[row + 1]
                    ? Self.missing : interner.number(of: texts, row))
        }
        self.init(codes: codes, values: interner.texts)
    }
}

extension IDColumn {
    var isOfTexts: Bool { if case .texts = self { true } else { false } }
}

/// Lines of several records as one batch: equal texts have equal codes.
struct JoinedLines {
    private(set) var lines: LineParts
    private var interners: [TextInterner?]

    struct LineParts {
        var customerIDs: IDColumn
        var times: [Int64] = []
        var amounts: [Int64] = []
        var margins: [Int64]?
        var quantities: [Float]?
        var codes: [[UInt32]?]
    }

    /// Forgets the lines and their texts.
    mutating func removeAll() {
        lines = LineParts(
            customerIDs: lines.customerIDs.slice(0..<0), margins: lines.margins.map { _ in [] },
            quantities: lines.quantities.map { _ in [] },
            codes: lines.codes.map { $0.map { _ in [] } })
        interners = interners.map { $0.map { _ in TextInterner() } }
    }

    /// Without lines, of the columns of some.
    init(like first: LoggedLines) {
        lines = LineParts(
            customerIDs: first.customerIDs.slice(0..<0), margins: first.margins.map { _ in [] },
            quantities: first.quantities.map { _ in [] },
            codes: first.texts.map { $0.map { _ in [] } })
        interners = first.texts.map { $0.map { _ in TextInterner() } }
    }

    var count: Int { lines.times.count }
    var texts: [TextArray?] { interners.map(\.?.texts) }

    /// Adds lines of the same columns.
    mutating func append(_ next: LoggedLines) {
        let isOfOneKind = lines.customerIDs.append(contentsOf: next.customerIDs)
        precondition(isOfOneKind, "records of other ids are another segment's")
        lines.times += next.times
        lines.amounts += next.amounts
        if let margins = next.margins { lines.margins? += margins }
        if let quantities = next.quantities { lines.quantities? += quantities }
        for (index, text) in next.texts.enumerated() {
            guard let text else { continue }
            let numbers = (0..<text.values.count).map { row in
                interners[index]?.number(of: text.values, row) ?? CodedText.missing
            }
            lines.codes[index]? += text.codes.map {
                $0 == CodedText.missing ? $0 : numbers[Int($0)]
            }
        }
    }
}
