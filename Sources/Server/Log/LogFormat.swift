import Logging
import Units

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// How a line of the log looks.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-11-23T09:00:00.000Z info serving address=127.0.0.1:7070`
    case text
    /// One JSON object a line, with `time`, `level`, `message` and a member for each fact.
    case json

    /// A line without its end.
    func line(
        time: LogTime, level: Logger.Level, message: String, facts: Logger.Metadata
    ) -> String {
        let sorted = facts.sorted { $0.key < $1.key }
        switch self {
        case .text:
            var line = "\(time) \(level) \(Self.flat(message))"
            for (key, value) in sorted { line += " \(key)=\(Self.word("\(value)"))" }
            return line
        case .json:
            var line = "{\"time\":\"\(time)\",\"level\":\"\(level)\",\"message\":"
            line += Self.quoted(message)
            for (key, value) in sorted {
                // Facts do not hide what every line has.
                let name = ["time", "level", "message"].contains(key) ? key + "_" : key
                line += ",\(Self.quoted(name)):\(Self.json(value))"
            }
            return line + "}"
        }
    }

    private static func json(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): quoted(text)
        case .stringConvertible(let value): quoted("\(value)")
        case .array(let values): "[" + values.map(json).joined(separator: ",") + "]"
        case .dictionary(let values):
            "{"
                + values.sorted { $0.key < $1.key }.map { "\(quoted($0)):\(json($1))" }
                .joined(separator: ",") + "}"
        }
    }

    /// RFC 8259, section 7.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// A text of a client cannot begin a line of its own.
    private static func flat(_ text: String) -> String {
        text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
            ? String(quoted(text).dropFirst().dropLast()) : text
    }

    private static func word(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0.value != 0x7F }
        return isPlain ? text : quoted(text)
    }
}

/// A moment, as `2026-11-23T09:00:00.000Z`.
struct LogTime: Sendable, CustomStringConvertible {
    let milliseconds: Int

    static var now: LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(milliseconds: time.tv_sec * 1_000 + time.tv_nsec / 1_000_000)
    }

    var description: String {
        let seconds = milliseconds / 1_000
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        let day = CalendarDay(daysSince1970: seconds / 86_400)
        let clock = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60].map { pad($0, 2) }
        return "\(day)T\(clock.joined(separator: ":")).\(pad(milliseconds % 1_000, 3))Z"
    }
}

extension CalendarDay {
    /// The day in UTC.
    init(secondsSince1970 seconds: Int) { self.init(daysSince1970: seconds / 86_400) }
}
