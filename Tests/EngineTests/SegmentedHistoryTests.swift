import ByteCoding
import ColumnStore
import Engine
import Features
import Foundation
import Ingest
import Numerical
import TestSupport
import Testing
import Units

/// Chunks of customers across overlapping segments are what one history of all lines holds.
@Suite struct SegmentedHistoryTests {
    /// What a drawn history is like.
    struct Shape: CustomTestStringConvertible {
        var seed: UInt64
        var segmentCount: Int
        var textIDs = false
        /// Columns by segment: bits of `LineColumns`.
        var columns: [Int]
        var lineCount = 600
        /// About 12 lines each, or as few as this.
        var customerCount: Int?

        var testDescription: String { "seed \(seed), \(segmentCount) segments, \(columns)" }
    }

    static let shapes: [Shape] = [
        Shape(seed: 1, segmentCount: 1, columns: [127]),
        Shape(seed: 2, segmentCount: 1, textIDs: true, columns: [127]),
        Shape(seed: 3, segmentCount: 2, columns: [127, 127]),
        Shape(seed: 4, segmentCount: 3, textIDs: true, columns: [127, 0, 127]),
        Shape(seed: 5, segmentCount: 4, columns: [1 | 8, 2 | 4, 16 | 32, 64]),
        Shape(seed: 6, segmentCount: 4, textIDs: true, columns: [0, 4 | 8, 1 | 2 | 16, 127]),
        Shape(seed: 7, segmentCount: 2, columns: [0, 0]),
        Shape(seed: 8, segmentCount: 2, columns: [127, 127], lineCount: 40_000),
        Shape(seed: 9, segmentCount: 2, textIDs: true, columns: [127, 8], lineCount: 40_000),
        Shape(
            seed: 10, segmentCount: 3, columns: [127, 127, 127], lineCount: 3_000, customerCount: 20
        ),
    ]

    private let rate = 0.3

    private func lines(_ shape: Shape, segment: Int) -> PurchaseLines {
        var random = SeededRandom(seed: shape.seed, stream: UInt64(segment))
        let count = shape.lineCount / (segment + 1)
        let distinct = shape.customerCount ?? max(30, shape.lineCount / 12)
        let customers = (0..<count).map { _ in random.below(distinct) - 5 }
        let ids: IDColumn =
            shape.textIDs
            ? .texts(TextArray(customers.map { "customer-\($0 * 7919 % 1_000)" }))
            : .integers(customers.map { Int64($0) << ($0 % 3 == 0 ? 40 : 0) })
        let columns = LineColumns(rawValue: shape.columns[segment])
        var lines = PurchaseLines(
            customerIDs: ids,
            // Few different times, so that many are equal within and across segments.
            times: (0..<count).map { _ in 1_700_000_000 + Int64(random.below(400)) * 43_200 },
            amounts: (0..<count).map { _ in Int64(random.below(100_000)) - 9_000 })
        if columns.contains(.margins) {
            lines.margins = lines.amounts.map { $0 / 2 + Int64(random.below(100)) }
        }
        if columns.contains(.quantities) {
            lines.quantities = (0..<count).map { _ in Float(random.below(5)) }
        }
        func texts(_ column: LineColumns, _ prefix: String, _ distinct: Int) -> CodedText? {
            guard columns.contains(column) else { return nil }
            var texts: [String?] = []
            for _ in 0..<count {
                texts.append(random.below(6) == 0 ? nil : "\(prefix)\(random.below(distinct))")
            }
            return Self.coded(texts)
        }
        lines.orderIDs = texts(.orders, "o", count / 3 + 1)
        lines.products = texts(.products, "p", 50 + 10 * segment)
        lines.categories = texts(.categories, "c", 40)
        lines.promotions = texts(.promotions, "sale", 3)
        lines.channels = texts(.channels, "channel", 4)
        return lines
    }

    private static func coded(_ texts: [String?]) -> CodedText {
        var codes: [String: UInt32] = [:]
        var column = CodedText()
        for text in texts {
            guard let text else {
                column.codes.append(CodedText.missing)
                continue
            }
            if codes[text] == nil {
                codes[text] = UInt32(codes.count)
                column.values.append(text)
            }
            column.codes.append(codes[text] ?? 0)
        }
        return column
    }

    /// All lines end to end, sorted at once: what chunks must add up to.
    private func reference(_ parts: [PurchaseLines]) throws -> PurchaseHistory {
        var ids = parts[0].customerIDs
        for part in parts.dropFirst() {
            let isAdded = ids.append(contentsOf: part.customerIDs)
            #expect(isAdded)
        }
        func all<Value>(
            _ column: (PurchaseLines) -> [Value]?, else fill: (Int64) -> Value
        ) -> [Value]? {
            guard parts.contains(where: { column($0) != nil }) else { return nil }
            return parts.flatMap { part in column(part) ?? part.amounts.map(fill) }
        }
        func texts(_ column: (PurchaseLines) -> CodedText?) -> CodedText? {
            guard parts.contains(where: { column($0) != nil }) else { return nil }
            return Self.coded(
                parts.flatMap { part -> [String?] in
                    guard let text = column(part) else {
                        return [String?](repeating: nil, count: part.count)
                    }
                    return (0..<part.count).map { text[$0] }
                })
        }
        return try PurchaseHistory.sorting(
            lineCustomerIDs: ids, times: parts.flatMap(\.times), amounts: parts.flatMap(\.amounts),
            margins: all(\.margins) { Int64((Double($0) * rate).rounded()) },
            quantities: all(\.quantities) { $0 < 0 ? -1 : 1 },
            orderCodes: texts(\.orderIDs)?.codes, products: texts(\.products),
            categories: texts(\.categories), promotions: texts(\.promotions),
            channels: texts(\.channels))
    }

    private func withHistory(
        _ shape: Shape,
        _ body: (SegmentedHistory, PurchaseHistory, [PurchaseLines]) throws -> Void
    ) throws {
        try withTemporaryFolder { folder in
            let parts = (0..<shape.segmentCount).map { lines(shape, segment: $0) }
            var paths: [String] = []
            for (index, part) in parts.enumerated() {
                paths.append(folder.appendingPathComponent("\(index).seg").path)
                _ = try PurchaseSegments.write(part, to: paths[index])
            }
            let history = try SegmentedHistory(
                paths: paths, grossMarginRate: rate, threadCount: 2)
            try body(history, try reference(parts), parts)
        }
    }

    /// The lines of a chunk, texts spelled out and orders numbered anew by customer.
    private func lines(of history: PurchaseHistory) -> [[String]] {
        (0..<history.customerCount).map { row in
            var orders: [UInt32: Int] = [:]
            let id = history.customerIDs[row].description
            return history.lines(ofCustomer: row).map { line in
                let order = history.orderCodes.map { codes in
                    codes[line] == CodedText.missing
                        ? -1 : orders[codes[line], default: orders.count]
                }
                if let order, order == orders.count, let code = history.orderCodes?[line] {
                    orders[code] = order
                }
                let texts = [
                    history.products, history.categories, history.promotions, history.channels,
                ].map { column in column.map { $0[line] ?? "-" } ?? "no column" }
                return "\(id) \(history.times[line]) \(history.amounts[line]) "
                    + "\(String(describing: history.margins?[line])) "
                    + "\(String(describing: history.quantities?[line])) "
                    + "\(String(describing: order)) \(texts)"
            }
        }
    }

    @Test(arguments: shapes) func chunksAreTheWhole(_ shape: Shape) throws {
        try withHistory(shape) { history, reference, _ in
            let expected = lines(of: reference)
            #expect(lines(of: try history.whole(threadCount: 1)) == expected)
            let survey = try history.survey(asOf: nil, clock: .utc, threadCount: 2)
            let ids = reference.customerIDs
            // Of all customers, of a few, of about one each (where they are not too many).
            for size in [ids.count, ids.count / 3 + 1, max(1, ids.count / 90)] {
                let starts = Array(stride(from: size, to: ids.count, by: size))
                let chunks = try history.split(at: ids.gather(starts))
                #expect(chunks.chunkCount == starts.count + 1)
                var found: [[String]] = []
                for index in 0..<chunks.chunkCount {
                    let chunk = try chunks.chunk(index, .all, survey.texts)
                    #expect(chunk.customerCount <= size)
                    found += lines(of: chunk)
                }
                #expect(found == expected, "chunks of \(size) customers")
            }
            // Columns that are not asked for are not there, and change nothing else.
            let bare = try history.split(at: ids.gather([])).chunk(0, [], survey.texts)
            #expect(bare.amounts == reference.amounts && bare.margins == nil)
            #expect(bare.products == nil && bare.orderCodes == nil)
        }
    }

    @Test(arguments: shapes) func ownSplitsAreWholeCustomers(_ shape: Shape) throws {
        try withHistory(shape) { history, reference, _ in
            #expect(history.lineCount == reference.lineCount)
            #expect(history.chunkCount == 1)
            let expected = lines(of: reference)
            let survey = try history.survey(asOf: nil, clock: .utc, threadCount: 1)
            for lineCount in [1, 20_000] {
                let chunks = try SegmentedHistory(
                    paths: history.paths, grossMarginRate: rate, chunkLineCount: lineCount,
                    threadCount: 1)
                if shape.lineCount > 20_000 { #expect(chunks.chunkCount > 2) }
                var found: [[String]] = []
                for index in 0..<chunks.chunkCount {
                    found += lines(of: try chunks.chunk(index, .all, survey.texts))
                }
                #expect(found == expected)
            }
        }
    }

    /// Chunks of changed customers hold all lines of who has a new one, or one in a window.
    @Test(arguments: shapes) func changedCustomersAreWhole(_ shape: Shape) throws {
        try withHistory(shape) { history, reference, parts in
            let survey = try history.survey(asOf: nil, clock: .utc, threadCount: 1)
            let expected = lines(of: reference)
            let day = CalendarDay(daysSince1970: 19_800)
            let cases: [(Int, [(CalendarDay, CalendarDay)])] = [
                (0, []), (1, []), (parts.count, []), (parts.count, [(day, day + 1)]),
                (1, [(day, day + 2), (day + 40, day + 41)]), (1, [(day, day)]),
            ]
            for (old, windows) in cases {
                var changed: Set<String> = []
                for (index, part) in parts.enumerated() {
                    for line in 0..<part.count {
                        let lineDay = LocalClock.utc.day(atUTC: Int(part.times[line]))
                        let isInWindow = windows.contains { $0.0 < lineDay && lineDay <= $0.1 }
                        if index >= old || isInWindow {
                            changed.insert(part.customerIDs[line].description)
                        }
                    }
                }
                let change = HistoryChange(
                    segmentCount: old,
                    windows: windows.map {
                        AsOfWindow(after: $0.0, through: $0.1, clock: .utc)
                    })
                let kept = (0..<reference.customerCount).filter {
                    changed.contains(reference.customerIDs[$0].description)
                }
                for lineCount in [1, 20_000] {
                    let chunks = try SegmentedHistory(
                        paths: history.paths, grossMarginRate: rate, chunkLineCount: lineCount,
                        threadCount: 1)
                    var found: [[String]] = []
                    for index in 0..<chunks.chunkCount {
                        found += lines(
                            of: try chunks.chunk(index, .all, survey.texts, changed: change))
                    }
                    #expect(found == kept.map { expected[$0] })
                }
            }
        }
    }

    /// Memory holds a chunk a thread: fewer lines where they are long.
    @Test func longTextsMakeShortChunks() throws {
        try withTemporaryFolder { folder in
            let rows = 0..<40_000
            let chunkCounts = try [0, 400].map { (width: Int) throws -> Int in
                var lines = PurchaseLines(
                    customerIDs: .integers(rows.map { Int64($0) }),
                    times: rows.map { Int64($0) }, amounts: rows.map { Int64($0) })
                let fill = String(repeating: "x", count: width)
                lines.orderIDs = CodedText(
                    codes: rows.map { UInt32($0) }, values: TextArray(rows.map { "\(fill)\($0)" }))
                let path = folder.appendingPathComponent("\(width).seg").path
                _ = try PurchaseSegments.write(lines, to: path)
                return try SegmentedHistory(
                    paths: [path], grossMarginRate: rate, chunkLineCount: 50_000, threadCount: 1
                ).chunkCount
            }
            #expect(chunkCounts == [1, 3])
        }
    }

    /// Texts ascend by their bytes, for any threads and segments; that is the order of the codes of
    /// the whole history.
    @Test(arguments: shapes) func surveysCountEveryLine(_ shape: Shape) throws {
        try withHistory(shape) { history, reference, _ in
            for asOf in [19_700, 19_800, 30_000].map(CalendarDay.init(daysSince1970:)) {
                let survey = try history.survey(asOf: asOf, clock: .utc, threadCount: 3)
                let end = Int64(asOf.daysSince1970 + 1) * 86_400
                let seen = reference.times.indices.filter { reference.times[$0] < end }
                #expect(survey.lines.lines.count == seen.count)
                #expect(survey.lines.lines.last == seen.map { reference.times[$0] }.max())
                #expect(
                    survey.lines.purchaseDays(clock: .utc) == reference.purchaseDays())
                let whole = try history.whole(threadCount: 1)
                for (counts, column) in [
                    (survey.categories, whole.categories), (survey.channels, whole.channels),
                ] {
                    #expect((counts == nil) == (column == nil))
                    guard let counts, let column else { continue }
                    #expect(counts.values == column.values)
                    #expect(
                        (1..<max(1, counts.values.count)).allSatisfy {
                            counts.values.precedes($0 - 1, counts.values, $0)
                        })
                    var expected = [Int](repeating: 0, count: column.values.count)
                    for line in whole.times.indices
                    where whole.times[line] < end && whole.amounts[line] >= 0
                        && column.codes[line] != CodedText.missing
                    {
                        expected[Int(column.codes[line])] += 1
                    }
                    #expect(counts.counts == expected)
                }
            }
            #expect(try history.purchaseDays(clock: .utc) == reference.purchaseDays())
        }
    }

    /// Features, purchases of products and outcomes of a back-test from chunks of any size, next to
    /// those of all lines in memory.
    @Test(arguments: shapes) func passesOverChunksAreThoseOverAll(_ shape: Shape) throws {
        try withHistory(shape) { history, reference, _ in
            let asOf = CalendarDay(daysSince1970: 19_800)
            let later = asOf + 60
            let survey = try history.survey(asOf: asOf, clock: .utc, threadCount: 2)
            let scan = try FeatureScan(
                survey: survey.lines, categories: survey.categories, channels: survey.channels,
                asOf: asOf, clock: .utc, grossMarginRate: rate)
            let expected = try computeFeatures(
                reference, attributes: nil, asOf: asOf, clock: .utc, grossMarginRate: rate,
                threadCount: 1)
            let whole = try history.whole(threadCount: 1)
            let rows = reference.customerRows(asOf: asOf, clock: .utc)
            let bought = purchaseMatrix(
                whole, customerRows: rows, after: nil, through: asOf, clock: .utc, threadCount: 1)
            let outcome = holdoutOutcome(
                reference, customerRows: rows, after: asOf, through: later, clock: .utc,
                grossMarginRate: rate, threadCount: 1)
            for size in [1_000_000, 7, 1] where reference.customerCount / size < 100 {
                let starts = stride(from: size, to: reference.customerCount, by: size)
                let chunks = try history.split(at: reference.customerIDs.gather(Array(starts)))
                var found = FeatureRows()
                var matrix = PurchaseMatrix(products: survey.texts.products ?? TextArray())
                var outcomes = HoldoutOutcome()
                for index in 0..<chunks.chunkCount {
                    let chunk = try chunks.chunk(index, .all, survey.texts)
                    found.append(scan.rows(of: chunk))
                    let rows = chunk.customerRows(asOf: asOf, clock: .utc)
                    let part = purchaseMatrix(
                        chunk, customerRows: rows, after: nil, through: asOf, clock: .utc,
                        threadCount: 1)
                    if let part { matrix.append(part) }
                    outcomes.append(
                        holdoutOutcome(
                            chunk, customerRows: rows, after: asOf, through: later, clock: .utc,
                            grossMarginRate: rate, threadCount: 1))
                }
                let table = try scan.table(of: found, attributes: nil, threadCount: 2)
                #expect(table.columns == expected.columns)
                #expect(table.groups == expected.groups)
                #expect(table.history == expected.history)
                #expect(table.customerIDs == expected.customerIDs)
                #expect(table.convention == expected.convention)
                #expect(table.lines == expected.lines)
                #expect(outcomes == outcome)
                guard let bought else { continue }
                #expect(matrix.rowOffsets == bought.rowOffsets)
                #expect(matrix.productCodes == bought.productCodes)
                #expect(matrix.values == bought.values)
            }
        }
    }

    /// The latest line of all is a return, and so is the earliest.
    @Test func returnsDoNotMoveThePurchaseDays() throws {
        try withTemporaryFolder { folder in
            let day = Int64(86_400)
            func write(_ name: String, _ lines: [(Int64, Int64)]) throws -> String {
                let path = folder.appendingPathComponent(name).path
                _ = try PurchaseSegments.write(
                    PurchaseLines(
                        customerIDs: .integers(lines.indices.map { Int64($0) }),
                        times: lines.map { $0.0 * day }, amounts: lines.map(\.1)), to: path)
                return path
            }
            let mixed = try write("mixed.seg", [(100, -1), (130, 5), (140, 0), (900, -3)])
            let pure = try write("pure.seg", [(110, 5), (120, 7)])
            let returns = try write("returns.seg", [(1, -1), (2_000, -2)])
            func days(_ paths: [String]) throws -> ClosedRange<CalendarDay>? {
                try SegmentedHistory(paths: paths, grossMarginRate: 0, threadCount: 1)
                    .purchaseDays(clock: .utc)
            }
            func range(_ first: Int, _ last: Int) -> ClosedRange<CalendarDay> {
                CalendarDay(daysSince1970: first)...CalendarDay(daysSince1970: last)
            }
            #expect(try days([mixed, pure, returns]) == range(110, 140))
            #expect(try days([mixed]) == range(130, 140))
            #expect(try days([pure, returns]) == range(110, 120))
            #expect(try days([returns]) == nil)
        }
    }

    @Test func idsOfTwoKindsAreRefused() throws {
        try withTemporaryFolder { folder in
            var paths: [String] = []
            for ids in [IDColumn.integers([1]), .texts(TextArray(["1"]))] {
                paths.append(folder.appendingPathComponent("\(paths.count).seg").path)
                _ = try PurchaseSegments.write(
                    PurchaseLines(customerIDs: ids, times: [0], amounts: [1]),
                    to: paths[paths.count - 1])
            }
            #expect(throws: EngineError.idKindMismatch(table: "customer")) {
                try SegmentedHistory(paths: paths, grossMarginRate: 0, threadCount: 1)
            }
        }
    }
}

extension PurchaseHistory {
    /// Days in UTC of the first and the last line with an amount of 0 or more.
    fileprivate func purchaseDays() -> ClosedRange<CalendarDay>? {
        let days = times.indices.filter { amounts[$0] >= 0 }.map {
            LocalClock.utc.day(atUTC: Int(times[$0]))
        }
        guard let first = days.min(), let last = days.max() else { return nil }
        return first...last
    }
}
