import ByteCoding
package import Ingest

/// What single customers have bought live in all, as far as it could become too much: a customer's
/// amounts are added up by every ingest and scoring, in 64 bits. A line that would take a customer
/// past half of that is refused when it is sent, so that no line that was acknowledged is ever in the way
/// of an ingest.
///
/// Only lines from `smallest` on are counted. All others together cannot reach the other half: they
/// would have to be 2^30, and a customer's lines are fewer.
package struct LiveAmounts: Sendable {
    /// Of an amount or margin in ten-thousandths: 429,496.7296 units of the currency.
    static let smallest: UInt64 = 1 << 32
    /// Of a customer's counted lines: about 461 million million units of the currency.
    static let limit: UInt64 = 1 << 62

    private var sums: [EntityID: UInt64] = [:]

    /// Begins with lines that are in the log.
    package init(_ live: LiveCustomers) {
        for customer in live.customers {
            for line in live.lines(of: customer, from: 0) {
                let value = max(line.amount.magnitude, line.margin?.magnitude ?? 0)
                if value >= Self.smallest { _ = add(value, to: customer) }
            }
        }
    }

    /// Counts lines, and leaves out those that are too much.
    /// - Returns: the lines left, and why the others were refused.
    package mutating func judge(_ lines: ValidatedLines) -> ValidatedLines {
        var refused: Set<Int> = []
        Self.forEachLarge(lines.lines) { row, value in
            if !add(value, to: lines.lines.customerIDs[row]) { refused.insert(row) }
        }
        if refused.isEmpty { return lines }
        let sent = lines.rows ?? Array(0..<lines.lines.count)
        let kept = sent.indices.filter { !refused.contains($0) }
        let rejections = refused.map {
            LineRejection(row: sent[$0], column: "amount", reason: .amountOutOfRange)
        }
        var result = lines
        result.lines = lines.lines.gather(kept)
        result.rows = kept.map { sent[$0] }
        result.rejections = (lines.rejections + rejections).sorted { $0.row < $1.row }
        return result
    }

    /// Takes lines back that did not come into the log, or were there before.
    package mutating func takeBack(_ lines: PurchaseLines) {
        Self.forEachLarge(lines) { row, value in
            let customer = lines.customerIDs[row]
            let rest = (sums[customer] ?? 0) - min(value, sums[customer] ?? 0)
            sums[customer] = rest == 0 ? nil : rest
        }
    }

    private mutating func add(_ value: UInt64, to customer: EntityID) -> Bool {
        let sum = sums[customer] ?? 0
        // At most 2^62 and 2^63: the sum fits.
        guard sum + value <= Self.limit else { return false }
        sums[customer] = sum + value
        return true
    }

    private static func forEachLarge(_ lines: PurchaseLines, _ body: (Int, UInt64) -> Void) {
        for row in lines.amounts.indices {
            let value = max(
                lines.amounts[row].magnitude, lines.margins?[row].magnitude ?? 0)
            if value >= smallest { body(row, value) }
        }
    }
}
