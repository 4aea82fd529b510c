import Foundation
import Server
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the service manager is told.
@Suite struct ServiceManagerTests {
    /// A datagram socket with a name, as systemd's.
    private final class Listener: Sendable {
        private let descriptor: Int32

        init(_ name: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var bytes = Array(name.utf8)
            if name.hasPrefix("@") { bytes[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let size = socklen_t(2 + bytes.count + (bytes[0] == 0 ? 0 : 1))
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size)
                }
            }
            guard result == 0 else { throw POSIXError(.EADDRINUSE) }
        }

        deinit { close(descriptor) }

        /// The next message; nil where nothing comes for 10 s.
        func next() async throws -> String? {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            for _ in 0..<2_000 {
                let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                if count > 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
                try await Task.sleep(for: .milliseconds(5))
            }
            return nil
        }
    }

    private func manager(_ name: String, watchdog: Int? = nil, processID: Int? = nil)
        -> ServiceManager
    {
        var environment = ["NOTIFY_SOCKET": name]
        environment["WATCHDOG_USEC"] = watchdog.map(String.init)
        environment["WATCHDOG_PID"] = processID.map(String.init)
        return ServiceManager(environment: environment, processID: 42)
    }

    @Test(arguments: [true, false])
    func readyAliveAndStopping(isAbstract: Bool) async throws {
        try await inTemporaryFolder { folder in
            // A path has room for 107 bytes.
            let name =
                isAbstract
                ? "@patron-test-\(UUID().uuidString)" : "/tmp/patron-\(UUID().uuidString.prefix(8))"
            defer { if !isAbstract { unlink(name) } }
            let listener = try Listener(name)
            let manager = manager(name, watchdog: 100_000, processID: 42)
            #expect(manager.watchdogInterval == .milliseconds(50))
            try await withServer(manager: manager) { server in
                let ready = try #require(try await listener.next())
                #expect(ready.hasPrefix("READY=1\nSTATUS=serving generation 1 on 127.0.0.1:"))
                #expect(try await listener.next() == "WATCHDOG=1")
                #expect(try await listener.next() == "WATCHDOG=1")
            }
            var last = try await listener.next()
            while last == "WATCHDOG=1" { last = try await listener.next() }
            #expect(last?.hasPrefix("STOPPING=1") ?? false)
        }
    }

    @Test func nobodyListens() {
        #expect(ServiceManager(environment: [:], processID: 1).watchdogInterval == nil)
        // Of another process, switched off, and a socket of a kind that is none.
        #expect(manager("/tmp/x", watchdog: 100, processID: 41).watchdogInterval == nil)
        #expect(manager("/tmp/x", watchdog: 0).watchdogInterval == nil)
        #expect(manager("vsock:2:1", watchdog: 100).watchdogInterval == nil)
        #expect(manager("/tmp/x", watchdog: 100).watchdogInterval == .microseconds(50))
    }
}
