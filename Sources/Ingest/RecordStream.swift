/// Hands out the records of a source in order, on one thread. Memory holds a window of the source,
/// which grows to the longest record.
struct RecordStream {
    let layout: ColumnLayout
    private let source: ByteSource
    private let limits: RecordLimits
    private let windowByteCount: Int
    private var scanner: RecordScanner
    /// Of everything read so far.
    private(set) var hasher = ContentHasher()

    /// Reads the header, or looks at the first line where there is none.
    /// - Parameter windowByteCount: at least 1; does not change what comes out.
    init(
        _ source: ByteSource, _ format: TextFormat, _ limits: RecordLimits = RecordLimits(),
        windowByteCount: Int
    ) throws(IngestError) {
        self.source = source
        self.limits = limits
        self.windowByteCount = windowByteCount
        (layout, scanner) = try readLayout(source, format, limits)
    }

    /// Hands out all records after the header, each with the bytes that its fields lie in. The last
    /// call.
    /// - Throws: what `body` throws; `damagedGzip`, `system`, and `changedWhileRead`.
    mutating func read(
        _ body: (Span<UInt8>, Record) throws(IngestError) -> Void
    ) throws(IngestError) {
        let longest = limits.lineByteCount + 64
        let window = TextBuffer()
        var record = Record()
        var (start, line) = (scanner.position, scanner.nextLineNumber)
        // The first window has the header too, for the hash.
        var offset = 0
        var wanted = start + windowByteCount
        repeat {
            try fill(window, at: offset, wanted)
            let bytes = window.span
            scanner.move(to: start - offset, lineNumber: line)
            var isWhole: Bool
            repeat {
                let isFound = scanner.next(bytes, &record)
                isWhole = window.reachesEnd || !scanner.touchedEnd
                guard isWhole else { break }
                (start, line) = (offset + scanner.position, scanner.nextLineNumber)
                guard isFound else { break }
                try body(bytes, record)
            } while true
            if isWhole || start > offset {
                (offset, wanted) = (start, windowByteCount)
            } else if wanted < longest {
                wanted = min(4 * wanted, longest)
            } else {
                try body(bytes, tooLong(bytes, line))
                offset = try skipLine(window, at: offset)
                (start, line, wanted) = (offset, line + 1, windowByteCount)
            }
            source.release(before: offset)
        } while !window.reachesEnd || offset < window.offset + window.count
        try source.checkUnchanged()
    }

    private mutating func fill(
        _ window: TextBuffer, at offset: Int, _ wanted: Int
    ) throws(IngestError) {
        let failure = window.fill(source, at: offset, wanted: wanted)
        guard failure == 0 else { throw source.error(failure) }
        let known = min(hasher.byteCount - offset, window.count)
        hasher.add(window.span.extracting(known..<window.count).bytes)
    }

    /// A line of which a window has but the first bytes.
    private func tooLong(_ bytes: Span<UInt8>, _ line: Int) -> Record {
        var record = Record()
        record.lineNumber = line
        record.end = bytes.count
        record.problem = .lineTooLong
        return record
    }

    /// Where the line after the one ends that the window starts with.
    private mutating func skipLine(
        _ window: TextBuffer, at start: Int
    ) throws(IngestError) -> Int {
        var offset = start
        while true {
            if let found = window.firstLineFeed(in: 0..<window.count) { return offset + found + 1 }
            offset += window.count
            if window.reachesEnd { return offset }
            source.release(before: offset)
            try fill(window, at: offset, windowByteCount)
        }
    }
}
