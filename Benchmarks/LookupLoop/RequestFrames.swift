import ByteCoding
import Foundation
import NIOCore
import Wire

/// The integer ids that are asked for.
enum Customers {
    case range(ClosedRange<Int64>)
    case list([Int64])

    /// `FIRST-LAST`, or the name of a file with one id a line.
    init(_ text: String) throws {
        let ends = text.split(separator: "-").map { Int64($0) }
        if ends.count == 2, let first = ends[0], let last = ends[1], first <= last {
            self = .range(first...last)
            return
        }
        guard let lines = try? String(contentsOfFile: text, encoding: .utf8) else {
            throw Failure(description: "\(text) is no range FIRST-LAST and no readable file")
        }
        let ids = lines.split(whereSeparator: \.isNewline).compactMap { Int64($0) }
        guard !ids.isEmpty else { throw Failure(description: "\(text) has no integer id") }
        self = .list(ids)
    }

    func random(_ generator: inout SplitMix64) -> Int64 {
        switch self {
        case .range(let range): Int64.random(in: range, using: &generator)
        case .list(let ids): ids[Int.random(in: ids.indices, using: &generator)]
        }
    }
}

/// Requests made before the clock starts, so that the loop only sends and receives.
struct RequestFrames: Sendable {
    let hello: ByteBuffer
    let lookups: [ByteBuffer]

    /// With a fixed seed, so that every run asks for the same customers.
    init(customers: Customers, idCount: Int) throws {
        var generator = SplitMix64(state: 1)
        hello = Self.frame(.hello(HelloRequest(clientName: "LookupLoop")))
        // Enough that the look-ups do not all hit the same cache lines, few enough to hold.
        let frameCount = max(64, min(16_384, 1_048_576 / idCount))
        lookups = (0..<frameCount).map { _ in
            let ids = (0..<idCount).map { _ in customers.random(&generator) }
            return Self.frame(.lookup(LookupRequest(ids: .integers(ids))))
        }
    }

    private static func frame(_ request: Request) -> ByteBuffer {
        var writer = ByteWriter()
        request.encodeFrame(requestID: 1, into: &writer)
        return ByteBuffer(bytes: writer.bytes)
    }
}

/// Steele, Lea and Flood (2014); seeded, unlike the system's generator.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
