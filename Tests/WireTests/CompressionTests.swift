import ByteCoding
import Numerical
import Testing
import Wire

struct CompressionTests {
    private static let lookup = Request.lookup(
        LookupRequest(ids: .integers((0..<4_096).map { 10_000_000 + $0 })))

    private static func encode(
        _ request: Request, meta: [MetaItem] = [], _ sizes: ClosedRange<Int>?
    ) -> (bytes: [UInt8], plainLength: Int) {
        var writer = ByteWriter()
        let length = request.encodeFrame(
            requestID: 7, meta: meta, compressing: sizes, into: &writer)
        return (writer.bytes, length)
    }

    @Test func aCompressedFrameMeansWhatThePlainOneDoes() throws {
        let meta: [MetaItem] = [.traceID([1, 2]), .priority(2)]
        let plain = Self.encode(Self.lookup, meta: meta, nil)
        let packed = Self.encode(Self.lookup, meta: meta, WireLimits.compressedSizes)
        #expect(packed.bytes.count < plain.bytes.count * 5 / 8)
        #expect(packed.plainLength == plain.plainLength)
        #expect(packed.plainLength == plain.bytes.count - 4)
        let header = try GoldenVectorTests.header(packed.bytes)
        #expect(header.flags == [.lz4, .meta])
        #expect(header.frameBytes == packed.bytes.count)
        let plainHeader = try GoldenVectorTests.header(plain.bytes)
        #expect(header.rawLength == plainHeader.rawLength)
        guard
            case .request(_, let items, let request) = try decodeFrame(
                packed.bytes, asServer: true, features: .lz4)
        else {
            Issue.record("not a request")
            return
        }
        #expect(items == meta)
        #expect(request == Self.lookup)
        // The block is one that other readers understand.
        let block = Array(packed.bytes.suffix(packed.bytes.count - 32 - 4 - 6 - 5))
        #expect(SimpleLZ4.decompress(block) == Array(plain.bytes.suffix(Int(header.rawLength))))
        #expect(throws: WireError.compressionNotNegotiated) {
            try decodeFrame(packed.bytes, asServer: true)
        }
    }

    @Test func whatDoesNotPayIsSentPlain() throws {
        let few = Request.lookup(LookupRequest(ids: .integers(Array(0..<400))))
        var random = SeededRandom(seed: 5, stream: 1)
        let noise = Request.lookup(
            LookupRequest(ids: .integers((0..<4_096).map { _ in Int64(bitPattern: random.next()) }))
        )
        for request in [few, noise] {
            let packed = Self.encode(request, WireLimits.compressedSizes)
            #expect(packed.bytes == Self.encode(request, nil).bytes)
        }
        // Beyond what a thread may be held up for.
        let long = Request.lookup(
            LookupRequest(ids: .integers((0..<40_000).map { 10_000_000 + $0 })))
        let packed = Self.encode(long, WireLimits.quicklyCompressedSizes)
        #expect(packed.bytes == Self.encode(long, nil).bytes)
    }

    @Test func timesAreWrittenWhenTheBodyIs() throws {
        var writer = ByteWriter()
        let meta: [MetaItem] = [
            .timings(queueMicroseconds: 3, computeMicroseconds: 4, encodeMicroseconds: 0)
        ]
        Response.ping(PingResponse(token: 1, generation: 2)).encodeFrame(
            requestID: 9, meta: meta, encodeTime: { 77 }, into: &writer)
        guard case .response(_, let items, _) = try decodeFrame(writer.bytes, asServer: false)
        else {
            Issue.record("not an answer")
            return
        }
        let expected: [MetaItem] = [
            .timings(queueMicroseconds: 3, computeMicroseconds: 4, encodeMicroseconds: 77)
        ]
        #expect(items == expected)
    }

    @Test func rawLengthIsBoundBeforeMemoryIsTaken() {
        var limits = WireLimits()
        limits.frameBytes = 1 << 20
        var frame = RawFrame(.ping, body: [0x1F, 0, 1, 0] + Array(repeating: 255, count: 8_192))
        frame.flags = FrameFlags.lz4.rawValue
        frame.rawLength = 1 << 20 + 1
        #expect(
            throws: WireError.overBudget(
                field: .body, actual: 1 << 20 + 1, limit: 1 << 20, byteOffset: 0)
        ) {
            try decodeFrame(frame.bytes, asServer: true, limits: limits, features: .lz4)
        }
        frame.body = [0x1F, 0, 1, 0, 255]
        frame.rawLength = 255 * 5 + 65
        #expect(throws: WireError.invalidBlock(rawLength: 1_340, blockBytes: 5)) {
            try decodeFrame(frame.bytes, asServer: true, limits: limits, features: .lz4)
        }
    }

    /// The most that a block can become: a run of one byte. It is decoded where rawLength says so.
    @Test func theLargestRatioIsWithinTheBound() throws {
        let plain = [UInt8](repeating: 7, count: 1 << 20)
        let block = SimpleLZ4.compress(plain)
        #expect(255 * block.count + 64 >= plain.count)
        #expect(block.count < plain.count / 250)
        #expect(
            try decompressBody(block.span.bytes, rawLength: plain.count) == plain)
    }

    @Test(arguments: [
        1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 31, 64, 269, 270, 271, 300, 5_000,
    ])
    func blocksOfAnotherWriterAreRead(count: Int) throws {
        for spread in [1, 2, 200] {
            let plain = (0..<count).map { UInt8(truncatingIfNeeded: $0 / 7 % spread) }
            let block = SimpleLZ4.compress(plain)
            #expect(SimpleLZ4.decompress(block) == plain)
            #expect(try decompressBody(block.span.bytes, rawLength: count) == plain)
            for wrong in [count - 1, count + 1] where wrong > 0 {
                #expect(throws: WireError.self) {
                    try decompressBody(block.span.bytes, rawLength: wrong)
                }
            }
            for cut in 0..<min(block.count, 40) {
                let part = Array(block[..<cut])
                #expect(throws: WireError.self) {
                    try decompressBody(part.span.bytes, rawLength: count)
                }
            }
        }
    }

    /// Whatever the bytes say: an error, or exactly the bytes that they mean.
    @Test(arguments: 0..<8) func hostileBlocksNeverTrap(seed: UInt64) throws {
        var random = SeededRandom(seed: seed, stream: 77)
        var accepted = 0
        for _ in 0..<2_000 {
            let size = 1 + random.below(600)
            let spread = 1 + random.below(4)
            let plain = (0..<size).map { UInt8(truncatingIfNeeded: $0 / 9 + random.below(spread)) }
            var block = SimpleLZ4.compress(plain)
            for _ in 0..<random.below(4) {
                let place = random.below(block.count)
                switch random.below(4) {
                case 0: block[place] ^= 1 << UInt8(random.below(8))
                case 1: block[place] = [0, 0x0F, 0xF0, 0xFF][random.below(4)]
                case 2: block.remove(at: place)
                default: block.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                }
                if block.isEmpty { block = [0] }
            }
            let rawLength = random.below(3) == 0 ? 1 + random.below(700) : size
            guard let bytes = try? decompressBody(block.span.bytes, rawLength: rawLength) else {
                continue
            }
            accepted += 1
            #expect(bytes.count == rawLength)
            #expect(SimpleLZ4.decompress(block) == bytes, "seed \(seed)")
        }
        #expect(accepted > 100, "seed \(seed)")
    }
}
