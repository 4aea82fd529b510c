/// Repeats work for a given time and says how fast it went.
struct Gauge {
    /// Units a second.
    struct Rate: Equatable {
        let best: Double
        let median: Double
    }

    /// What one rate takes, without warming up.
    let seconds: Double
    /// Repetitions that `seconds` is divided into.
    static let repetitionCount = 16.0

    /// - Parameters:
    ///   - units: what one round does.
    ///   - work: does a number of rounds. The first calls find the number that takes long enough to
    ///     be timed, and warm up caches and threads; they are not part of the rate.
    func rate(units: Double, _ work: (_ rounds: Int) -> Void) -> Rate {
        let target = seconds / Self.repetitionCount
        var rounds = 1
        while true {
            let (_, elapsed) = timed { work(rounds) }
            if elapsed >= target || rounds >= 1 << 40 { break }
            let wanted = Double(rounds) * target / max(elapsed, 1e-9) * 1.2
            rounds = Int(min(max(wanted, Double(rounds) * 2), Double(rounds) * 16))
        }
        var rates: [Double] = []
        var total = 0.0
        while total < seconds || rates.count < 3 {
            let (_, elapsed) = timed { work(rounds) }
            total += elapsed
            rates.append(units * Double(rounds) / max(elapsed, 1e-9))
        }
        return Rate(best: rates.max() ?? 0, median: median(rates))
    }
}
