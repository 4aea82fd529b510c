import ByteCoding
import Numerical
import Testing
import Wire

/// Bytes cut anywhere or with any bit turned are refused, and nothing traps.
struct CorruptionTests {
    static var frames: [(name: String, bytes: [UInt8], asServer: Bool, features: Features)] {
        Samples.requests.map { ($0.name, encoded($0.request, meta: $0.meta), true, []) }
            + Samples.responses.map { ($0.name, encoded($0.response, meta: $0.meta), false, []) }
            + Tolerated.all.map { ($0.name, $0.bytes, $0.asServer, $0.features) }
    }

    /// Where the body of a frame lies, or the block that it is in.
    static func bodyStart(_ bytes: [UInt8], _ header: FrameHeader) -> Int {
        let start = Int(header.headerWords) * 4
        guard header.flags.contains(.meta) else { return start }
        return start + 4 + Int(bytes.rawSpan.integer(at: start, as: UInt32.self) ?? 0)
    }

    @Test func everyCutIsSeen() {
        for frame in Self.frames {
            for count in 0..<frame.bytes.count {
                let error = #expect(throws: WireError.self) {
                    try decodeFrame(Array(frame.bytes.prefix(count)), asServer: frame.asServer)
                }
                #expect(error?.status == .unexpectedEnd, "\(frame.name) cut at \(count)")
            }
        }
    }

    /// The checksums see every single bit: CRC-32C has Hamming distance 4 or more at these sizes.
    @Test func everyTurnedBitIsSeen() {
        for frame in Self.frames {
            var bytes = frame.bytes
            for bit in 0..<bytes.count * 8 {
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(throws: WireError.self, "\(frame.name) bit \(bit)") {
                    try decodeFrame(bytes, asServer: frame.asServer)
                }
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            }
        }
    }

    /// A body cut short under a right checksum, as a faulty peer would send it. All messages end
    /// exactly at their last byte, so none accepts less.
    @Test func everyBodyCutUnderARightChecksumIsSeen() throws {
        for frame in Self.frames where frame.bytes[7] == 8 {
            let header = try GoldenVectorTests.header(frame.bytes)
            let bodyStart = Self.bodyStart(frame.bytes, header)
            for count in 0..<frame.bytes.count - bodyStart {
                var raw = RawFrame(.ping)
                raw.opcode = header.rawOpcode
                raw.flags = header.flags.subtracting(.meta).rawValue
                raw.aux = header.aux
                raw.body = Array(frame.bytes[bodyStart..<bodyStart + count])
                if header.flags.contains(.lz4) { raw.rawLength = header.rawLength }
                #expect(throws: WireError.self, "\(frame.name) body of \(count)") {
                    try decodeFrame(
                        raw.bytes, asServer: frame.asServer, features: frame.features)
                }
            }
        }
    }

    /// Turned bits and random bytes under right checksums: any outcome but a trap, within a small
    /// budget.
    @Test(arguments: 0..<4) func hostileBodiesNeverTrap(seed: UInt64) throws {
        var random = SeededRandom(seed: seed, stream: 31)
        var limits = WireLimits()
        limits.decodedBytes = 1 << 20
        for frame in Self.frames {
            let header = try GoldenVectorTests.header(frame.bytes)
            let original = Array(frame.bytes[Self.bodyStart(frame.bytes, header)...])
            for _ in 0..<60 {
                var raw = RawFrame(.ping)
                raw.opcode = header.rawOpcode
                raw.aux = header.aux
                raw.flags = header.flags.intersection(.lz4).rawValue
                raw.rawLength = header.flags.contains(.lz4) ? header.rawLength : nil
                raw.body = original
                for _ in 0..<1 + random.below(3) where !raw.body.isEmpty {
                    // The first bytes decide more, so half of the changes go there.
                    let reach = random.below(2) == 0 ? min(320, raw.body.count) : raw.body.count
                    let place = random.below(reach)
                    raw.body[place] =
                        random.below(2) == 0
                        ? raw.body[place] ^ (1 << UInt8(random.below(8)))
                        : [0, 1, 0x7F, 0x80, 0xFF][random.below(5)]
                }
                if random.below(4) == 0 {
                    raw.body.append(
                        contentsOf: (0..<random.below(70)).map { _ in
                            UInt8(truncatingIfNeeded: random.next())
                        })
                }
                _ = try? decodeFrame(
                    raw.bytes, asServer: frame.asServer, limits: limits, features: frame.features)
                raw.meta = metaBlock([(UInt16(random.below(8)), Array(raw.body.prefix(20)))])
                raw.flags |= FrameFlags.meta.rawValue
                _ = try? decodeFrame(
                    raw.bytes, asServer: frame.asServer, limits: limits, features: frame.features)
            }
        }
    }

    /// Every bit of every byte of a table, under a right checksum.
    @Test func everyTurnedBitOfATableIsHarmless() {
        let bytes = TableTests.encode(Samples.manyRows)
        for bit in 0..<bytes.count * 8 {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            if let table = try? TableTests.decode(changed) {
                for column in table.columns {
                    #expect(column.values.count == table.rowCount)
                }
            }
        }
    }
}
