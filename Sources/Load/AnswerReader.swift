import ByteCoding
import Wire

/// What a server may speak.
package enum LoadProtocol: String, Sendable, CaseIterable, Codable {
    case patron
    /// RESP, as Redis and what is compatible with it: GET, or MGET of several keys.
    case redis
    /// The text protocol of memcached: get of one or several keys.
    case memcached
}

/// One answer, found in the bytes of a connection.
package struct Answer: Sendable, Equatable {
    /// The request's id; nil in protocols that answer in the order of the requests.
    package var requestID: UInt32?
    /// What went wrong, by the protocol's word for it; nil where nothing did.
    package var failure: String?
    /// Keys or customers that were found; nil where nobody looked.
    package var found: Int?
    /// The server goes away after it; it answers no request.
    package var isGoodbye = false
    /// Bytes of a frame of a stream; 0 for other answers.
    package var streamBytes = 0
    /// Whether more frames of the same answer follow.
    package var hasMore = false

    package init(
        requestID: UInt32? = nil, failure: String? = nil, found: Int? = nil, isGoodbye: Bool = false
    ) {
        self.requestID = requestID
        self.failure = failure
        self.found = found
        self.isGoodbye = isGoodbye
    }
}

/// Finds answers in bytes that come in pieces of any size.
package enum AnswerReader: Sendable {
    case patron(PatronAnswerReader)
    case redis(RedisAnswerReader)
    case memcached(MemcachedAnswerReader)

    package init(_ speaks: LoadProtocol, checkEvery: Int) {
        switch speaks {
        case .patron: self = .patron(PatronAnswerReader(checkEvery: checkEvery))
        case .redis: self = .redis(RedisAnswerReader())
        case .memcached: self = .memcached(MemcachedAnswerReader())
        }
    }

    /// The next whole answer from `offset` on, which moves behind everything that was understood.
    /// - Returns: nil where more bytes are needed; the caller keeps those from `offset` on.
    /// - Throws: malformedAnswer; the connection is of no more use.
    package mutating func next(
        _ bytes: RawSpan, at offset: inout Int
    ) throws(LoadError) -> Answer? {
        switch self {
        case .patron(var reader):
            let answer = try reader.next(bytes, at: &offset)
            self = .patron(reader)
            return answer
        case .redis(var reader):
            let answer = try reader.next(bytes, at: &offset)
            self = .redis(reader)
            return answer
        case .memcached(var reader):
            let answer = try reader.next(bytes, at: &offset)
            self = .memcached(reader)
            return answer
        }
    }
}

/// Answers of Patron (protocol/WIRE.md). Header and header checksum of every answer are checked;
/// the body's checksum and contents of one answer in `checkEvery`, the first among them, since
/// checking all would make the generator dearer than the server.
package struct PatronAnswerReader: Sendable {
    private let checkEvery: Int
    private var untilCheck = 0
    /// Nothing can be said before so many bytes of the answer are there.
    private var awaited = FrameHeader.byteCount

    package init(checkEvery: Int) { self.checkEvery = max(1, checkEvery) }

    package mutating func next(
        _ bytes: RawSpan, at offset: inout Int
    ) throws(LoadError) -> Answer? {
        guard bytes.byteCount - offset >= awaited else { return nil }
        let available = bytes.extracting(offset..<bytes.byteCount)
        do throws(WireError) {
            guard
                let header = try FrameHeader.parse(
                    available, maximumLength: WireLimits.largestFrameBytes)
            else { return nil }
            guard available.byteCount >= header.frameBytes else {
                awaited = header.frameBytes
                return nil
            }
            awaited = FrameHeader.byteCount
            offset += header.frameBytes
            guard header.isResponse else {
                throw WireError.wrongDirection(opcode: header.rawOpcode)
            }
            var answer = Answer(requestID: header.requestID)
            if !header.status.isOK { answer.failure = header.status.description }
            answer.isGoodbye = header.opcode == .goAway
            if header.opcode == .scan || header.opcode == .audience {
                answer.streamBytes = header.frameBytes
                answer.hasMore = header.flags.contains(.more)
            }
            if untilCheck == 0 {
                untilCheck = checkEvery
                answer.found = try Self.check(available, header)
            }
            untilCheck -= 1
            return answer
        } catch {
            throw .malformedAnswer(error.description)
        }
    }

    /// Reads all of an answer.
    /// - Returns: customers that a LOOKUP found; nil for other operations.
    private static func check(
        _ bytes: RawSpan, _ header: FrameHeader
    ) throws(WireError) -> Int? {
        guard case .frame(let frame) = try scanFrame(bytes, maximumLength: header.length) else {
            throw .unexpectedEnd(actual: bytes.byteCount, expected: header.frameBytes)
        }
        let payloadBytes = bytes.extracting(frame.payloadRange)
        let payload = try frame.open(payloadBytes)
        let response = try Response(
            decoding: payloadBytes.extracting(payload.bodyRange), of: header)
        guard case .lookup(let answer) = response else { return nil }
        guard case .int32(let status)? = answer.table[.rowStatus]?.values else { return nil }
        return status.count { $0 != Int32(ScoreStatus.unknownCustomer.rawValue) }
    }
}

/// Answers of Redis, RESP version 2: simple strings, errors, integers, bulk strings and flat arrays of
/// these.
package struct RedisAnswerReader: Sendable {
    /// Elements of an array that are still to come.
    private var missingElements = 0
    private var isInArray = false
    private var found = 0
    private var failure: String?

    package init() {}

    package mutating func next(
        _ bytes: RawSpan, at offset: inout Int
    ) throws(LoadError) -> Answer? {
        while let line = try TextLine(bytes, at: offset) {
            let type = bytes.byte(offset)
            switch type {
            case UInt8(ascii: "$"):
                guard let length = line.integer(bytes, from: offset + 1), length >= -1 else {
                    throw .malformedAnswer("a bulk string without a length: \(line.text(bytes))")
                }
                if length >= 0 {
                    let end = line.next + length
                    guard bytes.byteCount >= end + 2 else { return nil }
                    guard bytes.isLineEnd(end) else {
                        throw .malformedAnswer("a bulk string that does not end after \(length)")
                    }
                    offset = end + 2
                    found += 1
                } else {
                    offset = line.next
                }
            case UInt8(ascii: "*"):
                guard !isInArray, let count = line.integer(bytes, from: offset + 1), count >= -1
                else { throw .malformedAnswer("an array in an array: \(line.text(bytes))") }
                offset = line.next
                missingElements = max(0, count)
                isInArray = true
                if missingElements > 0 { continue }
                missingElements = 1
            case UInt8(ascii: "-"):
                // The first word is the kind; the rest may name keys.
                let text = line.text(bytes).dropFirst()
                failure = String(text.prefix { $0 != " " })
                offset = line.next
            case UInt8(ascii: "+"), UInt8(ascii: ":"):
                found += 1
                offset = line.next
            default:
                throw .malformedAnswer("not RESP: \(line.text(bytes))")
            }
            if isInArray {
                missingElements -= 1
                if missingElements > 0 { continue }
            }
            let answer = Answer(failure: failure, found: found)
            self = RedisAnswerReader()
            return answer
        }
        return nil
    }
}

/// Answers of memcached's text protocol to `get`: values, then END.
package struct MemcachedAnswerReader: Sendable {
    private var found = 0

    package init() {}

    package mutating func next(
        _ bytes: RawSpan, at offset: inout Int
    ) throws(LoadError) -> Answer? {
        while let line = try TextLine(bytes, at: offset) {
            // VALUE <key> <flags> <bytes> [<cas>]
            if bytes.starts("VALUE ", at: offset) {
                guard let length = Self.valueBytes(bytes, line) else {
                    throw .malformedAnswer("a value without a length: \(line.text(bytes))")
                }
                let end = line.next + length
                guard bytes.byteCount >= end + 2 else { return nil }
                guard bytes.isLineEnd(end) else {
                    throw .malformedAnswer("a value that does not end after \(length)")
                }
                offset = end + 2
                found += 1
                continue
            }
            offset = line.next
            let answer: Answer
            if bytes.starts("END\r", at: line.start) {
                answer = Answer(found: found)
            } else {
                let word = String(line.text(bytes).prefix { $0 != " " })
                guard ["CLIENT_ERROR", "ERROR", "SERVER_ERROR"].contains(word) else {
                    throw .malformedAnswer("not memcached's text: \(line.text(bytes))")
                }
                answer = Answer(failure: word, found: found)
            }
            found = 0
            return answer
        }
        return nil
    }

    private static func valueBytes(_ bytes: RawSpan, _ line: TextLine) -> Int? {
        var place = line.start
        for _ in 0..<3 {
            while place < line.end, bytes.byte(place) != UInt8(ascii: " ") { place += 1 }
            place += 1
        }
        return place < line.end ? line.integer(bytes, from: place) : nil
    }
}

/// A line that ends with CR LF.
private struct TextLine {
    let start: Int
    /// Without CR LF.
    let end: Int
    /// Where the next one begins.
    var next: Int { end + 2 }

    /// No line of either protocol's answers is longer.
    private static let limit = 8_192

    /// The line at `start`; nil where its end is not there yet.
    init?(_ bytes: RawSpan, at start: Int) throws(LoadError) {
        var place = start
        let last = bytes.byteCount - 1
        while place < last {
            if bytes.byte(place) == UInt8(ascii: "\r"),
                bytes.byte(place + 1) == UInt8(ascii: "\n")
            {
                (self.start, end) = (start, place)
                return
            }
            place += 1
            if place - start > Self.limit {
                throw .malformedAnswer("a line of more than \(Self.limit) bytes")
            }
        }
        return nil
    }

    /// The whole number from `place` to a blank or the line's end.
    func integer(_ bytes: RawSpan, from place: Int) -> Int? {
        var place = place
        let isNegative = place < end && bytes.byte(place) == UInt8(ascii: "-")
        if isNegative { place += 1 }
        guard place < end, end - place <= 18 else { return nil }
        var value = 0
        while place < end, bytes.byte(place) != UInt8(ascii: " ") {
            let digit = bytes.byte(place) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            value = value * 10 + Int(digit)
            place += 1
        }
        return isNegative ? -value : value
    }

    /// What is shown of it: at most 80 bytes.
    func text(_ bytes: RawSpan) -> String {
        let shown = (start..<min(end, start + 80)).map { bytes.byte($0) }
        return String(decoding: shown, as: UTF8.self)
    }
}

extension RawSpan {
    /// - Precondition: `offset` is inside.
    @inline(__always) fileprivate func byte(_ offset: Int) -> UInt8 {
        integer(at: offset, as: UInt8.self) ?? 0
    }

    fileprivate func isLineEnd(_ offset: Int) -> Bool {
        byte(offset) == UInt8(ascii: "\r") && byte(offset + 1) == UInt8(ascii: "\n")
    }

    fileprivate func starts(_ text: StaticString, at offset: Int) -> Bool {
        guard byteCount - offset >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount
        where byte(offset + index) != text.utf8Start[index] {
            return false
        }
        return true
    }
}
