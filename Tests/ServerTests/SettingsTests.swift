import Engine
import Logging
import Server
import Testing

/// The file of `patron serve --config`.
@Suite struct SettingsTests {
    @Test func everySetting() throws {
        let settings = try ServeSettings(
            parsing: """
                version: 1
                workspace: shop
                listen: "[::1]:7070"
                admin: 127.0.0.1:7071
                insecure: true
                warmUp: false
                loops: 3
                scanThreads: 2
                snapshotPoll: 1s
                tls: {certificate: server.pem, key: /etc/patron/server.key, clientCA: ca.pem}
                tokens: tokens.txt
                drain: {delay: 100ms, timeout: 1min}
                log: {format: json, level: debug}
                limits:
                  bytesPerSecond: 32KiB
                  connections: 100
                  connectionsPerAddress: 10
                  decodedBytes: 1MiB
                  defaultDeadline: 30s
                  frame: 1MiB
                  frameTime: 2s
                  handshake: 1500ms
                  idle: 1h
                  inFlight: 16
                  lookupIDs: 1000
                  pendingOutput: 65536
                  queuedScans: 7
                  results: 50
                  writeStall: 5s
                """, path: "conf/serve.yaml")
        let configuration = settings.configuration
        #expect(settings.workspace == "conf/shop")
        #expect(configuration.host == "::1" && configuration.port == 7_070)
        #expect(configuration.admin == AdminAddress(host: "127.0.0.1", port: 7_071))
        #expect(configuration.allowInsecure && !configuration.warmsUp)
        #expect(configuration.loopCount == 3 && configuration.scanThreadCount == 2)
        #expect(configuration.snapshotPollInterval == .seconds(1))
        #expect(
            configuration.tls
                == TLSFiles(
                    certificatePath: "conf/server.pem", keyPath: "/etc/patron/server.key",
                    clientCAPath: "conf/ca.pem"))
        #expect(configuration.tokensPath == "conf/tokens.txt")
        #expect(configuration.drainDelay == .milliseconds(100))
        #expect(configuration.drainTimeout == .seconds(60))
        #expect(settings.log.format == .json && settings.log.level == .debug)
        var limits = ServerLimits()
        limits.minimumBytesPerSecond = 32_768
        limits.connectionCount = 100
        limits.connectionsPerAddress = 10
        limits.wire.decodedBytes = 1 << 20
        limits.defaultDeadline = .seconds(30)
        limits.wire.frameBytes = 1 << 20
        limits.frameTimeout = .seconds(2)
        limits.handshakeTimeout = .milliseconds(1_500)
        limits.idleTimeout = .seconds(3_600)
        limits.inFlightPerConnection = 16
        limits.wire.lookupIDs = 1_000
        limits.pendingOutputByteCount = 65_536
        limits.queuedScanCount = 7
        limits.wire.topCount = 50
        limits.writeStallTimeout = .seconds(5)
        #expect(configuration.limits == limits)
    }

    @Test func defaults() throws {
        let settings = try ServeSettings(parsing: "workspace: /shop\n", path: "serve.yaml")
        #expect(settings.workspace == "/shop")
        #expect(settings.configuration.limits == ServerLimits())
        #expect(settings.configuration.limits.connectionsPerAddress == 256)
        #expect(settings.configuration.host == "127.0.0.1")
        #expect(settings.configuration.port == 7_070)
        #expect(settings.configuration.admin == nil && settings.configuration.tls == nil)
    }

    @Test(arguments: [
        (
            "workspace: a\nlimit: {}\n",
            "2:1: unknown key `limit` at the top level; did you mean `limits`?"
        ),
        (
            "limits:\n  frame: 16MiB\n  idel: 3s\n",
            "3:3: unknown key `idel` in limits; did you mean `idle`?"
        ),
        (
            "listen: 7070\n",
            "1:9: listen needs an address, found `7070`; write HOST:PORT, such as 127.0.0.1:7070"
        ),
        ("limits:\n  idle: 3 weeks\n", "2:9: limits.idle needs a time, found `3 weeks`; "),
        ("limits: {frame: 1}\n", "1:17: limits.frame is 1; allowed: 4096 to 67108864"),
        ("limits: {frame: 99999999999999999999MiB}\n", "1:17: limits.frame needs a size"),
        ("limits: {handshake: 0s}\n", "1:21: limits.handshake is 0s; allowed: "),
        ("loops: 0\n", "1:8: loops is 0; allowed: 1 to 64"),
        ("loops: many\n", "1:8: loops needs a whole number, found `many`"),
        ("insecure: maybe\n", "1:11: insecure needs true or false, found `maybe`"),
        ("log: {format: xml}\n", "1:15: log.format cannot be `xml`; "),
        ("tls: {certificate: a.pem}\n", "1:1: tls.key is missing; "),
        ("- a\n", "1:1: the configuration needs a mapping of settings, found a list"),
        ("", "1:1: the configuration is empty; "),
        ("a: b: c\n", "1:5: "),
        ("loops: 1\nloops: 2\n", "the key `loops` is written twice"),
    ])
    func whatIsWrongIsSaidWithItsPlace(text: String, message: String) {
        let error = #expect(throws: PlanError.self) {
            _ = try ServeSettings(parsing: text, path: "serve.yaml")
        }
        let said = error.map { "\($0)" } ?? ""
        #expect(said.hasPrefix("serve.yaml:") && said.contains(message), "\(said)")
    }

    @Test func allProblemsAreSaidAtOnce() {
        let error = #expect(throws: PlanError.self) {
            _ = try ServeSettings(parsing: "loops: 0\nadmin: x\nlimits: {a: 1}\n", path: "s")
        }
        #expect(error?.problems.map(\.line) == [1, 2, 3])
    }
}
