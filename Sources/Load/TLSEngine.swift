import NIOCore
import NIOEmbedded
package import NIOSSL

/// How a server of Patron is reached by TLS.
package struct LoadTLS: Sendable {
    let context: NIOSSLContext
    /// Why TLS failed, in words; nil for errors of another kind.
    let failure: @Sendable (any Error) -> String?

    /// - Parameters:
    ///   - context: of clients.
    ///   - failure: why TLS failed, in words; nil for errors of another kind.
    package init(
        context: NIOSSLContext, failure: @escaping @Sendable (any Error) -> String?
    ) {
        self.context = context
        self.failure = failure
    }
}

/// TLS of one connection without its socket: bytes of the program in, bytes of the network out, and
/// the reverse. For the thread that made it, since SwiftNIO's channel without a network is.
final class TLSEngine {
    private let channel: EmbeddedChannel
    private let tls: LoadTLS
    private let address: String

    /// Begins the handshake: there is output.
    /// - Parameter host: name or address, which the server's certificate must be of.
    init(_ tls: LoadTLS, host: String, port: Int) throws(LoadError) {
        self.tls = tls
        address = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let numeric = try? SocketAddress(ipAddress: host, port: port)
        do {
            // Only names are told to the server.
            let handler = try NIOSSLClientHandler(
                context: tls.context, serverHostname: numeric == nil ? host : nil)
            channel = EmbeddedChannel(handler: handler)
            // It goes nowhere, but an address is verified by it.
            let peer = try numeric ?? SocketAddress(ipAddress: "127.0.0.1", port: port)
            channel.remoteAddress = peer
            channel.connect(to: peer, promise: nil)
        } catch {
            throw .notSecured(address: address, reason: tls.failure(error) ?? "\(error)")
        }
    }

    /// Whether the other side has ended TLS.
    var isEnded: Bool { !channel.isActive }

    /// Takes bytes of the program. Before the handshake is done they wait.
    func write(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

    /// Takes bytes of the network.
    /// - Throws: `notSecured`.
    func read(_ bytes: ByteBuffer) throws(LoadError) {
        do {
            try channel.writeInbound(bytes)
        } catch {
            throw .notSecured(address: address, reason: tls.failure(error) ?? "\(error)")
        }
    }

    /// Bytes for the network; nil where there are none.
    func output() -> ByteBuffer? { take { try channel.readOutbound(as: ByteBuffer.self) } }

    /// Bytes for the program.
    func input() -> ByteBuffer? { take { try channel.readInbound(as: ByteBuffer.self) } }

    /// All that there is, as one. Nothing but such buffers comes out of the channel.
    private func take(_ next: () throws -> ByteBuffer?) -> ByteBuffer? {
        guard var all = try? next() else { return nil }
        while var more = try? next() { all.writeBuffer(&more) }
        return all
    }

    /// Ends TLS; what is to be sent for that is in `output`. The other side's end is not waited for.
    func end() {
        channel.close(mode: .all, promise: nil)
    }

    /// Lets go of what waits for the other side's end.
    func drop() { channel.embeddedEventLoop.advanceTime(by: .minutes(10)) }
}
