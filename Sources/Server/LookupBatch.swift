import ByteCoding
import ColumnStore
import NIOCore
import Wire

/// Look-ups of one customer each that the connections of an event loop have sent in this turn of
/// it. They are probed together when all connections are read: on a large snapshot nearly all of a
/// look-up's time is waiting for memory, and so many wait at once.
///
/// Its arrays are kept between turns: in steady state nothing is allocated.
final class LookupBatch {
    /// A look-up that waits.
    private struct Entry {
        let connection: FrameHandler
        let requestID: UInt32
        /// When its bytes were read; uptime in nanoseconds.
        let readAt: UInt64
        let fields: [LookupField]
    }

    /// As many are answered at once at most: their records stay in the first-level cache.
    static let largestCount = 128

    private var entries: [Entry] = []
    private var integers: [Int64] = []
    private var texts = TextArray()
    private var rows: [UInt32] = []

    var isEmpty: Bool { entries.isEmpty }
    var isFull: Bool { entries.count >= Self.largestCount }

    func add(
        _ connection: FrameHandler, requestID: UInt32, _ fields: [LookupField], id: Int64
    ) {
        add(connection, requestID, fields)
        integers.append(id)
    }

    func add(
        _ connection: FrameHandler, requestID: UInt32, _ fields: [LookupField], id: RawSpan
    ) {
        add(connection, requestID, fields)
        texts.append(utf8: id)
    }

    private func add(_ connection: FrameHandler, _ requestID: UInt32, _ fields: [LookupField]) {
        entries.append(
            Entry(
                connection: connection, requestID: requestID, readAt: connection.readAt,
                fields: fields))
    }

    /// Answers all of them; the answers of a connection leave together.
    func answer(from served: ServedSnapshot, into loop: LoopState) {
        if entries.isEmpty { return }
        let customers = served.snapshot.customers
        var rows = self.rows
        self.rows = []
        defer { self.rows = rows }
        rows.removeAll(keepingCapacity: true)
        rows.append(contentsOf: repeatElement(IDIndex.absent, count: entries.count))
        var found = rows.mutableSpan
        if customers.holdsTexts {
            customers.find(texts: texts, rows: &found)
        } else {
            // A reference, no copy: two members cannot be lent at once.
            let wanted = integers
            customers.find(integers: wanted.span, rows: &found)
        }
        let strip = served.snapshot.strip
        for row in rows where row != IDIndex.absent { strip.prefetch(row: Int(row)) }
        var first = 0
        for (position, entry) in entries.enumerated() {
            if entries[first].connection !== entry.connection {
                send(first..<position, loop)
                first = position
            }
            let frame = loop.output.beginFrame(
                rawOpcode: Opcode.lookup.rawValue | Opcode.responseBit,
                requestID: entry.requestID, aux: Status.ok.rawValue)
            loop.output.append(lanes: served.stampBytes)
            LookupAnswer(strip: strip, fields: entry.fields)
                .write(row: rows[position], bodyStart: frame.bodyStart, into: &loop.output)
            loop.output.finishFrame(frame)
        }
        send(first..<entries.count, loop)
        entries.removeAll(keepingCapacity: true)
        integers.removeAll(keepingCapacity: true)
        texts.removeAll()
    }

    /// Sends the answers of one connection.
    private func send(_ range: Range<Int>, _ loop: LoopState) {
        entries[range.lowerBound].connection.sendNow()
        let now = NIODeadline.now().uptimeNanoseconds
        for position in range {
            loop.meters.lookedUp(in: now &- entries[position].readAt)
        }
    }
}
