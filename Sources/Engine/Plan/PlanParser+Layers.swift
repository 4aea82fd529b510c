import Features
import Ingest
import Models

/// A segmentation that names another one which it is made of.
struct LayerReference {
    let segmentation: String
    let base: String
    /// The setting: `segmentations.micro.of`.
    let name: String
    let position: PlanReader.Position
}

extension PlanParser {
    // MARK: Segmentations of segmentations

    /// What a segmentation is made of, besides features.
    mutating func parseLayer(
        of section: PlanReader.Section, _ algorithm: Plan.SegmentationAlgorithm,
        into segmentation: inout Plan.Segmentation
    ) {
        if algorithm == .join { segmentation.parts = parseParts(of: section, segmentation.name) }
        guard algorithm.isOfClusters, let setting = section["per"],
            let base = reader.text(setting)
        else { return }
        segmentation.per = base
        layerReferences.append(
            LayerReference(
                segmentation: segmentation.name, base: base, name: setting.name,
                position: setting.position))
    }

    private mutating func parseParts(
        of section: PlanReader.Section, _ segmentation: String
    ) -> [String] {
        guard let setting = section["of"] else {
            reader.missing(
                "of", in: section,
                hint: "name the segmentations to join, such as [stage, value]")
            return []
        }
        var parts: [String] = []
        let limit = PlanLimits.joinedSegmentationCount
        for entry in reader.texts(setting, limit: limit) ?? [] {
            if parts.contains(entry.text) {
                reader.report(
                    .contradiction, at: entry.position,
                    "`\(entry.text)` is listed twice in \(setting.name)", hint: "keep one of them")
                continue
            }
            parts.append(entry.text)
            layerReferences.append(
                LayerReference(
                    segmentation: segmentation, base: entry.text, name: setting.name,
                    position: entry.position))
        }
        if parts.count < 2 {
            reader.report(
                .missing, at: setting.position,
                "\(setting.name) names fewer than two segmentations",
                hint: "name the segmentations to join, such as [stage, value]")
        }
        return parts
    }

    /// Names that are none, and segmentations that are made of themselves.
    mutating func checkLayers(of plan: Plan) {
        let names = segmentationNames
        for reference in layerReferences where !names.contains(reference.base) {
            reader.report(
                .unknownValue, at: reference.position,
                "\(reference.name): the plan has no segmentation `\(reference.base)`",
                hint: reader.suggestion(for: reference.base, among: names))
        }
        for reference in layerReferences
        where plan.isMade(reference.base, of: reference.segmentation) {
            reader.report(
                .contradiction, at: reference.position,
                reference.base == reference.segmentation
                    ? "\(reference.name): `\(reference.base)` is made of itself"
                    : "\(reference.name): `\(reference.base)` is itself made of "
                        + "`\(reference.segmentation)`",
                hint: "segmentations are fitted one after the other: break the circle")
        }
    }

    // MARK: k-prototypes

    mutating func parsePrototypes(of section: PlanReader.Section) -> Plan.PrototypeSettings {
        var settings = Plan.PrototypeSettings()
        if let setting = section["gamma"], reader.text(setting) != "auto" {
            settings.gamma = reader.number(
                setting, in: 0...KPrototypes.largestGamma, aboveLower: true)
        }
        return settings
    }

    // MARK: Attributes

    /// The levels of an ordinal attribute, lowest first.
    mutating func parseLevels(_ setting: PlanReader.Setting?, isOrdinal: Bool) -> [String]? {
        guard let setting else { return nil }
        guard isOrdinal else {
            reader.report(
                .contradiction, at: setting.position, "\(setting.name) is for type: ordinal only")
            return nil
        }
        guard let listed = reader.texts(setting, limit: PlanLimits.levelCount) else { return nil }
        var levels: [String] = []
        for entry in listed {
            if levels.contains(entry.text) {
                reader.report(
                    .contradiction, at: entry.position,
                    "`\(entry.text)` is listed twice in \(setting.name)", hint: "keep one of them")
            } else {
                levels.append(entry.text)
            }
        }
        guard levels.count >= 2 else {
            reader.report(
                .missing, at: setting.position, "\(setting.name) needs at least two levels",
                hint: "list all values, the lowest first, such as [low, mid, high]")
            return nil
        }
        return levels
    }

    /// A latitude and a longitude make a place: one of each, or none.
    mutating func checkPlaces(
        _ attributes: [AttributeMapping], _ entries: [PlanReader.Setting],
        at setting: PlanReader.Setting
    ) {
        let north = attributes.filter { $0.kind == .latitude }
        let east = attributes.filter { $0.kind == .longitude }
        if north.isEmpty && east.isEmpty { return }
        if north.count != 1 || east.count != 1 {
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name) has \(north.count) of type latitude and \(east.count) of type "
                    + "longitude",
                hint: "a place has one of each; others are of type number")
        }
        if let entry = entries.first(where: { $0.key == FeatureCatalog.coordinates }) {
            reader.report(
                .contradiction, at: entry.position,
                "`\(entry.key)` cannot name an attribute beside a latitude and a longitude",
                hint: "it is what they make together: give it another name, and name its column")
        }
    }

    // MARK: Customers without purchases

    /// Whether a feature may be an attribute, one of its values or a group of them.
    func mayBeAttribute(_ name: String, _ attributeNames: [String]) -> Bool {
        FeatureCatalog.mayBeAttribute(name) || attributeNames.contains(name)
    }

    /// What is made of purchases, where there are none.
    mutating func checkModelsWithoutPurchases(of top: PlanReader.Section) {
        guard !hasPurchases else { return }
        for key in ["lifetime", "churn", "simpleFormula", "affinity"] {
            guard let setting = top[key] else { continue }
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name) needs purchases, and the plan has no sources.purchases",
                hint: "map them, or leave it out")
        }
    }
}
