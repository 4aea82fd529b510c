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

/// Scalar twin of `accumulateRows`.
@inline(never)
package func scalarAccumulateRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafePointer<Int32>, _ labelCount: Int,
    _ sums: UnsafeMutablePointer<Double>, _ counts: UnsafeMutablePointer<Int64>
) {
    for row in 0..<rowCount {
        let point =
            points + (row / blockRowCount) * blockRowCount * featureCount
            + row % blockRowCount
        let label = Int(labels[row])
        counts[label] += 1
        for j in 0..<featureCount {
            sums[j * labelCount + label] += Double(point[j * blockRowCount])
        }
    }
}

/// Scalar twin of `scoreBlock`.
@inline(never)
package func scalarScoreBlock(
    _ items: UnsafePointer<Float>, _ featureCount: Int,
    _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ scores: UnsafeMutablePointer<Float>, _ maxima: UnsafeMutablePointer<Float>
) {
    for q in 0..<groupCount * groupWidth {
        let query = queries + (q / groupWidth) * featureCount * groupWidth + q % groupWidth
        var largest = -Float.infinity
        for row in 0..<blockRowCount {
            var score: Float = 0
            for j in 0..<featureCount {
                score += items[j * blockRowCount + row] * query[j * groupWidth]
            }
            scores[q * blockRowCount + row] = score
            if score > largest { largest = score }
        }
        maxima[q] = largest
    }
}

/// Scalar twin of `squaredDistancesBlock`.
@inline(never)
package func scalarSquaredDistancesBlock(
    _ points: UnsafePointer<Float>, _ featureCount: Int,
    _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ distances: UnsafeMutablePointer<Float>
) {
    for q in 0..<groupCount * groupWidth {
        let query = queries + (q / groupWidth) * featureCount * groupWidth + q % groupWidth
        for row in 0..<blockRowCount {
            var sum: Float = 0
            for j in 0..<featureCount {
                let difference = points[j * blockRowCount + row] - query[j * groupWidth]
                sum += difference * difference
            }
            distances[q * blockRowCount + row] = sum
        }
    }
}

#endif
