/// What systemd wants to hear of a service of type `notify`; says nothing where nobody listens.
///
/// Source: sd_notify(3), sd_watchdog_enabled(3).
package struct ServiceManager: Sendable {
    private let socket: NotifySocket?
    /// How often to say that the event loops answer: half of the time after which systemd restarts the
    /// service. Nil where it does not watch.
    package let watchdogInterval: Duration?

    /// - Parameters:
    ///   - environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of it are read.
    ///   - processID: of this process.
    package init(environment: [String: String], processID: Int32) {
        socket = environment["NOTIFY_SOCKET"].flatMap { NotifySocket(name: $0) }
        let isForThis = environment["WATCHDOG_PID"].map { $0 == "\(processID)" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchdogInterval =
            socket != nil && isForThis && microseconds > 1
            ? .microseconds(microseconds / 2) : nil
    }

    /// One that says nothing.
    package static let none = ServiceManager(environment: [:], processID: 0)

    func ready(_ status: String) { say("READY=1\nSTATUS=\(status)") }

    func stopping() { say("STOPPING=1\nSTATUS=draining") }

    func isAlive() { say("WATCHDOG=1") }

    private func say(_ text: String) {
        // Nobody can be told that it was not heard; systemd's own limits of time do that.
        _ = socket?.send(text)
    }
}
