import Numerical

/// Factors in memory as the kernels want them: `[rowCount × width]` with `width` = factor count
/// rounded up to a multiple of 16 and zero padding, every row at a cache line.
struct FactorTables {
    /// Rows of a chunk of copying or drawing.
    private static let chunkRows = 4096
    /// Rows of a chunk of the Gram matrix, and how many chunks there are at most.
    private static let gramRows = 4096
    private static let gramChunks = 256

    private let factorCount: Int
    private let width: Int
    private let threadCount: Int

    init(_ parameters: ImplicitALS.Parameters) {
        factorCount = parameters.factorCount
        width = parameters.width
        threadCount = parameters.threadCount
    }

    /// Small random factors for the rows of `matrix` that have entries. A row's numbers depend on
    /// the seed and its index only.
    func drawn(_ matrix: SparseMatrix, _ seed: UInt64) -> AlignedFloats {
        let (factorCount, width) = (factorCount, width)
        var factors = AlignedFloats(count: matrix.rowCount * width)
        parallelFill(
            &factors, rowWidth: width, chunkRows: Self.chunkRows, threadCount: threadCount
        ) { rows, slice in
            for row in rows where !matrix.entries(of: row).isEmpty {
                var random = SeededRandom(seed: seed, stream: UInt64(row))
                let first = (row - rows.lowerBound) * width
                for j in 0..<factorCount {
                    slice[first + j] = Float((random.uniform() - 0.5) * 0.1)
                }
            }
        }
        return factors
    }

    /// - Parameters:
    ///   - factors: `[rowCount × factorCount]`; nil for zeros.
    ///   - what: names the factors in an error.
    /// - Throws: `countMismatch`; for the first factor that cannot be used, in row order,
    ///   `nonFiniteValue` or `outOfRange`.
    func padded(
        _ factors: [Float]?, rowCount: Int, what: String
    ) throws(ModelError) -> AlignedFloats {
        var table = AlignedFloats(count: rowCount * width)
        guard let factors else { return table }
        guard factors.count == rowCount * factorCount else {
            throw .countMismatch(
                what: what, actual: factors.count, expected: rowCount * factorCount)
        }
        let (factorCount, width) = (factorCount, width)
        let bad = parallelMap(
            count: rowCount, chunkSize: Self.chunkRows, threadCount: threadCount
        ) { _, rows in
            (rows.lowerBound * factorCount..<rows.upperBound * factorCount).first {
                !(abs(factors[$0]) <= ImplicitALS.largestInitialFactor)
            }
        }
        if let first = bad.lazy.compactMap({ $0 }).first {
            let (row, column) = (first / factorCount, first % factorCount)
            guard factors[first].isFinite else {
                throw .nonFiniteValue(what: what, row: row, column: column)
            }
            throw .outOfRange(
                what: "\(what): row \(row), column \(column)", actual: Double(factors[first]),
                allowed: "-1e10 ... 1e10; scale the factors down")
        }
        parallelFill(
            &table, rowWidth: width, chunkRows: Self.chunkRows, threadCount: threadCount
        ) { rows, slice in
            for row in rows {
                let first = (row - rows.lowerBound) * width
                for j in 0..<factorCount { slice[first + j] = factors[row * factorCount + j] }
            }
        }
        return table
    }

    func unpadded(_ table: AlignedFloats) -> [Float] {
        let (factorCount, width) = (factorCount, width)
        var factors = [Float](repeating: 0, count: table.count / width * factorCount)
        parallelFill(
            &factors, rowWidth: factorCount, chunkRows: Self.chunkRows, threadCount: threadCount
        ) { rows, slice in
            let source = table.span
            for row in rows {
                let first = (row - rows.lowerBound) * factorCount
                for j in 0..<factorCount { slice[first + j] = source[row * width + j] }
            }
        }
        return factors
    }

    /// FᵀF of a table, upper triangle `[width × width]`: chunks in single precision, their sum in
    /// double.
    func gram(_ table: AlignedFloats, _ kernels: KernelTable) -> [Double] {
        let width = width
        let rowCount = table.count / width
        let chunkRows = max(Self.gramRows, (rowCount + Self.gramChunks - 1) / Self.gramChunks)
        let chunkCount = (rowCount + chunkRows - 1) / chunkRows
        var partials = AlignedFloats(count: chunkCount * width * width)
        parallelFill(
            &partials, rowWidth: width * width, chunkRows: 1, threadCount: threadCount
        ) { chunks, matrix in
            let first = chunks.lowerBound * chunkRows
            let rows = first..<min(rowCount, first + chunkRows)
            kernels.addOuterProducts(
                table.span.extracting(rows.lowerBound * width..<rows.upperBound * width),
                rowCount: rows.count, width: width, matrix: &matrix)
        }
        var sum = [Double](repeating: 0, count: width * width)
        let parts = partials.span
        for chunk in 0..<chunkCount {
            for r in 0..<width {
                for c in r..<width {
                    sum[r * width + c] += Double(parts[(chunk * width + r) * width + c])
                }
            }
        }
        return sum
    }
}
