/// The operations of this version; protocol/WIRE.md, "Opcodes", lists these and the reserved ones.
/// Bit 15 of a frame's opcode field says that the frame is an answer.
package enum Opcode: UInt16, Sendable, CaseIterable {
    case hello = 0x0001
    case ping = 0x0002
    case goAway = 0x0003
    case credit = 0x0004
    case cancel = 0x0005
    case progress = 0x0006
    case describe = 0x0010
    case lookup = 0x0020
    case score = 0x0021
    case topProducts = 0x0022
    case topCustomers = 0x0023
    case similar = 0x0024
    case explain = 0x0025
    case segments = 0x0026
    case segmentProfiles = 0x0027
    case offerProducts = 0x0028
    case offerCustomers = 0x0029
    case count = 0x0030
    case audience = 0x0031
    case scan = 0x0032
    case append = 0x0040
    case erase = 0x0041
    case models = 0x0050
    case snapshot = 0x0051
    case publish = 0x0052
    case stats = 0x0053
    case drain = 0x0054
    case shadow = 0x0055

    package static let responseBit: UInt16 = 0x8000

    /// Whether it says something of an open request, whose id it has, and gets no answer.
    package var isAboutAnother: Bool { self == .credit || self == .cancel }

    /// Whether only a server sends it, unasked.
    package var isFromServerOnly: Bool { self == .goAway || self == .progress }

    /// Whether a request of it may name the snapshot that answers, by its label.
    package var takesLabel: Bool {
        switch self {
        case .describe, .lookup, .score, .topProducts, .topCustomers, .similar, .explain,
            .segments, .segmentProfiles, .offerProducts, .offerCustomers, .count, .audience, .scan:
            true
        case .hello, .ping, .goAway, .credit, .cancel, .progress, .append, .erase, .models,
            .snapshot, .publish, .stats, .drain, .shadow:
            false
        }
    }

    /// The name in logs, metrics and the specification.
    package var name: String {
        switch self {
        case .hello: "HELLO"
        case .ping: "PING"
        case .goAway: "GOAWAY"
        case .credit: "CREDIT"
        case .cancel: "CANCEL"
        case .progress: "PROGRESS"
        case .describe: "DESCRIBE"
        case .lookup: "LOOKUP"
        case .score: "SCORE"
        case .topProducts: "TOP_PRODUCTS"
        case .topCustomers: "TOP_CUSTOMERS"
        case .similar: "SIMILAR"
        case .explain: "EXPLAIN"
        case .segments: "SEGMENTS"
        case .segmentProfiles: "SEGMENT_PROFILES"
        case .offerProducts: "OFFER_PRODUCTS"
        case .offerCustomers: "OFFER_CUSTOMERS"
        case .count: "COUNT"
        case .audience: "AUDIENCE"
        case .scan: "SCAN"
        case .append: "APPEND"
        case .erase: "ERASE"
        case .models: "MODELS"
        case .snapshot: "SNAPSHOT"
        case .publish: "PUBLISH"
        case .stats: "STATS"
        case .drain: "DRAIN"
        case .shadow: "SHADOW"
        }
    }
}

/// The flags of a frame. Bits 0 to 7 are critical: a reader that does not know one refuses the
/// frame. Bits 8 to 15 are optional: a reader that does not know one ignores it.
package struct FrameFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The body is one LZ4 block; the meta block is not in it. Only where both sides agreed on
    /// `Features.lz4`.
    package static let lz4 = FrameFlags(rawValue: 1 << 0)
    /// Another frame of the same request follows.
    package static let more = FrameFlags(rawValue: 1 << 1)
    /// A meta block stands before the body.
    package static let meta = FrameFlags(rawValue: 1 << 2)
    /// The client does not need an answer that only says "done".
    package static let quiet = FrameFlags(rawValue: 1 << 8)

    package static let criticalMask = FrameFlags(rawValue: 0x00FF)
    package static let known: FrameFlags = [.lz4, .more, .meta, .quiet]
}

/// What a connection may use beyond the base protocol. Bits 56 to 63 are never assigned: every
/// peer offers one of them, so that ignoring an unknown bit is exercised on every connection.
package struct Features: OptionSet, Sendable, Hashable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Bodies may be LZ4 blocks, in both directions.
    package static let lz4 = Features(rawValue: 1 << 0)
    /// Answers in several frames, sent as the client gives credit for them.
    package static let streams = Features(rawValue: 1 << 1)
    /// The server adds its timings as meta to answers.
    package static let timings = Features(rawValue: 1 << 2)
    /// The facts of DESCRIBE say what the affinity model is and which offers it can make.
    package static let affinityFacts = Features(rawValue: 1 << 3)
    /// The server may tell how far a request is that takes long.
    package static let progress = Features(rawValue: 1 << 4)

    /// Bits that stay unassigned for good.
    package static let junkMask = Features(rawValue: 0xFF << 56)
    /// The junk that this implementation offers.
    package static let clientJunk = Features(rawValue: 1 << 61)
    package static let serverJunk = Features(rawValue: 1 << 58)

    /// What this release can do; nothing is compulsory.
    package static let supported: Features = [.lz4, .streams, .timings, .affinityFacts, .progress]
    /// What a client asks for that says nothing else: not what costs time with every answer.
    package static let usual: Features = [.streams, .affinityFacts, .progress]
}

/// Why a customer or product has no score, or 0: it has one. A reader treats a number that it
/// does not know as "no score".
package enum ScoreStatus: UInt8, Sendable, CaseIterable {
    case ok = 0
    case unknownCustomer = 1
    case tooLittleHistory = 2
    case onlyReturns = 3
    case modelNotFitted = 4
    case notEligible = 5
}
