import ByteCoding
package import Units

/// Reads one file of purchase lines into memory: all batches of a `PurchaseStream`, joined.
///
/// - Parameters:
///   - path: of a file or a pipe, plain or gzip data; `-` is standard input.
///   - clock: the plan's time zone, for times without an offset.
///   - rejects: shared by several files if wished; the caller finishes it, also after an error.
/// - Throws: `IngestError` where the file cannot be read or mapped, has no lines, has more
///   rejects than the mapping allows, or was written to meanwhile.
package func readPurchases(
    path: String, mapping: PurchaseMapping, clock: LocalClock, rejects: RejectsWriter? = nil,
    threadCount: Int = 1, plan: ReadingPlan = ReadingPlan()
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    let stream = try PurchaseStream(
        path: path, mapping: mapping, clock: clock, rejects: rejects, threadCount: threadCount,
        plan: plan)
    return try joined(stream)
}

/// As above, from bytes that are in memory; `path` is their name in messages and rejects.
package func readPurchases(
    _ bytes: [UInt8], path: String, mapping: PurchaseMapping, clock: LocalClock,
    rejects: RejectsWriter? = nil, threadCount: Int = 1, plan: ReadingPlan = ReadingPlan()
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    let stream = try PurchaseStream(
        ByteSource(bytes, path: path), mapping, clock, rejects, threadCount: threadCount, plan)
    return try joined(stream)
}

private func joined(
    _ stream: PurchaseStream
) throws(IngestError) -> (lines: PurchaseLines, report: IngestReport) {
    var all: PurchaseLines?
    while let batch = try stream.nextBatch() {
        if all == nil {
            all = batch
        } else {
            all?.append(batch)
        }
    }
    let report = try stream.finish()
    var lines = all ?? stream.noLines
    let texts = stream.texts
    lines.orderIDs?.values = texts.orderIDs ?? TextArray()
    lines.products?.values = texts.products ?? TextArray()
    lines.categories?.values = texts.categories ?? TextArray()
    lines.promotions?.values = texts.promotions ?? TextArray()
    lines.channels?.values = texts.channels ?? TextArray()
    return (lines, report)
}

extension PurchaseLines {
    /// Adds the lines of a later batch of the same stream.
    fileprivate mutating func append(_ batch: PurchaseLines) {
        // Of one kind in all batches of a stream.
        _ = customerIDs.append(contentsOf: batch.customerIDs)
        times += batch.times
        amounts += batch.amounts
        if let more = batch.margins { margins? += more }
        if let more = batch.quantities { quantities? += more }
        if let more = batch.orderIDs { orderIDs?.codes += more.codes }
        if let more = batch.products { products?.codes += more.codes }
        if let more = batch.categories { categories?.codes += more.codes }
        if let more = batch.promotions { promotions?.codes += more.codes }
        if let more = batch.channels { channels?.codes += more.codes }
    }
}

extension TextFormat {
    func check() throws(IngestError) {
        guard maximumRejectShare >= 0, maximumRejectShare <= 1 else {
            throw .invalidMapping("maximumRejectShare is \(maximumRejectShare), not in 0…1")
        }
        guard decimalSign.byte != delimiter.byte else {
            throw .invalidMapping("the comma is both the delimiter and the decimal sign")
        }
    }
}
