import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
private let streamSocket = Int32(SOCK_STREAM.rawValue)
private let sendFlags = Int32(MSG_NOSIGNAL)
#elseif canImport(Darwin)
import Darwin
private let streamSocket = SOCK_STREAM
private let sendFlags: Int32 = 0
#endif

/// A server on a free loopback port that knows how many lines its greeting and its requests have,
/// and answers all of them alike. A thread a connection.
final class FakeServer: Sendable {
    struct Behaviour: Sendable {
        var greetingLines = 3
        var greetingAnswer = "+PONG\r\n"
        var requestLines = 5
        /// Empty: requests are never answered.
        var answer = "$1\r\nx\r\n"
        /// The server sleeps once, before it answers this request of all, counted from 0.
        var stallsAt: Int?
        var stallSeconds = 0.2
        /// It closes a connection instead of answering this request on it, counted from 0.
        var closesAt: Int?

        static let redis = Behaviour()
        static let memcached = Behaviour(
            greetingLines: 1, greetingAnswer: "VERSION 1.6\r\n", requestLines: 1,
            answer: "VALUE 12 0 1\r\nx\r\nEND\r\n")
        static let silent = Behaviour(greetingAnswer: "", answer: "")
        static let web = Behaviour(
            greetingLines: 0, greetingAnswer: "HTTP/1.1 400 Bad Request\r\n\r\n")
    }

    let port: Int
    private let listener: Int32
    private let behaviour: Behaviour
    private let requestCount = Mutex(0)
    private let received = Mutex<[UInt8]>([])

    struct Failure: Error { let operation: String }

    init(_ behaviour: Behaviour) throws {
        self.behaviour = behaviour
        listener = socket(AF_INET, streamSocket, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                if bind(descriptor, pointer, length) != 0 { return Int32(-1) }
                if listen(descriptor, 128) != 0 { return Int32(-1) }
                return getsockname(descriptor, pointer, &length)
            }
        }
        guard result == 0 else { throw Failure(operation: "listen") }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 {
                    // Closed here alone: its number may be another test's socket a moment later.
                    close(listener)
                    return
                }
                Thread { self.serve(connection) }.start()
            }
        }.start()
    }

    /// No connection is accepted from here on; those that are end with their clients.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// The first bytes that came after the greeting of the first connections, at most 1,024.
    var firstBytes: [UInt8] { received.withLock { $0 } }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var lines = 0
        var answered = 0
        var isGreeted = false
        if behaviour.greetingLines == 0 { write(connection, behaviour.greetingAnswer) }
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return }
            if isGreeted {
                received.withLock {
                    $0.append(contentsOf: buffer[..<min(count, max(0, 1_024 - $0.count))])
                }
            }
            lines += buffer[..<count].count { $0 == UInt8(ascii: "\n") }
            if !isGreeted, behaviour.greetingLines > 0, lines >= behaviour.greetingLines {
                isGreeted = true
                lines -= behaviour.greetingLines
                write(connection, behaviour.greetingAnswer)
            }
            while isGreeted, lines >= behaviour.requestLines {
                lines -= behaviour.requestLines
                if behaviour.closesAt == answered { return }
                answered += 1
                let number = requestCount.withLock {
                    $0 += 1
                    return $0 - 1
                }
                if behaviour.stallsAt == number {
                    Thread.sleep(forTimeInterval: behaviour.stallSeconds)
                }
                write(connection, behaviour.answer)
            }
        }
    }

    private func write(_ connection: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let rest = Array(bytes[sent...])
            let count = send(connection, rest, rest.count, sendFlags)
            if count <= 0 { return }
            sent += count
        }
    }
}
