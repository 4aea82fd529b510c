import ByteCoding
import Engine
import Synchronization
import Wire

/// A snapshot with what every answer from it repeats, encoded once. A class, because a request
/// that holds on to it then counts one reference instead of one a member.
final class ServedSnapshot: Sendable {
    let snapshot: ServingSnapshot
    let stamp: SnapshotStamp
    /// The stamp as it opens the body of an answer.
    let stampBytes: [UInt8]
    /// The body of the answer to DESCRIBE, with all that features add.
    private let description: DescribeResponse
    /// All columns, in the order in which a LOOKUP that names none gets them.
    let fields: [LookupField]
    /// What has been bought since; nil where the server takes no purchases.
    let baskets: LiveBaskets?
    /// Who was erased since; nil where nobody tells.
    private let erasures: ErasureList?
    /// The rows of as many of them as `erasureCount` says.
    private let erasedRows = Mutex<(erasureCount: Int, rows: ErasedRows)>((0, ErasedRows()))
    /// Whether the affinity model can go on from what has been bought since.
    let foldsPurchases: Bool
    /// Nil where it cannot, or there is none.
    var foldingAffinity: AffinityFile? { foldsPurchases ? snapshot.affinity : nil }

    init(
        _ snapshot: ServingSnapshot, baskets: LiveBaskets? = nil, erasures: ErasureList? = nil
    ) {
        self.snapshot = snapshot
        self.baskets = baskets
        self.erasures = erasures
        foldsPurchases = snapshot.affinity?.capabilities.foldsPurchases ?? false
        stamp = SnapshotStamp(
            generation: UInt64(snapshot.generation),
            asOfDay: Int32(clamping: snapshot.asOf.daysSince1970), currency: snapshot.currency,
            models: snapshot.models.map {
                SnapshotStamp.Model(
                    name: $0.name, version: UInt32(clamping: $0.version), checksum: $0.checksum)
            })
        stampBytes = stamp.encoded
        fields = snapshot.columns.indices.map { LookupField($0, snapshot.columns[$0]) }
        let descriptions = snapshot.descriptor.columnDescriptions
        let valueNames = Self.valueNames(snapshot.segments)
        description = DescribeResponse(
            stamp: stamp, customerCount: UInt64(snapshot.customerCount),
            productCount: UInt64(snapshot.productCount),
            customerIDKind: snapshot.customers.holdsTexts ? .text : .integer,
            productIDKind: snapshot.affinity.map { $0.productIDsAreTexts ? .text : .integer },
            affinity: snapshot.affinity.map(DescribeResponse.Affinity.init),
            columns: snapshot.columns.indices.map { index in
                let column = snapshot.columns[index]
                return DescribeResponse.Column(
                    id: ColumnID(rawValue: column.id), name: column.name,
                    type: LookupField(index, column).type, unit: column.unit,
                    description: descriptions[index], valueNames: valueNames[column.name] ?? "")
            })
    }

    // MARK: Erased customers

    /// Rows that no answer may show any more. The one way to them for whatever is no look-up; to be asked
    /// again for every piece of a long answer.
    var erased: ErasedRows {
        guard let erasures, erasures.count > 0 else { return ErasedRows() }
        return erasedRows.withLock { known in
            let new = erasures.erasures(from: known.erasureCount)
            known.erasureCount += new.count
            let position = snapshot.descriptor.history?.live.sequence ?? 0
            for erasure in new where erasure.sequence >= position {
                for customer in 0..<erasure.customerIDs.count {
                    if let row = snapshot.row(of: erasure.customerIDs[customer]) {
                        known.rows.insert(row, of: snapshot.customerCount)
                    }
                }
            }
            return known.rows
        }
    }

    /// Whether the snapshot's row of a customer is nobody's any more.
    func isErased(_ customer: EntityID) -> Bool {
        let erased = erased
        if erased.isEmpty { return false }
        return snapshot.row(of: customer).map { erased.contains($0) } ?? false
    }

    /// What stands in for rows where nothing but erasures has come since the scoring.
    var overlay: LiveOverlay { LiveOverlay(hiding: erased) }

    /// The body of the answer to DESCRIBE on a connection of these features.
    func description(_ features: Features) -> DescribeResponse {
        guard !features.contains(.affinityFacts) else { return description }
        var short = description
        short.affinity = nil
        return short
    }

    /// What the numbers of a column are called, by the column's name.
    private static func valueNames(_ tables: [SegmentTable]) -> [String: String] {
        var result: [String: String] = [:]
        for table in tables {
            result[table.columnName] = table.segments.map { "\($0.number) \($0.name)" }
                .joined(separator: "\n")
        }
        return result
    }

    var generation: UInt64 { stamp.generation }

    /// The columns that a look-up asks for.
    func fields(_ layout: LookupLayout, _ body: RawSpan) throws(WireError) -> [LookupField] {
        guard layout.columnCount > 0 else { return fields }
        var chosen: [LookupField] = []
        chosen.reserveCapacity(layout.columnCount)
        for position in 0..<layout.columnCount {
            let id = layout.column(position, body)
            if let index = snapshot.columnIndex(id: id.rawValue) {
                chosen.append(fields[index])
            } else if !layout.leavesOutUnknownColumns {
                throw .unknownColumn(id: id.rawValue, byteOffset: 8 + position * 2)
            }
        }
        return chosen
    }
}

extension DescribeResponse.Affinity {
    fileprivate init(_ affinity: AffinityFile) {
        let can = affinity.capabilities
        var offers: Offers = []
        if can.hasDetails { offers.insert(.details) }
        if can.hasProbabilities { offers.insert(.probabilities) }
        if can.foldsPurchases { offers.insert(.boughtSince) }
        if can.hasPromotions { offers.insert(.promotions) }
        if can.findsSimilar { offers.insert(.similar) }
        if can.servesColdCustomers { offers.insert(.coldCustomers) }
        if can.servesColdProducts { offers.insert(.coldProducts) }
        let variant: Variant =
            switch can.variant {
            case .factors: .factors
            case .hybrid: .hybrid
            case .popular: .popular
            case .repeatPurchase: .repeatPurchase
            }
        self.init(variant: variant, offers: offers)
    }
}
