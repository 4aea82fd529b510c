import Ingest

/// Says now and then how far a long step is: its share, its rate and the time left.
struct ProgressText {
    private let what: String
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant?

    /// More often nobody can read.
    private static let interval = Duration.milliseconds(200)

    init(_ what: String) { self.what = what }

    /// - Returns: nil where the last one was not long ago.
    mutating func text(of reading: ReadingProgress) -> String? {
        guard let seconds = due() else { return nil }
        let share = reading.totalByteCount.map {
            Double(reading.byteCount) / Double(max(1, $0))
        }
        let rates =
            "\(Self.short(Double(reading.lineCount) / seconds)) lines/s, "
            + "\(Self.short(Double(reading.byteCount) / seconds))B/s"
        return "\(what): " + Self.state(share, seconds) + rates
    }

    /// - Parameter share: of the step, 0 to 1.
    mutating func text(of share: Double) -> String? {
        guard let seconds = due() else { return nil }
        return "\(what): " + Self.state(share, seconds).dropLast(2)
    }

    /// Seconds since the start, where it is time to say something.
    private mutating func due() -> Double? {
        let now = ContinuousClock.now
        guard now - (last ?? start) >= Self.interval else { return nil }
        last = now
        let passed = (now - start).components
        return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    }

    /// As in `45 %, 12 s left, `.
    private static func state(_ share: Double?, _ seconds: Double) -> String {
        guard let share, share > 0 else { return "\(Int(seconds)) s, " }
        let left = Int((seconds / share - seconds).rounded(.up))
        let time = left < 100 ? "\(left) s" : "\((left + 59) / 60) min"
        return "\(Int(share * 100)) %, \(time) left, "
    }

    /// 5234567 as `5.2 M`.
    private static func short(_ number: Double) -> String {
        let (scaled, unit) =
            number >= 1e9
            ? (number / 1e9, "G")
            : number >= 1e6
                ? (number / 1e6, "M")
                : (number / 1e3, "k")
        return "\((scaled * 10).rounded() / 10) \(unit)"
    }
}
