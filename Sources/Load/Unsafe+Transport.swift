import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A connected socket, in plain or with TLS. One thread makes and uses it; whoever makes one closes it,
/// and makes no copy that is used.
package struct Transport {
    let socket: StreamSocket
    private let tls: TLSEngine?
    /// Bytes of the network that the system did not take yet.
    private var unsent = ByteBuffer()
    /// Bytes of the program that nobody has received yet.
    private var received = ByteBuffer()

    /// Bytes that are received at once.
    private static let chunk = 64 << 10

    /// Connects. With TLS the handshake goes on with what is sent and received.
    init(host: String, port: Int, tls: LoadTLS?) throws(LoadError) {
        socket = try StreamSocket(host: host, port: port)
        if let tls {
            self.tls = try TLSEngine(tls, host: host, port: port)
        } else {
            self.tls = nil
        }
    }

    /// Tells the other side where that can be done at once. The socket closes with its last reference.
    package mutating func close() {
        guard let tls else { return }
        tls.end()
        _ = pushOutput()
        tls.drop()
    }

    // MARK: While the socket blocks

    /// Sends all of a greeting. False where the other side is gone or takes nothing.
    mutating func send(all bytes: [UInt8]) -> Bool {
        guard let tls else { return socket.send(bytes) }
        tls.write(ByteBuffer(bytes: bytes))
        return sendOutput()
    }

    private func sendOutput() -> Bool {
        guard let output = tls?.output() else { return true }
        return socket.send(Array(output.readableBytesView))
    }

    /// Adds what has come to `bytes`, waiting for it.
    /// - Returns: bytes that came; 0 at the end of the stream, nil where nothing came in time.
    mutating func receive(into bytes: inout [UInt8]) throws(LoadError) -> Int? {
        guard let tls else { return socket.receive(into: &bytes) }
        while true {
            var sealed: [UInt8] = []
            guard let count = socket.receive(into: &sealed) else { return nil }
            if count == 0 { return 0 }
            try tls.read(ByteBuffer(bytes: sealed))
            guard sendOutput() else { return 0 }
            if let input = tls.input() {
                bytes.append(contentsOf: input.readableBytesView)
                return input.readableBytes
            }
            if tls.isEnded { return 0 }
        }
    }

    // MARK: While it does not

    /// Whether bytes that were taken wait for the system.
    var hasUnsent: Bool { tls != nil && unsent.readableBytes > 0 }
    /// Whether there is something to receive that the system does not know of.
    var hasReceived: Bool { tls != nil && received.readableBytes > 0 }

    /// Gives the system as much as it takes.
    /// - Returns: how many bytes were taken, or a negative error number; with TLS all are, where
    ///   nothing of before waits.
    mutating func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let tls else {
            let count = socket.send(bytes)
            return count >= 0 ? count : -Int(errno)
        }
        if hasUnsent {
            let result = pushOutput()
            if result < 0 { return result }
        }
        guard bytes.count > 0 else { return 0 }
        tls.write(ByteBuffer(bytes: bytes))
        let result = pushOutput()
        return result < 0 && result != -Int(EAGAIN) ? result : bytes.count
    }

    /// - Returns: 0 where the system has taken all, or a negative error number.
    private mutating func pushOutput() -> Int {
        if var output = tls?.output() {
            if unsent.readableBytes == 0 { unsent = output } else { unsent.writeBuffer(&output) }
        }
        while unsent.readableBytes > 0 {
            let count = unsent.withUnsafeReadableBytes { socket.send($0) }
            if count >= 0 {
                unsent.moveReaderIndex(forwardBy: count)
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                return -Int(EAGAIN)
            } else if errno != EINTR {
                return -Int(errno)
            }
        }
        return 0
    }

    /// Takes bytes that have come.
    /// - Returns: how many, 0 at the end of the stream, or a negative error number; EAGAIN where there
    ///   are none.
    mutating func receive(_ room: UnsafeMutableRawBufferPointer) throws(LoadError) -> Int {
        guard let tls else {
            let count = socket.receive(room)
            return count >= 0 ? count : -Int(errno)
        }
        while received.readableBytes == 0 {
            var sealed = ByteBuffer()
            var result = 0
            sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.chunk) {
                let count = socket.receive($0)
                result = count >= 0 ? count : -Int(errno)
                return max(0, count)
            }
            if result <= 0 { return result }
            try tls.read(sealed)
            result = pushOutput()
            if result < 0, result != -Int(EAGAIN) { return result }
            if let input = tls.input() {
                received = input
            } else if tls.isEnded {
                return 0
            }
        }
        let count = min(room.count, received.readableBytes)
        received.readWithUnsafeReadableBytes { bytes in
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
        }
        return count
    }
}
