package import Wire

/// What load is made, as the command line says it.
package struct LoadPlan: Sendable {
    package enum Pace: Sendable, Equatable {
        /// So many requests a second, whatever the server does.
        case open(rate: Double, Arrivals)
        /// Every connection keeps `pipeline` requests under way.
        case closed
    }

    package var speaks = LoadProtocol.patron
    package var pace = Pace.closed
    package var mix = OperationMix.lookups
    /// Not measured; then `seconds` are.
    package var warmUpSeconds = 1.0
    package var seconds = 10.0
    /// How long answers are waited for afterwards.
    package var drainSeconds = 2.0
    package var connections = 50
    /// Requests under way on a connection at most. What comes above it waits in the generator.
    package var pipeline = 1
    package var threads = 1
    package var idsPerRequest = 1
    package var keys = KeyDistribution.uniform
    package var customers: RequestIDs?
    package var products: RequestIDs?
    /// Columns of look-ups and streams; nil for all.
    package var columns: [ColumnID]?
    /// Of the generation that answers; nil for the current one.
    package var label: String?
    /// What COUNT and AUDIENCE ask for.
    package var rule: String?
    /// Connections that scan all customers over and over, on a thread of their own, beside the load.
    package var backgroundScans = 0
    /// Connections that are opened, greeted and then only kept alive.
    package var idleConnections = 0
    /// The server's process, to see its memory before and after those; nil where it is elsewhere.
    package var serverProcess: Int?
    /// Results asked of top, similar and offer requests.
    package var resultCount = 10
    /// In front of every id, for Redis and memcached.
    package var keyPrefix = ""
    package var seed: UInt64 = 1
    /// One answer of Patron in so many is read to its last byte.
    package var checkEvery = 256
    /// Wait in a loop of its own instead of sleeping until the next request or answer.
    package var spins = false
    /// Epoll, where there is one; otherwise poll.
    package var usesEpoll = true

    /// Bytes of chunks that a server may be ahead of the generator.
    static let credit = 1 << 20

    package init() {}

    /// What the connections of `backgroundScans` do.
    var background: LoadPlan {
        var plan = self
        plan.pace = .closed
        plan.mix = .scans
        plan.connections = backgroundScans
        plan.pipeline = 1
        plan.threads = 1
        return plan
    }

    /// Refuses what cannot be, in the words of the command line's options.
    package func validate() throws(LoadError) {
        func require(_ isRight: Bool, _ text: String) throws(LoadError) {
            if !isRight { throw .option(text) }
        }
        if case .open(let rate, _) = pace {
            try require(
                rate > 0 && rate <= 1e8,
                "--rate is above 0 and at most 100000000 requests a second, not \(rate)")
        }
        try require(
            (0.01...3_600).contains(seconds), "--duration is 0.01 to 3600 seconds, not \(seconds)")
        try require(
            (0...600).contains(warmUpSeconds),
            "--warm-up is 0 to 600 seconds, not \(warmUpSeconds)")
        try require(
            (1...10_000).contains(connections), "--connections is 1 to 10000, not \(connections)")
        try require((1...65_536).contains(pipeline), "--pipeline is 1 to 65536, not \(pipeline)")
        try require(
            (1...connections).contains(threads),
            "--threads is 1 to the number of connections, \(connections), not \(threads)")
        try require(
            (1...65_536).contains(idsPerRequest),
            "--ids-per-request is 1 to 65536, not \(idsPerRequest)")
        try require(
            (1...10_000).contains(resultCount), "--results is 1 to 10000, not \(resultCount)")
        try require(
            (0...1_000).contains(backgroundScans),
            "--background-scan is 0 to 1000 connections, not \(backgroundScans)")
        try require(
            (0...100_000).contains(idleConnections),
            "--idle-connections is 0 to 100000, not \(idleConnections)")
        try require(
            label.map { (1...WireLimits.labelBytes).contains($0.utf8.count) } ?? true,
            "--label has 1 to \(WireLimits.labelBytes) bytes")
        if mix.operations.contains(where: \.hasRule) {
            try require(
                rule.map { !$0.isEmpty && $0.utf8.count <= WireLimits.ruleBytes } ?? false,
                "count and audience need --rule, such as 'churn_probability > 0.8'")
        }
        if mix.operations.contains(where: \.isStream) {
            let most = WireLimits.connectionCredit / Self.credit
            try require(
                pipeline <= most, "--pipeline is at most \(most) with streams, not \(pipeline)")
        }
        if speaks != .patron {
            try require(
                backgroundScans == 0 && idleConnections == 0,
                "--background-scan and --idle-connections are for --protocol patron")
            try require(
                label == nil, "--label is for --protocol patron; other servers have one state")
            try require(
                mix == .lookups, "--mix is for --protocol patron; other servers are asked for keys")
            try require(
                columns == nil, "--columns is for --protocol patron; other servers have values")
        }
        for operation in mix.operations {
            switch operation.subject {
            case .customer where customers == nil:
                throw .option(
                    "\(operation.rawValue) needs customers: --id-range FIRST-LAST or --ids FILE")
            case .product where products == nil:
                throw .option(
                    """
                    \(operation.rawValue) needs products: --product-range FIRST-LAST or \
                    --products FILE
                    """)
            default: break
            }
        }
        try validateKeys()
    }

    /// memcached ends a key at a blank, and takes no longer ones.
    private func validateKeys() throws(LoadError) {
        guard speaks == .memcached else { return }
        var longest = 20
        var isPlain = keyPrefix.utf8.allSatisfy { $0 > 32 && $0 != 127 }
        if case .texts(let ids)? = customers {
            longest = ids.map(\.utf8.count).max() ?? 0
            isPlain = isPlain && ids.allSatisfy { $0.utf8.allSatisfy { $0 > 32 && $0 != 127 } }
        }
        guard isPlain, keyPrefix.utf8.count + longest <= 250 else {
            throw .option("keys of memcached are at most 250 bytes without blanks")
        }
    }
}
