import ByteCoding
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// A server that does what a test says, frame by frame, and remembers what it was asked.
final class ScriptedServer: Sendable {
    /// A frame that came.
    struct Asked: Sendable {
        let request: Request
        /// The connection's place among all, in the order of their coming.
        let connection: Int
        /// How many frames of this opcode came before, on all connections.
        let index: Int
        /// What the client gives it; 0 for no limit.
        let deadlineMilliseconds: UInt32
        let hasIdempotencyKey: Bool
        let label: String?
    }

    enum Action: Sendable {
        case answer(Response, meta: [MetaItem] = [])
        case later(TimeAmount, Response)
        /// Waits for `release`.
        case held(Response)
        case goAway(Status)
        case close
    }

    typealias Script = @Sendable (Asked) -> [Action]

    private struct State: Sendable {
        var asked: [Asked] = []
        var connectionCount = 0
        var closedCount = 0
        var held: [@Sendable () -> Void] = []
        var channels: [any Channel] = []
    }

    private let state = Mutex(State())
    private let script: Script
    private let listener = Mutex<(any Channel)?>(nil)
    let port: Int
    private let greets: Bool
    private let lookupIDs: Int

    /// Answers HELLO by itself.
    /// - Parameters:
    ///   - port: 0 for a free one.
    ///   - greets: false never answers HELLO.
    ///   - lookupIDs: what HELLO says of them.
    static func start(
        port: Int = 0, greets: Bool = true, lookupIDs: Int = 65_536, _ script: @escaping Script
    ) async throws -> ScriptedServer {
        let box = Shared<ScriptedServer?>(nil)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    guard let server = box.value else {
                        throw ChannelError.ioOnClosedChannel
                    }
                    try child.pipeline.syncOperations.addHandler(Handler(server, child))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        let server = ScriptedServer(
            channel.localAddress?.port ?? 0, greets, lookupIDs, script)
        server.listener.withLock { $0 = channel }
        box.value = server
        return server
    }

    private init(
        _ port: Int, _ greets: Bool, _ lookupIDs: Int, _ script: @escaping Script
    ) {
        self.lookupIDs = lookupIDs
        self.port = port
        self.greets = greets
        self.script = script
    }

    func stop() async {
        try? await listener.withLock { $0.take() }?.close()
        for channel in state.withLock({ $0.channels }) { try? await channel.close() }
    }

    /// All frames but HELLO.
    var asked: [Asked] { state.withLock { $0.asked } }
    var connectionCount: Int { state.withLock { $0.connectionCount } }

    var closedCount: Int { state.withLock { $0.closedCount } }

    func asked(_ opcode: Opcode) -> [Asked] { asked.filter { $0.request.opcode == opcode } }

    /// Sends what is held, in the order in which it was asked; as many answers as there are, or fewer.
    func release(_ count: Int = .max) {
        let sends = state.withLock { state in
            let some = Array(state.held.prefix(count))
            state.held.removeFirst(some.count)
            return some
        }
        for send in sends { send() }
    }

    fileprivate func hold(_ send: @escaping @Sendable () -> Void) {
        state.withLock { $0.held.append(send) }
    }

    /// Until so many frames of an operation have come.
    func waitFor(_ count: Int, _ opcode: Opcode) async throws {
        try await wait { asked(opcode).count >= count }
    }

    fileprivate func accepted(_ channel: any Channel) -> Int {
        state.withLock {
            $0.connectionCount += 1
            $0.channels.append(channel)
            return $0.connectionCount - 1
        }
    }

    fileprivate func closed() { state.withLock { $0.closedCount += 1 } }

    fileprivate func actions(
        for request: Request, _ header: FrameHeader, _ meta: [MetaItem], _ connection: Int
    ) -> [Action] {
        if case .hello = request, header.requestID == 1 {
            var hello = HelloResponse(serverName: "script")
            hello.activeFeatures = .streams
            hello.maximumLookupIDs = UInt32(lookupIDs)
            return greets ? [.answer(.hello(hello))] : []
        }
        var hasKey = false
        for case .idempotencyKey in meta { hasKey = true }
        var label: String?
        for case .modelLabel(let name) in meta { label = name }
        let asked = state.withLock { state in
            let asked = Asked(
                request: request, connection: connection,
                index: state.asked.count { $0.request.opcode == request.opcode },
                deadlineMilliseconds: header.deadlineMilliseconds, hasIdempotencyKey: hasKey,
                label: label)
            state.asked.append(asked)
            return asked
        }
        // These have no answer.
        return request.opcode.isAboutAnother ? [] : script(asked)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let server: ScriptedServer
        private let connection: Int
        private var bytes: [UInt8] = []

        init(_ server: ScriptedServer, _ channel: any Channel) {
            self.server = server
            connection = server.accepted(channel)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += Array(unwrapInboundIn(data).readableBytesView)
            while let (header, request, meta) = nextFrame() {
                let actions = server.actions(for: request, header, meta, connection)
                for action in actions { perform(action, header.requestID, context.channel) }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            server.closed()
            context.fireChannelInactive()
        }

        private func nextFrame() -> (FrameHeader, Request, [MetaItem])? {
            let copy = bytes
            guard
                case .frame(let frame)? = try? scanFrame(
                    copy.span.bytes, maximumLength: WireLimits.largestFrameBytes)
            else { return nil }
            let payload = copy.span.bytes.extracting(frame.payloadRange)
            guard let opened = try? frame.open(payload),
                let request = try? Request(
                    decoding: payload.extracting(opened.bodyRange), of: frame.header)
            else { return nil }
            bytes.removeFirst(frame.range.count)
            return (frame.header, request, opened.meta)
        }

        private func perform(_ action: Action, _ requestID: UInt32, _ channel: any Channel) {
            switch action {
            case .answer(let response, let meta):
                Self.send(response, meta, requestID, channel)
            case .held(let response):
                server.hold {
                    channel.eventLoop.execute { Self.send(response, [], requestID, channel) }
                }
            case .later(let time, let response):
                channel.eventLoop.scheduleTask(in: time) {
                    Self.send(response, [], requestID, channel)
                }
            case .goAway(let status):
                let reason = ErrorBody(text: "the test says so")
                Self.send(
                    .goAway(status, GoAway(graceMilliseconds: 1_000, reason: reason)), [], 0,
                    channel)
            case .close: channel.close(promise: nil)
            }
        }

        private static func send(
            _ response: Response, _ meta: [MetaItem], _ requestID: UInt32, _ channel: any Channel
        ) {
            var writer = ByteWriter()
            response.encodeFrame(requestID: requestID, meta: meta, into: &writer)
            channel.writeAndFlush(channel.allocator.buffer(bytes: writer.bytes), promise: nil)
        }
    }
}

/// Until something holds, for half a minute at most: all tests share the machine.
func wait(_ condition: () -> Bool) async throws {
    for _ in 0..<6_000 where !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// A value that tasks share.
final class Shared<Value: Sendable>: Sendable {
    private let stored: Mutex<Value>

    init(_ value: Value) { stored = Mutex(value) }

    var value: Value {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}

private let stamp = SnapshotStamp(generation: 3, asOfDay: 20_000, currency: "EUR", models: [])

/// What a look-up is answered with: column 10 holds twice the id; ids below 0 are unknown.
func twice(_ request: Request, generation: UInt64 = 3) -> Response {
    let stamp = SnapshotStamp(
        generation: generation, asOfDay: 20_000, currency: "EUR", models: [])
    guard case .lookup(let lookup) = request, case .integers(let ids) = lookup.ids else {
        return refused(.lookup, .wrongIDKind)
    }
    let table = Table(
        rowCount: ids.count,
        columns: [
            WireColumn(.rowStatus, .int32(ids.map { $0 < 0 ? 1 : 0 })),
            WireColumn(
                ColumnID(rawValue: 10), .float64(ids.map { Double($0) * 2 }),
                validity: ValidityBitmap(ids.map { $0 >= 0 })),
        ])
    return .lookup(TableAnswer(stamp: stamp, table: table))
}

func refused(_ opcode: Opcode, _ status: Status) -> Response {
    .failure(rawOpcode: opcode.rawValue, status, ErrorBody(text: "the test says so"))
}

/// The customers `ids` of a stream that has gone past the last of them.
func chunk(_ ids: [Int64], hasMore: Bool) -> Response {
    let table = Table(
        rowCount: ids.count,
        columns: [
            WireColumn(.entityID, ids: .integers(ids)),
            WireColumn(.rowStatus, .int32(ids.map { _ in 0 })),
        ])
    return .scan(
        StreamChunk(
            stamp: stamp, scannedCustomers: UInt64(ids.last ?? 0),
            resumeToken: ResumeToken(words: [3, UInt64(ids.last ?? 0), 0, 0]), table: table,
            hasMore: hasMore))
}
