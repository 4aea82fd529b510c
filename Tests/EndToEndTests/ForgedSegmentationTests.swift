import ByteCoding
import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// Model files of segmentations of segmentations with right checksums and wrong contents, as a faulty
/// program could leave them: refused when they are read, and nothing is ever read beyond an array.
@Suite struct ForgedSegmentationTests {
    private static let asOf = CalendarDay(daysSince1970: 19_800)

    private static let plan =
        barePlan + """

            segmentations:
              halves: {algorithm: quadrants, features: [orderCount, revenue]}
              value: {features: [revenue], clusterCount: 2}
              within: {features: [revenue], clusterCount: 2, per: halves}
              micro: {algorithm: join, of: [halves, value]}

            """

    private static let purchases: String = {
        var text = "customer,time,amount\n"
        for customer in 0..<80 {
            for order in 0...customer % 3 {
                text += "\(customer),\(asOf + -(order * 5)),\(10 + customer * customer % 97)\n"
            }
        }
        return text
    }()

    private func withTrained(_ body: (URL, Workspace) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let workspace = try makeWorkspace(
                folder, plan: Self.plan, purchases: Self.purchases)
            _ = try workspace.ingest()
            _ = try workspace.train(
                asOf: Self.asOf,
                only: ["halves", "value", "within", "micro"].map { "segmentation.\($0)" },
                threadCount: 1)
            try body(folder, workspace)
        }
    }

    /// Writes the model of a segmentation anew, its checksums right.
    private func forge(
        _ name: String, _ folder: URL, _ workspace: Workspace,
        _ change: (inout [String: Any]) throws -> Void
    ) throws {
        let entry = try #require(
            workspace.manifest.models.first { $0.name == "segmentation.\(name)" })
        try ForgedArrays.rewriteModel(folder.sub("ws/\(entry.file)"), change)
    }

    private func requireDamage(_ workspace: Workspace, _ what: String) {
        let error = #expect(throws: EngineError.self) {
            try workspace.score(asOf: Self.asOf, threadCount: 1)
        }
        #expect(
            error?.description.contains("the model is damaged") == true,
            "\(what): \(String(describing: error))")
    }

    private typealias Forgery = @Sendable (inout [String: Any]) -> Void

    private static func part(_ join: [String: Any], _ segmentCount: Int) -> [[String: Any]] {
        var parts = join["parts"] as? [[String: Any]] ?? []
        parts[1]["segmentCount"] = segmentCount
        return parts
    }

    private static let joins: [(what: String, forgery: Forgery)] = [
        ("fewer codes than combinations", { $0["codes"] = ["0.0", "0.1"] }),
        (
            "a code twice",
            {
                var codes = $0["codes"] as? [String] ?? []
                codes[1] = codes[0]
                $0["codes"] = codes
            }
        ),
        ("no parts", { $0["parts"] = [[String: Any]]() }),
        (
            "neither parts nor codes",
            {
                $0["parts"] = [[String: Any]]()
                $0["codes"] = [String]()
            }
        ),
        ("a part of more segments", { $0["parts"] = part($0, 3) }),
        ("a part of none", { $0["parts"] = part($0, 0) }),
        ("a part of fewer than none", { $0["parts"] = part($0, -2) }),
        ("a part of very many", { $0["parts"] = part($0, .max) }),
    ]

    @Test(arguments: joins.indices) func forgedJoins(_ index: Int) throws {
        try withTrained { folder, workspace in
            let (what, forgery) = Self.joins[index]
            _ = try workspace.score(asOf: Self.asOf, threadCount: 1)
            try forge("micro", folder, workspace) { model in
                var join = try #require(model["join"] as? [String: Any])
                forgery(&join)
                model["join"] = join
            }
            requireDamage(workspace, what)
        }
    }

    /// All of the file fits together, but not to the segmentation that it is made of.
    @Test func aJoinOfFewerSegmentsThanThereAre() throws {
        try withTrained { folder, workspace in
            try forge("micro", folder, workspace) { model in
                var join = try #require(model["join"] as? [String: Any])
                join["parts"] = Self.part(join, 1)
                join["codes"] = ["0", "1", "2", "3"]
                model["join"] = join
                model["segmentNames"] = ["a", "b", "c", "d"]
                model["segmentIDs"] = [0, 1, 2, 3]
            }
            requireDamage(workspace, "fewer segments")
        }
    }

    @Test func forgedLayers() throws {
        for place in 0..<3 {
            try withTrained { folder, workspace in
                try forge("within", folder, workspace) { model in
                    var layers = try #require(model["layers"] as? [String: Any])
                    var parts = try #require(layers["parts"] as? [Any])
                    let count = parts.count
                    #expect(count == 4)
                    switch place {
                    case 0: parts = parts.map { _ in NSNull() }
                    case 1: parts = []
                    // Layers within layers.
                    default:
                        for (index, part) in parts.enumerated() where !(part is NSNull) {
                            parts[index] = model
                        }
                    }
                    layers["parts"] = parts
                    model["layers"] = layers
                    // As many names as there would be segments.
                    if place == 0 {
                        model["segmentNames"] = (0..<count).map { "\($0)" }
                        model["segmentIDs"] = Array(0..<count)
                    }
                }
                requireDamage(workspace, "layers \(place)")
            }
        }
    }

    /// Layers of fewer segments of the base than it has.
    @Test func layersOfFewerSegmentsThanThereAre() throws {
        try withTrained { folder, workspace in
            try forge("within", folder, workspace) { model in
                var layers = try #require(model["layers"] as? [String: Any])
                let parts = try #require(layers["parts"] as? [Any])
                let part = try #require(parts.first { !($0 is NSNull) })
                layers["parts"] = [part]
                model["layers"] = layers
                model["segmentNames"] = ["a", "b"]
                model["segmentIDs"] = [0, 1]
            }
            requireDamage(workspace, "fewer segments of the base")
        }
    }

    // MARK: Amounts that no integer holds

    /// The program prints what a generation says, also where it says what cannot be.
    @Test func amountsOfAnySizeArePrinted() throws {
        guard Program.path != nil else { return }
        try withTrained { folder, workspace in
            _ = try workspace.score(asOf: Self.asOf, threadCount: 1)
            try workspace.publish()
            let snapshot = folder.appendingPathComponent("ws/snapshots/gen-000001")
            let url = snapshot.appendingPathComponent("segments.json")
            let bytes = try Data(contentsOf: url)
            var tables = try JSONDecoder().decode([SegmentTable].self, from: bytes)
            for table in tables.indices {
                for place in tables[table].segments.indices {
                    tables[table].segments[place].revenue = place == 0 ? 1e300 : -1e25
                    tables[table].segments[place].margin = 9.3e18
                }
            }
            let forged = try JSONEncoder().encode(tables)
            try forged.write(to: url)
            for (old, new) in [(bytes, forged)] {
                try ForgedArrays.replace(
                    "\(CRC32C.checksum([UInt8](old)))", "\(CRC32C.checksum([UInt8](new)))",
                    inSnapshot: snapshot)
                try ForgedArrays.replace(
                    "\"byteCount\" : \(old.count),", "\"byteCount\" : \(new.count),",
                    inSnapshot: snapshot)
            }
            for arguments in [["segments", "ws"], ["segments", "ws", "value"]] {
                let outcome = try Program.run(arguments, in: folder)
                #expect(outcome.code == 0, "\(outcome.errors)")
                #expect(outcome.output.contains("1e+300"), "\(outcome.output)")
                #expect(outcome.output.contains("-1e+25"), "\(outcome.output)")
            }
        }
    }
}
