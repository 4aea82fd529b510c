package import Engine
package import Logging

/// What `patron serve --config` reads: everything that a server is started with, in YAML. Paths are
/// relative to the file's folder. packaging/README.md lists the keys with their defaults.
package struct ServeSettings: Sendable {
    package struct Log: Sendable, Equatable {
        package var format = LogFormat.text
        package var level = Logger.Level.info
    }

    package var workspace: String?
    /// Whether purchases are taken.
    package var append = false
    package var configuration = ServerConfiguration(port: 7_070)
    package var log = Log()

    package init() {}

    /// - Parameters:
    ///   - text: YAML 1.1.
    ///   - path: of the file, for errors and as the base of other paths; nothing is read from it.
    /// - Throws: all problems found, in the order of their lines.
    package init(parsing text: String, path: String) throws(PlanError) {
        var parser = ServeSettingsParser(path: path)
        parser.parse(text)
        if let error = parser.reader.error(path: path) { throw error }
        self = parser.settings
    }
}

/// Fills `ServeSettings` from YAML, section by section.
private struct ServeSettingsParser {
    var reader = PlanReader(documentName: "the configuration")
    var settings = ServeSettings()
    /// With a slash at its end; empty for the working folder.
    private let folder: String

    init(path: String) {
        folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    mutating func parse(_ text: String) {
        let keys = [
            "admin", "append", "drain", "insecure", "limits", "listen", "log", "loops",
            "scanThreads",
            "snapshotPoll", "tls", "tokens", "version", "warmUp", "workspace",
        ]
        guard
            let top = reader.document(
                text, keys: keys, emptyHint: "leave out --config to serve with the defaults")
        else { return }
        _ = reader.integer(top["version"], in: 1...1)
        settings.workspace = path(top["workspace"])
        set(&settings.append, reader.bool(top["append"]))
        if let address = address(top["listen"]) {
            (settings.configuration.host, settings.configuration.port) = address
        }
        if let (host, port) = address(top["admin"]) {
            settings.configuration.admin = AdminAddress(host: host, port: port)
        }
        set(&settings.configuration.allowInsecure, reader.bool(top["insecure"]))
        set(&settings.configuration.warmsUp, reader.bool(top["warmUp"]))
        set(&settings.configuration.loopCount, reader.integer(top["loops"], in: 1...64))
        set(
            &settings.configuration.scanThreadCount, reader.integer(top["scanThreads"], in: 1...256)
        )
        let poll = duration(top["snapshotPoll"], in: .milliseconds(10)...(.seconds(3_600)))
        set(&settings.configuration.snapshotPollInterval, poll)
        settings.configuration.tokensPath = path(top["tokens"])
        parseTLS(top["tls"])
        parseDrain(top["drain"])
        parseLog(top["log"])
        parseLimits(top["limits"])
    }

    private func set<Value>(_ target: inout Value, _ value: Value?) {
        if let value { target = value }
    }

    private mutating func parseTLS(_ setting: PlanReader.Setting?) {
        guard let setting,
            let section = reader.section(setting, keys: ["certificate", "clientCA", "key"])
        else { return }
        let (certificate, key) = (path(section["certificate"]), path(section["key"]))
        let clientCA = path(section["clientCA"])
        guard let certificate, let key else {
            let missing = certificate == nil ? "certificate" : "key"
            reader.report(
                .missing, at: setting.position, "tls.\(missing) is missing",
                hint: "TLS needs the PEM files of a certificate and of its key")
            return
        }
        settings.configuration.tls = TLSFiles(
            certificatePath: certificate, keyPath: key, clientCAPath: clientCA)
    }

    private mutating func parseDrain(_ setting: PlanReader.Setting?) {
        guard let section = reader.section(setting, keys: ["delay", "timeout"]) else { return }
        let range = Duration.zero...Duration.seconds(3_600)
        set(&settings.configuration.drainDelay, duration(section["delay"], in: range))
        set(&settings.configuration.drainTimeout, duration(section["timeout"], in: range))
    }

    private mutating func parseLog(_ setting: PlanReader.Setting?) {
        guard let section = reader.section(setting, keys: ["format", "level"]) else { return }
        set(&settings.log.format, reader.choice(section["format"], of: LogFormat.self))
        set(&settings.log.level, reader.choice(section["level"], of: Logger.Level.self))
    }

    private mutating func parseLimits(_ setting: PlanReader.Setting?) {
        let keys = [
            "bytesPerSecond", "connections", "connectionsPerAddress", "decodedBytes",
            "defaultDeadline", "frame", "frameTime", "handshake", "idle", "inFlight", "lookupIDs",
            "pendingOutput", "queuedScans", "results", "writeStall",
        ]
        guard let section = reader.section(setting, keys: keys) else { return }
        var limits = settings.configuration.limits
        let times = Duration.milliseconds(1)...Duration.seconds(86_400)
        set(&limits.wire.frameBytes, byteCount(section["frame"], in: 4_096...(64 << 20)))
        set(&limits.wire.decodedBytes, byteCount(section["decodedBytes"], in: 65_536...(64 << 20)))
        set(&limits.wire.lookupIDs, reader.integer(section["lookupIDs"], in: 1...65_536))
        set(&limits.wire.topCount, reader.integer(section["results"], in: 1...10_000))
        set(&limits.inFlightPerConnection, reader.integer(section["inFlight"], in: 1...65_536))
        set(&limits.queuedScanCount, reader.integer(section["queuedScans"], in: 1...1_000_000))
        set(&limits.connectionCount, reader.integer(section["connections"], in: 1...1_000_000))
        set(
            &limits.connectionsPerAddress,
            reader.integer(section["connectionsPerAddress"], in: 1...1_000_000))
        set(&limits.handshakeTimeout, duration(section["handshake"], in: times))
        set(&limits.frameTimeout, duration(section["frameTime"], in: times))
        set(&limits.minimumBytesPerSecond, byteCount(section["bytesPerSecond"], in: 1...(1 << 30)))
        set(&limits.idleTimeout, duration(section["idle"], in: times))
        set(&limits.writeStallTimeout, duration(section["writeStall"], in: times))
        set(
            &limits.pendingOutputByteCount,
            byteCount(section["pendingOutput"], in: 4_096...(1 << 30)))
        limits.defaultDeadline = duration(section["defaultDeadline"], in: times)
        settings.configuration.limits = limits
    }

    // MARK: Values

    private mutating func path(_ setting: PlanReader.Setting?) -> String? {
        guard let text = reader.text(setting) else { return nil }
        return text.hasPrefix("/") ? text : folder + text
    }

    /// `127.0.0.1:7070` or `[::1]:7070`.
    private mutating func address(_ setting: PlanReader.Setting?) -> (String, Int)? {
        guard let setting, let text = reader.text(setting) else { return nil }
        guard let address = HostAndPort(parsing: text) else {
            reader.report(
                .wrongType, at: setting.valuePosition,
                "\(setting.name) needs an address, found `\(text)`",
                hint: "write HOST:PORT, such as 127.0.0.1:7070")
            return nil
        }
        return (address.host, address.port)
    }

    /// `200ms`, `3s`, `10min`, `1h`.
    private mutating func duration(
        _ setting: PlanReader.Setting?, in range: ClosedRange<Duration>
    ) -> Duration? {
        let units: [(String, Duration)] = [
            ("ms", .milliseconds(1)), ("s", .seconds(1)), ("min", .seconds(60)),
            ("h", .seconds(3_600)),
        ]
        return quantity(
            setting, "a time", hint: "write a whole number and ms, s, min or h, such as 10s", units,
            in: range
        ) { unit, count in
            count <= 1_000_000_000 ? unit * count : nil
        }
    }

    /// `16MiB`, `64KiB`, `1024`.
    private mutating func byteCount(
        _ setting: PlanReader.Setting?, in range: ClosedRange<Int>
    ) -> Int? {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)]
        return quantity(
            setting, "a size", hint: "write a whole number of bytes, KiB or MiB, such as 16MiB",
            units, in: range
        ) { unit, count in
            let (product, overflow) = unit.multipliedReportingOverflow(by: count)
            return overflow ? nil : product
        }
    }

    private mutating func quantity<Unit: Comparable>(
        _ setting: PlanReader.Setting?, _ wanted: String, hint: String, _ units: [(String, Unit)],
        in range: ClosedRange<Unit>, times: (Unit, Int) -> Unit?
    ) -> Unit? {
        guard let setting, let text = reader.text(setting) else { return nil }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let word = text.dropFirst(digits.count).drop { $0 == " " }
        guard let count = Int(digits), let unit = units.first(where: { $0.0 == word })?.1,
            let value = times(unit, count)
        else {
            reader.report(
                .wrongType, at: setting.valuePosition,
                "\(setting.name) needs \(wanted), found `\(text)`", hint: hint)
            return nil
        }
        guard range.contains(value) else {
            reader.outOfRange(setting, allowed: "\(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }
}

/// A host and a port, as `127.0.0.1:7070` or `[::1]:7070`.
package struct HostAndPort: Sendable, Equatable {
    package let host: String
    package let port: Int

    package init?(parsing text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = port
    }
}
