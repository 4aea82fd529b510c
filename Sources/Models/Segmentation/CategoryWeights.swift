import Numerical

/// What a mismatch of categories costs beside squared differences of numbers.
enum CategoryWeights {
    /// The mean variance of the numbers over the mean heterogeneity 1 - Σ p² of the categories, p
    /// being the shares of a column's categories: half the mean squared difference of two rows'
    /// numbers over the chance that their categories differ. Columns that do not vary say nothing
    /// and are left out; 1 where there are no numbers or no categories that vary. A missing
    /// category is none of the shares. Held within 1e-30 ... `KPrototypes.largestGamma`, so that
    /// single precision has it.
    ///
    /// With z-scores it is 1 over the mean heterogeneity: 1 for columns of many even categories,
    /// 2 for halves. Z. Huang ("Clustering large data sets with mixed numeric and categorical
    /// values", PAKDD 1997, section 4) goes by the mean standard deviation alone, 1/3 to 2/3 of it,
    /// which has another unit than the squares it is added to, and knows nothing of how often the
    /// categories differ. No fixed value serves all data: A. Foss and M. Markatou, "kamila:
    /// clustering mixed-type data in R and Hadoop", J. Stat. Software 83(13), 2018, section 2.
    ///
    /// Source: G. Szepannek, "clustMixType: user-friendly clustering of mixed-type data in R", R
    /// Journal 10(2), 2018, section "Choice of λ", variances and heterogeneities.
    static func gamma(_ rows: MixedRows, _ orders: [CodeOrder?], threadCount: Int) -> Double {
        let varying = variances(rows.numeric, threadCount: threadCount).filter { $0 > 0 }
        let categories = rows.categories
        let heterogeneities = parallelMap(
            count: categories.columnCount, chunkSize: 1, threadCount: threadCount
        ) { column, _ in
            heterogeneity(orders[column]?.counts ?? counts(categories, column))
        }.filter { $0 > 0 }
        guard !varying.isEmpty, !heterogeneities.isEmpty else { return 1 }
        let variance = varying.reduce(0, +) / Double(varying.count)
        let meanHeterogeneity = heterogeneities.reduce(0, +) / Double(heterogeneities.count)
        return min(max(variance / meanHeterogeneity, 1e-30), KPrototypes.largestGamma)
    }

    private static func counts(_ categories: CategoryMatrix, _ column: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: categories.codeCounts[column])
        for code in categories.column(column) where code >= 0 { counts[Int(code)] += 1 }
        return counts
    }

    /// 1 - Σ p²; 0 where at most one category occurs.
    static func heterogeneity(_ counts: [Int]) -> Double {
        let total = Double(counts.reduce(0, +))
        guard counts.count(where: { $0 > 0 }) > 1 else { return 0 }
        return 1 - counts.reduce(0.0) { $0 + (Double($1) / total) * (Double($1) / total) }
    }

    /// Of each feature, about its first value, so that no digits are lost far from 0.
    static func variances(_ points: FeatureMatrix, threadCount: Int) -> [Double] {
        if points.rowCount == 0 { return [] }
        let d = points.featureCount
        let size = FeatureMatrix.blockRowCount
        let first = points.row(0).map { Double($0) }
        let parts = parallelMap(
            count: points.rowCount, chunkSize: 1024 * size, threadCount: threadCount
        ) { _, rows in
            var sums = [Double](repeating: 0, count: 2 * d)
            let values = points.storage.span
            for block in stride(from: rows.lowerBound, to: rows.upperBound, by: size) {
                let used = min(size, rows.upperBound - block)
                for j in 0..<d {
                    let start = FeatureMatrix.position(block, j, d)
                    var (sum, squares) = (0.0, 0.0)
                    for i in start..<start + used {
                        let value = Double(values[i]) - first[j]
                        sum += value
                        squares += value * value
                    }
                    sums[j] += sum
                    sums[d + j] += squares
                }
            }
            return sums
        }
        let n = Double(points.rowCount)
        return (0..<d).map { j in
            let sum = parts.reduce(0.0) { $0 + $1[j] }
            let squares = parts.reduce(0.0) { $0 + $1[d + j] }
            return max(0, squares / n - (sum / n) * (sum / n))
        }
    }
}
