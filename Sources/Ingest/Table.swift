package import ByteCoding

/// A delimited text read as it is: named columns of numbers or of texts, one row a line.
package struct PlainTable: Sendable, Equatable {
    package struct Column: Sendable, Equatable {
        package let name: String
        package let values: Values
        /// Empty fields.
        package let missingCount: Int
        /// Where the column was taken for texts although most of its lines have numbers: the first line
        /// that has none.
        package let firstTextLine: Int?
    }

    package enum Values: Sendable, Equatable {
        /// NaN is missing.
        case numbers([Double])
        case texts(CodedText)
    }

    /// As messages call it.
    package let path: String
    /// In the order of the file, without the ids and what is left out.
    package let columns: [Column]
    /// All different; nil where no column holds them.
    package let ids: TextArray?
    /// The physical line of every row.
    package let lineNumbers: [Int]

    package var rowCount: Int { lineNumbers.count }

    package func column(_ name: String) -> Column? { columns.first { $0.name == name } }
}

/// What is known of some columns of a table before it is read. The others are numbers where all their
/// fields are numbers or empty, else texts.
package struct TableMapping: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// Names the rows, no two by one text.
        case id
        case ignored
        /// A field that is no number is an error.
        case numbers
        case texts
    }

    package struct Use: Sendable, Equatable {
        package var column: String
        package var kind: Kind
        /// What messages call it, such as the option that names it.
        package var role: String

        package init(_ column: String, _ kind: Kind, role: String) {
            self.column = column
            self.kind = kind
            self.role = role
        }
    }

    package var format: TextFormat
    package var uses: [Use]
    /// Most different texts of a column; beyond that it is refused, since a text a row explains nothing.
    package var categoryLimit = Limits.tableCategoryCount

    package init(format: TextFormat = TextFormat(), uses: [Use] = []) {
        self.format = format
        self.uses = uses
    }
}
