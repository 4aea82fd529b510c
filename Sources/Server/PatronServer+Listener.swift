import Logging
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension PatronServer {
    /// An address to bind, refused where it is not loopback and nothing guards it.
    static func resolve(
        host: String, port: Int, isGuarded: Bool
    ) throws(ServerError) -> SocketAddress {
        let name = "\(host):\(port)"
        guard (0...65_535).contains(port) else {
            throw .bindFailed(address: name, reason: "a port is between 0 and 65535")
        }
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        } catch {
            throw .bindFailed(address: name, reason: "the host name is unknown")
        }
        guard isGuarded || address.isLoopback else { throw .insecureBind(address: name) }
        return address
    }

    /// Lets the process open as many files as the connections need, and returns how many
    /// connections there may be. Without files left, a connection could not even be refused: it
    /// would wait in the kernel while the listener spins.
    static func makeRoom(forConnections count: Int, _ logger: Logger) -> Int {
        // For snapshots, event loops, the standard streams and connections that are being refused.
        let reserve = 256
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return count }
        let wanted = rlim_t(count + reserve)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = min(wanted, limit.rlim_max)
            // The open-file limit of the process stays as it is where this fails.
            if setrlimit(resource, &limit) != 0 { _ = getrlimit(resource, &limit) }
        }
        guard limit.rlim_cur < wanted else { return count }
        let room = max(1, Int(limit.rlim_cur) - reserve)
        logger.warning(
            "fewer connections than configured: the process may not open more files",
            metadata: ["connections": "\(room)", "openFileLimit": "\(limit.rlim_cur)"])
        return room
    }

    static func listen(
        _ address: SocketAddress, _ shared: ServerShared, _ group: MultiThreadedEventLoopGroup,
        certificates: ServedCertificates?
    ) async throws(ServerError) -> any Channel {
        let output = shared.limits.pendingOutputByteCount
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(low: output / 4, high: output)
            )
            .childChannelInitializer { channel in
                guard let state = shared.loopState(of: channel.eventLoop) else {
                    return channel.close()
                }
                return channel.eventLoop.makeCompletedFuture {
                    if let certificates {
                        try channel.pipeline.syncOperations.addHandlers([
                            PlainTextGuard(loop: state, refusals: shared.refusals),
                            NIOSSLServerHandler(context: certificates.context),
                        ])
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        FrameHandler(shared: shared, loop: state, isPlain: certificates == nil))
                }
            }
        return try await bind(bootstrap, to: address)
    }

    static func bind(
        _ bootstrap: ServerBootstrap, to address: SocketAddress
    ) async throws(ServerError) -> any Channel {
        do {
            return try await bootstrap.bind(to: address).get()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw .addressInUse(address: name(of: address))
        } catch {
            throw .bindFailed(address: name(of: address), reason: "\(error)")
        }
    }

    static func name(of address: SocketAddress) -> String {
        let host = address.ipAddress ?? "?"
        let port = address.port.map(String.init) ?? "?"
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension SocketAddress {
    /// Whether only this machine can reach it.
    var isLoopback: Bool {
        switch self {
        case .v4: ipAddress?.hasPrefix("127.") ?? false
        case .v6: ipAddress == "::1"
        case .unixDomainSocket: true
        }
    }
}
