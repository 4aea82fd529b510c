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

    /// A stream on one connection.
    struct Opened: Sendable {
        let connection: PatronConnection
        let requestID: UInt32
        let replies: AsyncThrowingStream<Reply, any Error>
    }

    /// How a stream is opened anew behind a token, after its connection was lost.
    struct Reopening: Sendable {
        let open: @Sendable (StreamToken?) async throws(PatronError) -> Opened
        /// How long to wait after so many failures in a row; nil where the error stands.
        let pause: @Sendable (PatronError, Int, _ hasToken: Bool) -> Duration?
    }

    let opened: Opened?
    let token: StreamToken?
    let reopening: Reopening?

    public struct AsyncIterator: AsyncIteratorProtocol {
        private struct Current {
            let connection: PatronConnection
            let requestID: UInt32
            var replies: AsyncThrowingStream<Reply, any Error>.Iterator

            init(_ opened: Opened) {
                connection = opened.connection
                requestID = opened.requestID
                replies = opened.replies.makeAsyncIterator()
            }
        }

        private var current: Current?
        private var token: StreamToken?
        private let reopening: Reopening?
        private var failures = 0
        private var isDone = false

        init(_ chunks: CustomerChunks) {
            current = chunks.opened.map { Current($0) }
            token = chunks.token
            reopening = chunks.reopening
        }

        /// - Throws: `PatronError`.
        public mutating func next() async throws -> CustomerChunk? {
            while !isDone {
                do {
                    if let chunk = try await chunk() {
                        failures = 0
                        token = chunk.token
                        return chunk
                    }
                    return nil
                } catch let error as PatronError {
                    failures += 1
                    guard let pause = reopening?.pause(error, failures, token != nil) else {
                        isDone = true
                        throw error
                    }
                    current = nil
                    if pause > .zero, (try? await Task.sleep(for: pause)) == nil {
                        isDone = true
                        throw PatronError.cancelled
                    }
                }
            }
            return nil
        }

        private mutating func chunk() async throws -> CustomerChunk? {
            if current == nil, let reopening {
                current = Current(try await reopening.open(token))
            }
            guard let reply = try await current?.replies.next() else {
                isDone = true
                // A cancelled task sees the end of its streams, which must not look like the last
                // chunk.
                if Task.isCancelled { throw PatronError.cancelled }
                return nil
            }
            guard let current else { return nil }
            let chunk: StreamChunk
            switch try PatronConnection.decode(reply) {
            case .scan(let found), .audience(let found): chunk = found
            default: throw current.connection.unexpected("a stream")
            }
            if chunk.hasMore {
                current.connection.give(
                    credit: UInt32(clamping: reply.frame.range.count), to: current.requestID)
            } else {
                isDone = true
            }
            return try CustomerChunk(chunk)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
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

extension StreamRequest {
    init(rule: String?, columns: [UInt16]?, after token: StreamToken?, credit: Int) {
        self.init(
            credit: UInt32(
                min(max(credit, WireLimits.smallestCredit), WireLimits.connectionCredit)),
            columns: columns?.map { ColumnID(rawValue: $0) }, resumeToken: token?.token,
            rule: rule)
    }
}

extension PatronConnection {
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
        let request = StreamRequest(rule: rule, columns: columns, after: token, credit: credit)
        return CustomerChunks(
            opened: try openStream(request, deadline), token: token, reopening: nil)
    }

    func openStream(
        _ request: StreamRequest, _ deadline: Duration?
    ) throws(PatronError) -> CustomerChunks.Opened {
        let asked = request.rule == nil ? Request.scan(request) : .audience(request)
        let (id, replies) = try stream(asked, deadline)
        return CustomerChunks.Opened(connection: self, requestID: id, replies: replies)
    }
}
