package import Numerical

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// How raw feature columns become comparable coordinates, one centre and scale a feature.
///
/// A missing value becomes the coordinate of the column's centre (0; with `none` the mean), so that
/// it neither attracts nor repels. A column that is constant, or has no value at all, becomes 0
/// everywhere (with `none` it stays as it is).
package struct FeatureScaling: Sendable, Equatable, Codable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        /// Values as they are.
        case none
        /// (value - mean) / standard deviation.
        case zScore
        /// z-score of sign(value) · ln(1 + |value|): for amounts and counts with long tails.
        case logZScore
        /// (value - median) / (interquartile range / 1.349), which is the standard deviation of a
        /// normal distribution; the standard deviation where the quartiles coincide.
        case robust
        /// √12 · (rank - 1/2), the rank running from 0 to 1 along the fit's values: a shape without
        /// tails, with a variance of 1 where no values are tied. Ranks are interpolated between
        /// stored cut points, at most 257 quantiles of the fit's values; tied values, which several
        /// cut points equal, get the mean of the lowest and the highest of their ranks. Values
        /// outside the fit's get rank 0 or 1.
        case quantile
    }

    package let kind: Kind
    /// `[featureCount]`: the centre, after the logarithm if any; 0 with `none`, the median with
    /// `quantile`.
    package let centres: [Double]
    /// `[featureCount]`: what a centred value is multiplied by; 0 for a constant column.
    package let factors: [Double]
    /// `[featureCount]`: the coordinate of a missing value.
    package let missingCoordinates: [Float]
    /// `[featureCount]`: of each feature the values at ranks i / (count - 1), ascending, at least
    /// one; nil but with `quantile`.
    package let cutPoints: [[Double]]?

    package var featureCount: Int { centres.count }

    /// Finds centres and scales.
    /// - Parameters:
    ///   - columns: one array a feature, all of one count.
    ///   - valid: a flag a value for each column, nil where all are valid; empty: all columns are.
    ///   - rows: rows of the columns to fit on, ascending; all where nil.
    /// - Throws: `nonFiniteValue` for a NaN or infinite valid value, `countMismatch`, `noRows`.
    package static func fit(
        _ kind: Kind, columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil
    ) throws(ModelError) -> FeatureScaling {
        try check(columns, valid)
        guard let rowCount = rows?.count ?? columns.first?.count, rowCount > 0 else {
            throw .noRows(model: "feature scaling")
        }
        var centres: [Double] = []
        var factors: [Double] = []
        var missingCoordinates: [Float] = []
        var cutPoints: [[Double]] = []
        for (feature, column) in columns.enumerated() {
            let flags = valid.isEmpty ? nil : valid[feature]
            var values: [Double] = []
            values.reserveCapacity(rowCount)
            for position in 0..<rowCount {
                let row = rows?[position] ?? position
                guard flags?[row] ?? true else { continue }
                values.append(transformed(Double(column[row]), kind))
            }
            let (centre, spread) = location(values, kind)
            switch kind {
            case .none:
                centres.append(0)
                factors.append(1)
                missingCoordinates.append(
                    Float(min(max(centre, -largestCoordinate), largestCoordinate)))
            case .zScore, .logZScore, .robust:
                centres.append(centre)
                factors.append(spread > 0 ? 1 / spread : 0)
                missingCoordinates.append(0)
            case .quantile:
                let cuts = quantiles(values)
                cutPoints.append(cuts)
                centres.append(quantile(cuts, 0.5))
                factors.append(spread > 0 ? 12.0.squareRoot() : 0)
                missingCoordinates.append(0)
            }
        }
        return FeatureScaling(
            kind: kind, centres: centres, factors: factors,
            missingCoordinates: missingCoordinates,
            cutPoints: kind == .quantile ? cutPoints : nil)
    }

    /// The columns in coordinates.
    /// - Parameter rows: rows of the columns, one a row of the result; all where nil.
    /// - Throws: as `fit`; `countMismatch` where the number of columns differs from the fit's.
    package func apply(
        columns: [[Float]], valid: [[Bool]?] = [], rows: [Int]? = nil, threadCount: Int
    ) throws(ModelError) -> FeatureMatrix {
        guard columns.count == featureCount else {
            throw .countMismatch(
                what: "feature columns", actual: columns.count, expected: featureCount)
        }
        try Self.check(columns, valid)
        let rowCount = rows?.count ?? columns.first?.count ?? 0
        var matrix = FeatureMatrix(rowCount: rowCount, featureCount: featureCount)
        let scaling = self
        matrix.fillBlocks(chunkBlocks: 64, threadCount: threadCount) { positions, values in
            for feature in 0..<scaling.featureCount {
                let column = columns[feature]
                let flags: [Bool]? = valid.isEmpty ? nil : valid[feature]
                for position in positions {
                    let row = rows.map { $0[position] } ?? position
                    let target = FeatureMatrix.position(
                        position - positions.lowerBound, feature, scaling.featureCount)
                    let isValid = flags.map { $0[row] } ?? true
                    if isValid {
                        values[target] = scaling.coordinate(column[row], feature)
                    } else {
                        values[target] = scaling.missingCoordinates[feature]
                    }
                }
            }
        }
        return matrix
    }

    /// Farther out than this every coordinate is held, so that no square or sum of squares
    /// overflows: a value that the fit never saw may be any number of deviations away.
    package static let largestCoordinate = 1e15

    /// The coordinate of one raw value, in ±`largestCoordinate`.
    package func coordinate(_ value: Float, _ feature: Int) -> Float {
        if let cutPoints {
            return Float(
                (Self.rank(of: Double(value), cutPoints[feature]) - 0.5) * factors[feature])
        }
        let coordinate =
            (Self.transformed(Double(value), kind) - centres[feature]) * factors[feature]
        return Float(min(max(coordinate, -Self.largestCoordinate), Self.largestCoordinate))
    }

    /// The raw value of a coordinate; of a constant column its centre. With `quantile` one of the
    /// fit's range; a coordinate within the ranks of tied values gives that value.
    package func value(ofCoordinate coordinate: Float, _ feature: Int) -> Double {
        let factor = factors[feature]
        if let cutPoints {
            if factor == 0 { return centres[feature] }
            let rank = Double(coordinate) / factor + 0.5
            return Self.quantile(cutPoints[feature], min(max(rank, 0), 1))
        }
        let centred = factor == 0 ? 0 : Double(coordinate) / factor
        let transformed = centred + centres[feature]
        guard kind == .logZScore else { return transformed }
        return transformed < 0 ? -expm1(-transformed) : expm1(transformed)
    }

    private static func transformed(_ value: Double, _ kind: Kind) -> Double {
        guard kind == .logZScore else { return value }
        return value < 0 ? -log1p(-value) : log1p(value)
    }

    /// Centre and spread of a column's values; spread 0 for a constant one.
    private static func location(_ values: [Double], _ kind: Kind) -> (Double, Double) {
        if values.isEmpty { return (0, 0) }
        let count = Double(values.count)
        var sum = 0.0
        for value in values { sum += value }
        let mean = sum / count
        // Exactly constant, whatever rounding does to the mean: otherwise noise of the last bit
        // would be blown up to a unit variance.
        if !values.contains(where: { $0 != values[0] }) { return (values[0], 0) }
        var squares = 0.0
        for value in values { squares += (value - mean) * (value - mean) }
        let deviation = (squares / count).squareRoot()
        guard kind == .robust else { return (mean, deviation) }
        let sorted = values.sorted()
        let range = quantile(sorted, 0.75) - quantile(sorted, 0.25)
        return (quantile(sorted, 0.5), range > 0 ? range / 1.349 : deviation)
    }

    /// At most 257 cut points, among them the least and the largest value; 0 of no values.
    private static func quantiles(_ values: [Double]) -> [Double] {
        if values.isEmpty { return [0] }
        let sorted = values.sorted()
        let count = min(sorted.count, mostCutPoints)
        return (0..<count).map {
            count > 1 ? quantile(sorted, Double($0) / Double(count - 1)) : sorted[0]
        }
    }

    /// Quantiles that `quantile` stores of a feature.
    package static let mostCutPoints = 257

    /// 0 ... 1, by linear interpolation between cut points; of a value that several of them equal
    /// the mean of their lowest and highest rank.
    private static func rank(of value: Double, _ cuts: [Double]) -> Double {
        // The first cut point not below the value, and the first above it.
        func first(_ isPast: (Double) -> Bool) -> Int {
            var (low, high) = (0, cuts.count)
            while low < high {
                let middle = (low + high) / 2
                if isPast(cuts[middle]) { high = middle } else { low = middle + 1 }
            }
            return low
        }
        let notBelow = first { $0 >= value }
        if notBelow == cuts.count { return 1 }
        let last = Double(max(1, cuts.count - 1))
        let above = first { $0 > value }
        if above > notBelow { return Double(notBelow + above - 1) / 2 / last }
        if notBelow == 0 { return 0 }
        let (low, high) = (cuts[notBelow - 1], cuts[notBelow])
        return (Double(notBelow - 1) + (value - low) / (high - low)) / last
    }

    /// Linear interpolation between order statistics (R's type 7).
    private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
        let position = share * Double(sorted.count - 1)
        let below = Int(position)
        let above = min(below + 1, sorted.count - 1)
        return sorted[below] + (position - Double(below)) * (sorted[above] - sorted[below])
    }

    private static func check(_ columns: [[Float]], _ valid: [[Bool]?]) throws(ModelError) {
        guard !columns.isEmpty else { throw .noRows(model: "feature scaling") }
        guard valid.isEmpty || valid.count == columns.count else {
            throw .countMismatch(
                what: "validity columns", actual: valid.count, expected: columns.count)
        }
        let rowCount = columns[0].count
        for (feature, column) in columns.enumerated() {
            guard column.count == rowCount else {
                throw .countMismatch(
                    what: "rows of feature \(feature)", actual: column.count, expected: rowCount)
            }
            let flags = valid.isEmpty ? nil : valid[feature]
            if let flags, flags.count != rowCount {
                throw .countMismatch(
                    what: "validity of feature \(feature)", actual: flags.count,
                    expected: rowCount)
            }
            let values = column.span
            for row in values.indices where !values[row].isFinite {
                if flags?[row] ?? true {
                    throw .nonFiniteValue(what: "features", row: row, column: feature)
                }
            }
        }
    }
}

extension FeatureScaling {
    private enum CodingKeys: String, CodingKey {
        case kind, centres, factors, missingCoordinates, cutPoints
    }

    /// - Throws: `DecodingError.dataCorrupted` for parts that do not fit together.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        kind = try values.decode(Kind.self, forKey: .kind)
        centres = try values.decode([Double].self, forKey: .centres)
        factors = try values.decode([Double].self, forKey: .factors)
        missingCoordinates = try values.decode([Float].self, forKey: .missingCoordinates)
        cutPoints = try values.decodeIfPresent([[Double]].self, forKey: .cutPoints)
        guard factors.count == centres.count, missingCoordinates.count == centres.count else {
            throw DecodingError.dataCorruptedError(
                forKey: .factors, in: values,
                debugDescription: "every feature has a centre, a factor and a missing coordinate")
        }
        guard (kind == .quantile) == (cutPoints != nil),
            cutPoints?.count ?? centres.count == centres.count,
            cutPoints?.allSatisfy({ !$0.isEmpty && $0 == $0.sorted() }) ?? true
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .cutPoints, in: values,
                debugDescription: "with quantiles every feature has ascending cut points, else none"
            )
        }
    }
}
