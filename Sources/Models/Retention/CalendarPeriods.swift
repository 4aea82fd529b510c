package import Units

/// Days, weeks from Monday to Sunday, or months of the calendar, numbered one after the other.
///
/// Unlike `TimeGrid.month`, which is a mean month for models, these are calendar months.
package struct CalendarPeriods: Sendable, Equatable {
    package let grid: TimeGrid

    package init(_ grid: TimeGrid) { self.grid = grid }

    /// Days of the years 1 to 9999.
    package static let dayRange = -719_162...2_932_896

    /// The period that holds the day.
    package func index(of day: CalendarDay) -> Int {
        switch grid {
        case .day: return day.daysSince1970
        case .week:
            // 1969-12-29 was a Monday.
            let shifted = day.daysSince1970 + 3
            return shifted >= 0 ? shifted / 7 : (shifted - 6) / 7
        case .month:
            let (year, month, _) = day.civil
            return year * 12 + month - 1
        }
    }

    /// The first day of a period in the years 1 to 9999.
    package func firstDay(of index: Int) -> CalendarDay {
        switch grid {
        case .day: return CalendarDay(daysSince1970: index)
        case .week: return CalendarDay(daysSince1970: index * 7 - 3)
        case .month:
            let first = CalendarDay(year: index / 12, month: index % 12 + 1, day: 1)
            return first ?? CalendarDay(daysSince1970: Self.dayRange.lowerBound)
        }
    }
}
