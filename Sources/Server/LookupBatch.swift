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
    private var waiting = WaitingLookups()
    /// Takes its place while it is answered.
    private var spare: WaitingLookups? = WaitingLookups()

    var isEmpty: Bool { waiting.requestIDs.isEmpty }
    var isFull: Bool { waiting.isFull }

    func add(
        _ connection: FrameHandler, requestID: UInt32, _ template: LookupTemplate, id: Int64
    ) {
        waiting.add(connection, requestID, template)
        waiting.integers.append(id)
    }

    func add(
        _ connection: FrameHandler, requestID: UInt32, _ template: LookupTemplate, id: RawSpan
    ) {
        waiting.add(connection, requestID, template)
        waiting.texts.append(utf8: id)
    }

    /// Answers all of them; the answers of a connection leave together.
    func answer(from served: ServedSnapshot, into loop: LoopState) {
        if waiting.requestIDs.isEmpty { return }
        var lookups = spare.take() ?? WaitingLookups()
        swap(&lookups, &waiting)
        lookups.probe(served.snapshot.customers, loop.overlay)
        if let shadow = loop.shadow { lookups.note(shadow) }
        let byteCount = lookups.write(from: served.snapshot.strip, loop.overlay.records)
        loop.counters.lookups += lookups.requestIDs.count
        loop.counters.lookupIDs += lookups.requestIDs.count
        // References, no copies.
        let (runs, output) = (lookups.runs, lookups.output)
        var start = 0
        let frames = output.span.bytes.extracting(0..<byteCount)
        var position = 0
        while position < runs.count {
            // A connection whose bytes came in several reads has several runs.
            let connection = runs[position].connection
            var next = position
            var end = start
            while next < runs.count, runs[next].connection === connection {
                end += runs[next].count * runs[next].template.frameByteCount
                next += 1
            }
            connection.deliver(frames.extracting(start..<end))
            let now = NIODeadline.now().uptimeNanoseconds
            for run in runs[position..<next] {
                loop.meters.lookedUp(run.count, in: now &- run.readAt)
            }
            (position, start) = (next, end)
        }
        lookups.removeAll()
        spare = lookups
    }
}

/// What a batch holds, in the order of arrival.
private struct WaitingLookups {
    /// Look-ups of one read of one connection that ask for the same columns.
    struct Run {
        let connection: FrameHandler
        let template: LookupTemplate
        /// When its bytes were read; uptime in nanoseconds.
        let readAt: UInt64
        var count: Int
    }

    /// As many are answered at once at most: their records stay in the first-level cache.
    private static let largestCount = 128
    /// About as many bytes of answers are written before they are sent.
    private static let largestByteCount = 256 << 10

    var runs: [Run] = []
    var requestIDs: [UInt32] = []
    var integers: [Int64] = []
    var texts = TextArray()
    var output: [UInt8] = []
    private var rows: [UInt32] = []
    private var byteCount = 0

    var isFull: Bool {
        requestIDs.count >= Self.largestCount || byteCount >= Self.largestByteCount
    }

    mutating func add(
        _ connection: FrameHandler, _ requestID: UInt32, _ template: LookupTemplate
    ) {
        let last = runs.count - 1
        if last >= 0, runs[last].connection === connection, runs[last].template === template,
            runs[last].readAt == connection.readAt
        {
            runs[last].count += 1
        } else {
            runs.append(
                Run(
                    connection: connection, template: template, readAt: connection.readAt,
                    count: 1))
        }
        byteCount += template.frameByteCount
        requestIDs.append(requestID)
    }

    /// Finds the rows of all, and the records that stand in for them.
    mutating func probe(_ customers: IDIndex, _ overlay: LiveOverlay) {
        rows.removeAll(keepingCapacity: true)
        rows.append(contentsOf: repeatElement(IDIndex.absent, count: requestIDs.count))
        // References, no copies: two members cannot be lent at once.
        let (integers, texts) = (integers, texts)
        var found = rows.mutableSpan
        if customers.holdsTexts {
            customers.find(texts: texts, rows: &found)
            if !overlay.isEmpty { overlay.redirect(&rows, of: texts) }
        } else {
            customers.find(integers: integers.span, rows: &found)
            if !overlay.isEmpty { overlay.redirect(&rows, of: integers) }
        }
    }

    /// Has a share of them compared later.
    func note(_ shadow: ShadowSampler) {
        let holdsTexts = integers.isEmpty
        shadow.note(rows) { holdsTexts ? .text(texts[$0]) : .integer(integers[$0]) }
    }

    /// Writes the answers of all into the output, and returns how many bytes they take.
    /// - Parameter others: what rows from `RowRecords.firstRow` on are.
    mutating func write(from strip: RowStrip, _ others: RowRecords?) -> Int {
        strip.prefetch(rows: rows.span)
        if output.count < byteCount {
            output.append(contentsOf: repeatElement(0, count: byteCount - output.count))
        }
        let (runs, rows, requestIDs) = (runs, rows, requestIDs)
        let live = others?.words ?? []
        var bytes = output.mutableSpan
        var frames = bytes.mutableBytes
        return strip.withRecords { records in
            var (start, position) = (0, 0)
            for run in runs {
                for _ in 0..<run.count {
                    let row = rows[position]
                    let id = requestIDs[position]
                    if row < RowRecords.firstRow || row == IDIndex.absent {
                        run.template.fill(
                            &frames, at: start, requestID: id, records,
                            record: row == IDIndex.absent ? nil : Int(row) * strip.wordsPerRow)
                    } else {
                        run.template.fill(
                            &frames, at: start, requestID: id, live.span,
                            record: RowRecords.place(row) * strip.wordsPerRow)
                    }
                    start += run.template.frameByteCount
                    position += 1
                }
            }
            return start
        }
    }

    mutating func removeAll() {
        runs.removeAll(keepingCapacity: true)
        requestIDs.removeAll(keepingCapacity: true)
        integers.removeAll(keepingCapacity: true)
        texts.removeAll()
        byteCount = 0
    }
}
