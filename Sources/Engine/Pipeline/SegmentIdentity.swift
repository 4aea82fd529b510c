import Features
import Models
import Numerical

/// What became of the segments of the version before: in the card of a segmentation.
package struct SegmentRefit: Codable, Sendable, Equatable {
    package var previousVersion: Int
    /// Who has a segment by both versions, on what was known on the training's day.
    package var customerCount: Int
    /// Ids that go on, that are new, and of segments that no new one continues; ascending.
    package var matchedIDs: [Int]
    package var newIDs: [Int]
    package var endedIDs: [Int]
    /// Of the customers: how many are in a segment of another id than by the version before, and
    /// their revenue up to the day.
    package var movedCount: Int
    package var movedRevenue: Double
    /// Agreement of both versions over the customers: 1 is the same, 0 what chance gives.
    package var adjustedRand: Double
}

/// The version of a segmentation before the one that is trained.
struct PreviousSegmentation {
    let version: Int
    /// Nil where its file cannot be read.
    let model: FittedSegmentation?
    /// What its segments divide; nil where they divide none, and where that cannot be read.
    let base: Segmenter?

    /// An id that no segment of it or of an earlier version has.
    var nextID: Int {
        // Without the file: no version has more segments than this, so no more new ids either.
        model?.nextID ?? version * JoinedSegments.mostSegments
    }
}

/// What a training says of the ids that it gave.
struct SegmentIdentity {
    /// Nil for the first version, and where the one before cannot be told of these customers.
    var refit: SegmentRefit?
    /// Agreement with a fit by another seed; nil for rules and for one segment.
    var seedAdjustedRand: Double?
    var warnings: [String] = []
}

extension ModelFitting {
    /// Gives the segments of a new version their ids and names.
    ///
    /// A first version has 0 ..< its number of segments. A later one assigns the same customers, all
    /// that have an order by the training's day, by both versions, and a segment keeps the id of the
    /// one that it continues (`SegmentMatching`). Rules that are the same rules keep all ids. A
    /// segment of k-means or k-prototypes that goes on, also within another segmentation, keeps its
    /// name as long as everything that the name says is true.
    func identify(
        _ fitted: inout FittedSegmentation, _ settings: Plan.Segmentation,
        after previous: PreviousSegmentation?
    ) throws(EngineError) -> SegmentIdentity {
        let name = "segmentation.\(settings.name)"
        var identity = SegmentIdentity()
        if case .join = fitted.segmenter {
            if let previous { fitted.keepIDs(ofCodesIn: previous) }
            identity.warnings += settings.unknownNames(fitted.segmentIDs)
            return identity
        }
        let numbers = try segments(by: fitted, name)
        identity.seedAdjustedRand = try modelErrors(name) { () throws(ModelError) in
            try seedAdjustedRand(of: fitted.segmenter, numbers, settings)
        }
        if let previous {
            let reason = difference(of: previous, from: fitted)
            if let earlier = previous.model, reason == nil {
                identity.refit = try match(&fitted, numbers, earlier, previous.version, name)
            } else {
                let reason = reason ?? "its file cannot be read"
                identity.warnings.append(
                    "its segments are not compared with those of version \(previous.version), "
                        + "because \(reason): all ids are new")
                fitted.giveIDs(from: previous.nextID)
            }
        }
        identity.warnings += settings.unknownNames(fitted.segmentIDs)
        return identity
    }

    /// The segments of all customers by a version, within those that it divides as they are now.
    private func segments(
        by version: FittedSegmentation, _ name: String
    ) throws(EngineError) -> [Int32] {
        var numbers: [String: [Int32]] = [:]
        for (name, base) in bases { numbers[name] = base.numbers }
        return try version.segmenter.segments(
            of: table, name, within: numbers, threadCount: threadCount)
    }

    /// Why a version cannot be compared with a new one; nil where it can, and where there is none.
    private func difference(
        of previous: PreviousSegmentation, from new: FittedSegmentation
    ) -> String? {
        guard let earlier = previous.model else { return nil }
        let missing = missingFeatures(of: earlier)
        guard missing.isEmpty else {
            return "these customers have no " + missing.joined(separator: ", ")
        }
        let limit = PlanLimits.clusterCount.upperBound
        guard max(earlier.segmentIDs.count, new.segmentIDs.count) <= limit else {
            return "only up to \(limit) segments are compared"
        }
        switch (earlier.segmenter, new.segmenter) {
        case (.layers(let old), .layers(let layers)):
            guard let base = bases[layers.base.name]?.segmenter,
                old.base.name == layers.base.name, previous.base?.hasSameRules(as: base) ?? false
            else { return "the segments that it divides may be others" }
            return nil
        case (.join, _), (.layers, _), (_, .layers): return "it was made otherwise"
        default: return nil
        }
    }

    /// Features without which an earlier version would put everybody somewhere else; that nobody has
    /// a category any more is nothing missing.
    private func missingFeatures(of earlier: FittedSegmentation) -> [String] {
        earlier.segmenter.featureNames.filter { name in
            table.column(named: name) == nil && table.texts[name] == nil
                && !FeatureCatalog.isValueShare(name)
                && !plan.attributeNames.contains {
                    name.hasPrefix("\(FeatureCatalog.attributePrefix)\($0).")
                }
        }
    }

    private func match(
        _ fitted: inout FittedSegmentation, _ numbers: [Int32], _ earlier: FittedSegmentation,
        _ version: Int, _ name: String
    ) throws(EngineError) -> SegmentRefit {
        let old = try segments(by: earlier, name)
        let (oldIDs, model) = (earlier.segmentIDs, fitted)
        let (migration, matching) = try modelErrors(name) { () throws(ModelError) in
            let migration = try SegmentMigration(
                old: old, new: numbers, oldCount: oldIDs.count, newCount: model.segmentIDs.count,
                amounts: table.history.revenue)
            let matching =
                earlier.segmenter.hasSameRules(as: model.segmenter)
                ? nil : try SegmentMatching(migration, oldIDs: oldIDs, nextID: earlier.nextID)
            return (migration, matching)
        }
        fitted.segmentIDs = matching?.ids ?? oldIDs
        fitted.nextID = matching?.nextID ?? earlier.nextID
        if let matching {
            try keepNames(of: earlier, in: &fitted, numbers, previous: matching.previous, name)
        }
        return SegmentRefit(migration, version: version, from: oldIDs, to: fitted.segmentIDs)
    }

    /// Names segments anew, those that continue an earlier one by its name where it is true.
    /// - Parameters:
    ///   - numbers: of all customers by the new version.
    ///   - previous: by new segment the earlier one that it continues.
    private func keepNames(
        of earlier: FittedSegmentation, in fitted: inout FittedSegmentation, _ numbers: [Int32],
        previous: [Int?], _ name: String
    ) throws(EngineError) {
        guard case .layers(let layers) = fitted.segmenter else {
            let kept = previous.map { $0.map { earlier.segmentNames[$0] } }
            let rows = numbers.indices.filter { numbers[$0] >= 0 }
            if let names = try names(
                of: fitted.segmenter, rows, rows.map { numbers[$0] }, keeping: kept, name)
            {
                fitted.segmentNames = names
            }
            return
        }
        var parts = layers.parts
        let rowsOfSegments = LayeredSegments.rows(of: numbers, segmentCount: layers.segmentCount)
        for (outer, segments) in layers.segments.enumerated() {
            guard let part = parts[outer] else { continue }
            // Within the same segment of the base, which has the same rules: a segment that moved
            // to another one may be high there where it was low here.
            let kept = segments.map { segment -> String? in
                guard let before = earlier.segmenter.layers, let old = previous[segment],
                    before.place(of: old).outer == outer
                else { return nil }
                return before.innerName(of: old)
            }
            let rows = rowsOfSegments[segments].flatMap(\.self).sorted()
            let inner = rows.map { numbers[$0] - Int32(segments.lowerBound) }
            if let names = try names(of: part.segmenter, rows, inner, keeping: kept, name) {
                parts[outer]?.segmentNames = names
            }
        }
        let named = LayeredSegments(base: layers.base, parts: parts)
        fitted.segmenter = .layers(named)
        if let base = bases[layers.base.name] {
            fitted.segmentNames = named.names(within: base.segmentNames)
        }
    }

    /// The names of segments that are named by what sets them apart; nil for rules.
    /// - Parameters:
    ///   - rows: ascending; `segments` is of each.
    ///   - kept: by segment a name that it had; nil for none.
    private func names(
        of segmenter: Segmenter, _ rows: [Int], _ segments: [Int32], keeping kept: [String?],
        _ model: String
    ) throws(EngineError) -> [String]? {
        func columns(_ names: [String]) throws(EngineError) -> [FeatureColumn] {
            let columns = names.compactMap { table.column(named: $0) }
            guard columns.count == names.count else {
                throw .noFeatures(model: model, features: names)
            }
            return columns
        }
        switch segmenter {
        case .clusters(let clusters):
            let input = SegmentationInput(
                columns: try columns(clusters.featureNames), rows: rows, of: table.rowCount)
            return SegmentNames.of(
                clusters, columns: input.columns, valid: input.valid, rows: input.rows,
                segments: segments, keeping: kept)
        case .mixed(let mixed):
            let input = MixedInput(
                try columns(mixed.model.featureNames), texts: mixed.model.categoryNames, of: table,
                rows: rows)
            return SegmentNames.of(
                mixed.model, input.numbers, input.categories, segments: segments, keeping: kept)
        case .grid, .join, .layers, .quadrants, .stages: return nil
        }
    }

    /// What another seed would have made of the same customers: one fit more, of one seeding.
    private func seedAdjustedRand(
        of segmenter: Segmenter, _ numbers: [Int32], _ settings: Plan.Segmentation
    ) throws(ModelError) -> Double? {
        guard case .clusters(let model) = segmenter, model.segmentCount > 1 else { return nil }
        let columns = model.featureNames.compactMap { table.column(named: $0) }
        let input = SegmentationInput(
            columns: columns, rows: table.eligibleRows(for: model.featureNames),
            of: table.rowCount)
        let other = try SegmentationModel.fit(
            featureNames: input.names, columns: input.columns, valid: input.valid,
            rows: input.rows, scaling: settings.scaling.kind,
            parameters: KMeans.Parameters(
                clusterCount: model.segmentCount, seed: ~plan.seed, restarts: 1,
                maximumIterations: settings.maximumIterations, threadCount: threadCount))
        return adjustedRandIndex(
            input.rows?.map { numbers[$0] } ?? numbers, other.assignment.segments)
    }
}

extension SegmentRefit {
    /// - Parameters:
    ///   - migration: by number.
    ///   - old, new: the ids of the numbers.
    init(_ migration: SegmentMigration, version: Int, from old: [Int], to new: [Int]) {
        previousVersion = version
        customerCount = migration.keptOldSizes.reduce(0, +)
        matchedIDs = Set(old).intersection(new).sorted()
        newIDs = Set(new).subtracting(old).sorted()
        endedIDs = Set(old).subtracting(new).sorted()
        (movedCount, movedRevenue) = (0, 0)
        for from in old.indices {
            for to in new.indices where new[to] != old[from] {
                movedCount += migration.count(from: from, to: to)
                movedRevenue += migration.amount(from: from, to: to)
            }
        }
        adjustedRand = migration.adjustedRand
    }
}

extension Segmenter {
    /// Whether segments of one number mean the same: cells of the same grid, corners of the same
    /// plane, stages of the same days. Cuts move with the customers; their meaning does not.
    func hasSameRules(as other: Segmenter) -> Bool {
        switch (self, other) {
        case (.grid(let one), .grid(let other)):
            one.featureNames == other.featureNames && one.levelCount == other.levelCount
        case (.quadrants(let one), .quadrants(let other)): one.featureNames == other.featureNames
        case (.stages(let one), .stages(let other)): one == other
        default: false
        }
    }
}

extension FittedSegmentation {
    /// New ids for all segments.
    mutating func giveIDs(from first: Int) {
        segmentIDs = segmentIDs.indices.map { first + $0 }
        nextID = first + segmentIDs.count
    }

    /// What is made of the same other segmentations keeps the id of every combination that the
    /// version before had too: their codes are of ids that stay. All else gets new ids.
    mutating func keepIDs(ofCodesIn previous: PreviousSegmentation) {
        var known: [String: Int] = [:]
        if case .join(let joined)? = previous.model?.segmenter, let earlier = previous.model,
            case .join(let own) = segmenter,
            joined.parts.map(\.model.name) == own.parts.map(\.model.name)
        {
            for (code, id) in zip(joined.codes, earlier.segmentIDs) { known[code] = id }
        }
        nextID = previous.nextID
        for segment in segmentIDs.indices {
            var id: Int?
            if case .join(let joined) = segmenter { id = known[joined.codes[segment]] }
            if let id {
                segmentIDs[segment] = id
            } else {
                segmentIDs[segment] = nextID
                nextID += 1
            }
        }
    }

    /// The names that are served: the plan's where it has one, by id.
    func names(_ settings: Plan.Segmentation?) -> [String] {
        zip(segmentIDs, segmentNames).map { settings?.names[$0] ?? $1 }
    }
}

extension Plan.Segmentation {
    /// That names are given to segments that a model does not have, in words; nothing where it has
    /// them all.
    func unknownNames(_ ids: [Int]) -> [String] {
        let unknown = Set(names.keys).subtracting(ids).sorted()
        guard !unknown.isEmpty else { return [] }
        func list(_ ids: [Int]) -> String { ids.map(String.init).joined(separator: ", ") }
        return [
            "the plan names \(unknown.count == 1 ? "segment" : "segments") \(list(unknown)) of "
                + "\(name), which the model does not have; it has \(list(ids.sorted()))"
        ]
    }
}
