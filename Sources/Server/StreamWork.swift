import ByteCoding
import NIOCore
import Synchronization
import Wire

/// An answer that is made in slices, so that others have their turns on the scan threads.
protocol SlicedAnswer: Sendable {
    /// Goes on for a while.
    mutating func work() throws(Refusal) -> CustomerStream.Slice

    /// Takes the frame back that was made last and is not sent, where it has customers who were erased
    /// meanwhile: the next work makes it again.
    /// - Returns: whether it did.
    mutating func takeBack() -> Bool
}

extension SlicedAnswer {
    mutating func takeBack() -> Bool { false }
}

extension CustomerStream: SlicedAnswer {}

/// What a turn on the scan threads has come to.
struct StreamTurn: Sendable {
    /// Whether it had the connection's socket.
    var hadSocket = false
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
    private let state = Mutex(State())
    /// Bytes that it may still send.
    private let credit: Atomic<Int>
    /// What a frame may take: with less credit it waits. Nil where its answer is one frame, for which
    /// no credit is needed.
    private let frameByteCount: Int?

    private struct State {
        /// Nil before the first slice.
        var stream: (any SlicedAnswer)?
        /// A slice that another thread has made while the one before was sent.
        var next: Result<CustomerStream.Slice, Refusal>?
    }

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
    ///   - queue: whose thread this is; while a chunk is sent, an idle one makes the next.
    func turn(
        _ offer: SocketOffer?, _ ticket: ScanTicket, deadline: NIODeadline, on queue: ScanQueue
    ) -> StreamTurn {
        let end = NIODeadline.now() + Self.turnLength
        var turn = StreamTurn()
        let socket = offer?.take()
        turn.hadSocket = socket != nil
        func mustEnd() -> Bool {
            ticket.isCancelled || (socket?.isMissed ?? false) || queue.length > 0
                || NIODeadline.now() >= end
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
                    if let socket, !isLast {
                        if canGoOn { makeNext(ticket, on: queue) }
                        sent = Self.send(frame, to: socket, mustEnd)
                    }
                    turn.sentByteCount += sent
                    if sent < frame.count {
                        (turn.frame, turn.frameSentByteCount) = (frame, sent)
                        return turn
                    }
                }
            } while canGoOn && !mustEnd()
        } catch {
            turn.refusal = error
        }
        return turn
    }

    private func proceed() throws(Refusal) -> CustomerStream.Slice {
        try state.withLock { state throws(Refusal) in
            if let next = state.next.take() {
                // It may have waited for long.
                guard case .success(.frame) = next, state.stream?.takeBack() ?? false else {
                    return try next.get()
                }
            }
            return try slice(of: &state.stream)
        }
    }

    private func slice(
        of stream: inout (any SlicedAnswer)?
    ) throws(Refusal) -> CustomerStream.Slice {
        if stream == nil { stream = try make() }
        return try stream?.work() ?? .working(0, of: 0)
    }

    /// Has the next slice made by another thread, if one is idle. It may come late: then it makes the
    /// one after, or finds that no more is wanted.
    private func makeNext(_ ticket: ScanTicket, on queue: ScanQueue) {
        queue.submitIfIdle { [self] in
            state.withLock { state in
                guard state.next == nil, canGoOn, !ticket.isCancelled else { return }
                do throws(Refusal) {
                    state.next = .success(try slice(of: &state.stream))
                } catch {
                    state.next = .failure(error)
                }
            }
        }
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
            if count == 0, mustEnd() || !socket.waitForRoom(milliseconds: 2) { break }
        }
        return sent
    }
}
