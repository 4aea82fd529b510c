// Scalar twins of MixedTiles.swift.
#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `mixedDistances`.
@inline(never)
package func scalarMixedDistances(
    _ points: UnsafePointer<Float>, _ numericCount: Int, _ codes: UnsafePointer<Int32>,
    _ categoryCount: Int, _ means: UnsafePointer<Float>, _ modes: UnsafePointer<Int32>,
    _ costs: UnsafePointer<Float>, _ groupCount: Int, _ distances: UnsafeMutablePointer<Float>
) {
    for prototype in 0..<groupCount * groupWidth {
        let (group, place) = (prototype / groupWidth, prototype % groupWidth)
        let mean = means + group * numericCount * groupWidth + place
        let mode = modes + group * categoryCount * groupWidth + place
        for row in 0..<blockRowCount {
            var sum: Float = 0
            for j in 0..<numericCount {
                let difference = points[j * blockRowCount + row] - mean[j * groupWidth]
                sum += difference * difference
            }
            for j in 0..<categoryCount {
                let code = codes[j * blockRowCount + row]
                if code >= 0 && code != mode[j * groupWidth] { sum += costs[j] }
            }
            distances[prototype * blockRowCount + row] = sum
        }
    }
}

/// Scalar twin of `keepNearest`.
@inline(never)
package func scalarKeepNearest(
    _ distances: UnsafePointer<Float>, _ count: Int, _ firstIndex: Int32,
    _ labels: UnsafeMutablePointer<Int32>, _ nearest: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        for row in 0..<blockRowCount where distances[i * blockRowCount + row] < nearest[row] {
            nearest[row] = distances[i * blockRowCount + row]
            labels[row] = firstIndex + Int32(i)
        }
    }
}
#endif
