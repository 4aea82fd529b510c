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
    if recount {
        return addRows(points, rowCount, featureCount, labels, newLabels, sums, counts)
    }
    var difference: Int32 = 0
    for i in 0..<rowCount { difference |= labels[i] ^ newLabels[i] }
    if difference == 0 { return 0 }
    var changes = 0
    for i in 0..<rowCount where labels[i] != newLabels[i] {
        let (old, new) = (Int(labels[i]), Int(newLabels[i]))
        changes += 1
        labels[i] = newLabels[i]
        let x = points + i
        let added = sums + new * featureCount
        counts[new] += 1
        if old < 0 {
            for j in 0..<featureCount { added[j] += Double(x[j * blockRowCount]) }
            continue
        }
        let removed = sums + old * featureCount
        counts[old] -= 1
        for j in 0..<featureCount {
            let value = Double(x[j * blockRowCount])
            removed[j] -= value
            added[j] += value
        }
    }
    return changes
}

/// `moveRows` where every row is added: four rows and four features at a time, turned in registers,
/// so that a row's features lie beside each other as its sums do.
@inline(__always)
private func addRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafeMutablePointer<Int32>, _ newLabels: UnsafePointer<Int32>,
    _ sums: UnsafeMutablePointer<Double>, _ counts: UnsafeMutablePointer<Int64>
) -> Int {
    var changes = 0
    for i in 0..<rowCount {
        changes += labels[i] == newLabels[i] ? 0 : 1
        labels[i] = newLabels[i]
        counts[Int(newLabels[i])] += 1
    }
    var row = 0
    while row + 4 <= rowCount {
        let s0 = sums + Int(newLabels[row]) * featureCount
        let s1 = sums + Int(newLabels[row + 1]) * featureCount
        let s2 = sums + Int(newLabels[row + 2]) * featureCount
        let s3 = sums + Int(newLabels[row + 3]) * featureCount
        var j = 0
        while j + 4 <= featureCount {
            let x = points + j * blockRowCount + row
            let (a, b) = (loadFour(x), loadFour(x + blockRowCount))
            let (c, d) = (loadFour(x + 2 * blockRowCount), loadFour(x + 3 * blockRowCount))
            let (ab, cd) = (
                SIMD8(lowHalf: a, highHalf: b), SIMD8(lowHalf: c, highHalf: d)
            )
            let even = SIMD8(lowHalf: ab.evenHalf, highHalf: cd.evenHalf)
            let odd = SIMD8(lowHalf: ab.oddHalf, highHalf: cd.oddHalf)
            // In row order: two of the rows may be of one cluster.
            addFour(s0 + j, even.evenHalf)
            addFour(s1 + j, odd.evenHalf)
            addFour(s2 + j, even.oddHalf)
            addFour(s3 + j, odd.oddHalf)
            j += 4
        }
        while j < featureCount {
            let x = points + j * blockRowCount + row
            s0[j] += Double(x[0])
            s1[j] += Double(x[1])
            s2[j] += Double(x[2])
            s3[j] += Double(x[3])
            j += 1
        }
        row += 4
    }
    while row < rowCount {
        let added = sums + Int(newLabels[row]) * featureCount
        for j in 0..<featureCount { added[j] += Double(points[j * blockRowCount + row]) }
        row += 1
    }
    return changes
}

@inline(__always)
private func loadFour(_ source: UnsafePointer<Float>) -> SIMD4<Float> {
    UnsafeRawPointer(source).loadUnaligned(as: SIMD4<Float>.self)
}

@inline(__always)
private func addFour(_ sums: UnsafeMutablePointer<Double>, _ x: SIMD4<Float>) {
    let raw = UnsafeMutableRawPointer(sums)
    let wide = SIMD4<Double>(Double(x.x), Double(x.y), Double(x.z), Double(x.w))
    raw.storeBytes(of: raw.loadUnaligned(as: SIMD4<Double>.self) + wide, as: SIMD4<Double>.self)
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
