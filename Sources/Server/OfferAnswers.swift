import ByteCoding
import Engine
import Wire

/// Products to offer to a customer, best first, with what is expected of each.
func offerProductsAnswer(
    _ served: ServedSnapshot, _ request: Wire.OfferProductsRequest
) throws(Refusal) -> TableAnswer {
    let snapshot = served.snapshot
    try requireKind(request.id, isText: snapshot.customers.holdsTexts, "customer")
    var wanted = OfferRequest(request)
    let bought = served.baskets?.products(of: request.id)
    if let bought, served.foldsPurchases {
        // What is known here and sent as well was bought once.
        let known = Set(bought)
        wanted.boughtSince = bought + request.boughtSince.filter { !known.contains($0) }
    }
    let isNew = served.isErased(request.id)
    var offers = try refusing { () throws(OfferFlaw) in
        try snapshot.offers(customer: isNew ? nil : request.id, wanted)
    }
    if offers.status == .unknownCustomer {
        guard bought != nil else {
            throw Refusal(.unknownCustomer, "no such customer in this snapshot")
        }
        offers.status = .tooLittleHistory
    }
    let areTexts = snapshot.affinity?.productIDsAreTexts ?? false
    return offerAnswer(served, offers, idsAreTexts: areTexts) {
        snapshot.affinity?.productID($0)
    }
}

/// Customers to offer a product to, likewise.
func offerCustomersAnswer(
    _ served: ServedSnapshot, _ request: Wire.OfferCustomersRequest
) throws(Refusal) -> TableAnswer {
    guard let affinity = served.snapshot.affinity else { throw noAffinity }
    try requireKind(request.id, isText: affinity.productIDsAreTexts, "product")
    var wanted = Engine.OfferCustomersRequest()
    wanted.rank = request.rank == .probability ? .probability : .affinity
    let erased = served.erased
    wanted.count = request.count + erased.count
    wanted.excludesPurchasers = request.excludesPurchasers
    wanted.isPromoted = request.isPromoted
    var offers = try refusing { () throws(OfferFlaw) in
        try served.snapshot.offerCustomers(product: request.id, wanted)
    }
    // Who was erased meanwhile is left out too.
    offers.entries = served.erased.remaining(offers.entries, request.count) { Int($0.row) }
    let customers = served.snapshot.customers
    return offerAnswer(
        served, offers, idsAreTexts: customers.holdsTexts,
        withLifts: request.isPromoted
    ) { customers[$0] }
}

/// Customers or products whose factors point the same way.
func similarAnswer(
    _ served: ServedSnapshot, _ request: SimilarRequest
) throws(Refusal) -> TableAnswer {
    let snapshot = served.snapshot
    switch request.subject {
    case .customer:
        try requireKind(request.id, isText: snapshot.customers.holdsTexts, "customer")
        let erased = served.erased
        var found = try refusing { () throws(OfferFlaw) in
            try snapshot.similarCustomers(to: request.id, count: request.count + erased.count)
        }
        try requireNotErased(request.id, served)
        found.entries = served.erased.remaining(found.entries, request.count) { Int($0.row) }
        if found.status == .unknownCustomer {
            throw Refusal(.unknownCustomer, "no such customer in this snapshot")
        }
        return topAnswer(
            served, found.entries.map { TopEntry(item: $0.row, score: $0.score) },
            status: found.status, idsAreTexts: snapshot.customers.holdsTexts
        ) { snapshot.customers[$0] }
    case .product:
        guard let affinity = snapshot.affinity else { throw noAffinity }
        try requireKind(request.id, isText: affinity.productIDsAreTexts, "product")
        let found = try refusing { () throws(OfferFlaw) in
            try snapshot.similarProducts(to: request.id, count: request.count)
        }
        return topAnswer(
            served, found.entries.map { TopEntry(item: $0.row, score: $0.score) },
            status: found.status, idsAreTexts: affinity.productIDsAreTexts
        ) { affinity.productID($0) }
    }
}

func refusing<Result>(
    _ body: () throws(OfferFlaw) -> Result
) throws(Refusal) -> Result {
    do throws(OfferFlaw) {
        return try body()
    } catch {
        switch error {
        case .noAffinity: throw noAffinity
        case .unknownProduct:
            throw Refusal(.unknownProduct, "no such product in this snapshot")
        case .lacks(let what):
            throw Refusal(
                .notInSnapshot, "this snapshot has no \(what)",
                hint: "map the columns that say it, train, score and publish")
        }
    }
}

private func offerAnswer(
    _ served: ServedSnapshot, _ offers: Offers, idsAreTexts: Bool, withLifts: Bool = false,
    id: (Int) -> EntityID?
) -> TableAnswer {
    let entries = offers.entries
    var answer = topAnswer(
        served, entries.map { TopEntry(item: $0.row, score: $0.score) }, status: offers.status,
        idsAreTexts: idsAreTexts, id: id)
    func column(_ id: ColumnID, _ value: (OfferEntry) -> Double?) -> WireColumn {
        let values = entries.map(value)
        return WireColumn(
            id, .float64(values.map { $0 ?? 0 }),
            validity: values.contains(nil) ? ValidityBitmap(values.map { $0 != nil }) : nil)
    }
    answer.table.columns += [
        column(.purchaseProbability) { $0.probability },
        column(.expectedMargin) { $0.expectedMargin },
        WireColumn(.affinityBasis, .int32(entries.map { Int32($0.basis.rawValue) })),
    ]
    if withLifts { answer.table.columns.append(column(.promotionLift) { $0.promotionLift }) }
    return answer
}

extension OfferRequest {
    fileprivate init(_ request: Wire.OfferProductsRequest) {
        self.init()
        kind =
            switch request.offer {
            case .next: .next
            case .crossSell: .crossSell
            case .upSell: .upSell
            }
        rank = request.rank == .margin ? .margin : .affinity
        bought =
            switch request.bought {
            case .leftOut: .leftOut
            case .included: .included
            case .only: .only
            }
        count = request.count
        categories = request.categories
        boughtSince = request.boughtSince
        lowestPrice = request.lowestPrice > 0 ? Double(request.lowestPrice) / 10_000 : nil
        highestPrice = request.highestPrice > 0 ? Double(request.highestPrice) / 10_000 : nil
        if request.largestRatioPercent > 0 {
            largestRatio = Double(request.largestRatioPercent) / 100
        }
        includesOutOfStock = request.includesOutOfStock
    }
}
