import ByteCoding
import ColumnStore

/// Goes through a snapshot and finds the customers of a rule, a block of rows at a time. Its memory
/// is kept between blocks.
package struct RuleScan: Sendable {
    /// Rows that are looked at together.
    package static let blockRowCount = 1_024
    private static let wordCount = blockRowCount / 64

    /// A bit a row of a block: 1 where the rule is true.
    package typealias Mask = InlineArray<16, UInt64>

    private let rule: AudienceRule
    private let strip: RowStrip
    private var rows: [UInt32] = []
    private var gathered = GatheredFields()
    /// Of each field, the values of a block; 0 where there is none.
    private var values: [[Double]]
    /// Likewise a bit a row, 1 where there is a value.
    private var valid: [Mask]

    package init(_ rule: AudienceRule, _ snapshot: ServingSnapshot) {
        self.init(rule, snapshot.strip)
    }

    init(_ rule: AudienceRule, _ strip: RowStrip) {
        self.rule = rule
        self.strip = strip
        values = rule.columns.map { _ in [Double](repeating: 0, count: Self.blockRowCount) }
        valid = rule.columns.map { _ in Mask(repeating: 0) }
    }

    /// The rows of a block for which the rule is true; bits past the last row are 0.
    /// - Precondition: at most `blockRowCount` rows of the snapshot.
    package mutating func select(_ block: Range<Int>) -> Mask {
        precondition(block.count <= Self.blockRowCount, "a block has at most 1,024 rows")
        let inside = Self.firstBits(block.count)
        if !rule.columns.isEmpty {
            rows.removeAll(keepingCapacity: true)
            for row in block { rows.append(UInt32(row)) }
            // A reference, no copy: two members cannot be lent at once.
            let wanted = rows
            gathered.gather(rule.columns, rows: wanted.span, of: strip)
            for field in rule.columns.indices { load(field, block.count, inside) }
        }
        return evaluate(rule.root, inside).yes
    }

    private struct Truth {
        var yes: Mask
        var no: Mask
    }

    private mutating func load(_ field: Int, _ count: Int, _ inside: Mask) {
        let type = strip.schema.fields[rule.columns[field]].type
        gathered.withLanes(field) { lanes in
            var column = values[field].mutableSpan
            switch type {
            case .float32:
                for i in 0..<count { column[i] = Double(lanes.float(at: i * 4) ?? 0) }
            case .float64:
                for i in 0..<count { column[i] = lanes.double(at: i * 8) ?? 0 }
            case .int32:
                for i in 0..<count {
                    column[i] = Double(lanes.integer(at: i * 4, as: Int32.self) ?? 0)
                }
            case .int64:
                for i in 0..<count {
                    column[i] = Double(lanes.integer(at: i * 8, as: Int64.self) ?? 0)
                }
            }
        }
        gathered.withValidity(field) { validity in
            guard let validity else {
                valid[field] = inside
                return
            }
            var mask = Mask(repeating: 0)
            for i in 0..<validity.byteCount {
                let byte = UInt64(validity.integer(at: i, as: UInt8.self) ?? 0)
                mask[i / 8] |= byte << UInt64(i % 8 * 8)
            }
            valid[field] = mask
        }
    }

    private func evaluate(_ node: AudienceRule.Node, _ inside: Mask) -> Truth {
        switch node {
        case .all: return Truth(yes: inside, no: Mask(repeating: 0))
        case .isMissing(let field):
            return Truth(yes: Self.join(inside, valid[field]) { $0 & ~$1 }, no: valid[field])
        case .compare(let field, let test):
            let column = values[field]
            let passed = Self.passed(test, column.span)
            return Truth(
                yes: Self.join(valid[field], passed) { $0 & $1 },
                no: Self.join(valid[field], passed) { $0 & ~$1 })
        case .not(let inner):
            let truth = evaluate(inner, inside)
            return Truth(yes: truth.no, no: truth.yes)
        case .both(let parts):
            var truth = Truth(yes: inside, no: Mask(repeating: 0))
            for part in parts {
                let other = evaluate(part, inside)
                truth.yes = Self.join(truth.yes, other.yes) { $0 & $1 }
                truth.no = Self.join(truth.no, other.no) { $0 | $1 }
            }
            return truth
        case .either(let parts):
            var truth = Truth(yes: Mask(repeating: 0), no: inside)
            for part in parts {
                let other = evaluate(part, inside)
                truth.yes = Self.join(truth.yes, other.yes) { $0 | $1 }
                truth.no = Self.join(truth.no, other.no) { $0 & $1 }
            }
            return truth
        }
    }

    @inline(__always)
    private static func join(
        _ a: Mask, _ b: Mask, _ operation: (UInt64, UInt64) -> UInt64
    ) -> Mask {
        var result = a
        for i in 0..<wordCount { result[i] = operation(a[i], b[i]) }
        return result
    }

    private static func passed(_ test: AudienceRule.Test, _ values: Span<Double>) -> Mask {
        switch test {
        case .less(let bound): mask(values) { $0 < bound }
        case .atMost(let bound): mask(values) { $0 <= bound }
        case .more(let bound): mask(values) { $0 > bound }
        case .atLeast(let bound): mask(values) { $0 >= bound }
        case .equal(let wanted): mask(values) { $0 == wanted }
        case .unequal(let unwanted): mask(values) { $0 != unwanted }
        case .between(let low, let high): mask(values) { $0 >= low && $0 <= high }
        case .among(let wanted):
            mask(values) { value in
                // The first that is not smaller: lists may have thousands of numbers.
                var (low, high) = (0, wanted.count)
                while low < high {
                    let middle = (low + high) / 2
                    if wanted[middle] < value { low = middle + 1 } else { high = middle }
                }
                return low < wanted.count && wanted[low] == value
            }
        }
    }

    @inline(__always)
    private static func mask(_ values: Span<Double>, _ passes: (Double) -> Bool) -> Mask {
        var mask = Mask(repeating: 0)
        for word in 0..<wordCount {
            var bits: UInt64 = 0
            for bit in 0..<64 where passes(values[word * 64 + bit]) { bits |= 1 << UInt64(bit) }
            mask[word] = bits
        }
        return mask
    }

    private static func firstBits(_ count: Int) -> Mask {
        var mask = Mask(repeating: 0)
        for word in 0..<wordCount {
            let bits = min(64, max(0, count - word * 64))
            mask[word] = bits == 64 ? .max : (1 << UInt64(bits)) - 1
        }
        return mask
    }
}
