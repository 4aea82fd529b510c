// Scalar twins of DistanceTiles.swift; see ScalarAssign.swift.
#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Squared distance of a row of a block to one vector of a group (or, with a stride of 1, to a plain
/// vector), by differences.
private func distance(
    _ row: UnsafePointer<Float>, _ featureCount: Int, _ vector: UnsafePointer<Float>,
    stride: Int
) -> Float {
    var sum: Float = 0
    for j in 0..<featureCount {
        let difference = row[j * blockRowCount] - vector[j * stride]
        sum += difference * difference
    }
    return sum
}

/// Scalar twin of `seedBlocks`.
@inline(never)
package func scalarSeedBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ chosen: UnsafePointer<Float>, _ candidates: UnsafePointer<Float>, _ groupCount: Int,
    _ weights: UnsafePointer<Float>?, _ scratch: UnsafeMutablePointer<Float>,
    _ closest: UnsafeMutablePointer<Float>, _ potentials: UnsafeMutablePointer<Double>
) {
    let width = groupCount * groupWidth
    potentials.update(repeating: 0, count: (blockCount + 7) / 8 * width)
    for row in 0..<blockCount * blockRowCount {
        let block = row / blockRowCount
        let point = points + block * blockRowCount * featureCount + row % blockRowCount
        closest[row] = min(closest[row], distance(point, featureCount, chosen, stride: 1))
        for c in 0..<width {
            let group = candidates + c / groupWidth * featureCount * groupWidth
            let near = min(
                closest[row],
                distance(point, featureCount, group + c % groupWidth, stride: groupWidth))
            potentials[block / 8 * width + c] += Double(near * (weights?[row] ?? 1))
        }
    }
}

/// Scalar twin of `lowerToNearestBlocks`.
@inline(never)
package func scalarLowerToNearestBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ vectors: UnsafePointer<Float>, _ groupCount: Int, _ firstIndex: Int32,
    _ scratch: UnsafeMutablePointer<Float>, _ closest: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int32>, _ potentials: UnsafeMutablePointer<Double>
) {
    potentials.update(repeating: 0, count: (blockCount + 7) / 8)
    for row in 0..<blockCount * blockRowCount {
        let block = row / blockRowCount
        let point = points + block * blockRowCount * featureCount + row % blockRowCount
        for c in 0..<groupCount * groupWidth {
            let group = vectors + c / groupWidth * featureCount * groupWidth
            let next = distance(point, featureCount, group + c % groupWidth, stride: groupWidth)
            if next < closest[row] {
                closest[row] = next
                labels[row] = firstIndex + Int32(c)
            }
        }
        potentials[block / 8] += Double(closest[row])
    }
}

/// Scalar twin of `addDistancesBlocks`.
@inline(never)
package func scalarAddDistancesBlocks(
    _ points: UnsafePointer<Float>, _ blockCount: Int, _ featureCount: Int,
    _ weights: UnsafePointer<Float>, _ queries: UnsafePointer<Float>, _ groupCount: Int,
    _ scratch: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Double>
) {
    for row in 0..<blockCount * blockRowCount {
        let block = row / blockRowCount
        let point = points + block * blockRowCount * featureCount + row % blockRowCount
        for q in 0..<groupCount * groupWidth {
            let group = queries + q / groupWidth * featureCount * groupWidth
            let squared = distance(point, featureCount, group + q % groupWidth, stride: groupWidth)
            sums[q] += Double(squared.squareRoot() * weights[row])
        }
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
            distances[q * blockRowCount + row] = distance(
                points + row, featureCount, query, stride: groupWidth)
        }
    }
}

#endif
