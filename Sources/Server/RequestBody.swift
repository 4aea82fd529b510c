import NIOCore
import Synchronization
import Wire

/// The body of a request that another thread reads: the bytes as they came, without a copy where they
/// are many, and still compressed where they were.
struct RequestBody: Sendable {
    private enum Bytes: Sendable {
        case buffer(ByteBuffer)
        case array([UInt8])
    }

    private let bytes: Bytes
    /// Nil for a body that was not compressed.
    private let rawLength: Int?
    /// Kept for as long as the bytes are.
    private let share: HeldBytes.Share?

    /// A reference to what was read from the socket.
    init(_ buffer: ByteBuffer, rawLength: Int?, share: HeldBytes.Share? = nil) {
        bytes = .buffer(buffer)
        (self.rawLength, self.share) = (rawLength, share)
    }

    /// A copy.
    init(copying body: RawSpan, rawLength: Int?, share: HeldBytes.Share? = nil) {
        bytes = .array(body.lanes(at: 0, count: body.byteCount) ?? [])
        (self.rawLength, self.share) = (rawLength, share)
    }

    private init(inflated: [UInt8], share: HeldBytes.Share?) {
        bytes = .array(inflated)
        (rawLength, self.share) = (nil, share)
    }

    /// Bytes that reading it may take.
    var byteCount: Int {
        switch bytes {
        case .buffer(let buffer): buffer.readableBytes + (rawLength ?? 0)
        case .array(let array): array.count + (rawLength ?? 0)
        }
    }

    /// The same without compression. Takes a while where there is one.
    /// - Throws: `invalidBlock`.
    func inflated() throws(Refusal) -> RequestBody {
        guard let rawLength else { return self }
        do throws(WireError) {
            switch bytes {
            case .buffer(let buffer):
                return RequestBody(
                    inflated: try decompressBody(
                        buffer.readableBytesSpan, rawLength: rawLength), share: share)
            case .array(let array):
                return RequestBody(
                    inflated: try decompressBody(array.span.bytes, rawLength: rawLength),
                    share: share)
            }
        } catch {
            throw Refusal(error)
        }
    }

    /// Reads it, inflated before where it was compressed.
    func read<Result>(
        _ read: (RawSpan) throws(Refusal) -> Result
    ) throws(Refusal) -> Result {
        switch try inflated().bytes {
        case .buffer(let buffer): return try read(buffer.readableBytesSpan)
        case .array(let array): return try read(array.span.bytes)
        }
    }
}

/// How many bytes of requests wait for other threads: what clients send faster than it is worked off
/// must not fill the memory.
final class HeldBytes: Sendable {
    private let count = Atomic<Int>(0)
    private let limit: Int

    /// - Parameter limit: in all; one request alone is always let in.
    init(limit: Int) { self.limit = limit }

    /// A place for some of the bytes, which ends with it at the latest.
    final class Share: Sendable {
        private let held: HeldBytes
        private let byteCount: Atomic<Int>

        fileprivate init(_ held: HeldBytes, _ byteCount: Int) {
            self.held = held
            self.byteCount = Atomic(byteCount)
        }

        /// Gives the place to others. Called before the answer is sent: the thread that read the bytes
        /// may let go of them after the client has asked again.
        func end() {
            held.count.wrappingSubtract(
                byteCount.exchange(0, ordering: .relaxed), ordering: .relaxed)
        }

        deinit { end() }
    }

    /// - Returns: nil where there is no room.
    func share(of byteCount: Int) -> Share? {
        let before = count.wrappingAdd(byteCount, ordering: .relaxed).oldValue
        guard before == 0 || before + byteCount <= limit else {
            count.wrappingSubtract(byteCount, ordering: .relaxed)
            return nil
        }
        return Share(self, byteCount)
    }
}
