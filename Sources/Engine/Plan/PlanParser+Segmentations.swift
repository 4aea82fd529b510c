import Features
import Ingest
import Models

extension PlanParser {
    mutating func parseSegmentations(
        of top: PlanReader.Section, into plan: inout Plan
    ) {
        guard let setting = top["segmentations"] else {
            if !hasPurchases {
                reader.missing(
                    "segmentations", in: top,
                    hint: "without purchases there are no default ones: name one, such as "
                        + "{groups: {features: [attributes]}}")
            }
            return
        }
        let named = reader.namedSettings(setting, limit: PlanLimits.segmentationCount)
        segmentationNames = named.map(\.key)
        plan.segmentations = named.compactMap { entry in
            parseSegmentation(entry, attributeNames: plan.attributeNames)
        }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private static let clusterKeys = ["clusterCount", "scaling", "restarts", "maximumIterations"]

    /// The settings that belong to some algorithms alone.
    private static func keys(_ algorithm: Plan.SegmentationAlgorithm) -> [String] {
        switch algorithm {
        case .join: ["of"]
        case .kMeans: clusterKeys + ["per"]
        case .kPrototypes: clusterKeys + ["per", "gamma"]
        case .lifecycle: ["newDays", "activeDays", "lapsedDays"]
        case .quadrants: ["leastHighValues"]
        case .rfm: ["levelCount"]
        }
    }

    private mutating func parseSegmentation(
        _ entry: PlanReader.Setting, attributeNames: [String]
    ) -> Plan.Segmentation? {
        // `tier` is the name of the levels of value in the same lists.
        guard isName(entry.key), entry.key != "tier" else {
            reader.report(
                .unknownValue, at: entry.position,
                "`\(entry.key)` cannot name a segmentation",
                hint: entry.key == "tier"
                    ? "tiers of value have this name; choose another one"
                    : "use a letter, then up to 63 letters, digits, - or _")
            return nil
        }
        let all = Plan.SegmentationAlgorithm.allCases
        guard
            let section = reader.section(
                entry, keys: ["algorithm", "features", "names"] + all.flatMap(Self.keys))
        else { return nil }
        let chosen = reader.choice(section["algorithm"], of: Plan.SegmentationAlgorithm.self)
        if section["algorithm"] != nil, chosen == nil { return nil }
        let algorithm = chosen ?? .kMeans
        var told = Set(Self.keys(algorithm))
        for other in all where other != algorithm {
            for key in Self.keys(other) where told.insert(key).inserted {
                guard let setting = section[key] else { continue }
                reader.report(
                    .contradiction, at: setting.position,
                    "\(setting.name) is for the algorithm \(other.rawValue), not for "
                        + algorithm.rawValue,
                    hint: "leave it out, or set algorithm: \(other.rawValue)")
            }
        }
        var segmentation = Plan.Segmentation(name: entry.key, features: [])
        segmentation.names = parseSegmentNames(section["names"])
        parseClusters(of: section, into: &segmentation)
        parseLayer(of: section, algorithm, into: &segmentation)
        switch algorithm {
        case .join, .kMeans: break
        case .kPrototypes: segmentation.prototypes = parsePrototypes(of: section)
        case .lifecycle:
            segmentation.rules = parseStages(of: section).map(Plan.SegmentRules.lifecycle)
        case .quadrants: segmentation.rules = .quadrants(parseCuts(section["leastHighValues"]))
        case .rfm:
            let count = reader.integer(section["levelCount"], in: RFMGrid.levelCounts)
            segmentation.rules = .rfm(levelCount: count ?? 5)
        }
        guard let features = parseFeatures(of: section, entry, algorithm, attributeNames) else {
            return nil
        }
        segmentation.features = features
        return segmentation
    }

    private mutating func parseClusters(
        of section: PlanReader.Section, into segmentation: inout Plan.Segmentation
    ) {
        if let count = parseClusterCount(section["clusterCount"]) {
            segmentation.clusterCount = count
        }
        if let scaling = reader.choice(section["scaling"], of: Plan.Scaling.self) {
            segmentation.scaling = scaling
        }
        if let restarts = reader.integer(section["restarts"], in: PlanLimits.restarts) {
            segmentation.restarts = restarts
        }
        if let count = reader.integer(
            section["maximumIterations"], in: PlanLimits.maximumIterations)
        {
            segmentation.maximumIterations = count
        }
    }

    private mutating func parseStages(of section: PlanReader.Section) -> LifecycleStages? {
        let range = LifecycleStages.dayCounts
        let new = reader.integer(section["newDays"], in: range)
        let active = reader.integer(section["activeDays"], in: range)
        let lapsed = reader.integer(section["lapsedDays"], in: range)
        do throws(ModelError) {
            return try LifecycleStages(
                newDays: new ?? 90, activeDays: active ?? 90, lapsedDays: lapsed ?? 365)
        } catch {
            reader.report(
                .contradiction, at: section["lapsedDays"]?.position ?? section.position,
                "\(section.name): \(error)",
                hint: "who is active for 90 days may have lapsed after 365")
            return nil
        }
    }

    private mutating func parseCuts(_ setting: PlanReader.Setting?) -> [Double]? {
        guard let setting, let listed = reader.texts(setting, limit: 2) else { return nil }
        let cuts = listed.compactMap { Double($0.text) }.filter { Float($0).isFinite }
        guard cuts.count == 2, listed.count == 2 else {
            reader.report(
                .wrongType, at: setting.position, "\(setting.name) needs two numbers",
                hint: "write the least value that counts as high for each feature, as [100, 2.5]")
            return nil
        }
        return cuts
    }

    /// Features as the algorithm wants them; nil where they are missing or not to be made out.
    private mutating func parseFeatures(
        of section: PlanReader.Section, _ entry: PlanReader.Setting,
        _ algorithm: Plan.SegmentationAlgorithm, _ attributeNames: [String]
    ) -> [String]? {
        guard let setting = section["features"] else {
            if !hasPurchases, algorithm == .lifecycle || algorithm == .rfm {
                reader.report(
                    .contradiction, at: entry.position,
                    "\(entry.name): \(algorithm.rawValue) is of purchases, and the plan has no "
                        + "sources.purchases",
                    hint: "map them, or name attributes and another algorithm")
                return nil
            }
            switch algorithm {
            case .join: return []
            case .lifecycle: return LifecycleStages.featureNames
            case .rfm: return RFMGrid.defaultFeatures
            case .kMeans, .kPrototypes, .quadrants:
                reader.report(
                    .missing, at: entry.position, "\(entry.name).features is missing",
                    hint: "list features or groups, such as [revenue365Days, hourShares]")
                return nil
            }
        }
        if algorithm == .lifecycle || algorithm == .join {
            reader.report(
                .contradiction, at: setting.position,
                algorithm == .join
                    ? "\(setting.name): a join is of segmentations, not of features"
                    : "\(setting.name): stages are told by days alone",
                hint: "leave the features out")
            return nil
        }
        guard
            let features = parseFeatures(setting, of: entry.name, attributeNames: attributeNames)
        else { return nil }
        let wanted = [.rfm: 3, .quadrants: 2][algorithm]
        if let wanted, features.count != wanted {
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name) has \(features.count) features, \(algorithm.rawValue) takes "
                    + "\(wanted)",
                hint: algorithm == .rfm
                    ? "name days since the last order, a frequency and an amount"
                    : "name two, such as [margin365Days, predictedLifetimeValue]")
            return nil
        }
        let isGroup = { (name: String) in
            FeatureCatalog.fixedGroups[name] != nil || FeatureCatalog.dataGroups.contains(name)
                || name == FeatureCatalog.coordinates && attributeNames.contains(name)
        }
        if wanted != nil, let group = features.first(where: isGroup) {
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name): `\(group)` is a group of features",
                hint: "\(algorithm.rawValue) takes single ones: name one of its members")
            return nil
        }
        return features
    }

    /// Names of features, groups or attributes, each once.
    mutating func parseFeatures(
        _ setting: PlanReader.Setting?, of name: String, attributeNames: [String]
    ) -> [String]? {
        guard let setting, let listed = reader.texts(setting, limit: PlanLimits.featureCount)
        else { return nil }
        if listed.isEmpty {
            reader.report(.missing, at: setting.position, "\(setting.name) is an empty list")
        }
        var features: [String] = []
        for feature in listed {
            check(feature, of: name, attributeNames: attributeNames)
            if features.contains(feature.text) {
                reader.report(
                    .contradiction, at: feature.position,
                    "`\(feature.text)` is listed twice in \(setting.name)",
                    hint: "keep one of them")
            } else {
                features.append(feature.text)
            }
        }
        return features
    }

    /// A number, `auto`, or a mapping that says more about the choice.
    private mutating func parseClusterCount(_ setting: PlanReader.Setting?) -> Plan.ClusterCount? {
        guard let setting else { return nil }
        guard let scalar = setting.value.scalar else {
            return parseClusterCountRange(setting).map(Plan.ClusterCount.automatic)
        }
        if scalar.string == "auto" { return .automatic(Plan.ClusterCountRange()) }
        if reader.isPlain(setting.value), Int(scalar.string) == nil {
            reader.report(
                .wrongType, at: PlanReader.Position(setting.value.mark),
                "\(setting.name) needs a whole number or `auto`, found `\(scalar.string)`",
                hint: "write a number, auto, or {from: 2, to: 12}")
            return nil
        }
        return reader.integer(setting, in: PlanLimits.clusterCount).map(Plan.ClusterCount.fixed)
    }

    private mutating func parseClusterCountRange(
        _ setting: PlanReader.Setting
    ) -> Plan.ClusterCountRange? {
        guard let section = reader.section(setting, keys: ["from", "to", "criterion"]) else {
            return nil
        }
        var range = Plan.ClusterCountRange()
        let from = reader.integer(section["from"], in: PlanLimits.automaticClusterCount)
        let to = reader.integer(section["to"], in: PlanLimits.automaticClusterCount)
        if let from { range.from = from }
        // Without an upper end the choice is as wide as the default one.
        range.to = to ?? min(range.from + 10, PlanLimits.automaticClusterCount.upperBound)
        if let criterion = reader.choice(
            section["criterion"], of: Plan.ClusterCountCriterion.self)
        {
            range.criterion = criterion
        }
        if range.to < range.from {
            reader.report(
                .contradiction, at: section["to"]?.position ?? setting.position,
                "\(setting.name) goes from \(range.from) to \(range.to)",
                hint: "`to` must not be below `from`")
        } else if range.to - range.from >= PlanLimits.clusterCountTrials {
            reader.report(
                .outOfRange, at: section["to"]?.position ?? setting.position,
                "\(setting.name) tries \(range.to - range.from + 1) numbers of segments",
                hint: "allowed: up to \(PlanLimits.clusterCountTrials); each costs a fit")
        }
        return range
    }

    private mutating func check(
        _ feature: (text: String, position: PlanReader.Position), of name: String,
        attributeNames: [String]
    ) {
        let isPredicted = PredictedFeatures.names.contains(feature.text)
        if !hasPurchases, isPredicted || !mayBeAttribute(feature.text, attributeNames) {
            reader.report(
                .contradiction, at: feature.position,
                "`\(feature.text)` is made of purchases, and the plan has no sources.purchases",
                hint: attributeNames.isEmpty
                    ? "map attributes under sources.customers.attributes"
                    : "name attributes: \(attributeNames.prefix(20).joined(separator: ", "))")
            return
        }
        if FeatureCatalog.mayExist(feature.text, attributeNames: attributeNames) { return }
        if isPredicted, name != "churn" { return }
        reader.report(
            .unknownValue, at: feature.position,
            "there is no feature or group `\(feature.text)` for \(name)",
            hint: isPredicted
                ? "it is a prediction, which a churn model cannot learn from"
                : reader.suggestion(
                    for: feature.text,
                    among: FeatureCatalog.knownNames + PredictedFeatures.names + attributeNames))
    }

    private func isName(_ text: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool {
            (97...122).contains(byte) || (65...90).contains(byte)
        }
        guard let first = text.utf8.first, isLetter(first), text.utf8.count <= 64 else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            isLetter(byte) || (48...57).contains(byte) || byte == UInt8(ascii: "_")
                || byte == UInt8(ascii: "-")
        }
    }
}
