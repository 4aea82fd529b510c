/// The best items of many queries in one array, so that millions of answers are one allocation.
package struct TopLists: Sendable, Equatable {
    package let queryCount: Int
    /// Places a query has.
    package let width: Int
    /// `[queryCount × width]`, best first; places without an item come last and are `.none`.
    package private(set) var entries: [TopN.Entry]

    /// Of no query.
    package static let empty = TopLists(queryCount: 0, width: 0)

    init(queryCount: Int, width: Int) {
        self.queryCount = queryCount
        self.width = width
        entries = [TopN.Entry](repeating: .none, count: queryCount * width)
    }

    package init(width: Int, entries: [TopN.Entry], queryCount: Int) {
        precondition(entries.count == queryCount * width)
        (self.queryCount, self.width, self.entries) = (queryCount, width, entries)
    }

    /// How many items a query has.
    package func count(of query: Int) -> Int {
        var count = width
        while count > 0, entries[query * width + count - 1] == .none { count -= 1 }
        return count
    }

    /// The items of a query, best first.
    package subscript(query: Int) -> ArraySlice<TopN.Entry> {
        precondition(query >= 0 && query < queryCount)
        return entries[query * width..<query * width + count(of: query)]
    }

    /// One item of a query; nil where it has no more.
    package subscript(query: Int, place: Int) -> TopN.Entry? {
        precondition(query >= 0 && query < queryCount && place >= 0 && place < width)
        let entry = entries[query * width + place]
        return entry == .none ? nil : entry
    }

    /// Items of the query that has most.
    package var largestCount: Int {
        (0..<queryCount).reduce(0) { max($0, count(of: $1)) }
    }

    /// Takes a query's items away.
    package mutating func clear(_ query: Int) {
        for i in query * width..<(query + 1) * width { entries[i] = .none }
    }

    /// `[queryCount × width]`: the items; -1 where there is none.
    package var items: [Int32] { entries.map(\.item) }

    /// `[queryCount × width]`: the scores; 0 where there is no item.
    package var scores: [Float] { entries.map(\.score) }
}
