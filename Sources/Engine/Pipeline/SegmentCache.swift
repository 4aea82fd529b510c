import ByteCoding
import ColumnStore
import Features
import Foundation
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
    /// - Parameter features: of the model.
    func flaw(
        for model: ModelReference, of features: [String], asOf: CalendarDay
    ) -> String? {
        if !models.contains(model) { return "the last scoring had another model" }
        if features.contains(where: FeatureCatalog.mayBeAttribute) {
            return "attributes change without purchases"
        }
        if lines.asOf < asOf, !features.allSatisfy(FeatureScan.isAgeless) {
            return "its features change from day to day"
        }
        return nil
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

/// What of the segments of the last scoring holds for the customers who have not changed since.
struct CarriedSegments {
    let cache: SegmentCache
    /// Names of the models whose segments are carried.
    let models: Set<String>
    /// All features of the customers who have changed.
    let changed: FeatureTable
    let rows: CarriedRows

    /// - Throws: where the customers are not those of `table`, which no cache of this release gives.
    init(
        _ cache: SegmentCache, models: Set<String>, changed: FeatureTable, to table: FeatureTable,
        threadCount: Int
    ) throws(EngineError) {
        (self.cache, self.models, self.changed) = (cache, models, changed)
        rows = CarriedRows(cache.customerIDs, replacedBy: changed.customerIDs)
        let ids = rows.merge(cache.customerIDs, changed.customerIDs, threadCount: threadCount)
        guard ids == table.customerIDs else {
            throw .store(
                .invalidInput(
                    path: SegmentCache.path,
                    reason: "its customers are not those of the features: remove the file"))
        }
    }
}
