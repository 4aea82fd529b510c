import Features
import Ingest

extension Plan {
    /// The attributes that say where a customer is; nil where the plan maps none.
    package var places: (latitude: String, longitude: String)? {
        let attributes = sources.customers?.mapping.attributes ?? []
        guard let latitude = attributes.first(where: { $0.kind == .latitude })?.name,
            let longitude = attributes.first(where: { $0.kind == .longitude })?.name
        else { return nil }
        return (latitude, longitude)
    }

    package func segmentation(named name: String) -> Segmentation? {
        segmentations.first { $0.name == name }
    }

    /// Whether a segmentation is made of another one, or is it, through any number of others.
    func isMade(_ name: String, of other: String) -> Bool {
        var seen: Set<String> = []
        var open = [name]
        while let next = open.popLast() {
            if next == other { return true }
            guard seen.insert(next).inserted, let segmentation = segmentation(named: next) else {
                continue
            }
            open += segmentation.baseNames
        }
        return false
    }

    /// Every segmentation after those that it is made of, else in the order of their names.
    var layeredSegmentations: [Segmentation] {
        var result: [Segmentation] = []
        var rest = segmentations
        while !rest.isEmpty {
            let ready = rest.firstIndex { segmentation in
                !segmentation.baseNames.contains { base in rest.contains { $0.name == base } }
            }
            // The parser has refused circles.
            result.append(rest.remove(at: ready ?? 0))
        }
        return result
    }

    /// Whether a segmentation, or one that it is made of, wants the lifetime model first.
    func usesPredictions(_ segmentation: Segmentation) -> Bool {
        segmentations.contains { base in
            base.features.contains(where: PredictedFeatures.names.contains)
                && isMade(segmentation.name, of: base.name)
        }
    }

    // MARK: Features

    /// The features of a segmentation as its algorithm takes them, in the order of the plan: for
    /// k-prototypes texts as they are, each under its name with `FeatureCatalog.textPrefix`.
    func wantedFeatures(_ segmentation: Segmentation) -> [String] {
        guard segmentation.algorithm == .kPrototypes else { return segmentation.features }
        let attributes = sources.customers?.mapping.attributes ?? []
        func wanted(_ attribute: AttributeMapping) -> String {
            (attribute.kind == .text ? FeatureCatalog.textPrefix : FeatureCatalog.attributePrefix)
                + attribute.name
        }
        // A text that is named twice would weigh twice.
        var seen: Set<String> = []
        return segmentation.features.flatMap { (name) -> [String] in
            if name == "attributes" {
                let all = attributes.filter { $0.kind != .latitude && $0.kind != .longitude }
                return all.map(wanted)
                    + (places == nil
                        ? [] : [FeatureCatalog.attributePrefix + FeatureCatalog.coordinates])
            }
            let bare =
                name.hasPrefix(FeatureCatalog.attributePrefix)
                ? String(name.dropFirst(FeatureCatalog.attributePrefix.count)) : name
            let isAttribute = name != bare || !FeatureCatalog.knownNames.contains(name)
            guard isAttribute, let attribute = attributes.first(where: { $0.name == bare }) else {
                return [name]
            }
            return [wanted(attribute)]
        }.filter { seen.insert($0).inserted }
    }
}

extension Plan.Segmentation {
    /// The segmentations that it is made of.
    var baseNames: [String] { parts + (per.map { [$0] } ?? []) }
}
