/// Bounds on everything that a peer can ask this side to hold. All are checked before memory is
/// taken. The defaults are those of protocol/WIRE.md, "Limits".
package struct WireLimits: Sendable, Equatable {
    /// Largest `length` field, in bytes, before HELLO has succeeded.
    package static let frameBytesBeforeHello = 4_096
    /// Largest `length` field that any peer may announce, in bytes.
    package static let largestFrameBytes = 64 << 20
    /// Bytes of one text: a name, a hint, a text id.
    package static let textBytes = 4_096
    /// Bytes of one text id of a customer or product.
    package static let idBytes = 1_024
    /// Bytes of the meta items of one frame, without their count.
    package static let metaBytes = 4_096
    /// Meta items of one frame.
    package static let metaItems = 32
    /// Bytes of the label of a snapshot.
    package static let labelBytes = 64
    /// Models named in one snapshot stamp.
    package static let models = 64
    /// Categories that one OFFER_PRODUCTS may name.
    package static let categories = 1_024
    /// Products that one OFFER_PRODUCTS may say were bought since.
    package static let boughtSince = 1_024
    /// Bytes of the text of a rule.
    package static let ruleBytes = 65_536
    /// The least credit that a stream begins with, in bytes; no frame of a chunk is larger.
    package static let smallestCredit = 256 << 10
    /// Credit that the streams of one connection may have together, in bytes.
    package static let connectionCredit = 16 << 20
    /// Sizes of bodies that are worth compressing, in bytes: less gains nothing that is noticed.
    package static let compressedSizes = 4_096...largestFrameBytes
    /// The same on a thread that must not be held up: the largest takes about half a millisecond.
    package static let quicklyCompressedSizes = 4_096...256 << 10
    /// Bytes that a byte of an LZ4 block can become at most.
    static let largestLZ4Ratio = 255
    /// What that does not count: a rawLength above `255 x block + 64` is refused unseen.
    static let lz4Slack = 64
    /// Bytes of a HELLO's credential.
    package static let credentialBytes = 1_024

    /// Largest `length` field this side accepts after HELLO, in bytes. 4,096 … 64 MiB.
    package var frameBytes = 16 << 20
    /// Ids of one LOOKUP.
    package var lookupIDs = 65_536
    /// Columns of one request or table.
    package var columns = 1_024
    /// Lines of one APPEND.
    package var appendLines = 65_536
    /// Rows of one table.
    package var rows = 1 << 20
    /// Results that one request for products or customers may ask for.
    package var topCount = 10_000
    /// Bytes that decoding one body may allocate.
    package var decodedBytes = 64 << 20
    /// The largest rawLength of a compressed body, in bytes: what is refused plain is refused
    /// compressed too.
    package var rawBytes: Int { min(decodedBytes, frameBytes) }

    package static let standard = WireLimits()

    package init() {}
}

/// What one body may still allocate. Every count is charged here before its array exists.
struct ByteBudget {
    private(set) var remaining: Int

    init(_ byteCount: Int) { remaining = byteCount }

    mutating func charge(
        _ count: Int, times stride: Int, field: WireField, at offset: Int
    ) throws(WireError) {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: stride)
        guard !overflow, byteCount <= remaining else {
            throw .overBudget(
                field: field, actual: overflow ? .max : byteCount, limit: remaining,
                byteOffset: offset)
        }
        remaining -= byteCount
    }
}
