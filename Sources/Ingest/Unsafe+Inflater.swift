// Why unsafe: zlib's stream holds pointers to what it reads and writes, and its own address. The
// stream is allocated here and freed with the object; the pointers are set anew for each call and
// reach no further than the counts beside them.

import CZlib

/// Unpacks gzip data (RFC 1952), one member after the other, from parts of any size.
final class Inflater {
    enum Outcome {
        /// Unpacked `produced` bytes out of `consumed` packed ones; neither may be all there were.
        case unpacked(consumed: Int, produced: Int)
        /// What is wrong with the packed byte after `consumed` more, or near it.
        case damaged(consumed: Int, what: String)
        case outOfMemory
    }

    private let stream: UnsafeMutablePointer<z_stream>
    /// Whether the last member has ended, so that nothing or another one may follow.
    private(set) var isBetweenMembers = false

    /// Nil where there is no memory.
    init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // The largest window, and gzip's header and trailer rather than zlib's.
        let code = inflateInit2_(
            stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { return nil }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Unpacks as much as there is, or as there is room for.
    func unpack(
        _ packed: UnsafeMutableRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        var consumed = 0
        if isBetweenMembers {
            // Tapes and block devices pad with zeros; anything else must be another member.
            while consumed < packed.count, packed[consumed] == 0 { consumed += 1 }
            guard consumed < packed.count else {
                return .unpacked(consumed: consumed, produced: 0)
            }
            guard packed[consumed] == 0x1F else {
                return .damaged(
                    consumed: consumed, what: "something other than gzip data follows its end")
            }
            guard inflateReset(stream) == Z_OK else { return .outOfMemory }
            isBetweenMembers = false
        }
        // zlib counts with 32 bits.
        let inputCount = min(packed.count - consumed, 1 << 30)
        let outputCount = min(target.count, 1 << 30)
        let input = packed.baseAddress.map { $0 + consumed }
        stream.pointee.next_in = input?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_in = uInt(inputCount)
        stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = uInt(outputCount)
        let code = inflate(stream, Z_NO_FLUSH)
        consumed += inputCount - Int(stream.pointee.avail_in)
        let produced = outputCount - Int(stream.pointee.avail_out)
        switch code {
        case Z_OK, Z_BUF_ERROR:
            return .unpacked(consumed: consumed, produced: produced)
        case Z_STREAM_END:
            isBetweenMembers = true
            return .unpacked(consumed: consumed, produced: produced)
        case Z_MEM_ERROR:
            return .outOfMemory
        default:
            let reason = stream.pointee.msg.map { String(cString: $0) }
            return .damaged(consumed: consumed, what: reason ?? "zlib's error \(code)")
        }
    }
}
