// Why unsafe: read(2) takes a pointer. It comes from memory of this object's or of the caller's,
// lives for one call, and the count is what is left of it.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Bytes that come once and in order: those of a pipe, and what gzip data unpack to, which are known
/// by their first two bytes. Memory: one part of `partByteCount` and zlib's window.
final class ByteFeed {
    /// Damage of the packed data.
    struct Damage: Equatable {
        var what: String
        /// From the first packed byte.
        var byteOffset: Int
    }

    private enum Origin {
        case descriptor(Int32)
        case memory([UInt8])
    }

    private let origin: Origin
    /// Of the origin, as they are there: read so far, and handed on or unpacked so far.
    private(set) var receivedCount = 0
    private(set) var consumedCount = 0
    private(set) var damage: Damage?
    /// Bytes of the origin that were read and not consumed: `start ..< end`.
    private let part: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    private var isStarted = false
    private var inflater: Inflater?

    private static let partByteCount = 1 << 18

    init(descriptor: Int32) {
        origin = .descriptor(descriptor)
        part = .allocate(byteCount: Self.partByteCount, alignment: 64)
    }

    init(memory: [UInt8]) {
        origin = .memory(memory)
        part = .allocate(byteCount: Self.partByteCount, alignment: 64)
    }

    deinit { part.deallocate() }

    /// Whether bytes that start like these are gzip data.
    static func isPacked(_ first: UInt8, _ second: UInt8) -> Bool {
        first == 0x1F && second == 0x8B
    }

    /// Fills `target`; with less only at the end.
    /// - Returns: how many bytes, or the system's error number as a negative one: `EBADMSG` where
    ///   `damage` says more.
    func read(into target: UnsafeMutableRawBufferPointer) -> Int {
        if !isStarted {
            let code = begin()
            if code != 0 { return -Int(code) }
        }
        var count = 0
        while count < target.count, damage == nil {
            let room = UnsafeMutableRawBufferPointer(rebasing: target[count...])
            if let inflater {
                if start == end, !isAtEnd {
                    let code = receive()
                    if code != 0 { return -Int(code) }
                }
                if start == end, isAtEnd {
                    if inflater.isBetweenMembers { break }
                    fail("it ends early")
                    break
                }
                let waiting = UnsafeMutableRawBufferPointer(rebasing: part[start..<end])
                switch inflater.unpack(waiting, into: room) {
                case .unpacked(let consumed, let produced):
                    start += consumed
                    consumedCount += consumed
                    count += produced
                case .damaged(let consumed, let what):
                    consumedCount += consumed
                    fail(what)
                case .outOfMemory:
                    return -Int(ENOMEM)
                }
            } else if start < end {
                let moved = min(end - start, room.count)
                room.copyMemory(from: .init(rebasing: part[start..<start + moved]))
                start += moved
                consumedCount += moved
                count += moved
            } else {
                guard !isAtEnd else { break }
                let received = receive(into: room)
                if received < 0 { return received }
                consumedCount += received
                count += received
            }
        }
        return damage == nil ? count : -Int(EBADMSG)
    }

    private func fail(_ what: String) {
        damage = Damage(what: what, byteOffset: consumedCount)
    }

    /// Reads the first bytes and looks what they are. Returns an error number or 0.
    private func begin() -> Int32 {
        while end < 2, !isAtEnd {
            let code = receive()
            if code != 0 { return code }
        }
        if end >= 2, Self.isPacked(part[0], part[1]) {
            inflater = Inflater()
            guard inflater != nil else { return ENOMEM }
        }
        isStarted = true
        return 0
    }

    /// Reads some bytes behind those that wait. Returns an error number or 0.
    private func receive() -> Int32 {
        if start == end { (start, end) = (0, 0) }
        let received = receive(into: .init(rebasing: part[end...]))
        if received < 0 { return Int32(-received) }
        end += received
        return 0
    }

    /// Reads what is there, at least a byte; 0 at the end. A negative error number where that fails.
    private func receive(into room: UnsafeMutableRawBufferPointer) -> Int {
        var received = 0
        switch origin {
        case .descriptor(let descriptor):
            repeat {
                received = readOnce(descriptor, room)
                // A pipe that whoever started this process does not want to wait for.
                if received < 0, errno == EAGAIN { waitForBytes(descriptor) }
            } while received < 0 && (errno == EINTR || errno == EAGAIN)
            if received < 0 { return -Int(errno) }
        case .memory(let bytes):
            received = min(room.count, bytes.count - receivedCount)
            bytes.withUnsafeBytes {
                room.copyMemory(
                    from: .init(rebasing: $0[receivedCount..<receivedCount + received]))
            }
        }
        if received == 0 { isAtEnd = true }
        receivedCount += received
        return received
    }
}

/// Waits until there is something to read; leaves `errno` as it is.
private func waitForBytes(_ descriptor: Int32) {
    let code = errno
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&waiting, 1, -1)
    errno = code
}

private func readOnce(_ descriptor: Int32, _ room: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, room.baseAddress, room.count)
}
