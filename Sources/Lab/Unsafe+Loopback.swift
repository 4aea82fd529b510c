import Foundation

#if canImport(Glibc)
import Glibc
private let streamSocket = Int32(SOCK_STREAM.rawValue)
#elseif canImport(Darwin)
import Darwin
private let streamSocket = SOCK_STREAM
#endif

/// What two threads of one machine can exchange over TCP: the limit of a server that answers
/// requests on it. Blocking sockets, no framing, no protocol.
enum Loopback {
    /// Sends messages to a thread that sends them back.
    /// - Returns: nanoseconds of each round trip; at least 100.
    static func echo(seconds: Double, byteCount: Int) throws(LabError) -> [UInt64] {
        let pair = try SocketPair()
        let peer = Peer { [server = pair.server] in
            var bytes = [UInt8](repeating: 0, count: byteCount)
            while server.receive(&bytes), server.send(bytes) {}
        }
        var bytes = [UInt8](repeating: 1, count: byteCount)
        let clock = ContinuousClock()
        var nanoseconds: [UInt64] = []
        var end = clock.now
        for trip in 0... {
            // The first ones warm up both threads.
            if trip == 200 { end = clock.now + .seconds(seconds) }
            let start = clock.now
            if trip >= 300 && start >= end { break }
            guard pair.client.send(bytes), pair.client.receive(&bytes) else {
                throw .network(operation: "echo", code: errno)
            }
            if trip >= 200 {
                nanoseconds.append(UInt64((clock.now - start) / .nanoseconds(1)))
            }
        }
        pair.client.finish()
        peer.wait()
        return nanoseconds
    }

    /// Sends as fast as a thread takes it.
    /// - Returns: bytes a second.
    static func stream(seconds: Double) throws(LabError) -> Double {
        let pair = try SocketPair()
        let byteCount = 256 << 10
        let peer = Peer { [server = pair.server] in
            var bytes = [UInt8](repeating: 0, count: byteCount)
            while server.receive(&bytes) {}
        }
        let bytes = [UInt8](repeating: 1, count: byteCount)
        let clock = ContinuousClock()
        // The first megabytes let the windows grow.
        for _ in 0..<16 {
            guard pair.client.send(bytes) else { throw .network(operation: "send", code: errno) }
        }
        let start = clock.now
        let end = start + .seconds(seconds)
        var sent = 0
        while sent == 0 || clock.now < end {
            guard pair.client.send(bytes) else { throw .network(operation: "send", code: errno) }
            sent += byteCount
        }
        pair.client.finish()
        peer.wait()
        return Double(sent) / ((clock.now - start) / .seconds(1))
    }

    /// A thread of its own: a pool could keep it waiting for the thread that waits for it.
    private final class Peer: Sendable {
        private let done = DispatchSemaphore(value: 0)

        init(_ body: @escaping @Sendable () -> Void) {
            let done = done
            Thread {
                body()
                done.signal()
            }.start()
        }

        func wait() { done.wait() }
    }
}

/// Two connected TCP sockets on 127.0.0.1.
private struct SocketPair {
    let client: Socket
    let server: Socket

    init() throws(LabError) {
        let listener = try Socket(descriptor: socket(AF_INET, streamSocket, 0), "socket")
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // The calls read or write at most `length` bytes of the address, which outlives them.
        func onAddress(
            _ operation: String, _ call: (UnsafeMutablePointer<sockaddr>) -> Int32
        ) throws(LabError) {
            let result = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0) }
            }
            guard result == 0 else { throw .network(operation: operation, code: errno) }
        }
        let descriptor = listener.descriptor
        try onAddress("bind") { bind(descriptor, $0, length) }
        guard listen(descriptor, 1) == 0 else { throw .network(operation: "listen", code: errno) }
        try onAddress("getsockname") { getsockname(descriptor, $0, &length) }
        client = try Socket(descriptor: socket(AF_INET, streamSocket, 0), "socket")
        let connecting = client.descriptor
        try onAddress("connect") { connect(connecting, $0, length) }
        server = try Socket(descriptor: accept(descriptor, nil, nil), "accept")
        try client.prepare()
        try server.prepare()
    }
}

/// A blocking socket, closed when the last reference goes. One thread uses it at a time.
private final class Socket: Sendable {
    let descriptor: Int32
    /// Longest wait for the other side: an error is better than a program that hangs.
    private static let timeoutSeconds = 10

    init(descriptor: Int32, _ operation: String) throws(LabError) {
        guard descriptor >= 0 else { throw .network(operation: operation, code: errno) }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Sends small messages at once, and does not wait for ever.
    func prepare() throws(LabError) {
        var on: Int32 = 1
        var wait = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<Int32>.size)
        let waitSize = socklen_t(MemoryLayout<timeval>.size)
        guard setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size) == 0,
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, waitSize) == 0,
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, waitSize) == 0
        else { throw .network(operation: "setsockopt", code: errno) }
    }

    /// Sends everything; false where the other side is gone.
    func send(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            move(buffer.count) { offset in
                #if canImport(Glibc)
                let flags = Int32(MSG_NOSIGNAL)
                #else
                let flags: Int32 = 0
                #endif
                return sendBytes(descriptor, buffer, offset, flags)
            }
        }
    }

    /// Fills `bytes`; false where the other side has finished.
    func receive(_ bytes: inout [UInt8]) -> Bool {
        bytes.withUnsafeMutableBytes { buffer in
            move(buffer.count) { offset in
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[offset...])
                return recv(descriptor, rest.baseAddress, rest.count, 0)
            }
        }
    }

    /// Tells the other side that nothing more comes.
    func finish() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    private func sendBytes(
        _ descriptor: Int32, _ buffer: UnsafeRawBufferPointer, _ offset: Int, _ flags: Int32
    ) -> Int {
        let rest = UnsafeRawBufferPointer(rebasing: buffer[offset...])
        #if canImport(Glibc)
        return Glibc.send(descriptor, rest.baseAddress, rest.count, flags)
        #else
        return Darwin.send(descriptor, rest.baseAddress, rest.count, flags)
        #endif
    }

    /// Repeats a call until it has moved `count` bytes; an interrupt is no end.
    private func move(_ count: Int, _ call: (Int) -> Int) -> Bool {
        var moved = 0
        while moved < count {
            let result = call(moved)
            if result > 0 {
                moved += result
            } else if result == 0 || errno != EINTR {
                return false
            }
        }
        return true
    }
}
