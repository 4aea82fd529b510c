import ByteCoding
import Foundation
import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A plain socket, to send what no client would. It waits by asking again: a blocking call would
/// hold one of the few threads that all tests share.
final class RawConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []
    /// What HELLO agreed on.
    private var features: Features = []

    /// - Parameter receiveBytes: what the socket may hold unread; nil for the system's choice.
    init(port: Int, receiveBytes: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBytes {
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var one: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw POSIXError(.ECONNREFUSED) }
    }

    deinit { close(descriptor) }

    /// Ends the connection at once, whatever is unread, when this is let go of.
    func resetAtEnd() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// How many of the bytes were taken; fewer where the server does not read.
    @discardableResult
    func send(_ bytes: [UInt8], waits: Bool = true) -> Int {
        var sent = 0
        while sent < bytes.count {
            let flags = Int32(MSG_NOSIGNAL) | (waits ? 0 : Int32(MSG_DONTWAIT))
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, flags)
            }
            if count <= 0 { break }
            sent += count
        }
        return sent
    }

    /// The next frame; nil at the end of the stream, or where nothing comes for a minute.
    func receive() async throws -> (
        header: FrameHeader, response: Response, meta: [MetaItem]
    )? {
        while true {
            let bytes = received
            if case .frame(let frame) = try scanFrame(
                bytes.span.bytes, maximumLength: WireLimits.largestFrameBytes)
            {
                let payload = bytes.span.bytes.extracting(frame.payloadRange)
                let opened = try frame.open(payload, acceptsLZ4: features.contains(.lz4))
                let body = payload.extracting(opened.bodyRange)
                let response: Response
                if let rawLength = opened.rawLength {
                    let plain = try decompressBody(body, rawLength: rawLength)
                    response = try Response(decoding: plain.rawSpan, of: frame.header)
                } else {
                    response = try Response(decoding: body, of: frame.header)
                }
                received.removeFirst(frame.range.count)
                return (frame.header, response, opened.meta)
            }
            guard let more = try await read(), !more.isEmpty else { return nil }
            received += more
        }
    }

    /// All that arrives until the end of the stream, or until nothing comes for a minute.
    func receiveAll() async throws -> [UInt8] {
        while let more = try await read(), !more.isEmpty { received += more }
        return received
    }

    /// Whether the server ends the stream, without sending anything more.
    func isEnded() async throws -> Bool {
        let more = try await read()
        return received.isEmpty && more == []
    }

    /// What has arrived; empty at the end of the stream, nil where nothing comes for a minute: scans run
    /// on what other processes leave of the machine.
    private func read() async throws -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count >= 0 { return Array(buffer[..<count]) }
            guard errno == EAGAIN || errno == EINTR else { return [] }
            try await Task.sleep(for: .milliseconds(1))
        }
        return nil
    }

    func sayHello(
        maximumFrameBytes: UInt32 = 16 << 20, optionalFeatures: Features = [.clientJunk]
    ) async throws {
        let hello = HelloRequest(
            maximumFrameBytes: maximumFrameBytes, optionalFeatures: optionalFeatures,
            clientName: "raw")
        send(frame(.hello(hello), 1))
        guard case .hello(let answer)? = try await receive()?.response else {
            throw POSIXError(.EPROTO)
        }
        features = answer.activeFeatures
    }
}

func frame(
    _ request: Request, _ requestID: UInt32, deadlineMilliseconds: UInt32 = 0,
    compresses: Bool = false
) -> [UInt8] {
    var writer = ByteWriter()
    request.encodeFrame(
        requestID: requestID, deadlineMilliseconds: deadlineMilliseconds,
        compressing: compresses ? WireLimits.compressedSizes : nil, into: &writer)
    return writer.bytes
}

/// A frame with its header changed, and the header's checksum made right again.
func frame(_ request: Request, _ requestID: UInt32, changing change: (inout [UInt8]) -> Void)
    -> [UInt8]
{
    var bytes = frame(request, requestID)
    change(&bytes)
    var checksum = ByteWriter()
    checksum.append(CRC32C.checksum(Array(bytes[..<28])))
    bytes.replaceSubrange(28..<32, with: checksum.bytes)
    return bytes
}
