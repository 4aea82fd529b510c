import NIOCore
import Numerical
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The socket of a connection without TLS, to give bytes to at once while the channel holds none. It
/// saves the channel's queue of pending writes, and a buffer for it.
struct DirectSocket {
    private let descriptor: CInt

    /// Nil where the channel has no socket. A connection from the same machine is freed of what the
    /// system does against congestion by default: BBR sends by timers, which halves the bytes a second
    /// that a stream has over loopback, where nothing can be congested.
    init?(_ context: ChannelHandlerContext) {
        let descriptor = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        guard let descriptor else { return nil }
        self.descriptor = CInt(descriptor)
        #if os(Linux)
        if context.remoteAddress?.isLoopback ?? false {
            // Every kernel has it. Where this fails, the connection is as it was.
            "reno".withCString {
                _ = setsockopt(
                    self.descriptor, CInt(IPPROTO_TCP), TCP_CONGESTION, $0, socklen_t(strlen($0)))
            }
        }
        #endif
    }

    /// Gives bytes to the kernel without waiting.
    /// - Precondition: the channel is active: afterwards the descriptor may be another's.
    /// - Returns: how many it took. None where the socket is full and where it failed, which the
    ///   channel finds out by itself when it is given the rest.
    func give(_ bytes: RawSpan) -> Int { sendAtOnce(bytes, to: descriptor) }

    /// Whether the kernel has bytes of the client that nobody has read.
    /// - Precondition: the channel is active.
    var hasUnreadBytes: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT)) > 0
    }

    /// The same socket for the scan threads; nil where no more files can be open.
    func lendable() -> LentSocket? {
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        return own >= 0 ? LentSocket(descriptor: own) : nil
    }
}

/// Gives bytes to the kernel without waiting; how many it took.
private func sendAtOnce(_ bytes: RawSpan, to descriptor: CInt) -> Int {
    bytes.withUnsafeBytes { buffer in
        while true {
            let count = send(
                descriptor, buffer.baseAddress, buffer.count,
                CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
            if count >= 0 { return count }
            if errno != EINTR { return 0 }
        }
    }
}

/// The socket of a connection as the scan threads have it for a turn of a stream: chunks go straight
/// to the kernel, so that the event loop, which other connections wait for, does not copy them.
///
/// One side has it at a time. The event loop offers it, a scan thread takes it for as long as it sends a
/// frame, and the event loop has it again when it hears that the turn is over; while the offer is not
/// taken it can withdraw it. It has a descriptor of its own, so that it can never be another connection's.
final class LentSocket: Sendable {
    /// The number of an offer and who has the socket, in one word: a withdrawn offer is never taken for
    /// a later one.
    private struct State {
        enum Holder: UInt64 {
            case eventLoop
            case offered
            case taken
            /// The event loop has something to send.
            case missed
        }

        var offer: UInt64
        var holder: Holder

        init(_ offer: UInt64, _ holder: Holder) { (self.offer, self.holder) = (offer, holder) }

        init(word: UInt64) {
            offer = word >> 2
            holder = Holder(rawValue: word & 3) ?? .eventLoop
        }

        var word: UInt64 { offer << 2 | holder.rawValue }
    }

    private let descriptor: CInt
    /// The latest that took it.
    private let thread = Atomic<Int32>(0)
    private let word = Atomic<UInt64>(State(0, .eventLoop).word)

    fileprivate init(descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private var state: State { State(word: word.load(ordering: .acquiring)) }

    private func change(_ offer: UInt64, from old: State.Holder, to new: State.Holder) -> Bool {
        word.compareExchange(
            expected: State(offer, old).word, desired: State(offer, new).word,
            ordering: .acquiringAndReleasing
        ).exchanged
    }

    // MARK: The event loop's side

    /// - Precondition: the event loop has it, and the channel holds no bytes.
    func offer() -> SocketOffer {
        let number = state.offer + 1
        word.store(State(number, .offered).word, ordering: .releasing)
        return SocketOffer(socket: self, number: number)
    }

    /// Withdraws an offer, or asks for the socket back. The thread that has it runs as the event loop's
    /// do from then on, if the system allows it: on a busy machine it might not run at all.
    /// - Returns: whether the event loop has it.
    func reclaim() -> Bool {
        let number = state.offer
        while true {
            // Between two looks the scan thread may have taken it or put it back.
            switch state.holder {
            case .eventLoop: return true
            case .offered:
                if change(number, from: .offered, to: .eventLoop) { return true }
            case .taken:
                if change(number, from: .taken, to: .missed) {
                    ThreadPriority.raise(thread.load(ordering: .relaxed))
                    return false
                }
            case .missed: return false
            }
        }
    }

    /// The turn that had it is over.
    func bringHome() { word.store(State(state.offer, .eventLoop).word, ordering: .releasing) }

    // MARK: The scan thread's side

    /// - Returns: false where the offer was withdrawn.
    fileprivate func take(_ number: UInt64) -> Bool {
        guard state.offer == number else { return false }
        // Before it is taken: from then on the event loop may ask for it.
        thread.store(ThreadPriority.currentThread, ordering: .relaxed)
        return change(number, from: .offered, to: .taken)
    }

    /// - Returns: false where the event loop has asked for it.
    fileprivate func putBack(_ number: UInt64) -> Bool {
        change(number, from: .taken, to: .offered)
    }

    /// Whether the event loop has asked for it.
    var isMissed: Bool { state.holder == .missed }

    /// - Returns: how many bytes the kernel took; none where it has no room and where the connection
    ///   is broken.
    func give(_ bytes: RawSpan) -> Int { sendAtOnce(bytes, to: descriptor) }

    /// Waits until the kernel has room, for a time at most.
    /// - Returns: false where it is over and where the connection is broken.
    func waitForRoom(milliseconds: CInt) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&waiting, 1, milliseconds) == 1 && waiting.revents == Int16(POLLOUT)
    }
}

/// An offer of a connection's socket to one turn of a stream.
struct SocketOffer: Sendable {
    fileprivate let socket: LentSocket
    fileprivate let number: UInt64

    /// - Returns: nil where it was withdrawn.
    func take() -> LentSocket? { socket.take(number) ? socket : nil }

    /// Between frames, so that the event loop need not wait.
    /// - Returns: false where it waits already: the socket is to be brought home.
    func putBack() -> Bool { socket.putBack(number) }
}
