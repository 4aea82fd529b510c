import ArgumentParser
import Engine
import Foundation
import Numerical
import Units

struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object on standard output; logs go to standard error.")
    var json = false

    /// Prints a result: as JSON, or as the text that `text` makes of it.
    func print<Value: Encodable>(_ value: Value, text: (Value) -> String) throws {
        if json {
            try Terminal.writeJSON(value)
        } else {
            try Terminal.write(text(value))
        }
    }

    /// A line for people, left out where the output is for machines.
    func say(_ text: String) throws {
        if !json { try Terminal.write(text) }
    }
}

struct ThreadOptions: ParsableArguments {
    @Option(help: "Threads to compute on; all of the machine's by default.")
    var threads: Int = ProcessInfo.processInfo.activeProcessorCount
    @Flag(
        help: """
            Take only what other programs leave of the processors, so that a server on the same \
            machine answers as fast as without it.
            """)
    var background = false

    /// Asks the system for it too: before the command makes a thread.
    func validate() throws {
        if background { ThreadPriority.runWhenIdle() }
        guard (1...1_024).contains(threads) else {
            throw ValidationError("--threads is between 1 and 1024, not \(threads)")
        }
    }
}

struct MemoryOption: ParsableArguments {
    @Option(
        help: """
            Memory that reading and sorting purchases may take, such as 2GiB, at least 256MiB; a \
            quarter of the machine's by default. More of a file than fits is sorted in parts.
            """,
        transform: memory)
    var memory = IngestMemory.quarter(ofMachine: MemoryOption.machineByteCount)

    private static var machineByteCount: Int {
        Int(clamping: ProcessInfo.processInfo.physicalMemory)
    }

    @Sendable static func memory(_ text: String) throws -> IngestMemory {
        guard let byteCount = byteCount(text) else {
            throw ValidationError("--memory takes a size such as 2GiB or 512MiB, not '\(text)'")
        }
        guard byteCount >= IngestMemory.least else {
            throw ValidationError(
                "--memory is at least \(IngestMemory.least >> 20)MiB, not \(text)")
        }
        guard byteCount <= machineByteCount else {
            throw ValidationError(
                "--memory \(text) is more than this machine's \(machineByteCount >> 20)MiB")
        }
        return IngestMemory(byteCount: byteCount)
    }

    /// Bytes of a number with a unit; nil for anything else.
    static func byteCount(_ text: String) -> Int? {
        let units: [(String, Double)] = [
            ("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("TiB", 0x1p40), ("kB", 1e3),
            ("MB", 1e6), ("GB", 1e9), ("TB", 1e12),
        ]
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = Double(digits), number.isFinite,
            let scale = units.first(where: { $0.0.lowercased() == unit.lowercased() })?.1
        else { return nil }
        return Int(exactly: (number * scale).rounded())
    }
}

struct AsOfOption: ParsableArguments {
    @Option(
        help: """
            Last day whose purchases count, yyyy-MM-dd; by default the plan's, else that of the last \
            purchase; where there are none, today.
            """,
        transform: day)
    var asOf: CalendarDay?

    @Sendable static func day(_ text: String) throws -> CalendarDay {
        guard let day = CalendarDay(parsing: text) else {
            throw ValidationError("--as-of takes a day such as 1997-09-30, not '\(text)'")
        }
        return day
    }
}

extension Workspace {
    /// By the clock of the machine, in the plan's time zone: what attributes are as of.
    var today: CalendarDay {
        plan.clock.day(atUTC: Int(Date().timeIntervalSince1970.rounded(.down)))
    }
}

/// Seconds that `work` took, and its result.
func timed<Result>(_ work: () throws -> Result) rethrows -> (seconds: Double, result: Result) {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try work()
    return ((clock.now - start).seconds, result)
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
