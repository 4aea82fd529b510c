import ByteCoding
import NIOCore
import Wire

/// Where a stream goes on after a chunk; only the server that made it can read it.
public struct StreamToken: Sendable, Hashable {
    let token: ResumeToken
}

/// Some of the customers of a stream.
public struct CustomerChunk: Sendable {
    public var snapshot: SnapshotInfo
    public var ids: [PatronID]
    /// Why a row has no scores, or ok.
    public var status: [CustomerStatus]
    /// A value a customer, in the order of the columns asked for.
    public var columns: [ScoreValues]
    /// How many customers of the snapshot the stream has gone past.
    public var scannedCount: Int
    /// To go on behind this chunk on another connection.
    public var token: StreamToken

    /// The column of that id; nil where the answer has none.
    public func column(_ id: UInt16) -> ScoreValues? { columns.first { $0.id == id } }
}

/// The customers of a stream, chunk by chunk as they arrive. The server sends no more than the
/// reader has made room for; a reader that stops early ends the stream.
public struct CustomerChunks: AsyncSequence, Sendable {
    public typealias Element = CustomerChunk

    let connection: PatronConnection
    let requestID: UInt32
    let replies: AsyncThrowingStream<Reply, any Error>

    public struct AsyncIterator: AsyncIteratorProtocol {
        let connection: PatronConnection
        let requestID: UInt32
        var replies: AsyncThrowingStream<Reply, any Error>.Iterator

        /// - Throws: `PatronError`.
        public mutating func next() async throws -> CustomerChunk? {
            guard let reply = try await replies.next() else { return nil }
            let chunk: StreamChunk
            switch try PatronConnection.decode(reply) {
            case .scan(let found), .audience(let found): chunk = found
            default: throw connection.unexpected("a stream")
            }
            if chunk.hasMore {
                connection.give(credit: UInt32(clamping: reply.frame.range.count), to: requestID)
            }
            return try CustomerChunk(chunk)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(
            connection: connection, requestID: requestID, replies: replies.makeAsyncIterator())
    }
}

extension CustomerChunk {
    init(_ chunk: StreamChunk) throws(PatronError) {
        guard let ids = chunk.table[.entityID]?.ids,
            case .int32(let statuses)? = chunk.table[.rowStatus]?.values
        else { throw .malformedAnswer(reason: "ids or statuses are missing") }
        self.init(
            snapshot: SnapshotInfo(chunk.stamp), ids: (0..<ids.count).map { PatronID(ids[$0]) },
            status: statuses.map { CustomerStatus(Int($0)) },
            columns: chunk.table.columns
                .filter { $0.id != .rowStatus && $0.id != .entityID }.map(ScoreValues.init),
            scannedCount: Int(clamping: chunk.scannedCustomers),
            token: StreamToken(token: chunk.resumeToken))
    }
}

extension PatronConnection {
    /// How many customers a rule holds for, such as `lifetime_value >= 100 and not value_segment =
    /// "Sleeping"`; protocol/WIRE.md, "Rules".
    public func count(rule: String, deadline: Duration? = nil) async throws(PatronError) -> Int {
        let request = Request.count(CountRequest(rule: rule))
        guard case .count(let answer) = try await ask(request, deadline) else {
            throw unexpected("COUNT")
        }
        return Int(clamping: answer.matchingCustomers)
    }

    /// All customers, or those that a rule holds for, in the order of the snapshot.
    /// - Parameters:
    ///   - rule: nil for all.
    ///   - columns: ids of the columns wanted; nil for all.
    ///   - token: of the last chunk read, to go on with a stream of the same rule and columns that
    ///     was interrupted; refused as `snapshotChanged` where the server has moved on since.
    ///   - credit: bytes that the server may send before they are read; 256 KiB … 16 MiB.
    ///   - deadline: for all of it; nil for none.
    /// - Throws: `PatronError` at once where the request cannot be sent, otherwise while it is read.
    public func customers(
        rule: String? = nil, columns: [UInt16]? = nil, after token: StreamToken? = nil,
        credit: Int = 1 << 20, deadline: Duration? = nil
    ) throws(PatronError) -> CustomerChunks {
        let request = StreamRequest(
            credit: UInt32(
                min(max(credit, WireLimits.smallestCredit), WireLimits.connectionCredit)),
            columns: columns?.map { ColumnID(rawValue: $0) }, resumeToken: token?.token,
            rule: rule)
        let (id, replies) = try stream(rule == nil ? .scan(request) : .audience(request), deadline)
        return CustomerChunks(connection: self, requestID: id, replies: replies)
    }
}
