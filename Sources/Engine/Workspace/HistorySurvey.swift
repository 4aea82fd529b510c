package import ByteCoding
import ColumnStore
package import Features
package import Units

/// The distinct texts of the lines of all segments, column by column.
///
/// A column's texts are in ascending order of their bytes: the same for any chunks and threads, and
/// however the lines came into segments. The product columns of models are in this order.
package struct LineTexts: Sendable {
    fileprivate var columns: [Int: LineDictionary] = [:]
    /// The category of every product by the product table, where no segment names categories.
    fileprivate(set) var categoryOfProduct: CodedText?

    subscript(column: LineColumns) -> LineDictionary? { columns[column.rawValue] }

    /// All products that lines name; nil where none is mapped.
    package var products: TextArray? { self[.products]?.values }
}

struct LineDictionary: Sendable {
    let interner: TextInterner
    let values: TextArray
}

/// What one pass over the blocks of all segments finds, in any order of customers.
package struct HistorySurvey: Sendable {
    package fileprivate(set) var lines = LineSurvey()
    package fileprivate(set) var texts = LineTexts()
    /// Purchase lines by the as-of day of every value; nil where no line names any.
    package fileprivate(set) var categories: ValueCounts?
    package fileprivate(set) var channels: ValueCounts?
    private var products: ValueCounts?
    /// What a later survey goes on from.
    let totals: SurveyTotals

    fileprivate init(_ totals: SurveyTotals, columns: LineColumns) {
        self.totals = totals
        lines = totals.lines
        let found = totals.texts.mapValues { $0.sorted }
        for (column, text) in found {
            texts.columns[column] = LineDictionary(
                interner: text.interner, values: text.interner.texts)
        }
        func counts(_ column: LineColumns) -> ValueCounts? {
            guard columns.contains(column) else { return nil }
            let text = found[column.rawValue]
            return ValueCounts(
                counts: text?.counts ?? [], values: text?.interner.texts ?? TextArray())
        }
        (categories, channels, products) = (
            counts(.categories), counts(.channels), counts(.products)
        )
    }

    /// Looks each line's category up by its product: for stores whose product table, not the
    /// purchase line, says the category.
    /// - Parameters:
    ///   - ids: of the product table, unique; integers match the digits of a line.
    ///   - table: one row a product.
    mutating func takeCategories(
        ofProducts ids: IDColumn, _ table: CodedText
    ) throws(FeatureError) {
        guard categories == nil, let products else { return }
        let codes = try categoryCodes(of: products.values, productIDs: ids, categories: table)
        texts.categoryOfProduct = CodedText(codes: codes, values: table.values)
        var counts = [Int](repeating: 0, count: table.values.count)
        for (product, code) in codes.enumerated() where code != CodedText.missing {
            counts[Int(code)] += products.counts[product]
        }
        categories = ValueCounts(counts: counts, values: table.values)
    }
}

/// What the blocks surveyed so far come to.
struct SurveyTotals: Sendable {
    struct Text: Sendable {
        var interner = TextInterner()
        /// Counted lines by number.
        var counts: [Int] = []
    }

    var lines = LineSurvey()
    /// By the raw value of `LineColumns`.
    var texts: [Int: Text] = [:]

    fileprivate mutating func add(_ part: SurveyPart) {
        lines.merge(part.lines)
        for (column, found) in part.texts {
            texts[column, default: Text()].add(found)
        }
    }
}

extension SurveyTotals.Text {
    /// The same with numbers in the order of the texts.
    fileprivate var sorted: Self {
        let texts = interner.texts
        let order = counts.indices.sorted { texts.precedes($0, texts, $1) }
        var result = Self()
        for number in order {
            _ = result.interner.number(of: texts, number)
            result.counts.append(counts[number])
        }
        return result
    }

    mutating func add(_ found: ValueCounts) {
        for (code, count) in found.counts.enumerated() {
            let number = Int(interner.number(of: found.values, code))
            if number == counts.count { counts.append(0) }
            counts[number] += count
        }
    }
}

/// What some blocks of one segment come to.
private struct SurveyPart: Sendable {
    var lines = LineSurvey()
    var texts: [Int: ValueCounts] = [:]
}

extension SegmentedHistory {
    /// Blocks that a thread surveys at a time.
    private static let surveyBlockCount = 32

    /// A survey of the first segments as of a day, from which a survey of all goes on.
    struct EarlierSurvey: Sendable {
        let totals: SurveyTotals
        let segmentCount: Int
        let asOf: CalendarDay
    }

    /// Reads all blocks once; of segments surveyed earlier those alone that may have lines since.
    /// - Parameter asOf: nil where the texts are all that is wanted: nothing is counted then.
    package func survey(
        asOf: CalendarDay?, clock: LocalClock, threadCount: Int
    ) throws(EngineError) -> HistorySurvey {
        try survey(asOf: asOf, clock: clock, goingOnFrom: nil, threadCount: threadCount)
    }

    /// - Parameter earlier: of no later day.
    func survey(
        asOf: CalendarDay?, clock: LocalClock, goingOnFrom earlier: EarlierSurvey?,
        threadCount: Int
    ) throws(EngineError) -> HistorySurvey {
        typealias Work = (segment: PurchaseSegment, blocks: Range<Int>, after: CalendarDay?)
        var work: [Work] = []
        for (index, segment) in segments.enumerated() {
            let count = segment.reader.blockCount
            guard let earlier, index < earlier.segmentCount else {
                for start in stride(from: 0, to: count, by: Self.surveyBlockCount) {
                    work.append((segment, start..<min(count, start + Self.surveyBlockCount), nil))
                }
                continue
            }
            if let asOf, earlier.asOf < asOf {
                let first = clock.noLaterThanStart(ofDayAfter: earlier.asOf)
                for block in 0..<count where segment.mayHaveLines(inBlock: block, from: first) {
                    work.append((segment, block..<block + 1, earlier.asOf))
                }
            }
        }
        let totals = try parallelFold(
            into: earlier?.totals ?? SurveyTotals(), count: work.count, threadCount: threadCount
        ) { [work] (index) throws(EngineError) in
            let (segment, blocks, after) = work[index]
            defer { segment.reader.forget(blocks: blocks) }
            return try mapErrors(EngineError.store) { () throws(StoreError) in
                try Self.survey(segment, blocks, after: after, asOf: asOf, clock)
            }
        } merge: { totals, part in
            totals.add(part)
        }
        return HistorySurvey(totals, columns: columns)
    }

    private static func survey(
        _ segment: PurchaseSegment, _ blocks: Range<Int>, after: CalendarDay?, asOf: CalendarDay?,
        _ clock: LocalClock
    ) throws(StoreError) -> SurveyPart {
        var part = SurveyPart()
        var counted: [Bool]?
        if let asOf {
            counted = part.lines.add(
                times: try segment.times(blocks), amounts: try segment.amounts(blocks),
                after: after, asOf: asOf, clock: clock)
        }
        for column in LineColumns.codedTexts {
            guard let text = try segment.texts(column, blocks) else { continue }
            part.texts[column.rawValue] =
                counted.map { ValueCounts(text, where: $0) }
                ?? ValueCounts(
                    counts: [Int](repeating: 0, count: text.values.count), values: text.values)
        }
        return part
    }

    /// Local days of the first and last purchase (an amount of 0 or more), from zone maps where they
    /// tell: a block is read only if it has returns too and might reach beyond all others.
    /// - Returns: nil where there is none.
    package func purchaseDays(clock: LocalClock) throws(EngineError) -> ClosedRange<CalendarDay>? {
        var range = LineRange()
        var mixed: [(segment: PurchaseSegment, block: Int, times: ClosedRange<Int64>)] = []
        for segment in segments {
            for block in 0..<segment.reader.blockCount {
                guard let bounds = segment.bounds(ofBlock: block) else {
                    mixed.append((segment, block, Int64.min...Int64.max))
                    continue
                }
                if bounds.amounts.lowerBound >= 0 {
                    range.add(bounds.times.lowerBound)
                    range.add(bounds.times.upperBound)
                } else if bounds.amounts.upperBound >= 0 {
                    mixed.append((segment, block, bounds.times))
                }
            }
        }
        func read(_ segment: PurchaseSegment, _ block: Int) throws(EngineError) {
            try mapErrors(EngineError.store) { () throws(StoreError) in
                let times = try segment.times(block..<block + 1)
                let amounts = try segment.amounts(block..<block + 1)
                for (line, time) in times.enumerated() where amounts[line] >= 0 { range.add(time) }
            }
        }
        for (segment, block, times) in mixed.sorted(by: {
            $0.times.upperBound > $1.times.upperBound
        })
        where times.upperBound > range.last { try read(segment, block) }
        for (segment, block, times) in mixed.sorted(by: {
            $0.times.lowerBound < $1.times.lowerBound
        })
        where times.lowerBound < range.first { try read(segment, block) }
        return range.days(clock: clock)
    }
}

extension LocalClock {
    /// A UTC second with no line of a later day before it, at most half a minute before the
    /// first of them.
    fileprivate func noLaterThanStart(ofDayAfter day: CalendarDay) -> Int64 {
        let step = 30
        // Offsets lie within ±26 hours.
        let midnight = (day.daysSince1970 + 1) * 86_400
        var second = midnight - 27 * 3_600
        while second < midnight + 27 * 3_600, self.day(atUTC: second + step) <= day {
            second += step
        }
        return Int64(second)
    }
}

extension PurchaseSegment {
    fileprivate func mayHaveLines(inBlock block: Int, from time: Int64) -> Bool {
        bounds(ofBlock: block).map { $0.times.upperBound >= time } ?? true
    }
}
