import Engine

extension SegmentRefit {
    /// In a model's card.
    var lines: [String] {
        func list(_ ids: [Int]) -> String {
            ids.isEmpty ? "none" : ids.map(String.init).joined(separator: ", ")
        }
        let share = customerCount > 0 ? Double(movedCount) / Double(customerCount) : 0
        return [
            "  against version \(previousVersion): segments kept \(list(matchedIDs)); "
                + "new \(list(newIDs)); ended \(list(endedIDs))",
            "    \(movedCount.grouped) of \(customerCount.grouped) customers "
                + "(\((share * 100).decimals(1)) %) moved, revenue "
                + "\(movedRevenue.grouped); adjusted Rand \(adjustedRand.decimals(4))",
        ]
    }
}
