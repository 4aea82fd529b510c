/// The bounds that every count, length and depth read from a file is held against before any
/// memory is allocated for it. Writers refuse to pass them too.
package enum Limits {
    /// Rows a block; every block of a segment file but the last has exactly this many.
    package static let blockRowCount = 16_384
    /// Rows a vector, which is decoded and has a zone of its own.
    package static let vectorRowCount = 1_024
    /// Rows a segment file.
    package static let segmentRowCount = 1 << 40
    /// Columns a segment file.
    package static let columnCount = 4_096
    /// Bytes of one column chunk before LZ4.
    package static let chunkByteCount = 1 << 30
    /// Bytes of one text.
    package static let textByteCount = 16 << 20
    /// Bytes of a name (column, array, field, kind) and of a unit.
    package static let nameByteCount = 255
    /// Bytes of a segment file's footer.
    package static let footerByteCount = 1 << 30
    /// Arrays an array file.
    package static let arrayCount = 4_096
    /// Dimensions an array.
    package static let dimensionCount = 4
    /// Bytes of an array file's card.
    package static let cardByteCount = 256 << 20
    /// Rows of an id index: row numbers are 32 bits and all ones means absent.
    package static let indexRowCount = Int(UInt32.max) - 1
    /// Bytes of all text ids of an index: an offset has 39 bits and all ones means an empty slot.
    package static let indexByteCount = 1 << 39 - 2
    /// Fields of a row strip.
    package static let stripFieldCount = 1_024
    /// Bytes of the body of a log's record.
    package static let logBodyByteCount = 64 << 20
    /// Lines of a log's record.
    package static let logRowCount = 1 << 20
    /// Bytes of a log file: the size at which the next one is begun, and a record.
    package static let logFileByteCount = 1 << 30
    /// Records and files of a log.
    package static let logSequence = 1 << 53
    /// Bytes of a manifest.
    package static let manifestByteCount = 256 << 20
    /// The most that LZ4 can grow one stored byte to (255 for a length byte, rounded up).
    package static let expansion = 256
}
