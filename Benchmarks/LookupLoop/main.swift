// Closed-loop look-ups against a running server: every connection sends one request, waits for its
// answer, and sends the next. Prints one JSON object.
//
// Goal: look-ups a second and latencies as a service with a pool of connections sees them.
// Not a goal: the largest rate (that takes pipelining) or latencies at a fixed rate (that takes an
// open loop; in a closed one a slow answer delays the requests that would have met it).
//
// The client takes processor time too, about as much as the server, so on a small machine the
// figures are those of the pair. A baseline is another program's closed loop on the same machine in
// the same minute, for instance `redis-benchmark -t get -c 50`.

import Dispatch
import Foundation
import NIOCore
import NIOPosix

struct Failure: Error, CustomStringConvertible {
    let description: String
}

let usage = """
    usage: LookupLoop HOST:PORT CONNECTIONS IDS-A-REQUEST SECONDS CUSTOMERS
      CUSTOMERS is a range of integer ids, FIRST-LAST, or a file with one integer id a line.
    """

struct Report: Encodable {
    var connections: Int
    var customersPerSecond: Int
    var hostCores: Int
    var idsPerRequest: Int
    var lookupsPerSecond: Int
    var p50Microseconds: Double
    var p99Microseconds: Double
    var p999Microseconds: Double
    var seconds: Double
}

func count(_ text: String, _ name: String, _ range: ClosedRange<Int>) throws -> Int {
    guard let value = Int(text), range.contains(value) else {
        throw Failure(description: "\(name) is in \(range), not '\(text)'\n\(usage)")
    }
    return value
}

func run(_ arguments: [String]) async throws -> Report {
    guard arguments.count == 5, let colon = arguments[0].lastIndex(of: ":") else {
        throw Failure(description: usage)
    }
    let host = String(arguments[0][..<colon])
    let portText = String(arguments[0][arguments[0].index(after: colon)...])
    let port = try count(portText, "port", 1...65_535)
    let connectionCount = try count(arguments[1], "CONNECTIONS", 1...10_000)
    let idCount = try count(arguments[2], "IDS-A-REQUEST", 1...65_536)
    let seconds = try count(arguments[3], "SECONDS", 1...3_600)
    let frames = try RequestFrames(customers: try Customers(arguments[4]), idCount: idCount)

    let group = MultiThreadedEventLoopGroup(
        numberOfThreads: max(1, ProcessInfo.processInfo.activeProcessorCount / 2))
    var loops: [NIOLoopBound<RequestLoop>] = []
    let start = DispatchTime.now().uptimeNanoseconds
    let end = start + UInt64(seconds) * 1_000_000_000
    var closed: [EventLoopFuture<Void>] = []
    for index in 0..<connectionCount {
        let (channel, loop) = try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let loop = RequestLoop(frames: frames, first: index * 97, end: end)
                    try channel.pipeline.syncOperations.addHandler(loop)
                    return (channel, NIOLoopBound(loop, eventLoop: channel.eventLoop))
                }
            }
        loops.append(loop)
        closed.append(channel.closeFuture)
    }
    for future in closed { try await future.get() }
    let elapsed = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
    var latencies: [UInt32] = []
    for loop in loops {
        let outcome = try await loop.eventLoop.submit {
            (loop.value.latencies, loop.value.failure)
        }.get()
        if let failure = outcome.1 { throw failure }
        latencies += outcome.0
    }
    try await group.shutdownGracefully()
    guard !latencies.isEmpty else { throw Failure(description: "no request was answered") }
    latencies.sort()
    func microseconds(_ share: Double) -> Double {
        Double(latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))]) / 1_000
    }
    let rate = Double(latencies.count) / elapsed
    return Report(
        connections: connectionCount, customersPerSecond: Int(rate * Double(idCount)),
        hostCores: ProcessInfo.processInfo.activeProcessorCount, idsPerRequest: idCount,
        lookupsPerSecond: Int(rate), p50Microseconds: microseconds(0.5),
        p99Microseconds: microseconds(0.99), p999Microseconds: microseconds(0.999),
        seconds: elapsed)
}

do {
    let report = try await run(Array(CommandLine.arguments.dropFirst()))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
} catch {
    FileHandle.standardError.write(Data("LookupLoop: \(error)\n".utf8))
    exit(1)
}
