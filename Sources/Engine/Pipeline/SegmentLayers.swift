import ColumnStore
import Features
import Models

/// The segments of one segmentation that another one is made of.
struct SegmentBase: Sendable {
    let reference: ModelReference
    let segmenter: Segmenter
    let segmentNames: [String]
    let segmentIDs: [Int]
    /// Of every row of the table; -1 for none.
    let numbers: [Int32]
    /// Of everybody known; nil for a segmentation that needs purchases.
    var numbersOfAll: [Int32]?
}

/// Micro-segments: the combinations of the segments of several segmentations. Every combination has
/// a number, whether a customer is in it or not, so that it stays the same from day to day.
package struct JoinedSegments: Sendable, Equatable, Codable {
    package struct Part: Sendable, Equatable, Codable {
        /// `segmentation.value` in the version whose segments are joined.
        package let model: ModelReference
        package let segmentCount: Int
    }

    package let parts: [Part]
    /// `[segmentCount]`: the numbers of the parts' segments, as `2.0.4`.
    package let codes: [String]

    /// More combinations have no names.
    package static let mostSegments = 10_000

    package var segmentCount: Int { codes.count }

    /// - Returns: the segments, and their names: code and names of the parts.
    /// - Throws: `.outOfRange` for more than `mostSegments` combinations.
    static func join(
        _ bases: [SegmentBase]
    ) throws(ModelError) -> (segments: JoinedSegments, names: [String]) {
        var (codes, names) = ([""], [""])
        let joined = Set(bases.map(\.reference.name))
        for base in bases {
            let count = codes.count * base.segmenter.segmentCount
            guard count <= mostSegments else {
                throw .outOfRange(
                    what: "the number of combinations", actual: Double(count),
                    allowed: "at most \(mostSegments): join fewer segmentations, or some of fewer "
                        + "segments")
            }
            // Where the segmentation that it is fitted within is joined too, that one has the name.
            let segments = (0..<base.segmenter.segmentCount).map { segment in
                (
                    base.segmenter.code(of: segment, id: base.segmentIDs[segment]),
                    base.segmenter.layers.map { layers in
                        joined.contains(layers.base.name)
                            ? layers.innerName(of: segment) : base.segmentNames[segment]
                    } ?? base.segmentNames[segment]
                )
            }
            codes = codes.flatMap { code in
                segments.map { code.isEmpty ? $0.0 : "\(code).\($0.0)" }
            }
            names = names.flatMap { name in
                segments.map { name.isEmpty ? $0.1 : "\(name) | \($0.1)" }
            }
        }
        let parts = bases.map {
            Part(model: $0.reference, segmentCount: $0.segmenter.segmentCount)
        }
        return (
            JoinedSegments(parts: parts, codes: codes), zip(codes, names).map { "\($0) \($1)" }
        )
    }

    /// The combination of every row; -1 where a part has none.
    /// - Parameters:
    ///   - numbers: by part, of every row.
    ///   - name: of the model, for errors.
    /// - Throws: `.damagedModel` where a part has more segments than the model says.
    func assign(_ numbers: [[Int32]], _ name: String) throws(EngineError) -> [Int32] {
        for (part, numbers) in zip(parts, numbers) {
            try Self.check(numbers, of: part.model, segmentCount: part.segmentCount, name)
        }
        guard let first = numbers.first else { return [] }
        return first.indices.map { row in
            var number = 0
            for (part, numbers) in zip(parts, numbers) {
                if numbers[row] < 0 { return -1 }
                number = number * part.segmentCount + Int(numbers[row])
            }
            return Int32(number)
        }
    }

    /// - Throws: `.damagedModel` where a base has more segments than what is made of it knows: a file
    ///   of right checksums that no training wrote.
    fileprivate static func check(
        _ numbers: [Int32], of base: ModelReference, segmentCount: Int, _ name: String
    ) throws(EngineError) {
        guard let most = numbers.max(), most >= segmentCount else { return }
        throw .damagedModel(
            path: name,
            reason: "it is made of \(segmentCount) segments of \(base.name), which has "
                + "\(most + 1) or more")
    }
}

extension JoinedSegments {
    private enum Key: String, CodingKey { case parts, codes }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        parts = try container.decode([Part].self, forKey: .parts)
        codes = try container.decode([String].self, forKey: .codes)
        var count = parts.isEmpty ? 0 : 1
        for part in parts where count <= Self.mostSegments {
            guard 1...Self.mostSegments ~= part.segmentCount else {
                throw DecodingError.dataCorruptedError(
                    forKey: .parts, in: container,
                    debugDescription: "\(part.segmentCount) segments of \(part.model.name)")
            }
            count *= part.segmentCount
        }
        guard count <= Self.mostSegments, codes.count == count, Set(codes).count == count,
            count > 0
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .codes, in: container,
                debugDescription: "not a code a combination of segments, each another, at most "
                    + "\(Self.mostSegments)")
        }
    }
}

/// A segmentation that is fitted on its own within each segment of another one. Its segments are
/// numbered through, those of the first one's first segment first.
package struct LayeredSegments: Sendable, Equatable, Codable {
    /// `segmentation.stage` in the version whose segments are divided.
    package let base: ModelReference
    /// By segment of the base what divides it; nil where it is left whole.
    package let parts: [FittedSegmentation?]

    /// By segment of the base the number of its first segment, and last the number of all.
    private var starts: [Int] {
        parts.reduce(into: [0]) { starts, part in
            starts.append(starts[starts.count - 1] + (part?.segmenter.segmentCount ?? 1))
        }
    }

    package var segmentCount: Int { starts[parts.count] }

    /// By segment of the base its segments.
    var segments: [Range<Int>] {
        zip(starts, starts.dropFirst()).map { $0..<$1 }
    }

    package var featureNames: [String] {
        var names: [String] = []
        for part in parts {
            for name in part?.segmenter.featureNames ?? [] where !names.contains(name) {
                names.append(name)
            }
        }
        return names
    }

    /// The segment of the base that a segment is a part of, and its number within it.
    /// - Parameter segment: 0 ..< segmentCount.
    func place(of segment: Int) -> (outer: Int, inner: Int) {
        let starts = starts
        // Every segment of the base has one at least, so no two starts are equal.
        let outer = starts.lastIndex { $0 <= segment } ?? 0
        return (outer, segment - starts[outer])
    }

    /// The name within the base's segment.
    func innerName(of segment: Int) -> String {
        let (outer, inner) = place(of: segment)
        return parts[outer]?.segmentNames[inner] ?? "everybody"
    }

    func names(within outer: [String]) -> [String] {
        (0..<segmentCount).map { "\(outer[place(of: $0).outer]): \(innerName(of: $0))" }
    }

    /// By segment its rows, ascending.
    static func rows(of numbers: [Int32], segmentCount: Int) -> [[Int]] {
        var rows = [[Int]](repeating: [], count: segmentCount)
        for (row, segment) in numbers.enumerated() where rows.indices.contains(Int(segment)) {
            rows[Int(segment)].append(row)
        }
        return rows
    }

    /// The segment of every row of a table; -1 where the base has none, and of rows that are not
    /// eligible.
    /// - Parameter outer: of every row.
    /// - Throws: `.damagedModel` where the base has more segments than the model says.
    func segments(
        of table: FeatureTable, _ name: String, within outer: [Int32], threadCount: Int
    ) throws(EngineError) -> [Int32] {
        try JoinedSegments.check(outer, of: base, segmentCount: parts.count, name)
        var numbers = [Int32](repeating: -1, count: outer.count)
        let starts = starts
        var eligible = numbers
        for row in table.eligibleRows(for: featureNames) { eligible[row] = outer[row] }
        for (segment, rows) in Self.rows(of: eligible, segmentCount: parts.count).enumerated() {
            guard let part = parts[segment] else {
                for row in rows { numbers[row] = Int32(starts[segment]) }
                continue
            }
            let inner = try part.segmenter.segments(
                ofRows: rows, of: table, name, threadCount: threadCount)
            for (position, row) in rows.enumerated() {
                numbers[row] = Int32(starts[segment]) + inner[position]
            }
        }
        return numbers
    }
}

extension LayeredSegments {
    private enum Key: String, CodingKey { case base, parts }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        base = try container.decode(ModelReference.self, forKey: .base)
        parts = try container.decode([FittedSegmentation?].self, forKey: .parts)
        let divided = parts.compactMap(\.self)
        guard !divided.isEmpty, divided.allSatisfy({ $0.segmenter.bases.isEmpty }),
            parts.count <= JoinedSegments.mostSegments,
            segmentCount <= JoinedSegments.mostSegments
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .parts, in: container,
                debugDescription: "not segmentations by features that together have at most "
                    + "\(JoinedSegments.mostSegments) segments")
        }
    }
}

extension Segmenter {
    /// The models whose segments it is made of.
    package var bases: [ModelReference] {
        switch self {
        case .join(let joined): joined.parts.map(\.model)
        case .layers(let layers): [layers.base]
        case .clusters, .grid, .mixed, .quadrants, .stages: []
        }
    }

    var layers: LayeredSegments? {
        if case .layers(let layers) = self { return layers }
        return nil
    }

    /// A segment's part of the code of a micro-segment.
    /// - Parameter id: of the segment, which stays from training to training.
    func code(of segment: Int, id: Int) -> String {
        switch self {
        case .join(let joined): joined.codes[segment]
        case .clusters, .grid, .layers, .mixed, .quadrants, .stages: "\(id)"
        }
    }
}

extension ModelFitting {
    func fitJoin(_ settings: Plan.Segmentation) throws(EngineError) -> SegmentationFit {
        let name = "segmentation.\(settings.name)"
        let bases = try settings.parts.map { (part) throws(EngineError) in
            try self.base(part, of: name)
        }
        let (joined, names) = try modelErrors(name) { () throws(ModelError) in
            try JoinedSegments.join(bases)
        }
        return SegmentationFit(
            fitted: FittedSegmentation(
                segmenter: .join(joined), segmentNames: names, unavailable: []))
    }

    /// Clusters of the eligible customers of each segment of another segmentation. A segment that cannot be
    /// divided, for it has too few different customers, is left whole.
    func fitLayers(
        _ settings: Plan.Segmentation, per outer: String
    ) throws(EngineError) -> SegmentationFit {
        let name = "segmentation.\(settings.name)"
        let base = try self.base(outer, of: name)
        var parts: [FittedSegmentation?] = []
        var warnings: [String] = []
        let rowsOfSegments = LayeredSegments.rows(
            of: base.numbers, segmentCount: base.segmenter.segmentCount)
        for (segment, rows) in rowsOfSegments.enumerated() {
            let title = base.segmentNames[segment]
            do throws(EngineError) {
                guard !rows.isEmpty else {
                    parts.append(nil)
                    continue
                }
                let fit = try clusters(settings, among: rows)
                parts.append(fit.fitted)
                warnings += (fit.warnings + fit.fitted.unavailable.map { "no feature \($0)" })
                    .map { "\(title): \($0)" }
            } catch {
                guard error.isAboutTheData else { throw error }
                parts.append(nil)
                warnings.append("\(title) is left whole: \(error.reason(of: name))")
            }
        }
        let layers = LayeredSegments(base: base.reference, parts: parts)
        guard parts.contains(where: { $0 != nil }) else {
            throw .model(
                name: name,
                .notIdentified(
                    model: "it",
                    reason: "no segment of \(outer) can be divided; "
                        + (warnings.first ?? "it has no customers")))
        }
        guard layers.segmentCount <= JoinedSegments.mostSegments else {
            throw .model(
                name: name,
                .outOfRange(
                    what: "the number of segments", actual: Double(layers.segmentCount),
                    allowed: "at most \(JoinedSegments.mostSegments)"))
        }
        return SegmentationFit(
            fitted: FittedSegmentation(
                segmenter: .layers(layers), segmentNames: layers.names(within: base.segmentNames),
                unavailable: []),
            warnings: warnings)
    }

    private func base(_ part: String, of name: String) throws(EngineError) -> SegmentBase {
        guard let base = bases["segmentation.\(part)"] else {
            throw .basesMissing(model: name, bases: ["segmentation.\(part)"])
        }
        return base
    }
}

extension RankedSegments {
    /// Of all combinations of segments those that occur; of other segmentations all segments.
    init(_ fitted: FittedSegmentation, _ settings: Plan.Segmentation, numbers: [Int32]) {
        let names = fitted.names(settings)
        guard case .join = fitted.segmenter else {
            self.init(ids: fitted.segmentIDs, names: names, numbers: numbers)
            return
        }
        var places = [Int32](repeating: -1, count: names.count)
        for number in numbers where number >= 0 { places[Int(number)] = 0 }
        var occurring = places.indices.filter { places[$0] == 0 }
        // Of nobody there is still a table.
        if occurring.isEmpty { occurring = [0] }
        for (place, number) in occurring.enumerated() { places[number] = Int32(place) }
        self.init(
            ids: occurring.map { fitted.segmentIDs[$0] }, names: occurring.map { names[$0] },
            numbers: numbers.map { $0 < 0 ? -1 : places[Int($0)] })
    }
}

extension Workspace {
    /// What a segmentation is made of, by the latest models, for its training; what has no model
    /// is left out.
    func addBases(
        for name: String, by models: [Manifest.Model], to fitting: inout ModelFitting
    ) throws(EngineError) {
        let settings = plan.segmentations.first { "segmentation.\($0.name)" == name }
        for base in settings?.baseNames ?? [] {
            try addBase("segmentation.\(base)", by: models, to: &fitting)
        }
    }

    private func addBase(
        _ name: String, by models: [Manifest.Model], to fitting: inout ModelFitting
    ) throws(EngineError) {
        let versions = models.filter { $0.name == name }
        guard let latest = versions.max(by: { $0.version < $1.version }) else { return }
        let reference = ModelReference(latest)
        if fitting.bases[name]?.reference == reference { return }
        let read = try ModelStore.read(FittedSegmentation.self, from: "\(folder)/\(latest.file)")
        let segmenter = read.model.segmenter
        var numbers: [String: [Int32]] = [:]
        for base in segmenter.bases {
            // Only the version that it is made of: another one may be made of this in turn.
            guard models.contains(where: { ModelReference($0) == base }),
                models.filter({ $0.name == base.name }).allSatisfy({ $0.version <= base.version })
            else { return }
            try addBase(base.name, by: models, to: &fitting)
            guard let known = fitting.bases[base.name], known.reference == base else {
                // It cannot be told who is where.
                return
            }
            numbers[base.name] = known.numbers
        }
        try addPredictions(segmenter.featureNames, by: models, to: &fitting)
        let own: [Int32]
        var all: [Int32]?
        if let known = fitting.known, fitting.isOfAttributes(segmenter) {
            let segments = try segmenter.segments(
                of: known.table, name, within: fitting.bases.compactMapValues(\.numbersOfAll),
                threadCount: fitting.threadCount)
            own = known.rows.map { segments[$0] }
            all = segments
        } else {
            own = try segmenter.segments(
                of: fitting.table, name, within: numbers, threadCount: fitting.threadCount)
        }
        fitting.bases[name] = SegmentBase(
            reference: reference, segmenter: segmenter, segmentNames: read.model.segmentNames,
            segmentIDs: read.model.segmentIDs, numbers: own, numbersOfAll: all)
    }

    /// The segments of all customers of a table by a model and those that it is made of.
    /// - Throws: `.basesMissing` where one of these has been trained anew since.
    func segments(
        _ fitted: FittedSegmentation, _ name: String, of table: FeatureTable, threadCount: Int
    ) throws(EngineError) -> [Int32] {
        var numbers: [String: [Int32]] = [:]
        for base in fitted.segmenter.bases {
            guard let read = try latestModel(FittedSegmentation.self, base.name, asOf: nil),
                ModelReference(read.entry) == base
            else { throw .basesMissing(model: name, bases: [base.name]) }
            numbers[base.name] = try segments(
                read.model, base.name, of: table, threadCount: threadCount)
        }
        return try fitted.segmenter.segments(
            of: table, name, within: numbers, threadCount: threadCount)
    }

    /// The features of models that are there already and that some models to train are made of: the
    /// plan may name others by now. Predictions are not among them.
    func baseFeatureNames(of models: [String]) throws(EngineError) -> Set<String> {
        var names: Set<String> = []
        for segmentation in plan.segmentations
        where models.contains("segmentation.\(segmentation.name)") {
            for base in segmentation.baseNames.map({ "segmentation.\($0)" })
            where !models.contains(base) {
                if let read = try latestModel(FittedSegmentation.self, base, asOf: nil) {
                    names.formUnion(try featureNames(of: read.model))
                }
            }
        }
        return names.subtracting(PredictedFeatures.names)
    }

    /// The features of a segmentation and of those that it is made of, by their latest models.
    func featureNames(of fitted: FittedSegmentation) throws(EngineError) -> Set<String> {
        var names = Set(fitted.segmenter.featureNames)
        for base in fitted.segmenter.bases {
            // As for `addBase`: another version may be made of this one.
            if let read = try latestModel(FittedSegmentation.self, base.name, asOf: nil),
                ModelReference(read.entry) == base
            {
                names.formUnion(try featureNames(of: read.model))
            }
        }
        return names
    }
}
