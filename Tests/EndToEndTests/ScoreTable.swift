import Engine
import Foundation
import Testing

/// A file of scores, column by column.
struct ScoreTable {
    private let header: [String]
    private let rows: [[String]]

    init(_ path: String) throws {
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let fields = lines.map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        header = try #require(fields.first)
        rows = Array(fields.dropFirst())
    }

    func texts(_ column: String) throws -> [String] {
        let index = try #require(header.firstIndex(of: column), "no column \(column)")
        return rows.map { $0[index] }
    }

    /// -1 where there is none.
    func segments(_ segmentation: String) throws -> [Int32] {
        try texts("\(segmentation)_segment").map { Int32($0) ?? -1 }
    }
}

extension Workspace {
    /// Trains and scores; the scores.
    func scored(
        _ folder: URL, only models: [String]? = nil, threadCount: Int = 2
    ) throws -> (cards: [String: ModelCard], summary: ScoreSummary, scores: ScoreTable) {
        let trained = try train(only: models, threadCount: threadCount)
        let path = folder.sub("scores-\(threadCount).csv")
        let summary = try score(csvPath: path, threadCount: threadCount)
        return (
            Dictionary(uniqueKeysWithValues: trained.models.map { ($0.name, $0) }), summary,
            try ScoreTable(path)
        )
    }
}

/// The tables of segments that a workspace serves.
func publishedSegments(_ folder: URL) throws -> [SegmentTable] {
    let location = try #require(try Workspace.currentSnapshot(folder.sub("ws")))
    return try ServingSnapshot(location).segments
}

/// A workspace of customers without purchases, ingested.
func makeCustomers(
    _ folder: URL, attributes: String, segmentations: String, customers: String,
    id: String = "{column: id, type: integer}"
) throws -> Workspace {
    let plan = """
        sources:
          customers:
            files: [customers.csv]
            id: \(id)
            attributes: \(attributes)
        segmentations:
        \(segmentations.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))

        """
    try folder.write(customers, as: "customers.csv")
    let planPath = try folder.write(plan, as: "patron.yaml")
    try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
    let workspace = try Workspace(folder: folder.sub("ws"), access: .writing)
    _ = try workspace.ingest()
    return workspace
}
