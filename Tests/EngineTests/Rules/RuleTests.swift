import ByteCoding
import Engine
import Foundation
import Numerical
import TestSupport
import Testing
import Units

/// Rules are checked against a second evaluation of the same rule, value by value.
@Suite struct RuleTests {
    /// Columns of every type, values missing here and there.
    private static func contents(rowCount: Int) -> SnapshotContents {
        let rows = 0..<rowCount
        return SnapshotContents(
            generation: 1, asOf: CalendarDay(daysSince1970: 10_000), currency: "EUR", models: [],
            customerIDs: .integers(rows.map { Int64($0) }), status: rows.map { _ in 0 },
            columns: [
                ScoreColumn(
                    id: 1, name: "value", unit: "EUR",
                    values: .float64(rows.map { Double($0 * 37 % 101) / 4 }),
                    valid: rows.map { $0 % 7 != 3 }),
                ScoreColumn(
                    id: 2, name: "churn", unit: "probability",
                    values: .float32(rows.map { Float($0 * 13 % 11) / 10 })),
                ScoreColumn(
                    id: 3, name: "orders", unit: "", values: .int32(rows.map { Int32($0 % 9) - 4 }),
                    valid: rows.map { $0 % 5 != 0 }),
                ScoreColumn(
                    id: 4, name: "style_segment", unit: "segment",
                    values: .int32(rows.map { Int32($0 % 4) }), valid: rows.map { $0 % 11 != 0 }),
            ],
            affinity: nil,
            segments: [
                SegmentTable(
                    segmentation: "style",
                    segments: (0..<4).map { number in
                        .init(
                            number: number, name: ["Ann's", "both", "both", "say \"hi\""][number],
                            customerCount: 1, revenue: 0)
                    })
            ])
    }

    private func inSnapshot<Result>(
        rowCount: Int, _ body: (ServingSnapshot) throws -> Result
    ) throws -> Result {
        try withTemporaryFolder { folder in
            let location = try SnapshotWriter.write(
                Self.contents(rowCount: rowCount), into: folder.path)
            return try body(try ServingSnapshot(location))
        }
    }

    private func selected(_ rule: String, _ snapshot: ServingSnapshot) throws -> [Int] {
        var scan = RuleScan(try AudienceRule(parsing: rule, in: snapshot), snapshot)
        var rows: [Int] = []
        for start in stride(from: 0, to: snapshot.customerCount, by: RuleScan.blockRowCount) {
            let block =
                start..<min(start + RuleScan.blockRowCount, snapshot.customerCount)
            let mask = scan.select(block)
            for bit in 0..<RuleScan.blockRowCount where mask[bit / 64] >> UInt64(bit % 64) & 1 == 1
            {
                rows.append(start + bit)
            }
        }
        return rows
    }

    // MARK: A second evaluation

    private indirect enum Node {
        case compare(Int, String, Double)
        case between(Int, Double, Double)
        case among(Int, [Double])
        case missing(Int)
        case not(Node)
        case both(Node, Node)
        case either(Node, Node)
        case all

        static let names = ["value", "churn", "orders", "style_segment"]

        var text: String {
            switch self {
            case .compare(let column, let sign, let value): "\(Self.names[column]) \(sign) \(value)"
            case .between(let column, let low, let high):
                "\(Self.names[column]) BETWEEN \(low) and \(high)"
            case .among(let column, let values):
                "\(Self.names[column]) in (\(values.map { "\($0)" }.joined(separator: ", ")))"
            case .missing(let column): "\(Self.names[column]) is missing"
            case .not(let inner): "not (\(inner.text))"
            case .both(let a, let b): "(\(a.text)) and (\(b.text))"
            case .either(let a, let b): "(\(a.text)) or (\(b.text))"
            case .all: "all"
            }
        }

        /// Nil: neither true nor false.
        func holds(_ row: [Double?]) -> Bool? {
            func stored(_ column: Int, _ value: Double) -> Double {
                column == 1 ? Double(Float(value)) : value
            }
            switch self {
            case .all: return true
            case .missing(let column): return row[column] == nil
            case .compare(let column, let sign, let value):
                guard let actual = row[column] else { return nil }
                let value = stored(column, value)
                return switch sign {
                case "=": actual == value
                case "!=": actual != value
                case "<": actual < value
                case "<=": actual <= value
                case ">": actual > value
                default: actual >= value
                }
            case .between(let column, let low, let high):
                guard let actual = row[column] else { return nil }
                return actual >= stored(column, low) && actual <= stored(column, high)
            case .among(let column, let values):
                guard let actual = row[column] else { return nil }
                return values.contains { stored(column, $0) == actual }
            case .not(let inner): return inner.holds(row).map { !$0 }
            case .both(let a, let b):
                let (a, b) = (a.holds(row), b.holds(row))
                return a == false || b == false ? false : a == nil || b == nil ? nil : true
            case .either(let a, let b):
                let (a, b) = (a.holds(row), b.holds(row))
                return a == true || b == true ? true : a == nil || b == nil ? nil : false
            }
        }

        static func random(_ random: inout SeededRandom, depth: Int) -> Node {
            let column = random.below(4)
            func value() -> Double {
                column == 1
                    ? Double(random.below(11)) / 10 : Double(random.below(60)) / 2 - 5
            }
            switch random.below(depth > 0 ? 9 : 5) {
            case 0: return .missing(column)
            case 1:
                let (a, b) = (value(), value())
                return .between(column, min(a, b), max(a, b))
            case 2: return .among(column, (0...random.below(5)).map { _ in value() })
            case 3, 4:
                let signs = ["=", "!=", "<", "<=", ">", ">="]
                return .compare(column, signs[random.below(6)], value())
            case 5: return .not(Self.random(&random, depth: depth - 1))
            case 6: return .all
            case 7:
                let first = Self.random(&random, depth: depth - 1)
                return .both(first, Self.random(&random, depth: depth - 1))
            default:
                let first = Self.random(&random, depth: depth - 1)
                return .either(first, Self.random(&random, depth: depth - 1))
            }
        }
    }

    @Test(arguments: [0, 1, 63, 64, 65, 1_023, 1_024, 1_025, 2_500])
    func aRuleMeansTheSameValueByValue(rowCount: Int) throws {
        try inSnapshot(rowCount: rowCount) { snapshot in
            var random = SeededRandom(seed: UInt64(rowCount) + 1)
            let values = (0..<rowCount).map { row in
                (0..<4).map { snapshot.strip.value(field: $0, row: row) }
            }
            for _ in 0..<200 {
                let node = Node.random(&random, depth: 4)
                let wanted = (0..<rowCount).filter { node.holds(values[$0]) == true }
                let text = node.text
                let found = try selected(text, snapshot)
                #expect(found == wanted, "\(text)")
            }
        }
    }

    /// Two segments are called `both`.
    @Test(arguments: [
        ("style_segment = 'Ann''s'", [0]),
        ("style_segment = \"say \"\"hi\"\"\"", [3]),
        ("style_segment = 'both'", [1, 2]),
        ("style_segment not in (3, 'both')", [0]),
        ("style_segment IS NOT missing", [0, 1, 2, 3]),
    ])
    func namesStandForNumbers(rule: String, numbers: [Int]) throws {
        let wanted = (0..<100).filter { $0 % 11 != 0 && numbers.contains($0 % 4) }
        let found = try inSnapshot(rowCount: 100) { try selected(rule, $0) }
        #expect(found == wanted)
    }

    @Test(arguments: [
        ("", 0, "the end instead of a column"),
        ("value >", 7, "the end instead of a value"),
        ("value > 1 value < 2", 10, "'value' after the end"),
        ("revenue > 1", 0, "there is no column 'revenue'"),
        ("value ! 1", 6, "'!' alone"),
        ("value > 'best'", 8, "numbers that have no names"),
        ("style_segment = 'worst'", 16, "has no 'worst'"),
        ("style_segment != 'both'", 17, "2 segments have this name"),
        ("style_segment = 'Ann", 16, "does not end"),
        ("value between 3 and 1", 14, "wrong order"),
        ("value between 3", 15, "'and' is missing"),
        ("value in 3", 9, "'(' is missing"),
        ("value in (3", 11, "')' is missing"),
        ("(value > 3", 10, "')' is missing"),
        ("value is 3", 9, "instead of 'missing'"),
        ("value not > 3", 10, "instead of a comparison"),
        ("value > 1e999", 8, "not a number"),
        ("value > 0x10", 8, "not a number"),
        ("value > nan", 8, "instead of a value"),
        ("value > 1; drop", 9, "no meaning here"),
        ("3 < value", 0, "instead of a column"),
    ])
    func flawsSayWhatAndWhere(rule: String, byteOffset: Int, words: String) throws {
        try inSnapshot(rowCount: 3) { snapshot in
            do throws(RuleFlaw) {
                _ = try AudienceRule(parsing: rule, in: snapshot)
                Issue.record("'\(rule)' was read")
            } catch {
                #expect(error.byteOffset == byteOffset, "\(error)")
                #expect(error.text.contains(words), "\(error)")
            }
        }
    }

    @Test func largeRulesAreRefusedNotFollowed() throws {
        try inSnapshot(rowCount: 3) { snapshot in
            func flaw(_ rule: String) -> RuleFlaw? {
                do throws(RuleFlaw) {
                    _ = try AudienceRule(parsing: rule, in: snapshot)
                    return nil
                } catch {
                    return error
                }
            }
            let deep = String(repeating: "(", count: 10_000) + "all"
            #expect(flaw(deep)?.text.contains("64 levels") == true)
            let (opening, closing) = (
                String(repeating: "(", count: 64), String(repeating: ")", count: 64)
            )
            let levels = opening + "all" + closing
            #expect(flaw(levels) == nil)
            #expect(flaw("(\(levels))") != nil)
            let negated = String(repeating: "not ", count: 10_000) + "all"
            #expect(flaw(negated)?.text.contains("64 levels") == true)
            let long = Array(repeating: "value > 1", count: 5_000).joined(separator: " or ")
            #expect(flaw(long)?.text.contains("4096 comparisons") == true)
            let list =
                "value in (" + Array(repeating: "1", count: 5_000).joined(separator: ",") + ")"
            #expect(flaw(list)?.text.contains("4096 comparisons") == true)
            let fine =
                "value in (" + Array(repeating: "1", count: 4_000).joined(separator: ",") + ")"
            #expect(flaw(fine) == nil)
        }
    }

    /// Any bytes are read or refused.
    @Test func noTextTraps() throws {
        try inSnapshot(rowCount: 3) { snapshot in
            var random = SeededRandom(seed: 9)
            let pieces = [
                "value", "churn", "style_segment", "and", "or", "not", "in", "between", "is",
                "missing", "all", "(", ")", ",", "=", "!=", "<", ">=", "1", "-2.5", "'both'", "\"",
                "'", " ", "\n", "é", "1e", "+", ".", "!",
            ]
            var read = 0
            for _ in 0..<20_000 {
                let text = (0...random.below(9)).map { _ in pieces[random.below(pieces.count)] }
                    .joined(separator: random.below(3) == 0 ? "" : " ")
                do throws(RuleFlaw) {
                    _ = try AudienceRule(parsing: text, in: snapshot)
                    read += 1
                } catch {
                    #expect(error.byteOffset <= text.utf8.count)
                }
            }
            #expect(read > 10)
        }
    }
}
