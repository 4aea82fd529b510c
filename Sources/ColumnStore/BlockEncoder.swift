import ByteCoding

/// Encodes the chunks of a file of some version; one a thread.
struct BlockEncoder: ~Copyable {
    let version: SegmentVersion
    private var first = ChunkEncoder()
    private var second = LaneEncoder()

    init(version: SegmentVersion) { self.version = version }

    /// Encodes numbers given as bit patterns, at least one.
    mutating func encode<W: LanePattern>(
        _ values: [W], isInteger: Bool, isHot: Bool
    ) -> (encoding: Encoding, payload: ByteWriter) {
        switch version {
        case .one: first.encode(values, isInteger: isInteger)
        case .two: second.encode(values, isInteger: isInteger, isHot: isHot)
        }
    }
}
