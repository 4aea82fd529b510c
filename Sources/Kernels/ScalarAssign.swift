// The scalar twins: the same signatures and the same meaning, one value at a time. Tests compare
// every build with them; PATRON_ISA=scalar runs them.
#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `assignRows`.
@inline(never)
package func scalarAssignRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>
) {
    for row in 0..<rowCount {
        let point =
            points + (row / blockRowCount) * blockRowCount * featureCount
            + row % blockRowCount
        var best = -Float.infinity
        var label: Int32 = 0
        for c in 0..<groupCount * groupWidth {
            let centroid = centroids + (c / groupWidth) * featureCount * groupWidth
            var score = offsets[c]
            for j in 0..<featureCount {
                score += point[j * blockRowCount] * centroid[j * groupWidth + c % groupWidth]
            }
            if score > best {
                best = score
                label = Int32(c)
            }
        }
        labels[row] = label
        scores[row] = best
    }
}

/// Scalar twin of `assignAndMoveRows`.
@inline(never)
package func scalarAssignAndMoveRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>, _ groupCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ recount: Bool, _ sums: UnsafeMutablePointer<Double>,
    _ counts: UnsafeMutablePointer<Int64>, _ scratch: UnsafeMutablePointer<Float>,
    _ newLabels: UnsafeMutablePointer<Int32>
) -> Int {
    var changes = 0
    var row = 0
    var block = points
    while row < rowCount {
        let count = min(blockRowCount, rowCount - row)
        scalarAssignRows(
            block, count, featureCount, centroids, offsets, groupCount, newLabels, scratch)
        changes += scalarMoveRows(
            block, count, featureCount, labels + row, newLabels, recount, sums, counts)
        block += blockRowCount * featureCount
        row += blockRowCount
    }
    return changes
}

/// Scalar twin of `moveRows`.
@inline(never)
package func scalarMoveRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ newLabels: UnsafePointer<Int32>, _ recount: Bool,
    _ sums: UnsafeMutablePointer<Double>, _ counts: UnsafeMutablePointer<Int64>
) -> Int {
    var changes = 0
    for row in 0..<rowCount {
        let (old, new) = (Int(labels[row]), Int(newLabels[row]))
        if old != new { changes += 1 }
        labels[row] = newLabels[row]
        let isMoved = old != new || recount
        if !isMoved { continue }
        if old >= 0 && !recount {
            counts[old] -= 1
            for j in 0..<featureCount {
                sums[old * featureCount + j] -= Double(points[j * blockRowCount + row])
            }
        }
        counts[new] += 1
        for j in 0..<featureCount {
            sums[new * featureCount + j] += Double(points[j * blockRowCount + row])
        }
    }
    return changes
}

/// Scalar twin of `assignRanked`.
@inline(never)
package func scalarAssignRanked(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroids: UnsafePointer<Float>, _ offsets: UnsafePointer<Float>,
    _ indices: UnsafePointer<Int32>, _ groupCount: Int, _ labels: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>, _ seconds: UnsafeMutablePointer<Float>
) {
    for row in 0..<rowCount {
        (labels[row], scores[row], seconds[row]) = (0, -.infinity, -.infinity)
        for c in 0..<groupCount * groupWidth {
            let centroid = centroids + (c / groupWidth) * featureCount * groupWidth
            var score = offsets[c]
            for j in 0..<featureCount {
                score +=
                    points[j * blockRowCount + row] * centroid[j * groupWidth + c % groupWidth]
            }
            if score > scores[row] {
                seconds[row] = scores[row]
                (scores[row], labels[row]) = (score, indices[c])
            } else if score > seconds[row] {
                seconds[row] = score
            }
        }
    }
}

/// Scalar twin of `failingRows`.
@inline(never)
package func scalarFailingRows(
    _ labels: UnsafePointer<Int32>, _ margins: UnsafePointer<Float>, _ rowCount: Int,
    _ thresholds: UnsafePointer<Float>, _ largest: Float, _ rows: UnsafeMutablePointer<Int32>
) -> Int {
    var count = 0
    for row in 0..<rowCount where !(margins[row] > thresholds[Int(labels[row])]) {
        rows[count] = Int32(row)
        count += 1
    }
    return count
}

/// Scalar twin of `normsAndDistances`.
@inline(never)
package func scalarNormsAndDistances(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ centroid: UnsafePointer<Float>, _ norms: UnsafeMutablePointer<Float>,
    _ distances: UnsafeMutablePointer<Float>
) {
    for row in 0..<rowCount {
        (norms[row], distances[row]) = (0, 0)
        for j in 0..<featureCount {
            let value = points[j * blockRowCount + row]
            let difference = value - centroid[j]
            norms[row] += value * value
            distances[row] += difference * difference
        }
    }
}

#endif
