import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// Answers what operators and their tools ask, over HTTP on a port and a thread of its own, so that
/// neither side slows the other down.
final class AdminServer: Sendable {
    let address: SocketAddress
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    private init(
        address: SocketAddress, group: MultiThreadedEventLoopGroup, listener: any Channel
    ) {
        self.address = address
        self.group = group
        self.listener = listener
    }

    static func start(
        _ address: SocketAddress, _ site: AdminSite, patience: Duration
    ) async throws(ServerError) -> AdminServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let handler = AdminHandler(site: site, patience: TimeAmount(patience))
                    try pipeline.addHandlers([
                        RequestSizeLimit(),
                        HTTPResponseEncoder(),
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)),
                        handler,
                    ])
                }
            }
        do throws(ServerError) {
            let listener = try await PatronServer.bind(bootstrap, to: address)
            return AdminServer(
                address: listener.localAddress ?? address, group: group, listener: listener)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    func stop() async {
        try? await listener.close()
        try? await group.shutdownGracefully()
    }
}

/// Ends requests that are larger than any that is meant for this server, before the parser keeps
/// their bytes.
final class RequestSizeLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What is too large.
    enum Excess: Error {
        case target
        case fields
    }

    /// Bytes of the request line.
    static let targetLimit = 2_048
    /// Bytes of a whole request; there is one on a connection.
    static let requestLimit = 16_384

    private var byteCount = 0
    private var lineByteCount = 0
    private var lineHasEnded = false
    private var hasFailed = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        let bytes = unwrapInboundIn(data)
        byteCount += bytes.readableBytes
        if !lineHasEnded {
            let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n"))
            lineByteCount += end.map { $0 - bytes.readerIndex } ?? bytes.readableBytes
            lineHasEnded = end != nil
        }
        if lineByteCount > Self.targetLimit || byteCount > Self.requestLimit {
            hasFailed = true
            context.fireErrorCaught(lineByteCount > Self.targetLimit ? Excess.target : .fields)
            return
        }
        context.fireChannelRead(data)
    }
}

/// One connection to the admin port: one request, one answer, then it closes.
final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let site: AdminSite
    private let patience: TimeAmount
    private var hasAnswered = false
    private var timer: Scheduled<Void>?

    /// - Parameter patience: from the connection's begin to the answer's last byte; a connection that
    ///   lasts longer is cut off.
    init(site: AdminSite, patience: TimeAmount) {
        self.site = site
        self.patience = patience
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !hasAnswered else { return }
        guard head.method == .GET else {
            answer(
                AdminAnswer(.methodNotAllowed, "only GET is answered here", allow: "GET"), context)
            return
        }
        let path = head.uri.prefix { $0 != "?" }
        let site = site
        hasAnswered = true
        let answered = context.eventLoop.makeFutureWithTask { await site.answer(String(path)) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        answered.whenSuccess { answer in bound.value.0.send(answer, bound.value.1) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case RequestSizeLimit.Excess.target:
            answer(AdminAnswer(.uriTooLong, "the request's target is too long"), context)
        case RequestSizeLimit.Excess.fields, HTTPParserError.headerOverflow:
            answer(
                AdminAnswer(.requestHeaderFieldsTooLarge, "the request is too large"), context)
        case is HTTPParserError:
            answer(AdminAnswer(.badRequest, "this is not HTTP"), context)
        default:
            context.close(promise: nil)
        }
    }

    private func answer(_ answer: AdminAnswer, _ context: ChannelHandlerContext) {
        guard !hasAnswered else { return }
        hasAnswered = true
        send(answer, context)
    }

    private func send(_ answer: AdminAnswer, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        var fields = HTTPHeaders([
            ("Content-Type", answer.contentType), ("Content-Length", "\(answer.body.utf8.count)"),
            ("Cache-Control", "no-store"), ("Connection", "close"),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ])
        if let allow = answer.allow { fields.add(name: "Allow", value: allow) }
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        let body = context.channel.allocator.buffer(string: answer.body)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let channel = context.channel
        // The end of the stream first: closing with bytes of the client unread would reset the
        // connection and lose the answer.
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            channel.close(mode: .output, promise: nil)
            channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
        }
    }
}

/// What is answered to a GET.
struct AdminAnswer: Sendable {
    var status: HTTPResponseStatus
    var contentType: String
    var body: String
    var allow: String?

    init(
        _ status: HTTPResponseStatus, _ body: String, contentType: String? = nil,
        allow: String? = nil
    ) {
        self.status = status
        self.body = contentType == nil ? body + "\n" : body
        self.contentType = contentType ?? "text/plain; charset=utf-8"
        self.allow = allow
    }
}
