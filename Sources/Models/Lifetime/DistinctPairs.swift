import Numerical

/// The distinct pairs of x and T of customers, numbered in ascending order.
///
/// Nearly all customers have so small an x that a pair is found in a table of all; the others are
/// found by hash.
struct DistinctPairs: Sendable {
    private(set) var pairs: [(x: Int, ageDays: Int)] = []
    private(set) var maximumAge = 0
    /// Codes of pairs with x below `tabulated`, by x and age; -1 for none.
    private var table: [Int32] = []
    private var tabulated = 0
    private var others: [UInt64: Int32] = [:]

    private static let tableCount = 1 << 20

    /// - Parameter status: rows with another than 0 are left out; of the others x and T are at least 0.
    init(x: [Int32], age: [Int32], status: [UInt8], threadCount: Int) {
        let chunkRows = 1 << 16
        let limits = parallelMap(
            count: x.count, chunkSize: chunkRows, threadCount: threadCount
        ) { _, rows in
            let (x, age, status) = (x.span, age.span, status.span)
            var limits = (x: Int32(-1), age: Int32(0))
            for row in rows where status[row] == 0 {
                limits = (max(limits.x, x[row]), max(limits.age, age[row]))
            }
            return limits
        }
        let maximumX = Int(limits.map(\.x).max() ?? -1)
        maximumAge = Int(limits.map(\.age).max() ?? 0)
        guard maximumX >= 0 else { return }
        let width = maximumAge + 1
        let tabulated = min(maximumX + 1, max(1, Self.tableCount / width))
        self.tabulated = tabulated
        table = [Int32](repeating: -1, count: tabulated * width)
        var marks = [Marks](
            repeating: Marks(tabulated: Bitmap(count: table.count)), count: threadCount)
        parallelFor(count: x.count, chunkSize: chunkRows, scratches: &marks) { marks, _, rows in
            let (x, age, status) = (x.span, age.span, status.span)
            for row in rows where status[row] == 0 {
                if Int(x[row]) < tabulated {
                    marks.tabulated[Int(x[row]) * width + Int(age[row])] = true
                } else {
                    marks.others.insert(Self.key(x[row], age[row]))
                }
            }
        }
        for word in marks[0].tabulated.words.indices {
            var bits = marks.reduce(0) { $0 | $1.tabulated.words[word] }
            while bits != 0 {
                let place = word * 64 + bits.trailingZeroBitCount
                table[place] = Int32(pairs.count)
                pairs.append((place / width, place % width))
                bits &= bits - 1
            }
        }
        let rest = marks.reduce(into: Set<UInt64>()) { $0.formUnion($1.others) }
        for key in rest.sorted() {
            others[key] = Int32(pairs.count)
            pairs.append((Int(key >> 32), Int(key & 0xFFFF_FFFF)))
        }
    }

    /// Pairs that a thread has seen.
    private struct Marks: Sendable {
        var tabulated: Bitmap
        var others: Set<UInt64> = []
    }

    private static func key(_ x: Int32, _ age: Int32) -> UInt64 { UInt64(x) << 32 | UInt64(age) }

    /// The codes of rows; those whose status is not 0 keep what they had.
    /// - Parameter codes: `[rows.count]`.
    func fill(
        _ codes: inout [Int32], rows: Range<Int>, x: Span<Int32>, age: Span<Int32>,
        status: Span<UInt8>
    ) {
        let table = table.span
        let width = maximumAge + 1
        for (offset, row) in rows.enumerated() where status[row] == 0 {
            let count = Int(x[row])
            codes[offset] =
                count < tabulated
                ? table[count * width + Int(age[row])]
                : others[Self.key(x[row], age[row])] ?? -1
        }
    }
}
