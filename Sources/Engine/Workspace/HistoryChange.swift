import ByteCoding
package import Features

/// What sets the lines of now apart from those of an earlier day: segments that have come since,
/// and lines whose age matters now and did not then, or the other way round.
package struct HistoryChange: Sendable {
    /// Segments that were there before; those after them are new.
    let segmentCount: Int
    let windows: [AsOfWindow]

    package init(segmentCount: Int, windows: [AsOfWindow]) {
        self.segmentCount = segmentCount
        self.windows = windows
    }

    /// The customers of each part, by row, who have a line in some part that is new or in a window.
    /// - Parameter parts: lines with times, where there are windows.
    func changedCustomers(of parts: [SegmentLines]) -> [[Int]] {
        let own = parts.map { part -> [Int] in
            if part.isNew { return Array(0..<part.customerIDs.count) }
            if windows.isEmpty { return [] }
            return (0..<part.customerIDs.count).filter { row in
                part.lines(ofCustomer: row).contains { line in
                    windows.contains { $0.contains(part.times[line]) }
                }
            }
        }
        return parts.indices.map { index in
            var rows = own[index]
            for other in parts.indices where other != index && !own[other].isEmpty {
                rows = Self.union(
                    rows, parts[index].customerIDs, own[other], parts[other].customerIDs)
            }
            return rows
        }
    }

    /// `rows` and those whose ids are among the others, ascending.
    private static func union(
        _ rows: [Int], _ ids: IDColumn, _ others: [Int], _ otherIDs: IDColumn
    ) -> [Int] {
        var isChanged = [Bool](repeating: false, count: ids.count)
        for row in rows { isChanged[row] = true }
        var row = 0
        for other in others {
            while row < ids.count, ids.precedes(row, otherIDs, other) { row += 1 }
            if row < ids.count, !otherIDs.precedes(other, ids, row) { isChanged[row] = true }
        }
        return isChanged.indices.filter { isChanged[$0] }
    }
}
