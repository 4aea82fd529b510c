import ByteCoding
import NIOCore
import Wire

/// How the answers of a connection are written, as HELLO agreed.
struct AnswerStyle: Sendable {
    /// The largest `length` that the client accepts, of a frame as it is without compression.
    var frameByteCount: Int
    var features: Features

    /// A whole frame, made on a scan thread; an error body where it is too large.
    /// - Parameter times: nil for what has none.
    func encode(_ response: Response, _ header: FrameHeader, _ times: AnswerTimes?) -> [UInt8] {
        var writer = ByteWriter()
        let length = write(
            response, header, times, compressing: WireLimits.compressedSizes, into: &writer)
        if length > frameByteCount {
            writer.removeAll()
            FrameHandler.failure(header, FrameHandler.tooLarge(length, frameByteCount))
                .encodeFrame(requestID: header.requestID, into: &writer)
        }
        return writer.bytes
    }

    /// - Parameter sizes: of bodies that this thread may compress, where that was agreed on.
    /// - Returns: the `length` without compression.
    func write(
        _ response: Response, _ header: FrameHeader, _ times: AnswerTimes?,
        compressing sizes: ClosedRange<Int>, into writer: inout ByteWriter
    ) -> Int {
        let sizes = features.contains(.lz4) ? sizes : nil
        guard features.contains(.timings), let times, response.status.isOK else {
            return response.encodeFrame(
                requestID: header.requestID, compressing: sizes, into: &writer)
        }
        return response.encodeFrame(
            requestID: header.requestID, meta: times.meta, compressing: sizes,
            encodeTime: { times.encodeMicroseconds }, into: &writer)
    }
}

/// Where an answer's time went; uptimes in nanoseconds.
struct AnswerTimes: Sendable {
    /// When the bytes of the request were read.
    let readAt: UInt64
    /// When its work began.
    let begunAt: UInt64
    /// When what to answer was known.
    let computedAt: UInt64

    /// With the time of encoding still 0.
    var meta: [MetaItem] {
        [
            .timings(
                queueMicroseconds: Self.microseconds(readAt, begunAt),
                computeMicroseconds: Self.microseconds(begunAt, computedAt), encodeMicroseconds: 0)
        ]
    }

    /// From when the answer was known until now.
    var encodeMicroseconds: UInt32 {
        Self.microseconds(computedAt, NIODeadline.now().uptimeNanoseconds)
    }

    private static func microseconds(_ start: UInt64, _ end: UInt64) -> UInt32 {
        end > start ? UInt32(clamping: (end - start) / 1_000) : 0
    }
}

extension FrameHandler {
    var style: AnswerStyle {
        AnswerStyle(frameByteCount: peerFrameByteCount, features: features)
    }

    /// When the answer to a request that is computed at once was known; costs a reading of the
    /// clock only where times were agreed on.
    var timesOfThisTurn: AnswerTimes? {
        guard features.contains(.timings), hasGreeted else { return nil }
        return AnswerTimes(
            readAt: readAt, begunAt: begunAt, computedAt: NIODeadline.now().uptimeNanoseconds)
    }

    /// How many answers of a connection may be compressed on the scan threads at once: until they
    /// are, they do not count as output that waits for the client.
    private static let largestCompressingCount = 4

    /// Finishes a LOOKUP answer of many customers that `write` appends the body of. A large one is
    /// compressed on a scan thread, so that it holds up nobody.
    /// - Parameter byteCount: what the body takes at most.
    func finishLookup(
        _ header: FrameHeader, _ served: ServedSnapshot, byteCount: Int, _ times: AnswerTimes?,
        _ write: (_ bodyStart: Int, inout ByteWriter) -> Void
    ) {
        let compresses = features.contains(.lz4)
        if compresses, byteCount > WireLimits.quicklyCompressedSizes.upperBound,
            open.count < Self.largestCompressingCount, shared.queues.scans.hasRoom
        {
            var writer = ByteWriter()
            let frame = beginLookup(header, served, times, into: &writer)
            write(frame.bodyStart, &writer)
            compressElsewhere(header, frame, writer, times)
            return
        }
        let frame = beginLookup(header, served, times, into: &loop.output)
        write(frame.bodyStart, &loop.output)
        loop.output.finishFrame(
            frame, compressing: compresses ? WireLimits.quicklyCompressedSizes : nil,
            encodeTime: times.map { times in { times.encodeMicroseconds } })
        loop.meters.answered(Opcode.lookup.rawValue, .ok)
    }

    private func beginLookup(
        _ header: FrameHeader, _ served: ServedSnapshot, _ times: AnswerTimes?,
        into writer: inout ByteWriter
    ) -> OpenFrame {
        let frame = writer.beginFrame(
            rawOpcode: Opcode.lookup.rawValue | Opcode.responseBit, requestID: header.requestID,
            aux: Status.ok.rawValue, meta: times?.meta ?? [])
        writer.append(lanes: served.stampBytes)
        return frame
    }

    private func compressElsewhere(
        _ header: FrameHeader, _ frame: OpenFrame, _ body: ByteWriter, _ times: AnswerTimes?
    ) {
        let ticket = ScanTicket()
        let eventLoop = loop.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        open[header.requestID] = OpenRequest(header: header, readAt: readAt, ticket: ticket)
        shared.queues.scans.submit(ticket, isBegun: true) {
            var writer = body
            writer.finishFrame(
                frame, compressing: WireLimits.compressedSizes,
                encodeTime: times.map { times in { times.encodeMicroseconds } })
            let bytes = writer.bytes
            eventLoop.execute { handler.value.finish(header.requestID, ticket, bytes) }
        }
    }
}
