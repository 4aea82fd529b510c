import Models
import Testing

@Suite struct LifetimeSelftestTests {
    @Test(arguments: LifetimeSelftest.run())
    func passes(_ row: SelftestRow) {
        #expect(row.passes, "\(row.name): \(row.actual) instead of \(row.expected)")
    }

    @Test func coversTheTables() {
        #expect(LifetimeSelftest.run().count > 70)
    }
}
