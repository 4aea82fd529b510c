// The bound tests of k-means: which rows may change their cluster, and against which centroids.
// The proofs are in Numerical/CentroidBounds.swift.

/// Lists the rows whose margin does not exceed the threshold of their label.
/// - Parameters:
///   - labels, margins: `[rowCount]`.
///   - thresholds: a value a label, each at most `largest`.
///   - rows: `[rowCount]`, out: ascending.
/// - Returns: rows listed.
@inline(never)
package func failingRows(
    _ labels: UnsafePointer<Int32>, _ margins: UnsafePointer<Float>, _ rowCount: Int,
    _ thresholds: UnsafePointer<Float>, _ largest: Float, _ rows: UnsafeMutablePointer<Int32>
) -> Int {
    var count = 0
    var first = 0
    // Sixteen rows at once against the largest threshold: most of a settled fit passes here, and
    // only the others look their own one up.
    let all = splat(largest)
    let width = 16
    while first + width <= rowCount {
        var least = load(margins + first)
        var i = laneCount
        while i < width {
            let next = load(margins + first + i)
            least.replace(with: next, where: next .< least)
            i += laneCount
        }
        let surplus = horizontalLeast(least - all)
        if surplus <= 0 {
            for row in first..<first + width {
                rows[count] = Int32(truncatingIfNeeded: row)
                count += margins[row] > thresholds[Int(labels[row])] ? 0 : 1
            }
        }
        first += width
    }
    while first < rowCount {
        rows[count] = Int32(truncatingIfNeeded: first)
        count += margins[first] > thresholds[Int(labels[first])] ? 0 : 1
        first += 1
    }
    return count
}

@inline(__always)
private func horizontalLeast(_ value: Lanes) -> Float {
    #if KERNELS_AVX512
    var eight = value.lowHalf
    eight.replace(with: value.highHalf, where: value.highHalf .< eight)
    var four = eight.lowHalf
    four.replace(with: eight.highHalf, where: eight.highHalf .< four)
    #elseif KERNELS_AVX2
    var four = value.lowHalf
    four.replace(with: value.highHalf, where: value.highHalf .< four)
    #else
    let four = value
    #endif
    let left = four.x < four.y ? four.x : four.y
    let right = four.z < four.w ? four.z : four.w
    return left < right ? left : right
}

/// Copies points, rows of a feature-major matrix, side by side into one block.
/// - Parameters:
///   - points: blocks of `[featureCount × 64]`.
///   - rows: `[count]`, at most 64.
///   - tile: one block `[featureCount × 64]`; the lanes from `count` on stay as they are.
@inline(never)
package func gatherPoints(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ rows: UnsafePointer<Int32>,
    _ count: Int, _ tile: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let row = Int(rows[i])
        var x = points + row / blockRowCount * blockRowCount * featureCount + row % blockRowCount
        var y = tile + i
        for _ in 0..<featureCount {
            y[0] = x[0]
            x += blockRowCount
            y += blockRowCount
        }
    }
}

/// Reads the blocks in which several of the listed rows are from front to back, so that they come
/// in one stream instead of line by line in the order of the labels.
/// - Parameters:
///   - rows: `[count]`, ascending.
/// - Returns: a sum that means nothing, so that the reads are not left out.
@inline(never)
package func touchBlocks(
    _ points: UnsafePointer<Float>, _ featureCount: Int, _ rows: UnsafePointer<Int32>,
    _ count: Int
) -> Float {
    let cacheLine = 16
    var sum: Float = 0
    var i = 0
    while i < count {
        let block = Int(rows[i]) / blockRowCount
        var end = i + 1
        while end < count && Int(rows[end]) / blockRowCount == block { end += 1 }
        // A row is a line of each feature, a block four of them.
        if end - i >= 2 {
            let values = points + block * blockRowCount * featureCount
            var line = 0
            while line < blockRowCount * featureCount {
                sum +=
                    values[line] + values[line + cacheLine]
                    + (values[line + 2 * cacheLine] + values[line + 3 * cacheLine])
                line += blockRowCount
            }
        }
        i = end
    }
    return sum
}

/// Squared norms of a block's rows and their squared distances to one centroid, by differences.
/// - Parameters:
///   - points: one block `[featureCount × 64]`.
///   - rowCount: at most 64; whole vectors are written beyond it.
///   - centroid: `[featureCount]`.
///   - norms, distances: `[64]`, out.
@inline(never)
package func normsAndDistances(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroid: UnsafePointer<Float>, _ norms: UnsafeMutablePointer<Float>,
    _ distances: UnsafeMutablePointer<Float>
) {
    var row = 0
    while row < rowCount {
        var (norm, distance) = (Lanes.zero, Lanes.zero)
        var x = points + row
        for j in 0..<featureCount {
            let value = load(x)
            let difference = value - splat(centroid[j])
            norm = multiplyAdd(norm, value, value)
            distance = multiplyAdd(distance, difference, difference)
            x += blockRowCount
        }
        store(norm, norms + row)
        store(distance, distances + row)
        row += laneCount
    }
}

/// Collects the centroids within some distance of one of them, as `assignRanked` reads them.
/// - Parameters:
///   - distances: squared distances: of `centroid` to `c` at
///     `(c / 64 · paddedCount + centroid) · 64 + c % 64`.
///   - limit: centroids farther than this are left out.
///   - centroids: `[clusterCount × featureCount]`, row-major; `offsets` their `-|c|²/2`.
///   - groups: groups of `[featureCount × 4]`, out; `groupOffsets` and `indices` `[groups × 4]`;
///     the padding of the last group has the offset minus infinity.
/// - Returns: groups written.
@inline(never)
package func packNearCentroids(
    _ distances: UnsafePointer<Float>, _ centroid: Int, _ paddedCount: Int, _ limit: Float,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>, _ clusterCount: Int,
    _ featureCount: Int, _ groups: UnsafeMutablePointer<Float>,
    _ groupOffsets: UnsafeMutablePointer<Float>, _ indices: UnsafeMutablePointer<Int32>
) -> Int {
    var count = 0
    var first = 0
    while first < clusterCount {
        let near =
            distances + (first / blockRowCount * paddedCount + centroid) * blockRowCount
        let end = min(blockRowCount, clusterCount - first)
        var i = 0
        while i < end {
            // Sixteen at once: few centroids are near.
            var least = load(near + i)
            var next = i + laneCount
            while next < i + 16 {
                let values = load(near + next)
                least.replace(with: values, where: values .< least)
                next += laneCount
            }
            if horizontalLeast(least) <= limit {
                for c in i..<min(i + 16, end) {
                    indices[count] = Int32(truncatingIfNeeded: first + c)
                    count += near[c] > limit ? 0 : 1
                }
            }
            i += 16
        }
        first += blockRowCount
    }
    let groupCount = (count + groupWidth - 1) / groupWidth
    for i in 0..<groupCount * groupWidth {
        let target = groups + i / groupWidth * featureCount * groupWidth + i % groupWidth
        if i < count {
            let index = Int(indices[i])
            groupOffsets[i] = offsets[index]
            let source = centroids + index * featureCount
            for j in 0..<featureCount { target[j * groupWidth] = source[j] }
        } else {
            (groupOffsets[i], indices[i]) = (-.infinity, 0)
            for j in 0..<featureCount { target[j * groupWidth] = 0 }
        }
    }
    return groupCount
}

/// How far each row is from changing its cluster.
/// - Parameters:
///   - scores, seconds: the largest and second largest `x·c - |c|²/2` of a row.
///   - norms: squared norms.
///   - reach: the centroids left out are farther than this from the centroid that `own` is the
///     squared distance to; infinity where none was left out.
///   - share, floor: the rounding of a score, relative and absolute.
///   - margins, uppers: `[count]`, out; the second is not less than the distance to the nearest
///     centroid.
@inline(never)
package func rowMargins(
    _ scores: UnsafePointer<Float>, _ seconds: UnsafePointer<Float>, _ norms: UnsafePointer<Float>,
    _ own: UnsafePointer<Float>, _ count: Int, _ reach: Float, _ share: Float, _ floor: Float,
    _ margins: UnsafeMutablePointer<Float>, _ uppers: UnsafeMutablePointer<Float>
) {
    let root = (6 * share).squareRoot()
    for i in 0..<count {
        let norm = norms[i]
        let length = norm.squareRoot()
        let nearest = norm - 2 * scores[i]
        let upper =
            (1 + 3 * share)
            * (2.5 * share * length + ((nearest > 0 ? nearest : 0) + 9 * share * norm).squareRoot())
            + floor
        let next = norm - 2 * seconds[i] - 8 * share * norm
        let evaluated =
            (1 - 2 * share) * ((next > 0 ? next : 0).squareRoot() - 2.5 * share * length) - floor
        let leftOut = reach - (own[i].squareRoot() * (1 + share) + floor)
        let lower = evaluated < leftOut ? evaluated : leftOut
        let least = 2 * upper > root * length ? 2 * upper : root * length
        // A row on its centroid at the origin has no length at all.
        let guardLength =
            share * (6 * norm / (least > floor ? least : floor) + 4 * length + 2 * lower) + floor
        margins[i] = lower - upper - guardLength
        uppers[i] = upper
    }
}
