package import Dispatch
package import Logging
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes the log on a thread of its own. Whoever logs puts a line into a bounded queue and goes on:
/// a slow reader of standard error never holds up an event loop. Lines for which there is no room are
/// dropped and counted, and a line says how many once there is room again.
package final class LogWriter: Sendable {
    private struct State {
        var lines: [String] = []
        /// Since the last line that said so.
        var unsaidCount = 0
        var droppedCount = 0
        var isWriting = false
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "patron.log")
    private let descriptor: Int32
    private let capacity: Int
    let format: LogFormat

    /// - Parameter capacity: lines that may wait; from 1.
    package init(
        format: LogFormat, descriptor: Int32 = STDERR_FILENO, capacity: Int = 4_096
    ) {
        self.format = format
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// A logger that writes here.
    package func logger(_ label: String, level: Logger.Level) -> Logger {
        var logger = Logger(label: label) { _ in LogHandlerToWriter(writer: self) }
        logger.logLevel = level
        return logger
    }

    /// Lines that were dropped since the start.
    package var droppedCount: Int { state.withLock { $0.droppedCount } }

    /// Puts a line into the queue, or drops it; never waits for the reader.
    func append(_ line: String) {
        let mustWake = state.withLock { state in
            guard state.lines.count < capacity else {
                state.unsaidCount += 1
                state.droppedCount += 1
                return false
            }
            state.lines.append(line)
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustWake { queue.async { self.writeAll() } }
    }

    /// Waits until what was logged before is written, but no longer than `limit`.
    package func flush(within limit: DispatchTimeInterval = .seconds(1)) {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        _ = done.wait(timeout: .now() + limit)
    }

    private func writeAll() {
        while true {
            let (lines, unsaidCount) = state.withLock { state in
                let taken = (state.lines, state.unsaidCount)
                state.lines = []
                state.unsaidCount = 0
                state.isWriting = !taken.0.isEmpty
                return taken
            }
            if lines.isEmpty { return }
            var text = lines.joined(separator: "\n") + "\n"
            if unsaidCount > 0 {
                text +=
                    format.line(
                        time: .now, level: .warning, message: "log lines dropped",
                        facts: ["count": "\(unsaidCount)"]) + "\n"
            }
            write(Array(text.utf8))
        }
    }

    /// What cannot be written is lost: there is nobody to tell.
    private func write(_ bytes: [UInt8]) {
        var rest = bytes
        while !rest.isEmpty {
            #if canImport(Glibc)
            let count = Glibc.write(descriptor, rest, rest.count)
            #else
            let count = Darwin.write(descriptor, rest, rest.count)
            #endif
            if count > 0 {
                rest.removeFirst(count)
            } else if errno == EAGAIN {
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, 1_000)
            } else if errno != EINTR {
                return
            }
        }
    }
}

/// Turns what is logged into lines.
struct LogHandlerToWriter: LogHandler {
    let writer: LogWriter
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    init(writer: LogWriter) { self.writer = writer }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var facts = metadata
        if let more = event.metadata { facts.merge(more) { $1 } }
        if let error = event.error { facts["error"] = "\(error)" }
        writer.append(
            writer.format.line(
                time: .now, level: event.level, message: event.message.description, facts: facts))
    }
}
