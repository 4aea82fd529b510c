import ByteCoding
import ColumnStore
import Features
import Models
import Units

/// Why a customer is in a segment and not in the next nearest one, by the published generation.
package struct SegmentExplanationReport: Encodable, Sendable {
    package struct Segment: Encodable, Sendable {
        package var id: Int
        package var name: String
        /// To its centroid, in scaled coordinates; nil for rules, which know no distance.
        package var distance: Double?
    }

    /// A feature that the segmentation reads.
    package struct Part: Encodable, Sendable {
        package var feature: String
        /// The customer's; nil where it is missing, and for a text.
        package var value: Double?
        /// The customer's text; nil where it is missing, and for a number.
        package var text: String?
        /// The most frequent texts of the customer's segment and of the next one; nil for numbers, and
        /// where a segment has none.
        package var segmentText: String?
        package var nextText: String?
        /// Means of the customer's segment, of the next one and of all customers; nil for a
        /// generation without profiles.
        package var segmentMean: Double?
        package var nextMean: Double?
        package var overallMean: Double?
        /// The squared distance to the next segment less that to its own, in this feature: above 0
        /// speaks for its own segment. Nil for rules.
        package var difference: Double?
        /// `difference` over that of all features.
        package var share: Double?
    }

    package var customer: String
    package var segmentation: String
    package var generation: Int
    package var asOf: String
    package var modelVersion: Int
    package var segment: Segment
    /// Nil for rules, and where there is only one segment.
    package var next: Segment?
    /// What speaks most for or against the segment first; of rules in the order of the model.
    package var parts: [Part]
}

extension Workspace {
    /// Explains the published segment of one customer. The features are made anew of this customer's
    /// lines as of the generation's day, with the attributes of now.
    /// - Parameter id: as it is written in the data.
    /// - Throws: `.unknownModel` for a name that the generation has no segments of;
    ///   `.unknownCustomer` for an id without an order by the day; `.noSnapshot`.
    package func explainSegment(
        ofCustomer id: String, in name: String, threadCount: Int
    ) throws(EngineError) -> SegmentExplanationReport {
        try requireNotErased(id)
        var survey: HistorySurvey?
        return try explainSegment(
            ofCustomer: id, in: name, by: try publishedSnapshot(), surveyed: &survey,
            threadCount: threadCount)
    }

    /// The same by a generation, which the models must still be those of.
    /// - Parameter survey: as of the generation's day; made where it is needed and nil, which reads
    ///   all purchase lines unless the features of that day are kept.
    func explainSegment(
        ofCustomer id: String, in name: String, by snapshot: ServingSnapshot,
        surveyed survey: inout HistorySurvey?, threadCount: Int
    ) throws(EngineError) -> SegmentExplanationReport {
        let model = "segmentation.\(name)"
        guard let fitted: ReadModel<FittedSegmentation> = try publishedModel(model, snapshot)
        else {
            throw .unknownModel(
                name: name,
                known: snapshot.segments.map(\.segmentation).filter { $0 != "tier" })
        }
        let segmentation = fitted.model
        let bases = segmentation.segmenter.bases.map(\.plainName)
        guard bases.isEmpty else {
            throw .notExplained(segmentation: name, bases: bases)
        }
        let (table, row) = try features(
            ofCustomer: id, segmentation.segmenter.featureNames, snapshot, &survey,
            threadCount: threadCount)
        let numbers = try segmentation.segmenter.segments(
            of: table, model, threadCount: threadCount)
        let number = Int(numbers[row])
        guard number >= 0 else {
            throw .unknownCustomer(id: id, reason: "has returns only by \(snapshot.asOf)")
        }
        let values = segmentation.segmenter.featureNames.map { feature -> Float? in
            // A text is no number.
            if feature.hasPrefix(FeatureCatalog.textPrefix) { return nil }
            // A value that nobody has is a share of 0, as in every assignment.
            guard let column = table.column(named: feature) else { return 0 }
            return column.valid?[row] ?? true ? column.values[row] : nil
        }
        var explanation: SegmentExplanation?
        switch segmentation.segmenter {
        case .clusters(let clusters):
            explanation = try modelErrors(model) { () throws(ModelError) in
                try clusters.explain(values: values, segment: number)
            }
        case .mixed(let mixed):
            explanation = try modelErrors(model) { () throws(ModelError) in
                try mixed.model.explain(
                    values: Array(values.prefix(mixed.model.featureCount)),
                    categories: mixed.categories(of: table).map { $0.name(ofRow: row) },
                    segment: number)
            }
        case .grid, .join, .layers, .quadrants, .stages: break
        }
        let names = segmentation.names(plan.segmentations.first { $0.name == name })
        func segment(_ number: Int, _ distance: Double?) -> SegmentExplanationReport.Segment {
            .init(
                id: segmentation.segmentIDs[number], name: names[number], distance: distance)
        }
        var report = SegmentExplanationReport(
            customer: id, segmentation: name, generation: snapshot.generation,
            asOf: snapshot.asOf.description, modelVersion: fitted.entry.version,
            segment: segment(number, explanation?.distance),
            next: explanation?.nextSegment.map { segment($0, explanation?.nextDistance) },
            parts: zip(segmentation.segmenter.featureNames, values).map { feature, value in
                .init(
                    feature: feature, value: value.map(Double.init),
                    text: table.texts[feature].flatMap { $0.text(ofRow: row) })
            })
        report.take(explanation, try snapshot.profile(of: name))
        if case .mixed(let mixed) = segmentation.segmenter {
            report.takeTexts(of: mixed.model, segment: number, next: explanation?.nextSegment)
        }
        return report
    }

    /// The version of a model that a generation was scored with; nil where it has none.
    private func publishedModel<Model: Codable>(
        _ name: String, _ snapshot: ServingSnapshot
    ) throws(EngineError) -> ReadModel<Model>? {
        guard let reference = snapshot.models.first(where: { $0.name == name }) else { return nil }
        let entry = manifest.models.first {
            $0.name == name && $0.version == reference.version
                && $0.checksum == reference.checksum
        }
        guard let entry else {
            throw .noSnapshot(
                workspace: folder,
                what: "version \(reference.version) of \(name), which the published generation is "
                    + "of, is not there as it was: score and publish again")
        }
        let read = try ModelStore.read(Model.self, from: "\(folder)/\(entry.file)")
        return ReadModel(entry: entry, card: read.card, model: read.model, file: read.file)
    }

    /// One customer's features as of a generation's day, in a row of a table: from this customer's
    /// lines alone, or from the table of all customers where there are no lines.
    private func features(
        ofCustomer id: String, _ names: [String], _ snapshot: ServingSnapshot,
        _ surveyed: inout HistorySurvey?, threadCount: Int
    ) throws(EngineError) -> (table: FeatureTable, row: Int) {
        guard plan.sources.purchases != nil else {
            let table = try features(
                asOf: snapshot.asOf, keeping: Set(names), usesCache: false,
                threadCount: threadCount)
            let row = (0..<table.rowCount).first { table.customerIDs[$0].description == id }
            guard let row else {
                throw .unknownCustomer(id: id, reason: "no line of the customers has this id")
            }
            return (table, row)
        }
        let history = try segmentedHistory(threadCount: threadCount)
        guard let customer = history.customerID(id) else {
            throw .unknownCustomer(id: id, reason: "ids of customers are whole numbers here")
        }
        let wanted = Set(names)
        let survey =
            if let surveyed { surveyed } else {
                try keptSurvey(asOf: snapshot.asOf, threadCount: threadCount)
            }
        surveyed = survey
        let scan = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try FeatureScan(
                survey: survey.lines, categories: survey.categories, channels: survey.channels,
                asOf: snapshot.asOf, clock: plan.clock, grossMarginRate: plan.grossMarginRate,
                keeping: wanted.subtracting(PredictedFeatures.names))
        }
        let lines = try history.lines(ofCustomer: customer, .features, survey.texts)
        let rows = lines.map { scan.rows(of: $0) }
        guard let rows, rows.count == 1 else {
            if names.areOfAttributesAlone,
                let known = try features(ofCustomerWithoutLines: id, wanted, snapshot.asOf)
            {
                return known
            }
            let isKnown = lines.map { $0.customerCount > 0 } ?? false
            throw .unknownCustomer(
                id: id,
                reason: isKnown
                    ? "has no purchase line by \(snapshot.asOf)" : "no purchase line has this id")
        }
        let attributes = try customerAttributes(for: wanted)
        var table = try mapErrors(EngineError.features) { () throws(FeatureError) in
            try scan.table(of: rows, attributes: attributes, threadCount: 1)
        }
        if !wanted.isDisjoint(with: PredictedFeatures.names),
            let lifetime: ReadModel<LifetimeModels> = try publishedModel("lifetime", snapshot)
        {
            table.append(
                try predictions(wanted, by: lifetime.model, of: table, threadCount: 1))
        }
        table.append(missingAttributes(of: wanted, in: table))
        return (table, 0)
    }

    /// The attributes of all customers and the row of one; nil where there is no such one.
    private func features(
        ofCustomerWithoutLines id: String, _ names: Set<String>, _ asOf: CalendarDay
    ) throws(EngineError) -> (table: FeatureTable, row: Int)? {
        guard let attributes = try customerAttributes(for: names) else { return nil }
        let table = try customerTable(attributes, asOf: asOf, keeping: names)
        return (0..<table.rowCount).first { table.customerIDs[$0].description == id }
            .map { (table, $0) }
    }

    /// An attribute without a value has no column in the table of one customer. Where another value is
    /// there, a missing one is a 0 like that of all customers who have others.
    private func missingAttributes(
        of names: Set<String>, in table: FeatureTable
    ) -> [FeatureColumn] {
        var columns: [FeatureColumn] = []
        for name in names.sorted() where table.column(named: name) == nil {
            let attribute = plan.attributeNames.map { FeatureCatalog.attributePrefix + $0 }
                .first { name == $0 || name.hasPrefix($0 + ".") }
            guard let attribute else { continue }
            let hasOther = table.columns.contains { $0.name.hasPrefix(attribute + ".") }
            if hasOther { continue }
            columns.append(FeatureColumn(name: name, unit: .share, values: [0], valid: [false]))
        }
        return columns
    }
}

extension CategoryColumn {
    /// Nil where it is missing.
    fileprivate func name(ofRow row: Int) -> String? {
        codes[row] < 0 ? nil : categories[Int(codes[row])]
    }
}

extension CodedText {
    /// Nil where it is missing.
    fileprivate func text(ofRow row: Int) -> String? {
        codes[row] == Self.missing ? nil : values[Int(codes[row])]
    }
}

extension SegmentExplanationReport {
    /// Takes the most frequent texts of both segments.
    fileprivate mutating func takeTexts(
        of model: MixedSegmentationModel, segment: Int, next: Int?
    ) {
        let own = model.modes(of: segment)
        let others = next.map { model.modes(of: $0) }
        for (column, name) in model.categoryNames.enumerated() {
            guard let index = parts.firstIndex(where: { $0.feature == name }) else { continue }
            parts[index].segmentText = own[column]
            parts[index].nextText = others.flatMap { $0[column] }
        }
    }

    /// Takes what decides, largest first, and the means beside it.
    fileprivate mutating func take(
        _ explanation: SegmentExplanation?, _ profile: SegmentProfile?
    ) {
        if let explanation, !explanation.parts.isEmpty {
            let order = explanation.decisive(most: explanation.parts.count)
            let values = Dictionary(
                parts.map { ($0.feature, $0) }, uniquingKeysWith: { first, _ in first })
            parts = order.map { decided in
                var part = values[decided.column] ?? Part(feature: decided.column)
                (part.difference, part.share) = (decided.difference, decided.share)
                return part
            }
        }
        guard let profile else { return }
        let place = profile.ids.firstIndex(of: segment.id)
        let nextPlace = next.flatMap { next in profile.ids.firstIndex(of: next.id) }
        for index in parts.indices {
            let column = profile.features.numbers.first { $0.name == parts[index].feature }
            guard let column else { continue }
            parts[index].overallMean = column.mean
            parts[index].segmentMean = place.flatMap { column.segments[$0].mean }
            parts[index].nextMean = nextPlace.flatMap { column.segments[$0].mean }
        }
    }
}
