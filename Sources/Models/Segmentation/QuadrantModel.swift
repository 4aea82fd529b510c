/// Two features, each cut into high and low: four segments, such as value against potential.
///
/// A feature is cut at a stated value, or by `RankCuts` into two halves, of which customers of equal
/// value are never on both sides. A customer without a value is low.
package struct QuadrantModel: Codable, Sendable, Equatable {
    package let featureNames: [String]
    /// Two levels a feature.
    package let cuts: [RankCuts]

    package var segmentCount: Int { 4 }

    /// High and high first, low and low last.
    package var segmentNames: [String] {
        ["high", "low"].flatMap { first in
            ["high", "low"].map { "\(first) \(featureNames[0]), \($0) \(featureNames[1])" }
        }
    }

    /// - Parameters:
    ///   - columns: two.
    ///   - valid: as in `SegmentationModel.fit`.
    ///   - rows: rows of the columns to fit on; all where nil.
    ///   - leastHighValues: stated cuts, one a feature; nil cuts in halves.
    /// - Throws: `countMismatch`; what `RankCuts` throws.
    package static func fit(
        featureNames: [String], columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil,
        leastHighValues: [Float]? = nil
    ) throws(ModelError) -> QuadrantModel {
        try requireCount(featureNames.count, 2, "features of a matrix of two")
        try requireCount(columns.count, 2, "columns of a matrix of two")
        if let stated = leastHighValues { try requireCount(stated.count, 2, "cuts") }
        var cuts: [RankCuts] = []
        for (axis, column) in columns.enumerated() {
            if let stated = leastHighValues {
                cuts.append(try RankCuts(leastValues: [stated[axis]]))
                continue
            }
            let flags = valid.isEmpty ? nil : valid[axis]
            let known = (rows ?? Array(column.indices)).filter { flags?[$0] ?? true }
            cuts.append(
                try RankCuts.fit(
                    known.map { column[$0] }, levelCount: 2, name: featureNames[axis]))
        }
        return QuadrantModel(featureNames: featureNames, cuts: cuts)
    }

    /// Segments of rows, all where `rows` is nil.
    package func assign(
        columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil
    ) -> [Int32] {
        precondition(columns.count == 2 && (valid.isEmpty || valid.count == 2))
        return (rows ?? Array(columns[0].indices)).map { row in
            (0..<2).reduce(Int32(0)) { code, axis in
                let isKnown = valid.isEmpty ? true : valid[axis]?[row] ?? true
                let isHigh = isKnown && cuts[axis].level(columns[axis][row]) > 1
                return code * 2 + (isHigh ? 0 : 1)
            }
        }
    }
}

extension QuadrantModel {
    /// - Throws: `DecodingError` for other than two features of two levels.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        featureNames = try container.decode([String].self, forKey: .featureNames)
        cuts = try container.decode([RankCuts].self, forKey: .cuts)
        guard featureNames.count == 2, cuts.count == 2, cuts.allSatisfy({ $0.levelCount == 2 })
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .cuts, in: container, debugDescription: "no two features of two levels")
        }
    }
}
