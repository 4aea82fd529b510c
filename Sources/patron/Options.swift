import ArgumentParser
import Engine
import Foundation
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

    func validate() throws {
        guard (1...1_024).contains(threads) else {
            throw ValidationError("--threads is between 1 and 1024, not \(threads)")
        }
    }
}

struct AsOfOption: ParsableArguments {
    @Option(
        help: "Last day whose purchases count, yyyy-MM-dd; by default the plan's, else the last.",
        transform: day)
    var asOf: CalendarDay?

    @Sendable static func day(_ text: String) throws -> CalendarDay {
        guard let day = CalendarDay(parsing: text) else {
            throw ValidationError("--as-of takes a day such as 1997-09-30, not '\(text)'")
        }
        return day
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
