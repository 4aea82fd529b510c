/// How the values of a chunk are written; the raw value is what a segment file holds. Grammars
/// are in protocol/STORE.md.
package enum Encoding: UInt8, Sendable, Equatable, CaseIterable {
    /// One value for all rows.
    case constant = 1
    /// Every value (text: every length, then the bytes).
    case raw
    /// A reference plus bit-packed differences from it; int64 only. Version 1.
    case frameOfReference
    /// A first value, then differences from row to row, themselves as frame of reference; int64.
    /// Version 1.
    case delta
    /// Values and how often each repeats. Version 1.
    case runLength
    /// Distinct values and a bit-packed code a row. Version 1.
    case dictionary
    /// A reference plus lane-packed differences from it, outliers aside; int64.
    case packed
    /// Lane-packed differences from row to row that start anew every 1,024 rows; int64.
    case packedDelta
    /// Distinct values and a lane-packed code a row.
    case packedDictionary
    /// Values and the last row of each one's run, lane-packed.
    case runEnds
    /// Lane-packed integers over a power of ten, everything else aside; floats.
    case decimal
    /// One frequent value, a bit a row, and the other values by another encoding.
    case sparse

    /// The first version of segment files that has the encoding.
    package var formatVersion: SegmentVersion {
        rawValue <= Encoding.dictionary.rawValue ? .one : .two
    }

    /// Whether version 2 writes something else instead.
    var isOfVersionOneOnly: Bool {
        switch self {
        case .frameOfReference, .delta, .runLength, .dictionary: true
        default: false
        }
    }

    /// Whether one value is found without decoding others, which a hot column asks for.
    package var isRandomAccess: Bool {
        switch self {
        case .constant, .raw, .packed, .packedDictionary, .runEnds, .decimal, .sparse: true
        case .frameOfReference, .delta, .runLength, .dictionary, .packedDelta: false
        }
    }

    /// Whether the others of a sparse chunk may be written so.
    var isNestable: Bool {
        switch self {
        case .raw, .packed, .packedDictionary, .decimal: true
        default: false
        }
    }
}

/// A version of the segment file format; the raw value is what a file holds.
package enum SegmentVersion: UInt32, Sendable, Comparable, CaseIterable {
    case one = 1
    /// Lane-packed encodings, zones, hot columns.
    case two

    package static let latest = SegmentVersion.two

    package static func < (a: SegmentVersion, b: SegmentVersion) -> Bool {
        a.rawValue < b.rawValue
    }
}
