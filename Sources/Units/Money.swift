/// An amount of money in ten-thousandths of the plan's currency unit, so that quantity x price of
/// four decimals is exact and sums do not depend on their order. Range ±9.2e14 units.
package struct Money: Hashable, Comparable, Sendable {
    package var tenThousandths: Int64

    package static let scale: Int64 = 10_000
    package static let zero = Money(tenThousandths: 0)

    package init(tenThousandths: Int64) { self.tenThousandths = tenThousandths }

    /// The nearest amount to `units` (ties to even); nil where it is not finite or out of range.
    package init?(units: Double) {
        let scaled = (units * Double(Self.scale)).rounded(.toNearestOrEven)
        guard let exact = Int64(exactly: scaled) else { return nil }
        tenThousandths = exact
    }

    /// The amount in currency units.
    package var units: Double { Double(tenThousandths) / Double(Self.scale) }

    package static func < (a: Money, b: Money) -> Bool { a.tenThousandths < b.tenThousandths }
}
