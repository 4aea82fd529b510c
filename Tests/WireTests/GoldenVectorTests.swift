import ByteCoding
import Foundation
import Testing
import Wire

/// protocol/vectors/v1: bytes and what they mean. Written once by a run with the environment
/// variable PATRON_WRITE_VECTORS, afterwards only read: a released vector never changes.
struct GoldenVectorTests {
    static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("protocol/vectors/v1")

    static func check(_ folder: String, _ name: String, _ bytes: [UInt8], _ meaning: JSON) throws {
        let binary = Self.folder.appendingPathComponent("\(folder)/\(name).bin")
        let text = Self.folder.appendingPathComponent("\(folder)/\(name).json")
        let json = meaning.text() + "\n"
        if ProcessInfo.processInfo.environment["PATRON_WRITE_VECTORS"] != nil {
            try FileManager.default.createDirectory(
                at: binary.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: binary)
            try Data(json.utf8).write(to: text)
            return
        }
        #expect(try [UInt8](Data(contentsOf: binary)) == bytes, "\(name).bin")
        #expect(try String(contentsOf: text, encoding: .utf8) == json, "\(name).json")
    }

    static func describe(
        _ name: String, asServer: Bool, _ header: FrameHeader, _ meta: [MetaItem], _ body: JSON,
        about: String = "", features: Features = []
    ) -> JSON {
        var frame: [(String, JSON)] = [
            ("opcode", .string(header.opcode?.name ?? String(header.rawOpcode))),
            ("requestID", .integer(Int64(header.requestID))),
            (asServer ? "deadlineMilliseconds" : "status", .integer(Int64(header.aux))),
        ]
        frame.append(("meta", .array(meta.compactMap { WireTests.meaning($0) })))
        frame.append(("body", body))
        return .object(
            [
                ("name", .string(name)), ("about", .string(about)),
                ("reader", .string(asServer ? "server" : "client")),
            ] + agreed(features) + [("frame", .object(frame))])
    }

    /// What both sides have agreed on in HELLO, where that matters.
    static func agreed(_ features: Features) -> [(String, JSON)] {
        features.isEmpty ? [] : [("features", .integer(Int64(features.rawValue)))]
    }

    static func header(_ bytes: [UInt8]) throws -> FrameHeader {
        try #require(try FrameHeader.parse(bytes.span.bytes, maximumLength: 16 << 20))
    }

    @Test func requests() throws {
        for sample in Samples.requests {
            let bytes = encoded(sample.request, meta: sample.meta)
            let header = try Self.header(bytes)
            try Self.check(
                "ok", sample.name, bytes,
                Self.describe(
                    sample.name, asServer: true, header, sample.meta, meaning(sample.request)))
            #expect(
                try decodeFrame(bytes, asServer: true)
                    == .request(header, sample.meta, sample.request))
        }
    }

    @Test func responses() throws {
        for sample in Samples.responses {
            let bytes = encoded(sample.response, meta: sample.meta)
            let header = try Self.header(bytes)
            try Self.check(
                "ok", sample.name, bytes,
                Self.describe(
                    sample.name, asServer: false, header, sample.meta, meaning(sample.response)))
            #expect(
                try decodeFrame(bytes, asServer: false)
                    == .response(header, sample.meta, sample.response))
        }
    }

    @Test func tolerated() throws {
        for sample in Tolerated.all {
            let header = try Self.header(sample.bytes)
            let body: JSON
            let meta: [MetaItem]
            switch try decodeFrame(
                sample.bytes, asServer: sample.asServer, features: sample.features)
            {
            case .request(_, let items, let request):
                #expect(request == sample.request)
                (body, meta) = (meaning(request), items)
            case .response(_, let items, let response):
                #expect(response == sample.response)
                (body, meta) = (meaning(response), items)
            }
            try Self.check(
                "ok", sample.name, sample.bytes,
                Self.describe(
                    sample.name, asServer: sample.asServer, header, meta, body,
                    about: sample.about, features: sample.features))
        }
    }

    @Test func refused() throws {
        for vector in ErrorVector.all {
            try Self.check(
                "error", vector.name, vector.bytes,
                .object(
                    [
                        ("name", .string(vector.name)), ("about", .string(vector.about)),
                        ("reader", .string(vector.asServer ? "server" : "client")),
                        ("maximumLength", .integer(Int64(vector.maximumLength))),
                    ] + Self.agreed(vector.features) + [
                        ("status", .integer(Int64(vector.status.rawValue))),
                        ("statusName", .string(vector.status.description)),
                        ("closes", .bool(vector.status.closesConnection)),
                    ]))
            let error = #expect(throws: WireError.self, "\(vector.name)") {
                try decodeFrame(
                    vector.bytes, asServer: vector.asServer, maximumLength: vector.maximumLength,
                    features: vector.features)
            }
            #expect(error?.status == vector.status, "\(vector.name)")
        }
    }

    @Test func everyErrorThatBytesCanCauseHasAVector() {
        let covered = Set(ErrorVector.all.map(\.status))
        let decodable = Status.table.map(\.status).filter {
            [.fixRequest, .protocolError, .unsupported].contains($0.statusClass)
        }
        // Found by the server's state, not by reading bytes.
        let stateful: Set<Status> = [
            .wrongIDKind, .requestIDInUse, .answerTooLarge, .helloRequired, .unexpectedHello,
            .handshakeTimeout, .idleTimeout, .peerTooSlow, .invalidRule, .unusableLines,
            .otherCurrency, .readOnly,
        ]
        for status in decodable where !stateful.contains(status) {
            #expect(covered.contains(status), "\(status)")
        }
    }

    @Test func noOtherFilesLieInTheFolders() throws {
        let expected = Set(
            (Samples.requests.map(\.name) + Samples.responses.map(\.name)
                + Tolerated.all.map(\.name)).flatMap { [$0 + ".bin", $0 + ".json"] })
        #expect(try Self.names("ok") == expected)
        #expect(
            try Self.names("error")
                == Set(ErrorVector.all.map(\.name).flatMap { [$0 + ".bin", $0 + ".json"] }))
    }

    private static func names(_ folder: String) throws -> Set<String> {
        Set(
            try FileManager.default.contentsOfDirectory(
                atPath: Self.folder.appendingPathComponent(folder).path))
    }
}
