import ByteCoding
import ColumnStore
import Engine
import Logging
import NIOCore
import Units
import Wire

/// ERASE: the ways of an append, but for the checks. The answer goes out when the erasure is durable and
/// no event loop shows the customers any more.
extension LiveStore {
    typealias EraseAnswer = @Sendable (Result<EraseResponse, Refusal>) -> Void

    /// Takes the body of a request that was let in.
    /// - Parameters: as for an append.
    ///   - name: of who asks, for the log; nil where nobody says.
    func erase(
        _ body: RequestBody, key: LogKey, limits: WireLimits, deadline: NIODeadline, name: String?,
        ticket: ScanTicket, then answer: @escaping EraseAnswer
    ) {
        let release: EraseAnswer = { [self] result in
            leave(body.byteCount)
            answer(result)
        }
        checking.async { [self] in
            guard !ticket.isCancelled else { return leave(body.byteCount) }
            do throws(Refusal) {
                guard NIODeadline.now() < deadline else {
                    throw Refusal(
                        .deadlinePassed, "the deadline passed before the ids were looked at")
                }
                try erase(body, key, limits, name, release)
            } catch {
                release(.failure(error))
            }
        }
    }

    private func erase(
        _ body: RequestBody, _ key: LogKey, _ limits: WireLimits, _ name: String?,
        _ answer: @escaping EraseAnswer
    ) throws(Refusal) {
        let ids = try body.read { (bytes) throws(Refusal) -> IDColumn in
            do throws(WireError) {
                return try EraseRequest(decoding: bytes, limits: limits).ids
            } catch {
                throw Refusal(error)
            }
        }
        let holdsTexts = served.snapshot.customers.holdsTexts
        guard (ids.kind == .text) == holdsTexts else {
            throw Refusal(
                .wrongIDKind, "customer ids are \(holdsTexts ? "texts" : "integers")",
                hint: "DESCRIBE tells the kind of the ids")
        }
        guard let log = log.withLock({ $0 }) else {
            throw Refusal(.draining, "the server is stopping", hint: "connect again")
        }
        let erasure = LoggedErasure(customerIDs: ids, time: Int64(LogTime.now.milliseconds / 1_000))
        log.submit(erasure, key: key) { [self] result in
            switch result {
            case .success(let receipt):
                meters.erased(receipt)
                // Who and how many, never whom.
                logger.notice(
                    receipt.isRepeat ? "erasure asked for again" : "customers erased",
                    metadata: [
                        "record": "\(receipt.sequence)", "customers": "\(receipt.rowCount)",
                        "token": "\(name ?? "none")",
                    ])
                score(
                    Durable(change: .erasure(ids), receipt: receipt) { stamp, found in
                        answer(
                            .success(
                                EraseResponse(
                                    stamp: stamp, sequence: UInt64(receipt.sequence),
                                    erasedAt: receipt.erasedAt ?? erasure.time,
                                    isRepeat: receipt.isRepeat, found: found)))
                    })
            case .failure(let error): answer(.failure(refusal(error, "erasure")))
            }
        }
    }

    /// What there is of customers who are erased by a record.
    static func found(
        _ ids: IDColumn, _ receipt: LiveReceipt, _ live: LiveCustomers, _ snapshot: ServingSnapshot
    ) -> [ErasureFound] {
        let isNewer = receipt.sequence >= snapshot.descriptor.history?.live.sequence ?? 0
        return (0..<ids.count).map { row in
            var found: ErasureFound = []
            if isNewer, snapshot.row(of: ids[row]) != nil { found.insert(.snapshot) }
            // What has come since the first time is no part of it.
            if !receipt.isRepeat, live.hasLines(of: ids[row]) { found.insert(.live) }
            return found
        }
    }
}
