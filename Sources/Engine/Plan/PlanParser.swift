import ByteCoding
import Features
import Ingest
import Models
import Units
import Yams

extension Plan {
    /// Reads a plan and checks it as a whole.
    /// - Parameters:
    ///   - text: YAML 1.1, at most `PlanLimits.byteCount` bytes.
    ///   - path: names the file in errors; nothing is read from it.
    /// - Throws: all problems found, in the order of their lines.
    package init(parsing text: String, path: String) throws(PlanError) {
        var parser = PlanParser()
        let plan = parser.parse(text)
        if let error = parser.reader.error(path: path) { throw error }
        guard let plan else { throw PlanError(path: path, problems: []) }
        self = plan
    }
}

/// Fills a `Plan` from YAML, section by section.
struct PlanParser {
    var reader = PlanReader()
    /// Whether the plan reads purchases, of which most features and models are.
    var hasPurchases = true
    /// Where segmentations name others that they are made of.
    var layerReferences: [LayerReference] = []
    /// Names of all segmentations, of those with problems too.
    var segmentationNames: [String] = []

    /// Nil where the sources cannot be made out at all; otherwise the plan is to be used only if
    /// the reader has no problems.
    mutating func parse(_ text: String) -> Plan? {
        let hint = "it needs at least sources.purchases.columns, or sources.customers"
        guard let root = reader.compose(text, emptyHint: hint) else { return nil }
        let keys = [
            "version", "currency", "timeZone", "timeGrid", "seed", "asOf", "grossMarginRate",
            "annualDiscountRate", "sources", "segmentations", "lifetime", "churn", "simpleFormula",
            "affinity",
        ]
        guard let top = reader.section(root, name: "", keys: keys) else { return nil }
        let sources = parseSources(in: top)
        var plan = sources.map { Plan(sources: $0) } ?? Self.placeholder
        hasPurchases = plan.sources.purchases != nil
        parseBasics(of: top, into: &plan)
        parseSegmentations(of: top, into: &plan)
        checkLayers(of: plan)
        checkModelsWithoutPurchases(of: top)
        parseModels(of: top, into: &plan)
        return sources == nil ? nil : plan
    }

    /// Takes the place of a plan without usable sources, so that the other sections are checked.
    private static let placeholder = Plan(
        sources: Plan.Sources(
            purchases: Plan.PurchaseSource(
                files: [],
                mapping: PurchaseMapping(
                    customerID: IDReference(.number(1)), time: TimeReference(.number(2)),
                    amount: .amount(.number(3))))))

    // MARK: Basics

    private mutating func parseBasics(of top: PlanReader.Section, into plan: inout Plan) {
        if let version = reader.integer(top["version"], in: 1...1) { plan.version = version }
        if let setting = top["currency"], let code = reader.text(setting) {
            if code.utf8.count == 3, code.utf8.allSatisfy({ (65...90).contains($0) }) {
                plan.currency = code
            } else {
                reader.report(
                    .unknownValue, at: PlanReader.Position(setting.value.mark),
                    "currency cannot be `\(code)`",
                    hint: "write the three capitals of ISO 4217, such as EUR")
            }
        }
        if let setting = top["timeZone"], let name = reader.text(setting) {
            if LocalClock(timeZoneName: name) != nil {
                plan.timeZone = name
            } else {
                reader.report(
                    .unknownValue, at: PlanReader.Position(setting.value.mark),
                    "this system knows no time zone `\(name)`",
                    hint: "write a name such as Europe/London or UTC")
            }
        }
        if let grid = reader.choice(top["timeGrid"], of: TimeGrid.self) { plan.timeGrid = grid }
        if let seed = reader.unsigned(top["seed"]) { plan.seed = seed }
        if let setting = top["asOf"], let text = reader.text(setting) {
            plan.asOf = CalendarDay(parsing: text)
            if plan.asOf == nil {
                reader.report(
                    .wrongType, at: PlanReader.Position(setting.value.mark),
                    "asOf needs a day, found `\(text)`", hint: "write it as 2026-03-14")
            }
        }
        if let rate = reader.number(top["grossMarginRate"], in: 0...1) {
            plan.grossMarginRate = rate
        }
        if let rate = reader.number(top["annualDiscountRate"], in: 0...10) {
            plan.discountRate = DiscountRate(annual: rate)
        }
    }

    // MARK: Models

    private mutating func parseModels(of top: PlanReader.Section, into plan: inout Plan) {
        let keys = ["model", "horizon", "basis", "covariates"]
        if let section = reader.section(top["lifetime"], keys: keys) {
            if let model = reader.choice(section["model"], of: PurchaseModelKind.self) {
                plan.lifetime.model = model
            }
            if let horizon = reader.horizon(section["horizon"]) { plan.lifetime.horizon = horizon }
            if let basis = reader.choice(section["basis"], of: Plan.ValueBasis.self) {
                plan.lifetime.basis = basis
            }
            parseCovariates(section["covariates"], into: &plan)
        }
        parseChurn(of: top, into: &plan)
        if let section = reader.section(top["simpleFormula"], keys: ["durationMonths"]) {
            plan.simpleFormula.durationMonths = reader.number(
                section["durationMonths"], in: 0...PlanLimits.durationMonths, aboveLower: true)
        }
        parseAffinity(of: top, into: &plan.affinity)
    }

    /// Names of attributes with one value a customer, each once.
    private mutating func parseCovariates(
        _ setting: PlanReader.Setting?, into plan: inout Plan
    ) {
        guard let setting,
            let listed = reader.texts(setting, limit: PlanLimits.covariateCount)
        else { return }
        guard !listed.isEmpty else {
            reader.report(
                .missing, at: setting.position, "\(setting.name) is an empty list",
                hint: "name attributes of sources.customers, or leave it out")
            return
        }
        if plan.lifetime.model == .nbd {
            reader.report(
                .contradiction, at: setting.position,
                "the lifetime model nbd takes no covariates",
                hint: "set lifetime.model to bgnbd, mbgnbd or paretonbd, or leave them out")
        }
        let attributes = plan.sources.customers?.mapping.attributes ?? []
        for (name, position) in listed {
            if plan.lifetime.covariates.contains(name) {
                reader.report(
                    .contradiction, at: position, "`\(name)` is listed twice in \(setting.name)",
                    hint: "keep one of them")
                continue
            }
            plan.lifetime.covariates.append(name)
            switch attributes.first(where: { $0.name == name })?.kind {
            case .latitude, .longitude, .number, .ordinal, .text: break
            case .set:
                reader.report(
                    .contradiction, at: position,
                    "a customer may have several values of `\(name)`; a covariate has one",
                    hint: "name attributes of type number or text")
            case nil:
                reader.report(
                    .unknownValue, at: position, "the customers have no attribute `\(name)`",
                    hint: attributes.isEmpty
                        ? "map some under sources.customers.attributes"
                        : reader.suggestion(for: name, among: attributes.map(\.name)))
            }
        }
    }

    private mutating func parseChurn(of top: PlanReader.Section, into plan: inout Plan) {
        let keys = ["horizon", "model", "features", "calibration", "reasonCount"]
        guard let section = reader.section(top["churn"], keys: keys) else { return }
        if let horizon = reader.horizon(section["horizon"]) { plan.churn.horizon = horizon }
        if let model = reader.choice(section["model"], of: Plan.ChurnModelKind.self) {
            plan.churn.model = model
        }
        if let kind = reader.choice(section["calibration"], of: Plan.ChurnCalibration.self) {
            plan.churn.calibration = kind
        }
        if let count = reader.integer(section["reasonCount"], in: PlanLimits.reasonCount) {
            plan.churn.reasonCount = count
        }
        if let features = parseFeatures(
            section["features"], of: "churn", attributeNames: plan.attributeNames)
        {
            plan.churn.features = features
        }
        guard !plan.churn.model.isLearned else { return }
        for key in keys.dropFirst(2) {
            guard let setting = section[key] else { continue }
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name) is for a learned model, but churn.model is lifetime",
                hint: "set churn.model to trees or logistic, or leave it out")
        }
    }
}
