import ByteCoding
import PatronClient
import Testing
import Wire

/// LZ4 bodies and timings, on a real socket.
@Suite struct CompressionTests {
    private static let contents = sampleContents(customerCount: 50_000)

    private static func lookup(_ count: Int) -> Request {
        .lookup(LookupRequest(ids: .integers((0..<count).map { id($0) })))
    }

    @Test func streamsAreTheSameAndSmaller() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            var byteCounts: [Int] = []
            var tables: [[[Table]]] = []
            for features: Features in [.streams, [.streams, .lz4]] {
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello(optionalFeatures: features)
                raw.send(frame(.scan(StreamRequest(credit: 16 << 20)), 2))
                var (byteCount, chunks) = (0, [Table]())
                while let answer = try await raw.receive() {
                    guard case .scan(let chunk) = answer.response else {
                        Issue.record("\(answer.header.status)")
                        return
                    }
                    #expect(answer.header.flags.contains(.lz4) == features.contains(.lz4))
                    byteCount += answer.header.frameBytes
                    chunks.append(chunk.table)
                    if !chunk.hasMore { break }
                }
                byteCounts.append(byteCount)
                tables.append([chunks])
            }
            #expect(tables[0] == tables[1])
            #expect(byteCounts[1] < byteCounts[0] / 2)
        }
    }

    @Test func theClientReadsThem() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let plain = try await PatronConnection.connect(host: "127.0.0.1", port: server.port)
            let packed = try await PatronConnection.connect(
                host: "127.0.0.1", port: server.port, compression: true)
            #expect(!plain.isCompressed && packed.isCompressed)
            let ids = (0..<30_000).map { PatronID.integer(id($0)) }
            let (a, b) = (try await plain.lookup(ids), try await packed.lookup(ids))
            #expect(a.columns.map { $0.number(29_998) } == b.columns.map { $0.number(29_998) })
            #expect(a.status == b.status)
            var count = 0
            for try await chunk in try packed.customers(rule: "revenue < 20") {
                count += chunk.ids.count
            }
            #expect(try await plain.count(rule: "revenue < 20") == count)
            #expect(count > 10_000)
            await plain.close()
            await packed.close()
        }
    }

    /// Of 5 ids nothing is gained, of 2,000 it is compressed at once, of 40,000 on another thread.
    @Test(arguments: [1, 5, 2_000, 40_000])
    func lookupsAreCompressedWhereItPays(count: Int) async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            let plain = try RawConnection(port: server.port)
            try await plain.sayHello()
            // A request may be compressed too.
            raw.send(frame(Self.lookup(count), 2, compresses: true))
            plain.send(frame(Self.lookup(count), 2))
            let answer = try #require(try await raw.receive())
            let expected = try #require(try await plain.receive())
            #expect(answer.response == expected.response)
            #expect(answer.header.flags.contains(.lz4) == (count >= 2_000))
            #expect(answer.header.rawLength == expected.header.rawLength)
            #expect(!expected.header.flags.contains(.lz4))
        }
    }

    @Test func manyLargeAnswersAtOnce() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            for requestID in UInt32(2)..<14 {
                raw.send(frame(Self.lookup(20_000), requestID, compresses: true))
            }
            raw.send(frame(.ping(PingRequest(token: 1)), 14))
            var seen: Set<UInt32> = []
            while seen.count < 13, let answer = try await raw.receive() {
                #expect(answer.header.status == .ok)
                seen.insert(answer.header.requestID)
            }
            #expect(seen == Set(2..<15))
        }
    }

    @Test func whatWouldNotFitPlainDoesNotFit() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(maximumFrameBytes: 8_192, optionalFeatures: .lz4)
            raw.send(frame(Self.lookup(1_000), 2))
            #expect(try await raw.receive()?.header.status == .answerTooLarge)
            let scan = Request.topCustomers(
                TopRequest(id: .text("P1"), count: 2_000, excludesPurchased: false))
            raw.send(frame(scan, 3))
            #expect(try await raw.receive()?.header.status == .answerTooLarge)
        }
    }

    /// A body that is no block fails its request alone; memory is taken for none of them.
    @Test func faultyBlocksAreRefused() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: .lz4)
            let right = frame(Self.lookup(1_000), 9, compresses: true)
            func faulty(_ edit: (inout [UInt8]) -> Void) -> [UInt8] {
                var bytes = right
                edit(&bytes)
                var sums = ByteWriter()
                sums.append(UInt32(bytes.count - 4))
                bytes.replaceSubrange(0..<4, with: sums.bytes)
                sums.removeAll()
                sums.append(CRC32C.checksum(Array(bytes[32...])))
                bytes.replaceSubrange(24..<28, with: sums.bytes)
                sums.removeAll()
                sums.append(CRC32C.checksum(Array(bytes[..<28])))
                bytes.replaceSubrange(28..<32, with: sums.bytes)
                return bytes
            }
            let cases: [(Status, [UInt8])] = [
                (.overBudget, faulty { $0.replaceSubrange(16..<20, with: [1, 0, 0, 1]) }),
                (.overBudget, faulty { $0.replaceSubrange(16..<20, with: [255, 255, 255, 255]) }),
                (.invalidBlock, faulty { $0.replaceSubrange(16..<20, with: [0, 0, 255, 0]) }),
                (.invalidBlock, faulty { $0[16] ^= 1 }),
                (.invalidBlock, faulty { $0.removeLast() }),
                (.invalidBlock, faulty { $0.append(0) }),
                (.invalidBlock, faulty { $0[32] = 0xFF }),
                (.rawLengthMismatch, faulty { $0[10] = 0 }),
            ]
            for (status, bytes) in cases {
                raw.send(bytes)
                let answer = try await raw.receive()
                #expect(answer?.header.status == status)
                #expect(answer?.header.requestID == 9)
            }
            raw.send(right)
            #expect(try await raw.receive()?.header.status == .ok)
        }
    }

    @Test func answersSayWhereTheirTimeWentIfAgreed() async throws {
        try await withServer(testConfiguration(), Self.contents) { server in
            let top = Request.topCustomers(
                TopRequest(id: .text("P1"), count: 5, excludesPurchased: false))
            let requests = [
                Self.lookup(1), Self.lookup(300), .ping(PingRequest(token: 1)), .describe, top,
                .segments(SegmentsRequest()),
            ]
            for features: Features in [.timings, .streams] {
                let raw = try RawConnection(port: server.port)
                try await raw.sayHello(optionalFeatures: features)
                for (index, request) in requests.enumerated() {
                    raw.send(frame(request, UInt32(index + 2)))
                    let answer = try #require(try await raw.receive())
                    #expect(answer.header.status == .ok)
                    guard features == .timings else {
                        #expect(answer.meta == [])
                        continue
                    }
                    guard case .timings(let queue, let compute, let encode)? = answer.meta.first,
                        answer.meta.count == 1
                    else {
                        Issue.record("\(request.opcode.name): \(answer.meta)")
                        continue
                    }
                    #expect(max(queue, compute, encode) < 10_000_000)
                }
                raw.send(frame(.segments(SegmentsRequest(segmentation: "nowhere")), 90))
                #expect(try await raw.receive()?.meta == [])
            }
        }
    }
}
