import ByteCoding

/// The feature columns of a table of attributes, joined onto the rows of a feature table.
struct AttributeColumns {
    private(set) var columns: [FeatureColumn] = []
    private(set) var groups: [String: [String]] = ["attributes": []]
    /// Of those that `names` asks for by `FeatureCatalog.textPrefix`.
    private(set) var texts: [String: CodedText] = [:]
    /// Attributes and values that are asked for by the name of their column.
    private let namedColumns: Set<String>

    /// - Parameters:
    ///   - rows: the attribute row of every feature row, -1 for none.
    ///   - names: features and groups of which attributes are to be joined; all where nil.
    init(_ attributes: CustomerAttributes, rows: [Int], keeping names: Set<String>? = nil) {
        namedColumns = (names ?? []).filter { $0.hasPrefix(FeatureCatalog.attributePrefix) }
        for column in attributes.columns {
            let textName = FeatureCatalog.textPrefix + column.name
            if let names, names.contains(textName), case .text(let text) = column.values {
                texts[textName] = CodedText(
                    codes: rows.map { $0 < 0 ? CodedText.missing : text.codes[$0] },
                    values: text.values)
            }
            let name = FeatureCatalog.attributePrefix + column.name
            guard names.map({ Self.isNamed(column.name, in: $0) }) ?? true else { continue }
            switch column.values {
            case .number(let values, let valid):
                let isDegrees = attributes.coordinates?.names.contains(column.name) ?? false
                append(
                    Self.numberColumn(name, values, valid: valid, rows: rows), group: name,
                    isOfAll: !isDegrees)
            case .text(let text):
                let codes = rows.map { $0 < 0 ? CodedText.missing : text.codes[$0] }
                appendIndicators(
                    name, values: text.values, valid: codes.map { $0 != CodedText.missing },
                    codesOfRow: { codes[$0] == CodedText.missing ? [] : codes[$0...$0] })
            case .set(let rowOffsets, let codes, let values):
                appendIndicators(
                    name, values: values, valid: rows.map { $0 >= 0 },
                    codesOfRow: { row in
                        let source = rows[row]
                        return source < 0
                            ? [] : codes[rowOffsets[source]..<rowOffsets[source + 1]]
                    })
            }
        }
        appendCoordinates(of: attributes, rows: rows, keeping: names)
    }

    /// The places on the globe, where they are wanted.
    private mutating func appendCoordinates(
        of attributes: CustomerAttributes, rows: [Int], keeping names: Set<String>?
    ) {
        guard let coordinates = attributes.coordinates,
            names.map({ Self.isNamed(FeatureCatalog.coordinates, in: $0) }) ?? true
        else { return }
        let group = FeatureCatalog.attributePrefix + FeatureCatalog.coordinates
        for (axis, values) in zip(["x", "y", "z"], coordinates.axes) {
            append(
                Self.numberColumn(
                    "\(group).\(axis)", values, valid: coordinates.valid, rows: rows),
                group: group)
        }
    }

    /// Whether a list names the attribute, one of its values or all attributes.
    private static func isNamed(_ attribute: String, in names: Set<String>) -> Bool {
        names.contains { name in
            let bare =
                name.hasPrefix(FeatureCatalog.attributePrefix)
                ? name.dropFirst(FeatureCatalog.attributePrefix.count) : name[...]
            return name == "attributes" || bare == attribute || bare.hasPrefix(attribute + ".")
        }
    }

    /// - Parameter isOfAll: whether it is one of the group of all attributes.
    private mutating func append(
        _ column: FeatureColumn, group: String, isOfAll: Bool = true
    ) {
        columns.append(column)
        groups[group, default: []].append(column.name)
        if isOfAll { groups["attributes", default: []].append(column.name) }
    }

    private static func numberColumn(
        _ name: String, _ values: [Double], valid: [Bool], rows: [Int]
    ) -> FeatureColumn {
        var numbers = [Float](repeating: 0, count: rows.count)
        var defined = [Bool](repeating: false, count: rows.count)
        for (row, source) in rows.enumerated() where source >= 0 && valid[source] {
            // A number beyond a Float's range is as good as missing.
            let number = Float(values[source])
            guard number.isFinite else { continue }
            numbers[row] = number
            defined[row] = true
        }
        return FeatureColumn(
            name: name, unit: .attribute, values: numbers,
            valid: defined.contains(false) ? defined : nil)
    }

    /// One 0/1 column a value, the most frequent values of these rows first; then the others that
    /// are named, which a model knows from other rows. These are no part of the group.
    private mutating func appendIndicators(
        _ name: String, values: TextArray, valid: [Bool],
        codesOfRow: (Int) -> ArraySlice<UInt32>
    ) {
        groups[name] = []
        var counts = [Int](repeating: 0, count: values.count)
        for row in valid.indices {
            for code in codesOfRow(row) { counts[Int(code)] += 1 }
        }
        let top = TopValues(
            counts: counts, values: values, limit: FeatureCatalog.maximumIndicatorColumns)
        var indicators = [[Float]](
            repeating: [Float](repeating: 0, count: valid.count), count: top.values.count)
        for row in valid.indices {
            for code in codesOfRow(row) {
                let slot = top.slotOfCode[Int(code)]
                if slot < indicators.count { indicators[slot][row] = 1 }
            }
        }
        let validity = valid.contains(false) ? valid : nil
        for (value, indicator) in zip(top.values, indicators) {
            append(
                FeatureColumn(
                    name: name + "." + value, unit: .indicator, values: indicator, valid: validity),
                group: name)
        }
        guard top.hasOthers, namedColumns.contains(where: { $0.hasPrefix(name + ".") })
        else { return }
        var places: [UInt32: Int] = [:]
        let first = columns.count
        for code in 0..<values.count where top.slotOfCode[code] == top.values.count {
            let column = name + "." + values[code]
            guard namedColumns.contains(column) else { continue }
            places[UInt32(code)] = columns.count
            columns.append(
                FeatureColumn(
                    name: column, unit: .indicator,
                    values: [Float](repeating: 0, count: valid.count), valid: validity))
        }
        guard columns.count > first else { return }
        for row in valid.indices {
            for code in codesOfRow(row) {
                if let place = places[code] { columns[place].values[row] = 1 }
            }
        }
    }
}
