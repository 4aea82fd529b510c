import ByteCoding
import Foundation
import Synchronization
import Wire

/// Connections that are greeted and then do nothing but PING often enough to stay, to see what they
/// cost a server. A thread of their own does everything to them.
final class IdleConnections: Sendable {
    private struct State {
        var failure: LoadError?
        var isStopped = false
        /// How many answered a last PING.
        var aliveCount = 0
        var bytesBefore: Int?
        var bytesAfter: Int?
    }

    private let count: Int
    private let serverProcess: Int?
    private let target: LoadTarget
    private let state = Mutex(State())
    private let opened = DispatchSemaphore(value: 0)
    private let stopped = DispatchGroup()

    /// What protocol/WIRE.md, section 10, asks for.
    private static let pingSeconds = 30.0

    init(_ plan: LoadPlan, _ target: LoadTarget) {
        count = plan.idleConnections
        serverProcess = plan.serverProcess
        self.target = target
    }

    /// Opens all of them, one after the other.
    func open() throws(LoadError) {
        guard count > 0 else { return }
        let before = serverProcess.flatMap(Self.residentBytes)
        stopped.enter()
        Thread { [self] in
            keepAlive()
            stopped.leave()
        }.start()
        opened.wait()
        let after = serverProcess.flatMap(Self.residentBytes)
        let failure = state.withLock { state in
            (state.bytesBefore, state.bytesAfter) = (before, after)
            return state.failure
        }
        if let failure { throw failure }
    }

    private func keepAlive() {
        var transports: [Transport] = []
        transports.reserveCapacity(count)
        defer { for place in transports.indices { transports[place].close() } }
        do throws(LoadError) {
            for _ in 0..<count { transports.append(try target.open()) }
            opened.signal()
        } catch {
            state.withLock { $0.failure = error }
            opened.signal()
            return
        }
        var next = Date.now + Self.pingSeconds
        while !isStopped {
            Thread.sleep(forTimeInterval: 0.02)
            guard Date.now >= next else { continue }
            next = .now + Self.pingSeconds
            for place in transports.indices where !isStopped { _ = Self.ping(&transports[place]) }
        }
        // A last sign of life.
        let alive = transports.indices.count { Self.ping(&transports[$0]) }
        state.withLock { $0.aliveCount = alive }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Ends the pings, and the connections; a second time it does nothing.
    func stop() {
        state.withLock { $0.isStopped = true }
        stopped.wait()
    }

    func report() -> LoadReport.Idle {
        stop()
        return state.withLock { state in
            var each: Double?
            if let before = state.bytesBefore, let after = state.bytesAfter, count > 0 {
                each = Double(after - before) / Double(count)
            }
            return LoadReport.Idle(
                connections: count, alive: state.aliveCount,
                serverBytesBefore: state.bytesBefore, serverBytesAfter: state.bytesAfter,
                serverBytesEach: each)
        }
    }

    /// Whether it is answered. Only for sockets that still block.
    private static func ping(_ transport: inout Transport) -> Bool {
        var writer = ByteWriter()
        Request.ping(PingRequest(token: 0)).encodeFrame(requestID: 1, into: &writer)
        guard transport.send(all: writer.bytes) else { return false }
        var bytes: [UInt8] = []
        while let count = try? transport.receive(into: &bytes), count > 0 {
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
