import ByteCoding
import NIOCore
import Synchronization
import Wire

/// An answer that is made in slices, so that others have their turns on the scan threads.
protocol SlicedAnswer: Sendable {
    /// Goes on for a while.
    mutating func work() throws(Refusal) -> CustomerStream.Slice

    /// Of the frame that was made last.
    var mark: SliceMark { get }

    /// Goes back to a frame that is not sent, whose mark is out of date: the next work makes it again,
    /// and all after it.
    mutating func goBack(to mark: SliceMark)
}

extension SlicedAnswer {
    var mark: SliceMark { SliceMark() }
    mutating func goBack(to mark: SliceMark) {}
}

extension CustomerStream: SlicedAnswer {}

/// What a turn on the scan threads has come to.
struct StreamTurn: Sendable {
    /// Whether the connection's socket is to be brought home from it.
    var hasSocket = false
    /// Bytes that it gave to the socket.
    var sentByteCount = 0
    /// A frame that was made and not wholly sent, and how many of its bytes were; else empty.
    var frame: [UInt8] = []
    var frameSentByteCount = 0
    /// Whether the last frame that was made ends the stream.
    var isLast = false
    /// Rows gone past and all rows, where the turn made no frame.
    var progress: (done: Int, total: Int)?
    /// Why it cannot go on.
    var refusal: Refusal?
}

/// A stream on its way between the scan threads, which go on with it one turn at a time.
final class StreamWork: Sendable {
    /// A turn is about so long, and ends earlier where others wait.
    private static let turnLength = TimeAmount.milliseconds(4)
    /// Bytes that the kernel copies at once: in between this thread can leave the processor.
    private static let pieceByteCount = 128 << 10

    private let make: @Sendable () throws(Refusal) -> any SlicedAnswer
    /// Nil before the first slice.
    private let stream = Mutex<(any SlicedAnswer)?>(nil)
    /// What another thread was asked to make while a frame was sent.
    private let ahead = SlicesAhead()
    /// Bytes that it may still send.
    private let credit: Atomic<Int>
    /// What a frame may take: with less credit it waits. Nil where its answer is one frame, for which
    /// no credit is needed.
    private let frameByteCount: Int?

    /// - Parameter make: reads the rule, which may take a while: on a scan thread too.
    init(
        credit: Int?, frameByteCount: Int,
        _ make: @escaping @Sendable () throws(Refusal) -> any SlicedAnswer
    ) {
        self.make = make
        self.credit = Atomic(credit ?? 0)
        self.frameByteCount = credit.map { _ in frameByteCount }
    }

    /// Nil where its answer is one frame.
    var remainingCredit: Int? { frameByteCount.map { _ in credit.load(ordering: .relaxed) } }

    func add(credit bytes: Int) { credit.wrappingAdd(bytes, ordering: .relaxed) }

    /// Whether its credit lasts for another frame.
    var canGoOn: Bool { frameByteCount.map { credit.load(ordering: .relaxed) >= $0 } ?? true }

    /// Goes on for a turn, on a scan thread.
    /// - Parameters:
    ///   - offer: of the socket that frames go to; without one the turn ends with a frame.
    ///   - queue: whose thread this is; while a chunk is sent, an idle one makes the next ones.
    func turn(
        _ offer: SocketOffer?, _ ticket: ScanTicket, deadline: NIODeadline, on queue: ScanQueue
    ) -> StreamTurn {
        let end = NIODeadline.now() + Self.turnLength
        var turn = StreamTurn()
        func mustEnd() -> Bool {
            ticket.isCancelled || queue.length > 0 || NIODeadline.now() >= end
        }
        do throws(Refusal) {
            repeat {
                if ticket.isCancelled { break }
                guard NIODeadline.now() < deadline else {
                    throw Refusal(.deadlinePassed, "the deadline passed before all was sent")
                }
                switch try proceed() {
                case .working(let done, let total): turn.progress = (done, total)
                case .frame(let frame, let isLast):
                    (turn.isLast, turn.progress) = (isLast, nil)
                    credit.wrappingSubtract(frame.count, ordering: .relaxed)
                    // The last one is the event loop's, which knows then that the request's id is free.
                    var sent = 0
                    if let offer, !isLast {
                        makeAhead(ticket, on: queue)
                        if let socket = offer.take() {
                            sent = Self.send(frame, to: socket, mustEnd)
                            turn.sentByteCount += sent
                            turn.hasSocket = sent < frame.count || !offer.putBack()
                        }
                    }
                    if sent < frame.count {
                        (turn.frame, turn.frameSentByteCount) = (frame, sent)
                        return turn
                    }
                }
            } while canGoOn && !turn.hasSocket && !mustEnd()
        } catch {
            turn.refusal = error
        }
        return turn
    }

    private func proceed() throws(Refusal) -> CustomerStream.Slice {
        guard let made = ahead.take() else { return try slice().slice }
        // It may have waited for long.
        let found = try made.get()
        guard case .frame = found.slice, found.mark.isOutdated else { return found.slice }
        ahead.drop()
        stream.withLock { $0?.goBack(to: found.mark) }
        return try slice().slice
    }

    private func slice() throws(Refusal) -> MarkedSlice {
        try stream.withLock { stream throws(Refusal) in
            if stream == nil { stream = try make() }
            let slice = try stream?.work() ?? .working(0, of: 0)
            return MarkedSlice(slice: slice, mark: stream?.mark ?? SliceMark())
        }
    }

    /// Has the next slices made by another thread, if one is idle and the credit lasts for them.
    private func makeAhead(_ ticket: ScanTicket, on queue: ScanQueue) {
        guard let asked = ahead.ask(limit: affordableCount) else { return }
        // Where none is idle nobody claims it.
        _ = queue.submitIfIdle { [self] in
            ahead.make(
                asked, { () throws(Refusal) in try slice() },
                mustEnd: { ticket.isCancelled || queue.length > 0 }, limit: { affordableCount })
        }
    }

    /// Frames that its credit lasts for.
    private var affordableCount: Int {
        frameByteCount.map { credit.load(ordering: .relaxed) / $0 } ?? 1
    }

    /// - Returns: how many bytes the kernel took before the turn had to end.
    private static func send(
        _ frame: [UInt8], to socket: LentSocket, _ mustEnd: () -> Bool
    ) -> Int {
        var sent = 0
        while sent < frame.count {
            let piece = sent..<min(frame.count, sent + pieceByteCount)
            let count = socket.give(frame.span.bytes.extracting(piece))
            sent += count
            if count == 0, socket.isMissed || mustEnd() || !socket.waitForRoom(milliseconds: 2) {
                break
            }
        }
        return sent
    }
}
