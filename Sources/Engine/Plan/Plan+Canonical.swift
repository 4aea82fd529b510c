import ByteCoding
import Ingest

extension Plan {
    /// All settings, defaults included, as one fixed YAML text: equal plans give equal bytes, and
    /// parsing it gives the plan back.
    package var canonicalText: String {
        var writer = CanonicalWriter()
        writer.line(0, "version", String(version))
        writer.line(0, "currency", quoted(currency))
        writer.line(0, "timeZone", quoted(timeZone))
        writer.line(0, "timeGrid", timeGrid.rawValue)
        writer.line(0, "seed", String(seed))
        if let asOf { writer.line(0, "asOf", asOf.description) }
        writer.line(0, "grossMarginRate", String(grossMarginRate))
        writer.line(0, "annualDiscountRate", String(discountRate.annual))
        writer.open(0, "sources")
        if let purchases = sources.purchases { writer.add(purchases: purchases) }
        if let customers = sources.customers { writer.add("customers", customers) }
        if let products = sources.products { writer.add("products", products) }
        if segmentations.isEmpty {
            writer.line(0, "segmentations", "{}")
        } else {
            writer.open(0, "segmentations")
            for segmentation in segmentations {
                writer.add(segmentation)
                writer.add(names: segmentation.names)
            }
        }
        // Without purchases no other models are fitted.
        if sources.purchases == nil { return writer.text }
        writer.open(0, "lifetime")
        writer.line(1, "model", lifetime.model.rawValue)
        writer.line(1, "horizon", lifetime.horizon.description)
        writer.line(1, "basis", lifetime.basis.rawValue)
        // Plans without covariates keep the names that they had before there were any.
        if !lifetime.covariates.isEmpty {
            writer.line(1, "covariates", writer.list(lifetime.covariates))
        }
        writer.open(0, "churn")
        writer.line(1, "horizon", churn.horizon.description)
        // Plans without a learned model keep the names that they had before there was one.
        if churn.model.isLearned {
            writer.line(1, "model", churn.model.rawValue)
            writer.line(1, "features", writer.list(churn.features))
            writer.line(1, "calibration", churn.calibration.rawValue)
            writer.line(1, "reasonCount", String(churn.reasonCount))
        }
        if let months = simpleFormula.durationMonths {
            writer.open(0, "simpleFormula")
            writer.line(1, "durationMonths", String(months))
        }
        writer.open(0, "affinity")
        writer.line(1, "factorCount", String(affinity.factorCount))
        writer.line(1, "regularization", String(affinity.regularization))
        writer.line(1, "confidenceWeight", String(affinity.confidenceWeight))
        writer.line(1, "iterations", String(affinity.iterations))
        writer.line(1, "topProductCount", String(affinity.topProductCount))
        writer.line(1, "excludePurchased", String(affinity.excludePurchased))
        // Plans of what there was before there were variants keep their names.
        if affinity.variant != .factors {
            writer.line(1, "variant", affinity.variant.rawValue)
        }
        // The same of plans without scaled regularization.
        if affinity.regularizationExponent != 0 {
            writer.line(
                1, "regularizationExponent", String(affinity.regularizationExponent))
        }
        if affinity.horizon != Plan.Affinity.defaultHorizon {
            writer.line(1, "horizon", affinity.horizon.description)
        }
        return writer.text
    }

    /// 16 hexadecimal digits of `canonicalText` without the names of segments, which change no model:
    /// the plan's name in model cards. Not a protection against forgery.
    package var hash: String {
        var plan = self
        for index in plan.segmentations.indices { plan.segmentations[index].names = [:] }
        let digits = String(StableHash.hash(plan.canonicalText.utf8), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Lines of `key: value`, two blanks a level.
private struct CanonicalWriter {
    private(set) var text = ""

    mutating func open(_ level: Int, _ key: String) {
        text += String(repeating: "  ", count: level) + key + ":\n"
    }

    mutating func line(_ level: Int, _ key: String, _ value: String) {
        text += String(repeating: "  ", count: level) + key + ": " + value + "\n"
    }

    mutating func add(purchases source: Plan.PurchaseSource) {
        open(1, "purchases")
        add(files: source.files, format: source.mapping.format)
        let mapping = source.mapping
        open(2, "columns")
        line(3, "customerID", id(mapping.customerID))
        let time = column(mapping.time.column)
        line(3, "time", "{column: \(time), format: \(mapping.time.format.rawValue)}")
        switch mapping.amount {
        case .amount(let reference):
            line(3, "amount", column(reference))
            if let quantity = mapping.quantity { line(3, "quantity", column(quantity)) }
        case .quantityTimesPrice(let quantity, let unitPrice):
            line(3, "quantity", column(quantity))
            line(3, "unitPrice", column(unitPrice))
        }
        switch mapping.margin {
        case .margin(let reference): line(3, "margin", column(reference))
        case .cost(let reference): line(3, "cost", column(reference))
        case nil: break
        }
        for (key, reference) in [
            ("orderID", mapping.orderID), ("product", mapping.product),
            ("category", mapping.category), ("promotion", mapping.promotion),
            ("channel", mapping.channel),
        ] {
            if let reference { line(3, key, column(reference)) }
        }
    }

    mutating func add(_ name: String, _ source: Plan.EntitySource) {
        open(1, name)
        add(files: source.files, format: source.mapping.format)
        line(2, "id", source.mapping.id.map(id) ?? "{type: lineNumber}")
        guard !source.mapping.attributes.isEmpty else { return }
        open(2, "attributes")
        for attribute in source.mapping.attributes {
            let kind =
                switch attribute.kind {
                case .latitude: "latitude"
                case .longitude: "longitude"
                case .number: "number"
                case .ordinal(let levels): "ordinal, levels: " + list(levels)
                case .text: "text"
                case .set(let separator):
                    "set, separator: " + quoted(String(Unicode.Scalar(separator)))
                }
            let reference = column(attribute.column)
            line(3, quoted(attribute.name), "{column: \(reference), type: \(kind)}")
        }
    }

    /// Nothing for none: plans without names keep their text.
    mutating func add(names: [Int: String]) {
        guard !names.isEmpty else { return }
        open(2, "names")
        for (id, name) in names.sorted(by: { $0.key < $1.key }) { line(3, "\(id)", quoted(name)) }
    }

    mutating func add(_ segmentation: Plan.Segmentation) {
        open(1, segmentation.name)
        if let rules = segmentation.rules {
            line(2, "algorithm", segmentation.algorithm.rawValue)
            switch rules {
            case .lifecycle(let stages):
                line(2, "newDays", String(stages.newDays))
                line(2, "activeDays", String(stages.activeDays))
                line(2, "lapsedDays", String(stages.lapsedDays))
                return
            case .quadrants(let cuts):
                line(2, "features", list(segmentation.features))
                if let cuts { line(2, "leastHighValues", "[\(cuts[0]), \(cuts[1])]") }
            case .rfm(let levelCount):
                line(2, "features", list(segmentation.features))
                line(2, "levelCount", String(levelCount))
            }
            return
        }
        guard segmentation.parts.isEmpty else {
            line(2, "algorithm", segmentation.algorithm.rawValue)
            line(2, "of", list(segmentation.parts))
            return
        }
        if let prototypes = segmentation.prototypes {
            line(2, "algorithm", segmentation.algorithm.rawValue)
            if let gamma = prototypes.gamma { line(2, "gamma", String(gamma)) }
        }
        if let per = segmentation.per { line(2, "per", quoted(per)) }
        line(2, "features", list(segmentation.features))
        switch segmentation.clusterCount {
        case .fixed(let count):
            line(2, "clusterCount", String(count))
        case .automatic(let range):
            let criterion = range.criterion.rawValue
            line(
                2, "clusterCount",
                "{from: \(range.from), to: \(range.to), criterion: \(criterion)}")
        }
        line(2, "scaling", segmentation.scaling.rawValue)
        line(2, "restarts", String(segmentation.restarts))
        line(2, "maximumIterations", String(segmentation.maximumIterations))
    }

    private mutating func add(files: [String], format: TextFormat) {
        line(2, "files", list(files))
        line(2, "delimiter", format.delimiter.rawValue)
        line(2, "header", String(format.hasHeader))
        line(2, "decimalSign", quoted(format.decimalSign.rawValue))
        line(2, "maximumRejectShare", String(format.maximumRejectShare))
        line(2, "setAside", list(format.setAside.map(\.rawValue).sorted()))
    }

    private func id(_ reference: IDReference) -> String {
        "{column: \(column(reference.column)), type: \(reference.kind.rawValue)}"
    }

    private func column(_ reference: ColumnReference) -> String {
        switch reference {
        case .name(let name): quoted(name)
        case .number(let number): String(number)
        }
    }

    func list(_ texts: [String]) -> String {
        "[" + texts.map(quoted).joined(separator: ", ") + "]"
    }
}

/// A double-quoted YAML scalar, pure ASCII: YAML takes some characters beyond it for line breaks.
private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case " "..."~": result.unicodeScalars.append(scalar)
        default:
            let digits = String(scalar.value, radix: 16)
            result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
        }
    }
    return result + "\""
}
