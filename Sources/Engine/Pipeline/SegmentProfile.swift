import ByteCoding
import Features
package import Models

/// What the customers of each segment are like beside all customers of a segmentation: part of a
/// generation, in `profiles.json`.
package struct SegmentProfile: Sendable, Equatable, Codable {
    package var segmentation: String
    /// Ascending; what the segments of `features` are, in this order.
    package var ids: [Int]
    /// Of every feature that the model reads: by segment the mean, its index (100: as all customers)
    /// and how many standard deviations it lies from that of all.
    package var features: SegmentProfiles

    /// Whether there is something of every segment.
    var isWhole: Bool {
        features.sizes.count == ids.count
            && features.numbers.allSatisfy { $0.segments.count == ids.count }
            && features.categories.allSatisfy {
                $0.segments.count == ids.count && $0.missingShares.count == ids.count
            }
    }

    /// Differences that a segment table names.
    static let distinctionCount = 5

    /// What sets a segment apart, most first.
    /// - Parameter place: among `ids`.
    func distinctions(of place: Int) -> [SegmentTable.Distinction] {
        features.distinctions(of: place, most: Self.distinctionCount).map { found in
            let number = features.numbers.first { $0.name == found.column }
            let category = features.categories.first { $0.name == found.column }
            let index =
                found.category == nil
                ? number?.segments[place].index
                : category?.segments[place].first { $0.category == found.category }?.index
            return SegmentTable.Distinction(
                feature: found.column, category: found.category, difference: found.difference,
                index: index)
        }
    }
}

/// Segments by their ids, as all that is served tells them.
struct RankedSegments {
    /// Ascending.
    let ids: [Int]
    /// In the order of the ids.
    let names: [String]
    /// A place among the ids a customer, -1 for none.
    let places: [Int32]

    /// - Parameters:
    ///   - ids, names: by the numbers of a model.
    ///   - numbers: of the customers, -1 for none.
    init(ids: [Int], names: [String], numbers: [Int32]) {
        let order = ids.indices.sorted { ids[$0] < ids[$1] }
        self.ids = order.map { ids[$0] }
        self.names = order.map { names[$0] }
        var places = [Int32](repeating: 0, count: ids.count)
        for (place, number) in order.enumerated() { places[number] = Int32(place) }
        self.places =
            order == Array(ids.indices)
            ? numbers : numbers.map { $0 < 0 ? -1 : places[Int($0)] }
    }
}

extension RankedSegments {
    /// Measures the features of a model; each column is looked at once.
    /// - Parameters:
    ///   - others: columns that the table was not told to hold.
    ///   - name: of the model, for errors.
    func profile(
        of features: [String], in table: FeatureTable, _ others: CarriedColumns?, _ name: String,
        threadCount: Int
    ) throws(EngineError) -> SegmentProfiles {
        let rowCount = table.rowCount
        let numbers = features.filter { !$0.hasPrefix(FeatureCatalog.textPrefix) }
        let categories = features.compactMap { feature in
            table.texts[feature].map { text in
                CategoryColumn(
                    SegmentNames.plain(feature),
                    codes: text.codes.map { $0 == CodedText.missing ? -1 : Int32($0) },
                    categories: (0..<text.values.count).map { text.values[$0] })
            }
        }
        return try modelErrors(name) { () throws(ModelError) in
            try SegmentProfiles(
                assignments: places, segmentCount: ids.count, names: numbers,
                categories: categories, threadCount: threadCount
            ) { index in
                if let column = table.column(named: numbers[index]) {
                    return (column.values, column.valid)
                }
                // As for assignment: a value that nobody has any more is a share of 0.
                return others?.column(named: numbers[index])
                    ?? ([Float](repeating: 0, count: rowCount), nil)
            }
        }
    }
}
