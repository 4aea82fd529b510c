import Numerical

/// The objective of implicit ALS for given factors.
struct ALSLoss {
    /// Rows of a chunk.
    private static let chunkRows = 512

    private let parameters: ImplicitALS.Parameters
    private let kernels: KernelTable

    init(_ parameters: ImplicitALS.Parameters, _ kernels: KernelTable) {
        self.parameters = parameters
        self.kernels = kernels
    }

    /// Σ c (p - x·y)² + Σ λ |x|² + Σ λ |y|², not yet divided by Σ c.
    ///
    /// Over the pairs without an entry it needs no loop: Σ (x·y)² over all pairs is the scalar
    /// product of XᵀX and YᵀY.
    func value(
        _ purchases: SparseMatrix, _ transposed: SparseMatrix, users: AlignedFloats,
        items: AlignedFloats
    ) -> Double {
        let width = parameters.width
        let tables = FactorTables(parameters)
        let (left, right) = (tables.gram(users, kernels), tables.gram(items, kernels))
        var sum = ofEntries(purchases, users: users, items: items)
        for r in 0..<width {
            sum += left[r * width + r] * right[r * width + r]
            for c in r + 1..<width {
                sum += 2 * left[r * width + c] * right[r * width + c]
            }
        }
        if parameters.regularizationExponent == 0 {
            for r in 0..<width {
                sum += parameters.regularization * (left[r * width + r] + right[r * width + r])
            }
        } else {
            sum += penalty(users, purchases) + penalty(items, transposed)
        }
        // A sum of squares; the Gram matrices' rounding may leave a little less than nothing.
        return max(0, sum)
    }

    /// Σ c (1 - x·y)² - (x·y)² over the entries.
    private func ofEntries(
        _ matrix: SparseMatrix, users: AlignedFloats, items: AlignedFloats
    ) -> Double {
        let (width, kernels) = (parameters.width, kernels)
        let (alpha, base) = (parameters.confidenceWeight, parameters.confidenceBase)
        let longest = (0..<matrix.rowCount).reduce(0) { max($0, matrix.entries(of: $1).count) }
        // The products of a row's entries, a thread.
        var scratches = [AlignedFloats](
            repeating: AlignedFloats(count: longest), count: parameters.threadCount)
        return sum(overChunksOf: matrix, &scratches) { scores, rows in
            var sum = 0.0
            for row in rows {
                let entries = matrix.entries(of: row)
                kernels.scoreEntries(
                    users.span.extracting(row * width..<(row + 1) * width), items.span,
                    indices: matrix.columnIndices.span.extracting(entries), scores: &scores)
                let (values, results) = (matrix.values.span, scores.span)
                for i in entries {
                    let score = Double(results[i - entries.lowerBound])
                    let confidence = base + alpha * Double(values[i])
                    sum += confidence * (1 - score) * (1 - score) - score * score
                }
            }
            return sum
        }
    }

    /// Σ λ |x|² of one side whose rows differ in λ.
    private func penalty(_ table: AlignedFloats, _ matrix: SparseMatrix) -> Double {
        let (width, kernels, parameters) = (parameters.width, kernels, parameters)
        var scratches: [Void] = Array(repeating: (), count: parameters.threadCount)
        return sum(overChunksOf: matrix, &scratches) { _, rows in
            var sum = 0.0
            for row in rows {
                let x = table.span.extracting(row * width..<(row + 1) * width)
                sum +=
                    Double(kernels.dot(x, x))
                    * parameters.regularization(
                        entryCount: matrix.entries(of: row).count,
                        otherCount: matrix.columnCount)
            }
            return sum
        }
    }

    /// What `body` gives for the chunks of a matrix's rows, added in their order.
    private func sum<Scratch: Sendable>(
        overChunksOf matrix: SparseMatrix, _ scratches: inout [Scratch],
        _ body: @Sendable (inout Scratch, Range<Int>) -> Double
    ) -> Double {
        let (size, rowCount) = (Self.chunkRows, matrix.rowCount)
        var sums = [Double](repeating: 0, count: (rowCount + size - 1) / size)
        parallelFill(&sums, rowWidth: 1, chunkRows: 1, scratches: &scratches) {
            scratch, chunks, slice in
            let first = chunks.lowerBound * size
            slice[0] = body(&scratch, first..<min(rowCount, first + size))
        }
        return sums.reduce(0, +)
    }
}
