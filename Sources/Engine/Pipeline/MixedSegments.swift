import ByteCoding
import Features
package import Models
import Numerical

/// Segments by numbers and texts together, and which of a text's many values have a category of
/// their own.
///
/// A missing number counts as the feature's centre; a missing text adds nothing to any distance. A
/// value that the training did not know differs from every segment's. Of a text of more values than
/// `mostCategories` the most frequent ones are categories, those of equal frequency in bytewise
/// order, and all others, values that the training did not know among them, are `(other)`.
package struct MixedSegments: Sendable, Equatable, Codable {
    package let model: MixedSegmentationModel
    /// By text column with an `(other)`, the values that are not in it.
    package let keptValues: [String: [String]]

    package static let mostCategories = 1_000
    package static let other = "(other)"

    /// The columns of a table as the model reads them.
    func categories(of table: FeatureTable) -> [CategoryColumn] {
        model.categoryNames.enumerated().map { index, name in
            let text = table.texts[name] ?? CodedText(missing: table.rowCount)
            // Only modes are ever compared with: all other values are one that is none of them.
            var names: [String] = []
            for segment in 0..<model.segmentCount {
                if let mode = model.modes(of: segment)[index], !names.contains(mode) {
                    names.append(mode)
                }
            }
            let codeOfName = Dictionary(
                names.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
            let unknown = Int32(names.count)
            let rest = keptValues[name] == nil ? unknown : codeOfName[Self.other] ?? unknown
            let kept = keptValues[name].map { Set($0) }
            let codes = (0..<text.values.count).map { value -> Int32 in
                let value = text.values[value]
                guard kept?.contains(value) ?? true else { return rest }
                return codeOfName[value] ?? unknown
            }
            return CategoryColumn(
                name, codes: text.codes.map { $0 == CodedText.missing ? -1 : codes[Int($0)] },
                // No text is empty.
                categories: names + [""])
        }
    }
}

/// What a segmentation by numbers and texts is fitted on.
struct MixedInput {
    /// Of the numbers; without columns where there are none.
    let numbers: SegmentationInput
    private(set) var categories: [CategoryColumn] = []
    private(set) var keptValues: [String: [String]] = [:]
    /// What a reader must know of texts of many values.
    private(set) var warnings: [String] = []

    /// - Parameters:
    ///   - rows: to fit on.
    ///   - names: of texts of the table that have a value in some of the rows.
    init(_ columns: [FeatureColumn], texts names: [String], of table: FeatureTable, rows: [Int]) {
        numbers = SegmentationInput(columns: columns, rows: rows, of: table.rowCount)
        for name in names {
            let text = table.texts[name] ?? CodedText(missing: table.rowCount)
            var counts = [Int](repeating: 0, count: text.values.count)
            for row in rows where text.codes[row] != CodedText.missing {
                counts[Int(text.codes[row])] += 1
            }
            let occurring = counts.indices.filter { counts[$0] > 0 }.sorted {
                counts[$0] == counts[$1]
                    ? text.values.precedes($0, text.values, $1) : counts[$0] > counts[$1]
            }
            let kept = occurring.prefix(MixedSegments.mostCategories)
            var codes = [Int32](repeating: Int32(kept.count), count: counts.count)
            for (code, value) in kept.enumerated() { codes[value] = Int32(code) }
            var values = kept.map { text.values[$0] }
            if occurring.count > kept.count {
                keptValues[name] = values
                warnings.append(
                    "\(SegmentNames.plain(name)) has \(occurring.count) values: those beyond the "
                        + "\(kept.count) most frequent ones count as \(MixedSegments.other)")
            }
            values.append(MixedSegments.other)
            categories.append(
                CategoryColumn(
                    name, codes: text.codes.map { $0 == CodedText.missing ? -1 : codes[Int($0)] },
                    categories: values))
        }
    }
}

extension ModelFitting {
    /// Numbers and texts by k-prototypes, texts alone by k-modes.
    func fitPrototypes(
        _ settings: Plan.Segmentation, _ prototypes: Plan.PrototypeSettings,
        among rows: [Int]? = nil
    ) throws(EngineError) -> SegmentationFit {
        let name = "segmentation.\(settings.name)"
        var (numbers, texts, unavailable): ([String], [String], [String]) = ([], [], [])
        for feature in plan.wantedFeatures(settings) {
            guard feature.hasPrefix(FeatureCatalog.textPrefix) else {
                numbers.append(feature)
                continue
            }
            texts.append(feature)
        }
        let selection = try self.selection(of: numbers)
        let columns = selection.columnIndices.map { table.columns[$0] }
        // A text that nobody has makes nobody eligible, or not: it is of attributes.
        let rows = table.eligibleRows(for: columns.map(\.name) + texts, among: rows)
        texts.removeAll { feature in
            let text = table.texts[feature]
            let isKnown = rows.contains { row in
                text.map { $0.codes[row] != CodedText.missing } ?? false
            }
            if !isKnown { unavailable.append(SegmentNames.plain(feature)) }
            return !isKnown
        }
        unavailable = selection.unavailable + unavailable
        guard !selection.columnIndices.isEmpty || !texts.isEmpty else {
            throw .noFeatures(model: name, features: settings.features)
        }
        let input = MixedInput(columns, texts: texts, of: table, rows: rows)
        var parameters = KPrototypes.Parameters(
            gamma: prototypes.gamma, seed: plan.seed, restarts: settings.restarts,
            maximumIterations: settings.maximumIterations, threadCount: threadCount)
        let numeric = input.numbers
        let (model, assignment, choice) = try modelErrors(name) { () throws(ModelError) in
            let choice = try chooseClusterCount(settings, input, &parameters)
            let fitted = try MixedSegmentationModel.fit(
                featureNames: numeric.names, columns: numeric.columns, valid: numeric.valid,
                categories: input.categories, rows: numeric.rows, scaling: settings.scaling.kind,
                parameters: parameters)
            return (fitted.model, fitted.assignment, choice)
        }
        let fitted = FittedSegmentation(
            segmenter: .mixed(MixedSegments(model: model, keptValues: input.keptValues)),
            segmentNames: SegmentNames.of(
                model, numeric, input.categories, segments: assignment.segments),
            unavailable: unavailable)
        return SegmentationFit(
            fitted: fitted, choice: choice,
            map: try model.scaling.flatMap { (scaling) throws(EngineError) in
                try map(name, scaling, numeric, centroids: model.means)
            },
            warnings: input.warnings)
    }

    /// Sets the number of clusters; where the data are to choose it, says how they did.
    private func chooseClusterCount(
        _ settings: Plan.Segmentation, _ input: MixedInput,
        _ parameters: inout KPrototypes.Parameters
    ) throws(ModelError) -> ModelCard.ClusterCountChoice? {
        switch settings.clusterCount {
        case .fixed(let count):
            parameters.clusterCount = count
            return nil
        case .automatic(let range):
            let numeric = input.numbers
            let outcome = try MixedSegmentationModel.search(
                columns: numeric.columns, valid: numeric.valid, categories: input.categories,
                rows: numeric.rows, scaling: settings.scaling.kind,
                ClusterCountSearch.Parameters(
                    counts: range.from...range.to, criterion: range.criterion.criterion),
                fit: parameters)
            parameters.clusterCount = outcome.clusterCount
            return ModelCard.ClusterCountChoice(
                criterion: outcome.criterion, sampleRowCount: outcome.sampleRowCount,
                trials: outcome.trials)
        }
    }

    /// Where segments lie beside each other.
    func map(
        _ name: String, _ scaling: FeatureScaling, _ input: SegmentationInput, centroids: [Float]
    ) throws(EngineError) -> SegmentMap? {
        guard let available = input.columns.first?.count else { return nil }
        let rowCount = input.rows?.count ?? available
        let stride = max(1, (rowCount + SegmentMap.mostRows - 1) / SegmentMap.mostRows)
        let rows = Swift.stride(from: 0, to: rowCount, by: stride).map { input.rows?[$0] ?? $0 }
        let points = try modelErrors(name) { () throws(ModelError) in
            try scaling.apply(
                columns: input.columns, valid: input.valid, rows: rows, threadCount: threadCount)
        }
        return SegmentMap(points: points, centroids: centroids, threadCount: threadCount)
    }
}

// MARK: - Names

extension SegmentNames {
    /// A feature as people call it, without what tells attributes and texts apart from features of
    /// purchases.
    package static func plain(_ feature: String) -> String {
        for prefix in [FeatureCatalog.attributePrefix, FeatureCatalog.textPrefix]
        where feature.hasPrefix(prefix) { return String(feature.dropFirst(prefix.count)) }
        return feature
    }

    /// Names segments by numbers that lie far from everybody's and by the value of a text that is
    /// much more frequent than among everybody, both measured in standard deviations: of the scaled
    /// numbers, and of 0 and 1 for whether a customer has the value.
    /// - Parameters:
    ///   - segments: of each of the rows.
    ///   - earlier: as for k-means; a text's value is true of a segment where it is more frequent than
    ///     among everybody.
    static func of(
        _ model: MixedSegmentationModel, _ numbers: SegmentationInput,
        _ categories: [CategoryColumn], segments: [Int32], keeping earlier: [String?] = []
    ) -> [String] {
        let d = model.featureCount
        var traits = Traits(
            numbers, centroids: model.means, sizes: model.sizes, featureCount: d,
            segments: segments)
        for column in categories {
            let shares = CategoryShares(
                column, rows: numbers.rows, segments: segments, segmentCount: model.segmentCount)
            func text(_ code: Int) -> String {
                "\(plain(column.name))=\(column.categories[code])"
            }
            for segment in 0..<model.segmentCount {
                if !earlier.isEmpty {
                    for code in column.categories.indices {
                        let difference = shares.difference(of: segment, code) ?? 0
                        traits.append(statement: text(code), isTrue: difference > 0, of: segment)
                    }
                }
                guard let best = shares.mostTelling(of: segment) else { continue }
                traits.append(text(best.code), distance: best.difference, to: segment)
            }
        }
        return of(traits, segmentCount: model.segmentCount, keeping: earlier)
    }

    /// How frequent the values of a text are in each segment.
    private struct CategoryShares {
        private let counts: [[Int]]
        private let total: [Int]
        /// Customers of each segment, and all, that have a value.
        private let known: [Double]
        private let everybody: Double

        init(
            _ column: CategoryColumn, rows: [Int]?, segments: [Int32], segmentCount: Int
        ) {
            let valueCount = column.categories.count
            var counts = [[Int]](
                repeating: [Int](repeating: 0, count: valueCount), count: segmentCount)
            for (position, segment) in segments.enumerated() {
                let code = column.codes[rows?[position] ?? position]
                if code >= 0 { counts[Int(segment)][Int(code)] += 1 }
            }
            var total = [Int](repeating: 0, count: valueCount)
            for segment in counts {
                for value in total.indices { total[value] += segment[value] }
            }
            (self.counts, self.total) = (counts, total)
            known = counts.map { Double($0.reduce(0, +)) }
            everybody = Double(total.reduce(0, +))
        }

        /// The value whose share in a segment is the most standard deviations above everybody's.
        func mostTelling(of segment: Int) -> (code: Int, difference: Double)? {
            var best: (code: Int, difference: Double)?
            for code in total.indices where counts[segment][code] > 0 {
                let difference = difference(of: segment, code) ?? 0
                if difference > best?.difference ?? 0 { best = (code, difference) }
            }
            return best
        }

        /// How many standard deviations the share of a value in a segment is above everybody's; nil
        /// where nobody or everybody has it, and for a segment without values.
        func difference(of segment: Int, _ code: Int) -> Double? {
            let share = Double(total[code]) / everybody
            guard known[segment] > 0, share > 0, share < 1 else { return nil }
            return (Double(counts[segment][code]) / known[segment] - share)
                / (share * (1 - share)).squareRoot()
        }
    }
}
