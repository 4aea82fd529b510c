package import Engine
package import UnixSignals
package import Wire

/// Tells where the current generation lies; nil where nothing is published yet. Called by one
/// thread at a time, every `ServerConfiguration.snapshotPollInterval`.
package typealias SnapshotSource = @Sendable () throws(EngineError) -> SnapshotLocation?

/// Everything a server is started with.
package struct ServerConfiguration: Sendable {
    /// A host name or an IPv4 or IPv6 address.
    package var host: String
    /// 0 takes a free one.
    package var port: Int
    /// Event loops: more serve more connections at once, at the cost of more context switches.
    /// At least 1.
    package var loopCount: Int
    /// Threads for TOP_PRODUCTS and TOP_CUSTOMERS, which look-ups never wait for. At least 1.
    package var scanThreadCount: Int
    /// Lets an address other than loopback be served though nothing guards it.
    package var allowInsecure: Bool
    /// The folder of the workspace, for clients that list, publish and label its generations, and for
    /// answers that need its models; nil where none may.
    package var workspace: String?
    /// Nil speaks plain TCP.
    package var tls: TLSFiles?
    /// A file of tokens (`TokenTable`); nil lets every client do everything.
    package var tokensPath: String?
    /// Whose live purchases are taken, with a log in its folder; nil takes none.
    package var liveWorkspace: String?
    /// How soon a change of that file counts.
    package var tokenPollInterval: Duration = .seconds(1)
    /// How soon a change of the files of `tls` counts.
    package var certificatePollInterval: Duration = .seconds(1)
    /// From one line of the log about a connection that was refused or broken to the next one for the
    /// same reason; those in between are counted.
    package var refusalLogInterval: Duration = .seconds(1)
    /// Seconds since 1970-01-01, UTC: by these tokens and certificates expire.
    package var now: @Sendable () -> Int = { LogTime.now.milliseconds / 1_000 }
    /// Where operators ask over HTTP; nil nowhere.
    package var admin: AdminAddress?
    /// How long a connection there may last, from its begin to the answer's last byte.
    package var adminPatience: Duration = .seconds(10)
    /// Whether look-ups are made before the first client is answered.
    package var warmsUp = true
    package var limits: ServerLimits
    /// From one frame of PROGRESS of a request to its next one.
    package var progressInterval: Duration = .milliseconds(300)
    /// How soon after a publish the server moves to the new generation.
    package var snapshotPollInterval: Duration
    /// How long after GOAWAY new requests are still answered.
    package var drainDelay: Duration
    /// How long requests in flight may take to finish after that.
    package var drainTimeout: Duration
    /// Signals of the process that end a drain at once. Several servers of one process share them.
    package var hasteningSignals: [UnixSignal] = [.sigterm, .sigint]

    package init(
        host: String = "127.0.0.1", port: Int = 0, loopCount: Int = 2, scanThreadCount: Int = 1,
        allowInsecure: Bool = false, limits: ServerLimits = ServerLimits(),
        snapshotPollInterval: Duration = .milliseconds(200),
        drainDelay: Duration = .milliseconds(200), drainTimeout: Duration = .seconds(30)
    ) {
        self.host = host
        self.port = port
        self.loopCount = loopCount
        self.scanThreadCount = scanThreadCount
        self.allowInsecure = allowInsecure
        self.limits = limits
        self.snapshotPollInterval = snapshotPollInterval
        self.drainDelay = drainDelay
        self.drainTimeout = drainTimeout
    }
}

/// A host name or address and a port; 0 takes a free one.
package struct AdminAddress: Sendable, Equatable {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

/// What one client may ask of the server. The defaults are those of protocol/WIRE.md.
package struct ServerLimits: Sendable, Equatable {
    /// Frame size, ids and columns a LOOKUP, results a TOP request, and what decoding may take.
    package var wire = WireLimits.standard
    /// Requests not answered yet, a connection.
    package var inFlightPerConnection = 1_024
    /// Scans waiting for a thread, over all connections.
    package var queuedScanCount = 4_096
    /// Bytes of their bodies that wait for a thread to read them, likewise.
    package var heldRequestByteCount = 256 << 20
    /// EXPLAIN requests waiting for their thread, likewise.
    package var queuedExplanationCount = 256
    package var connectionCount = 10_000
    /// Of one address of the network.
    package var connectionsPerAddress = 256
    /// For requests that name none; nil lets them take as long as they need.
    package var defaultDeadline: Duration?
    /// From accept to a HELLO that succeeded.
    package var handshakeTimeout: Duration = .seconds(3)
    /// From the first byte of a frame to the end of its header; its body may take as long again
    /// as `minimumBytesPerSecond` says.
    package var frameTimeout: Duration = .seconds(10)
    package var minimumBytesPerSecond = 16 << 10
    /// Without a frame in either direction.
    package var idleTimeout: Duration = .seconds(600)
    /// How long a client may take no byte of the answers that wait for it before it is
    /// disconnected.
    package var writeStallTimeout: Duration = .seconds(10)
    /// Bytes of answers not taken by the client yet; above them the server answers and reads no
    /// more of its requests.
    package var pendingOutputByteCount = 1 << 20

    package init() {}
}
