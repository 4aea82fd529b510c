import ByteCoding
import Dispatch
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
    /// The slice that another thread was asked to make while the one before was sent.
    private let ahead = Mutex<SliceAhead?>(nil)
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
    ///   - queue: whose thread this is; while a chunk is sent, an idle one makes the next.
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
                        if canGoOn { makeNext(on: queue) }
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
        guard let ahead = ahead.withLock({ $0.take() }), let made = ahead.wait() else {
            return try slice()
        }
        // It may have waited for long.
        if case .success(.frame) = made, stream.withLock({ $0?.takeBack() ?? false }) {
            return try slice()
        }
        return try made.get()
    }

    /// Only one thread at a time is here: nobody waits for the lock.
    private func slice() throws(Refusal) -> CustomerStream.Slice {
        try stream.withLock { stream throws(Refusal) in
            if stream == nil { stream = try make() }
            return try stream?.work() ?? .working(0, of: 0)
        }
    }

    /// Has the next slice made by another thread, if one is idle.
    private func makeNext(on queue: ScanQueue) {
        let next = SliceAhead()
        let isAsked = queue.submitIfIdle { [self] in
            next.make { () throws(Refusal) in try slice() }
        }
        if isAsked { ahead.withLock { $0 = next } }
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

/// A slice that one thread makes while another sends the one before: whoever comes first makes it.
private final class SliceAhead: Sendable {
    private let isClaimed = Atomic<Bool>(false)
    private let result = Mutex<Result<CustomerStream.Slice, Refusal>?>(nil)
    private let isMade = DispatchSemaphore(value: 0)

    private func claim() -> Bool {
        isClaimed.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing)
            .exchanged
    }

    func make(_ slice: () throws(Refusal) -> CustomerStream.Slice) {
        guard claim() else { return }
        let made: Result<CustomerStream.Slice, Refusal>
        do throws(Refusal) { made = .success(try slice()) } catch { made = .failure(error) }
        result.withLock { $0 = made }
        isMade.signal()
    }

    /// Waits for the slice if it is being made.
    /// - Returns: nil where nobody has begun, and then nobody does any more.
    func wait() -> Result<CustomerStream.Slice, Refusal>? {
        if claim() { return nil }
        isMade.wait()
        return result.withLock { $0.take() }
    }
}
