import ByteCoding
import Features
import Models

/// Segmentations that need no purchases are of everybody known: of customers with purchase lines and
/// of those who stand in the table of customers alone. All others are of customers with lines.
extension Segmenter {
    /// Whether it needs no purchases: it and all that it is made of read attributes alone.
    /// - Parameter base: whether one of `bases` needs none.
    func isOfAttributes(with base: (ModelReference) -> Bool) -> Bool {
        guard bases.allSatisfy(base) else { return false }
        return featureNames.isEmpty ? !bases.isEmpty : featureNames.areOfAttributesAlone
    }
}

extension ModelFitting {
    func isOfAttributes(_ segmenter: Segmenter) -> Bool {
        segmenter.isOfAttributes { bases[$0.name]?.numbersOfAll != nil }
    }

    /// The fitting of a segmentation on everybody known; nil where it needs purchases, or nobody is
    /// known without.
    func ofAllKnown(_ settings: Plan.Segmentation) throws(EngineError) -> ModelFitting? {
        guard let known,
            settings.baseNames.allSatisfy({
                bases["segmentation.\($0)"]?.numbersOfAll != nil
            })
        else { return nil }
        // As for eligibility: what the data have decides, not what the plan wants.
        var features: [String] = []
        for feature in plan.wantedFeatures(settings) {
            if feature.isOfAttributes {
                features.append(feature)
            } else if try !selection(of: [feature]).columnIndices.isEmpty {
                return nil
            }
        }
        guard settings.algorithm == .join || !features.isEmpty else { return nil }
        var fitting = self
        fitting.table = known.table
        fitting.known = nil
        fitting.bases = bases.compactMapValues { base in
            base.numbersOfAll.map { numbers in
                SegmentBase(
                    reference: base.reference, segmenter: base.segmenter,
                    segmentNames: base.segmentNames, segmentIDs: base.segmentIDs,
                    numbers: numbers, numbersOfAll: numbers)
            }
        }
        return fitting
    }
}

extension Plan {
    /// The features and groups of some of the segmentations.
    /// - Parameter models: their names.
    func wantedFeatures(_ models: [String]) -> Set<String> {
        Set(
            segmentations.filter { models.contains("segmentation.\($0.name)") }
                .flatMap(wantedFeatures))
    }
}

extension Workspace {
    /// Customers with lines and those of whom attributes alone are known.
    /// - Parameters:
    ///   - table: of the customers with lines.
    ///   - names: features and groups of segmentations.
    /// - Returns: nil where there is nobody else, or no attribute among the names.
    func knownCustomers(
        beside table: FeatureTable, keeping names: Set<String>
    ) throws(EngineError) -> KnownCustomers? {
        guard plan.sources.purchases != nil,
            let attributes = try customerAttributes(for: names)
        else { return nil }
        return try mapErrors(EngineError.features) { () throws(FeatureError) in
            try KnownCustomers(table, and: attributes, keeping: names)
        }
    }

    /// The features of the latest segmentations that need no purchases.
    func featureNamesOfAttributes() throws(EngineError) -> Set<String> {
        var names: Set<String> = []
        var known: Set<ModelReference> = []
        for segmentation in plan.layeredSegmentations {
            let versions = manifest.models.filter { $0.name == "segmentation.\(segmentation.name)" }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            let segmenter = try ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)"
            ).model.segmenter
            guard segmenter.isOfAttributes(with: known.contains) else { continue }
            known.insert(ModelReference(latest))
            names.formUnion(segmenter.featureNames)
        }
        return names
    }
}

extension ScoreColumn {
    /// The column of a larger table.
    /// - Parameter sources: rows of this one, -1 for a customer without a value.
    func spread(_ sources: [Int]) -> ScoreColumn {
        var column = self
        switch values {
        case .int32(let own): column.values = .int32(sources.map { $0 < 0 ? 0 : own[$0] })
        case .float32(let own): column.values = .float32(sources.map { $0 < 0 ? 0 : own[$0] })
        case .float64(let own): column.values = .float64(sources.map { $0 < 0 ? 0 : own[$0] })
        }
        column.valid = sources.map { $0 >= 0 && valid?[$0] ?? true }
        return column
    }
}
