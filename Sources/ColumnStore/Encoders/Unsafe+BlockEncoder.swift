// Why unsafe: the memory of an encoder is its own and written by whoever encodes. An encoder is handed to
// another thread, but used by one at a time: `ChunkPress` owns it, one a thread.

import ByteCoding

/// Encodes the chunks of a file of some version; one a thread.
final class BlockEncoder: @unchecked Sendable {
    let version: SegmentVersion
    private var first = ChunkEncoder()
    private var second = LaneEncoder()

    init(version: SegmentVersion) { self.version = version }

    /// Encodes numbers given as bit patterns, at least one.
    func encode<W: LanePattern>(
        _ values: [W], isInteger: Bool, isHot: Bool
    ) -> (encoding: Encoding, payload: ByteWriter) {
        switch version {
        case .one: first.encode(values, isInteger: isInteger)
        case .two: second.encode(values, isInteger: isInteger, isHot: isHot)
        }
    }
}
