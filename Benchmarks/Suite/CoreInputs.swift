import Lab
import Numerical

/// The arrays that the benchmarks work on, made from fixed seeds: nothing is downloaded, and two
/// machines measure the same work.
struct CoreInputs {
    let folder: String
    let size: BenchmarkSize

    /// Writes the arrays into a folder that exists.
    init(folder: String, size: BenchmarkSize) throws {
        self.folder = folder
        self.size = size
        try points(16, stream: 1)
        try points(32, stream: 2)
        try purchases()
        try factors("users", rowCount: size.askingCount, stream: 4)
        try factors("items", rowCount: size.itemCount, stream: 5)
    }

    func path(_ name: String) -> String { "\(folder)/\(name).npy" }

    /// Rows around 50 centres, three standard deviations apart.
    private func points(_ featureCount: Int, stream: UInt64) throws {
        var random = SeededRandom(seed: 1, stream: stream)
        let centres = (0..<50 * featureCount).map { _ in Float(3 * random.normal()) }
        var values: [Float] = []
        values.reserveCapacity(size.rowCount * featureCount)
        for _ in 0..<size.rowCount {
            let centre = random.below(50) * featureCount
            for j in 0..<featureCount {
                values.append(centres[centre + j] + Float(random.normal()))
            }
        }
        try NumPyOutput(path("points\(featureCount)")).write(
            values, shape: [size.rowCount, featureCount])
    }

    /// Purchases of products whose popularity falls with their rank.
    private func purchases() throws {
        var random = SeededRandom(seed: 1, stream: 3)
        var cumulative: [Double] = []
        var sum = 0.0
        for rank in 1...size.itemCount {
            sum += 1 / Double(rank).squareRoot()
            cumulative.append(sum)
        }
        var (rows, columns): ([Int32], [Int32]) = ([], [])
        for _ in 0..<size.purchaseCount {
            let target = random.uniform() * sum
            var (low, high) = (0, size.itemCount - 1)
            while low < high {
                let middle = (low + high) / 2
                if cumulative[middle] < target { low = middle + 1 } else { high = middle }
            }
            rows.append(Int32(random.below(size.userCount)))
            columns.append(Int32(low))
        }
        let matrix = SparseMatrix(
            rowCount: size.userCount, columnCount: size.itemCount, rows: rows, columns: columns,
            values: [Float](repeating: 1, count: rows.count))
        try NumPyOutput(path("indptr")).write(
            matrix.rowOffsets.map(Int64.init), shape: [matrix.rowOffsets.count])
        try NumPyOutput(path("indices")).write(
            matrix.columnIndices, shape: [matrix.valueCount])
        try NumPyOutput(path("data")).write(matrix.values, shape: [matrix.valueCount])
        // What the customers that ask have bought.
        let asking = Array(matrix.rowOffsets.prefix(size.askingCount + 1))
        try NumPyOutput(path("seen-indptr")).write(
            asking.map(Int64.init), shape: [asking.count])
        let seen = Array(matrix.columnIndices.prefix(asking[size.askingCount]))
        try NumPyOutput(path("seen-indices")).write(seen, shape: [seen.count])
    }

    private func factors(_ name: String, rowCount: Int, stream: UInt64) throws {
        var random = SeededRandom(seed: 1, stream: stream)
        let values = (0..<rowCount * 64).map { _ in Float(0.1 * random.normal()) }
        try NumPyOutput(path(name)).write(values, shape: [rowCount, 64])
    }
}

/// How much work the benchmarks do.
package enum BenchmarkSize: String, CaseIterable, Sendable {
    /// Seconds for everything: that it runs, and what it gives.
    case smoke
    /// The sizes that are reported.
    case full

    var rowCount: Int { self == .smoke ? 3_000 : 1_000_000 }
    var userCount: Int { self == .smoke ? 600 : 200_000 }
    var itemCount: Int { self == .smoke ? 150 : 10_000 }
    var purchaseCount: Int { self == .smoke ? 6_000 : 8_000_000 }
    var askingCount: Int { self == .smoke ? 200 : 20_000 }
    var clusterCounts: [Int] { [8, 64, 256] }
}
