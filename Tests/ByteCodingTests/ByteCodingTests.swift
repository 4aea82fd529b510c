import ByteCoding
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
    @Test(arguments: [
        (Array("123456789".utf8), UInt32(0xE306_9283)),
        ([UInt8](repeating: 0, count: 32), UInt32(0x8A91_36AA)),
        ([UInt8](repeating: 0xFF, count: 32), UInt32(0x62A8_AB43)),
        ([UInt8](0..<32), UInt32(0x46DD_794E)),
        ([UInt8](), UInt32(0)),
    ])
    func knownValues(bytes: [UInt8], expected: UInt32) {
        #expect(CRC32C.checksum(bytes) == expected)
        #expect(CRC32C.checksumByTable(bytes) == expected)
    }

    @Test func theInstructionAgreesWithTheTable() {
        let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 131 ^ ($0 >> 3)) }
        for count in 0...80 {
            for start in 0..<9 {
                let part = Array(bytes[start..<start + count])
                #expect(CRC32C.checksum(part) == CRC32C.checksumByTable(part))
            }
        }
        for cut in [0, 1, 7, 8, 9, 500, 999, 1_000] {
            var crc = CRC32C()
            crc.add(Array(bytes[..<cut]))
            crc.add(Array(bytes[cut...]))
            #expect(crc.value == CRC32C.checksumByTable(bytes))
        }
    }
}

@Suite struct LittleEndianTests {
    @Test func writesAndReadsBack() {
        var writer = ByteWriter()
        writer.append(UInt8(7))
        writer.append(UInt32(0x0102_0304))
        writer.append(Int64.min)
        writer.append(-0.0)
        writer.append(Float.leastNonzeroMagnitude)
        #expect(Array(writer.bytes[..<5]) == [7, 4, 3, 2, 1])
        writer.pad(to: 64)
        #expect(writer.count == 64)
        writer.overwrite(UInt16(0xABCD), at: 62)
        let bytes = writer.bytes
        let span = bytes.span.bytes
        #expect(span.integer(at: 1, as: UInt32.self) == 0x0102_0304)
        #expect(span.integer(at: 5, as: Int64.self) == .min)
        #expect(span.double(at: 13)?.sign == .minus)
        #expect(span.float(at: 21) == .leastNonzeroMagnitude)
        #expect(span.integer(at: 62, as: UInt16.self) == 0xABCD)
    }

    @Test func neverReachesOutside() {
        let bytes: [UInt8] = [1, 2, 3, 4]
        let span = bytes.span.bytes
        #expect(span.integer(at: 1, as: UInt32.self) == nil)
        #expect(span.integer(at: -1, as: UInt8.self) == nil)
        #expect(span.integer(at: 4, as: UInt8.self) == nil)
        #expect(span.integer(at: .max, as: UInt64.self) == nil)
        #expect(span.integer(at: 0, as: UInt64.self) == nil)
    }
}

@Suite struct TextArrayTests {
    @Test func keepsEmptyAndLongTexts() {
        let texts = ["", "a", "Zürich", String(repeating: "x", count: 10_000), ""]
        let array = TextArray(texts)
        #expect(array.strings == texts)
        #expect(array.gather([4, 2, 2]).strings == ["", "Zürich", "Zürich"])
        #expect(array.precedes(0, array, 1) && !array.precedes(1, array, 1))
    }

    @Test func refusesOffsetsThatDoNotFit() {
        #expect(TextArray(bytes: [1, 2], offsets: [0, 2]) != nil)
        #expect(TextArray(bytes: [1, 2], offsets: [0, 1]) == nil)
        #expect(TextArray(bytes: [1, 2], offsets: [1, 2]) == nil)
        #expect(TextArray(bytes: [1, 2], offsets: [0, 3, 2]) == nil)
        #expect(TextArray(bytes: [], offsets: []) == nil)
    }

    @Test func idsHaveOneOrder() {
        let ids: [EntityID] = [.text("b"), .integer(10), .text("B"), .integer(-1), .text("")]
        #expect(ids.sorted() == [.integer(-1), .integer(10), .text(""), .text("B"), .text("b")])
        let column = IDColumn.texts(TextArray(["b", "a"]))
        #expect(column.precedes(1, 0) && column[1] == .text("a"))
        #expect(IDColumn.integers([5, 6]).gather([1]) == .integers([6]))
    }
}

@Suite struct StableHashTests {
    /// These values are part of the file format: they may never change.
    @Test func valuesAreFixed() {
        #expect(StableHash.hash(Int64(0)) == 0)
        #expect(StableHash.hash(Int64(1)) == 0xB456_BCFC_34C2_CB2C)
        let offsetBasis = Int64(bitPattern: 0xCBF2_9CE4_8422_2325)
        #expect(StableHash.hash("".utf8) == StableHash.hash(offsetBasis))
        #expect(Set((0..<10_000).map { StableHash.hash(Int64($0)) }).count == 10_000)
    }
}
