import ByteCoding
import ColumnStore
import Features
import Foundation
import Models
import Numerical
import Units

/// The segments that the last scoring put every customer in: `cache/segments.arr`. A customer whose
/// features are the same is in the same one the next time. The file may be missing, damaged or of
/// other lines, settings or models: all customers are then assigned.
///
/// Arrays: `ids`, or `idBytes` and `idOffsets`; `segment.N` (int32), the segment by the card's model
/// N, -1 where a customer has none.
struct SegmentCache {
    static let path = "cache/segments.arr"
    static let kind = "patron.cached-segments"

    struct Card: Codable {
        var key: FeatureCache.Key
        var end: Manifest.DeliveryMark
        var asOf: String
        var models: [ModelReference]
        /// Distances may differ in their last bits between instruction sets.
        var kernels: String
    }

    /// What the segments are of.
    let lines: FeatureCache.Lines
    let customerIDs: IDColumn
    let models: [ModelReference]
    private let segments: [MappedArray<Int32>]

    /// - Parameters:
    ///   - now: lines that the segments of now are of.
    ///   - ends: of the segments of lines.
    /// - Throws: why it is of no use.
    init(
        _ folder: String, key: FeatureCache.Key, goingOnTo now: FeatureCache.Lines,
        ends: [Manifest.DeliveryMark], threadCount: Int
    ) throws(CacheFlaw) {
        let path = "\(folder)/\(Self.path)"
        guard FileManager.default.fileExists(atPath: path) else { throw .none }
        do throws(StoreError) {
            let file = try ArrayFile(path: path, verifiesArrays: false)
            guard file.kind == Self.kind,
                let card = try? JSONDecoder().decode(Card.self, from: Data(file.card)),
                let asOf = CalendarDay(parsing: card.asOf)
            else { throw .notAStoreFile(path: path, expected: "a file of segments") }
            lines = FeatureCache.Lines(asOf: asOf, end: card.end)
            guard card.key == key, card.kernels == Self.kernels, ends.contains(card.end),
                lines.goOn(to: now)
            else {
                throw .invalidInput(
                    path: path, reason: "it is of other or later lines, another plan or machine")
            }
            try file.verify(file.names, threadCount: threadCount)
            guard let ids = try FeatureCache.idColumn(file) else {
                throw .invalidInput(path: path, reason: "the ids do not fit")
            }
            var segments: [MappedArray<Int32>] = []
            for index in card.models.indices {
                segments.append(
                    try file.array("segment.\(index)", of: Int32.self, shape: [ids.count]))
            }
            (customerIDs, models, self.segments) = (ids, card.models, segments)
        } catch {
            throw CacheFlaw(reason: error.description)
        }
    }

    private static var kernels: String { "\(KernelTable.current.level)" }

    /// Why the segments of a customer who has not changed may be others now; nil where they are not.
    func flaw(for model: LatestSegmentation, asOf: CalendarDay) -> String? {
        let features = model.featureNames
        if model.isMadeOfOthers { return "it is made of other segmentations" }
        if !models.contains(model.reference) { return "the last scoring had another model" }
        if features.contains(where: PredictedFeatures.names.contains) {
            return "predictions change without purchases"
        }
        if features.contains(where: FeatureCatalog.mayBeAttribute) {
            return "attributes change without purchases"
        }
        if lines.asOf < asOf, !features.allSatisfy(FeatureScan.isAgeless) {
            return "its features change from day to day"
        }
        return nil
    }

    /// Whether a model's segments of carried rows are its own, of who has one and of nobody else.
    /// - Parameters:
    ///   - model: one of `models`.
    ///   - status: of the customers of `rows`.
    fileprivate func areSound(
        _ model: LatestSegmentation, _ rows: CarriedRows, status: [UInt8], threadCount: Int
    ) -> Bool {
        guard let index = models.firstIndex(of: model.reference) else { return false }
        let segments = segments[index]
        return parallelMap(
            count: rows.sources.count, chunkSize: 1 << 16, threadCount: threadCount
        ) { _, part in
            segments.withSpan { segments in
                part.allSatisfy { row in
                    let source = rows.sources[row]
                    if source < 0 { return true }
                    let segment = Int(segments[source])
                    return status[row] == CustomerHistory.ok
                        ? (0..<model.segmentCount).contains(segment) : segment == -1
                }
            }
        }.allSatisfy(\.self)
    }

    /// The segments by a model; nil where the last scoring had another one.
    func numbers(of model: ModelReference) -> [Int32]? {
        models.firstIndex(of: model).map { segments[$0].toArray() }
    }

    /// Keeps the segments of a scoring.
    /// - Parameter segments: by model, a number a customer.
    static func write(
        _ segments: [(model: ModelReference, numbers: [Int32])], of customerIDs: IDColumn,
        key: FeatureCache.Key, lines: FeatureCache.Lines, into folder: String
    ) throws(EngineError) {
        try createFolder("\(folder)/cache")
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let card = Card(
                key: key, end: lines.end, asOf: lines.asOf.description,
                models: segments.map(\.model), kernels: kernels)
            guard let bytes = try? encoder.encode(card) else {
                throw .invalidInput(path: path, reason: "its card cannot be written as JSON")
            }
            var writer = ArrayFileWriter(kind: kind, card: [UInt8](bytes))
            FeatureCache.add(customerIDs, to: &writer)
            for (index, segment) in segments.enumerated() {
                writer.add("segment.\(index)", segment.numbers)
            }
            try writer.write(to: "\(folder)/\(path)", syncs: false)
        }
    }
}

/// The latest model of a segmentation, as far as a scoring must know it beforehand.
struct LatestSegmentation: Sendable {
    let reference: ModelReference
    let featureNames: [String]
    let segmentCount: Int
    /// Its segments follow from those of other segmentations.
    let isMadeOfOthers: Bool

    init(_ entry: Manifest.Model, _ model: Segmenter) {
        reference = ModelReference(entry)
        (featureNames, segmentCount) = (model.featureNames, model.segmentCount)
        isMadeOfOthers = !model.bases.isEmpty
    }
}

/// What of the segments of the last scoring holds for the customers who have not changed since.
struct CarriedSegments {
    let cache: SegmentCache
    /// Names of the models whose segments are carried.
    let models: Set<String>
    /// All features of the customers who have changed.
    let changed: FeatureTable
    let rows: CarriedRows

    /// Nil where the customers are not those of `table` or have segments that the models do not
    /// give: a faulty program wrote the cache.
    init?(
        _ cache: SegmentCache, models: [LatestSegmentation], changed: FeatureTable,
        to table: FeatureTable, threadCount: Int
    ) {
        guard
            let rows = CarriedRows(
                cache.customerIDs, replacedBy: changed.customerIDs, giving: table.customerIDs,
                threadCount: threadCount),
            models.allSatisfy({
                cache.areSound(
                    $0, rows, status: table.history.status, threadCount: threadCount)
            })
        else { return nil }
        (self.cache, self.changed, self.rows) = (cache, changed, rows)
        self.models = Set(models.map(\.reference.name))
    }
}

extension IDColumn {
    /// Whether both are integers or both texts.
    func isOfKind(of other: IDColumn) -> Bool {
        switch (self, other) {
        case (.integers, .integers), (.texts, .texts): true
        default: false
        }
    }
}

extension IDColumn {
    /// The rows whose ids another column has.
    /// - Parameter others: ascending as these.
    func rows(among others: IDColumn) -> [Int] {
        var rows: [Int] = []
        var other = 0
        for row in 0..<count {
            while other < others.count, others.precedes(other, self, row) { other += 1 }
            if other == others.count { break }
            if !precedes(row, others, other) { rows.append(row) }
        }
        return rows
    }
}

extension CarriedRows {
    /// Nil where the rows are not those of `ids`: those of a faulty cache.
    init?(
        _ earlier: IDColumn, replacedBy fresh: IDColumn, giving ids: IDColumn, threadCount: Int
    ) {
        guard earlier.isOfKind(of: ids) else { return nil }
        self.init(earlier, replacedBy: fresh)
        guard merge(earlier, fresh, threadCount: threadCount) == ids else { return nil }
    }
}
