import ByteCoding
import NIOCore
import Wire

/// Stands before TLS and looks at the first three bytes of a connection. Whoever does not begin a TLS
/// handshake is told in plain, in a GOAWAY, that this port speaks TLS: a client that forgot it then
/// has an answer that it can read.
final class PlainTextGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Tells the handlers behind that nothing will come.
    struct Refused {}

    private let loop: LoopState
    private let refusals: RefusalLog
    private var held: ByteBuffer?
    private var isRefused = false

    init(loop: LoopState, refusals: RefusalLog) {
        self.loop = loop
        self.refusals = refusals
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else { return }
        var incoming = unwrapInboundIn(data)
        var bytes = held ?? ByteBuffer()
        bytes.writeBuffer(&incoming)
        // A TLS record of a handshake is 16 03 0x. The first frame of this protocol is at most 4,096
        // bytes long, so its third byte is 0.
        let start = Array(bytes.readableBytesView.prefix(3))
        let expected: [[UInt8]] = [[0x16], [0x03], [0x01, 0x02, 0x03, 0x04]]
        guard zip(start, expected).allSatisfy({ $1.contains($0) }) else {
            refuse(bytes, context)
            return
        }
        guard start.count == 3 else {
            held = bytes
            return
        }
        held = nil
        context.fireChannelRead(wrapInboundOut(bytes))
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        isRefused = true
        loop.counters.protocolErrors += 1
        loop.counters.tlsFailures += 1
        // What TLS says when the connection ends is no news then.
        context.fireUserInboundEventTriggered(Refused())
        refusals.note(
            .noTLS, .warning, "connection closed: this port speaks TLS, the client does not",
            [
                "peer": "\(context.remoteAddress.map(PatronServer.name(of:)) ?? "unknown")",
                "looksLike": "\(foreignProtocol(bytes) ?? "unknown")",
            ])
        var writer = ByteWriter()
        Response.goAway(
            .badMagic,
            GoAway(
                graceMilliseconds: 0,
                reason: ErrorBody(text: "this port speaks TLS", hint: "connect with TLS"))
        ).encodeFrame(requestID: 0, into: &writer)
        let buffer = context.channel.allocator.buffer(bytes: writer.bytes)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        // The frame handler closes the rest in a moment, as it does after every last frame.
        context.close(mode: .output, promise: nil)
    }
}
