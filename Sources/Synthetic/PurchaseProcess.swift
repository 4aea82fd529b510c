import Numerical
import Units

/// When one customer orders: BG/NBD in continuous time, then put on calendar days.
struct PurchaseProcess {
    /// Days of the orders counted from the retailer's first day, ascending.
    let orderDays: [Int]
    let isAliveAtEnd: Bool

    /// Draws the orders.
    ///
    /// The model: exponential times between orders, and after every repeat order the chance to
    /// stop for good. A day is then moved by at most three days, to a weekday of the lifestyle in
    /// the week centred on the drawn time. Since drawn times fall evenly on weekdays, the move is
    /// on average nil and the model's times stay unbiased to the day; a move before the first
    /// order or past the end goes a week the other way. The first order stands for the middle of
    /// its day and observation ends at the middle of the last, so that whole-day ages are exact.
    /// Source: P. Fader, B. Hardie and K. L. Lee, "Counting Your Customers the Easy Way", 2005.
    init(
        _ customer: Customer, weekdays: [Double], parameters: Retailer.Parameters,
        using random: inout SeededRandom
    ) {
        let lastDay = parameters.dayCount - 1
        let calendar = WeekdayChoice(weekdays: weekdays, firstDay: parameters.firstDay)
        // First orders thin out linearly towards the end: density 2 (1 - t) on [0, 1).
        let share = 1 - (1 - random.uniform()).squareRoot()
        let drawn = min(lastDay, Int(share * Double(parameters.dayCount)))
        let first = calendar.move(drawn, within: 0...lastDay, using: &random)
        let observed = Double(lastDay - first)
        var days = [first]
        var time = 0.0
        var isAlive = true
        while isAlive {
            time += 7 * random.exponential(rate: max(customer.weeklyRate, 1e-12))
            if time > observed { break }
            let day = first + Int((time + 0.5).rounded(.down))
            days.append(calendar.move(day, within: first...lastDay, using: &random))
            isAlive = !random.bernoulli(customer.dropoutChance)
        }
        orderDays = days.sorted()
        isAliveAtEnd = isAlive
    }
}

/// Moves days to the weekdays of a lifestyle.
struct WeekdayChoice {
    /// Chance of each weekday, Monday first.
    let weekdays: [Double]
    let firstDay: CalendarDay

    /// A day at most three days from `day`, or a week from that where it would leave `range`;
    /// the nearest bound where both leave it.
    func move(
        _ day: Int, within range: ClosedRange<Int>, using random: inout SeededRandom
    ) -> Int {
        var target = 0
        var rest = random.uniform()
        while target < 6, rest >= weekdays[target] {
            rest -= weekdays[target]
            target += 1
        }
        var offset = (target - (firstDay + day).weekday + 7) % 7
        if offset > 3 { offset -= 7 }
        var moved = day + offset
        if moved < range.lowerBound { moved += 7 }
        if moved > range.upperBound { moved -= 7 }
        return min(max(moved, range.lowerBound), range.upperBound)
    }
}
