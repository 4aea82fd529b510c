import ByteCoding

extension SnapshotContents {
    /// The most columns of one snapshot: a look-up's column list is charged against it.
    package static let maximumColumnCount = 1024

    /// Throws `invalidSnapshotContents` where the arrays do not fit together, an id comes twice or
    /// out of order, or a score that says it is valid is not a finite number.
    package func validate() throws(EngineError) {
        func fail(_ reason: String) throws(EngineError) -> Never {
            throw .invalidSnapshotContents(reason: reason)
        }
        let rowCount = customerIDs.count
        if generation < 1 { try fail("generation \(generation) is not 1 or more") }
        if rowCount > Int(Int32.max) { try fail("\(rowCount) customers, at most \(Int32.max)") }
        for row in stride(from: 1, to: rowCount, by: 1) where !customerIDs.precedes(row - 1, row) {
            try fail("customer ids of rows \(row - 1) and \(row) are not ascending")
        }
        if status.count != rowCount { try fail("\(status.count) statuses for \(rowCount) rows") }
        for (row, status) in status.enumerated() where ScoreStatus(rawValue: status) == nil {
            try fail("row \(row) has status \(status), which does not exist")
        }
        if columns.count > Self.maximumColumnCount {
            try fail("\(columns.count) columns, at most \(Self.maximumColumnCount)")
        }
        if Set(columns.map(\.id)).count != columns.count { try fail("a column id comes twice") }
        if Set(columns.map(\.name)).count != columns.count { try fail("a column name comes twice") }
        for column in columns {
            if let problem = column.problem(rowCount: rowCount) {
                try fail("column \(column.name): \(problem)")
            }
        }
        if let problem = affinity?.problem(customerCount: rowCount) {
            try fail("affinity: \(problem)")
        }
        if let problem = offers?.problem(
            customerCount: rowCount, productCount: affinity?.productIDs.count ?? 0,
            factorCount: affinity?.factorCount ?? 0)
        {
            try fail("offers: \(problem)")
        }
        for table in segments {
            if Set(table.segments.map(\.number)).count != table.segments.count {
                try fail("segmentation \(table.segmentation): a segment number comes twice")
            }
            for segment in table.segments where !segment.isFinite {
                try fail("segmentation \(table.segmentation): \(segment.name) is not finite")
            }
        }
    }
}

extension ScoreColumn {
    /// Why this is no column of `rowCount` rows; nil where it is one.
    fileprivate func problem(rowCount: Int) -> String? {
        if count != rowCount { return "\(count) values for \(rowCount) rows" }
        if let valid, valid.count != rowCount { return "\(valid.count) flags, \(rowCount) rows" }
        func firstNonFinite(_ isFinite: (Int) -> Bool) -> String? {
            for row in 0..<rowCount where valid?[row] != false && !isFinite(row) {
                return "row \(row) is not finite but flagged valid"
            }
            return nil
        }
        switch values {
        case .int32: return nil
        case .float32(let values): return firstNonFinite { values[$0].isFinite }
        case .float64(let values): return firstNonFinite { values[$0].isFinite }
        }
    }
}

extension AffinityContents {
    fileprivate func problem(customerCount: Int) -> String? {
        let productCount = productIDs.count
        if let base {
            if base.places.count != customerCount { return "\(base.places.count) places" }
            let rowCount = base.rowCount + purchasedOffsets.count - 1
            if !base.places.allSatisfy({ 0 <= $0 && Int($0) < rowCount }) {
                return "a place beyond \(rowCount) rows"
            }
        }
        let customerCount = base == nil ? customerCount : purchasedOffsets.count - 1
        if topItems.count != customerCount * topItemCount { return "\(topItems.count) top items" }
        if !(1...Self.maximumFactorCount).contains(factorCount) { return "\(factorCount) factors" }
        if customerFactors.count != customerCount * factorCount {
            return "\(customerFactors.count) customer factors, \(customerCount) x \(factorCount)"
        }
        if productFactors.count != productCount * factorCount {
            return "\(productFactors.count) product factors, \(productCount) x \(factorCount)"
        }
        if !customerFactors.allSatisfy(\.isFinite) || !productFactors.allSatisfy(\.isFinite) {
            return "a factor is not finite"
        }
        if purchasedOffsets.count != customerCount + 1 || purchasedOffsets.first != 0
            || purchasedOffsets.last != purchasedProducts.count
        {
            return "offsets do not span the purchased products"
        }
        if !purchasedScores.isEmpty && purchasedScores.count != purchasedProducts.count {
            return "\(purchasedScores.count) scores of \(purchasedProducts.count) purchases"
        }
        if !purchasedCounts.isEmpty && purchasedCounts.count != purchasedProducts.count {
            return "\(purchasedCounts.count) counts of \(purchasedProducts.count) purchases"
        }
        if !purchasedOpportunities.isEmpty
            && (purchasedOpportunities.count != purchasedProducts.count
                || !purchasedOpportunities.allSatisfy({ $0 >= 0 && $0.isFinite }))
        {
            return "\(purchasedOpportunities.count) counts of later baskets, not one at least 0 of "
                + "each of \(purchasedProducts.count) purchases"
        }
        if !lastBasketDays.isEmpty && lastBasketDays.count != customerCount {
            return "\(lastBasketDays.count) days of last baskets of \(customerCount) customers"
        }
        if !purchasedCounts.allSatisfy({ $0 >= 0 && $0.isFinite }) {
            return "a count of a purchase is not finite or below 0"
        }
        if !purchasedScores.allSatisfy(\.isFinite) { return "a score of a purchase is not finite" }
        for customer in 0..<customerCount {
            let (start, end) = (purchasedOffsets[customer], purchasedOffsets[customer + 1])
            if start > end || end > purchasedProducts.count {
                return "offsets decrease at row \(customer)"
            }
            var previous: Int32 = -1
            for product in purchasedProducts[start..<end] {
                if product <= previous || Int(product) >= productCount {
                    return "purchased products of row \(customer) are not ascending rows"
                }
                previous = product
            }
        }
        return nil
    }
}

extension OfferContents {
    fileprivate func problem(
        customerCount: Int, productCount: Int, factorCount: Int
    ) -> String? {
        let counts = [
            productCategories.count, productPrices.count, productMargins.count,
            productsInStock.count,
        ]
        if counts.contains(where: { $0 != productCount }) {
            return "\(counts) details of \(productCount) products"
        }
        if card.repeats != nil, repeatRates.count != productCount {
            return "\(repeatRates.count) repeat rates of \(productCount) products"
        }
        if ![0, customerCount].contains(customerLifts.count) {
            return "\(customerLifts.count) lifts of \(customerCount) customers"
        }
        if coldFactors.count != coldCustomers.count * factorCount {
            return "\(coldFactors.count) factors of \(coldCustomers.count) customers"
        }
        let areFinite =
            productPrices.allSatisfy { $0 >= 0 && $0.isFinite }
            && productMargins.allSatisfy(\.isFinite) && coldFactors.allSatisfy(\.isFinite)
            && customerLifts.allSatisfy { $0 > 0 && $0.isFinite }
        return areFinite ? nil : "a number is not finite or negative"
    }
}

extension SegmentTable.Segment {
    fileprivate var isFinite: Bool {
        revenue.isFinite && margin?.isFinite != false && meanLifetimeValue?.isFinite != false
            && meanChurnProbability?.isFinite != false
            && meanExpectedPurchases?.isFinite != false
    }
}
