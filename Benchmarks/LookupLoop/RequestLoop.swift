import Dispatch
import NIOCore
import Wire

/// One connection: a request, its answer, the next request, until the time is over.
final class RequestLoop: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Nanoseconds from a request's write to its answer's last byte, one a request.
    private(set) var latencies: [UInt32] = []
    /// Why the connection ended early.
    private(set) var failure: Failure?
    private let frames: RequestFrames
    private let end: UInt64
    private var next: Int
    private var partial: ByteBuffer?
    private var sentAt: UInt64 = 0
    private var hasGreeted = false
    private var isDone = false

    /// - Parameters:
    ///   - first: the request to begin with; connections differ in it.
    ///   - end: uptime in nanoseconds after which no request is sent.
    init(frames: RequestFrames, first: Int, end: UInt64) {
        self.frames = frames
        self.end = end
        next = first % frames.lookups.count
        latencies.reserveCapacity(1 << 16)
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(frames.hello), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if var joined = partial {
            partial = nil
            joined.writeBuffer(&buffer)
            buffer = joined
        }
        guard let length: UInt32 = buffer.getInteger(at: buffer.readerIndex, endianness: .little),
            buffer.readableBytes >= Int(length) + 4,
            let status: UInt32 = buffer.getInteger(
                at: buffer.readerIndex + 20, endianness: .little)
        else {
            partial = buffer
            return
        }
        guard status == 0 else {
            failure = Failure(
                description: "a request was answered \(Status(rawValue: status))")
            context.close(promise: nil)
            return
        }
        let now = DispatchTime.now().uptimeNanoseconds
        if hasGreeted { latencies.append(UInt32(clamping: now - sentAt)) }
        hasGreeted = true
        guard now < end else {
            isDone = true
            context.close(promise: nil)
            return
        }
        sentAt = now
        context.writeAndFlush(wrapOutboundOut(frames.lookups[next]), promise: nil)
        next = next + 1 == frames.lookups.count ? 0 : next + 1
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone, failure == nil {
            failure = Failure(description: "the server ended a connection")
        }
    }
}
