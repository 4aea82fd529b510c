#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A request that waits for its answer. Times are nanoseconds of the monotonic clock.
struct OpenRequest {
    /// When it was to be sent.
    var intended: UInt64 = 0
    /// When its bytes were given to the system.
    var sent: UInt64 = 0
    /// Its operation's place in the mix.
    var operation = 0
    var isOpen = false
}

/// A connection of the generator: bytes that wait to be sent, bytes of unfinished answers, and the
/// requests under way. Its two buffers grow here; whoever makes one frees it, and makes no copy.
///
/// A struct, since checking the access to a class's properties took a seventh of the generator's time.
struct Connection {
    private var transport: Transport
    private(set) var inFlight = 0
    /// Whether it stands in the queue of those that can take a request.
    var isQueued = false
    /// Whether the system is asked to tell when there is room to write.
    var waitsToWrite = false
    /// False once the server has said goodbye.
    var accepts = true
    var isLost = false
    private var reader: AnswerReader
    private let answersInOrder: Bool

    private(set) var requests: [OpenRequest]
    private var freeSlots: [Int]
    private var nextSlot = 0
    private var oldestSlot = 0
    /// Slots of requests whose bytes have not been given to the system.
    private var unsent: [Int] = []

    var output: OutputBuffer
    private var input: UnsafeMutableRawPointer
    private var inputCapacity = 64 << 10
    private var inputStart = 0
    private var inputEnd = 0
    /// Room that is there before bytes are received.
    private static let leastRoom = 16 << 10

    init(_ transport: Transport, speaks: LoadProtocol, pipeline: Int, checkEvery: Int) {
        self.transport = transport
        reader = AnswerReader(speaks, checkEvery: checkEvery)
        answersInOrder = speaks != .patron
        requests = [OpenRequest](repeating: OpenRequest(), count: pipeline)
        freeSlots = Array((0..<pipeline).reversed())
        output = OutputBuffer()
        input = .allocate(byteCount: inputCapacity, alignment: 64)
    }

    mutating func free() {
        transport.close()
        output.free()
        input.deallocate()
    }

    var socket: StreamSocket { transport.socket }
    var hasRoom: Bool { accepts && inFlight < requests.count }
    var hasOutput: Bool { output.count > 0 || transport.hasUnsent }
    /// Whether there is something to receive that the system does not tell of.
    var hasInput: Bool { transport.hasReceived }

    /// Enters a request.
    /// - Precondition: fewer are under way than the pipeline holds.
    /// - Parameter intended: nil for "as soon as it is sent".
    /// - Returns: its id.
    mutating func begin(operation: Int, intended: UInt64?) -> UInt32 {
        let slot: Int
        if answersInOrder {
            slot = nextSlot
            nextSlot = nextSlot + 1 == requests.count ? 0 : nextSlot + 1
        } else {
            slot = freeSlots.removeLast()
        }
        requests[slot] = OpenRequest(
            intended: intended ?? .max, sent: 0, operation: operation, isOpen: true)
        unsent.append(slot)
        inFlight += 1
        return UInt32(slot + 1)
    }

    /// The open request of an id.
    func request(_ id: UInt32?) -> OpenRequest? {
        guard let slot = id.map({ Int($0) - 1 }), requests.indices.contains(slot),
            requests[slot].isOpen
        else { return nil }
        return requests[slot]
    }

    /// The request that an answer belongs to; nil for an answer that nobody waits for.
    mutating func finish(_ answer: Answer) -> OpenRequest? {
        let slot: Int
        if let id = answer.requestID {
            slot = Int(id) - 1
            guard requests.indices.contains(slot), requests[slot].isOpen else { return nil }
            freeSlots.append(slot)
        } else {
            slot = oldestSlot
            guard requests[slot].isOpen else { return nil }
            oldestSlot = oldestSlot + 1 == requests.count ? 0 : oldestSlot + 1
        }
        requests[slot].isOpen = false
        inFlight -= 1
        return requests[slot]
    }

    /// Gives the system as much as it takes.
    /// - Returns: an error number, or 0.
    mutating func flush() -> Int32 {
        guard hasOutput else { return 0 }
        if !unsent.isEmpty {
            let now = monotonicNanoseconds()
            for slot in unsent {
                requests[slot].sent = now
                if requests[slot].intended == .max { requests[slot].intended = now }
            }
            unsent.removeAll(keepingCapacity: true)
        }
        while hasOutput {
            let sent = transport.send(output.bytes)
            if sent >= 0 {
                output.drop(sent)
            } else if sent == -Int(EAGAIN) || sent == -Int(EWOULDBLOCK) {
                return 0
            } else if sent != -Int(EINTR) {
                return Int32(-sent)
            }
        }
        return 0
    }

    /// Takes bytes that have come.
    /// - Returns: how many, 0 at the end of the stream, or a negative error number; EAGAIN where
    ///   there are none.
    mutating func receive() throws(LoadError) -> Int {
        makeRoom()
        let room = UnsafeMutableRawBufferPointer(
            start: input + inputEnd, count: inputCapacity - inputEnd)
        while true {
            let count = try transport.receive(room)
            if count >= 0 {
                inputEnd += count
                return count
            }
            if count != -Int(EINTR) { return count }
        }
    }

    /// Moves the bytes of an unfinished answer to the front where there is little room behind them,
    /// and takes twice the memory where that is not enough.
    private mutating func makeRoom() {
        let count = inputEnd - inputStart
        if inputStart > 0, count == 0 || inputCapacity - inputEnd < Self.leastRoom {
            input.copyMemory(from: input + inputStart, byteCount: count)
            (inputStart, inputEnd) = (0, count)
        }
        guard inputCapacity - inputEnd < Self.leastRoom else { return }
        let larger = UnsafeMutableRawPointer.allocate(
            byteCount: inputCapacity * 2, alignment: 64)
        larger.copyMemory(from: input, byteCount: inputEnd)
        input.deallocate()
        input = larger
        inputCapacity *= 2
    }

    /// The next whole answer; nil where there is none yet.
    /// - Parameter byteCount: is given the bytes that were understood.
    mutating func nextAnswer(byteCount: inout Int) throws(LoadError) -> Answer? {
        let view = UnsafeRawBufferPointer(start: input + inputStart, count: inputEnd - inputStart)
        let bytes = view.bytes
        var offset = 0
        let answer = try reader.next(bytes, at: &offset)
        inputStart += offset
        byteCount += offset
        return answer
    }
}

/// Bytes that wait to be sent. Whoever makes one frees it.
struct OutputBuffer {
    private var base: UnsafeMutableRawPointer
    private var capacity = 4 << 10
    private var start = 0
    private var end = 0

    init() { base = .allocate(byteCount: capacity, alignment: 64) }

    func free() { base.deallocate() }

    var count: Int { end - start }
    /// Valid until the buffer changes.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + start, count: count) }

    mutating func drop(_ byteCount: Int) {
        start += byteCount
        if start == end { (start, end) = (0, 0) }
    }

    /// Appends `byteCount` bytes that the caller writes at once.
    @inline(__always) mutating func extend(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if capacity - end < byteCount { grow(byteCount) }
        let place = base + end
        end += byteCount
        return place
    }

    private mutating func grow(_ byteCount: Int) {
        let needed = count + byteCount
        if needed > capacity {
            while capacity < needed { capacity *= 2 }
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
            larger.copyMemory(from: base + start, byteCount: count)
            base.deallocate()
            base = larger
        } else {
            base.copyMemory(from: base + start, byteCount: count)
        }
        (start, end) = (0, count)
    }

    @inline(__always) mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let first = source.baseAddress else { return }
        extend(source.count).copyMemory(from: first, byteCount: source.count)
    }

    mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ text: String) {
        if text.isEmpty { return }
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends the decimal digits of a number.
    mutating func append(decimal value: Int64) {
        let digits = Self.digitCount(value)
        var place = extend(digits) + digits
        var rest = value.magnitude
        repeat {
            place -= 1
            place.storeBytes(of: UInt8(ascii: "0") + UInt8(rest % 10), as: UInt8.self)
            rest /= 10
        } while rest > 0
        if value < 0 { (place - 1).storeBytes(of: UInt8(ascii: "-"), as: UInt8.self) }
    }

    /// Characters of a number in decimal.
    static func digitCount(_ value: Int64) -> Int {
        var count = value < 0 ? 2 : 1
        var rest = value.magnitude
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        return count
    }
}
