import Numerical

extension LloydRun {
    /// The means of the clusters' rows. A cluster without rows moves to the row that is farthest
    /// from its own centroid (ties to the lowest row) and takes it from its cluster.
    mutating func movedCentroids(
        from centroids: [Float], _ assigned: ClusterSums
    ) throws(ModelError) -> [Float] {
        var sums = assigned
        let d = sums.featureCount
        let empty = sums.counts.indices.filter { sums.counts[$0] == 0 }
        if !empty.isEmpty {
            let far = try farthestRows(centroids, sums.counts, empty.count)
            for (cluster, row) in zip(empty, far) {
                for j in 0..<d {
                    let value = Double(row.values[j])
                    sums.values[row.label * d + j] -= value
                    sums.values[cluster * d + j] = value
                }
                sums.counts[row.label] -= 1
                sums.counts[cluster] = 1
            }
        }
        var moved = centroids
        for cluster in sums.counts.indices where sums.counts[cluster] > 0 {
            let count = Double(sums.counts[cluster])
            for i in cluster * d..<(cluster + 1) * d { moved[i] = Float(sums.values[i] / count) }
        }
        return moved
    }

    /// The rows farthest from their centroids: no two alike, none that lies on its centroid (nothing
    /// would be gained), never the last one of a cluster. Fewer than `count` where there are not
    /// as many.
    private mutating func farthestRows(
        _ centroids: [Float], _ counts: [Int64], _ count: Int
    ) throws(ModelError) -> [FarRow] {
        var listed = max(16, 2 * count)
        while true {
            let found = try distances(to: centroids, farthestCount: listed)
            if let chosen = chosenRows(found, counts, count) { return chosen }
            // Duplicates filled a shard's list: the next pass lists more.
            listed *= 8
        }
    }

    /// - Returns: nil where a row that a shard left out might come first.
    private func chosenRows(
        _ found: [ShardDistances], _ counts: [Int64], _ count: Int
    ) -> [FarRow]? {
        let rows = found.flatMap(\.farthest).sorted(by: FarRow.precedes)
        let cuts = Set(found.compactMap { $0.isCut ? $0.farthest.last?.row : nil })
        var left = counts
        var chosen: [FarRow] = []
        var values: Set<[Float]> = []
        for row in rows {
            if left[row.label] > 1 && !values.contains(row.values) {
                left[row.label] -= 1
                chosen.append(row)
                values.insert(row.values)
                if chosen.count == count { return chosen }
            }
            if cuts.contains(row.row) { return nil }
        }
        return chosen
    }
}
