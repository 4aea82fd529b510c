import ByteCoding
import Wire

extension EntityID {
    init(_ id: PatronID) {
        switch id {
        case .integer(let value): self = .integer(value)
        case .text(let value): self = .text(value)
        }
    }
}

extension PatronID {
    init(_ id: EntityID) {
        switch id {
        case .integer(let value): self = .integer(value)
        case .text(let value): self = .text(value)
        }
    }
}

extension PatronIDKind {
    init(_ kind: IDKind) {
        switch kind {
        case .integer: self = .integer
        case .text: self = .text
        }
    }
}

extension CustomerStatus {
    init(_ number: Int) {
        switch UInt8(exactly: number).flatMap(ScoreStatus.init(rawValue:)) {
        case .ok: self = .ok
        case .unknownCustomer: self = .unknownCustomer
        case .tooLittleHistory: self = .tooLittleHistory
        case .onlyReturns: self = .onlyReturns
        case .modelNotFitted: self = .modelNotFitted
        case .notEligible: self = .notEligible
        case nil: self = .other(number)
        }
    }
}

extension SnapshotInfo {
    init(_ stamp: SnapshotStamp) {
        self.init(
            generation: stamp.generation, asOfDay: Int(stamp.asOfDay), currency: stamp.currency,
            models: stamp.models.map {
                Model(name: $0.name, version: $0.version, checksum: $0.checksum)
            })
    }
}

extension Description {
    init(_ answer: DescribeResponse) {
        self.init(
            snapshot: SnapshotInfo(answer.stamp),
            customerCount: Int(clamping: answer.customerCount),
            productCount: Int(clamping: answer.productCount),
            customerIDKind: answer.customerIDKind.map(PatronIDKind.init),
            productIDKind: answer.productIDKind.map(PatronIDKind.init),
            affinity: answer.affinity.map(Affinity.init),
            columns: answer.columns.map {
                Column(
                    id: $0.id.rawValue, name: $0.name, unit: $0.unit, description: $0.description,
                    valueNames: $0.valueNames)
            })
    }
}

extension Description.Affinity {
    init(_ affinity: DescribeResponse.Affinity) {
        let name =
            switch affinity.variant {
            case .factors: "factors"
            case .hybrid: "hybrid"
            case .popular: "popular"
            case .repeatPurchase: "repeatPurchase"
            case .other(let number): "other \(number)"
            }
        let offers = affinity.offers
        self.init(
            variant: name, hasDetails: offers.contains(.details),
            hasProbabilities: offers.contains(.probabilities),
            takesBoughtSince: offers.contains(.boughtSince),
            hasPromotions: offers.contains(.promotions), findsSimilar: offers.contains(.similar),
            servesColdCustomers: offers.contains(.coldCustomers),
            servesColdProducts: offers.contains(.coldProducts))
    }
}

extension ScoreValues {
    init(_ column: WireColumn) {
        let lanes: Lanes =
            switch column.values {
            case .int32(let values): .int32(values)
            case .int64(let values): .int64(values)
            case .float32(let values): .float32(values)
            case .float64(let values): .float64(values)
            case .text(let values): .text(values.strings)
            }
        let valid = column.validity.map { bitmap in (0..<bitmap.count).map { bitmap[$0] } }
        self.init(id: column.id.rawValue, lanes: lanes, valid: valid)
    }
}

extension LookupResult {
    init(_ answer: TableAnswer) {
        var status = [CustomerStatus](repeating: .ok, count: answer.table.rowCount)
        if case .int32(let numbers)? = answer.table[.rowStatus]?.values {
            status = numbers.map { CustomerStatus(Int($0)) }
        }
        self.init(
            snapshot: SnapshotInfo(answer.stamp), status: status,
            columns: answer.table.columns.filter { $0.id != .rowStatus }.map(ScoreValues.init))
    }
}

extension TopResult {
    init(_ answer: TableAnswer) throws(PatronError) {
        guard let ids = answer.table[.entityID]?.ids,
            case .float32(let scores)? = answer.table[.score]?.values
        else { throw .malformedAnswer(reason: "ids or scores are missing") }
        self.init(
            snapshot: SnapshotInfo(answer.stamp),
            status: CustomerStatus(Int(answer.table.subjectStatus)),
            entries: scores.indices.map { Entry(id: PatronID(ids[$0]), score: scores[$0]) })
    }
}

extension SegmentsResult {
    init(_ answer: TableAnswer) throws(PatronError) {
        let table = answer.table
        guard let segmentations = table[.segmentation], let numbers = table[.segmentID],
            let counts = table[.segmentCustomerCount]
        else { throw .malformedAnswer(reason: "a column of the segments is missing") }
        self.init(
            snapshot: SnapshotInfo(answer.stamp),
            segments: (0..<table.rowCount).map { row in
                Segment(
                    segmentation: segmentations.text(row) ?? "",
                    number: numbers.integer(row),
                    name: table[.segmentName]?.text(row) ?? "",
                    customerCount: counts.integer(row),
                    customerShare: table[.segmentCustomerShare]?.number(row),
                    revenue: table[.segmentRevenue]?.number(row),
                    revenueShare: table[.segmentRevenueShare]?.number(row),
                    meanLifetimeValue: table[.segmentMeanLifetimeValue]?.number(row),
                    meanChurnProbability: table[.segmentMeanChurnProbability]?.number(row),
                    margin: table[.segmentMargin]?.number(row),
                    meanExpectedPurchases: table[.segmentMeanExpectedPurchases]?.number(row),
                    distinctions: table[.segmentDistinctions]?.text(row))
            })
    }
}

extension SegmentProfilesResult {
    init(_ answer: TableAnswer) throws(PatronError) {
        let table = answer.table
        guard let segmentations = table[.segmentation], let numbers = table[.segmentID],
            let features = table[.profileFeature], let differences = table[.profileDifference]
        else { throw .malformedAnswer(reason: "a column of the profiles is missing") }
        self.init(
            snapshot: SnapshotInfo(answer.stamp),
            rows: (0..<table.rowCount).map { row in
                Row(
                    segmentation: segmentations.text(row) ?? "", segment: numbers.integer(row),
                    feature: features.text(row) ?? "",
                    category: table[.profileCategory]?.text(row),
                    mean: table[.profileMean]?.number(row),
                    overallMean: table[.profileOverallMean]?.number(row),
                    index: table[.profileIndex]?.number(row),
                    difference: differences.number(row) ?? 0,
                    missingShare: table[.profileMissingShare]?.number(row))
            })
    }
}

extension WireColumn {
    /// The integer of a row; 0 where there is none. Not by way of a double, which holds numbers
    /// that no integer can.
    fileprivate func integer(_ row: Int) -> Int {
        switch values {
        case .int32(let values): Int(values[row])
        case .int64(let values): Int(values[row])
        case .float32, .float64, .text: 0
        }
    }
}
