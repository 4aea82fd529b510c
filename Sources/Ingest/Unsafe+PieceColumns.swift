// Why unsafe: a piece's columns are written one value at a time at ten million lines a second, into
// memory that is used again for the next piece: the first touch of fresh memory costs more than the
// parsing. Every write follows `reserveRows` or `reserveText`, which make the room.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The accepted lines of a piece of a file, by column. Kept from piece to piece.
struct PieceColumns: @unchecked Sendable {
    private(set) var capacity = 0
    var count = 0
    /// Integer ids, or where text ids end in `idText`.
    var ids: UnsafeMutablePointer<Int64>
    var times: UnsafeMutablePointer<Int64>
    var amounts: UnsafeMutablePointer<Int64>
    var margins: UnsafeMutablePointer<Int64>
    var quantities: UnsafeMutablePointer<Float>
    /// One column after the other, `capacity` codes each: those of the thread's dictionaries.
    var codes: UnsafeMutablePointer<UInt32>
    var idText: UnsafeMutablePointer<UInt8>
    var idTextCount = 0
    private var idTextCapacity = 0
    private let textColumnCount: Int

    init(textColumnCount: Int) {
        self.textColumnCount = textColumnCount
        ids = .allocate(capacity: 0)
        times = .allocate(capacity: 0)
        amounts = .allocate(capacity: 0)
        margins = .allocate(capacity: 0)
        quantities = .allocate(capacity: 0)
        codes = .allocate(capacity: 0)
        idText = .allocate(capacity: 0)
    }

    func deallocate() {
        ids.deallocate()
        times.deallocate()
        amounts.deallocate()
        margins.deallocate()
        quantities.deallocate()
        codes.deallocate()
        idText.deallocate()
    }

    /// Makes room for more lines.
    @inline(__always)
    mutating func reserveRows(_ more: Int) {
        if count + more > capacity { grow(count + more) }
    }

    /// Makes room for a text id of `byteCount` bytes and eight more.
    @inline(__always)
    mutating func reserveText(_ byteCount: Int) {
        if idTextCount + byteCount + 8 > idTextCapacity {
            let larger = max(idTextCapacity * 2, idTextCount + byteCount + 8, 4_096)
            idText = moved(idText, idTextCount, to: larger)
            idTextCapacity = larger
        }
    }

    /// Ends a line's row with a text id.
    mutating func appendID(_ text: Span<UInt8>) {
        reserveText(text.count)
        for index in 0..<text.count { idText[idTextCount + index] = text[index] }
        idTextCount += text.count
        ids[count] = Int64(idTextCount)
    }

    private mutating func grow(_ wanted: Int) {
        let larger = max(capacity * 2, wanted, 1_024)
        ids = moved(ids, count, to: larger)
        times = moved(times, count, to: larger)
        amounts = moved(amounts, count, to: larger)
        margins = moved(margins, count, to: larger)
        quantities = moved(quantities, count, to: larger)
        let old = codes
        codes = .allocate(capacity: larger * textColumnCount)
        for column in 0..<textColumnCount {
            (codes + column * larger).update(from: old + column * capacity, count: count)
        }
        old.deallocate()
        capacity = larger
    }

    private func moved<Value: BitwiseCopyable>(
        _ old: UnsafeMutablePointer<Value>, _ count: Int, to capacity: Int
    ) -> UnsafeMutablePointer<Value> {
        let larger = UnsafeMutablePointer<Value>.allocate(capacity: capacity)
        larger.update(from: old, count: count)
        old.deallocate()
        return larger
    }
}

/// What a run of a piece's records came to.
final class PieceResult: @unchecked Sendable {
    /// Written by one thread at a time: the one that reads the piece, then one a column, which
    /// puts the batch's codes in the place of the thread's.
    var columns: PieceColumns
    var tally = LineTally()
    var rejects = RejectRows()
    /// Where the first record starts and the one after the last, in the file; equal for none.
    var start = 0
    var end = 0
    /// Physical lines.
    var physicalLineCount = 0
    /// The record at `end` needs more bytes than the piece has.
    var needsMore = false
    /// Which thread's dictionaries the codes belong to, and the codes that are new in them.
    var workerIndex = 0
    var newCodes: [Range<Int>] = []

    init(textColumnCount: Int) {
        columns = PieceColumns(textColumnCount: textColumnCount)
    }

    deinit { columns.deallocate() }

    func reset(start: Int) {
        columns.count = 0
        columns.idTextCount = 0
        tally = LineTally()
        rejects.removeAll()
        self.start = start
        end = start
        physicalLineCount = 0
        needsMore = false
    }
}

/// Bytes of a file from `offset` on, with 64 blanks behind the last so that words and blocks can be
/// read whole. Its memory is kept for the next bytes.
final class TextBuffer: @unchecked Sendable {
    private(set) var base = UnsafeMutablePointer<UInt8>.allocate(capacity: 0)
    private var capacity = 0
    private(set) var offset = 0
    private(set) var count = 0
    /// Whether the file ends with the last byte.
    private(set) var reachesEnd = false

    deinit { base.deallocate() }

    var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = UnsafeBufferPointer(start: base, count: count).span
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Where the first line feed is among some of the bytes.
    func firstLineFeed(in range: Range<Int>) -> Int? {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        guard let found = memchr(base + range.lowerBound, 0x0A, range.count) else { return nil }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }

    /// Reads up to `wanted` bytes. Returns 0, or the source's negative number.
    func fill(_ source: ByteSource, at offset: Int, wanted: Int) -> Int {
        let room = (wanted + 191) & ~63
        if room > capacity {
            base.deallocate()
            base = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 4_096)
                .assumingMemoryBound(to: UInt8.self)
            capacity = room
        }
        let received = source.read(
            at: offset, into: UnsafeMutableRawBufferPointer(start: base, count: wanted))
        self.offset = offset
        count = max(received, 0)
        reachesEnd = count < wanted
        (base + count).update(repeating: 0x20, count: 64 + (64 - count % 64) % 64)
        return min(received, 0)
    }
}
