// Rows of numbers and categories against prototypes of means and modes: the inner loop of
// k-prototypes.
//
//   points      [numericCount × 64]   one block, feature-major: lanes are rows
//   codes       [categoryCount × 64]  the same rows' categories; below 0: missing
//   means       [numericCount × 4]    a group of four prototypes, interleaved
//   modes       [categoryCount × 4]   the same prototypes' categories
//   distance    Σ (x - mean)² + Σ cost where the code is neither the mode nor missing
//
// By differences, not as x·c - |c|²/2: a row that lies on a prototype is then exactly 0 away from
// it, wherever the origin is, and the categories take most of the time anyway. Tiles of 2 vectors
// × 4 prototypes: 8 accumulators, two loads, two costs and a broadcast fit into 16 registers, and
// are as many independent additions as two units with a latency of four need.

/// Adds a category's costs where two vectors of codes are not a prototype's.
@_transparent
private func addMismatches(
    _ a: inout Lanes, _ b: inout Lanes, _ codeA: LaneIndices, _ codeB: LaneIndices,
    _ costA: Lanes, _ costB: Lanes, _ mode: Int32
) {
    let modes = LaneIndices(repeating: mode)
    a.replace(with: a + costA, where: codeA .!= modes)
    b.replace(with: b + costB, where: codeB .!= modes)
}

/// Squared distances of the 64 rows of a block to some prototypes.
///
/// - Parameters:
///   - points: `[numericCount × 64]`.
///   - codes: `[categoryCount × 64]`.
///   - means: `[groupCount]` groups of `[numericCount × 4]`.
///   - modes: `[groupCount]` groups of `[categoryCount × 4]`.
///   - costs: `[categoryCount]`, at least 0.
///   - distances: `[groupCount × 4 × 64]`, out; those of a group's padding are of no use.
@inline(never)
package func mixedDistances(
    _ points: UnsafePointer<Float>, _ numericCount: Int, _ codes: UnsafePointer<Int32>,
    _ categoryCount: Int, _ means: UnsafePointer<Float>, _ modes: UnsafePointer<Int32>,
    _ costs: UnsafePointer<Float>, _ groupCount: Int, _ distances: UnsafeMutablePointer<Float>
) {
    var groupMeans = means
    var groupModes = modes
    var target = distances
    for _ in 0..<groupCount {
        var first = 0
        while first < blockRowCount {
            var (a0, a1, a2, a3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
            var (b0, b1, b2, b3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
            var x = points + first
            var mean = groupMeans
            for _ in 0..<numericCount {
                let (xa, xb) = (load(x), load(x + laneCount))
                addSquares(&a0, &b0, xa, xb, mean[0])
                addSquares(&a1, &b1, xa, xb, mean[1])
                addSquares(&a2, &b2, xa, xb, mean[2])
                addSquares(&a3, &b3, xa, xb, mean[3])
                x += blockRowCount
                mean += groupWidth
            }
            var code = codes + first
            var mode = groupModes
            for column in 0..<categoryCount {
                let (ca, cb) = (load(code), load(code + laneCount))
                var costA = splat(costs[column])
                var costB = costA
                costA.replace(with: Lanes.zero, where: ca .< LaneIndices.zero)
                costB.replace(with: Lanes.zero, where: cb .< LaneIndices.zero)
                addMismatches(&a0, &b0, ca, cb, costA, costB, mode[0])
                addMismatches(&a1, &b1, ca, cb, costA, costB, mode[1])
                addMismatches(&a2, &b2, ca, cb, costA, costB, mode[2])
                addMismatches(&a3, &b3, ca, cb, costA, costB, mode[3])
                code += blockRowCount
                mode += groupWidth
            }
            let out = target + first
            store4(out, a0, a1, a2, a3, blockRowCount)
            store4(out + laneCount, b0, b1, b2, b3, blockRowCount)
            first += 2 * laneCount
        }
        groupMeans += numericCount * groupWidth
        groupModes += categoryCount * groupWidth
        target += groupWidth * blockRowCount
    }
}

/// Takes a prototype's distances where they are the least so far.
@_transparent
private func lower(
    _ best: inout Lanes, _ label: inout LaneIndices, _ distance: Lanes, _ index: LaneIndices
) {
    let wins = distance .< best
    best.replace(with: distance, where: wins)
    label.replace(with: index, where: wins)
}

/// The nearest of some prototypes, kept where it is nearer than those before.
///
/// - Parameters:
///   - distances: `[count × 64]`.
///   - firstIndex: of the first of them; ties go to the lowest index, so calls go upwards.
///   - labels, nearest: `[64]`, in and out.
@inline(never)
package func keepNearest(
    _ distances: UnsafePointer<Float>, _ count: Int, _ firstIndex: Int32,
    _ labels: UnsafeMutablePointer<Int32>, _ nearest: UnsafeMutablePointer<Float>
) {
    let one = LaneIndices(repeating: 1)
    var first = 0
    while first < blockRowCount {
        var (bestA, bestB, bestC, bestD) = load4(nearest + first)
        var labelA = load(labels + first)
        var labelB = load(labels + first + laneCount)
        var labelC = load(labels + first + 2 * laneCount)
        var labelD = load(labels + first + 3 * laneCount)
        var index = LaneIndices(repeating: firstIndex)
        var source = distances + first
        for _ in 0..<count {
            lower(&bestA, &labelA, load(source), index)
            lower(&bestB, &labelB, load(source + laneCount), index)
            lower(&bestC, &labelC, load(source + 2 * laneCount), index)
            lower(&bestD, &labelD, load(source + 3 * laneCount), index)
            index = index &+ one
            source += blockRowCount
        }
        store4(nearest + first, bestA, bestB, bestC, bestD)
        store(labelA, labels + first)
        store(labelB, labels + first + laneCount)
        store(labelC, labels + first + 2 * laneCount)
        store(labelD, labels + first + 3 * laneCount)
        first += 4 * laneCount
    }
}
