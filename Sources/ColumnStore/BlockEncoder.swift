import ByteCoding

/// Encodes the chunks of a file of some version.
struct BlockEncoder {
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

extension ColumnStage {
    /// The bounds of each vector as protocol/STORE.md lays them out; nil where there is but one, the
    /// column has none or they would not let a scan skip much.
    func zones(within bounds: ZoneMap.Bounds?) -> ByteWriter? {
        guard isValid.count > Limits.vectorRowCount else { return nil }
        var zones = ByteWriter()
        var widths = 0.0
        var width = 0.0
        switch bounds {
        case .int64(let minimum, let maximum):
            width = Double(maximum) - Double(minimum)
            for rows in vectors {
                var (lower, upper) = (Int64.max, Int64.min)
                for row in rows where isValid[row] {
                    lower = min(lower, Int64(bitPattern: words[row]))
                    upper = max(upper, Int64(bitPattern: words[row]))
                }
                zones.append(lower)
                zones.append(upper)
                if lower <= upper { widths += Double(upper) - Double(lower) }
            }
        case .float64(let minimum, let maximum):
            width = maximum - minimum
            for rows in vectors {
                let (lower, upper) = floatZone(rows)
                if type == .float32 {
                    zones.append(Float(lower))
                    zones.append(Float(upper))
                } else {
                    zones.append(lower)
                    zones.append(upper)
                }
                if lower <= upper { widths += upper - lower }
            }
        case .textPrefix, nil:
            return nil
        }
        let vectorCount = Double(vectors.count)
        guard width > 0, width.isFinite, widths <= width * vectorCount * 3 / 4 else { return nil }
        return zones
    }

    private var vectors: [Range<Int>] {
        stride(from: 0, to: isValid.count, by: Limits.vectorRowCount).map {
            $0..<min(isValid.count, $0 + Limits.vectorRowCount)
        }
    }

    private func floatZone(_ rows: Range<Int>) -> (lower: Double, upper: Double) {
        var zone = (lower: Double.infinity, upper: -Double.infinity)
        for row in rows where isValid[row] {
            let value =
                type == .float32
                ? Double(Float(bitPattern: halves[row])) : Double(bitPattern: words[row])
            if value.isNaN { continue }
            // Equal values differ at most in the sign of zero.
            if value < zone.lower || value == zone.lower && value.sign == .minus {
                zone.lower = value
            }
            if value > zone.upper || value == zone.upper && value.sign == .plus {
                zone.upper = value
            }
        }
        return zone
    }
}
