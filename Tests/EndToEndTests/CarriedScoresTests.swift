import ByteCoding
import Engine
import Foundation
import TestSupport
import Testing
import Units

/// What a scoring takes from the one before, and what it must not.
extension IncrementalTests {
    /// A generation with wrong contents whose checksums are right.
    struct ForgedGeneration: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var file = "affinity-changed.arr"
        /// What a reader says of it.
        var reason: String
        var change: @Sendable (inout ForgedArrays) -> Void
    }

    static let forgedGenerations: [ForgedGeneration] = [
        ForgedGeneration(testDescription: "a negative place", reason: "places") {
            $0.int32["places"]?[0] = -1
        },
        ForgedGeneration(testDescription: "a place beyond the rows", reason: "places") {
            $0.int32["places"]?[3] = 1_000_000
        },
        ForgedGeneration(testDescription: "places in another order", reason: "places") { arrays in
            // Two rows of one file.
            let places = arrays.int32["places"] ?? []
            let first = places.indices.first { places[$0] + 1 == places[$0 + 1] } ?? 0
            arrays.int32["places"]?.swapAt(first, first + 1)
        },
        ForgedGeneration(testDescription: "a place too few", reason: "places") {
            $0.int32["places"]?.removeLast()
        },
        ForgedGeneration(testDescription: "no number as a factor", reason: "row 0, column 1") {
            $0.float32["customerFactors"]?[1] = .nan
        },
        ForgedGeneration(testDescription: "factors of too few", reason: "purchasedOffsets") {
            $0.float32["customerFactors"]?.removeLast(4)
        },
        ForgedGeneration(
            testDescription: "a best product beyond all", file: "affinity.arr", reason: "topItems"
        ) { $0.int32["topItems"]?[0] = 44 },
        ForgedGeneration(testDescription: "a best product below none", reason: "topItems") {
            $0.int32["topItems"]?[0] = -2
        },
        ForgedGeneration(
            testDescription: "a product beyond all", file: "affinity.arr",
            reason: "purchasedProducts"
        ) { $0.int32["purchasedProducts"]?[0] = 4_000 },
        ForgedGeneration(
            testDescription: "a negative product", reason: "purchasedProducts"
        ) { $0.int32["purchasedProducts"]?[0] = -1 },
        ForgedGeneration(
            testDescription: "decreasing offsets", file: "affinity.arr", reason: "purchasedOffsets"
        ) { $0.int64["purchasedOffsets"]?[1] = 99_999 },
    ]

    /// A generation that another one may not go on from costs a full computation, which a line
    /// explains.
    @Test(arguments: forgedGenerations)
    func aWrongGenerationIsNotCarriedOn(forged: ForgedGeneration) throws {
        try withTwoGenerations { folder, asOf in
            let workspace = folder.appendingPathComponent("ws")
            try ForgedArrays.rewriteAffinity(
                forged.file, of: 2, in: workspace, forged.change)
            let reports = try scoreAndCompare(folder, asOf, generation: 3)
            let report = reports.first { $0.hasPrefix("products of all customers: ") }
            #expect(report?.contains(forged.reason) == true, "\(reports)")
            // The generation written now is of use again.
            let again = try scoreAndCompare(folder, asOf, generation: 4)
            #expect(!again.contains { $0.contains(" all ") }, "\(again)")
        }
    }

    /// A linked file would be another than the new generation says of it.
    @Test func aGenerationThatSaysOtherwiseIsNotCarriedOn() throws {
        try withTwoGenerations { folder, asOf in
            let name = "ws/snapshots/\(SnapshotWriter.folderName(generation: 2))"
            let snapshot = folder.appendingPathComponent(name)
            let descriptor = try ServingSnapshot(folder: snapshot.path).descriptor
            let file = try #require(descriptor.files.first { $0.name == "affinity.arr" })
            try ForgedArrays.replace(
                "\(file.checksum)", "\(file.checksum / 2)", inSnapshot: snapshot)
            let reports = try scoreAndCompare(folder, asOf, generation: 3)
            let report = reports.first { $0.hasPrefix("products of all customers: ") }
            #expect(report?.contains("affinity.arr") == true, "\(reports)")
        }
    }

    /// The rows of another file stand for some customers': a reader that does not know that file must
    /// not take the generation.
    @Test func theFormatOfAGenerationSaysWhetherItGoesOn() throws {
        try withTwoGenerations { folder, _ in
            for (generation, format) in [(1, "1"), (2, "2")] {
                let name = "ws/snapshots/\(SnapshotWriter.folderName(generation: generation))"
                let snapshot = folder.appendingPathComponent(name)
                let path = snapshot.sub(SnapshotDescriptor.fileName)
                let text = try String(contentsOfFile: path, encoding: .utf8)
                #expect(text.hasPrefix("patron-snapshot \(format) crc32c "))
                try Data(("patron-snapshot 3" + text.dropFirst(17)).utf8)
                    .write(to: URL(fileURLWithPath: path))
                let error = #expect(throws: EngineError.self) {
                    try ServingSnapshot(folder: snapshot.path)
                }
                #expect(error?.description.contains("unknown version 3") == true)
            }
        }
    }

    /// A cache of customers or segments with right checksums and wrong contents.
    struct ForgedCache: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var change: @Sendable (inout ForgedArrays) -> Void
    }

    static let forgedCaches: [ForgedCache] = [
        ForgedCache(testDescription: "a customer too few") { arrays in
            arrays.int64["ids"]?.removeFirst()
            arrays.int32["segment.0"]?.removeFirst()
            arrays.int32["segment.1"]?.removeFirst()
        },
        ForgedCache(testDescription: "another customer") { $0.int64["ids"]?[0] -= 1 },
        ForgedCache(testDescription: "two customers in another order") {
            $0.int64["ids"]?.swapAt(0, 1)
        },
        ForgedCache(testDescription: "nobody") { arrays in
            arrays.int64["ids"] = []
            arrays.int32["segment.0"] = []
            arrays.int32["segment.1"] = []
        },
        ForgedCache(testDescription: "ids of another kind") { arrays in
            let count = arrays.int64.removeValue(forKey: "ids")?.count ?? 0
            // 100, 101, …
            arrays.uint8["idBytes"] = (0..<count).flatMap { Array("\(100 + $0)".utf8) }
            arrays.int64["idOffsets"] = (0...count).map { Int64(3 * $0) }
        },
    ]

    static let forgedSegments: [ForgedCache] = [
        ForgedCache(testDescription: "a segment that the model lacks") {
            $0.int32["segment.0"]?[5] = 3
        },
        ForgedCache(testDescription: "no segment") { arrays in
            let row = (arrays.int32["segment.1"] ?? []).firstIndex { $0 >= 0 } ?? 0
            arrays.int32["segment.1"]?[row] = -1
        },
    ]

    /// Such segments cost a full computation, never an error.
    @Test(arguments: forgedCaches + forgedSegments)
    func wrongSegmentsAreNotCarriedOn(forged: ForgedCache) throws {
        try withTwoGenerations { folder, asOf in
            try ForgedArrays.rewrite(
                folder.sub("ws/cache/segments.arr"), forged.change)
            let reports = try scoreAndCompare(folder, asOf, generation: 3)
            #expect(
                reports.contains { $0.hasPrefix("segments of all customers: ") }, "\(reports)")
            #expect(!reports.contains { $0.hasPrefix("products of all") }, "\(reports)")
            let again = try scoreAndCompare(folder, asOf, generation: 4)
            #expect(!again.contains { $0.contains(" all ") }, "\(again)")
        }
    }

    /// So do products of other customers.
    @Test(arguments: forgedCaches)
    func productsOfOtherCustomersAreNotCarriedOn(forged: ForgedCache) throws {
        try withTwoGenerations { folder, asOf in
            try ForgedArrays.rewrite(
                folder.sub("ws/cache/affinity.arr"), forged.change)
            let lines = try String(contentsOfFile: folder.sub("second.csv"), encoding: .utf8)
                .split(separator: "\n").prefix(6)
            let more = try folder.write(lines.joined(separator: "\n"), as: "more.csv")
            _ = try open(folder, "ws", .writing).ingest(IngestFiles(purchases: [more]))
            let reports = try scoreAndCompare(folder, asOf, generation: 3)
            #expect(
                reports.contains { $0.hasPrefix("products of all customers: ") }, "\(reports)")
            #expect(!reports.contains { $0.hasPrefix("segments of all") }, "\(reports)")
        }
    }

    /// So do features of customers with other ids.
    @Test func featuresOfOtherIDsAreNotCarriedOn() throws {
        try withTwoGenerations { folder, asOf in
            let forged = try #require(Self.forgedCaches.last)
            for name in ["features.arr", "features-changed.arr"] {
                try ForgedArrays.rewrite(folder.sub("ws/cache/\(name)"), forged.change)
            }
            let reports = try scoreAndCompare(folder, asOf, generation: 3)
            #expect(
                reports.contains { $0.hasPrefix("computing all features: those kept") },
                "\(reports)")
        }
    }

    /// Two generations, of which the second goes on from the first.
    private func withTwoGenerations(_ body: (URL, CalendarDay) throws -> Void) throws {
        let life = Life(seed: 91, shift: 0)
        try withLife(life) { folder, asOf, _, deliver in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            try deliver()
            let reports = try scoreAndCompare(folder, asOf, generation: 2)
            #expect(!reports.contains { $0.contains(" all ") }, "\(reports)")
            try body(folder, asOf)
        }
    }

    /// The segment of every customer who has one.
    private func segments(
        _ segmentation: String, _ folder: URL, _ workspace: String, generation: Int
    ) throws -> [EntityID: Int] {
        let name = SnapshotWriter.folderName(generation: generation)
        let snapshot = try ServingSnapshot(folder: folder.sub("\(workspace)/snapshots/\(name)"))
        let field = try #require(
            snapshot.columns.firstIndex { $0.name == "\(segmentation)_segment" })
        var segments: [EntityID: Int] = [:]
        for row in 0..<snapshot.customerCount {
            segments[snapshot.customers[row]] = snapshot.strip.value(field: field, row: row).map {
                Int($0)
            }
        }
        return segments
    }

    /// Every customer's segment is turned into another one between two scorings: the second takes
    /// those over of who has no new line, and assigns the others anew.
    @Test(arguments: [0, 1])
    func segmentsOfWhoHasNoNewLineAreCarriedOver(shift: Int) throws {
        try withLife(Life(seed: 81, shift: shift)) { folder, asOf, later, deliver in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            try ForgedArrays.rewrite(folder.sub("ws/cache/segments.arr")) { arrays in
                for name in ["segment.0", "segment.1"] {
                    arrays.int32[name] = arrays.int32[name]?.map { $0 < 0 ? $0 : ($0 + 1) % 3 }
                }
            }
            try deliver()
            let files = FileManager.default
            try files.removeItem(atPath: folder.sub("bare"))
            try files.copyItem(atPath: folder.sub("ws"), toPath: folder.sub("bare"))
            try files.removeItem(atPath: folder.sub("bare/cache"))
            var reports: [String] = []
            _ = try open(folder, "ws", .writing).score(
                asOf: later, threadCount: 2, report: { reports.append($0) })
            _ = try open(folder, "bare", .writing).score(asOf: later, threadCount: 1)
            let delivered = Set(
                try String(contentsOfFile: folder.sub("second.csv"), encoding: .utf8)
                    .split(separator: "\n").dropFirst()
                    .filter { $0.split(separator: ",")[1].prefix(10) <= later.description }
                    .map { EntityID.integer(Int64($0.split(separator: ",")[0]) ?? -1) })
            #expect(delivered.count > 10)
            for segmentation in ["behaviour", "value"] {
                let carried = try segments(segmentation, folder, "ws", generation: 2)
                let computed = try segments(segmentation, folder, "bare", generation: 2)
                var turnedCount = 0
                for (id, segment) in carried {
                    let truth = try #require(computed[id])
                    let isTurned = segment == (truth + 1) % 3
                    turnedCount += isTurned ? 1 : 0
                    if delivered.contains(id) {
                        #expect(segment == truth, "\(segmentation) of \(id)")
                    } else if shift == 0 {
                        #expect(isTurned, "\(segmentation) of \(id)")
                    } else {
                        // A line of theirs may have left a window of days.
                        #expect(isTurned || segment == truth, "\(segmentation) of \(id)")
                    }
                }
                // Those by ages change from day to day.
                let isCarried = shift == 0 || segmentation == "behaviour"
                #expect(
                    isCarried ? turnedCount > carried.count / 2 : turnedCount == 0,
                    "\(segmentation) of \(turnedCount) of \(carried.count)")
            }
            let report = reports.first { $0.hasPrefix("segmentation.value of all customers: ") }
            #expect((report != nil) == (shift > 0), "\(reports)")
        }
    }

    /// Attributes change without purchases: what they are features of is assigned anew for all
    /// customers, the rest is carried over.
    @Test func segmentsFollowChangedAttributes() throws {
        var life = Life(seed: 82, shift: 0)
        life.hasAttributes = true
        try withLife(life) { folder, asOf, _, deliver in
            func ingest(_ name: String, _ age: (Int) -> Int?) throws {
                let rows = (0..<150).compactMap { id in age(id).map { "\(id),\($0)" } }
                let text = (["customer,age"] + rows).joined(separator: "\n") + "\n"
                let path = try folder.write(text, as: name)
                _ = try open(folder, "ws", .writing).ingest(IngestFiles(customers: [path]))
            }
            try ingest("customers.csv") { 20 + $0 % 3 * 20 }
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            // Some become older, without any new line.
            try ingest("older.csv") { $0 < 30 ? 20 + ($0 + 1) % 3 * 20 : nil }
            var reports = try scoreAndCompare(folder, asOf, generation: 2)
            #expect(
                reports.contains {
                    $0.hasPrefix("segmentation.people of all customers: attributes")
                }, "\(reports)")
            #expect(
                !reports.contains {
                    $0.hasPrefix("segments of all") || $0.hasPrefix("segmentation.behaviour")
                        || $0.hasPrefix("segmentation.value") || $0.hasPrefix("computing all")
                }, "\(reports)")
            let before = try segments("people", folder, "ws", generation: 1)
            let after = try segments("people", folder, "ws", generation: 2)
            #expect(before.count == after.count && before.count > 100)
            for (id, segment) in after {
                #expect((segment != before[id]) == (id < .integer(30)), "customer \(id)")
            }
            // And with new lines of others at the same time.
            try ingest("oldest.csv") { $0 < 60 ? 60 : nil }
            try deliver()
            reports = try scoreAndCompare(folder, asOf, generation: 3)
            #expect(!reports.contains { $0.hasPrefix("segmentation.behaviour") }, "\(reports)")
        }
    }
}
