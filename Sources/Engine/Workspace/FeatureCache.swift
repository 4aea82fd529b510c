import ByteCoding
import ColumnStore
import Features
import Foundation
import Models
import Numerical
import Units

/// The features of an earlier day, kept so that those of the next day need the lines of the customers
/// alone who have new ones: those of all customers in `cache/features.arr`, and of those who have
/// changed since in `cache/features-changed.arr`, which is written anew for every day until it is
/// large.
///
/// The files may be missing, damaged or of another state of the workspace at any time: all features
/// are then computed from the lines. Their key names all that they depend on.
///
/// Arrays: `ids` or `idBytes` and `idOffsets`; the columns of `CustomerHistory`, each under its
/// name; `unique.…`, the rows of the collapsed histories, in the file of all customers; `feature.N`
/// (float32) and, where some row has none, `valid.M` (uint8), the flags of every feature that names
/// M; `text.C.bytes`, `.offsets` and `.counts` of the text columns surveyed.
enum FeatureCache {
    static let path = "cache/features.arr"
    static let changedPath = "cache/features-changed.arr"
    static let kind = "patron.features"
    /// Of more than one customer in so many the changed ones are not kept apart: their file, written
    /// every day, costs more than that of all customers now and then.
    static let changedShare = 3

    /// What the features of a day depend on.
    struct Key: Codable, Equatable {
        struct Segment: Codable, Equatable {
            var file: String
            var rowCount: Int
            var checksum: UInt32

            init(_ segment: Manifest.Segment) {
                (file, rowCount, checksum) = (segment.file, segment.rowCount, segment.checksum)
            }
        }

        /// Raised with every change of what a feature means.
        var version = 2
        var timeZone: TimeZoneKey
        var grossMarginRate: Double
        /// The columns that purchase lines have.
        var lineColumns: Int
        var products: [Segment]
    }

    struct Card: Codable {
        struct Column: Codable {
            var name: String
            var unit: FeatureUnit
            /// Which flags are its; nil where every row has the feature.
            var flags: Int?
        }

        var key: Key
        var end: Manifest.DeliveryMark
        var asOf: String
        var columns: [Column]
        var shareNames: [String]
        var convention: OrderConvention
        var lines: LineRange
        var purchaseLines: LineRange
        /// Raw values of `LineColumns`.
        var textColumns: [Int]
        /// `contentChecksum` of the file of all customers that one of the changed goes on from.
        var base: UInt32?
    }

    /// Lines of a workspace that something is computed from: by a day, those of some deliveries.
    struct Lines: Equatable {
        var asOf: CalendarDay
        var end: Manifest.DeliveryMark

        /// Whether nothing but what has come since sets `later` apart, lines of the same workspace.
        func goOn(to later: Lines) -> Bool {
            asOf <= later.asOf && end.count <= later.end.count
        }
    }

    struct Contents {
        /// Of all customers on a day.
        let state: FeatureState
        /// Of those who have changed by a later day.
        var changed: FeatureState?
        /// What `state` is of.
        let lines: Lines
        /// What `changed` is of; `lines` without it.
        var last: Lines
        fileprivate let file: ArrayFile
        fileprivate let card: Card
        /// The unique purchase histories of the customers with an order, and how many have each: a
        /// refit of the purchase model on the same day costs no pass over customers. Nil where a
        /// history is none that a model could be of.
        var collapsed: CollapsedHistory?
        var survey: SegmentedHistory.EarlierSurvey

        var base: UInt32 { file.contentChecksum }

        /// Computes the checksums of the columns of some features, which nothing else does.
        func verify(_ names: [String], threadCount: Int) throws(CacheFlaw) {
            var arrays: [String] = []
            for (index, column) in card.columns.enumerated() where names.contains(column.name) {
                arrays.append("feature.\(index)")
                if let flags = column.flags, !arrays.contains("valid.\(flags)") {
                    arrays.append("valid.\(flags)")
                }
            }
            do throws(StoreError) {
                try file.verify(arrays, threadCount: threadCount)
            } catch {
                throw CacheFlaw(reason: error.description)
            }
        }
    }

    /// Reads the files.
    /// - Parameter ends: of the segments of now.
    /// - Returns: what they hold; the columns of all customers are not verified.
    /// - Throws: why they are of no use.
    static func read(
        _ folder: String, key: Key, ends: [Manifest.DeliveryMark], threadCount: Int
    ) throws(CacheFlaw) -> Contents {
        let path = "\(folder)/\(path)"
        guard FileManager.default.fileExists(atPath: path) else { throw .none }
        do throws(StoreError) {
            let file = try ArrayFile(path: path, verifiesArrays: false)
            let card = try card(file, key)
            var changes: (file: ArrayFile, card: Card)?
            let changedPath = "\(folder)/\(changedPath)"
            if FileManager.default.fileExists(atPath: changedPath) {
                let file = try ArrayFile(path: changedPath, verifiesArrays: false)
                changes = (file, try Self.card(file, key))
            }
            // One that belongs to an earlier file of all customers was left by a crash.
            if changes?.card.base != file.contentChecksum { changes = nil }
            guard let index = ends.firstIndex(of: changes?.card.end ?? card.end) else {
                throw .invalidInput(path: path, reason: "it is of other lines")
            }
            try file.verify(
                file.names.filter { !$0.hasPrefix("feature.") && !$0.hasPrefix("valid.") },
                threadCount: threadCount)
            var all = try contents(file, card, segmentCount: index + 1, threadCount)
            if let (file, card) = changes {
                try file.verify(file.names, threadCount: threadCount)
                let changed = try contents(file, card, segmentCount: index + 1, threadCount)
                guard all.lines.goOn(to: changed.lines), changed.state.hasNames(all.state.names)
                else {
                    throw .invalidInput(path: changedPath, reason: "it is of other features")
                }
                (all.changed, all.last) = (changed.state, changed.lines)
                (all.collapsed, all.survey) = (changed.collapsed, changed.survey)
            }
            return all
        } catch {
            throw CacheFlaw(reason: error.description)
        }
    }

    /// The card of a file, looked at before anything else of it.
    private static func card(_ file: ArrayFile, _ key: Key) throws(StoreError) -> Card {
        guard file.kind == kind,
            let card = try? JSONDecoder().decode(Card.self, from: Data(file.card))
        else { throw .notAStoreFile(path: file.path, expected: "a file of features") }
        guard card.key == key else {
            throw .invalidInput(path: file.path, reason: "it is of another plan or other products")
        }
        return card
    }

    /// Where the lines end that the caches of a workspace are of.
    static func ends(ofCachesIn folder: String) -> Set<Manifest.DeliveryMark> {
        struct Card: Decodable { var end: Manifest.DeliveryMark }
        var ends: Set<Manifest.DeliveryMark> = []
        for path in [path, changedPath, SegmentCache.path, AffinityCache.path] {
            // One that is damaged is of no use anyway.
            if let file = try? ArrayFile(path: "\(folder)/\(path)", verifiesArrays: false),
                let card = try? JSONDecoder().decode(Card.self, from: Data(file.card))
            {
                ends.insert(card.end)
            }
        }
        return ends
    }

    private static func contents(
        _ file: ArrayFile, _ card: Card, segmentCount: Int, _ threadCount: Int
    ) throws(StoreError) -> Contents {
        func flawed(_ reason: String) -> StoreError {
            .invalidInput(path: file.path, reason: reason)
        }
        guard let asOf = CalendarDay(parsing: card.asOf) else { throw flawed("it has no day") }
        let ids = try idColumn(file)
        guard let ids else { throw flawed("the ids do not fit") }
        for row in 0..<ids.count where row > 0 && !ids.precedes(row - 1, row) {
            throw flawed("the ids do not ascend")
        }
        let history = try history(file, count: ids.count, threadCount)
        var columns: [StateColumn] = []
        for (index, column) in card.columns.enumerated() {
            var flags: MappedArray<UInt8>?
            if let number = column.flags {
                flags = try file.array("valid.\(number)", of: UInt8.self, shape: [ids.count])
            }
            let values = try file.array(
                "feature.\(index)", of: Float.self, shape: [ids.count])
            columns.append(
                StateColumn(
                    name: column.name, unit: column.unit, values: values, flags: flags))
        }
        let state = FeatureState(
            asOf: asOf, customerIDs: ids, history: history, names: card.columns.map(\.name),
            shareNames: card.shareNames, convention: card.convention
        ) { [columns] in columns[$0].column }
        let lines = Lines(asOf: asOf, end: card.end)
        return Contents(
            state: state, lines: lines, last: lines, file: file, card: card,
            collapsed: try collapsed(file),
            survey: SegmentedHistory.EarlierSurvey(
                totals: try totals(file, card), segmentCount: segmentCount, asOf: asOf))
    }

    /// What all lines came to; its arrays are to be verified before.
    private static func totals(_ file: ArrayFile, _ card: Card) throws(StoreError) -> SurveyTotals {
        func flawed(_ reason: String) -> StoreError {
            .invalidInput(path: file.path, reason: reason)
        }
        var totals = SurveyTotals()
        totals.lines = LineSurvey(lines: card.lines, purchases: card.purchaseLines)
        for column in card.textColumns {
            let bytes = try file.array("text.\(column).bytes", of: UInt8.self).toArray()
            let offsets = try file.array("text.\(column).offsets", of: Int64.self).toArray()
            let counts = try file.array("text.\(column).counts", of: Int64.self).toArray()
            guard let texts = TextArray(bytes: bytes, offsets: offsets.map { Int($0) }),
                texts.count == counts.count
            else { throw flawed("the texts do not fit") }
            var text = SurveyTotals.Text()
            text.add(ValueCounts(counts: counts.map { Int($0) }, values: texts))
            guard text.counts.count == counts.count else { throw flawed("a text comes twice") }
            totals.texts[column] = text
        }
        return totals
    }

    /// The survey of the files alone, without the features that were computed with it: for who wants
    /// those of few customers.
    /// - Parameter ends: of the segments of now.
    /// - Throws: why there is none of use.
    static func survey(
        _ folder: String, key: Key, ends: [Manifest.DeliveryMark]
    ) throws(CacheFlaw) -> SegmentedHistory.EarlierSurvey {
        do throws(StoreError) {
            var file = try ArrayFile(path: "\(folder)/\(path)", verifiesArrays: false)
            var card = try card(file, key)
            let changedPath = "\(folder)/\(changedPath)"
            if FileManager.default.fileExists(atPath: changedPath) {
                let changed = try ArrayFile(path: changedPath, verifiesArrays: false)
                let changedCard = try Self.card(changed, key)
                if changedCard.base == file.contentChecksum {
                    (file, card) = (changed, changedCard)
                }
            }
            guard let index = ends.firstIndex(of: card.end),
                let asOf = CalendarDay(parsing: card.asOf)
            else { throw .invalidInput(path: file.path, reason: "it is of other lines") }
            try file.verify(file.names.filter { $0.hasPrefix("text.") }, threadCount: 1)
            return SegmentedHistory.EarlierSurvey(
                totals: try totals(file, card), segmentCount: index + 1, asOf: asOf)
        } catch {
            throw CacheFlaw(reason: error.description)
        }
    }

    /// Writes a file; the one before is replaced.
    /// - Parameter base: as in the card.
    static func write(
        _ table: FeatureTable, _ scan: FeatureScan, _ survey: SurveyTotals,
        _ collapsed: CollapsedHistory?, base: UInt32?, key: Key, end: Manifest.DeliveryMark,
        into folder: String
    ) throws(StoreError) {
        let path = "\(folder)/\(base == nil ? path : changedPath)"
        let names = scan.featureNames
        var flags: [[Bool]] = []
        var columns: [Card.Column] = []
        for column in table.columns[..<names.count] {
            var number: Int?
            if let valid = column.valid {
                number = flags.firstIndex(of: valid) ?? flags.count
                if number == flags.count { flags.append(valid) }
            }
            columns.append(Card.Column(name: column.name, unit: column.unit, flags: number))
        }
        let card = Card(
            key: key, end: end, asOf: table.asOf.description, columns: columns,
            shareNames: scan.shareNames, convention: table.convention, lines: survey.lines.lines,
            purchaseLines: survey.lines.purchases, textColumns: survey.texts.keys.sorted(),
            base: base)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let bytes = try? encoder.encode(card) else {
            throw .invalidInput(path: path, reason: "its card cannot be written as JSON")
        }
        var writer = ArrayFileWriter(kind: kind, card: [UInt8](bytes))
        add(table.customerIDs, to: &writer)
        add(table.history, to: &writer)
        if let collapsed { add(collapsed, to: &writer) }
        for (index, column) in table.columns[..<names.count].enumerated() {
            writer.add("feature.\(index)", column.values)
        }
        for (number, valid) in flags.enumerated() {
            writer.add("valid.\(number)", valid.map { $0 ? UInt8(1) : 0 })
        }
        for column in card.textColumns {
            guard let text = survey.texts[column] else { continue }
            let values = text.interner.texts
            writer.add("text.\(column).bytes", values.bytes)
            writer.add("text.\(column).offsets", values.offsets.map(Int64.init))
            writer.add("text.\(column).counts", text.counts.map(Int64.init))
        }
        try writer.write(to: path, syncs: false)
    }

    private static func collapsed(_ file: ArrayFile) throws(StoreError) -> CollapsedHistory? {
        guard file.entry("unique.customerCount") != nil else { return nil }
        let names = ["repeatPurchaseCount", "ageAtLastPurchaseDays", "observedAgeDays"]
        var columns: [[Int32]] = []
        for name in names {
            columns.append(try file.array("unique.\(name)", of: Int32.self).toArray())
        }
        let counts = try file.array("unique.customerCount", of: Int64.self).toArray()
        do throws(ModelError) {
            return try CollapsedHistory(
                restoring: columns[0], ageAtLastPurchaseDays: columns[1],
                observedAgeDays: columns[2], customerCount: counts.map { Int($0) })
        } catch {
            throw .invalidInput(path: file.path, reason: "\(error)")
        }
    }

    private static func add(_ collapsed: CollapsedHistory, to writer: inout ArrayFileWriter) {
        writer.add("unique.repeatPurchaseCount", collapsed.repeatPurchaseCount)
        writer.add("unique.ageAtLastPurchaseDays", collapsed.ageAtLastPurchaseDays)
        writer.add("unique.observedAgeDays", collapsed.observedAgeDays)
        writer.add("unique.customerCount", collapsed.customerCount.map(Int64.init))
    }

    static func add(_ ids: IDColumn, to writer: inout ArrayFileWriter) {
        switch ids {
        case .integers(let ids): writer.add("ids", ids)
        case .texts(let texts):
            writer.add("idBytes", texts.bytes)
            writer.add("idOffsets", texts.offsets.map(Int64.init))
        }
    }

    /// Nil for texts that do not fit their offsets.
    static func idColumn(_ file: ArrayFile) throws(StoreError) -> IDColumn? {
        if file.entry("ids") != nil {
            return .integers(try file.array("ids", of: Int64.self, shape: [-1]).toArray())
        }
        let bytes = try file.array("idBytes", of: UInt8.self).toArray()
        let offsets = try file.array("idOffsets", of: Int64.self).toArray()
        return TextArray(bytes: bytes, offsets: offsets.map { Int($0) }).map { .texts($0) }
    }

    private static func add(_ history: CustomerHistory, to writer: inout ArrayFileWriter) {
        writer.add("status", history.status)
        writer.add("repeatPurchaseCount", history.repeatPurchaseCount)
        writer.add("ageAtLastPurchaseDays", history.ageAtLastPurchaseDays)
        writer.add("observedAgeDays", history.observedAgeDays)
        writer.add("daysSinceLastPurchase", history.daysSinceLastPurchase)
        writer.add("meanOrderValue", history.meanOrderValue)
        writer.add("meanOrderMargin", history.meanOrderMargin)
        writer.add("revenue", history.revenue)
        writer.add("margin", history.margin)
        writer.add("monthlyRevenue", history.monthlyRevenue)
        writer.add("monthlyMargin", history.monthlyMargin)
    }

    private static func history(
        _ file: ArrayFile, count: Int, _ threadCount: Int
    ) throws(StoreError) -> CustomerHistory {
        func days(_ name: String) throws(StoreError) -> [Int32] {
            try elements(file.array(name, of: Int32.self, shape: [count]), threadCount)
        }
        func money(_ name: String) throws(StoreError) -> [Double] {
            try elements(file.array(name, of: Double.self, shape: [count]), threadCount)
        }
        var history = CustomerHistory()
        history.status = try elements(
            file.array("status", of: UInt8.self, shape: [count]), threadCount)
        history.repeatPurchaseCount = try days("repeatPurchaseCount")
        history.ageAtLastPurchaseDays = try days("ageAtLastPurchaseDays")
        history.observedAgeDays = try days("observedAgeDays")
        history.daysSinceLastPurchase = try days("daysSinceLastPurchase")
        history.meanOrderValue = try money("meanOrderValue")
        history.meanOrderMargin = try money("meanOrderMargin")
        history.revenue = try money("revenue")
        history.margin = try money("margin")
        history.monthlyRevenue = try money("monthlyRevenue")
        history.monthlyMargin = try money("monthlyMargin")
        return history
    }
}

/// Why a cache is of no use.
struct CacheFlaw: Error, Equatable {
    let reason: String

    static let none = CacheFlaw(reason: "none are kept")
}

/// The elements of a mapped array, whose own memory is given back.
private func elements<Element>(
    _ array: MappedArray<Element>, _ threadCount: Int = 1
) -> [Element] {
    defer { array.forget() }
    return parallelArray(count: array.count, chunkRows: 1 << 18, threadCount: threadCount) {
        rows, slice in
        array.withSpan { values in
            for row in rows { slice[row - rows.lowerBound] = values[row] }
        }
    }
}

/// A feature in the file.
private struct StateColumn: Sendable {
    let name: String
    let unit: FeatureUnit
    let values: MappedArray<Float>
    let flags: MappedArray<UInt8>?

    var column: FeatureColumn {
        // The flags stay: other features have the same.
        FeatureColumn(
            name: name, unit: unit, values: elements(values),
            valid: flags.map { $0.toArray().map { $0 != 0 } })
    }
}

/// The time zone that something was computed in: its rules too, which the system may change.
struct TimeZoneKey: Codable, Equatable {
    var name: String
    var rules: UInt64

    init(_ clock: LocalClock) {
        name = clock.timeZoneName
        rules = StableHash.hash(clock.rules.map { "\($0)" }.joined(separator: " ").utf8)
    }
}
