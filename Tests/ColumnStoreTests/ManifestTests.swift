import ByteCoding
import ColumnStore
import Testing

@Suite struct ManifestTests {
    static func sample() -> Manifest {
        var manifest = Manifest()
        manifest.revision = 4
        manifest.purchaseSegments = [
            Manifest.Segment(
                file: "segments/purchases-1.seg", rowCount: 10, byteCount: 900, checksum: .max,
                firstTime: -5, lastTime: 1_000)
        ]
        manifest.sources = [
            Manifest.Source(
                kind: "purchases", name: "p.csv", contentHash: .max, byteCount: 5, lineCount: 11,
                acceptedCount: 10)
        ]
        manifest.generations = [Manifest.Generation(number: 2, folder: "generations/2")]
        manifest.currentGeneration = 2
        return manifest
    }

    @Test func roundTrip() throws {
        let folder = try TemporaryFolder()
        #expect(try Manifest.load(from: folder.path) == nil)
        let manifest = Self.sample()
        try manifest.commit(to: folder.path)
        #expect(try Manifest.load(from: folder.path) == manifest)
        #expect(folder.names == ["MANIFEST"])
        let text = String(decoding: try folder.bytes("MANIFEST"), as: UTF8.self)
        #expect(text.hasPrefix("patron-manifest 1 crc32c="))
        try Manifest().commit(to: folder.path)
        #expect(try Manifest.load(from: folder.path) == Manifest())
    }

    /// Merging segments leaves where the lines of deliveries end as it was.
    @Test func marksOutliveMerges() {
        func segment(_ number: Int, end: Manifest.DeliveryMark? = nil) -> Manifest.Segment {
            Manifest.Segment(
                file: "purchases/\(number).seg", rowCount: number, byteCount: 9, checksum: 7,
                end: end)
        }
        var manifest = Manifest()
        #expect(manifest.purchaseEnds.isEmpty)
        manifest.purchaseSegments = (1...5).map { segment($0) }
        let ends = manifest.purchaseEnds
        #expect(ends.map(\.count) == [1, 2, 3, 4, 5] && Set(ends.map(\.hash)).count == 5)
        manifest.purchaseSegments.replaceSubrange(1..<4, with: [segment(6, end: ends[3])])
        #expect(manifest.purchaseEnds == [ends[0], ends[3], ends[4]])
        // Other lines have other marks from there on.
        manifest.purchaseSegments[0].checksum = 8
        manifest.purchaseSegments[1].end = nil
        #expect(Set(manifest.purchaseEnds).isDisjoint(with: ends))
    }

    private func parse(_ body: String, version: String = "1") throws -> Manifest {
        let crc = String(CRC32C.checksum(Array(body.utf8)), radix: 16)
        let digits = String(repeating: "0", count: 8 - crc.count) + crc
        return try Manifest(
            parsing: Array("patron-manifest \(version) crc32c=\(digits)\n\(body)".utf8), path: "M")
    }

    @Test func refusals() throws {
        let bytes = try #require(Self.sample().encoded())
        let text = String(decoding: bytes, as: UTF8.self)
        let body = String(text[text.index(after: try #require(text.firstIndex(of: "\n")))...])
        #expect(try parse(body) == Self.sample())
        #expect(throws: StoreError.unsupportedVersion(path: "M", actual: 2, expected: 1)) {
            try parse(body, version: "2")
        }
        let extra = body.replacing("\"revision\"", with: "\"shard\" : 1,\n\"revision\"")
        #expect(throws: StoreError.unknownField(path: "M", field: "shard")) { try parse(extra) }
        let nested = body.replacing("\"rowCount\"", with: "\"colour\" : [],\n\"rowCount\"")
        #expect(throws: StoreError.unknownField(path: "M", field: "purchaseSegments.0.colour")) {
            try parse(nested)
        }
        for bad in [
            "", "{}", "[]", "{", body.replacing("\"revision\" : 4", with: "\"revision\" : []"),
        ] {
            #expect(throws: StoreError.self) { try parse(bad) }
        }
        for line in ["", "x", "patron-manifest", "patron-manifest \n", "patron-manifest 1\n{}"] {
            #expect(throws: StoreError.self) { try Manifest(parsing: Array(line.utf8), path: "M") }
        }
    }
}
