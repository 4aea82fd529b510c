import ByteCoding
import ColumnStore
import Foundation
import Models
import Numerical
import Units

/// Whose rows the affinity files of the last generation hold, and what these depend on:
/// `cache/affinity.arr`. Of use for the same model and settings while the generation is there;
/// missing, damaged or foreign it costs a full computation and nothing else.
///
/// Arrays: `ids`, or `idBytes` and `idOffsets`, of the generation's customers.
enum AffinityCache {
    static let path = "cache/affinity.arr"
    static let kind = "patron.cached-affinity"
    /// As with features (`FeatureCache.changedShare`).
    static let changedShare = 3

    /// What the scores depend on besides lines.
    struct Key: Codable, Equatable {
        var version = 5
        var model: ModelReference
        var timeZone: TimeZoneKey
        var topProductCount: Int
        var excludesPurchased: Bool
        /// Factors and ties may differ in their last bits between instruction sets.
        var kernels: String
    }

    struct Card: Codable {
        var key: Key
        var end: Manifest.DeliveryMark
        var asOf: String
        /// The folder of the generation, and the content checksums of its affinity files.
        var folder: String
        var checksums: [UInt32]
    }

    struct Contents {
        let lines: FeatureCache.Lines
        let customerIDs: IDColumn
        /// The file that a generation may go on from, as its own generation describes it.
        let basePath: String
        let baseFile: SnapshotDescriptor.File
        let base: Rows
        /// Nil where all customers have the row of the same number in `base`.
        let changed: Rows?
        let places: MappedArray<Int32>?
    }

    /// The arrays of an affinity file.
    struct Rows: Sendable {
        let arrays: AffinityRows.Arrays
        let topItems: MappedArray<Int32>

        var count: Int { arrays.count }

        /// - Throws: where contents are such that the next generation could not be sound.
        init(
            _ file: ArrayFile, count: Int?, width: Int, _ top: TopN, threadCount: Int
        ) throws(StoreError) {
            arrays = try AffinityRows.Arrays(file, count: count)
            topItems = try file.array("topItems", of: Int32.self, shape: [arrays.count, width])
            try arrays.verify(file, top, threadCount: threadCount)
            let areProducts = parallelMap(
                count: topItems.count, chunkSize: 1 << 18, threadCount: threadCount
            ) { [topItems] _, part in
                topItems.withSpan { items in
                    part.allSatisfy { -1 <= items[$0] && Int(items[$0]) < top.itemCount }
                }
            }
            guard areProducts.allSatisfy(\.self) else {
                throw file.corrupt("topItems", "no such product")
            }
        }
    }

    /// - Parameters:
    ///   - top: of the model's products.
    ///   - threadCount: at least 1; does not change the result.
    /// - Throws: why it is of no use.
    static func read(
        _ workspace: Workspace, key: Key, goingOnTo now: FeatureCache.Lines, _ top: TopN,
        threadCount: Int
    ) throws(CacheFlaw) -> Contents {
        let path = "\(workspace.folder)/\(path)"
        guard FileManager.default.fileExists(atPath: path) else { throw .none }
        do throws(EngineError) {
            return try contents(path, workspace, key, now, top, threadCount)
        } catch {
            throw CacheFlaw(reason: error.description)
        }
    }

    private static func contents(
        _ path: String, _ workspace: Workspace, _ key: Key, _ now: FeatureCache.Lines,
        _ top: TopN, _ threadCount: Int
    ) throws(EngineError) -> Contents {
        func flawed(_ reason: String) -> EngineError {
            .store(.invalidInput(path: path, reason: reason))
        }
        let file = try mapErrors(EngineError.store) { () throws(StoreError) in
            try ArrayFile(path: path, verifiesArrays: false)
        }
        guard file.kind == kind,
            let card = try? JSONDecoder().decode(Card.self, from: Data(file.card)),
            let asOf = CalendarDay(parsing: card.asOf)
        else { throw flawed("it is no file of affinity") }
        let lines = FeatureCache.Lines(asOf: asOf, end: card.end)
        guard card.key == key else { throw flawed("it is of another model, plan or machine") }
        guard workspace.manifest.purchaseEnds.contains(card.end), lines.goOn(to: now) else {
            throw flawed("it is of other or later lines")
        }
        guard workspace.manifest.generations.contains(where: { $0.folder == card.folder }) else {
            throw flawed("its generation is gone")
        }
        let folder = "\(workspace.folder)/\(card.folder)"
        let files = try SnapshotDescriptor(folder: folder).files
        guard let baseFile = files.first(where: { $0.name == AffinityFile.name }) else {
            throw flawed("its generation has no affinity file")
        }
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try file.verify(file.names, threadCount: threadCount)
            guard let ids = try FeatureCache.idColumn(file) else {
                throw .invalidInput(path: path, reason: "the ids do not fit")
            }
            let base = try affinityFile(folder, baseFile, threadCount)
            _ = try base.array(
                "productFactors", of: Float.self, shape: [top.itemCount, top.factorCount])
            let changed = try files.first { $0.name == AffinityFile.changedName }.map {
                file throws(StoreError) in try affinityFile(folder, file, threadCount)
            }
            guard card.checksums == checksums(base, changed) else {
                throw .invalidInput(path: path, reason: "its generation's files are others")
            }
            let width = min(key.topProductCount, top.itemCount)
            let rows = try Rows(
                base, count: changed == nil ? ids.count : nil, width: width, top,
                threadCount: threadCount)
            let others = try changed.map { file throws(StoreError) in
                try Rows(file, count: nil, width: width, top, threadCount: threadCount)
            }
            let places = try changed.map { file throws(StoreError) in
                try AffinityFile.places(
                    file, customerCount: ids.count, rows.count, others?.count ?? 0
                ).0
            }
            return Contents(
                lines: lines, customerIDs: ids, basePath: base.path, baseFile: baseFile,
                base: rows, changed: others, places: places)
        }
    }

    /// Opens and verifies a file of a generation, which must be as the generation says: the next
    /// one says the same of it.
    private static func affinityFile(
        _ folder: String, _ described: SnapshotDescriptor.File, _ threadCount: Int
    ) throws(StoreError) -> ArrayFile {
        let file = try AffinityFile.open(folder, described.name, threadCount: threadCount)
        guard file.byteCount == described.byteCount, file.checksum == described.checksum else {
            throw .invalidInput(path: file.path, reason: "its generation says that it is another")
        }
        return file
    }

    private static func checksums(_ base: ArrayFile, _ changed: ArrayFile?) -> [UInt32] {
        [base.contentChecksum] + (changed.map { [$0.contentChecksum] } ?? [])
    }

    /// Keeps whose rows a generation has that was just written.
    /// - Parameter folder: of the generation, relative to the workspace.
    static func write(
        _ customerIDs: IDColumn, key: Key, lines: FeatureCache.Lines, generation folder: String,
        _ workspace: Workspace
    ) throws(EngineError) {
        try createFolder("\(workspace.folder)/cache")
        try mapErrors(EngineError.store) { () throws(StoreError) in
            // Their arrays were verified when they were written.
            let path = "\(workspace.folder)/\(folder)"
            let base = try ArrayFile(path: "\(path)/\(AffinityFile.name)", verifiesArrays: false)
            var changed: ArrayFile?
            if FileManager.default.fileExists(atPath: "\(path)/\(AffinityFile.changedName)") {
                changed = try ArrayFile(
                    path: "\(path)/\(AffinityFile.changedName)", verifiesArrays: false)
            }
            let card = Card(
                key: key, end: lines.end, asOf: lines.asOf.description, folder: folder,
                checksums: checksums(base, changed))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            guard let bytes = try? encoder.encode(card) else {
                throw .invalidInput(path: Self.path, reason: "its card cannot be written as JSON")
            }
            var writer = ArrayFileWriter(kind: kind, card: [UInt8](bytes))
            FeatureCache.add(customerIDs, to: &writer)
            try writer.write(to: "\(workspace.folder)/\(Self.path)", syncs: false)
        }
    }
}
