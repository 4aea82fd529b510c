import ByteCoding
import ColumnStore
import Features
import Models
import Numerical
import Units

/// Factors and best products of every customer by an affinity model.
struct AffinityScores {
    var contents: AffinityContents
    var topProducts: TopProductRows

    /// Takes the rows of a larger table.
    /// - Parameters:
    ///   - sources: rows of this one, -1 for a customer who bought nothing.
    ///   - hasBasketDays: whether the model keeps the day of each customer's last basket, also where
    ///     no row is in memory.
    mutating func spread(_ sources: [Int], hasBasketDays: Bool) {
        contents.spread(sources, hasBasketDays)
        topProducts = topProducts.like(contents, rowCount: sources.count)
    }
}

extension AffinityContents {
    /// - Parameter sources: rows of these contents, -1 for a customer who bought nothing: with a row
    ///   of its own, as places ascend.
    fileprivate mutating func spread(_ sources: [Int], _ hasBasketDays: Bool) {
        guard var base else {
            gather(sources, hasBasketDays)
            return
        }
        var rows: [Int] = []
        let places = sources.map { source -> Int32 in
            if source >= 0, Int(base.places[source]) < base.rowCount { return base.places[source] }
            rows.append(source < 0 ? -1 : Int(base.places[source]) - base.rowCount)
            return Int32(base.rowCount + rows.count - 1)
        }
        gather(rows, hasBasketDays)
        base.places = places
        self.base = base
    }

    /// Some rows of those in memory, -1 for an empty one.
    private mutating func gather(_ rows: [Int], _ hasBasketDays: Bool) {
        let own = self
        func gathered<Element>(_ values: [Element], _ width: Int, _ none: Element) -> [Element] {
            if width == 0 { return [] }
            var result: [Element] = []
            result.reserveCapacity(rows.count * width)
            for row in rows {
                if row < 0 {
                    result.append(contentsOf: repeatElement(none, count: width))
                } else {
                    result += values[row * width..<(row + 1) * width]
                }
            }
            return result
        }
        customerFactors = gathered(own.customerFactors, factorCount, 0)
        topItems = gathered(own.topItems, topItemCount, -1)
        purchasedOffsets = [0]
        purchasedOffsets.reserveCapacity(rows.count + 1)
        (purchasedProducts, purchasedScores, purchasedCounts) = ([], [], [])
        purchasedOpportunities = []
        if hasBasketDays, own.purchasedOffsets.count == 1 || !own.lastBasketDays.isEmpty {
            lastBasketDays = rows.map { $0 < 0 ? 0 : own.lastBasketDays[$0] }
        }
        purchasedProducts.reserveCapacity(own.purchasedProducts.count)
        for row in rows {
            if row >= 0 {
                let part = own.purchasedOffsets[row]..<own.purchasedOffsets[row + 1]
                purchasedProducts += own.purchasedProducts[part]
                if !own.purchasedScores.isEmpty { purchasedScores += own.purchasedScores[part] }
                if !own.purchasedCounts.isEmpty { purchasedCounts += own.purchasedCounts[part] }
                if !own.purchasedOpportunities.isEmpty {
                    purchasedOpportunities += own.purchasedOpportunities[part]
                }
            }
            purchasedOffsets.append(purchasedProducts.count)
        }
    }
}

/// The products ranked highest for every customer, best first.
struct TopProductRows: Sendable {
    /// Places a customer has.
    let width: Int
    private let rowCount: Int
    /// `[rows × width]`, -1 where there is none: those of an earlier generation, then others.
    private let base: MappedArray<Int32>?
    private let items: [Int32]
    /// By customer: a row of the first, or those + one of the others; the row of the same number
    /// where nil.
    private let places: [Int32]?

    /// Of no customer.
    static let empty = TopProductRows(rowCount: 0, width: 0, items: [], base: nil, places: nil)

    init(
        rowCount: Int, width: Int, items: [Int32], base: MappedArray<Int32>?, places: [Int32]?
    ) {
        (self.rowCount, self.width, self.items) = (rowCount, width, items)
        (self.base, self.places) = (base, places)
    }

    /// The same of the rows that contents have by now.
    fileprivate func like(_ contents: AffinityContents, rowCount: Int) -> TopProductRows {
        TopProductRows(
            rowCount: rowCount, width: width, items: contents.topItems, base: base,
            places: contents.base?.places)
    }

    /// Row of a product; nil where the customer has no more.
    subscript(customer: Int, place: Int) -> Int32? {
        let row = places.map { Int($0[customer]) } ?? customer
        var index = row * width + place
        var item: Int32
        if let base, index < base.count {
            item = base[index]
        } else {
            index -= base?.count ?? 0
            item = items[index]
        }
        return item < 0 ? nil : item
    }

    /// The products at one place of some customers as codes, missing where there is none.
    func codes(_ customers: Range<Int>, place: Int) -> [UInt32] {
        func codes(_ base: Span<Int32>) -> [UInt32] {
            customers.map { customer in
                let row = places.map { Int($0[customer]) } ?? customer
                let index = row * width + place
                let item = index < base.count ? base[index] : items[index - base.count]
                return item < 0 ? CodedText.missing : UInt32(item)
            }
        }
        if let base { return base.withSpan { codes($0) } }
        let none: [Int32] = []
        return codes(none.span)
    }

    /// Items of the customer that has most.
    var largestCount: Int {
        var largest = 0
        for customer in 0..<rowCount {
            while largest < width, self[customer, largest] != nil { largest += 1 }
            if largest == width { break }
        }
        return largest
    }
}

/// Scores customers with an affinity model: those who bought since the last scoring with it, or
/// all.
struct AffinityScoring {
    let workspace: Workspace
    let history: SurveyedHistory
    let asOf: CalendarDay
    let model: AffinityModel
    let reference: ModelReference
    /// Those of the customers who have changed since an earlier scoring, where they are known.
    let purchases: (since: FeatureCache.Lines, of: SurveyedHistory.CustomerPurchases)?
    let threadCount: Int

    private var plan: Plan { workspace.plan }

    /// - Parameters:
    ///   - customers: of the feature table of the day.
    ///   - report: is told why an earlier generation is of no use.
    /// - Returns: nil where no line names a product.
    func scores(
        of customers: IDColumn, _ report: (String) -> Void
    ) throws(EngineError) -> AffinityScores? {
        let top = try modelErrors("affinity") { () throws(ModelError) in
            try TopN(
                itemFactors: model.servedProductFactors, itemCount: model.products.count,
                factorCount: model.servedFactorCount)
        }
        let earlier: Result<AffinityCache.Contents, CacheFlaw> = Result {
            () throws(CacheFlaw) in
            try AffinityCache.read(
                workspace, key: key, goingOnTo: workspace.lines(asOf: asOf), top,
                threadCount: threadCount)
        }
        switch earlier {
        case .success(let earlier):
            if let scores = try carriedScores(earlier, customers, top) { return scores }
            report("products of all customers: no line names any, or the customers are others")
        case .failure(let flaw):
            report("products of all customers: \(flaw.reason)")
        }
        guard let all = try allPurchases() else { return nil }
        let scores = try scores(of: all, top)
        return AffinityScores(
            contents: scores,
            topProducts: TopProductRows(
                rowCount: customers.count, width: scores.topItemCount, items: scores.topItems,
                base: nil, places: nil))
    }

    var key: AffinityCache.Key {
        AffinityCache.Key(
            model: reference, timeZone: TimeZoneKey(plan.clock),
            topProductCount: plan.affinity.topProductCount,
            excludesPurchased: plan.affinity.excludePurchased,
            kernels: "\(KernelTable.current.level)")
    }

    /// Of all customers, with the model's products; nil where no line names any.
    private func allPurchases() throws(EngineError) -> AffinityPurchases? {
        guard model.variant.readsBaskets else {
            return try history.purchaseMatrix(customersAsOf: asOf, through: asOf).map {
                AffinityPurchases(counts: $0.rearranged(to: model.products))
            }
        }
        return try history.basketLines(customersAsOf: asOf, through: asOf)?
            .purchases(of: model.products)
    }

    private func scores(
        of purchases: AffinityPurchases, _ top: TopN
    ) throws(EngineError) -> AffinityContents {
        let (served, lists) = try modelErrors("affinity") {
            () throws(ModelError) in
            let served = try model.served(purchases, threadCount: threadCount)
            return (
                served,
                try model.lists(
                    plan.affinity.topProductCount, top, served, purchases,
                    excludesPurchased: plan.affinity.excludePurchased, threadCount: threadCount)
            )
        }
        var contents = AffinityContents(
            factorCount: model.servedFactorCount, customerFactors: served.customerFactors,
            productIDs: .texts(model.products), productFactors: model.servedProductFactors,
            purchasedOffsets: purchases.counts.rowOffsets,
            purchasedProducts: purchases.counts.columnIndices)
        contents.purchasedScores = served.additions?.values ?? []
        contents.purchasedOpportunities = served.opportunities
        contents.lastBasketDays = served.lastBasketDays
        if model.variant.hasFactors { contents.purchasedCounts = purchases.counts.values }
        (contents.topItems, contents.topItemCount) = (lists.items, lists.width)
        return contents
    }

    /// Scores of the customers alone who bought since an earlier generation, the others as there.
    /// - Returns: nil where no line names a product, or other customers are known.
    private func carriedScores(
        _ earlier: AffinityCache.Contents, _ customers: IDColumn, _ top: TopN
    ) throws(EngineError) -> AffinityScores? {
        guard let bought = try purchases(since: earlier.lines) else { return nil }
        let changed = bought.customerIDs ?? customers.slice(0..<0)
        if let carried = CarriedRows(
            earlier.customerIDs, replacedBy: changed, giving: customers, threadCount: threadCount)
        {
            return merge(earlier, try scores(of: bought.purchases, top), carried.sources)
        }
        // The earlier generation may have customers of whom attributes alone are known.
        let rows = earlier.customerIDs.rows(among: customers)
        guard
            let carried = CarriedRows(
                earlier.customerIDs.gather(rows), replacedBy: changed, giving: customers,
                threadCount: threadCount)
        else { return nil }
        return merge(
            earlier, try scores(of: bought.purchases, top),
            carried.sources.map { $0 < 0 ? $0 : rows[$0] })
    }

    /// What the customers bought, each all of it, who have lines since; perhaps some others too.
    /// - Returns: with the model's products; nil where no line names any.
    private func purchases(
        since earlier: FeatureCache.Lines
    ) throws(EngineError) -> (customerIDs: IDColumn?, purchases: AffinityPurchases)? {
        if !model.variant.readsBaskets, let purchases, purchases.since == earlier {
            let matrix = purchases.of.matrix.rearranged(to: model.products)
            return (purchases.of.customerIDs, AffinityPurchases(counts: matrix))
        }
        let before = workspace.manifest.purchaseEnds.prefix { $0.count <= earlier.end.count }
        let change = HistoryChange(
            segmentCount: before.count,
            windows: earlier.asOf < asOf
                ? [AsOfWindow(after: earlier.asOf, through: asOf, clock: plan.clock)] : [])
        guard model.variant.readsBaskets else {
            return try history.purchases(asOf: asOf, changed: change).map {
                (
                    $0.customerIDs,
                    AffinityPurchases(counts: $0.matrix.rearranged(to: model.products))
                )
            }
        }
        guard let (customerIDs, baskets) = try history.changedBaskets(asOf: asOf, change) else {
            return nil
        }
        return (customerIDs, try baskets.purchases(of: model.products))
    }

    /// The rows of an earlier generation with those of some customers in their places.
    /// - Parameter carried: by customer a row of the earlier generation, or `~row` of the fresh.
    private func merge(
        _ earlier: AffinityCache.Contents, _ fresh: AffinityContents, _ carried: [Int]
    ) -> AffinityScores {
        let (customerCount, baseCount) = (carried.count, earlier.base.count)
        let merging = AffinityMerging(earlier: earlier, fresh: fresh, threadCount: threadCount)
        // A place of the earlier generation, or `~row` of the fresh.
        var sources = carried
        if let places = earlier.places {
            for row in sources.indices where sources[row] >= 0 {
                sources[row] = Int(places[sources[row]])
            }
        }
        let others = sources.filter { $0 < 0 || $0 >= baseCount }
        guard others.count <= customerCount / AffinityCache.changedShare,
            others.count <= Int(Int32.max) - baseCount
        else {
            let contents = merging.rows(sources)
            return AffinityScores(
                contents: contents,
                topProducts: TopProductRows(
                    rowCount: customerCount, width: contents.topItemCount,
                    items: contents.topItems, base: nil, places: nil))
        }
        var contents = merging.rows(others)
        var next = Int32(baseCount)
        let places = sources.map { source -> Int32 in
            if source >= 0, source < baseCount { return Int32(source) }
            defer { next += 1 }
            return next
        }
        contents.base = AffinityBase(
            path: earlier.basePath, file: earlier.baseFile, rowCount: baseCount, places: places)
        return AffinityScores(
            contents: contents,
            topProducts: TopProductRows(
                rowCount: customerCount, width: contents.topItemCount, items: contents.topItems,
                base: earlier.base.topItems, places: places))
    }
}

/// Gathers rows of an earlier generation and fresh ones.
private struct AffinityMerging {
    let earlier: AffinityCache.Contents
    let fresh: AffinityContents
    let threadCount: Int

    /// - Parameter sources: a place of the earlier generation, or `~row` of the fresh ones.
    func rows(_ sources: [Int]) -> AffinityContents {
        var result = fresh
        result.topItemCount = earlier.base.topItems.shape[1]
        result.customerFactors = gathered(
            sources, width: fresh.factorCount, fresh.customerFactors,
            earlier.base.arrays.customerFactors, earlier.changed?.arrays.customerFactors)
        result.topItems = gathered(
            sources, width: result.topItemCount, fresh.topItems, earlier.base.topItems,
            earlier.changed?.topItems)
        var offsets = [0]
        offsets.reserveCapacity(sources.count + 1)
        var products: [Int32] = []
        var (scores, counts): ([Float], [Float]) = ([], [])
        var (opportunities, days): ([Float], [Int32]) = ([], [])
        // About as many a row as all have.
        let share = Double(sources.count) / Double(max(1, earlier.base.count))
        products.reserveCapacity(
            fresh.purchasedProducts.count
                + Int(Double(earlier.base.arrays.purchasedProducts.count) * min(1, share)))
        for source in sources {
            if source < 0 {
                let own = fresh.purchasedOffsets[~source]..<fresh.purchasedOffsets[~source + 1]
                products += fresh.purchasedProducts[own]
                if !fresh.purchasedScores.isEmpty { scores += fresh.purchasedScores[own] }
                if !fresh.purchasedCounts.isEmpty { counts += fresh.purchasedCounts[own] }
                if !fresh.purchasedOpportunities.isEmpty {
                    opportunities += fresh.purchasedOpportunities[own]
                }
                if !fresh.lastBasketDays.isEmpty { days.append(fresh.lastBasketDays[~source]) }
            } else {
                let (rows, row) = rows(at: source)
                let own = Int(rows.purchasedOffsets[row])..<Int(rows.purchasedOffsets[row + 1])
                rows.purchasedProducts.withSpan { old in
                    for i in own { products.append(old[i]) }
                }
                rows.purchasedScores?.withSpan { old in
                    for i in own { scores.append(old[i]) }
                }
                rows.purchasedCounts?.withSpan { old in
                    for i in own { counts.append(old[i]) }
                }
                rows.purchasedOpportunities?.withSpan { old in
                    for i in own { opportunities.append(old[i]) }
                }
                if let old = rows.lastBasketDays { days.append(old[row]) }
            }
            offsets.append(products.count)
        }
        (result.purchasedOffsets, result.purchasedProducts) = (offsets, products)
        (result.purchasedScores, result.purchasedCounts) = (scores, counts)
        (result.purchasedOpportunities, result.lastBasketDays) = (opportunities, days)
        return result
    }

    private func rows(at place: Int) -> (rows: AffinityRows.Arrays, row: Int) {
        if let changed = earlier.changed, place >= earlier.base.count {
            return (changed.arrays, place - earlier.base.count)
        }
        return (earlier.base.arrays, place)
    }

    /// Rows of `width` elements of the earlier generation's files and of the fresh.
    private func gathered<Element: ArrayElement & BitwiseCopyable>(
        _ sources: [Int], width: Int, _ fresh: [Element], _ base: MappedArray<Element>,
        _ changed: MappedArray<Element>?
    ) -> [Element] {
        if width == 0 { return [] }
        let changed = changed ?? base
        return parallelArray(
            count: sources.count * width, chunkRows: 4_096 * width, threadCount: threadCount
        ) { elements, slice in
            let fresh = fresh.span
            base.withSpan { base in
                changed.withSpan { changed in
                    for row in elements.lowerBound / width..<elements.upperBound / width {
                        let source = sources[row]
                        let target = row * width - elements.lowerBound
                        let start = source * width
                        for j in 0..<width {
                            slice[target + j] =
                                source < 0
                                ? fresh[~source * width + j]
                                : start < base.count
                                    ? base[start + j]
                                    : changed[start - base.count + j]
                        }
                    }
                }
            }
        }
    }
}
