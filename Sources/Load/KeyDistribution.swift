import Foundation
package import Numerical

/// How often each id is asked for.
package enum KeyDistribution: Sendable, Equatable {
    case uniform
    /// The id of rank k with a probability proportional to k^-exponent. The exponent is positive.
    case zipf(Double)

    /// Reads `uniform` or `zipf:0.99`.
    package init(parsing text: String) throws(LoadError) {
        if text == "uniform" {
            self = .uniform
            return
        }
        guard text.hasPrefix("zipf:"), let exponent = Double(text.dropFirst(5)),
            exponent > 0, exponent <= 10
        else {
            throw .option(
                "--keys is uniform, or zipf:S with an exponent S in 0 … 10 (above 0), such as "
                    + "zipf:0.99; not '\(text)'")
        }
        self = .zipf(exponent)
    }

    package var name: String {
        switch self {
        case .uniform: "uniform"
        case .zipf(let exponent): "zipf:\(exponent)"
        }
    }
}

/// Draws ranks 1 … n with probabilities proportional to k^-s, exactly, in constant time and memory.
///
/// Source: W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone
/// discrete distributions", ACM TOMACS 6(3), 1996.
package struct ZipfSampler: Sendable {
    private let count: Double
    private let exponent: Double
    private let integralAtFirst: Double
    private let integralAtLast: Double
    private let acceptance: Double

    /// - Parameters:
    ///   - count: at least 1.
    ///   - exponent: positive.
    package init(count: Int, exponent: Double) {
        precondition(count >= 1 && exponent > 0)
        self.count = Double(count)
        self.exponent = exponent
        integralAtFirst = Self.integral(1.5, exponent) - 1
        integralAtLast = Self.integral(Double(count) + 0.5, exponent)
        acceptance =
            2
            - Self.inverse(
                Self.integral(2.5, exponent) - Self.height(2, exponent), exponent)
    }

    /// A rank, 1 … count.
    package func next(_ random: inout SeededRandom) -> Int {
        while true {
            let u = integralAtLast + random.uniform() * (integralAtFirst - integralAtLast)
            let x = Self.inverse(u, exponent)
            let rank = min(max(x.rounded(), 1), count)
            if rank - x <= acceptance
                || u >= Self.integral(rank + 0.5, exponent) - Self.height(rank, exponent)
            {
                return Int(rank)
            }
        }
    }

    /// x^-s.
    private static func height(_ x: Double, _ s: Double) -> Double { exp(-s * log(x)) }

    /// The integral of t^-s from 1 to x: (x^(1-s) - 1) / (1 - s), ln x for s = 1.
    private static func integral(_ x: Double, _ s: Double) -> Double {
        let logarithm = log(x)
        let scaled = (1 - s) * logarithm
        // expm1(z) / z by its series where the quotient would lose digits.
        let quotient =
            abs(scaled) > 1e-8 ? expm1(scaled) / scaled : 1 + scaled / 2 * (1 + scaled / 3)
        return quotient * logarithm
    }

    /// The x at which the integral has this value.
    private static func inverse(_ value: Double, _ s: Double) -> Double {
        let scaled = max(value * (1 - s), -1)
        let quotient =
            abs(scaled) > 1e-8 ? log1p(scaled) / scaled : 1 - scaled * (0.5 - scaled / 3)
        return exp(quotient * value)
    }
}

/// The ids that requests name.
package enum RequestIDs: Sendable, Equatable {
    /// Consecutive integers.
    case range(ClosedRange<Int64>)
    /// At least one.
    case integers([Int64])
    /// At least one.
    case texts([String])

    package var count: Int {
        switch self {
        case .range(let range): Int(range.upperBound - range.lowerBound) + 1
        case .integers(let ids): ids.count
        case .texts(let ids): ids.count
        }
    }

    /// Reads `FIRST-LAST`, integers from 0 on; at most 2^40 of them.
    package init(range text: String, option: String) throws(LoadError) {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last,
            last - first < 1 << 40
        else {
            throw .option("\(option) is FIRST-LAST, such as 1-100000, not '\(text)'")
        }
        self = .range(first...last)
    }

    /// Reads a file with an id a line; empty lines are left out.
    /// - Parameter areIntegers: whether they must be; nil for either.
    package init(file path: String, areIntegers: Bool?) throws(LoadError) {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw .idFile(
                path: path, line: nil,
                reason: "cannot be read as UTF-8: \(error.localizedDescription)")
        }
        var texts: [String] = []
        var integers: [Int64] = []
        for (index, line) in text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).enumerated() where !line.isEmpty {
            texts.append(String(line))
            if let value = Int64(line) {
                integers.append(value)
            } else if areIntegers == true {
                throw .idFile(
                    path: path, line: index + 1,
                    reason: "'\(line)' is no whole number, as ids are here")
            }
        }
        guard !texts.isEmpty else {
            throw .idFile(path: path, line: nil, reason: "has no id; write one a line")
        }
        let usesIntegers = areIntegers ?? (integers.count == texts.count)
        self = usesIntegers ? .integers(integers) : .texts(texts)
    }
}

/// Draws ids by a distribution.
package struct KeySource: Sendable {
    package let ids: RequestIDs
    private let count: Int
    private let zipf: ZipfSampler?
    private let multiplier: UInt64

    package init(_ ids: RequestIDs, _ distribution: KeyDistribution) {
        self.ids = ids
        count = ids.count
        switch distribution {
        case .uniform: zipf = nil
        case .zipf(let exponent): zipf = ZipfSampler(count: count, exponent: exponent)
        }
        multiplier = Self.scatter(count)
    }

    /// The place of a random id, 0 ..< count. Frequent ranks are scattered over all places: in
    /// their order they would be neighbours in the server's memory, which real ones are not.
    package func draw(_ random: inout SeededRandom) -> Int {
        guard let zipf else { return random.below(count) }
        return place(ofRank: zipf.next(&random))
    }

    /// Where the id of a rank, 1 … count, stands; a bijection.
    package func place(ofRank rank: Int) -> Int {
        let product = multiplier.multipliedFullWidth(by: UInt64(rank - 1))
        return Int(UInt64(count).dividingFullWidth(product).remainder)
    }

    /// A number near the golden section of `count` that has no common factor with it.
    private static func scatter(_ count: Int) -> UInt64 {
        func commonFactor(_ a: UInt64, _ b: UInt64) -> UInt64 {
            b == 0 ? a : commonFactor(b, a % b)
        }
        var candidate = max(1, UInt64(Double(count) * 0.618_033_988_749_895))
        while commonFactor(candidate, UInt64(count)) != 1 { candidate += 1 }
        return candidate
    }

    /// The id at a place; only where they are integers.
    @inline(__always) func integer(_ place: Int) -> Int64 {
        switch ids {
        case .range(let range): range.lowerBound + Int64(place)
        case .integers(let ids): ids[place]
        case .texts: 0
        }
    }

    func text(_ place: Int) -> String {
        switch ids {
        case .range(let range): String(range.lowerBound + Int64(place))
        case .integers(let ids): String(ids[place])
        case .texts(let ids): ids[place]
        }
    }

    var areIntegers: Bool {
        if case .texts = ids { false } else { true }
    }
}
