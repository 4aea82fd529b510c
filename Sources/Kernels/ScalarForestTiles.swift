#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `scoreForestTile`, bit for bit: row by row, with a set of leaves a row.
@inline(never)
package func scalarScoreForestTile(
    _ tile: UnsafePointer<Float>, _ words: UnsafePointer<UInt32>, _ leaves: UnsafePointer<Double>,
    _ treeCount: Int, _ sums: UnsafeMutablePointer<Double>,
    _ scratch: UnsafeMutablePointer<UInt32>
) {
    for row in 0..<forestTileRows {
        var (head, values) = (words, leaves)
        for _ in 0..<treeCount {
            let leafCount = Int(head[1])
            let (leaf, next) =
                head[0] == 2
                ? scalarWalk(tile + row, head) : scalarPossibleLeaf(tile + row, head)
            sums[row] += values[leaf]
            values += leafCount
            head = next
        }
    }
}

private func isMember(_ code: UInt32, _ words: UnsafePointer<UInt32>, _ wordCount: Int) -> Bool {
    code / 32 < UInt32(wordCount) && words[Int(code / 32)] >> (code % 32) & 1 == 1
}

private func scalarPossibleLeaf(
    _ row: UnsafePointer<Float>, _ head: UnsafePointer<UInt32>
) -> (leaf: Int, next: UnsafePointer<UInt32>) {
    var possible = UInt64.max
    var node = head + 8
    for index in 0..<Int(head[2] + head[3] + head[4]) {
        let x = row[Int(node[0])]
        let threshold = Float(bitPattern: node[1])
        var size = 4
        let isRight: Bool
        if index < Int(head[2]) {
            isRight = x > threshold
        } else if index < Int(head[2] + head[3]) {
            isRight = x.isNaN || x > threshold
        } else {
            isRight = !isMember(x.bitPattern, node + 4, Int(node[1]))
            size += Int(node[1])
        }
        if isRight { possible &= UInt64(node[3]) << 32 | UInt64(node[2]) }
        node += size
    }
    return (possible.trailingZeroBitCount, node)
}

private func scalarWalk(
    _ row: UnsafePointer<Float>, _ head: UnsafePointer<UInt32>
) -> (leaf: Int, next: UnsafePointer<UInt32>) {
    let sets = head + 8 + 5 * Int(head[2])
    var place: Int32 = 0
    while place >= 0 {
        let node = head + 8 + 5 * Int(place)
        let x = row[Int(node[0])]
        let threshold = Float(bitPattern: node[1])
        let isRight =
            switch node[4] {
            case 0: x > threshold
            case 1: x.isNaN || x > threshold
            default:
                !isMember(x.bitPattern, sets + Int(node[1] & 0xFF_FFFF), Int(node[1] >> 24))
            }
        place = Int32(bitPattern: isRight ? node[3] : node[2])
    }
    return (Int(-1 - place), sets + Int(head[4]))
}
#endif
