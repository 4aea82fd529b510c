import Logging
import Units
import Wire

/// What a token's end does to the connections that it let in. Nothing of it is on the way of a
/// request: a change of the file comes as a task of the event loop, and a tick sees that a day is over.
extension LoopState {
    /// Judges by other tokens from now on: new HELLOs, and the connections that are open.
    func use(_ table: TokenTable, _ logger: Logger) {
        tokens = table
        judgeConnections(logger)
    }

    /// Ends what the last day of a token let in, once that day is over.
    func judgeIfDayIsOver(_ logger: Logger) {
        guard tokens != nil, today() != judgedDay else { return }
        judgeConnections(logger)
    }

    private func judgeConnections(_ logger: Logger) {
        guard let tokens else { return }
        let day = today()
        judgedDay = day
        // What waits was sent with the credential of before.
        answerLookups()
        var changes: [String: (ended: Int, changed: Int)] = [:]
        for connection in openConnections {
            guard let held = connection.credential, !connection.isClosing else { continue }
            let entry = tokens.entry(of: held.hash).flatMap { $0.isGood(on: day) ? $0 : nil }
            guard let entry else {
                changes[held.name, default: (0, 0)].ended += 1
                connection.revoke()
                continue
            }
            if entry != held {
                if entry.scopes != held.scopes {
                    changes[held.name, default: (0, 0)].changed += 1
                }
                connection.hold(to: entry)
            }
        }
        for (name, counts) in changes.sorted(by: { $0.key < $1.key }) {
            counters.revokedConnections += counts.ended
            logger.notice(
                "a token was taken back or changed",
                metadata: [
                    "token": "\(name)", "endedConnections": "\(counts.ended)",
                    "changedConnections": "\(counts.changed)",
                ])
        }
    }
}

extension FrameHandler {
    /// Ends the connection, because its credential is not accepted any more. Requests that only read
    /// are answered so, but for a stream in the middle of a frame, which is finished; what becomes of
    /// those that change something, the client is not told, because it may have been done.
    func revoke() {
        guard hasGreeted, !isClosing else { return }
        let refusal = Refusal(
            .authenticationFailed, "the credential is not accepted any more",
            hint: "give a valid token")
        for (requestID, request) in open where request.onlyReads { end(requestID, refusal) }
        for request in open.values { request.ticket.cancel() }
        open = [:]
        endConnection(refusal.status, refusal.body)
    }

    /// Goes by what the token allows now.
    func hold(to entry: TokenTable.Entry) {
        let lost = scopes.subtracting(entry.scopes)
        scopes = entry.scopes
        tokenName = entry.name
        credential = entry
        // It stands for a look-up whose scope was checked.
        if lost.contains(.read) { template = nil }
        for (requestID, request) in open where request.onlyReads {
            guard let opcode = request.header.opcode,
                !lost.isDisjoint(with: Scopes.needed(for: opcode))
            else { continue }
            end(requestID, Self.scopeMissing(opcode))
        }
    }

    static func scopeMissing(_ opcode: Opcode) -> Refusal {
        Refusal(
            .scopeMissing, "\(opcode.name) needs the scope \(Scopes.needed(for: opcode))",
            hint: "use a token that has it")
    }
}

extension OpenRequest {
    /// Whether it is as if it had never been sent when it is ended.
    fileprivate var onlyReads: Bool {
        guard let opcode = header.opcode else { return true }
        return Scopes.needed(for: opcode).isDisjoint(with: [.append, .erase, .admin])
    }
}
