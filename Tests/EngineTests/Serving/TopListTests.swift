import Engine
import Testing

@Suite struct TopListTests {
    @Test(arguments: [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64])
    func keepsTheBestInAnyOrderOfOffers(capacity: Int) {
        // Scores repeat, so that ties decide.
        let entries = (0..<60).map { TopList.Entry(row: $0, score: Float(($0 * 7) % 10)) }
        let expected = Array(
            entries.sorted { ($0.score, $1.row) > ($1.score, $0.row) }.prefix(capacity))
        // Steps without a common divisor with 60 visit every entry once.
        for step in [1, 7, 11, 59] {
            var top = TopList(capacity: capacity)
            for index in 0..<60 {
                let entry = entries[index * step % 60]
                top.offer(row: entry.row, score: entry.score)
            }
            #expect(top.sorted == expected, "step \(step)")
        }
    }
}
