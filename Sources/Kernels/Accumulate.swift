/// Adds every row to the sums of its label, in double precision, and counts the rows of a label.
/// - Parameters:
///   - points: blocks of `[featureCount × 64]`.
///   - labels: `[rowCount]`, each in `0 ..< labelCount`.
///   - sums: `[featureCount × labelCount]`, in and out: the rows are added in ascending order.
///   - counts: `[labelCount]`, in and out.
@inline(never)
package func accumulateRows(
    _ points: UnsafePointer<Float>, _ rowCount: Int, _ featureCount: Int,
    _ labels: UnsafePointer<Int32>, _ labelCount: Int,
    _ sums: UnsafeMutablePointer<Double>, _ counts: UnsafeMutablePointer<Int64>
) {
    var first = 0
    var block = points
    while first < rowCount {
        let count = min(blockRowCount, rowCount - first)
        let label = labels + first
        for i in 0..<count { counts[Int(label[i])] += 1 }
        var feature = 0
        // Four features at once: consecutive rows of one label would otherwise wait for each
        // other's store.
        while feature + 4 <= featureCount {
            let x = block + feature * blockRowCount
            let s0 = sums + feature * labelCount
            let (s1, s2, s3) = (s0 + labelCount, s0 + 2 * labelCount, s0 + 3 * labelCount)
            for i in 0..<count {
                let c = Int(label[i])
                s0[c] += Double(x[i])
                s1[c] += Double(x[i + blockRowCount])
                s2[c] += Double(x[i + 2 * blockRowCount])
                s3[c] += Double(x[i + 3 * blockRowCount])
            }
            feature += 4
        }
        while feature < featureCount {
            let x = block + feature * blockRowCount
            let s = sums + feature * labelCount
            for i in 0..<count { s[Int(label[i])] += Double(x[i]) }
            feature += 1
        }
        first += blockRowCount
        block += blockRowCount * featureCount
    }
}
