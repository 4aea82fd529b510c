import ByteCoding
import Engine
import Units

/// A small snapshot with every kind of column, missing values and all score statuses.
func sampleContents(
    generation: Int = 1, customerCount: Int = 40, productCount: Int = 12, textIDs: Bool = false,
    hasAffinity: Bool = true
) -> SnapshotContents {
    let rows = 0..<customerCount
    let ids = rows.map { Int64(1_000 + 7 * $0) }
    // Six digits keep the bytewise order of the texts that of the numbers.
    let customerIDs: IDColumn =
        textIDs ? .texts(TextArray(ids.map { "C\(100_000 + $0)" })) : .integers(ids)
    return SnapshotContents(
        generation: generation, asOf: CalendarDay(daysSince1970: 10_134), currency: "GBP",
        models: [ModelReference(name: "lifetime", version: 3, checksum: 0xDEAD_BEEF)],
        customerIDs: customerIDs, status: rows.map { [0, 0, 2, 3, 4, 5][$0 % 6] },
        columns: [
            ScoreColumn(
                id: 2, name: "probabilityAlive", unit: "probability",
                description: "Still a customer", values: .float64(rows.map { Double($0) / 64 }),
                valid: rows.map { $0 % 6 < 2 }),
            ScoreColumn(
                id: 10, name: "revenue", unit: "GBP",
                values: .float32(rows.map { Float($0) * 1.5 + Float(generation) })),
            ScoreColumn(
                id: 13, name: "valueSegment", unit: "segment",
                values: .int32(rows.map { Int32($0 % 5) }), valid: rows.map { $0 % 3 != 0 }),
        ],
        affinity: hasAffinity ? sampleAffinity(customerCount, productCount) : nil,
        segments: [
            SegmentTable(
                segmentation: "value",
                segments: [
                    .init(number: 0, name: "low", customerCount: 30, revenue: 10.25),
                    .init(
                        number: 1, name: "high", customerCount: 10, revenue: 99.5,
                        meanLifetimeValue: 12.5, meanChurnProbability: 0.25),
                ])
        ])
}

func sampleAffinity(_ customerCount: Int, _ productCount: Int) -> AffinityContents {
    let factorCount = 5
    func factor(_ index: Int) -> Float { Float((index * 37) % 23 - 11) / 8 }
    var offsets = [0]
    var products: [Int32] = []
    for customer in 0..<customerCount {
        // Every fifth customer bought nothing.
        if customer % 5 != 4 {
            products += (0..<productCount).filter { ($0 + customer) % 4 == 0 }.map(Int32.init)
        }
        offsets.append(products.count)
    }
    return AffinityContents(
        factorCount: factorCount,
        customerFactors: (0..<customerCount * factorCount).map(factor),
        productIDs: .texts(TextArray((0..<productCount).map { "P\($0)" })),
        productFactors: (0..<productCount * factorCount).map { factor($0 + 5) },
        purchasedOffsets: offsets, purchasedProducts: products)
}
