import Foundation
import Models
import Numerical
import TestSupport
import Testing

@Suite struct AssociationRulesTests {
    private static func baskets(_ baskets: [[Int32]], itemCount: Int) throws -> PurchaseBaskets {
        var (ends, items) = ([0], [Int32]())
        for basket in baskets {
            items += basket
            ends.append(items.count)
        }
        return try PurchaseBaskets(
            itemCount: itemCount, customerOffsets: Array(0...baskets.count), basketOffsets: ends,
            items: items)
    }

    private static func random(_ count: Int, itemCount: Int) throws -> PurchaseBaskets {
        var random = SeededRandom(seed: 21)
        return try baskets(
            (0..<count).map { _ in
                // Products of low numbers in many baskets.
                Set(
                    (0..<random.below(9)).map { _ in
                        Int32(random.below(1 + random.below(itemCount)))
                    }
                ).sorted()
            }, itemCount: itemCount)
    }

    /// All pairs by search, whatever the memory and threads.
    @Test func findsWhatASearchFinds() throws {
        let baskets = try Self.random(3_000, itemCount: 700)
        var parameters = AssociationRules.Parameters()
        (parameters.leastSupport, parameters.leastCount) = (0.001, 4)
        (parameters.leastConfidence, parameters.leastLift) = (0.02, 1.2)
        let report = try AssociationRules.find(baskets, parameters)
        let sets = (0..<3_000).map { Set(baskets.items[baskets.entries(of: $0)]) }
        var with = [Int](repeating: 0, count: 700)
        var pairs: [[Int32]: Int] = [:]
        for set in sets {
            for a in set {
                with[Int(a)] += 1
                for b in set where b != a { pairs[[a, b], default: 0] += 1 }
            }
        }
        var expected: [[Int32]: Double] = [:]
        for (pair, count) in pairs where count >= 4 {
            let (a, b) = (Double(with[Int(pair[0])]), Double(with[Int(pair[1])]))
            let lift = Double(count) * 3_000 / (a * b)
            if Double(count) / a >= 0.02, lift >= 1.2 { expected[pair] = lift }
        }
        #expect(expected.count > 100)
        #expect(report.foundCount == expected.count && report.rules.count == expected.count)
        for rule in report.rules {
            #expect(expected[[rule.antecedent, rule.consequent]] == rule.lift)
            #expect(rule.basketCount == pairs[[rule.antecedent, rule.consequent]])
            let support = Double(rule.basketCount) / 3_000
            #expect(rule.support == support)
            let confidence = Double(rule.basketCount) / Double(with[Int(rule.antecedent)])
            #expect(rule.confidence == confidence)
        }
        #expect(zip(report.rules, report.rules.dropFirst()).allSatisfy { $0.lift >= $1.lift })
        var other = parameters
        (other.memoryByteCount, other.threadCount) = (1 << 20, 3)
        #expect(try AssociationRules.find(baskets, other) == report)
        other.maximumCount = 7
        let few = try AssociationRules.find(baskets, other)
        #expect(few.rules == Array(report.rules.prefix(7)) && few.foundCount == expected.count)
    }

    @Test func badInput() throws {
        #expect(throws: ModelError.noRows(model: "association rules")) {
            try AssociationRules.find(Self.baskets([], itemCount: 0), .init())
        }
        var parameters = AssociationRules.Parameters()
        parameters.leastSupport = .nan
        let one = try Self.baskets([[0], [], [1]], itemCount: 2)
        #expect(throws: ModelError.self) { try AssociationRules.find(one, parameters) }
        let none = try AssociationRules.find(one, .init())
        #expect(none.rules.isEmpty && none.basketCount == 3)
    }

    /// The figures published with the set: whole milk in 2,513 of 9,835 baskets, with other vegetables
    /// in 736, lift 1.513634.
    @Test(.enabled(if: TestData.file("groceries/groceries.csv") != nil))
    func groceries() throws {
        let file = try #require(TestData.file("groceries/groceries.csv"))
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        var codes: [String: Int32] = [:]
        let named = lines.map { line in
            line.split(separator: ",").map { String($0).trimmingCharacters(in: .whitespaces) }
        }
        for name in Set(named.joined()).sorted() where !name.isEmpty {
            codes[name] = Int32(codes.count)
        }
        let baskets = try Self.baskets(
            named.map { Set($0.compactMap { codes[$0] }).sorted() }, itemCount: codes.count)
        var parameters = AssociationRules.Parameters()
        parameters.leastSupport = 0.01
        let report = try AssociationRules.find(baskets, parameters)
        #expect((report.basketCount, codes.count) == (9_835, 169))
        let rule = try #require(
            report.rules.first {
                $0.antecedent == codes["other vegetables"] && $0.consequent == codes["whole milk"]
            })
        #expect(rule.basketCount == 736)
        #expect(abs(rule.lift - 1.513634) < 1e-6)
    }
}
