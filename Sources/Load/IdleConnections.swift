import ByteCoding
import Foundation
import Synchronization
import Wire

/// Connections that are greeted and then do nothing but PING often enough to stay, to see what they
/// cost a server.
final class IdleConnections: Sendable {
    private let sockets: [StreamSocket]
    private let bytesBefore: Int?
    private let bytesAfter: Int?
    private let isStopped = Mutex(false)
    private let stopped = DispatchGroup()

    /// What protocol/WIRE.md, section 10, asks for.
    private static let pingSeconds = 30.0

    /// Opens all of them, one after the other.
    init(_ plan: LoadPlan, _ target: LoadTarget) throws(LoadError) {
        bytesBefore = plan.serverProcess.flatMap(Self.residentBytes)
        var sockets: [StreamSocket] = []
        sockets.reserveCapacity(plan.idleConnections)
        for _ in 0..<plan.idleConnections { sockets.append(try target.open()) }
        self.sockets = sockets
        bytesAfter = plan.serverProcess.flatMap(Self.residentBytes)
        guard !sockets.isEmpty else { return }
        stopped.enter()
        Thread { [self] in
            keepAlive()
            stopped.leave()
        }.start()
    }

    private func keepAlive() {
        var next = Date.now + Self.pingSeconds
        while !isStopped.withLock({ $0 }) {
            Thread.sleep(forTimeInterval: 0.02)
            guard Date.now >= next else { continue }
            next = .now + Self.pingSeconds
            for socket in sockets where !isStopped.withLock({ $0 }) { _ = Self.ping(socket) }
        }
    }

    /// Ends the pings; a second time it does nothing.
    func stop() {
        isStopped.withLock { $0 = true }
        stopped.wait()
    }

    /// Asks all of them for a last sign of life.
    func report() -> LoadReport.Idle {
        stop()
        var each: Double?
        if let bytesBefore, let bytesAfter, !sockets.isEmpty {
            each = Double(bytesAfter - bytesBefore) / Double(sockets.count)
        }
        return LoadReport.Idle(
            connections: sockets.count, alive: sockets.count(where: Self.ping),
            serverBytesBefore: bytesBefore, serverBytesAfter: bytesAfter, serverBytesEach: each)
    }

    /// Whether it is answered. Only for sockets that still block.
    private static func ping(_ socket: StreamSocket) -> Bool {
        var writer = ByteWriter()
        Request.ping(PingRequest(token: 0)).encodeFrame(requestID: 1, into: &writer)
        guard socket.send(writer.bytes) else { return false }
        var bytes: [UInt8] = []
        while let count = socket.receive(into: &bytes), count > 0 {
            let scan = try? scanFrame(
                bytes.span.bytes, maximumLength: WireLimits.largestFrameBytes)
            switch scan {
            case .frame(let frame):
                return frame.header.opcode == .ping && frame.header.status.isOK
            case .needMore: continue
            case nil: return false
            }
        }
        return false
    }

    /// Resident memory of a process of this machine; nil where it is not known.
    private static func residentBytes(_ process: Int) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") })
        else { return nil }
        return line.split(separator: " ").compactMap { Int($0) }.first.map { $0 * 1_024 }
    }
}
