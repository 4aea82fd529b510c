import Numerical

/// The rows of a column with many categories in the order of their codes, so that the modes of
/// clusters are found by one walk along it: 4 bytes a row and 8 a category that occurs, where a
/// table of counts would take 4 bytes a category and cluster.
struct CodeOrder: Sendable {
    /// Codes that occur, ascending.
    let codes: [Int32]
    /// `[codes.count + 1]`: where each code's rows start.
    let starts: [Int32]
    /// Rows that have a code, those of equal codes ascending.
    let rows: [Int32]

    /// - Complexity: O(rows), or O(rows · log rows) where the codes run to more than four times as
    ///   many as there are rows.
    init(_ categories: CategoryMatrix, column: Int) {
        self.init(categories.column(column), codeCount: categories.codeCounts[column])
    }

    /// - Parameter codeCount: above all codes.
    init(_ values: [Int32], codeCount: Int) {
        self =
            codeCount <= 4 * values.count + (1 << 16)
            ? CodeOrder(counting: values, codeCount: codeCount) : CodeOrder(sorting: values)
    }

    init(codes: [Int32], starts: [Int32], rows: [Int32]) {
        self.codes = codes
        self.starts = starts
        self.rows = rows
    }

    private init(counting values: [Int32], codeCount: Int) {
        var next = [Int32](repeating: 0, count: codeCount)
        var valid = 0
        for code in values where code >= 0 {
            next[Int(code)] += 1
            valid += 1
        }
        var codes: [Int32] = []
        var starts: [Int32] = []
        var first: Int32 = 0
        for code in next.indices where next[code] > 0 {
            codes.append(Int32(code))
            starts.append(first)
            let count = next[code]
            next[code] = first
            first += count
        }
        starts.append(first)
        var rows = [Int32](repeating: 0, count: valid)
        for (row, code) in values.enumerated() where code >= 0 {
            rows[Int(next[Int(code)])] = Int32(row)
            next[Int(code)] += 1
        }
        self.init(codes: codes, starts: starts, rows: rows)
    }

    private init(sorting values: [Int32]) {
        var keys: [UInt64] = []
        for (row, code) in values.enumerated() where code >= 0 {
            keys.append(UInt64(code) << 32 | UInt64(row))
        }
        keys.sort()
        var codes: [Int32] = []
        var starts: [Int32] = []
        for (i, key) in keys.enumerated() {
            let code = Int32(key >> 32)
            if codes.last != code {
                codes.append(code)
                starts.append(Int32(i))
            }
        }
        starts.append(Int32(keys.count))
        self.init(
            codes: codes, starts: starts,
            rows: keys.map { Int32(truncatingIfNeeded: $0 & 0xFFFF_FFFF) })
    }

    /// Rows of each code.
    var counts: [Int] {
        codes.indices.map { Int(starts[$0 + 1] - starts[$0]) }
    }

    /// The most frequent code of each cluster, ties to the lowest; -1 where no row has one.
    /// - Parameter labels: of all rows of the column, in `0 ..< clusterCount`.
    /// - Complexity: O(rows + 64 · clusters). The same for any thread count.
    func modes(labels: [Int32], clusterCount: Int, threadCount: Int) -> [Int32] {
        let order = self
        let found = parallelMap(
            count: codes.count, chunkSize: max(1024, (codes.count + 63) / 64),
            threadCount: threadCount
        ) { _, range in
            var best = [Best](repeating: Best(), count: clusterCount)
            var counts = [Int32](repeating: 0, count: clusterCount)
            let (rows, labels) = (order.rows.span, labels.span)
            for i in range {
                let places = Int(order.starts[i])..<Int(order.starts[i + 1])
                for place in places { counts[Int(labels[Int(rows[place])])] += 1 }
                // Only the clusters that were met are looked at, and cleared, again.
                for place in places {
                    let cluster = Int(labels[Int(rows[place])])
                    if counts[cluster] > best[cluster].count {
                        best[cluster] = Best(code: order.codes[i], count: counts[cluster])
                    }
                    counts[cluster] = 0
                }
            }
            return best
        }
        var best = [Best](repeating: Best(), count: clusterCount)
        for part in found {
            for cluster in 0..<clusterCount where part[cluster].count > best[cluster].count {
                best[cluster] = part[cluster]
            }
        }
        return best.map(\.code)
    }

    private struct Best: Sendable {
        var code: Int32 = -1
        var count: Int32 = 0
    }
}
