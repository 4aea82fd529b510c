/// The grid of recency, frequency and monetary value: three scores of a customer, each from 1 to the
/// number of levels, the highest the best.
///
/// Scores are levels of `RankCuts`, so customers of equal value have equal scores. A segment is a cell
/// of the grid, numbered from 0 by R, then F, then M; `R5 F4 M1` is its name.
/// Source: Hughes 1994, "Strategic Database Marketing"; the treatment of ties is our own.
package struct RFMGrid: Codable, Sendable, Equatable {
    package static let levelCounts = 2...9
    package static let defaultFeatures = ["daysSinceLastPurchase", "orderCount", "revenue"]

    /// Days since the last order, of which fewer are better; a frequency; an amount.
    package let featureNames: [String]
    /// Of the three features; those of the days are of days times −1.
    package let cuts: [RankCuts]
    package let levelCount: Int

    package var segmentCount: Int { levelCount * levelCount * levelCount }

    /// One a segment.
    package var segmentNames: [String] {
        (0..<segmentCount).map { segment in
            let scores = scores(of: segment)
            return "R\(scores[0]) F\(scores[1]) M\(scores[2])"
        }
    }

    /// - Parameters:
    ///   - columns: days since the last order, frequency, amount: one count.
    ///   - valid: as in `SegmentationModel.fit`; what is missing is in level 1.
    ///   - rows: rows of the columns to fit on; all where nil.
    ///   - levelCount: 2…9.
    /// - Throws: `countMismatch`; `outOfRange`; what `RankCuts.fit` throws.
    package static func fit(
        featureNames: [String] = defaultFeatures, columns: [[Float]], valid: [[Bool]?] = [],
        rows: [Int]? = nil, levelCount: Int = 5
    ) throws(ModelError) -> RFMGrid {
        try requireCount(featureNames.count, 3, "features of the RFM grid")
        try requireCount(columns.count, 3, "columns of the RFM grid")
        guard levelCounts.contains(levelCount) else {
            throw .outOfRange(
                what: "levels of the RFM grid", actual: Double(levelCount), allowed: "2...9")
        }
        var cuts: [RankCuts] = []
        for (axis, column) in columns.enumerated() {
            try requireCount(column.count, columns[0].count, "values of \(featureNames[axis])")
            let sign: Float = axis == 0 ? -1 : 1
            let flags = valid.isEmpty ? nil : valid[axis]
            let known = (rows ?? Array(column.indices)).filter { flags?[$0] ?? true }
            cuts.append(
                try RankCuts.fit(
                    known.map { sign * column[$0] }, levelCount: levelCount,
                    name: featureNames[axis]))
        }
        return RFMGrid(featureNames: featureNames, cuts: cuts, levelCount: levelCount)
    }

    /// R, F and M of a cell, each from 1.
    package func scores(of segment: Int) -> [Int] {
        precondition((0..<segmentCount).contains(segment))
        return [
            segment / (levelCount * levelCount), segment / levelCount % levelCount,
            segment % levelCount,
        ].map { $0 + 1 }
    }

    /// The cell of a customer; a value that is missing is in level 1.
    package func segment(
        daysSinceLastPurchase days: Float?, frequency: Float?, amount: Float?
    ) -> Int32 {
        let recency = days.map { cuts[0].level(-$0) } ?? 1
        let often = frequency.map(cuts[1].level) ?? 1
        let much = amount.map(cuts[2].level) ?? 1
        return Int32(((recency - 1) * levelCount + often - 1) * levelCount + much - 1)
    }

    /// Cells of rows, all where `rows` is nil.
    /// - Parameters: as in the fit.
    package func assign(
        columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil
    ) -> [Int32] {
        precondition(columns.count == 3 && (valid.isEmpty || valid.count == 3))
        func value(_ axis: Int, _ row: Int) -> Float? {
            valid.isEmpty || valid[axis]?[row] ?? true ? columns[axis][row] : nil
        }
        return (rows ?? Array(columns[0].indices)).map { row in
            segment(
                daysSinceLastPurchase: value(0, row), frequency: value(1, row),
                amount: value(2, row))
        }
    }
}

extension RFMGrid {
    /// - Throws: `DecodingError` for parts that do not fit each other.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        featureNames = try container.decode([String].self, forKey: .featureNames)
        cuts = try container.decode([RankCuts].self, forKey: .cuts)
        let levelCount = try container.decode(Int.self, forKey: .levelCount)
        self.levelCount = levelCount
        guard featureNames.count == 3, cuts.count == 3, Self.levelCounts.contains(levelCount),
            cuts.allSatisfy({ $0.levelCount == levelCount })
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .cuts, in: container, debugDescription: "no grid of three features")
        }
    }
}
