// Growing a tree over binned rows: which bin a value is in, sums of gradients by bin, and rows by the
// side of a split that they are on. No vectors: each step of these loops is a look-up, and the
// table looked up in does not fit a register.
//
// A row's gradient and Hessian are one word, so that a bin's sums are one addition:
//
//     bit  63 …………… 37 36 ………… 13 12 …… 0
//          gradient    Hessian    rows         gradient signed
//
// Gradients are at most 2^14 - 1 in magnitude, Hessians at most 2^12 - 1, so 4096 rows cannot carry
// from one field into the next. Sums of integers do not depend on their order.

import CPlatform

/// Rows whose words a bin can hold.
package let packedRowLimit = 4096

/// Bins of a column, and words of a column in the packed sums.
package let treeBinCount = 256

/// The bin of every value: how many of the bounds are below it.
/// - Parameters:
///   - bounds: `[255]`, ascending, filled up with infinity.
///   - missingBin: of NaN.
///   - bins: `[count]`, out.
@inline(never)
package func binValues(
    _ values: UnsafePointer<Float>, _ count: Int, _ bounds: UnsafePointer<Float>,
    _ missingBin: UInt8, _ bins: UnsafeMutablePointer<UInt8>
) {
    for i in 0..<count {
        let x = values[i]
        // Eight halvings without a branch: a branch would be wrong every second time.
        var place = 0
        place &+= bounds[place &+ 127] < x ? 128 : 0
        place &+= bounds[place &+ 63] < x ? 64 : 0
        place &+= bounds[place &+ 31] < x ? 32 : 0
        place &+= bounds[place &+ 15] < x ? 16 : 0
        place &+= bounds[place &+ 7] < x ? 8 : 0
        place &+= bounds[place &+ 3] < x ? 4 : 0
        place &+= bounds[place &+ 1] < x ? 2 : 0
        place &+= bounds[place] < x ? 1 : 0
        bins[i] = x == x ? UInt8(truncatingIfNeeded: place) : missingBin
    }
}

/// Adds the words of rows to the sums of their bins.
/// - Parameters:
///   - bins: row-major, `stride` bytes a row, the columns from the first of eight on.
///   - groupCount: columns / 8.
///   - rows: `[count]`, at most `packedRowLimit`.
///   - packed: the words by row.
///   - sums: `[8 · groupCount × 256]`.
@inline(never)
package func addPackedGradients(
    _ bins: UnsafePointer<UInt8>, _ stride: Int, _ groupCount: Int,
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ packed: UnsafePointer<UInt64>,
    _ sums: UnsafeMutablePointer<UInt64>
) {
    let ahead = 24
    for i in 0..<count {
        if i &+ ahead < count {
            let next = Int(rows[i &+ ahead])
            patron_prefetch_first(bins + next &* stride)
            patron_prefetch_first(packed + next)
        }
        let row = Int(rows[i])
        let word = packed[row]
        var source = UnsafeRawPointer(bins + row &* stride)
        var target = sums
        for _ in 0..<groupCount {
            let eight = source.loadUnaligned(as: UInt64.self)
            target[Int(eight & 255)] &+= word
            target[Int(eight &>> 8 & 255) &+ 256] &+= word
            target[Int(eight &>> 16 & 255) &+ 512] &+= word
            target[Int(eight &>> 24 & 255) &+ 768] &+= word
            target[Int(eight &>> 32 & 255) &+ 1024] &+= word
            target[Int(eight &>> 40 & 255) &+ 1280] &+= word
            target[Int(eight &>> 48 & 255) &+ 1536] &+= word
            target[Int(eight &>> 56) &+ 1792] &+= word
            source += 8
            target += 2048
        }
    }
}

/// Moves packed sums of one column to sums that hold any number of rows, and clears them.
/// - Parameters:
///   - packed: `[count]`.
///   - gradients, hessians, rows: `[count]`, added to.
@inline(never)
package func flushPackedGradients(
    _ packed: UnsafeMutablePointer<UInt64>, _ count: Int, _ gradients: UnsafeMutablePointer<Int64>,
    _ hessians: UnsafeMutablePointer<Int64>, _ rows: UnsafeMutablePointer<Int64>
) {
    for i in 0..<count {
        let word = packed[i]
        gradients[i] &+= Int64(bitPattern: word) &>> 37
        hessians[i] &+= Int64(bitPattern: word &>> 13 & 0xFF_FFFF)
        rows[i] &+= Int64(bitPattern: word & 0x1FFF)
        packed[i] = 0
    }
}

/// Deals rows out by the side of their bin, each side in the order of the rows.
/// - Parameters:
///   - rows: `[count]`.
///   - bins: of one column, by row.
///   - goesLeft: `[256]`, 1 for the bins that go left, else 0.
///   - left, right: `[count]` each, out.
/// - Returns: the rows that went left.
@inline(never)
package func splitRows(
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ bins: UnsafePointer<UInt8>,
    _ goesLeft: UnsafePointer<UInt8>, _ left: UnsafeMutablePointer<UInt32>,
    _ right: UnsafeMutablePointer<UInt32>
) -> Int {
    var leftCount = 0
    let ahead = 32
    for i in 0..<count {
        if i &+ ahead < count { patron_prefetch_first(bins + Int(rows[i &+ ahead])) }
        let row = rows[i]
        left[leftCount] = row
        right[i &- leftCount] = row
        leftCount &+= Int(goesLeft[Int(bins[Int(row)])])
    }
    return leftCount
}

/// Adds up the gradients and Hessians of rows, in the order of the rows by four sums each.
/// - Parameters:
///   - pairs: gradient and Hessian by row, `[… × 2]`.
///   - sums: `[2]`, out.
@inline(never)
package func sumGradients(
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ pairs: UnsafePointer<Float>,
    _ sums: UnsafeMutablePointer<Double>
) {
    var (g0, g1, g2, g3) = (0.0, 0.0, 0.0, 0.0)
    var (h0, h1, h2, h3) = (0.0, 0.0, 0.0, 0.0)
    var i = 0
    while i &+ 4 <= count {
        let (a, b) = (2 &* Int(rows[i]), 2 &* Int(rows[i &+ 1]))
        let (c, d) = (2 &* Int(rows[i &+ 2]), 2 &* Int(rows[i &+ 3]))
        g0 += Double(pairs[a])
        h0 += Double(pairs[a &+ 1])
        g1 += Double(pairs[b])
        h1 += Double(pairs[b &+ 1])
        g2 += Double(pairs[c])
        h2 += Double(pairs[c &+ 1])
        g3 += Double(pairs[d])
        h3 += Double(pairs[d &+ 1])
        i &+= 4
    }
    while i < count {
        let a = 2 &* Int(rows[i])
        g0 += Double(pairs[a])
        h0 += Double(pairs[a &+ 1])
        i &+= 1
    }
    sums[0] = (g0 + g1) + (g2 + g3)
    sums[1] = (h0 + h1) + (h2 + h3)
}

/// `values[row] += addend` for the given rows.
@inline(never)
package func addToRows(
    _ rows: UnsafePointer<UInt32>, _ count: Int, _ addend: Float,
    _ values: UnsafeMutablePointer<Float>
) {
    for i in 0..<count { values[Int(rows[i])] += addend }
}
