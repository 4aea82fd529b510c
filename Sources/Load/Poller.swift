import CPoll

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Waits until one of many sockets can be read or written.
struct Poller: ~Copyable {
    struct Ready {
        var token: Int
        var readable: Bool
        var writable: Bool
    }

    /// What the last `wait` found.
    private(set) var ready: [Ready] = []
    /// -1: poll(2) is used.
    private let set: Int32
    private var found = [patron_ready](repeating: patron_ready(), count: 256)
    private var polled: [pollfd] = []
    private var tokens: [Int] = []

    /// - Parameter usesEpoll: where there is one. With poll, timeouts are whole milliseconds, and
    ///   the last one before a request is due is spent in a loop.
    init(usesEpoll: Bool) {
        set = usesEpoll ? patron_poll_create() : -1
        ready.reserveCapacity(256)
    }

    deinit { if set >= 0 { close(set) } }

    mutating func add(_ socket: StreamSocket, token: Int) throws(LoadError) {
        guard set >= 0 else {
            polled.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
            tokens.append(token)
            return
        }
        try Self.check(patron_poll_add(set, socket.descriptor, UInt32(token), false), "epoll_ctl")
    }

    /// Whether room to write is waited for too.
    mutating func setWriting(
        _ writing: Bool, _ socket: StreamSocket, token: Int
    ) throws(LoadError) {
        guard set >= 0 else {
            for index in polled.indices where polled[index].fd == socket.descriptor {
                polled[index].events = Int16(writing ? POLLIN | POLLOUT : POLLIN)
            }
            return
        }
        try Self.check(
            patron_poll_change(set, socket.descriptor, UInt32(token), writing), "epoll_ctl")
    }

    mutating func remove(_ socket: StreamSocket) {
        guard set >= 0 else {
            if let index = polled.firstIndex(where: { $0.fd == socket.descriptor }) {
                polled.remove(at: index)
                tokens.remove(at: index)
            }
            return
        }
        _ = patron_poll_remove(set, socket.descriptor)
    }

    /// Waits for at most `nanoseconds`; afterwards `ready` says who is.
    mutating func wait(nanoseconds: UInt64) throws(LoadError) {
        ready.removeAll(keepingCapacity: true)
        guard set >= 0 else {
            let milliseconds = Int32(clamping: nanoseconds / 1_000_000)
            let count = poll(&polled, nfds_t(polled.count), milliseconds)
            if count < 0, errno == EINTR { return }
            try Self.check(count, "poll")
            guard count > 0 else { return }
            for (index, entry) in polled.enumerated() where entry.revents != 0 {
                ready.append(
                    Ready(
                        token: tokens[index],
                        readable: entry.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0,
                        writable: entry.revents & Int16(POLLOUT) != 0))
            }
            return
        }
        let count = patron_poll_wait(
            set, &found, Int32(found.count), Int64(clamping: nanoseconds))
        if count < 0, errno == EINTR { return }
        try Self.check(count, "epoll_wait")
        for index in 0..<Int(count) {
            ready.append(
                Ready(
                    token: Int(found[index].token), readable: found[index].readable,
                    writable: found[index].writable))
        }
    }

    private static func check(_ result: Int32, _ operation: String) throws(LoadError) {
        guard result >= 0 else {
            let code = errno
            throw .system(operation: operation, code: code, reason: systemText(code))
        }
    }
}
