/// The unit in which a model counts time. A month is 365.2425 / 12 days.
package enum TimeGrid: String, Codable, Sendable, CaseIterable {
    case day, week, month

    /// Length of one unit in days.
    package var days: Double {
        switch self {
        case .day: 1
        case .week: 7
        case .month: 365.2425 / 12
        }
    }
}

/// Days in a mean Gregorian year: the basis of annual rates.
package let daysPerYear = 365.2425

/// A span of time ahead, with its unit. Valid: finite and not negative.
package struct Horizon: Hashable, Sendable, CustomStringConvertible {
    package let count: Double
    package let grid: TimeGrid

    package init(_ count: Double, _ grid: TimeGrid) {
        precondition(count >= 0 && count.isFinite, "a horizon is finite and not negative")
        self.count = count
        self.grid = grid
    }

    /// Reads `39w`, `365d`, `12m` or a bare number of days; nil where the text is anything else,
    /// negative, or longer than 200 years.
    package init?(parsing text: String) {
        var digits = Substring(text)
        var grid = TimeGrid.day
        switch digits.last {
        case "d": digits.removeLast()
        case "w":
            digits.removeLast()
            grid = .week
        case "m":
            digits.removeLast()
            grid = .month
        default: break
        }
        guard let count = Double(digits), count.isFinite, count >= 0,
            count * grid.days <= 200 * daysPerYear
        else { return nil }
        self.init(count, grid)
    }

    /// The span in days.
    package var days: Double { count * grid.days }

    /// The span counted in another unit.
    package func count(in other: TimeGrid) -> Double {
        other == grid ? count : days / other.days
    }

    package var description: String {
        let whole = count == count.rounded() && count < 1e9
        return (whole ? String(Int(count)) : String(count)) + String(grid.rawValue.prefix(1))
    }
}

/// An effective annual rate of discount, d: one unit of money a year from now is worth 1 / (1 + d).
/// Valid: 0 and above, finite.
package struct DiscountRate: Hashable, Sendable {
    package let annual: Double

    package init(annual: Double) {
        precondition(annual >= 0 && annual.isFinite, "a discount rate is finite and not negative")
        self.annual = annual
    }

    /// The continuous rate ln(1 + d) a unit of `grid`.
    package func continuous(per grid: TimeGrid) -> Double {
        annual == 0 ? 0 : logOnePlus(annual) / daysPerYear * grid.days
    }
}
