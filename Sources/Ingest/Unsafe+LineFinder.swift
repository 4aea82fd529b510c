// Why unsafe: the inner loop of an ingest. Positions are those that `scanText` wrote, all of which lie
// inside the piece; `TextBuffer` has 64 bytes behind the last one, so that one past a position can be
// looked at. Memory is allocated here for the greatest counts and freed with the object.

import Numerical

/// Where the fields of some lines are, `stride` positions a line.
struct LineFields {
    /// By field, where it starts, less one.
    let starts: UnsafePointer<UInt32>
    /// By field, where it ends.
    let ends: UnsafePointer<UInt32>
    let stride: Int
    let count: Int
}

/// Finds the lines of a piece that have as many fields as they should, each plain or quoted whole, by
/// the positions of separators, quotes and line feeds.
///
/// Plain lines between plain lines are not touched one by one: their fields lie between consecutive
/// positions. Lines with whole quoted fields or a carriage return at their end are copied.
final class LineFinder {
    private let kernels = KernelTable.current
    private let fieldCount: Int
    private let separator: UInt8
    private let lineLimit: Int
    /// Positions that are known before a line is looked at, unless the piece has no more.
    private let lookAhead: Int

    private var bytes: TextBuffer
    private var base: UnsafePointer<UInt8>
    private var blockCount = 0
    /// Where the next line starts.
    private(set) var position = 0
    /// Blocks of which the positions are known, and up to which byte all are ASCII without NUL.
    private var scannedBlocks = 0
    private var plainEnd = 0
    /// Positions not yet used: `cursor ..< filled`; the one before is the last line's end.
    private var cursor = 1
    private var filled = 1
    private let positions: UnsafeMutablePointer<UInt32>
    private let positionCount: Int

    /// The lines found last.
    private var found = 0
    private var isCopied = false
    /// Of copied lines, `[line × fieldCount]` and by line.
    private let starts: UnsafeMutablePointer<UInt32>
    private let ends: UnsafeMutablePointer<UInt32>
    private let lineStarts: UnsafeMutablePointer<UInt32>
    private let lineCursors: UnsafeMutablePointer<UInt32>
    /// By block of the piece: not 0 where it has a NUL byte or one that is not ASCII.
    private var flags = UnsafeMutablePointer<UInt8>.allocate(capacity: 0)
    private var flagCapacity = 0

    /// Bytes whose positions are kept at a time: they, their positions and what is read of them fit
    /// into the first-level cache.
    private static let scanByteCount = 1 << 14
    /// Most lines at a time.
    static let lineCount = 512
    /// Most copied lines at a time.
    private static let copiedCount = 64

    init(fieldCount: Int, separator: UInt8, lineLimit: Int) {
        self.fieldCount = fieldCount
        self.separator = separator
        self.lineLimit = lineLimit
        lookAhead = 2 * fieldCount + 64
        bytes = TextBuffer()
        base = UnsafePointer(bytes.base)
        positionCount = 2 + lookAhead + Self.scanByteCount + KernelTable.textScanSlack
        positions = .allocate(capacity: positionCount)
        positions.initialize(repeating: 0, count: positionCount)
        starts = .allocate(capacity: Self.copiedCount * fieldCount)
        ends = .allocate(capacity: Self.copiedCount * fieldCount)
        lineStarts = .allocate(capacity: Self.copiedCount + 1)
        lineCursors = .allocate(capacity: Self.copiedCount + 1)
    }

    deinit {
        positions.deallocate()
        starts.deallocate()
        ends.deallocate()
        lineStarts.deallocate()
        lineCursors.deallocate()
        flags.deallocate()
    }

    /// Begins with a line that starts at `position`.
    func begin(_ buffer: TextBuffer, at position: Int) {
        bytes = buffer
        base = UnsafePointer(buffer.base)
        blockCount = (buffer.count + 63) / 64
        if blockCount > flagCapacity {
            flags.deallocate()
            flags = .allocate(capacity: blockCount)
            flagCapacity = blockCount
        }
        self.position = position
        scannedBlocks = position / 64
        plainEnd = 64 * scannedBlocks
        (cursor, filled) = (1, 1)
        found = 0
    }

    /// Goes on with a line that starts further on.
    func move(to position: Int) {
        self.position = position
        while cursor < filled, Int(positions[cursor]) < position { cursor += 1 }
        found = 0
    }

    /// Finds up to `limit` lines that start at `position` or after and at or before `last`; none where
    /// the first is not one of those that can be found.
    func find(_ limit: Int, last: Int) -> LineFields {
        while filled - cursor < lookAhead, scannedBlocks < blockCount { refill() }
        positions[cursor - 1] = UInt32(truncatingIfNeeded: position &- 1)
        isCopied = false
        found = findPlain(min(limit, Self.lineCount), last)
        if found > 0 {
            return LineFields(
                starts: UnsafePointer(positions) + (cursor - 1),
                ends: UnsafePointer(positions) + cursor, stride: fieldCount, count: found)
        }
        isCopied = true
        found = copy(min(limit, Self.copiedCount), last)
        return LineFields(
            starts: UnsafePointer(starts), ends: UnsafePointer(ends), stride: fieldCount,
            count: found)
    }

    /// Goes on behind the first `count` lines of those found last.
    func use(_ count: Int) {
        precondition(count <= found)
        guard count > 0 else { return }
        if isCopied {
            position = Int(lineStarts[count])
            cursor = Int(lineCursors[count])
        } else {
            cursor += count * fieldCount
            position = Int(positions[cursor - 1]) + 1
        }
        found = 0
    }

    /// Adds the positions of some more blocks.
    private func refill() {
        let kept = filled - cursor
        for index in 0..<kept { positions[1 + index] = positions[cursor + index] }
        cursor = 1
        let next = min(scannedBlocks + Self.scanByteCount / 64, blockCount)
        let flagged = UnsafeMutableBufferPointer(
            start: flags + scannedBlocks, count: next - scannedBlocks)
        let text = UnsafeBufferPointer(
            start: base + 64 * scannedBlocks, count: 64 * flagged.count)
        let room = UnsafeMutableBufferPointer(
            start: positions + (1 + kept), count: positionCount - 1 - kept)
        var flagSpan = flagged.mutableSpan
        var positionSpan = room.mutableSpan
        filled =
            1 + kept
            + kernels.scanText(
                text.span, separators: (separator, separator), base: 64 * scannedBlocks,
                positions: &positionSpan, flags: &flagSpan)
        var flag: UInt8 = 0
        for value in flagged { flag |= value }
        if flag == 0, plainEnd == 64 * scannedBlocks { plainEnd = 64 * next }
        scannedBlocks = next
        while cursor < filled, Int(positions[cursor]) < position { cursor += 1 }
    }

    /// How many lines from the cursor on are plain.
    private func findPlain(_ limit: Int, _ last: Int) -> Int {
        let (base, separator, plainEnd, lineLimit) = (base, separator, plainEnd, lineLimit)
        let fieldCount = fieldCount
        var ends = UnsafePointer(positions) + cursor
        var lineStart = position
        var count = 0
        let most = min(limit, (filled - cursor) / fieldCount)
        while count < most, lineStart <= last {
            let lineEnd = Int(ends[fieldCount &- 1])
            var difference = base[lineEnd] ^ 0x0A
            for index in 0..<fieldCount &- 1 { difference |= base[Int(ends[index])] ^ separator }
            guard difference == 0, lineEnd > lineStart, base[lineEnd &- 1] != 0x0D,
                lineEnd &- lineStart <= lineLimit,
                lineEnd < plainEnd || isText(lineStart, lineEnd)
            else { break }
            ends += fieldCount
            lineStart = lineEnd &+ 1
            count &+= 1
        }
        return count
    }

    /// Copies lines from the cursor on whose fields may be quoted whole, without quotes or line ends
    /// inside, and which may end with a carriage return; returns how many.
    private func copy(_ limit: Int, _ last: Int) -> Int {
        var count = 0
        var (lineStart, cursor) = (position, cursor)
        lineStarts[0] = UInt32(lineStart)
        lineCursors[0] = UInt32(cursor)
        while count < limit, lineStart <= last,
            let next = copyLine(count * fieldCount, lineStart, cursor)
        {
            (lineStart, cursor) = next
            count += 1
            lineStarts[count] = UInt32(lineStart)
            lineCursors[count] = UInt32(cursor)
        }
        return count
    }

    /// Copies one line; nil where it is another one. Returns where the next one starts.
    @inline(__always)
    private func copyLine(
        _ target: Int, _ lineStart: Int, _ first: Int
    ) -> (start: Int, cursor: Int)? {
        let (base, separator, filled) = (base, separator, filled)
        let (starts, ends) = (starts + target, ends + target)
        var cursor = first
        var start = lineStart
        for index in 0..<fieldCount {
            guard cursor < filled else { return nil }
            let isLast = index == fieldCount &- 1
            var end = Int(positions[cursor])
            if base[start] == 0x22 {
                // The opening quote, then whatever separators, then the closing one.
                cursor += 1
                while cursor < filled, base[Int(positions[cursor])] == separator { cursor += 1 }
                guard cursor &+ 1 < filled else { return nil }
                end = Int(positions[cursor])
                guard base[end] == 0x22 else { return nil }
                starts[index] = UInt32(start)
                ends[index] = UInt32(end)
                end += 1
                cursor += 1
                if isLast, base[end] == 0x0D { end += 1 }
                guard Int(positions[cursor]) == end else { return nil }
            } else {
                while base[end] == 0x22 {
                    cursor += 1
                    guard cursor < filled else { return nil }
                    end = Int(positions[cursor])
                }
                starts[index] = UInt32(truncatingIfNeeded: start &- 1)
                let hasReturn = isLast && end > start && base[end &- 1] == 0x0D
                ends[index] = UInt32(hasReturn ? end &- 1 : end)
            }
            guard base[end] == (isLast ? 0x0A : separator) else { return nil }
            cursor += 1
            start = end + 1
        }
        let lineEnd = start - 1
        // Of a single field, one that is empty is an empty line.
        guard fieldCount > 1 || ends[0] > UInt32(lineStart), lineEnd - lineStart <= lineLimit,
            lineEnd < plainEnd || isText(lineStart, lineEnd)
        else { return nil }
        return (start, cursor)
    }

    /// Whether the bytes of a line are UTF-8 without NUL.
    private func isText(_ start: Int, _ end: Int) -> Bool {
        var flag: UInt8 = 0
        var block = start &>> 6
        while block <= end &>> 6 {
            flag |= flags[block]
            block &+= 1
        }
        if flag == 0 { return true }
        let buffer = bytes
        return firstTextProblem(buffer.span, from: start, to: end) == nil
    }
}
