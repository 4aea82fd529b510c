/// A part of a file that one thread reads: its own bytes, in which records start, and some more in
/// which the last of them may end.
struct FilePiece: Sendable {
    let buffer: TextBuffer
    var result: PieceResult
    /// Where the first record starts, from the buffer's first byte, as far as known.
    var start: Int?
    var offset = 0
    /// Bytes of the buffer that no later piece has.
    var ownCount = 0
    /// Whether `result` is what its records came to.
    var isRead = false
    /// What `ByteSource.read` said, where that is no count; else 0.
    var failure = 0

    mutating func fill(_ source: ByteSource, _ byteCount: Int, tail: Int) {
        failure = buffer.fill(source, at: offset, wanted: byteCount + tail)
        ownCount = min(buffer.count, byteCount)
    }

    /// Reads the records that start after the piece's first byte, up to the byte after its last.
    mutating func read(_ reader: PieceReader, _ pieceByteCount: Int) {
        isRead = false
        guard failure == 0 else { return }
        let guess = buffer.firstLineFeed(in: 0..<ownCount)
        guard let first = start ?? guess.map({ $0 + 1 }), first <= buffer.count else { return }
        reader.read(buffer, from: first, lastStart: pieceByteCount, into: result)
        isRead = true
    }
}

/// The header, or the first whole line, from as much of the file as that needs; the scanner is left
/// before the first data line.
func readLayout(
    _ source: ByteSource, _ format: TextFormat, _ limits: RecordLimits
) throws(IngestError) -> (ColumnLayout, RecordScanner) {
    let buffer = TextBuffer()
    // Without a header, broken lines may come first; a few of the longest are looked through.
    let most = (format.hasHeader ? 1 : 4) * (limits.lineByteCount + 64)
    var wanted = min(64 << 10, most)
    while true {
        let failure = buffer.fill(source, at: 0, wanted: wanted)
        guard failure == 0 else { throw source.error(failure) }
        var scanner = RecordScanner(buffer.span, delimiter: format.delimiter, limits: limits)
        let outcome: Result<ColumnLayout, IngestError>
        var touchedEnd = false
        do throws(IngestError) {
            let layout = try ColumnLayout(
                buffer.span, &scanner, format: format, path: source.path,
                touchedEnd: &touchedEnd)
            outcome = .success(layout)
        } catch {
            outcome = .failure(error)
        }
        if touchedEnd, !buffer.reachesEnd, wanted < most {
            wanted = min(wanted * 8, most)
            continue
        }
        return (try outcome.get(), scanner)
    }
}
