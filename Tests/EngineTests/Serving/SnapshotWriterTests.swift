import ByteCoding
import Engine
import Foundation
import TestSupport
import Testing

@Suite struct SnapshotWriterTests {
    @Test func equalContentsGiveEqualBytes() throws {
        try withTemporaryFolder { folder in
            let a = try SnapshotWriter.write(sampleContents(), into: folder.path + "/a")
            let b = try SnapshotWriter.write(sampleContents(), into: folder.path + "/b")
            let names = try FileManager.default.contentsOfDirectory(atPath: a.folder).sorted()
            #expect(names == ["SNAPSHOT", "affinity.arr", "lookup.arr", "segments.json"])
            for name in names {
                #expect(
                    FileManager.default.contentsEqual(
                        atPath: "\(a.folder)/\(name)", andPath: "\(b.folder)/\(name)"), "\(name)")
            }
        }
    }

    @Test func aGenerationIsWrittenOnce() throws {
        try withTemporaryFolder { folder in
            let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
            #expect(throws: EngineError.snapshotExists(path: location.folder)) {
                try SnapshotWriter.write(sampleContents(), into: folder.path)
            }
            _ = try ServingSnapshot(location)
        }
    }

    /// Contents that do not fit together, and a word of the error.
    static let invalid: [(SnapshotContents, String)] = {
        func changed(_ change: (inout SnapshotContents) -> Void) -> SnapshotContents {
            var contents = sampleContents()
            change(&contents)
            return contents
        }
        return [
            (changed { $0.generation = 0 }, "generation"),
            (changed { $0.customerIDs = .integers([3, 2]) }, "ascending"),
            (changed { $0.customerIDs = .integers(Array(repeating: 3, count: 40)) }, "ascending"),
            (changed { $0.status.removeLast() }, "statuses"),
            (changed { $0.status[3] = 6 }, "status 6"),
            (changed { $0.columns[1].id = 2 }, "id comes twice"),
            (changed { $0.columns[1].name = "probabilityAlive" }, "name comes twice"),
            (changed { $0.columns[1].values = .int32([1]) }, "1 values"),
            (changed { $0.columns[0].valid = [true] }, "1 flags"),
            (
                changed { $0.columns[1].values = .float32(Array(repeating: .nan, count: 40)) },
                "not finite"
            ),
            (
                changed { $0.columns[1].values = .float64(Array(repeating: .infinity, count: 40)) },
                "not finite"
            ),
            (changed { $0.affinity?.factorCount = 4 }, "customer factors"),
            (changed { $0.affinity?.customerFactors[7] = .nan }, "not finite"),
            (changed { $0.affinity?.purchasedOffsets[1] = 99_999 }, "offsets"),
            (changed { $0.affinity?.purchasedProducts[0] = 12 }, "ascending"),
            (changed { $0.segments[0].segments[1].number = 0 }, "number comes twice"),
            (changed { $0.segments[0].segments[1].revenue = .nan }, "not finite"),
        ]
    }()

    @Test(arguments: invalid.indices)
    func contentsThatDoNotFitAreRefused(index: Int) throws {
        let (contents, word) = Self.invalid[index]
        try withTemporaryFolder { folder in
            let error = #expect(throws: EngineError.self) {
                try SnapshotWriter.write(contents, into: folder.path)
            }
            let text = try #require(error).description
            #expect(text.contains(word), "\(text)")
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(left.isEmpty)
        }
    }

    /// A missing value may be anything in memory; it is stored as 0.
    @Test func missingValuesMayBeNaN() throws {
        var contents = sampleContents()
        contents.columns[0].values = .float64((0..<40).map { $0 % 6 < 2 ? 1 : .nan })
        try withTemporaryFolder { folder in
            let snapshot = try ServingSnapshot(
                try SnapshotWriter.write(contents, into: folder.path))
            #expect(snapshot.strip.value(field: 0, row: 0) == 1)
            #expect(snapshot.strip.value(field: 0, row: 2) == nil)
            #expect(snapshot.strip.bits(field: 0, row: 2) == 0)
        }
    }

    @Test func nothingIsLeftWhereTheFolderCannotBeMade() throws {
        try withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("file")
            try Data().write(to: file)
            #expect(throws: EngineError.self) {
                try SnapshotWriter.write(sampleContents(), into: file.path)
            }
        }
    }
}
