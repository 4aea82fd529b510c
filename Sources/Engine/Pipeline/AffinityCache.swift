import ByteCoding
import ColumnStore
import Foundation
import Models
import Units

/// Whose products the last generation ranked, beside that generation's own factors and purchases:
/// `cache/affinity.arr`. Of use for the same model and settings while the generation is there;
/// missing, damaged or foreign it costs a full computation and nothing else.
///
/// Arrays: `ids`, or `idBytes` and `idOffsets`, of the generation's customers; `topItems` (int32)
/// `[customerCount × places]`, -1 where a customer has fewer.
enum AffinityCache {
    static let path = "cache/affinity.arr"
    static let kind = "patron.cached-affinity"

    /// What the scores depend on besides lines.
    struct Key: Codable, Equatable {
        var version = 1
        var model: ModelReference
        var timeZone: String
        var topProductCount: Int
        var excludesPurchased: Bool
        /// Factors and ties may differ in their last bits between instruction sets.
        var kernels: String
    }

    struct Card: Codable {
        var key: Key
        var purchases: [FeatureCache.Key.Segment]
        var asOf: String
        /// The folder of the generation, and the checksums of what is read from it.
        var folder: String
        var checksums: [String: UInt32]
    }

    struct Contents {
        var asOf: CalendarDay
        var purchases: [FeatureCache.Key.Segment]
        var customerIDs: IDColumn
        var topItems: MappedArray<Int32>
        var customerFactors: MappedArray<Float>
        var purchasedOffsets: MappedArray<Int64>
        var purchasedProducts: MappedArray<Int32>
    }

    private static let reused = ["customerFactors", "purchasedOffsets", "purchasedProducts"]

    /// - Returns: nil where there is nothing of use.
    static func read(_ workspace: Workspace, key: Key) -> Contents? {
        let path = "\(workspace.folder)/\(path)"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return try? contents(path, workspace, key)
    }

    private static func contents(
        _ path: String, _ workspace: Workspace, _ key: Key
    ) throws(StoreError) -> Contents? {
        let file = try ArrayFile(path: path)
        guard file.kind == kind,
            let card = try? JSONDecoder().decode(Card.self, from: Data(file.card)),
            card.key == key, let asOf = CalendarDay(parsing: card.asOf),
            workspace.manifest.generations.contains(where: { $0.folder == card.folder })
        else { return nil }
        let generation = try ArrayFile(
            path: "\(workspace.folder)/\(card.folder)/\(AffinityFile.name)")
        guard card.checksums == checksums(generation), card.checksums.count == reused.count,
            let ids = try FeatureCache.idColumn(file)
        else { return nil }
        let count = ids.count
        for row in 0..<count where row > 0 && !ids.precedes(row - 1, row) { return nil }
        let width = min(
            key.topProductCount,
            try generation.array("productFactors", of: Float.self, shape: [-1, -1]).shape[0])
        return Contents(
            asOf: asOf, purchases: card.purchases, customerIDs: ids,
            topItems: try file.array("topItems", of: Int32.self, shape: [count, width]),
            customerFactors: try generation.array(
                "customerFactors", of: Float.self, shape: [count, -1]),
            purchasedOffsets: try generation.array(
                "purchasedOffsets", of: Int64.self, shape: [count + 1]),
            purchasedProducts: try generation.array("purchasedProducts", of: Int32.self))
    }

    private static func checksums(_ file: ArrayFile) -> [String: UInt32] {
        var result: [String: UInt32] = [:]
        for name in reused { result[name] = file.entry(name)?.checksum }
        return result
    }

    /// Keeps the lists of a generation that was just written.
    /// - Parameter folder: of the generation, relative to the workspace.
    static func write(
        _ customerIDs: IDColumn, _ lists: TopLists, key: Key, asOf: CalendarDay,
        generation folder: String, _ workspace: Workspace
    ) throws(EngineError) {
        try createFolder("\(workspace.folder)/cache")
        try mapErrors(EngineError.store) { () throws(StoreError) in
            // Its arrays were verified when they were written.
            let generation = try ArrayFile(
                path: "\(workspace.folder)/\(folder)/\(AffinityFile.name)", verifiesArrays: false)
            let card = Card(
                key: key,
                purchases: workspace.manifest.purchaseSegments.map { FeatureCache.Key.Segment($0) },
                asOf: asOf.description, folder: folder, checksums: checksums(generation))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            guard let bytes = try? encoder.encode(card) else {
                throw .invalidInput(path: path, reason: "its card cannot be written as JSON")
            }
            var writer = ArrayFileWriter(kind: kind, card: [UInt8](bytes))
            FeatureCache.add(customerIDs, to: &writer)
            writer.add(
                "topItems", lists.items, shape: [lists.queryCount, lists.width])
            try writer.write(to: "\(workspace.folder)/\(path)", syncs: false)
        }
    }
}
