import ByteCoding
import Engine
import Wire

/// Products with the highest scores for a customer: ids and scores, best first.
func topProductsAnswer(
    _ served: ServedSnapshot, _ request: TopRequest
) throws(Refusal) -> TableAnswer {
    try requireKind(request.id, isText: served.snapshot.customers.holdsTexts, "customer")
    if let bought = served.baskets?.products(of: request.id) {
        return try liveTopProducts(served, request, bought)
    }
    try requireNotErased(request.id, served)
    let top = served.snapshot.topProducts(
        customer: request.id, count: request.count, excludesPurchased: request.excludesPurchased)
    switch top.status {
    case .unknownCustomer:
        throw Refusal(.unknownCustomer, "no such customer in this snapshot")
    case .modelNotFitted:
        throw noAffinity
    case .ok, .notEligible, .onlyReturns, .tooLittleHistory:
        break
    }
    let areTexts = served.snapshot.affinity?.productIDsAreTexts ?? false
    return topAnswer(served, top.products, status: top.status, idsAreTexts: areTexts) { row in
        served.snapshot.affinity?.productID(row)
    }
}

/// The same for a customer who has bought since the snapshot.
private func liveTopProducts(
    _ served: ServedSnapshot, _ request: TopRequest, _ bought: [String]
) throws(Refusal) -> TableAnswer {
    let snapshot = served.snapshot
    guard let affinity = snapshot.affinity else { throw noAffinity }
    var entries: [TopEntry]
    var status: Engine.ScoreStatus
    let isNew = served.isErased(request.id)
    if served.foldsPurchases, !bought.isEmpty {
        var wanted = OfferRequest()
        wanted.bought = request.excludesPurchased ? .leftOut : .included
        wanted.count = request.count
        wanted.includesOutOfStock = true
        wanted.boughtSince = bought
        let offers = try refusing { () throws(OfferFlaw) in
            try snapshot.offers(customer: isNew ? nil : request.id, wanted)
        }
        entries = offers.entries.map { TopEntry(item: $0.row, score: $0.score) }
        status = offers.status
    } else if isNew {
        (entries, status) = ([], .tooLittleHistory)
    } else {
        let top = snapshot.topProducts(
            customer: request.id, count: request.count,
            excludesPurchased: request.excludesPurchased)
        (entries, status) = (top.products, top.status)
    }
    // Who has bought is known.
    if status == .unknownCustomer { status = .tooLittleHistory }
    return topAnswer(
        served, entries, status: status, idsAreTexts: affinity.productIDsAreTexts
    ) { affinity.productID($0) }
}

/// Customers with the highest scores for a product: ids and scores, best first.
func topCustomersAnswer(
    _ served: ServedSnapshot, _ request: TopRequest
) throws(Refusal) -> TableAnswer {
    guard let affinity = served.snapshot.affinity else { throw noAffinity }
    try requireKind(request.id, isText: affinity.productIDsAreTexts, "product")
    let erased = served.erased
    let top = served.snapshot.topCustomers(
        product: request.id, count: request.count + erased.count,
        excludesPurchasers: request.excludesPurchased)
    guard let top else { throw Refusal(.unknownProduct, "no such product in this snapshot") }
    let customers = served.snapshot.customers
    // Who was erased meanwhile is left out too.
    let entries = served.erased.remaining(top, request.count) { Int($0.item) }
    return topAnswer(served, entries, status: .ok, idsAreTexts: customers.holdsTexts) {
        customers[$0]
    }
}

let noAffinity = Refusal(
    .notInSnapshot, "this snapshot has no affinity model",
    hint: "map the product column in the plan, train and publish")

/// Refuses a customer who was erased, in the words for one who never was.
func requireNotErased(_ id: EntityID, _ served: ServedSnapshot) throws(Refusal) {
    if served.isErased(id) {
        throw Refusal(.unknownCustomer, "no such customer in this snapshot")
    }
}

extension ErasedRows {
    /// The first of what was found, without rows that are nobody's.
    func remaining<Entry>(_ found: [Entry], _ count: Int, row: (Entry) -> Int) -> [Entry] {
        isEmpty ? found : Array(found.filter { !contains(row($0)) }.prefix(count))
    }
}

func requireKind(
    _ id: EntityID, isText wanted: Bool, _ what: String
) throws(Refusal) {
    let isText = if case .text = id { true } else { false }
    guard isText == wanted else {
        throw Refusal(
            .wrongIDKind, "\(what) ids are \(wanted ? "texts" : "integers")",
            hint: "DESCRIBE tells the kind of the ids")
    }
}

func topAnswer(
    _ served: ServedSnapshot, _ entries: [TopEntry], status: Engine.ScoreStatus,
    idsAreTexts: Bool, id: (Int) -> EntityID?
) -> TableAnswer {
    var integers: [Int64] = []
    var texts = TextArray()
    for entry in entries {
        switch id(Int(entry.item)) {
        case .integer(let value)?: integers.append(value)
        case .text(let value)?: texts.append(value)
        case nil: break
        }
    }
    let ids = idsAreTexts ? IDColumn.texts(texts) : .integers(integers)
    return TableAnswer(
        stamp: served.stamp,
        table: Table(
            rowCount: ids.count,
            subjectStatus: Wire.ScoreStatus(rawValue: status.rawValue) ?? .notEligible,
            columns: [
                WireColumn(.entityID, ids: ids), WireColumn(.score, .float32(entries.map(\.score))),
            ]))
}
