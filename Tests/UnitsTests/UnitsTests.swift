import Foundation
import Testing
import Units

@Suite struct HorizonTests {
    @Test(arguments: [
        ("39w", 273.0, "39w"), ("365d", 365, "365d"), ("7", 7, "7d"), ("0w", 0, "0w"),
        ("12m", 365.2425, "12m"), ("1.5w", 10.5, "1.5w"),
    ])
    func reads(text: String, days: Double, printed: String) throws {
        let horizon = try #require(Horizon(parsing: text))
        #expect(abs(horizon.days - days) < 1e-9)
        #expect(horizon.description == printed)
    }

    @Test(arguments: ["", "w", "-1w", "nan", "inf", "39 w", "39y", "1e9w", "201000000"])
    func refuses(text: String) {
        #expect(Horizon(parsing: text) == nil)
    }

    @Test func countsInAnotherUnit() {
        #expect(Horizon(39, .week).count(in: .week) == 39)
        #expect(Horizon(39, .week).count(in: .day) == 273)
        #expect(abs(Horizon(1, .month).count(in: .week) - 365.2425 / 84) < 1e-12)
    }
}

@Suite struct MoneyTests {
    @Test func roundsToTenThousandths() {
        #expect(Money(units: 15.30)?.tenThousandths == 153_000)
        #expect(Money(units: -0.00005)?.tenThousandths == 0)
        #expect(Money(units: 0.00016)?.tenThousandths == 2)
        #expect(Money(tenThousandths: 89_114_079_040).units == 8_911_407.904)
    }

    @Test(arguments: [Double.nan, .infinity, 1e308, -1e15])
    func refusesWhatDoesNotFit(value: Double) {
        #expect(Money(units: value) == nil)
    }
}

@Suite struct DiscountRateTests {
    @Test func compoundsToTheAnnualRate() {
        let weekly = DiscountRate(annual: 0.15).continuous(per: .week)
        #expect(abs(exp(weekly * 365.2425 / 7) - 1.15) < 1e-12)
        #expect(DiscountRate(annual: 0).continuous(per: .month) == 0)
    }
}
