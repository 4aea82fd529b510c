// The socket calls. Every one gets addresses and counts of memory that its caller holds meanwhile.

#if canImport(Glibc)
import Glibc
private let streamSocket = Int32(SOCK_STREAM.rawValue)
private let sendFlags = Int32(MSG_NOSIGNAL)
#elseif canImport(Darwin)
import Darwin
private let streamSocket = SOCK_STREAM
private let sendFlags: Int32 = 0
#endif

/// Nanoseconds of the system's monotonic clock.
@inline(__always) func monotonicNanoseconds() -> UInt64 { nanoseconds(CLOCK_MONOTONIC) }

/// Processor time that the calling thread has had.
func threadNanoseconds() -> UInt64 { nanoseconds(CLOCK_THREAD_CPUTIME_ID) }

@inline(__always) private func nanoseconds(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// What an error number of the system means.
func systemText(_ code: Int32) -> String { String(cString: strerror(code)) }

/// A connected TCP socket, closed when the last reference goes. One thread uses it at a time.
package final class StreamSocket: Sendable {
    let descriptor: Int32

    /// How long connecting and greeting may take.
    static let greetingSeconds = 3

    /// Connects to the first of a host's addresses that answers.
    init(host: String, port: Int) throws(LoadError) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = streamSocket
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw .unknownHost(host, reason: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(list) }
        var reason = "it has no address"
        var next = list
        // The list is the system's until it is freed above.
        while let address = next?.pointee {
            let descriptor = socket(address.ai_family, streamSocket, 0)
            if descriptor < 0 {
                reason = systemText(errno)
            } else {
                Self.prepare(descriptor)
                if connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 {
                    self.descriptor = descriptor
                    return
                }
                let failure = errno
                reason =
                    failure == EINPROGRESS
                    ? "no answer within \(Self.greetingSeconds) s" : systemText(failure)
                close(descriptor)
            }
            next = address.ai_next
        }
        let shown = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        throw .cannotConnect(address: shown, reason: reason)
    }

    deinit { close(descriptor) }

    /// Sends small messages at once, and does not wait for ever. What cannot be set is done without.
    private static func prepare(_ descriptor: Int32) {
        var on: Int32 = 1
        var wait = timeval(tv_sec: greetingSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<Int32>.size)
        let waitSize = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        // On Linux the second one holds for connect(2) too.
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, waitSize)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, waitSize)
        #if canImport(Darwin)
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, size)
        #endif
    }

    /// From here on, calls return at once.
    func stopBlocking() throws(LoadError) {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else {
            let code = errno
            throw .system(operation: "fcntl", code: code, reason: systemText(code))
        }
    }

    /// Sends all of a greeting. False where the other side is gone or takes nothing.
    func send(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var sent = 0
            while sent < buffer.count {
                let result = send(UnsafeRawBufferPointer(rebasing: buffer[sent...]))
                if result > 0 {
                    sent += result
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }

    /// Adds what has come to `bytes`, waiting for it.
    /// - Returns: bytes that came; 0 at the end of the stream, nil where nothing came in time.
    func receive(into bytes: inout [UInt8]) -> Int? {
        let room = 16_384
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: room))
        let result = bytes.withUnsafeMutableBytes { buffer in
            var result = 0
            repeat {
                result = receive(UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
            } while result < 0 && errno == EINTR
            return result
        }
        bytes.removeLast(room - max(0, result))
        return result < 0 ? nil : result
    }

    @inline(__always) func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
        Glibc.send(descriptor, bytes.baseAddress, bytes.count, sendFlags)
        #else
        Darwin.send(descriptor, bytes.baseAddress, bytes.count, sendFlags)
        #endif
    }

    @inline(__always) func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        recv(descriptor, bytes.baseAddress, bytes.count, 0)
    }
}

/// Lets the process hold as many sockets as it may. What the system refuses shows when connecting.
package func allowManySockets() {
    var limit = rlimit()
    #if canImport(Glibc)
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    let resource = RLIMIT_NOFILE
    #endif
    guard getrlimit(resource, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(resource, &limit)
}
