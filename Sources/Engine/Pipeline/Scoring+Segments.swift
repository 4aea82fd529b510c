import Features
import Models

extension Scoring {
    /// One segmentation by its latest model: segments, their table, profile and column; noted where it
    /// cannot be.
    mutating func scoreSegmentation(
        _ settings: Plan.Segmentation, _ outlook: Outlook
    ) throws(EngineError) {
        let name = "segmentation.\(settings.name)"
        guard let columnID = segmentationIDs[settings.name],
            let fitted = try model(FittedSegmentation.self, name)?.model
        else { return }
        let model = models[models.count - 1]
        let lacking = fitted.segmenter.featureNames.filter {
            PredictedFeatures.names.contains($0) && table.column(named: $0) == nil
        }
        guard lacking.isEmpty else {
            // All else is scored.
            models.removeLast()
            missing.append(name)
            notes.append("\(EngineError.noPredictions(model: name, features: lacking))")
            return
        }
        var bases: [String: [Int32]] = [:]
        let outdated = fitted.segmenter.bases.filter { base in
            bases[base.name] = segmentNumbers.first { $0.model == base }?.numbers
            return bases[base.name] == nil
        }
        guard outdated.isEmpty else {
            models.removeLast()
            missing.append(name)
            notes.append(
                "\(EngineError.basesMissing(model: name, bases: outdated.map(\.name)))")
            return
        }
        var numbers: [Int32]
        var all: [Int32]?
        if let known,
            fitted.segmenter.isOfAttributes(with: { numbersOfAll[$0.name] != nil })
        {
            let segments = try fitted.segmenter.segments(
                of: known.table, name, within: numbersOfAll, threadCount: threadCount)
            numbers = known.rows.map { segments[$0] }
            numbersOfAll[name] = segments
            columnsOfAll.insert(UInt16(columnID))
            all = segments
        } else if let carried, carried.models.contains(name),
            let earlier = carried.cache.numbers(of: model)
        {
            numbers = carried.rows.merge(
                earlier,
                try fitted.segmenter.segments(of: carried.changed, name, threadCount: threadCount),
                threadCount: threadCount)
        } else {
            numbers = try fitted.segmenter.segments(
                of: table, name, within: bases, threadCount: threadCount)
        }
        segmentNumbers.append((model, numbers))
        if fitted.segmenter.isOfAttributesAlone {
            attributeSegments.append(
                AttributeSegments(
                    segmentation: settings.name, ids: fitted.segmentIDs,
                    numbers: all ?? numbers))
        }
        notes += settings.unknownNames(fitted.segmentIDs)
        let ranked = RankedSegments(fitted, settings, numbers: all ?? numbers)
        let profile = SegmentProfile(
            segmentation: settings.name, ids: ranked.ids,
            features: try ranked.profile(
                of: fitted.segmenter.featureNames,
                in: all == nil ? table : known?.table ?? table, all == nil ? others : nil, name,
                threadCount: threadCount))
        var described = segmentTable(
            settings.name, ranked, outlook, sources: all == nil ? nil : known?.sources)
        for place in described.segments.indices {
            described.segments[place].distinctions = profile.distinctions(of: place)
        }
        segments.append(described)
        profiles.append(profile)
        let ids = ranked.ids.map { Int32($0) }
        let valid = ranked.places.map { $0 >= 0 }
        columns.append(
            ScoreColumn(
                id: UInt16(columnID),
                name: "\(settings.name)_segment", unit: "segment",
                description: "segment of \(settings.name), \(fitted.segmenter.words) "
                    + (settings.parts.isEmpty ? settings.features : settings.parts)
                    .joined(separator: ", "),
                values: .int32(ranked.places.map { $0 < 0 ? 0 : ids[Int($0)] }),
                valid: valid.allSatisfy(\.self) ? nil : valid))
    }

    /// Tables in the order of the plan, whatever was scored first.
    mutating func sortSegments() {
        let names = plan.segmentations.map(\.name)
        func place(_ segmentation: String) -> Int { names.firstIndex(of: segmentation) ?? -1 }
        let tables = segments.indices.sorted {
            let (a, b) = (place(segments[$0].segmentation), place(segments[$1].segmentation))
            return a == b ? $0 < $1 : a < b
        }
        segments = tables.map { segments[$0] }
        let order = profiles.indices.sorted {
            place(profiles[$0].segmentation) < place(profiles[$1].segmentation)
        }
        profiles = order.map { profiles[$0] }
    }

    /// - Parameter sources: by row of `ranked` one of the table, -1 for none; nil: the same.
    func segmentTable(
        _ segmentation: String, _ ranked: RankedSegments, _ outlook: Outlook,
        sources: [Int]? = nil
    ) -> SegmentTable {
        let (revenue, margin) = (table.history.revenue, table.history.margin)
        var tables = zip(ranked.ids, ranked.names).map { id, name in
            SegmentTable.Segment(number: id, name: name, customerCount: 0, revenue: 0)
        }
        var margins = [Double](repeating: 0, count: tables.count)
        var churn = [Mean](repeating: Mean(), count: tables.count)
        var (value, purchases) = (churn, churn)
        for (place, row) in zip(ranked.places, sources ?? Array(ranked.places.indices))
        where tables.indices.contains(Int(place)) {
            let index = Int(place)
            tables[index].customerCount += 1
            if row < 0 { continue }
            tables[index].revenue += revenue[row]
            margins[index] += margin[row]
            if let (values, valid) = outlook.churn, valid[row] { churn[index].add(values[row]) }
            if let (values, valid) = outlook.lifetimeValue, valid[row] {
                value[index].add(values[row])
            }
            if let (values, valid) = outlook.expectedPurchases, valid[row] {
                purchases[index].add(values[row])
            }
        }
        for index in tables.indices {
            tables[index].margin = margins[index]
            tables[index].meanChurnProbability = churn[index].value
            tables[index].meanLifetimeValue = value[index].value
            tables[index].meanExpectedPurchases = purchases[index].value
        }
        return SegmentTable(segmentation: segmentation, segments: tables)
    }
}

/// Of values as they come.
private struct Mean {
    private var sum = 0.0
    private var count = 0

    /// Nil of nothing.
    var value: Double? { count > 0 ? sum / Double(count) : nil }

    mutating func add(_ value: Double) {
        sum += value
        count += 1
    }
}
