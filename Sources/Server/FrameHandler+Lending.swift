import NIOCore

/// The socket of a connection on its way between the event loop and the scan threads.
struct SocketLending {
    /// As the scan threads know it; nil before the first stream.
    fileprivate var socket: LentSocket?
    /// The stream that it was offered to, until its turn is known to be over.
    fileprivate var borrower: ScanTicket?
    /// Answers that wait for it, whole frames.
    fileprivate var held = ByteBuffer()

    /// So many bytes are held, then no more requests are read.
    private static let largestHeldByteCount = 1 << 20

    /// Whether a scan thread has it, or may have.
    var isOut: Bool { borrower != nil }
    var hasRoom: Bool { held.readableBytes < Self.largestHeldByteCount }
}

/// A stream's turn has the socket, where the channel holds nothing and bytes go over it as they are.
/// What the event loop has to send while a frame is sent is held: frames are never mixed. It asks for
/// the socket then, and gets it after that frame.
extension FrameHandler {
    /// Offers the socket to a turn.
    /// - Returns: nil where it is not to be had.
    func lendSocket(to ticket: ScanTicket) -> SocketOffer? {
        guard let context, let socket, !isClosing, !lending.isOut, context.channel.isActive,
            channelIsEmpty(context)
        else { return nil }
        if lending.socket == nil { lending.socket = socket.lendable() }
        guard let lent = lending.socket else { return nil }
        lending.borrower = ticket
        return lent.offer()
    }

    /// Whether a scan thread has the socket for this stream; withdraws the offer if none has yet, and
    /// asks for it otherwise.
    func hasLent(to ticket: ScanTicket) -> Bool {
        lending.borrower === ticket && !reclaimSocket()
    }

    /// Gets the socket back where no scan thread has it yet, and asks for it otherwise.
    /// - Returns: whether it is back.
    func reclaimSocket() -> Bool {
        guard lending.socket?.reclaim() ?? true else { return false }
        lending.borrower = nil
        return true
    }

    /// Ends the scan threads' share in the socket, if they have none of it now.
    func releaseSocket() {
        if !lending.isOut { lending.socket = nil }
    }

    /// Holds bytes while a scan thread has the socket.
    /// - Returns: false where they can be sent.
    func holds(_ bytes: RawSpan) -> Bool {
        guard lending.isOut, !reclaimSocket() else { return false }
        lending.held.writeBytes(bytes)
        return true
    }

    /// A turn that has not taken the socket, or has put it back, is over.
    func withdrawOffer(to ticket: ScanTicket) {
        if lending.borrower === ticket { _ = reclaimSocket() }
    }

    /// A turn that has the socket is over.
    /// - Parameter rest: of a frame that it has begun; goes before everything that was held.
    func bringSocketHome(rest: ArraySlice<UInt8>) {
        lending.borrower = nil
        lending.socket?.bringHome()
        guard let context else { return }
        var waiting = lending.held
        lending.held = ByteBuffer()
        if !rest.isEmpty {
            var whole = context.channel.allocator.buffer(
                capacity: rest.count + waiting.readableBytes)
            whole.writeBytes(rest)
            whole.writeBuffer(&waiting)
            waiting = whole
        }
        if waiting.readableBytes > 0 {
            write(waiting)
            flush()
        }
        if isClosing {
            context.close(mode: .output, promise: nil)
        } else if isReadingPaused {
            let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
            loop.eventLoop.execute { handler.value.resume() }
        }
    }
}
