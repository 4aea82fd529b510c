package import ByteCoding

/// A table of what is known of customers besides purchases, one row an id, in any order.
package struct CustomerAttributes: Sendable {
    package struct Column: Sendable {
        package var name: String
        package var values: Values

        package init(name: String, values: Values) {
            self.name = name
            self.values = values
        }
    }

    package enum Values: Sendable {
        /// Not valid elements are ignored whatever their number.
        case number([Double], valid: [Bool])
        case text(CodedText)
        /// Row `i` holds the values `codes[rowOffsets[i] ..< rowOffsets[i + 1]]`.
        case set(rowOffsets: [Int], codes: [UInt32], values: TextArray)

        var rowCount: Int {
            switch self {
            case .number(let values, _): values.count
            case .text(let values): values.count
            case .set(let rowOffsets, _, _): rowOffsets.count - 1
            }
        }
    }

    package let ids: IDColumn
    package let columns: [Column]
    /// Where the customers are, where two of the columns say so.
    package let coordinates: Coordinates?

    /// - Parameter places: the columns of latitudes and longitudes, numbers both; nil for none.
    /// - Throws: `.inconsistentHistory` where a column has another row count than the ids, or a
    ///   code has no value; `.coordinateOutOfRange`.
    package init(
        ids: IDColumn, columns: [Column], places: (latitude: String, longitude: String)? = nil
    ) throws(FeatureError) {
        self.ids = ids
        self.columns = columns
        for column in columns {
            guard column.values.rowCount == ids.count, Self.isConsistent(column.values) else {
                throw .inconsistentHistory(
                    "the attribute \(column.name) does not fit its table's rows")
            }
        }
        coordinates = try places.flatMap { (places) throws(FeatureError) in
            try Coordinates(latitude: places.latitude, longitude: places.longitude, of: columns)
        }
    }

    private static func isConsistent(_ values: Values) -> Bool {
        switch values {
        case .number(let numbers, let valid):
            return numbers.count == valid.count
        case .text(let text):
            let limit = UInt32(clamping: text.values.count)
            return text.codes.allSatisfy { $0 < limit || $0 == CodedText.missing }
        case .set(let rowOffsets, let codes, let values):
            guard rowOffsets.first == 0, rowOffsets.last == codes.count,
                zip(rowOffsets, rowOffsets.dropFirst()).allSatisfy({ $0 <= $1 })
            else { return false }
            return codes.allSatisfy { $0 < UInt32(clamping: values.count) }
        }
    }

    /// For every id of `customerIDs` (unique, ascending) the row of this table, or -1.
    package func rows(joining customerIDs: IDColumn) throws(FeatureError) -> [Int] {
        var rows = [Int](repeating: -1, count: customerIDs.count)
        guard ids.count > 0 else { return rows }
        switch (ids, customerIDs) {
        case (.integers, .integers), (.texts, .texts): break
        default: throw .idKindMismatch(table: "customers")
        }
        let order = sortedOrder(of: ids)
        for position in 1..<order.count
        where !ids.precedes(order[position - 1], order[position]) {
            throw .duplicateID(table: "customers", row: max(order[position - 1], order[position]))
        }
        // A merge of two sorted id lists: no hashing, and the order of the table cannot matter.
        var cursor = 0
        for row in 0..<customerIDs.count {
            while cursor < order.count, ids.precedes(order[cursor], customerIDs, row) {
                cursor += 1
            }
            guard cursor < order.count else { break }
            if !customerIDs.precedes(row, ids, order[cursor]) { rows[row] = order[cursor] }
        }
        return rows
    }
}
