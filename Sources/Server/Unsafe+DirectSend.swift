import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The socket of a connection without TLS, to give bytes to at once while the channel holds none. It
/// saves the channel's queue of pending writes, and a buffer for it.
struct DirectSocket {
    private let descriptor: CInt

    /// Nil where the channel has no socket.
    init?(_ context: ChannelHandlerContext) {
        let descriptor = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        guard let descriptor else { return nil }
        self.descriptor = CInt(descriptor)
    }

    /// Gives bytes to the kernel without waiting.
    /// - Precondition: the channel is active: afterwards the descriptor may be another's.
    /// - Returns: how many it took. None where the socket is full and where it failed, which the
    ///   channel finds out by itself when it is given the rest.
    func give(_ bytes: RawSpan) -> Int {
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
}
