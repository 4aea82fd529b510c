import ByteCoding
import ColumnStore
import Features
import Ingest

/// Customers and products on disk: one segment file an ingested file, in file order.
///
/// Columns: `id` (int64 or text), then the attributes: numbers as float64, texts as text, and sets
/// as text whose members are separated by the ASCII unit separator (0x1F), unit `set`.
enum EntitySegments {
    private static let separator: UInt8 = 0x1F

    /// - Returns: of a provisional file: a manifest is to name it.
    static func write(
        _ table: EntityTable, to path: String
    ) throws(EngineError) -> SegmentSummary {
        var columns = [Column(name: "id", data: table.ids.columnData)]
        var units: [String: String] = [:]
        for column in table.columns {
            switch column.values {
            case .number(let values, let valid):
                columns.append(
                    Column(
                        name: column.name, data: .float64(values),
                        validity: valid.allSatisfy(\.self) ? nil : valid))
            case .text(let text):
                columns.append(Column(name: column.name, data: .coded(text)))
            case .set(let sets):
                units[column.name] = "set"
                columns.append(Column(name: column.name, data: .text(joined(sets))))
            }
        }
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try writeSegmentFile(columns, units: units, to: path, .provisional)
        }
    }

    /// The tables of several files as one: a later file's row replaces an earlier one of its id.
    /// Attributes that a file lacks are missing in its rows. Nil for no files.
    static func read(_ paths: [String]) throws(EngineError) -> EntityTable? {
        var result: EntityTable?
        for path in paths {
            let part = try mapErrors(EngineError.store) { () throws(StoreError) in
                try readSegment(path)
            }
            guard let earlier = result else {
                result = part
                continue
            }
            var ids = earlier.ids
            guard ids.append(contentsOf: part.ids) else {
                throw .idKindMismatch(table: "customer or product")
            }
            result = withoutReplaced(
                EntityTable(ids: ids, columns: join(earlier, part)))
        }
        return result
    }

    /// The rows of a file without those of some ids; nil where it has none of them.
    static func table(
        _ path: String, without erased: ErasedLines
    ) throws(EngineError) -> EntityTable? {
        let table = try mapErrors(EngineError.store) { () throws(StoreError) in
            try readSegment(path)
        }
        let kept = (0..<table.count).filter { erased.row(of: table.ids, $0) == nil }
        if kept.count == table.count { return nil }
        return EntityTable(
            ids: table.ids.gather(kept),
            columns: table.columns.map { column in
                EntityColumn(name: column.name, values: gather(column.values, kept))
            })
    }

    private static func readSegment(_ path: String) throws(StoreError) -> EntityTable {
        let reader = try SegmentReader(path: path)
        let ids: IDColumn
        switch try reader.column(named: "id").data {
        case .int64(let values): ids = .integers(values)
        case .text(let values): ids = .texts(values)
        default: throw .missingPart(path: path, part: "column id of integers or texts")
        }
        var columns: [EntityColumn] = []
        for schema in reader.schema where schema.name != "id" {
            if schema.type == .text {
                let text = try reader.coded(named: schema.name)
                columns.append(
                    EntityColumn(
                        name: schema.name,
                        values: schema.unit == "set" ? .set(split(text)) : .text(text)))
            } else {
                let column = try reader.column(named: schema.name)
                guard case .float64(let values) = column.data else {
                    throw .missingPart(path: path, part: "column \(schema.name) of doubles")
                }
                let valid = column.validity ?? [Bool](repeating: true, count: values.count)
                columns.append(
                    EntityColumn(name: schema.name, values: .number(values, valid: valid)))
            }
        }
        return EntityTable(ids: ids, columns: columns)
    }

    private static func joined(_ sets: CodedSets) -> TextArray {
        var result = TextArray()
        for row in 0..<sets.count {
            let members = sets.codes[sets.rowOffsets[row]..<sets.rowOffsets[row + 1]]
            var text: [UInt8] = []
            for (index, code) in members.enumerated() {
                if index > 0 { text.append(separator) }
                text.append(contentsOf: sets.values.utf8(Int(code)))
            }
            result.append(utf8: text)
        }
        return result
    }

    /// Splits each distinct joined text once.
    private static func split(_ text: CodedText) -> CodedSets {
        var sets = CodedSets()
        var codeOfMember: [ArraySlice<UInt8>: UInt32] = [:]
        let membersOfText = (0..<text.values.count).map { row -> [UInt32] in
            text.values.utf8(row).split(separator: separator).map { member in
                if let code = codeOfMember[member] { return code }
                let code = UInt32(codeOfMember.count)
                codeOfMember[member] = code
                sets.values.append(utf8: member)
                return code
            }
        }
        for code in text.codes {
            if code != CodedText.missing { sets.codes += membersOfText[Int(code)] }
            sets.rowOffsets.append(sets.codes.count)
        }
        return sets
    }

    /// The columns of both tables over the rows of both.
    private static func join(_ first: EntityTable, _ second: EntityTable) -> [EntityColumn] {
        var names: [String] = []
        for column in first.columns + second.columns where !names.contains(column.name) {
            names.append(column.name)
        }
        return names.map { name in
            let a = first.columns.first { $0.name == name }?.values
            let b = second.columns.first { $0.name == name }?.values
            return EntityColumn(
                name: name, values: append(a, first.count, b, second.count))
        }
    }

    /// Where the kinds differ, the plan changed between the files: the later kind holds, and the
    /// earlier rows count as missing.
    private static func append(
        _ first: EntityColumn.Values?, _ firstCount: Int,
        _ second: EntityColumn.Values?, _ secondCount: Int
    ) -> EntityColumn.Values {
        let noNumbers = [Double](repeating: 0, count: firstCount)
        let allFalse = [Bool](repeating: false, count: firstCount)
        switch second {
        case .number(let values, let valid):
            if case .number(let a, let aValid) = first {
                return .number(a + values, valid: aValid + valid)
            }
            return .number(noNumbers + values, valid: allFalse + valid)
        case .text(let text):
            var result = CodedText(missing: firstCount)
            if case .text(let a) = first { result = a }
            result.append(text)
            return .text(result)
        case .set(let sets):
            var result = CodedSets(rowOffsets: [Int](repeating: 0, count: firstCount + 1))
            if case .set(let a) = first { result = a }
            // Through the joined texts: sets of two files share members under other codes.
            var texts = CodedText()
            for part in [result, sets] {
                let joined = joined(part)
                texts.append(
                    CodedText(codes: (0..<UInt32(joined.count)).map(\.self), values: joined))
            }
            return .set(split(texts))
        case nil:
            switch first {
            case .number(let values, let valid):
                return .number(
                    values + [Double](repeating: 0, count: secondCount),
                    valid: valid + [Bool](repeating: false, count: secondCount))
            case .set(var sets):
                sets.rowOffsets += [Int](repeating: sets.codes.count, count: secondCount)
                return .set(sets)
            case .text(var text):
                text.append(CodedText(missing: secondCount))
                return .text(text)
            case nil:
                return .text(CodedText(missing: firstCount + secondCount))
            }
        }
    }

    /// Keeps the last row of every id.
    private static func withoutReplaced(_ table: EntityTable) -> EntityTable {
        var lastRow: [EntityID: Int] = [:]
        for row in 0..<table.count { lastRow[table.ids[row]] = row }
        let kept = lastRow.values.sorted()
        if kept.count == table.count { return table }
        return EntityTable(
            ids: table.ids.gather(kept),
            columns: table.columns.map { column in
                EntityColumn(name: column.name, values: gather(column.values, kept))
            })
    }

    private static func gather(
        _ values: EntityColumn.Values, _ rows: [Int]
    ) -> EntityColumn.Values {
        switch values {
        case .number(let numbers, let valid):
            return .number(rows.map { numbers[$0] }, valid: rows.map { valid[$0] })
        case .text(let text):
            return .text(CodedText(codes: rows.map { text.codes[$0] }, values: text.values))
        case .set(let sets):
            var result = CodedSets(values: sets.values)
            for row in rows {
                result.codes += sets.codes[sets.rowOffsets[row]..<sets.rowOffsets[row + 1]]
                result.rowOffsets.append(result.codes.count)
            }
            return .set(result)
        }
    }
}

extension IDColumn {
    var columnData: ColumnData {
        switch self {
        case .integers(let values): .int64(values)
        case .texts(let values): .text(values)
        }
    }
}

extension EntityTable {
    /// The table as the features want it.
    /// - Parameter places: the attributes that say where a customer is; nil for none.
    func attributes(
        places: (latitude: String, longitude: String)? = nil
    ) throws(FeatureError) -> CustomerAttributes {
        try CustomerAttributes(
            ids: ids,
            columns: columns.map { column in
                switch column.values {
                case .number(let values, let valid):
                    CustomerAttributes.Column(
                        name: column.name, values: .number(values, valid: valid))
                case .text(let text):
                    CustomerAttributes.Column(name: column.name, values: .text(text))
                case .set(let sets):
                    CustomerAttributes.Column(
                        name: column.name,
                        values: .set(
                            rowOffsets: sets.rowOffsets, codes: sets.codes, values: sets.values))
                }
            }, places: places)
    }
}
