import Numerical

/// Items as a pass over them reads them: blocks of 64, the longest items first.
///
/// No scalar product exceeds the product of the lengths. Where the lengths vary, as they do for
/// factors of products that sell unequally, most queries reach their answer in the first blocks.
struct TopItems: Sendable {
    /// Rows in the order of the pass.
    let matrix: FeatureMatrix
    /// `[blockCount × 64]`: the item in each place.
    let ids: [Int32]
    /// `[itemCount]`: the place of each item; -1 for one that was left out.
    let places: [Int32]
    /// `[blockCount]`: the length of a block's longest item, rounded up; infinity where the order
    /// is that of the ids, which knows no end before the last block.
    let reaches: [Float]
    /// `[blockCount]`: which places hold items.
    let occupied: [UInt64]
    let isByLength: Bool

    var blockCount: Int { matrix.blockCount }
    var placeCount: Int { matrix.rowCount }

    /// - Parameters:
    ///   - factors: `[lengths.count × factorCount]`, row-major.
    ///   - lengths: of the items, rounded up.
    init(
        _ factors: Span<Float>, lengths: [Float], factorCount: Int, isByLength: Bool,
        kernels: KernelTable
    ) {
        // Lengths are not negative: their bits order as they do. One sort of integers.
        let keys = lengths.indices.map { item in
            (isByLength ? UInt64(~lengths[item].bitPattern) << 32 : 0) | UInt64(item)
        }
        let ids = (isByLength ? keys.sorted() : keys).map { Int32(truncatingIfNeeded: $0) }
        var matrix = FeatureMatrix(rowCount: ids.count, featureCount: factorCount)
        matrix.fillBlocks(chunkBlocks: 16, threadCount: 1) { rows, values in
            var gathered = [Float](repeating: 0, count: rows.count * factorCount)
            for (i, place) in rows.enumerated() {
                let (source, target) = (Int(ids[place]) * factorCount, i * factorCount)
                for j in 0..<factorCount { gathered[target + j] = factors[source + j] }
            }
            kernels.transpose(gathered.span, featureCount: factorCount, into: &values)
        }
        self.init(
            matrix: matrix, ids: ids, itemCount: ids.count, isByLength: isByLength,
            length: { lengths[Int(ids[$0])] })
    }

    private init(
        matrix: FeatureMatrix, ids: [Int32], itemCount: Int, isByLength: Bool,
        length: (Int) -> Float
    ) {
        let size = FeatureMatrix.blockRowCount
        self.matrix = matrix
        self.isByLength = isByLength
        var places = [Int32](repeating: -1, count: itemCount)
        for place in ids.indices { places[Int(ids[place])] = Int32(place) }
        self.places = places
        self.ids =
            ids + [Int32](repeating: -1, count: matrix.blockCount * size - ids.count)
        occupied = Bitmap(count: ids.count, repeating: true).words
        reaches = (0..<matrix.blockCount).map { isByLength ? length($0 * size) : .infinity }
    }

    /// The same without the items that are not eligible.
    func compacted(to eligible: Bitmap) -> TopItems {
        let kept = (0..<placeCount).filter { eligible[Int(ids[$0])] }
        let (source, size) = (matrix, FeatureMatrix.blockRowCount)
        var smaller = FeatureMatrix(rowCount: kept.count, featureCount: source.featureCount)
        smaller.fillBlocks(chunkBlocks: 16, threadCount: 1) { rows, values in
            for place in rows {
                let target = FeatureMatrix.position(
                    place - rows.lowerBound, 0, source.featureCount)
                for j in 0..<source.featureCount {
                    values[target + j * size] = source[kept[place], j]
                }
            }
        }
        // A block is as long as the one that its first item was in: a bound as good.
        let reaches = reaches
        return TopItems(
            matrix: smaller, ids: kept.map { ids[$0] }, itemCount: places.count,
            isByLength: isByLength, length: { reaches[kept[$0] / size] })
    }

    /// Which places may be answers.
    func allowed(_ eligible: Bitmap?) -> [UInt64] {
        guard let eligible else { return occupied }
        var words = occupied
        for place in 0..<placeCount where !eligible[Int(ids[place])] {
            words[place >> 6] &= ~(1 << UInt64(place & 63))
        }
        return words
    }
}
