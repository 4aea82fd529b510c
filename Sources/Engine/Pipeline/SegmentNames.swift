import Features
package import Models

/// What sets each segment apart, in words: `high revenue, low daysSinceLastPurchase`.
package enum SegmentNames {
    /// Names the two features whose scaled centroid lies farthest from the middle of all segments,
    /// the second only where it is half as far. A segment is `average` where even the first is not an
    /// eighth as far as that of the segment that is farthest out. Segments of equal names get the next
    /// features too, until they differ.
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
        of(
            Traits(
                SegmentationInput(
                    names: model.featureNames, columns: columns, valid: valid, rows: rows),
                centroids: model.centroids, sizes: model.sizes, featureCount: model.featureCount,
                segments: segments),
            segmentCount: model.segmentCount, keeping: earlier)
    }

    /// Names segments by what sets each apart most.
    static func of(
        _ traits: Traits, segmentCount: Int, keeping earlier: [String?] = []
    ) -> [String] {
        let kept = (0..<segmentCount).map { segment -> String? in
            guard !earlier.isEmpty, let name = earlier[segment] else { return nil }
            return traits.isTrue(name, of: segment) ? name : nil
        }
        var result = kept.enumerated().map { segment, name in
            name ?? traits.name(segment, traitCount: 2)
        }
        for traitCount in 3..<max(3, min(traits.mostCount, 5) + 1) {
            let counts = Dictionary(grouping: result, by: \.self).mapValues(\.count)
            for segment in result.indices
            where counts[result[segment]] ?? 0 > 1 && kept[segment] == nil {
                result[segment] = traits.name(segment, traitCount: traitCount)
            }
        }
        return result
    }

    /// What may set each segment apart.
    struct Traits {
        private struct Trait {
            var text: String
            /// How far the scaled centroid lies from the middle; above 0 for a text's value.
            var distance: Double
            /// Whether words of high and low are true of the means too.
            var isClear: Bool
        }

        /// `[segment]`.
        private var traits: [[Trait]]
        /// `[segment]`: what a name may say, and whether it is true of the means and shares.
        private var statements: [[String: Bool]]

        /// Of any trait of any segment.
        private var largestDistance: Double {
            traits.reduce(0) { $1.reduce($0) { max($0, $1.distance) } }
        }

        /// Most traits of a segment.
        var mostCount: Int { traits.map(\.count).max() ?? 0 }

        /// - Parameters:
        ///   - input: the model's features in its order, as they were before scaling.
        ///   - centroids: `[sizes.count × featureCount]`, scaled.
        init(
            _ input: SegmentationInput, centroids: [Float], sizes: [Int], featureCount d: Int,
            segments: [Int32]
        ) {
            let total = Double(max(1, sizes.reduce(0, +)))
            let middle = (0..<d).map { j in
                sizes.enumerated().reduce(0.0) { sum, segment in
                    sum + Double(centroids[segment.offset * d + j]) * Double(segment.element)
                        / total
                }
            }
            let means = input.columns.indices.map { j in
                Means(
                    input.columns[j], valid: input.valid.isEmpty ? nil : input.valid[j],
                    rows: input.rows, segments: segments, segmentCount: sizes.count)
            }
            statements = sizes.indices.map { segment in
                var statements: [String: Bool] = [:]
                for (name, means) in zip(input.names.map(plain), means) {
                    let difference = means.difference(of: segment)
                    statements["high " + name] = difference > 0
                    statements["low " + name] = difference < 0
                }
                return statements
            }
            let axes = Self.axes(of: input.names)
            traits = sizes.indices.map { segment in
                func distance(_ j: Int) -> Double {
                    Double(centroids[segment * d + j]) - middle[j]
                }
                var traits = (0..<d).filter { !(axes?.contains($0) ?? false) }.compactMap {
                    (j) -> Trait? in
                    let difference = means[j].difference(of: segment)
                    guard abs(distance(j)) > 1e-6, difference != 0 else { return nil }
                    return Trait(
                        text: (difference > 0 ? "high " : "low ") + plain(input.names[j]),
                        distance: abs(distance(j)),
                        isClear: (distance(j) > 0) == (difference > 0))
                }
                if let axes, let place = Self.place(axes.map { means[$0].mean(of: segment) }) {
                    let length = axes.reduce(0) { $0 + distance($1) * distance($1) }.squareRoot()
                    if length > 1e-6 {
                        traits.append(Trait(text: place, distance: length, isClear: true))
                    }
                }
                return traits
            }
        }

        /// Whether a name of this form says nothing that the means and shares deny; false for any
        /// other text, and for one about a feature or a value that there is not.
        func isTrue(_ name: String, of segment: Int) -> Bool {
            var rest = name[...]
            while true {
                // Names of features and values hold any characters: the longest that fits is meant.
                let fitting = statements[segment].filter { statement, _ in
                    rest == statement[...] || rest.hasPrefix(statement + ", ")
                }
                guard let meant = fitting.max(by: { $0.key.count < $1.key.count }), meant.value
                else { return false }
                rest = rest.dropFirst(meant.key.count)
                if rest.isEmpty { return true }
                rest = rest.dropFirst(2)
            }
        }

        /// The three columns of `FeatureCatalog.coordinates`, where all are there.
        private static func axes(of names: [String]) -> [Int]? {
            let group = FeatureCatalog.attributePrefix + FeatureCatalog.coordinates
            let axes = ["x", "y", "z"].compactMap { names.firstIndex(of: "\(group).\($0)") }
            return axes.count == 3 ? axes : nil
        }

        /// Where the middle of a segment is: `around 48.1 N 11.6 E`.
        private static func place(_ means: [Double?]) -> String? {
            guard let x = means[0], let y = means[1], let z = means[2],
                let degrees = Coordinates.degrees(x, y, z)
            else { return nil }
            func text(_ value: Double, _ positive: String, _ negative: String) -> String {
                let tenths = Int((abs(value) * 10).rounded())
                return "\(tenths / 10).\(tenths % 10) \(value < 0 ? negative : positive)"
            }
            return "around \(text(degrees.latitude, "N", "S")) "
                + text(degrees.longitude, "E", "W")
        }

        mutating func append(statement: String, isTrue: Bool, of segment: Int) {
            statements[segment][statement] = isTrue
        }

        mutating func append(_ text: String, distance: Double, to segment: Int) {
            traits[segment].append(Trait(text: text, distance: distance, isClear: true))
        }

        func name(_ segment: Int, traitCount: Int) -> String {
            let clear = traits[segment].filter(\.isClear)
            let ordered = (clear.isEmpty ? traits[segment] : clear).enumerated().sorted {
                $0.element.distance == $1.element.distance
                    ? $0.offset < $1.offset : $0.element.distance > $1.element.distance
            }.map(\.element)
            guard let first = ordered.first else { return "everybody" }
            if traitCount == 2, first.distance < largestDistance / 8 { return "average" }
            let least = traitCount == 2 ? first.distance / 2 : 0
            return ordered.prefix(traitCount).filter { $0.distance >= least }
                .map(\.text).joined(separator: ", ")
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

        /// Of a segment; nil where it has no value.
        func mean(of segment: Int) -> Double? {
            counts[segment] > 0 ? sums[segment] / counts[segment] : nil
        }

        /// A segment's mean less that of all rows; 0 where it has no value.
        func difference(of segment: Int) -> Double {
            guard counts[segment] > 0 else { return 0 }
            return sums[segment] / counts[segment] - sums.reduce(0, +) / counts.reduce(0, +)
        }
    }
}
