import ByteCoding
import Wire

/// A plain writer and reader of LZ4 blocks (lz4_Block_format.md): the vectors must not depend on the
/// release of a library.
enum SimpleLZ4 {
    /// Greedy: the latest place with the same four bytes.
    static func compress(_ bytes: [UInt8]) -> [UInt8] {
        var block: [UInt8] = []
        var seen: [[UInt8]: Int] = [:]
        var (start, at) = (0, 0)
        // A match begins at least 12 bytes before the end, and ends 5 before it.
        while at + 12 <= bytes.count {
            let key = Array(bytes[at..<at + 4])
            let earlier = seen.updateValue(at, forKey: key)
            guard let earlier, at - earlier <= 65_535 else {
                at += 1
                continue
            }
            var length = 4
            while at + length < bytes.count - 5, bytes[earlier + length] == bytes[at + length] {
                length += 1
            }
            append(bytes[start..<at], (offset: at - earlier, length: length), to: &block)
            at += length
            start = at
        }
        append(bytes[start...], nil, to: &block)
        return block
    }

    private static func append(
        _ literals: ArraySlice<UInt8>, _ match: (offset: Int, length: Int)?,
        to block: inout [UInt8]
    ) {
        let extra = (match?.length ?? 4) - 4
        block.append(UInt8(min(15, literals.count) << 4 | min(15, extra)))
        appendLength(literals.count, to: &block)
        block += literals
        guard let match else { return }
        block += [UInt8(match.offset & 0xFF), UInt8(match.offset >> 8)]
        appendLength(extra, to: &block)
    }

    private static func appendLength(_ length: Int, to block: inout [UInt8]) {
        guard length >= 15 else { return }
        var rest = length - 15
        while rest >= 255 {
            block.append(255)
            rest -= 255
        }
        block.append(UInt8(rest))
    }

    /// The bytes of a block, whatever their number; nil where it is none. The rules for the last
    /// bytes are those of writers: not checked here.
    static func decompress(_ block: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var at = 0
        func length(_ nibble: UInt8) -> Int? {
            var sum = Int(nibble)
            guard nibble == 15 else { return sum }
            while at < block.count {
                let more = block[at]
                at += 1
                sum += Int(more)
                if more < 255 { return sum }
            }
            return nil
        }
        while at < block.count {
            let token = block[at]
            at += 1
            guard let literals = length(token >> 4), at + literals <= block.count else {
                return nil
            }
            bytes += block[at..<at + literals]
            at += literals
            if at == block.count { return bytes }
            guard at + 2 <= block.count else { return nil }
            let offset = Int(block[at]) | Int(block[at + 1]) << 8
            at += 2
            guard let match = length(token & 15), offset > 0, offset <= bytes.count else {
                return nil
            }
            for _ in 0..<match + 4 { bytes.append(bytes[bytes.count - offset]) }
        }
        return nil
    }
}

extension RawFrame {
    /// The frame with its body as a block.
    var compressed: RawFrame {
        var frame = self
        frame.flags |= FrameFlags.lz4.rawValue
        frame.rawLength = UInt32(body.count)
        frame.body = SimpleLZ4.compress(body)
        return frame
    }
}

extension Tolerated {
    /// Bodies that are LZ4 blocks.
    static var compressed: [Tolerated] {
        let ping = Request.ping(PingRequest(token: 5))
        let lookup = Request.lookup(
            LookupRequest(ids: .integers((0..<64).map { 17_850 + $0 }), columns: [.valueTier]))
        let answer = Response.lookup(TableAnswer(stamp: Samples.stamp, table: Samples.manyRows))
        var withMeta = RawFrame(.lookup, response: true, body: body(of: encoded(answer))).compressed
        withMeta.flags |= FrameFlags.meta.rawValue
        withMeta.meta = metaBlock([(6, [3, 0, 0, 0, 40, 0, 0, 0, 5, 0, 0, 0])])
        let chunk = Response.audience(Samples.chunk)
        var more = RawFrame(.audience, response: true, body: body(of: encoded(chunk))).compressed
        more.flags |= FrameFlags.more.rawValue
        var needy = Samples.hello
        needy.requiredFeatures = .lz4
        return [
            Tolerated(
                name: "compressed_literals", about: "a block that is larger than its body",
                bytes: RawFrame(.ping, body: body(of: encoded(ping))).compressed.bytes,
                features: .lz4, request: ping),
            Tolerated(
                name: "compressed_request", about: "64 ids",
                bytes: RawFrame(.lookup, body: body(of: encoded(lookup))).compressed.bytes,
                features: .lz4, request: lookup),
            Tolerated(
                name: "compressed_response", about: "behind a meta block, which is plain",
                bytes: withMeta.bytes, features: .lz4, response: answer),
            Tolerated(
                name: "compressed_chunk", about: "LZ4 and MORE", bytes: more.bytes,
                features: .lz4, response: chunk),
            Tolerated(
                name: "hello_requires_lz4", about: "of a server that compresses",
                bytes: encoded(.hello(needy)), features: .lz4, request: .hello(needy)),
        ]
    }
}

extension ErrorVector {
    /// Compressed bodies that must be refused; each is read with LZ4 agreed on.
    static var compressed: [ErrorVector] {
        let lookup = Request.lookup(
            LookupRequest(ids: .integers((0..<64).map { 17_850 + $0 }), columns: [.valueTier]))
        let right = RawFrame(.lookup, body: body(of: encoded(lookup))).compressed
        func vector(
            _ name: String, _ about: String, _ status: Status = .invalidBlock,
            _ edit: (inout RawFrame) -> Void
        ) -> ErrorVector {
            var frame = right
            edit(&frame)
            return ErrorVector(
                name: name, about: about, features: .lz4, status: status, bytes: frame.bytes)
        }
        let rawLength = right.rawLength ?? 0
        return [
            vector("lz4_truncated", "the block ends a byte early") { $0.body.removeLast() },
            vector("lz4_trailing", "two bytes after the block") { $0.body += [0, 0] },
            vector("lz4_raw_length_short", "rawLength a byte too small") {
                $0.rawLength = rawLength - 1
            },
            vector("lz4_raw_length_long", "rawLength a byte too large") {
                $0.rawLength = rawLength + 1
            },
            vector("lz4_empty", "rawLength 0: an empty body is not compressed") {
                $0.rawLength = 0
                $0.body = [0]
            },
            vector("lz4_no_block", "rawLength 64 and no byte") {
                $0.rawLength = 64
                $0.body = []
            },
            vector(
                "lz4_ratio", "a rawLength that no block of 10 bytes can have: refused before memory"
            ) {
                $0.rawLength = 255 * 10 + 65
                $0.body = [0x1F, 0, 1, 0, 255, 255, 255, 255, 255, 255]
            },
            vector(
                "lz4_raw_length_limit", "rawLength 64 MiB + 1: refused before memory", .overBudget
            ) {
                $0.rawLength = 64 << 20 + 1
            },
            vector("lz4_offset_zero", "a match of distance 0") {
                $0.rawLength = 16
                $0.body = [0x17, 0, 0, 0, 0x40, 1, 2, 3, 4]
            },
            vector("lz4_offset_before", "a match that begins before the body") {
                $0.rawLength = 17
                $0.body = [0x17, 0, 2, 0, 0x50, 1, 2, 3, 4, 5]
            },
            vector(
                "lz4_body_trailing", "a right block of a body with a byte too many", .trailingBytes
            ) {
                var plain = RawFrame(.lookup, body: body(of: encoded(lookup)) + [0])
                plain.requestID = 7
                $0 = plain.compressed
            },
        ]
    }
}
