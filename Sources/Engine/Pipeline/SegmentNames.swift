package import Models

/// What sets each segment apart, in words: `high revenue, low daysSinceLastPurchase`.
package enum SegmentNames {
    /// Names the two features whose scaled centroid lies farthest from the middle of all segments,
    /// the second only where it is half as far. Segments of equal names get the next features too,
    /// until they differ.
    ///
    /// A name is true of the averages that are reported beside it: high is a segment whose mean lies
    /// above that of all rows. On a logarithmic scale the middle is nearer the geometric mean, and a
    /// segment may lie above it and yet far below the mean that a few large customers make; such a
    /// feature, of which both words would mislead, is named only where there is no other.
    /// - Parameters:
    ///   - columns: the model's features in its order, as they were before scaling.
    ///   - valid: as in the fit.
    ///   - rows: rows of the columns, as in the fit; all where nil.
    ///   - segments: the segment of each of the rows.
    ///   - earlier: names that segments had before, nil for none; empty: none has. A segment keeps
    ///     its own where all that it says is true of the means of now.
    package static func of(
        _ model: SegmentationModel, columns: [[Float]], valid: [[Bool]?], rows: [Int]? = nil,
        segments: [Int32], keeping earlier: [String?] = []
    ) -> [String] {
        let names = Naming(
            model, columns: columns, valid: valid, rows: rows, segments: segments)
        let kept = (0..<model.segmentCount).map { segment -> String? in
            guard !earlier.isEmpty, let name = earlier[segment] else { return nil }
            return names.isTrue(name, of: segment) ? name : nil
        }
        var result = kept.enumerated().map { segment, name in
            name ?? names.name(segment, featureCount: 2)
        }
        for featureCount in 3..<max(3, min(model.featureCount, 5) + 1) {
            let counts = Dictionary(grouping: result, by: \.self).mapValues(\.count)
            for segment in result.indices
            where counts[result[segment]] ?? 0 > 1 && kept[segment] == nil {
                result[segment] = names.name(segment, featureCount: featureCount)
            }
        }
        return result
    }

    private struct Naming {
        let featureNames: [String]
        /// `[segment][feature]`: how far the scaled centroid lies from the middle.
        var distances: [[Double]] = []
        /// `[segment][feature]`: how far the mean lies from that of all rows, in the feature's unit.
        var differences: [[Double]] = []

        init(
            _ model: SegmentationModel, columns: [[Float]], valid: [[Bool]?], rows: [Int]?,
            segments: [Int32]
        ) {
            let d = model.featureCount
            featureNames = model.featureNames
            let total = Double(max(1, model.sizes.reduce(0, +)))
            let middle = (0..<d).map { j in
                model.sizes.enumerated().reduce(0.0) { sum, segment in
                    sum + Double(model.centroids[segment.offset * d + j])
                        * Double(segment.element) / total
                }
            }
            let means = columns.indices.map { j in
                Means(
                    columns[j], valid: valid.isEmpty ? nil : valid[j], rows: rows,
                    segments: segments,
                    segmentCount: model.segmentCount)
            }
            for segment in 0..<model.segmentCount {
                distances.append(
                    (0..<d).map { Double(model.centroids[segment * d + $0]) - middle[$0] })
                differences.append(means.map { $0.difference(of: segment) })
            }
        }

        /// Whether a name of this form says nothing that the means deny; false for any other text,
        /// and for one about a feature that there is not.
        func isTrue(_ name: String, of segment: Int) -> Bool {
            var rest = name[...]
            while true {
                guard let word = ["high ", "low "].first(where: { rest.hasPrefix($0) }) else {
                    return false
                }
                rest = rest.dropFirst(word.count)
                // Names of features hold any characters: the longest that fits is meant.
                let features = featureNames.indices.filter {
                    rest == featureNames[$0] || rest.hasPrefix(featureNames[$0] + ", ")
                }
                guard
                    let feature = features.max(by: {
                        featureNames[$0].count < featureNames[$1].count
                    })
                else { return false }
                let difference = differences[segment][feature]
                guard word == "high " ? difference > 0 : difference < 0 else { return false }
                rest = rest.dropFirst(featureNames[feature].count)
                if rest.isEmpty { return true }
                rest = rest.dropFirst(2)
            }
        }

        func name(_ segment: Int, featureCount: Int) -> String {
            let (distances, differences) = (distances[segment], differences[segment])
            let differing = distances.indices.filter {
                abs(distances[$0]) > 1e-6 && differences[$0] != 0
            }
            let clear = differing.filter { (distances[$0] > 0) == (differences[$0] > 0) }
            let order = (clear.isEmpty ? differing : clear).sorted {
                abs(distances[$0]) == abs(distances[$1])
                    ? $0 < $1 : abs(distances[$0]) > abs(distances[$1])
            }
            guard let first = order.first else { return "everybody" }
            let least = featureCount == 2 ? abs(distances[first]) / 2 : 0
            return order.prefix(featureCount).filter { abs(distances[$0]) >= least }
                .map { (differences[$0] > 0 ? "high " : "low ") + featureNames[$0] }
                .joined(separator: ", ")
        }
    }

    /// The means of one feature's values, those that are missing left out.
    private struct Means {
        private var sums: [Double]
        private var counts: [Double]

        init(
            _ values: [Float], valid: [Bool]?, rows: [Int]?, segments: [Int32], segmentCount: Int
        ) {
            sums = [Double](repeating: 0, count: segmentCount)
            counts = sums
            for (position, segment) in segments.enumerated() {
                let row = rows?[position] ?? position
                guard valid?[row] ?? true else { continue }
                sums[Int(segment)] += Double(values[row])
                counts[Int(segment)] += 1
            }
        }

        /// A segment's mean less that of all rows; 0 where it has no value.
        func difference(of segment: Int) -> Double {
            guard counts[segment] > 0 else { return 0 }
            return sums[segment] / counts[segment] - sums.reduce(0, +) / counts.reduce(0, +)
        }
    }
}
