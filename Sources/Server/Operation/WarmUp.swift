import ByteCoding
import ColumnStore
import Wire

/// Look-ups before the first client, spread over the whole snapshot, so that the pages of the index
/// and of the records are in memory and the code has run once.
struct WarmUp {
    /// Ids at a time.
    private static let batchRowCount = 1_024
    /// At most so many look-ups: one in each page of some gigabytes of records.
    private static let largestRowCount = 1 << 20

    /// How many look-ups were made.
    let lookupCount: Int

    /// Looks up customers in even steps; a customer in each 4 KiB of records where there are so many.
    init(_ served: ServedSnapshot) {
        let customers = served.snapshot.customers
        let customerCount = served.snapshot.customerCount
        let recordBytes = 8 + served.fields.reduce(0) { $0 + $1.byteCount }
        let perPage = max(1, 4_096 / recordBytes)
        let step = max(
            perPage, (customerCount + Self.largestRowCount - 1) / Self.largestRowCount, 1)
        let answer = LookupAnswer(strip: served.snapshot.strip, fields: served.fields)
        var scratch = LookupScratch()
        var writer = ByteWriter()
        var (row, count) = (0, 0)
        while row < customerCount {
            var rows: [UInt32] = []
            while row < customerCount, rows.count < Self.batchRowCount {
                rows.append(UInt32(row))
                row += step
            }
            let ids = customers.ids(of: rows.span)
            scratch.rows = (0..<ids.count).map { index in
                customers.find(ids[index]).map { UInt32($0) } ?? IDIndex.absent
            }
            writer.removeAll()
            answer.write(&scratch, bodyStart: 0, into: &writer)
            count += rows.count
        }
        lookupCount = count
    }
}
