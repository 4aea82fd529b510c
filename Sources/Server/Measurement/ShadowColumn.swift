import ByteCoding
import ColumnStore
import Engine
import Wire

/// How a column of the candidate differs from that of the current generation.
struct ShadowColumn: Sendable {
    /// Pairs of categories that are counted; moves beyond them count as differing only.
    private static let moveLimit = 4_096
    /// Those that a report has of a column, the most frequent ones.
    private static let reportedMoveCount = 1_024

    private struct Move: Hashable {
        let from: Int64
        let to: Int64
    }

    let id: UInt16
    let name: String
    /// Whether its numbers are names of something: differences of them mean nothing.
    private let isCategory: Bool
    /// Of the strips' fields; nil where a generation lacks the column. -1: the row's status.
    private let fields: (current: Int?, candidate: Int?)
    private var comparedCount = 0
    private var differingCount = 0
    private var onlyInCurrentCount = 0
    private var onlyInCandidateCount = 0
    private var sum = 0.0
    private var largest = 0.0
    private var differences = DifferenceHistogram()
    private var moves: [Move: Int] = [:]

    private static let statusField = -1

    private init(
        id: UInt16, name: String, isCategory: Bool, fields: (current: Int?, candidate: Int?)
    ) {
        self.id = id
        self.name = name
        self.isCategory = isCategory
        self.fields = fields
    }

    /// The row's status, then the columns of either generation, those of the current one first.
    static func all(_ current: ServingSnapshot, _ candidate: ServingSnapshot) -> [ShadowColumn] {
        var columns = [
            ShadowColumn(
                id: ColumnID.rowStatus.rawValue, name: "rowStatus", isCategory: true,
                fields: (statusField, statusField))
        ]
        func isCategory(_ field: RowStripSchema.Field) -> Bool {
            field.unit == "segment" || field.unit == "tier"
        }
        for (index, field) in current.columns.enumerated() {
            columns.append(
                ShadowColumn(
                    id: field.id, name: field.name, isCategory: isCategory(field),
                    fields: (index, candidate.columnIndex(id: field.id))))
        }
        for (index, field) in candidate.columns.enumerated()
        where current.columnIndex(id: field.id) == nil {
            columns.append(
                ShadowColumn(
                    id: field.id, name: field.name, isCategory: isCategory(field),
                    fields: (nil, index)))
        }
        return columns
    }

    private static func value(_ field: Int?, _ row: Int, _ strip: RowStrip) -> Double? {
        guard let field else { return nil }
        return field == statusField
            ? Double(strip.status(row: row)) : strip.value(field: field, row: row)
    }

    /// Compares customers.
    /// - Parameter rows: of each in both strips.
    mutating func add(
        _ rows: [(current: Int, candidate: Int)], _ current: RowStrip, _ candidate: RowStrip
    ) {
        for row in rows {
            let a = Self.value(fields.current, row.current, current)
            let b = Self.value(fields.candidate, row.candidate, candidate)
            switch (a, b) {
            case (let a?, let b?): add(a, b)
            case (.some, nil): onlyInCurrentCount += 1
            case (nil, .some): onlyInCandidateCount += 1
            case (nil, nil): break
            }
        }
    }

    private mutating func add(_ a: Double, _ b: Double) {
        comparedCount += 1
        if a != b { differingCount += 1 }
        if isCategory {
            let move = Move(from: Int64(a), to: Int64(b))
            if moves[move] != nil || moves.count < Self.moveLimit {
                moves[move, default: 0] += 1
            }
        } else {
            let difference = min((a - b).magnitude, .greatestFiniteMagnitude)
            sum = min(sum + difference, .greatestFiniteMagnitude)
            largest = max(largest, difference)
            differences.record(difference)
        }
    }

    // MARK: Report

    /// A row a column, then a row a pair of categories.
    static func table(_ columns: [ShadowColumn]) -> Table {
        var rows = Rows()
        for column in columns { rows.add(column) }
        for column in columns where column.isCategory {
            let moves = column.moves.sorted { a, b in
                a.value != b.value
                    ? a.value > b.value : (a.key.from, a.key.to) < (b.key.from, b.key.to)
            }
            for (move, count) in moves.prefix(reportedMoveCount) {
                rows.add(column, move, count)
            }
        }
        return rows.table
    }

    private struct Rows {
        private var ids: [Int32] = []
        private var names: [String] = []
        /// Of each column of the table from `shadowCompared` on; nil where a row has none.
        private var counts = [[Int64?]](repeating: [], count: 4)
        private var numbers = [[Double?]](repeating: [], count: 5)
        private var moves = [[Int64?]](repeating: [], count: 3)

        mutating func add(_ column: ShadowColumn) {
            let hasNumbers = !column.isCategory && column.comparedCount > 0
            let differences = column.differences
            add(
                column,
                [
                    column.comparedCount, column.differingCount, column.onlyInCurrentCount,
                    column.onlyInCandidateCount,
                ].map { Int64($0) },
                hasNumbers
                    ? [
                        column.sum / Double(column.comparedCount), column.largest,
                        differences.quantile(0.5), differences.quantile(0.9),
                        differences.quantile(0.99),
                    ] : [nil, nil, nil, nil, nil], [nil, nil, nil])
        }

        mutating func add(_ column: ShadowColumn, _ move: Move, _ count: Int) {
            add(
                column, [nil, nil, nil, nil], [nil, nil, nil, nil, nil],
                [move.from, move.to, Int64(count)])
        }

        private mutating func add(
            _ column: ShadowColumn, _ counts: [Int64?], _ numbers: [Double?], _ moves: [Int64?]
        ) {
            ids.append(Int32(column.id))
            names.append(column.name)
            for (index, value) in counts.enumerated() { self.counts[index].append(value) }
            for (index, value) in numbers.enumerated() { self.numbers[index].append(value) }
            for (index, value) in moves.enumerated() { self.moves[index].append(value) }
        }

        var table: Table {
            var columns = [
                WireColumn(.columnID, .int32(ids)),
                WireColumn(.columnName, .text(TextArray(names))),
            ]
            let countIDs: [ColumnID] = [
                .shadowCompared, .shadowDiffering, .shadowOnlyCurrent, .shadowOnlyCandidate,
            ]
            let numberIDs: [ColumnID] = [
                .shadowMeanDifference, .shadowLargestDifference, .shadowMedianDifference,
                .shadowDifference90, .shadowDifference99,
            ]
            let moveIDs: [ColumnID] = [.shadowFrom, .shadowTo, .shadowMoveCount]
            for (id, values) in Array(zip(countIDs, counts)) + Array(zip(moveIDs, moves)) {
                columns.append(
                    WireColumn(
                        id, .int64(values.map { $0 ?? 0 }),
                        validity: ValidityBitmap(values.map { $0 != nil })))
            }
            for (id, values) in zip(numberIDs, numbers) {
                columns.append(
                    WireColumn(
                        id, .float64(values.map { $0 ?? 0 }),
                        validity: ValidityBitmap(values.map { $0 != nil })))
            }
            return Table(rowCount: ids.count, columns: columns)
        }
    }
}

/// Sizes of differences in log-linear buckets: 32 of equal width in each power of two from 2^-64 to
/// 2^64, so that a bucket's middle is within 1.6 % of every size in it. Smaller and larger ones count
/// in the outermost buckets.
struct DifferenceHistogram: Sendable {
    private static let exponents = -64..<64
    private static let subBucketBits = 5

    private var zeroCount = 0
    private var count = 0
    /// Empty before the first difference.
    private var buckets: [Int] = []

    /// - Precondition: `difference >= 0`, finite.
    mutating func record(_ difference: Double) {
        count += 1
        guard difference > 0 else {
            zeroCount += 1
            return
        }
        if buckets.isEmpty {
            buckets = Array(repeating: 0, count: Self.exponents.count << Self.subBucketBits)
        }
        buckets[Self.bucket(difference)] += 1
    }

    private static func bucket(_ difference: Double) -> Int {
        // That of a subnormal number is below all.
        let exponent = Int(difference.exponent)
        guard exponent >= exponents.lowerBound else { return 0 }
        guard exponent < exponents.upperBound else {
            return exponents.count << subBucketBits - 1
        }
        let sub = Int(difference.significandBitPattern >> UInt64(52 - subBucketBits))
        return (exponent - exponents.lowerBound) << subBucketBits + sub
    }

    /// The difference that a share of all, 0 … 1, does not exceed. 0 where nothing was recorded.
    func quantile(_ share: Double) -> Double {
        let rank = max(1, Int((Double(count) * share).rounded(.up)))
        guard rank > zeroCount else { return 0 }
        var passed = zeroCount
        for (bucket, number) in buckets.enumerated() {
            passed += number
            guard passed >= rank else { continue }
            let exponent = Self.exponents.lowerBound + bucket >> Self.subBucketBits
            let sub = bucket & (1 << Self.subBucketBits - 1)
            let middle = 1 + (Double(sub) + 0.5) / Double(1 << Self.subBucketBits)
            return Double(sign: .plus, exponent: exponent, significand: middle)
        }
        return 0
    }
}
