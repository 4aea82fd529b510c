extension PlanParser {
    mutating func parseAffinity(
        of top: PlanReader.Section, into affinity: inout Plan.Affinity
    ) {
        let keys = [
            "variant", "factorCount", "regularization", "regularizationExponent",
            "confidenceWeight", "iterations", "topProductCount", "excludePurchased", "horizon",
        ]
        guard let section = reader.section(top["affinity"], keys: keys) else { return }
        if let variant = reader.choice(section["variant"], of: Plan.AffinityVariant.self) {
            affinity.variant = variant
            // A list of what is bought again without what was bought would be empty of it.
            affinity.excludePurchased = !variant.readsBaskets
        }
        if let count = reader.integer(section["factorCount"], in: PlanLimits.factorCount) {
            affinity.factorCount = count
        }
        if let value = reader.number(section["regularization"], in: 0...1e6) {
            affinity.regularization = value
        }
        if let value = reader.number(section["regularizationExponent"], in: 0...1) {
            affinity.regularizationExponent = value
        }
        if let value = reader.number(section["confidenceWeight"], in: 0...1e6) {
            affinity.confidenceWeight = value
        }
        if let count = reader.integer(section["iterations"], in: PlanLimits.affinityIterations) {
            affinity.iterations = count
        }
        if let count = reader.integer(section["topProductCount"], in: PlanLimits.topProductCount) {
            affinity.topProductCount = count
        }
        if let exclude = reader.bool(section["excludePurchased"]) {
            affinity.excludePurchased = exclude
        }
        if let horizon = reader.horizon(section["horizon"]) { affinity.horizon = horizon }
        reportContradictions(of: section, affinity)
    }

    private mutating func reportContradictions(
        of section: PlanReader.Section, _ affinity: Plan.Affinity
    ) {
        if affinity.variant == .repeatPurchase, affinity.excludePurchased,
            let setting = section["excludePurchased"]
        {
            reader.report(
                .contradiction, at: setting.position,
                "affinity.excludePurchased leaves out all that the variant repeatPurchase ranks",
                hint: "leave it out, or set affinity.variant to factors or hybrid")
        }
        guard !affinity.variant.hasFactors else {
            // Rows of the other side count by 1 / confidenceWeight.
            if affinity.regularizationExponent > 0, affinity.confidenceWeight == 0,
                let setting = section["regularizationExponent"]
            {
                reader.report(
                    .contradiction, at: setting.position,
                    "\(setting.name) needs an affinity.confidenceWeight above 0",
                    hint: "without confidence no product counts more than another: leave it out")
            }
            return
        }
        for key in [
            "factorCount", "regularization", "regularizationExponent", "confidenceWeight",
            "iterations",
        ] {
            guard let setting = section[key] else { continue }
            // The canonical text has all settings: their defaults contradict nothing.
            if isDefault(key, affinity) { continue }
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name) is for factors, but affinity.variant is "
                    + affinity.variant.rawValue,
                hint: "set affinity.variant to factors or hybrid, or leave it out")
        }
    }

    private func isDefault(_ key: String, _ affinity: Plan.Affinity) -> Bool {
        let defaults = Plan.Affinity()
        return switch key {
        case "factorCount": affinity.factorCount == defaults.factorCount
        case "regularization": affinity.regularization == defaults.regularization
        case "regularizationExponent":
            affinity.regularizationExponent == defaults.regularizationExponent
        case "confidenceWeight": affinity.confidenceWeight == defaults.confidenceWeight
        default: affinity.iterations == defaults.iterations
        }
    }
}
