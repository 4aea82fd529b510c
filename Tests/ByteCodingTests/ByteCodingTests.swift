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
            var combined = CRC32C()
            combined.add(Array(bytes[..<cut]))
            combined.add(
                count: bytes.count - cut, withChecksum: CRC32C.checksum(Array(bytes[cut...])))
            #expect(combined.value == crc.value)
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

    /// The store compares bytes, and so do dictionaries of ids.
    @Test func equivalentTextsAreTwoIDs() {
        let (one, two) = (EntityID.text("caf\u{E9}"), EntityID.text("cafe\u{301}"))
        #expect("caf\u{E9}" == "cafe\u{301}")
        #expect(one != two && two < one)
        #expect(Set([one, two, one, .text("caf\u{E9}")]).count == 2)
        #expect(EntityID.text("7") != .integer(7) && EntityID.integer(7) == .integer(7))
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

@Suite struct KeyedHashTests {
    /// These values are part of the file format: they may never change. tools/decode_store.py gave
    /// them.
    @Test func valuesAreFixed() {
        let hash = KeyedHash(key: 1)
        let integers: [(Int64, UInt64)] = [
            (0, 0x9CD5_F79A_B51D_0CA5),
            (1, 0xC4A0_6B24_AC26_4D30),
            (-1, 0x144B_E3B1_89A8_B130),
            (17850, 0x7FE3_5E43_29C1_E3FA),
        ]
        for (id, value) in integers { #expect(hash.hash(id) == value, "\(id)") }
        let texts: [(String, UInt64)] = [
            ("", 0xFA18_0FC0_C183_CEC1),
            ("a", 0x2434_97EA_8DD9_DCF9),
            ("ab", 0x3F06_B3F7_2D61_CCB3),
            ("abc", 0x2267_3062_B893_E29F),
            ("abcd", 0x9D49_8EBB_19C2_3CB2),
            ("abcdefg", 0x764E_3F8C_D44A_3DD9),
            ("abcdefgh", 0x04A8_4C5C_D231_0342),
            ("abcdefghijklmno", 0x6777_8BBA_28CE_A564),
            ("abcdefghijklmnop", 0x7E23_FA3F_D5B2_E668),
            ("abcdefghijklmnopq", 0xEC11_0DFA_181A_0CC4),
            ("C-00c0ffee00c0ffee", 0x9F15_C7E9_FBC9_6BFF),
            ("abcdefghijklmnopqrstuvwxyz012345", 0x4E3F_1BB3_00A5_422B),
            ("abcdefghijklmnopqrstuvwxyz0123456", 0x191E_4FD4_E6F0_7663),
        ]
        for (text, value) in texts {
            #expect(hash.hash(Array(text.utf8).span.bytes) == value, "\(text)")
        }
    }

    /// Ids of a pattern share slots as often as random ones do, under any key: the mean way to a free
    /// slot of a table twice as large is half a slot for ideal hashes. Knuth, The Art of Computer
    /// Programming 3, section 6.4.
    @Test(arguments: [0, 1, 2, .max, 0x8000_0000_0000_0000] as [UInt64])
    func patternsSpread(key: UInt64) {
        let hash = KeyedHash(key: key)
        let count = 20_000
        func meanWay(_ hashes: [UInt64]) -> Double {
            var isTaken = [Bool](repeating: false, count: 2 * count)
            var way = 0
            for hash in hashes {
                var slot = Int(hash.multipliedFullWidth(by: UInt64(2 * count)).high)
                while isTaken[slot] {
                    way += 1
                    slot = (slot + 1) % (2 * count)
                }
                isTaken[slot] = true
            }
            return Double(way) / Double(count)
        }
        func text(_ id: Int) -> UInt64 { hash.hash(Array("C-\(id)".utf8).span.bytes) }
        func long(_ id: Int) -> UInt64 {
            hash.hash(Array("customer \(id) of the first shop".utf8).span.bytes)
        }
        let ids = 0..<count
        for (name, hashes) in [
            ("ascending", ids.map { hash.hash(Int64($0)) }),
            ("negative", ids.map { hash.hash(Int64(-$0)) }),
            ("high half", ids.map { hash.hash(Int64($0) << 32) }),
            ("of 1,000", ids.map { hash.hash(Int64($0) * 1_000) }),
            ("texts", ids.map(text)), ("long texts", ids.map(long)),
        ] {
            let way = meanWay(hashes)
            #expect(way > 0.4 && way < 0.6, "\(name): \(way)")
            // The half that is kept as a tag too.
            #expect(Set(hashes.map { UInt32(truncatingIfNeeded: $0) }).count > count - 5, "\(name)")
        }
    }
}
