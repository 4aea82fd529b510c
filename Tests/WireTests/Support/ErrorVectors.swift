import ByteCoding
import Wire

/// Bytes that must be refused, and with which status: at least one a way a decoder can fail.
struct ErrorVector: Sendable {
    var name: String
    var about: String
    var asServer = true
    var maximumLength = 16 << 20
    /// What HELLO has agreed on, or of a HELLO what the server can do beyond the first release.
    var features: Features = []
    var status: Status
    var bytes: [UInt8]
}

extension ErrorVector {
    static var all: [ErrorVector] {
        frames + metas + requests + tables + streams + appends + administration + critical
            + compressed + scores + erasures
    }

    private static func change(_ frame: RawFrame, _ edit: (inout RawFrame) -> Void) -> [UInt8] {
        var copy = frame
        edit(&copy)
        return copy.bytes
    }

    private static let ping = RawFrame(.ping, body: [1, 0, 0, 0, 0, 0, 0, 0])

    private static var frames: [ErrorVector] {
        [
            .init(
                name: "bad_magic_http", about: "an HTTP request on the binary port",
                status: .badMagic, bytes: Array("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".utf8)),
            .init(
                name: "bad_magic", about: "magic is 50 D7 instead of D7 50", status: .badMagic,
                bytes: change(ping) { $0.magic = 0xD750 }),
            .init(
                name: "header_checksum", about: "headerCRC is 0",
                status: .headerChecksumMismatch, bytes: change(ping) { $0.headerCRC = 0 }),
            .init(
                name: "unsupported_version", about: "version byte 2", status: .unsupportedVersion,
                bytes: change(ping) { $0.version = 2 }),
            .init(
                name: "header_too_small", about: "headerWords 7", status: .badHeaderSize,
                bytes: change(ping) { $0.headerWords = 7 }),
            .init(
                name: "header_past_frame", about: "a header of 44 bytes in a frame of 40",
                status: .badHeaderSize, bytes: change(ping) { $0.headerWords = 11 }),
            .init(
                name: "length_too_small", about: "length 27", status: .frameTooSmall,
                bytes: change(ping) { $0.length = 27 }),
            .init(
                name: "length_too_large", about: "length 16 MiB + 1; refused from the header",
                status: .frameTooLarge, bytes: change(ping) { $0.length = 16 << 20 + 1 }),
            .init(
                name: "length_before_hello", about: "length 4,097 before HELLO has succeeded",
                maximumLength: 4_096, status: .frameTooLarge,
                bytes: change(ping) { $0.length = 4_097 }),
            .init(
                name: "body_checksum", about: "bodyCRC is 0", status: .bodyChecksumMismatch,
                bytes: change(ping) { $0.bodyCRC = 0 }),
            .init(
                name: "unexpected_end", about: "the connection ends 3 bytes before the frame does",
                status: .unexpectedEnd, bytes: Array(ping.bytes.dropLast(3))),
            .init(
                name: "answer_to_server", about: "a client sends an answer",
                status: .wrongDirection,
                bytes: RawFrame(.ping, response: true, body: ping.body).bytes),
            .init(
                name: "goaway_to_server", about: "a client sends GOAWAY", status: .wrongDirection,
                bytes: RawFrame(.goAway, body: Array(repeating: 0, count: 32)).bytes),
            .init(
                name: "request_to_client", about: "a server sends a request", asServer: false,
                status: .wrongDirection, bytes: ping.bytes),
            .init(
                name: "unknown_opcode", about: "opcode 0x7ABC", status: .unsupportedOperation,
                bytes: change(ping) { $0.opcode = 0x7ABC }),
            .init(
                name: "unknown_critical_flag", about: "flag bit 3", status: .unsupportedFlag,
                bytes: change(ping) { $0.flags = 1 << 3 }),
            .init(
                name: "more_flag", about: "MORE on an operation that has one frame",
                status: .unsupportedFlag,
                bytes: change(ping) { $0.flags = FrameFlags.more.rawValue }),
            .init(
                name: "lz4_not_negotiated", about: "LZ4 without the feature",
                status: .compressionNotNegotiated,
                bytes: change(ping) { $0.flags = FrameFlags.lz4.rawValue }),
            .init(
                name: "raw_length", about: "rawLength 9 of a plain body of 8 bytes",
                status: .rawLengthMismatch, bytes: change(ping) { $0.rawLength = 9 }),
        ]
    }

    private static var metas: [ErrorVector] {
        func meta(_ block: [UInt8]) -> [UInt8] {
            change(ping) {
                $0.meta = block
                $0.flags = FrameFlags.meta.rawValue
            }
        }
        return [
            .init(
                name: "meta_past_frame", about: "the meta block claims 100 bytes",
                status: .invalidMeta, bytes: meta([100, 0, 0, 0, 3, 0, 1, 0, 1])),
            .init(
                name: "meta_item_past_block", about: "an item claims 2 bytes, 1 is left",
                status: .invalidMeta, bytes: meta([5, 0, 0, 0, 3, 0, 2, 0, 1])),
            .init(
                name: "meta_value_size", about: "a priority of 2 bytes", status: .invalidMeta,
                bytes: meta(metaBlock([(3, [1, 0])]))),
            .init(
                name: "meta_twice", about: "an unknown optional tag twice", status: .invalidMeta,
                bytes: meta(metaBlock([(0x7F00, []), (0x7F00, [])]))),
            .init(
                name: "meta_too_many", about: "33 items", status: .invalidMeta,
                bytes: meta(metaBlock((0..<33).map { (0x7F00 + UInt16($0), []) }))),
            .init(
                name: "meta_warning_text", about: "a warning that is not UTF-8",
                status: .invalidMeta, bytes: meta(metaBlock([(4, [0xFF])]))),
            .init(
                name: "unknown_critical_tag", about: "tag 0x8004, model label, is not built yet",
                status: .unsupportedTag, bytes: meta(metaBlock([(0x8004, [0x61])]))),
        ]
    }

    static func edited(_ request: Request, _ edit: (inout [UInt8]) -> Void) -> [UInt8] {
        var message = body(of: encoded(request))
        edit(&message)
        return RawFrame(request.opcode, body: message).bytes
    }

    private static var requests: [ErrorVector] {
        let lookup = Request.lookup(LookupRequest(ids: .integers([1, 2]), columns: [.valueTier]))
        let text = Request.lookup(LookupRequest(ids: .texts(TextArray(["ab", "cd"]))))
        let top = Request.topProducts(
            TopRequest(id: .integer(1), count: 10, excludesPurchased: false))
        let offer = Request.offerProducts(Samples.offerProducts)
        let offerCustomers = Request.offerCustomers(Samples.offerCustomers)
        let similar = Request.similar(
            SimilarRequest(subject: .product, id: .integer(1), count: 2))
        let segments = Request.segments(SegmentsRequest(segmentation: "ab"))
        var hello = Samples.hello
        hello.optionalFeatures = []
        var needy = hello
        needy.requiredFeatures = .lz4
        var future = hello
        future.minimumVersion = 2
        future.maximumVersion = 3
        let helloBytes = body(of: encoded(.ping(PingRequest(token: 0))))
        var plainHello = ByteWriter()
        hello.encode(into: &plainHello)
        var credential = plainHello.bytes
        credential[24] = 2
        return [
            .init(
                name: "ping_truncated", about: "7 bytes of 8", status: .truncatedBody,
                bytes: RawFrame(.ping, body: Array(helloBytes.dropLast())).bytes),
            .init(
                name: "ping_trailing", about: "9 bytes", status: .trailingBytes,
                bytes: RawFrame(.ping, body: helloBytes + [0]).bytes),
            .init(
                name: "describe_trailing", about: "a body where none belongs",
                status: .trailingBytes, bytes: RawFrame(.describe, body: [0]).bytes),
            .init(
                name: "lookup_truncated", about: "2 ids promised, 15 bytes there",
                status: .truncatedBody, bytes: edited(lookup) { $0.removeLast() }),
            .init(
                name: "lookup_no_ids", about: "idCount 0", status: .valueOutOfRange,
                bytes: edited(lookup) { $0[4] = 0 }),
            .init(
                name: "lookup_too_many_ids", about: "idCount 65,537: refused before its bytes",
                status: .tooManyItems,
                bytes: edited(lookup) { $0.replaceSubrange(4..<8, with: [1, 0, 1, 0]) }),
            .init(
                name: "lookup_too_many_columns", about: "columnCount 1,025",
                status: .tooManyItems,
                bytes: edited(lookup) { $0.replaceSubrange(2..<4, with: [1, 4]) }),
            .init(
                name: "lookup_id_kind", about: "idKind 3", status: .valueOutOfRange,
                bytes: edited(lookup) { $0[0] = 3 }),
            .init(
                name: "lookup_options", about: "an unassigned option", status: .nonzeroReserved,
                bytes: edited(lookup) { $0[1] = 2 }),
            .init(
                name: "lookup_padding", about: "padding after the columns is not zero",
                status: .nonzeroReserved, bytes: edited(lookup) { $0[15] = 1 }),
            .init(
                name: "lookup_duplicate_column", about: "column 22 twice",
                status: .duplicateColumn,
                bytes: edited(lookup) {
                    $0[2] = 2
                    $0[10] = 22
                }),
            .init(
                name: "lookup_text_offsets", about: "text offsets decrease",
                status: .invalidOffsets, bytes: edited(text) { $0[12] = 5 }),
            .init(
                name: "lookup_text_utf8", about: "a text id of FF", status: .invalidText,
                bytes: edited(text) { $0[20] = 0xFF }),
            .init(
                name: "lookup_text_split", about: "an id that ends inside a character",
                status: .invalidText,
                bytes: edited(text) { $0.replaceSubrange(20..<24, with: [0x61, 0xC3, 0xA9, 0x61]) }),
            .init(
                name: "offer_options", about: "bought things left out and alone wanted",
                status: .valueOutOfRange, bytes: edited(offer) { $0[1] = 3 }),
            .init(
                name: "offer_unknown_option", about: "option bit 3", status: .nonzeroReserved,
                bytes: edited(offer) { $0[1] = 8 }),
            .init(
                name: "offer_kind", about: "offer 3", status: .valueOutOfRange,
                bytes: edited(offer) { $0[2] = 3 }),
            .init(
                name: "offer_rank", about: "rank 2", status: .valueOutOfRange,
                bytes: edited(offer) { $0[3] = 2 }),
            .init(
                name: "offer_price", about: "a lowest price below 0", status: .valueOutOfRange,
                bytes: edited(offer) { $0[15] = 0x80 }),
            .init(
                name: "offer_price_band", about: "the highest price below the lowest",
                status: .valueOutOfRange,
                bytes: edited(offer) {
                    $0.replaceSubrange(16..<24, with: [1, 0, 0, 0, 0, 0, 0, 0])
                }
            ),
            .init(
                name: "offer_highest_price", about: "a highest price below 0, and no lowest",
                status: .valueOutOfRange,
                bytes: edited(offer) {
                    $0.replaceSubrange(
                        8..<24,
                        with: [UInt8](repeating: 0, count: 8) + [UInt8](repeating: 0xFF, count: 8))
                }
            ),
            .init(
                name: "offer_ratio", about: "a ratio of 100", status: .valueOutOfRange,
                bytes: edited(offer) { $0.replaceSubrange(24..<26, with: [100, 0]) }),
            .init(
                name: "offer_categories", about: "1,025 categories", status: .tooManyItems,
                bytes: edited(offer) { $0.replaceSubrange(26..<28, with: [1, 4]) }),
            .init(
                name: "offer_bought_since", about: "1,025 products bought since",
                status: .tooManyItems,
                bytes: edited(offer) { $0.replaceSubrange(28..<30, with: [1, 4]) }),
            .init(
                name: "offer_bought_end", about: "a product bought since more than there is",
                status: .truncatedBody, bytes: edited(offer) { $0[28] = 2 }),
            .init(
                name: "offer_customers_option", about: "option bit 2", status: .nonzeroReserved,
                bytes: edited(offerCustomers) { $0[1] = 4 }),
            .init(
                name: "offer_customers_rank", about: "rank 2", status: .valueOutOfRange,
                bytes: edited(offerCustomers) { $0[2] = 2 }),
            .init(
                name: "similar_subject", about: "subject 0", status: .valueOutOfRange,
                bytes: edited(similar) { $0[1] = 0 }),
            .init(
                name: "similar_count", about: "count 0", status: .valueOutOfRange,
                bytes: edited(similar) { $0[4] = 0 }),
            .init(
                name: "top_count", about: "count 0", status: .valueOutOfRange,
                bytes: edited(top) { $0[4] = 0 }),
            .init(
                name: "top_count_large", about: "count 10,001", status: .tooManyItems,
                bytes: edited(top) { $0.replaceSubrange(4..<6, with: [0x11, 0x27]) }),
            .init(
                name: "top_reserved", about: "reserved bytes are not zero",
                status: .nonzeroReserved, bytes: edited(top) { $0[2] = 1 }),
            .init(
                name: "segments_utf8", about: "a name that is not UTF-8", status: .invalidText,
                bytes: edited(segments) { $0[4] = 0xC3 }),
            .init(
                name: "hello_required_feature", about: "requires LZ4, which is not built",
                status: .unsupportedFeature, bytes: encoded(.hello(needy))),
            .init(
                name: "hello_versions", about: "speaks versions 2 to 3",
                status: .unsupportedVersion, bytes: encoded(.hello(future))),
            .init(
                name: "hello_version_range", about: "minimumVersion 0", status: .valueOutOfRange,
                bytes: RawFrame(.hello, body: [0] + plainHello.bytes.dropFirst()).bytes),
            .init(
                name: "hello_frame_bytes", about: "maximumFrameBytes 0",
                status: .valueOutOfRange,
                bytes: RawFrame(
                    .hello, body: plainHello.bytes[..<4] + [0, 0, 0, 0] + plainHello.bytes[8...]
                ).bytes),
            .init(
                name: "hello_credential_kind", about: "credentialKind 2",
                status: .valueOutOfRange, bytes: RawFrame(.hello, body: credential).bytes),
        ]
    }
}
