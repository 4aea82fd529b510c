import ByteCoding
import Foundation
import Ingest
import Testing
import Units

/// Gzip data are read as what they unpack to, and damaged ones not at all.
@Suite struct GzipTests {
    /// As `gzip -9` packs `text`: one dynamic block, and the name `sales.csv` in the header.
    private var packed: [UInt8] {
        let base64 = """
            H4sICG74AmsCA3NhbGVzLmNzdgBlkjtuAzEMBXuf5SXQI/U9TrBw4WJjwF7fP2KlUARYTTMD8B2f9/U87y9cj/OO
            n/P5+b1uR4Ik8ivZIX2X28FFBDQiiyjEiC6SoUbyIgXZSFmkohipizRUI//sHW2zD3RvZ8LwdhJMXs8ZTe+nguID
            mEH1BSxg9gmsYNkaGli3iA62LWKA3UdIAoePEDP5CJkm+giZJvERMk3qI2Saso+QaSpbRIPULaJD2vaLKe9hCjLC
            FjTFMTCsQSXMQTXsQXMYhJawCK1hEtrCJrSHTajV/wH8a7sgAwMAAA==
            """
        return Array(Data(base64Encoded: base64, options: .ignoreUnknownCharacters) ?? Data())
    }

    private var text: String {
        "customer,time,amount\n"
            + (0..<40).map { row in
                "c\(row % 7),2011-01-\(row % 28 < 9 ? "0" : "")\(1 + row % 28),\(row).5\n"
            }.joined()
    }

    /// One member of stored blocks.
    private func stored(_ bytes: [UInt8], blockByteCount: Int = 65_535) -> [UInt8] {
        var result: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
        var start = 0
        repeat {
            let count = min(blockByteCount, bytes.count - start)
            result.append(start + count == bytes.count ? 1 : 0)
            for value in [count, ~count] {
                result += [UInt8(value & 255), UInt8(value >> 8 & 255)]
            }
            result += bytes[start..<start + count]
            start += count
        } while start < bytes.count
        var remainder = UInt32.max
        for byte in bytes {
            remainder ^= UInt32(byte)
            for _ in 0..<8 {
                remainder = remainder >> 1 ^ (remainder & 1 == 1 ? 0xEDB8_8320 : 0)
            }
        }
        for value in [~remainder, UInt32(bytes.count)] {
            for shift in [0, 8, 16, 24] as [UInt32] {
                result.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        return result
    }

    private func damage(_ bytes: [UInt8]) -> (byteOffset: Int, what: String)? {
        guard case .damagedGzip("sales.csv", let byteOffset, let what)? = error(bytes) else {
            return nil
        }
        return (byteOffset, what)
    }

    /// Every byte; of a sanitized build, where a reader is slow to make, every 23rd.
    private static let step =
        ProcessInfo.processInfo.environment["ASAN_OPTIONS"] == nil ? 1 : 23

    @Test func isWhatItUnpacksTo() throws {
        let expected = try read(text)
        let found = try read(packed)
        #expect(found.lines == expected.lines)
        // The same content is the same, packed or not, so that it is not ingested twice.
        #expect(found.report == expected.report)
        #expect(found.report.acceptedCount == 40)
        let (table, report) = try withTemporaryFile(packed) { path in
            try readEntities(
                path: path,
                mapping: EntityMapping(
                    format: TextFormat(maximumRejectShare: 1), id: IDReference(.name("customer"))))
        }
        #expect(table.count == 7)
        #expect(report.contentHash == expected.report.contentHash)
    }

    /// Many members, empty ones among them, pieces smaller than blocks, records across members.
    @Test(arguments: [1, 2]) func manyMembers(_ threadCount: Int) throws {
        var text = "customer,time,amount,product\n"
        for row in 0..<4_000 {
            let product = row % 9 == 0 ? "\"two\n,lines \(row)\"" : "tea \(row % 50)"
            text += "c\(row),2011-01-01,\(row),\(product)\n"
        }
        let bytes = Array(text.utf8)
        var members = stored([])
        var start = 0
        while start < bytes.count {
            let end = min(start + 1 + start / 3, bytes.count)
            members += stored(Array(bytes[start..<end]), blockByteCount: 1_000)
            start = end
        }
        members += stored([]) + [UInt8](repeating: 0, count: 700)
        var mapping = plainMapping
        mapping.product = .name("product")
        var plan = ReadingPlan()
        plan.pieceByteCount = 3_000
        let expected = try readPurchases(
            bytes, path: "sales.csv", mapping: mapping, clock: .utc, plan: plan)
        let found = try readPurchases(
            members, path: "sales.csv", mapping: mapping, clock: .utc, threadCount: threadCount,
            plan: plan)
        #expect(found.lines == expected.lines)
        #expect(found.report == expected.report)
        try withTemporaryFile(members) { path in
            let stream = try PurchaseStream(
                path: path, mapping: mapping, clock: .utc, threadCount: threadCount, plan: plan)
            #expect(stream.progress.totalByteCount == members.count)
            var count = 0
            while let batch = try stream.nextBatch(lineCount: 100) { count += batch.count }
            #expect(count == expected.lines.count)
            #expect(stream.progress.byteCount == members.count)
            #expect(try stream.finish().contentHash == expected.report.contentHash)
        }
    }

    @Test func cutShort() throws {
        for bytes in [packed, stored(Array(text.utf8))] {
            for count in stride(from: 2, to: bytes.count, by: Self.step) {
                let found = try #require(damage(Array(bytes[..<count])), "\(count) bytes")
                #expect(found.byteOffset == count)
                #expect(found.what == "it ends early")
            }
        }
        #expect(
            error(Array(packed.dropLast()))?.description
                == "sales.csv, byte \(packed.count - 1) of the packed file: the gzip data are "
                + "damaged: it ends early; fetch or pack the file again")
    }

    /// A bit that is changed is noticed, or it stood in the header and means nothing.
    @Test func changedBits() throws {
        let expected = try read(text)
        var unnoticed = Set<Int>()
        for index in stride(from: 2, to: packed.count, by: Self.step) {
            for bit in 0..<8 {
                var bytes = packed
                bytes[index] ^= 1 << bit
                if let found = damage(bytes) {
                    #expect(found.byteOffset <= bytes.count)
                    #expect(!found.what.isEmpty)
                } else {
                    unnoticed.insert(index)
                    let found = try read(bytes)
                    #expect(found.lines == expected.lines, "byte \(index), bit \(bit)")
                    #expect(found.report == expected.report)
                }
            }
        }
        // The flags (a text file), the time, the compression's level, the system and the name; and
        // bits that fill the last byte before the checksum.
        #expect(unnoticed.isSubset(of: Set(3..<20).union([packed.count - 9])))
    }

    @Test func somethingFollows() throws {
        let found = try #require(damage(packed + [0, 0] + Array("a,2011-01-01,1\n".utf8)))
        #expect(found.byteOffset == packed.count + 2)
        #expect(found.what == "something other than gzip data follows its end")
        #expect(damage(packed + [0x1F])?.what == "it ends early")
        #expect(damage(packed + [0x1F, 0x8C])?.byteOffset ?? 0 >= packed.count)
    }

    @Test func packedTwiceAndNothingPacked() {
        #expect(error(stored(packed)) == .notText(path: "sales.csv", what: "gzip data"))
        #expect(error(stored([])) == .emptyFile(path: "sales.csv"))
        #expect(error(stored(Array("customer,time,amount\n".utf8))) == .noLines(path: "sales.csv"))
    }

    /// A file that was ingested before is known without being parsed, packed or not.
    @Test func contentHashes() throws {
        try withTemporaryFolder { folder in
            let plain = Array(text.utf8)
            let hash = ContentHash.hash(plain.span)
            for (name, bytes) in [("plain", plain), ("packed", packed), ("stored", stored(plain))] {
                let file = folder.appendingPathComponent(name)
                try Data(bytes).write(to: file)
                #expect(try contentHash(ofFile: file.path, ifOneOf: [7, plain.count]) == hash)
                #expect(try contentHash(ofFile: file.path, ifOneOf: [7, plain.count + 1]) == nil)
                #expect(try contentHash(ofFile: file.path, ifOneOf: []) == nil)
            }
            #expect(throws: IngestError.self) {
                try contentHash(ofFile: folder.appendingPathComponent("none").path, ifOneOf: [1])
            }
        }
    }

    @Test func fromAPipe() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (data, writeEnd) = (packed, ends[1])
        let writer = Thread {
            // Byte by byte, so that the first two do not come together.
            let file = FileHandle(fileDescriptor: writeEnd, closeOnDealloc: true)
            for byte in data { file.write(Data([byte])) }
        }
        writer.start()
        defer { close(ends[0]) }
        let path = "/dev/fd/\(ends[0])"
        let (lines, _) = try readPurchases(
            path: path, mapping: plainMapping, clock: .utc, threadCount: 2)
        #expect(try lines == read(text).lines)
    }
}
