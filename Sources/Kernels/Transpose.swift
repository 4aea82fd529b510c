// From rows as files hold them to the blocks that the kernels read.
//
//   rows    [rowCount × featureCount]           row-major, any address
//   blocks  [ceil(rowCount / 64)] of [featureCount × 64], padding zeroed
//
// Tiles of four rows and four features are transposed in registers of four lanes, in every build.
// Squares of eight or sixteen lanes were measured 1.1 to 1.2 times as fast on cached rows of whole
// vectors, no faster on rows that come from memory, and a quarter as fast on eight features.
//
// Seen as one sequence, a tile has a value's row in the high bits of its index and the feature in the
// low ones. Parting the sequence into its even and then its odd positions rotates those bits by one;
// twice exchanges row and feature.

private let tileSide = 4

@inline(__always)
private func loadRow(_ rows: UnsafeRawPointer, _ stride: Int, _ row: Int) -> SIMD4<Float> {
    rows.loadUnaligned(fromByteOffset: row * stride, as: SIMD4<Float>.self)
}

@inline(__always)
private func storeColumn(
    _ column: SIMD4<Float>, _ target: UnsafeMutablePointer<Float>, _ feature: Int
) {
    UnsafeMutableRawPointer(target + feature * blockRowCount)
        .storeBytes(of: column, as: SIMD4<Float>.self)
}

/// 4 rows of 4 features.
@inline(__always)
private func transposeTile(
    _ rows: UnsafeRawPointer, _ stride: Int, _ target: UnsafeMutablePointer<Float>
) {
    let top = SIMD8(lowHalf: loadRow(rows, stride, 0), highHalf: loadRow(rows, stride, 1))
    let bottom = SIMD8(lowHalf: loadRow(rows, stride, 2), highHalf: loadRow(rows, stride, 3))
    let evens = SIMD8(lowHalf: top.evenHalf, highHalf: bottom.evenHalf)
    let odds = SIMD8(lowHalf: top.oddHalf, highHalf: bottom.oddHalf)
    storeColumn(evens.evenHalf, target, 0)
    storeColumn(odds.evenHalf, target, 1)
    storeColumn(evens.oddHalf, target, 2)
    storeColumn(odds.oddHalf, target, 3)
}

/// Value by value: what no whole tile covers.
@inline(__always)
private func transposeValues(
    _ rows: UnsafeRawPointer, _ rowCount: Int, _ featureCount: Int,
    _ target: UnsafeMutablePointer<Float>
) {
    for row in 0..<rowCount {
        let source = rows + 4 * row * featureCount
        for feature in 0..<featureCount {
            target[feature * blockRowCount + row] = source.loadUnaligned(
                fromByteOffset: 4 * feature, as: Float.self)
        }
    }
}

/// Whole tiles of one whole block. The last tile of a row starts early enough to be whole and writes
/// some values twice.
@inline(__always)
private func transposeTiles(
    _ rows: UnsafeRawPointer, _ featureCount: Int, _ target: UnsafeMutablePointer<Float>
) {
    let stride = 4 * featureCount
    var feature = 0
    while feature < featureCount {
        let start = min(feature, featureCount - tileSide)
        let (source, column) = (rows + 4 * start, target + start * blockRowCount)
        var row = 0
        while row < blockRowCount {
            transposeTile(source + row * stride, stride, column + row)
            row += tileSide
        }
        feature += tileSide
    }
}

/// Brings row-major rows into feature-major blocks.
/// - Parameters:
///   - rows: `[rowCount × featureCount]` values of four bytes at any address.
///   - blocks: `[ceil(rowCount / 64)]` blocks, out; the rows that fill the last one up become zero.
@inline(never)
package func transposeRows(
    _ rows: UnsafeRawPointer, _ rowCount: Int, _ featureCount: Int,
    _ blocks: UnsafeMutablePointer<Float>
) {
    var first = 0
    var source = rows
    var block = blocks
    while first < rowCount {
        let count = min(blockRowCount, rowCount - first)
        if count == blockRowCount && featureCount >= tileSide {
            transposeTiles(source, featureCount, block)
        } else {
            for i in 0..<featureCount * blockRowCount { block[i] = 0 }
            transposeValues(source, count, featureCount, block)
        }
        first += blockRowCount
        source += 4 * blockRowCount * featureCount
        block += blockRowCount * featureCount
    }
}
