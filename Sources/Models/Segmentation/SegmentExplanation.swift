/// Why a customer is in its segment and not in the next nearest one.
package struct SegmentExplanation: Sendable, Equatable, Codable {
    /// What one column adds.
    package struct Part: Sendable, Equatable, Codable {
        package let column: String
        /// The squared distance to the next segment less that to its own, in this column: above 0
        /// speaks for its own segment, below 0 for the next one.
        package let difference: Double
        /// `difference` over the difference of all columns: they sum to 1; 0 where that is 0.
        package let share: Double
    }

    package let segment: Int
    /// To the segment's centroid or prototype, scaled coordinates.
    package let distance: Double
    /// The nearest other segment, ties to the lowest number; nil where there is only one.
    package let nextSegment: Int?
    package let nextDistance: Double?
    /// The sum of the parts' differences in their order: nextDistance² - distance²; 0 without a next
    /// segment.
    package let difference: Double
    /// In the order of the columns; empty without a next segment.
    package let parts: [Part]

    /// The columns that decide, the largest differences first, of either sign; ties in the order of
    /// the columns.
    package func decisive(most: Int) -> [Part] {
        let sorted = parts.enumerated().sorted {
            let (a, b) = (abs($0.element.difference), abs($1.element.difference))
            return a != b ? a > b : $0.offset < $1.offset
        }
        return sorted.prefix(most).map(\.element)
    }

    /// - Parameters:
    ///   - squares: `[segmentCount × columnCount]`: squared distances by column.
    ///   - segment: the customer's own; nil: the nearest, ties to the lowest number.
    init(columns: [String], squares: [Double], segmentCount: Int, segment: Int?) {
        let width = columns.count
        let totals = (0..<segmentCount).map {
            squares[$0 * width..<($0 + 1) * width].reduce(0, +)
        }
        func nearest(_ segments: some Sequence<Int>) -> Int? {
            segments.min { totals[$0] != totals[$1] ? totals[$0] < totals[$1] : $0 < $1 }
        }
        let own = segment ?? nearest(0..<segmentCount) ?? 0
        self.segment = own
        distance = totals[own].squareRoot()
        guard let next = nearest((0..<segmentCount).filter { $0 != own }) else {
            nextSegment = nil
            nextDistance = nil
            difference = 0
            parts = []
            return
        }
        let differences = (0..<width).map { squares[next * width + $0] - squares[own * width + $0] }
        let sum = differences.reduce(0, +)
        nextSegment = next
        nextDistance = totals[next].squareRoot()
        difference = sum
        parts = zip(columns, differences).map {
            Part(column: $0, difference: $1, share: sum == 0 ? 0 : $1 / sum)
        }
    }
}

extension SegmentationModel {
    /// Why a customer is in a segment.
    /// - Parameters:
    ///   - values: the fit's features in its order; nil: missing.
    ///   - segment: the one it was assigned to; nil: the nearest, in double precision.
    /// - Throws: `countMismatch`, `nonFiniteValue`, `outOfRange`.
    /// - Complexity: O(segments × features).
    package func explain(
        values: [Float?], segment: Int? = nil
    ) throws(ModelError) -> SegmentExplanation {
        let point = try scaling.coordinates(values)
        try requireSegment(segment, segmentCount)
        return SegmentExplanation(
            columns: featureNames, squares: squares(point, centroids), segmentCount: segmentCount,
            segment: segment)
    }
}

extension MixedSegmentationModel {
    /// Why a customer is in a segment; the categories' parts come after the numbers'.
    /// - Parameters:
    ///   - values: the fit's features in its order; nil: missing.
    ///   - categories: the fit's category columns in its order, by name; nil: missing.
    ///   - segment: the one it was assigned to; nil: the nearest, in double precision.
    /// - Throws: `countMismatch`, `nonFiniteValue`, `outOfRange`.
    package func explain(
        values: [Float?], categories: [String?], segment: Int? = nil
    ) throws(ModelError) -> SegmentExplanation {
        guard values.count == featureCount else {
            throw .countMismatch(
                what: "feature values", actual: values.count, expected: featureCount)
        }
        guard categories.count == categoryCount else {
            throw .countMismatch(
                what: "categories", actual: categories.count, expected: categoryCount)
        }
        try requireSegment(segment, segmentCount)
        let numbers = squares(try scaling?.coordinates(values) ?? [], means)
        var all: [Double] = []
        for own in 0..<segmentCount {
            all += numbers[own * featureCount..<(own + 1) * featureCount]
            for column in 0..<categoryCount {
                let isMismatch = categories[column].map {
                    $0 != modes[own * categoryCount + column]
                }
                all.append(isMismatch ?? false ? Double(categoryCosts[column]) : 0)
            }
        }
        return SegmentExplanation(
            columns: featureNames + categoryNames, squares: all, segmentCount: segmentCount,
            segment: segment)
    }
}

extension FeatureScaling {
    /// The coordinates of one row; nil: missing.
    /// - Throws: `countMismatch`, `nonFiniteValue`.
    package func coordinates(_ values: [Float?]) throws(ModelError) -> [Float] {
        guard values.count == featureCount else {
            throw .countMismatch(
                what: "feature values", actual: values.count, expected: featureCount)
        }
        var point: [Float] = []
        for (feature, value) in values.enumerated() {
            guard let value else {
                point.append(missingCoordinates[feature])
                continue
            }
            guard value.isFinite else {
                throw .nonFiniteValue(what: "feature values", row: 0, column: feature)
            }
            point.append(coordinate(value, feature))
        }
        return point
    }
}

private func requireSegment(_ segment: Int?, _ count: Int) throws(ModelError) {
    guard let segment, !(0..<count).contains(segment) else { return }
    throw .outOfRange(
        what: "the segment to explain", actual: Double(segment), allowed: "0 ..< \(count)")
}

/// Squared differences of a point and each of some rows, by column.
private func squares(_ point: [Float], _ rows: [Float]) -> [Double] {
    rows.indices.map {
        let difference = Double(point[$0 % point.count]) - Double(rows[$0])
        return difference * difference
    }
}
