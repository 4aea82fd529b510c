import ByteCoding
import Numerical
import Testing
import Wire

struct FrameHeaderTests {
    /// The worked example of protocol/WIRE.md, section 7.2.
    @Test func pingOfTheSpecification() {
        #expect(
            encoded(.ping(PingRequest(token: 0x0102_0304_0506_0708))).prefix(24) == [
                0x24, 0, 0, 0, 0xD7, 0x50, 1, 8, 2, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
            ])
    }

    @Test func needsMoreUntilTheLastByte() throws {
        let bytes = encoded(.lookup(LookupRequest(ids: .integers([1, 2, 3]))))
        for count in 0..<bytes.count {
            let scan = try scanFrame(
                bytes.span.bytes.extracting(0..<count), maximumLength: 4_096)
            #expect(scan == .needMore(byteCount: count < 32 ? 32 : bytes.count))
        }
        guard case .frame(let frame) = try scanFrame(bytes.span.bytes, maximumLength: 4_096) else {
            Issue.record("no frame")
            return
        }
        #expect(frame.range == 0..<bytes.count)
        #expect(frame.payloadRange == 32..<bytes.count)
    }

    /// All samples in one buffer, fed in pieces of 1 byte, of random sizes, and at once.
    @Test(arguments: [1, 7, 64, 1_000, 1 << 20])
    func splitAndCoalesced(pieceSize: Int) throws {
        let all =
            Samples.requests.map { encoded($0.request, meta: $0.meta) }
            + Samples.responses.map { encoded($0.response, meta: $0.meta) }
        let stream = all.flatMap { $0 }
        var random = SeededRandom(seed: 11, stream: UInt64(pieceSize))
        var buffer: [UInt8] = []
        var start = 0
        var fed = 0
        var found: [[UInt8]] = []
        while fed < stream.count {
            let piece = min(stream.count - fed, 1 + random.below(pieceSize))
            buffer += stream[fed..<fed + piece]
            fed += piece
            while case .frame(let frame) = try scanFrame(
                buffer.span.bytes, from: start, maximumLength: 1 << 20)
            {
                found.append(Array(buffer[frame.range]))
                start = frame.range.upperBound
            }
        }
        #expect(found == all)
        #expect(start == stream.count)
    }

    @Test func otherProtocolsAreKnownBySixBytes() {
        for text in [
            "GET / HTTP/1.1\r\n", "*1\r\n$4\r\nPING\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
        ] {
            let bytes = Array(text.utf8.prefix(6))
            #expect(throws: WireError.self) {
                _ = try scanFrame(bytes.span.bytes, maximumLength: 4_096)
            }
        }
    }

    @Test func lengthIsRefusedFromTheHeaderAlone() {
        var frame = RawFrame(.ping)
        frame.length = 4_097
        let header = Array(frame.bytes.prefix(32))
        #expect(throws: WireError.frameTooLarge(actual: 4_097, limit: 4_096)) {
            _ = try scanFrame(
                header.span.bytes, maximumLength: WireLimits.frameBytesBeforeHello)
        }
        #expect(throws: Never.self) {
            _ = try scanFrame(header.span.bytes, maximumLength: 4_097)
        }
    }

    @Test func everySmallHeaderFaultHasItsReason() throws {
        let ping = try GoldenVectorTests.header(RawFrame(.ping, body: Array(1...8)).bytes)
        func fault(_ edit: (inout FrameHeader) -> Void) -> WireError? {
            var header = ping
            edit(&header)
            return header.fault(maximumLength: 100)
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0.version = 0 } == .unsupportedVersion(actual: 0, supported: 1))
        #expect(fault { $0.length = 27 } == .frameTooSmall(actual: 27, minimum: 28))
        #expect(fault { $0.length = 101 } == .frameTooLarge(actual: 101, limit: 100))
        #expect(fault { $0.headerWords = 7 } == .badHeaderSize(words: 7, frameBytes: 40))
        #expect(fault { $0.headerWords = 10 } == nil)
        #expect(fault { $0.headerWords = 11 } == .badHeaderSize(words: 11, frameBytes: 40))
    }
}
