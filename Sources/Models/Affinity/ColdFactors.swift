import Foundation

/// Factors of customers without purchases and of products without buyers, from what else is known
/// of them: means of the factors of those that are like them.
///
/// A product's score is linear in the customer's factors, so the mean of a segment's factors gives
/// every product the segment's mean score: no other estimate from the segment alone is closer by
/// squares. All sums run in row order and in double precision: the same bytes always.
package enum ColdFactors {
    /// The mean factors of groups: of segments of customers, or of categories of products.
    ///
    /// A group's mean is drawn to that of all groups' rows by `priorCount` rows, so that a group of
    /// one is not taken for its member.
    /// - Parameters:
    ///   - factors: `[rowCount × factorCount]`, row-major; rows of zeros (nothing bought, nobody
    ///     bought) say nothing and are left out.
    ///   - groups: `[rowCount]`: 0 ..< `groupCount`; below 0 for a row of no group, which counts for
    ///     the mean of all.
    ///   - priorCount: at least 0.
    /// - Returns: `[groupCount × factorCount]`; the mean of all for a group without rows.
    /// - Throws: `countMismatch`; `outOfRange`; `nonFiniteValue`.
    /// - Complexity: O(rows × factors).
    package static func groupMeans(
        _ factors: [Float], factorCount: Int, groups: [Int32], groupCount: Int,
        priorCount: Double = 5
    ) throws(ModelError) -> [Float] {
        try check(factors, factorCount, rowCount: groups.count)
        guard priorCount >= 0, priorCount.isFinite else {
            throw .outOfRange(what: "priorCount", actual: priorCount, allowed: "at least 0")
        }
        let f = factorCount
        var sums = [Double](repeating: 0, count: groupCount * f)
        var counts = [Double](repeating: 0, count: groupCount)
        var all = [Double](repeating: 0, count: f)
        var total = 0.0
        for row in groups.indices where !isZero(factors, row, f) {
            let group = Int(groups[row])
            guard group < groupCount else {
                throw .outOfRange(
                    what: "the group of row \(row)", actual: Double(group),
                    allowed: "below \(groupCount)")
            }
            total += 1
            if group >= 0 { counts[group] += 1 }
            for j in 0..<f {
                let value = Double(factors[row * f + j])
                all[j] += value
                if group >= 0 { sums[group * f + j] += value }
            }
        }
        for j in 0..<f { all[j] /= max(1, total) }
        return (0..<groupCount * f).map { i in
            let weight = counts[i / f] + priorCount
            return Float(
                weight > 0 ? (sums[i] + priorCount * all[i % f]) / weight : all[i % f])
        }
    }

    /// Factors of a customer who is in several groups at once (a segment, a region, an age band):
    /// the mean of the groups' factors by weight.
    /// - Parameters:
    ///   - means: `[groupCount × factorCount]`, of `groupMeans`.
    ///   - groups: with weights above 0.
    /// - Returns: `[factorCount]`; zeros without groups.
    /// - Throws: `outOfRange` for a group or weight that is not allowed.
    package static func blended(
        _ means: [Float], factorCount: Int, groups: [(group: Int, weight: Double)]
    ) throws(ModelError) -> [Float] {
        let groupCount = means.count / max(1, factorCount)
        var sums = [Double](repeating: 0, count: factorCount)
        var total = 0.0
        for (group, weight) in groups {
            guard (0..<groupCount).contains(group) else {
                throw .outOfRange(
                    what: "a group", actual: Double(group), allowed: "0 ..< \(groupCount)")
            }
            guard weight > 0, weight.isFinite else {
                throw .outOfRange(
                    what: "the weight of group \(group)", actual: weight, allowed: "above 0")
            }
            total += weight
            for j in 0..<factorCount {
                sums[j] += weight * Double(means[group * factorCount + j])
            }
        }
        return sums.map { Float(total > 0 ? $0 / total : 0) }
    }

    /// Factors of products that nobody bought yet: those of their category, the nearer in price the
    /// more they count.
    ///
    /// A product j of the category weighs exp(-(ln pⱼ - ln p)² / 2h²), drawn to the category's plain
    /// mean by the weight of `priorCount` products; a product without a price, or whose price nobody
    /// is near, has the category's mean, one of an unknown or empty category that of all products.
    /// - Parameters:
    ///   - factors: `[itemCount × factorCount]`, row-major; rows of zeros are the cold ones.
    ///   - categories: `[itemCount]`: 0 ..< `categoryCount`; below 0 where unknown.
    ///   - prices: `[itemCount]`; not above 0 or NaN where unknown.
    ///   - bandwidth: h, above 0: 0.3 is about a third of the price up or down.
    /// - Returns: `[itemCount × factorCount]`: the same with the cold rows filled.
    /// - Throws: `countMismatch`; `outOfRange`; `nonFiniteValue`.
    /// - Complexity: O(cold × products of the category × factors).
    /// Source: the weights are those of E. A. Nadaraya, "On estimating regression", 1964.
    package static func products(
        _ factors: [Float], factorCount: Int, categories: [Int32], categoryCount: Int,
        prices: [Double], bandwidth: Double = 0.3, priorCount: Double = 1
    ) throws(ModelError) -> [Float] {
        try requireCount(prices.count, categories.count, "prices of products")
        guard bandwidth > 0, bandwidth.isFinite else {
            throw .outOfRange(what: "price bandwidth", actual: bandwidth, allowed: "above 0")
        }
        let f = factorCount
        let means = try groupMeans(
            factors, factorCount: f, groups: categories, groupCount: categoryCount, priorCount: 1)
        let all = try groupMeans(
            factors, factorCount: f, groups: [Int32](repeating: 0, count: categories.count),
            groupCount: 1, priorCount: 0)
        var members = [[Int]](repeating: [], count: categoryCount)
        var cold: [Int] = []
        for item in categories.indices {
            if isZero(factors, item, f) {
                cold.append(item)
            } else if categories[item] >= 0, prices[item] > 0, prices[item].isFinite {
                members[Int(categories[item])].append(item)
            }
        }
        var result = factors
        var sums = [Double](repeating: 0, count: f)
        for item in cold {
            let category = Int(categories[item])
            guard category >= 0 else {
                for j in 0..<f { result[item * f + j] = all[j] }
                continue
            }
            guard category < categoryCount else {
                throw .outOfRange(
                    what: "the category of product \(item)", actual: Double(category),
                    allowed: "below \(categoryCount)")
            }
            for j in 0..<f { sums[j] = priorCount * Double(means[category * f + j]) }
            var total = priorCount
            if prices[item] > 0, prices[item].isFinite {
                for other in members[category] {
                    let distance = log(prices[other] / prices[item]) / bandwidth
                    let weight = exp(-distance * distance / 2)
                    total += weight
                    for j in 0..<f { sums[j] += weight * Double(factors[other * f + j]) }
                }
            }
            for j in 0..<f {
                result[item * f + j] =
                    total > 0 ? Float(sums[j] / total) : means[category * f + j]
            }
        }
        return result
    }

    private static func isZero(_ factors: [Float], _ row: Int, _ f: Int) -> Bool {
        factors[row * f..<(row + 1) * f].allSatisfy { $0 == 0 }
    }

    private static func check(
        _ factors: [Float], _ factorCount: Int, rowCount: Int
    ) throws(ModelError) {
        guard factorCount >= 1 else {
            throw .outOfRange(
                what: "factorCount", actual: Double(factorCount), allowed: "at least 1")
        }
        try requireCount(factors.count, rowCount * factorCount, "values of factors")
        if let first = factors.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteValue(
                what: "factors", row: first / factorCount, column: first % factorCount)
        }
    }
}
