import Logging
import NIOCore
import Synchronization

/// What ends a connection that anybody can make, with a token or without: by these the log's lines are
/// limited, and counted in the metrics.
enum EndReason: Int, CaseIterable, Sendable {
    case tooManyConnections
    case tooManyOfAddress
    /// Bytes without TLS on a port that speaks it.
    case noTLS
    case tlsFailed
    case credentialRefused
    case helloMissing
    /// Bytes that are no frame, or not the one that they say.
    case badFrame
    /// A frame that may not be sent then.
    case protocolBroken
    case frameTooSlow
    case answersNotRead
    /// The client went away within a frame or a TLS handshake, or its network failed.
    case wentAway
}

/// Logs the ends of connections: of each reason one line in an interval. Those that come sooner are
/// left out and counted; the reason's next line has their number as `leftOut`, or, where none comes,
/// a line of its own has it. Whoever connects without end fills no disk, and hides no other line.
final class RefusalLog: Sendable {
    private struct State {
        var count = 0
        var leftOut = 0
        var nextAt = NIODeadline.uptimeNanoseconds(0)
        /// Of the latest line that was left out.
        var level = Logger.Level.debug
    }

    private let states = Mutex([State](repeating: State(), count: EndReason.allCases.count))
    private let logger: Logger
    private let interval: TimeAmount

    /// - Parameter interval: from one line of a reason to its next; 0 leaves none out.
    init(logger: Logger, interval: Duration) {
        self.logger = logger
        self.interval = TimeAmount(interval)
    }

    /// Counts the end of a connection, and logs it or leaves the line out.
    func note(
        _ reason: EndReason, _ level: Logger.Level, _ message: Logger.Message,
        _ facts: @autoclosure () -> Logger.Metadata
    ) {
        let now = NIODeadline.now()
        let isLogged = level >= logger.logLevel
        let leftOut: Int? = states.withLock { states in
            states[reason.rawValue].count += 1
            guard isLogged else { return nil }
            guard now >= states[reason.rawValue].nextAt else {
                states[reason.rawValue].leftOut += 1
                states[reason.rawValue].level = level
                return nil
            }
            defer { states[reason.rawValue].leftOut = 0 }
            states[reason.rawValue].nextAt = now + interval
            return states[reason.rawValue].leftOut
        }
        guard let leftOut else { return }
        var facts = facts()
        if leftOut > 0 { facts["leftOut"] = "\(leftOut)" }
        logger.log(level: level, message, metadata: facts)
    }

    /// Says how many lines were left out of reasons that have had none for an interval.
    func catchUp() {
        let now = NIODeadline.now()
        let due = states.withLock { states in
            var due: [(reason: EndReason, state: State)] = []
            for reason in EndReason.allCases {
                let state = states[reason.rawValue]
                guard state.leftOut > 0, now >= state.nextAt else { continue }
                due.append((reason, state))
                states[reason.rawValue].leftOut = 0
                states[reason.rawValue].nextAt = now + interval
            }
            return due
        }
        for (reason, state) in due {
            logger.log(
                level: state.level, "connections closed or refused",
                metadata: ["cause": "\(reason)", "leftOut": "\(state.leftOut)"])
        }
    }

    /// How many connections each reason has ended, all of them in the order of `EndReason`.
    var counts: [(reason: EndReason, count: Int)] {
        let states = states.withLock { $0 }
        return EndReason.allCases.map { ($0, states[$0.rawValue].count) }
    }
}
