// Sums over rows: of clusters, of features, of the distances to given centroids. In double
// precision; the rows come in ascending order, so every level adds the same values in the same
// order.

/// Moves the rows of one block whose label changed from one cluster's sums to another's, and
/// writes the new labels.
/// - Parameters:
///   - points: one block `[featureCount × 64]`.
///   - labels: `[rowCount]`, in and out; -1 in: the row is in no cluster yet.
///   - newLabels: `[rowCount]`.
///   - recount: the sums are zero, so every row is added whatever its label was.
///   - sums: `[labelCount × featureCount]`, in and out.
///   - counts: `[labelCount]`, in and out.
/// - Returns: rows whose label changed.
@inline(never)
package func moveRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ newLabels: UnsafePointer<Int32>, _ recount: Bool,
    _ sums: UnsafeMutablePointer<Double>, _ counts: UnsafeMutablePointer<Int64>
) -> Int {
    var difference: Int32 = 0
    for i in 0..<rowCount { difference |= labels[i] ^ newLabels[i] }
    if difference == 0 && !recount { return 0 }
    var changes = 0
    for i in 0..<rowCount {
        let (old, new) = (Int(labels[i]), Int(newLabels[i]))
        if old == new {
            if !recount { continue }
        } else {
            changes += 1
            labels[i] = newLabels[i]
        }
        let x = points + i
        let added = sums + new * featureCount
        counts[new] += 1
        if old < 0 || recount {
            var j = 0
            // Four at once, so that a row of one label does not wait for the one before it.
            while j + 4 <= featureCount {
                let s0 = added[j] + Double(x[j * blockRowCount])
                let s1 = added[j + 1] + Double(x[(j + 1) * blockRowCount])
                let s2 = added[j + 2] + Double(x[(j + 2) * blockRowCount])
                let s3 = added[j + 3] + Double(x[(j + 3) * blockRowCount])
                added[j] = s0
                added[j + 1] = s1
                added[j + 2] = s2
                added[j + 3] = s3
                j += 4
            }
            while j < featureCount {
                added[j] += Double(x[j * blockRowCount])
                j += 1
            }
        } else {
            let removed = sums + old * featureCount
            counts[old] -= 1
            for j in 0..<featureCount {
                let value = Double(x[j * blockRowCount])
                removed[j] -= value
                added[j] += value
            }
        }
    }
    return changes
}

/// Adds the features and their squares over some rows.
/// - Parameters:
///   - points: blocks of `[featureCount × 64]`; padding rows are zero.
///   - sums, squares: `[featureCount]`, in and out.
@inline(never)
package func addMoments(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ sums: UnsafeMutablePointer<Double>, _ squares: UnsafeMutablePointer<Double>
) {
    for block in 0..<blockCount {
        for feature in 0..<featureCount {
            let x = points + (block * featureCount + feature) * blockRowCount
            var (s0, s1, s2, s3) = (0.0, 0.0, 0.0, 0.0)
            var (s4, s5, s6, s7) = (0.0, 0.0, 0.0, 0.0)
            var (q0, q1, q2, q3) = (0.0, 0.0, 0.0, 0.0)
            var (q4, q5, q6, q7) = (0.0, 0.0, 0.0, 0.0)
            var i = 0
            while i < blockRowCount {
                let (x0, x1) = (Double(x[i]), Double(x[i + 1]))
                let (x2, x3) = (Double(x[i + 2]), Double(x[i + 3]))
                let (x4, x5) = (Double(x[i + 4]), Double(x[i + 5]))
                let (x6, x7) = (Double(x[i + 6]), Double(x[i + 7]))
                (s0, s1, s2, s3) = (s0 + x0, s1 + x1, s2 + x2, s3 + x3)
                (s4, s5, s6, s7) = (s4 + x4, s5 + x5, s6 + x6, s7 + x7)
                (q0, q1, q2, q3) = (q0 + x0 * x0, q1 + x1 * x1, q2 + x2 * x2, q3 + x3 * x3)
                (q4, q5, q6, q7) = (q4 + x4 * x4, q5 + x5 * x5, q6 + x6 * x6, q7 + x7 * x7)
                i += 8
            }
            sums[feature] += ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
            squares[feature] += ((q0 + q4) + (q1 + q5)) + ((q2 + q6) + (q3 + q7))
        }
    }
}

/// Squared distances of rows to the centroids that they are assigned to, by differences.
/// - Parameters:
///   - points: blocks of `[featureCount × 64]`.
///   - labels: `[rowCount]`.
///   - centroids: `[labelCount × featureCount]`, row-major.
///   - distances: `[rowCount]`, out.
@inline(never)
package func assignedDistances(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafePointer<Int32>, _ centroids: UnsafePointer<Float>,
    _ distances: UnsafeMutablePointer<Double>
) {
    for row in 0..<rowCount {
        let x =
            points + row / blockRowCount * blockRowCount * featureCount + row % blockRowCount
        let centroid = centroids + Int(labels[row]) * featureCount
        var (s0, s1, s2, s3) = (0.0, 0.0, 0.0, 0.0)
        var j = 0
        while j + 4 <= featureCount {
            let d0 = Double(x[j * blockRowCount]) - Double(centroid[j])
            let d1 = Double(x[(j + 1) * blockRowCount]) - Double(centroid[j + 1])
            let d2 = Double(x[(j + 2) * blockRowCount]) - Double(centroid[j + 2])
            let d3 = Double(x[(j + 3) * blockRowCount]) - Double(centroid[j + 3])
            s0 += d0 * d0
            s1 += d1 * d1
            s2 += d2 * d2
            s3 += d3 * d3
            j += 4
        }
        while j < featureCount {
            let difference = Double(x[j * blockRowCount]) - Double(centroid[j])
            s0 += difference * difference
            j += 1
        }
        distances[row] = (s0 + s1) + (s2 + s3)
    }
}
