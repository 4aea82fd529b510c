import Ingest
import Yams

extension PlanParser {
    mutating func parseSources(in top: PlanReader.Section) -> Plan.Sources? {
        guard let setting = top["sources"] else {
            reader.missing(
                "sources", in: top, hint: "name the purchases' columns under sources.purchases")
            return nil
        }
        guard
            let section = reader.section(setting, keys: ["purchases", "customers", "products"])
        else { return nil }
        let customers = parseEntities(
            section["customers"], mayNumberLines: section["purchases"] == nil)
        let products = parseEntities(section["products"], areProducts: true)
        guard let purchases = section["purchases"] else {
            guard section["customers"] == nil else {
                return customers.map { Plan.Sources(purchases: nil, customers: $0) }
            }
            reader.report(
                .missing, at: setting.position, "sources.purchases is missing",
                hint: "it needs columns: customerID, time and amount; customers alone need "
                    + "sources.customers")
            return nil
        }
        guard let source = parsePurchases(purchases) else { return nil }
        if let setting = section["customers"], let id = customers?.mapping.id,
            id.kind != source.mapping.customerID.kind
        {
            reader.report(
                .contradiction, at: setting.position,
                "\(setting.name).id and \(purchases.name).columns.customerID differ in type",
                hint: "give both `type: integer` or both `type: text`")
        }
        return Plan.Sources(purchases: source, customers: customers, products: products)
    }

    private static let formatKeys = [
        "files", "delimiter", "header", "decimalSign", "maximumRejectShare", "setAside",
    ]

    // MARK: Purchases

    private mutating func parsePurchases(_ setting: PlanReader.Setting) -> Plan.PurchaseSource? {
        guard let section = reader.section(setting, keys: Self.formatKeys + ["columns"]) else {
            return nil
        }
        let files = parseFiles(section["files"])
        let format = parseFormat(of: section)
        guard let columnsSetting = section["columns"] else {
            reader.report(
                .missing, at: setting.position, "\(setting.name).columns is missing",
                hint: "it needs customerID, time and amount")
            return nil
        }
        let keys = [
            "customerID", "time", "amount", "quantity", "unitPrice", "margin", "cost", "orderID",
            "product", "category", "promotion", "channel",
        ]
        guard let columns = reader.section(columnsSetting, keys: keys) else { return nil }
        let hasHeader = format.hasHeader
        // All columns are read before any of them is found missing, so that one run reports all.
        let customerID = parseID(columns["customerID"], hasHeader: hasHeader)
        let time = parseTime(columns["time"], hasHeader: hasHeader)
        let amount = parseAmount(of: columns, at: columnsSetting, hasHeader: hasHeader)
        let margin = parseMargin(of: columns, hasHeader: hasHeader)
        let rest = ["orderID", "product", "category", "promotion", "channel"].map { key in
            columns[key].flatMap { parseColumn($0.value, name: $0.name, hasHeader: hasHeader) }
        }
        for key in ["customerID", "time"] where columns[key] == nil {
            reader.report(
                .missing, at: columnsSetting.position, "\(columns.name).\(key) is missing",
                hint: "name its column or give its number from 1")
        }
        guard let customerID, let time, let amount else { return nil }
        var mapping = PurchaseMapping(
            format: format, customerID: customerID, time: time, amount: amount.source)
        mapping.quantity = amount.quantity
        mapping.margin = margin
        mapping.orderID = rest[0]
        mapping.product = rest[1]
        mapping.category = rest[2]
        mapping.promotion = rest[3]
        mapping.channel = rest[4]
        return Plan.PurchaseSource(files: files, mapping: mapping)
    }

    /// The amount, and the quantity where it is not already part of it.
    private mutating func parseAmount(
        of columns: PlanReader.Section, at setting: PlanReader.Setting, hasHeader: Bool
    ) -> (source: AmountSource, quantity: ColumnReference?)? {
        let read = ["amount", "quantity", "unitPrice"].map { key in
            columns[key].flatMap { parseColumn($0.value, name: $0.name, hasHeader: hasHeader) }
        }
        if let price = columns["unitPrice"], columns["amount"] != nil {
            reader.report(
                .contradiction, at: price.position,
                "\(columns.name) maps both amount and unitPrice",
                hint: "keep amount, or quantity and unitPrice")
            return nil
        }
        if columns["amount"] != nil {
            return read[0].map { (.amount($0), read[1]) }
        }
        if let price = columns["unitPrice"], columns["quantity"] == nil {
            reader.report(
                .missing, at: price.position, "\(columns.name).quantity is missing",
                hint: "a unitPrice needs a quantity: amount = quantity x unitPrice")
            return nil
        }
        guard columns["unitPrice"] != nil else {
            reader.report(
                .missing, at: setting.position, "\(columns.name).amount is missing",
                hint: "map amount, or quantity and unitPrice")
            return nil
        }
        guard let quantity = read[1], let price = read[2] else { return nil }
        return (.quantityTimesPrice(quantity: quantity, unitPrice: price), nil)
    }

    private mutating func parseMargin(
        of columns: PlanReader.Section, hasHeader: Bool
    ) -> MarginSource? {
        let margin = columns["margin"].flatMap {
            parseColumn($0.value, name: $0.name, hasHeader: hasHeader)
        }
        let cost = columns["cost"].flatMap {
            parseColumn($0.value, name: $0.name, hasHeader: hasHeader)
        }
        if columns["margin"] != nil, let setting = columns["cost"] {
            reader.report(
                .contradiction, at: setting.position, "\(columns.name) maps both margin and cost",
                hint: "keep one: margin = amount - cost")
        }
        return margin.map { .margin($0) } ?? cost.map { .cost($0) }
    }

    private mutating func parseTime(
        _ setting: PlanReader.Setting?, hasHeader: Bool
    ) -> TimeReference? {
        guard let setting else { return nil }
        guard case .mapping = setting.value else {
            return parseColumn(setting.value, name: setting.name, hasHeader: hasHeader)
                .map { TimeReference($0) }
        }
        guard let section = reader.section(setting, keys: ["column", "format"]) else { return nil }
        let format = reader.choice(section["format"], of: DateFormat.self)
        return requiredColumn(of: section, at: setting, hasHeader: hasHeader)
            .map { TimeReference($0, format: format ?? .iso8601) }
    }

    // MARK: Customers and products

    /// - Parameters:
    ///   - mayNumberLines: whether no purchase refers to the ids.
    ///   - areProducts: some attributes of products have names that say what they are.
    private mutating func parseEntities(
        _ setting: PlanReader.Setting?, mayNumberLines: Bool = false, areProducts: Bool = false
    ) -> Plan.EntitySource? {
        guard let setting,
            let section = reader.section(setting, keys: Self.formatKeys + ["id", "attributes"])
        else { return nil }
        let files = parseFiles(section["files"])
        let format = parseFormat(of: section)
        var attributes = parseAttributes(section["attributes"], hasHeader: format.hasHeader)
        if areProducts { markMarginRate(in: &attributes, section["attributes"]) }
        guard section["id"] != nil else {
            reader.report(
                .missing, at: setting.position, "\(setting.name).id is missing",
                hint: "name the id's column or give its number from 1")
            return nil
        }
        if isLineNumber(section["id"]) {
            if !mayNumberLines {
                reader.report(
                    .contradiction, at: section["id"]?.position ?? setting.position,
                    "\(setting.name).id: purchases know no line numbers",
                    hint: "name the id's column or give its number from 1")
            }
            return Plan.EntitySource(
                files: files,
                mapping: EntityMapping(format: format, id: nil, attributes: attributes))
        }
        guard let id = parseID(section["id"], hasHeader: format.hasHeader) else { return nil }
        return Plan.EntitySource(
            files: files, mapping: EntityMapping(format: format, id: id, attributes: attributes))
    }

    /// The margin rate is a number, and each value is checked by the range of rates.
    private mutating func markMarginRate(
        in attributes: inout [AttributeMapping], _ setting: PlanReader.Setting?
    ) {
        let name = ProductTable.marginRateName
        guard let place = attributes.firstIndex(where: { $0.name == name }) else { return }
        if attributes[place].kind == .number {
            attributes[place].isMarginRate = true
            return
        }
        let entries = setting.map { reader.namedSettings($0, limit: PlanLimits.attributeCount) }
        guard let entry = entries?.first(where: { $0.key == name }) else { return }
        reader.report(
            .contradiction, at: entry.position, "\(entry.name) is the margin / price: a number",
            hint: "write `\(name): number`, or give the attribute another name and name its column")
    }

    private mutating func parseAttributes(
        _ setting: PlanReader.Setting?, hasHeader: Bool
    ) -> [AttributeMapping] {
        guard let setting else { return [] }
        let entries = reader.namedSettings(setting, limit: PlanLimits.attributeCount)
        let attributes = entries.compactMap { (entry) -> AttributeMapping? in
            if PredictedFeatures.names.contains(entry.key) {
                reader.report(
                    .unknownValue, at: entry.position, "`\(entry.key)` cannot name an attribute",
                    hint: "it is a prediction: give it another name, and name its column")
                return nil
            }
            return parseAttribute(entry, hasHeader: hasHeader)
        }
        checkPlaces(attributes, entries, at: setting)
        return attributes
    }

    private enum AttributeType: String, CaseIterable {
        case latitude, longitude, number, ordinal, set, text
    }

    /// `age: number`, or a mapping of type, column (the name where it is absent), separator and
    /// levels.
    private mutating func parseAttribute(
        _ entry: PlanReader.Setting, hasHeader: Bool
    ) -> AttributeMapping? {
        var columnReference: ColumnReference? = .name(entry.key)
        var separator = UInt8(ascii: ";")
        var levels: [String]?
        var namesLevels = false
        let type: AttributeType?
        var columnSetting: PlanReader.Setting?
        if case .mapping = entry.value {
            guard
                let section = reader.section(
                    entry, keys: ["type", "column", "separator", "levels"])
            else { return nil }
            // A list of levels says that they are in order.
            type =
                section["type"] == nil && section["levels"] != nil
                ? .ordinal : reader.choice(section["type"], of: AttributeType.self)
            if section["type"] == nil, type == nil {
                reader.report(
                    .missing, at: entry.position, "\(entry.name).type is missing",
                    hint: "allowed: "
                        + AttributeType.allCases.map(\.rawValue).joined(separator: ", "))
            }
            namesLevels = section["levels"] != nil
            levels = parseLevels(section["levels"], isOrdinal: type == .ordinal)
            columnSetting = section["column"]
            if let setting = columnSetting {
                columnReference = parseColumn(
                    setting.value, name: setting.name, hasHeader: hasHeader)
            }
            if let setting = section["separator"] {
                separator = parseSeparator(setting, type: type) ?? separator
            }
        } else {
            type = reader.choice(entry, of: AttributeType.self)
        }
        if columnSetting == nil, !hasHeader {
            reader.report(
                .contradiction, at: entry.position,
                "\(entry.name) names a column of a file without header",
                hint: "give its number: {type: …, column: 2}")
        }
        guard let type, let columnReference else { return nil }
        if type == .ordinal, levels == nil {
            if namesLevels { return nil }
            reader.report(
                .missing, at: entry.position, "\(entry.name).levels is missing",
                hint: "list all values, the lowest first, such as levels: [low, mid, high]")
            return nil
        }
        let kind: AttributeKind =
            switch type {
            case .latitude: .latitude
            case .longitude: .longitude
            case .number: .number
            case .ordinal: .ordinal(levels: levels ?? [])
            case .set: .set(separator: separator)
            case .text: .text
            }
        return AttributeMapping(name: entry.key, column: columnReference, kind: kind)
    }

    private mutating func parseSeparator(
        _ setting: PlanReader.Setting, type: AttributeType?
    ) -> UInt8? {
        guard let text = reader.text(setting) else { return nil }
        if let type, type != .set {
            reader.report(
                .contradiction, at: setting.position, "\(setting.name) is for type: set only")
            return nil
        }
        guard text.utf8.count == 1, let byte = text.utf8.first, byte < 0x80 else {
            reader.report(
                .unknownValue, at: PlanReader.Position(setting.value.mark),
                "\(setting.name) must be one ASCII character")
            return nil
        }
        return byte
    }

    // MARK: Files and columns

    private mutating func parseFiles(_ setting: PlanReader.Setting?) -> [String] {
        (reader.texts(setting, limit: PlanLimits.fileCount) ?? []).map(\.text)
    }

    private mutating func parseFormat(of section: PlanReader.Section) -> TextFormat {
        var format = TextFormat()
        if let delimiter = reader.choice(section["delimiter"], of: Delimiter.self) {
            format.delimiter = delimiter
        }
        if let header = reader.bool(section["header"]) { format.hasHeader = header }
        if let sign = reader.choice(section["decimalSign"], of: DecimalSign.self) {
            format.decimalSign = sign
        }
        if let share = reader.number(section["maximumRejectShare"], in: 0...1) {
            format.maximumRejectShare = share
        }
        guard let setting = section["setAside"] else { return format }
        let allowed = RejectReason.allCases.map(\.rawValue)
        for entry in reader.texts(setting, limit: 100) ?? [] {
            if let reason = RejectReason(rawValue: entry.text) {
                format.setAside.insert(reason)
            } else {
                reader.report(
                    .unknownValue, at: entry.position,
                    "\(setting.name) cannot hold `\(entry.text)`",
                    hint: reader.suggestion(for: entry.text, among: allowed))
            }
        }
        return format
    }

    private mutating func parseID(
        _ setting: PlanReader.Setting?, hasHeader: Bool
    ) -> IDReference? {
        guard let setting else { return nil }
        guard case .mapping = setting.value else {
            return parseColumn(setting.value, name: setting.name, hasHeader: hasHeader)
                .map { IDReference($0) }
        }
        guard let section = reader.section(setting, keys: ["column", "type"]) else { return nil }
        let kind = reader.choice(section["type"], of: IDKind.self)
        return requiredColumn(of: section, at: setting, hasHeader: hasHeader)
            .map { IDReference($0, kind: kind ?? .text) }
    }

    /// `{type: lineNumber}`
    private func isLineNumber(_ setting: PlanReader.Setting?) -> Bool {
        guard case .mapping(let mapping)? = setting?.value, mapping.count == 1 else {
            return false
        }
        return mapping["type"]?.scalar?.string == "lineNumber"
    }

    private mutating func requiredColumn(
        of section: PlanReader.Section, at setting: PlanReader.Setting, hasHeader: Bool
    ) -> ColumnReference? {
        guard let column = section["column"] else {
            reader.report(
                .missing, at: setting.position, "\(setting.name).column is missing",
                hint: "name its column or give its number from 1")
            return nil
        }
        return parseColumn(column.value, name: column.name, hasHeader: hasHeader)
    }

    /// A header name, or an unquoted number from 1.
    private mutating func parseColumn(
        _ node: Node, name: String, hasHeader: Bool
    ) -> ColumnReference? {
        guard let scalar = node.scalar, !scalar.string.isEmpty else {
            reader.wrongType(name, node, wanted: "a column name or number")
            return nil
        }
        if reader.isPlain(node), let number = Int(scalar.string) {
            guard (1...PlanLimits.columnNumber).contains(number) else {
                reader.report(
                    .outOfRange, at: PlanReader.Position(node.mark), "\(name) is \(number)",
                    hint: "columns are numbered from 1 to \(PlanLimits.columnNumber)")
                return nil
            }
            return .number(number)
        }
        guard hasHeader else {
            reader.report(
                .contradiction, at: PlanReader.Position(node.mark),
                "\(name) names the column `\(scalar.string)` of a file without header",
                hint: "give its number from 1, or set header: true")
            return nil
        }
        return .name(scalar.string)
    }
}
