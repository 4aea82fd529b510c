package import ByteCoding

/// The accepted purchase lines of one file in file order; every column has `count` rows.
package struct PurchaseLines: Sendable, Equatable {
    package var customerIDs: IDColumn
    /// Seconds since 1970, UTC.
    package var times: [Int64]
    /// Ten-thousandths of the currency unit; negative for returns.
    package var amounts: [Int64]
    /// Ten-thousandths of the currency unit; nil where neither margin nor cost is mapped.
    package var margins: [Int64]?
    /// Items, finite, negative for returned ones; nil where no quantity is mapped.
    package var quantities: [Float]?
    /// Nil where not mapped; `CodedText.missing` for an empty field. So are the four below.
    package var orderIDs: CodedText?
    package var products: CodedText?
    package var categories: CodedText?
    package var promotions: CodedText?
    package var channels: CodedText?

    package init(customerIDs: IDColumn, times: [Int64], amounts: [Int64]) {
        precondition(customerIDs.count == times.count && times.count == amounts.count)
        self.customerIDs = customerIDs
        self.times = times
        self.amounts = amounts
    }

    package var count: Int { times.count }
}

/// The accepted lines of a file of customers or products in file order.
package struct EntityTable: Sendable, Equatable {
    /// Distinct.
    package var ids: IDColumn
    /// One an attribute of the mapping, in its order.
    package var columns: [EntityColumn]

    package init(ids: IDColumn, columns: [EntityColumn]) {
        self.ids = ids
        self.columns = columns
    }

    package var count: Int { ids.count }
}

/// One attribute of all customers or products.
package struct EntityColumn: Sendable, Equatable {
    package enum Values: Sendable, Equatable {
        /// Finite where valid; 0 where not (the field was empty).
        case number([Double], valid: [Bool])
        case set(CodedSets)
        case text(CodedText)
    }

    package var name: String
    package var values: Values

    package init(name: String, values: Values) {
        self.name = name
        self.values = values
    }
}

/// A set of texts a row: row `i` holds `values[codes[j]]` for `j` in
/// `rowOffsets[i] ..< rowOffsets[i + 1]`, in the order written, each once.
package struct CodedSets: Sendable, Equatable {
    package var rowOffsets: [Int]
    package var codes: [UInt32]
    package var values: TextArray

    package init(
        rowOffsets: [Int] = [0], codes: [UInt32] = [], values: TextArray = TextArray()
    ) {
        self.rowOffsets = rowOffsets
        self.codes = codes
        self.values = values
    }

    package var count: Int { rowOffsets.count - 1 }

    package subscript(row: Int) -> [String] {
        codes[rowOffsets[row]..<rowOffsets[row + 1]].map { values[Int($0)] }
    }
}

/// What reading one file came to. Lines are records: a quoted line end does not start a new one,
/// blank lines and the header are not counted.
/// `lineCount == acceptedCount + rejectedCount + setAsideCount`.
package struct IngestReport: Sendable, Equatable, Codable {
    package var path: String
    package var byteCount: Int
    /// `ContentHash` of the whole file.
    package var contentHash: UInt64
    package var lineCount = 0
    package var acceptedCount = 0
    package var rejectedCount = 0
    package var setAsideCount = 0
    /// Lines by reason; a line counts once under each of its reasons. Others are absent.
    package var reasonCounts: [RejectReason: Int] = [:]
    /// Accepted lines with a negative amount.
    package var returnCount = 0
    /// Earliest and latest time of the accepted lines; nil for none and for entities.
    package var firstTime: Int64?
    package var lastTime: Int64?

    package init(path: String, byteCount: Int, contentHash: UInt64) {
        self.path = path
        self.byteCount = byteCount
        self.contentHash = contentHash
    }
}
