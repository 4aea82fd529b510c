import ByteCoding
import ColumnStore
import Features
import Models
import Numerical
import Units

/// Factors and best products of every customer by an affinity model.
struct AffinityScores {
    var contents: AffinityContents
    /// Carried lists have no scores: the products alone are written.
    var topProducts: TopLists
}

/// Scores customers with an affinity model: those who bought since the last scoring with it, or
/// all.
struct AffinityScoring {
    let workspace: Workspace
    let history: SurveyedHistory
    let asOf: CalendarDay
    let parameters: ImplicitALS.Parameters
    let model: AffinityModel
    let reference: ModelReference
    let threadCount: Int

    private var plan: Plan { workspace.plan }

    /// - Parameter customers: of the feature table of the day.
    /// - Returns: nil where no line names a product.
    func scores(of customers: IDColumn) throws(EngineError) -> AffinityScores? {
        if let earlier = AffinityCache.read(workspace, key: key),
            let change = change(since: earlier), plan.affinity.topProductCount > 0,
            let fresh = try history.purchases(asOf: asOf, changed: change)
        {
            let freshIDs = fresh.customerIDs ?? customers.slice(0..<0)
            let carried = CarriedRows(earlier.customerIDs, replacedBy: freshIDs)
            if carried.merge(earlier.customerIDs, freshIDs) == customers {
                return merge(earlier, try scores(of: fresh.matrix), carried)
            }
        }
        guard let all = try history.purchases(asOf: asOf, changed: nil) else { return nil }
        return try scores(of: all.matrix)
    }

    var key: AffinityCache.Key {
        AffinityCache.Key(
            model: reference, timeZone: plan.timeZone,
            topProductCount: plan.affinity.topProductCount,
            excludesPurchased: plan.affinity.excludePurchased,
            kernels: "\(KernelTable.current.level)")
    }

    /// Whose purchases are others than at an earlier scoring; nil where that cannot be told.
    private func change(since earlier: AffinityCache.Contents) -> HistoryChange? {
        let segments = workspace.manifest.purchaseSegments.map { FeatureCache.Key.Segment($0) }
        guard earlier.asOf <= asOf, segments.starts(with: earlier.purchases) else { return nil }
        return HistoryChange(
            segmentCount: earlier.purchases.count,
            windows: earlier.asOf < asOf
                ? [AsOfWindow(after: earlier.asOf, through: asOf, clock: plan.clock)] : [])
    }

    private func scores(of bought: PurchaseMatrix) throws(EngineError) -> AffinityScores {
        let (products, factors) = (model.products, model.productFactors)
        let matrix = bought.rearranged(to: products)
        let fitted = FittedALS(parameters: parameters, itemFactors: factors)
        let customerFactors = try modelErrors("affinity") {
            () throws(ModelError) in
            try ImplicitALS.foldIn(matrix, into: fitted, threadCount: threadCount)
        }
        var topProducts = try modelErrors("affinity") {
            () throws(ModelError) in
            try TopN(
                itemFactors: factors, itemCount: products.count,
                factorCount: parameters.factorCount
            ).top(
                plan.affinity.topProductCount, queryFactors: customerFactors,
                excluding: plan.affinity.excludePurchased ? matrix : nil,
                threadCount: threadCount)
        }
        // Who bought none of the model's products has no factors: every product would score 0, and
        // the first ones in the list would look like a choice. The server says tooLittleHistory.
        let width = parameters.factorCount
        for row in 0..<matrix.rowCount
        where customerFactors[row * width..<(row + 1) * width].allSatisfy({ $0 == 0 }) {
            topProducts.clear(row)
        }
        return AffinityScores(
            contents: AffinityContents(
                factorCount: width, customerFactors: customerFactors,
                productIDs: .texts(products), productFactors: factors,
                purchasedOffsets: matrix.rowOffsets, purchasedProducts: matrix.columnIndices),
            topProducts: topProducts)
    }

    /// The scores of an earlier generation with those of some customers in their places.
    private func merge(
        _ earlier: AffinityCache.Contents, _ fresh: AffinityScores, _ carried: CarriedRows
    ) -> AffinityScores {
        let width = parameters.factorCount
        let sources = carried.sources
        var result = fresh
        var factors = [Float](repeating: 0, count: sources.count * width)
        parallelFill(&factors, rowWidth: width, chunkRows: 4_096, threadCount: threadCount) {
            rows, slice in
            earlier.customerFactors.withSpan { old in
                let new = fresh.contents.customerFactors.span
                for row in rows {
                    let target = (row - rows.lowerBound) * width
                    let source = sources[row]
                    for j in 0..<width {
                        slice[target + j] =
                            source >= 0 ? old[source * width + j] : new[~source * width + j]
                    }
                }
            }
        }
        result.contents.customerFactors = factors
        var offsets = [0]
        offsets.reserveCapacity(sources.count + 1)
        var products: [Int32] = []
        products.reserveCapacity(
            earlier.purchasedProducts.count + fresh.contents.purchasedProducts.count)
        earlier.purchasedOffsets.withSpan { oldOffsets in
            earlier.purchasedProducts.withSpan { old in
                for source in sources {
                    if source >= 0 {
                        for i in Int(oldOffsets[source])..<Int(oldOffsets[source + 1]) {
                            products.append(old[i])
                        }
                    } else {
                        let new = fresh.contents.purchasedOffsets
                        products +=
                            fresh.contents.purchasedProducts[new[~source]..<new[~source + 1]]
                    }
                    offsets.append(products.count)
                }
            }
        }
        (result.contents.purchasedOffsets, result.contents.purchasedProducts) = (offsets, products)
        let places = fresh.topProducts.width
        var entries = [TopN.Entry](repeating: .none, count: sources.count * places)
        parallelFill(&entries, rowWidth: places, chunkRows: 4_096, threadCount: threadCount) {
            rows, slice in
            earlier.topItems.withSpan { old in
                for row in rows {
                    let target = (row - rows.lowerBound) * places
                    let source = sources[row]
                    for place in 0..<places {
                        if source >= 0 {
                            let item = old[source * places + place]
                            slice[target + place] =
                                item < 0 ? .none : TopN.Entry(item: item, score: 0)
                        } else {
                            slice[target + place] = fresh.topProducts[~source, place] ?? .none
                        }
                    }
                }
            }
        }
        result.topProducts = TopLists(
            width: places, entries: entries, queryCount: sources.count)
        return result
    }
}

extension PurchaseMatrix {
    /// The same purchases with the columns of `target`; products that it lacks are left out.
    func rearranged(to target: TextArray) -> SparseMatrix {
        if products == target { return sparse }
        var columnOfText: [ArraySlice<UInt8>: Int32] = [:]
        for column in 0..<target.count { columnOfText[target.utf8(column)] = Int32(column) }
        let columns = (0..<products.count).map { columnOfText[products.utf8($0)] }
        var newOffsets = [0]
        var newColumns: [Int32] = []
        var newValues: [Float] = []
        newOffsets.reserveCapacity(rowOffsets.count)
        var row: [(column: Int32, value: Float)] = []
        for index in 0..<rowCount {
            row.removeAll(keepingCapacity: true)
            for position in rowOffsets[index]..<rowOffsets[index + 1] {
                guard let column = columns[Int(productCodes[position])] else { continue }
                row.append((column, values[position]))
            }
            row.sort { $0.column < $1.column }
            newColumns += row.lazy.map(\.column)
            newValues += row.lazy.map(\.value)
            newOffsets.append(newColumns.count)
        }
        return SparseMatrix(
            rowCount: rowCount, columnCount: target.count, rowOffsets: newOffsets,
            columnIndices: newColumns, values: newValues)
    }
}
