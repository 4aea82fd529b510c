import Numerical

/// The axes in which the Gram matrix FᵀF of a half-sweep's fixed side is diagonal.
///
/// With FᵀF = Q Λ Qᵀ, Z = F Q and x = Q x', the normal equations of a row,
/// (FᵀF + λ I + Fᵤᵀ D Fᵤ) x = Fᵤᵀ c, become (Λ + λ I + Zᵤᵀ D Zᵤ) x' = Zᵤᵀ c: what all rows have
/// in common is a diagonal, whatever λ the row has. Q is orthogonal, so no length and no sum of
/// squares changes.
struct PrincipalAxes: Sendable {
    private static let chunkRows = 256

    /// `[width × width]`: Q, and Qᵀ; the identity in the padding.
    let intoAxes: AlignedFloats
    let outOfAxes: AlignedFloats
    /// Λ `[width]`, at least 0; in the padding the largest.
    let axes: AlignedFloats
    /// Below this an element of Λ has no correct digit.
    let floor: Float

    /// - Parameter factors: `[rowCount × width]`, zero in the padding.
    /// - Returns: nil where a factor, or a sum of squares, is not finite.
    init?(
        of factors: AlignedFloats, _ parameters: ImplicitALS.Parameters, _ kernels: KernelTable
    ) {
        let (factorCount, width) = (parameters.factorCount, parameters.width)
        let padded = FactorTables(parameters).gram(factors, kernels)
        let gram = (0..<factorCount * factorCount).map {
            padded[$0 / factorCount * width + $0 % factorCount]
        }
        guard let eigen = kernels.symmetricEigen(gram, size: factorCount) else { return nil }
        var into = AlignedFloats(count: width * width)
        var outOf = AlignedFloats(count: width * width)
        for j in 0..<width {
            for k in 0..<width {
                var value: Float = j == k ? 1 : 0
                if j < factorCount && k < factorCount {
                    value = Float(eigen.vectors[k * factorCount + j])
                }
                into[j * width + k] = value
                outOf[k * width + j] = value
            }
        }
        let largest = eigen.values.reduce(0, max)
        guard Float(largest).isFinite else { return nil }
        var axes = AlignedFloats(count: width)
        for k in 0..<width {
            axes[k] = Float(k < factorCount ? max(0, eigen.values[k]) : largest)
        }
        intoAxes = into
        outOfAxes = outOf
        self.axes = axes
        // Where all factors are zero, any number that survives a division does.
        floor = max(Float(largest) * Float.ulpOfOne, 1e-20)
    }

    /// The factors in these axes, into memory of their size or more.
    func turn(
        _ factors: AlignedFloats, into turned: inout AlignedFloats, threadCount: Int,
        _ kernels: KernelTable
    ) {
        let (width, matrix) = (axes.count, intoAxes)
        let rowCount = factors.count / width
        precondition(turned.count >= factors.count)
        parallelFill(
            &turned, rowWidth: width, chunkRows: Self.chunkRows, threadCount: threadCount
        ) { chunk, slice in
            let rows = chunk.clamped(to: 0..<rowCount)
            if rows.isEmpty { return }
            kernels.multiplyRows(
                factors.span.extracting(rows.lowerBound * width..<rows.upperBound * width),
                width: width, by: matrix, &slice)
        }
    }
}

/// What a half-sweep takes of a row and an entry: the places where other conventions come in.
struct RowTerms: Sendable {
    private let parameters: ImplicitALS.Parameters
    /// c - 1 of an entry r.
    let confidence: LinearConfidence

    init(_ parameters: ImplicitALS.Parameters) {
        self.parameters = parameters
        confidence = LinearConfidence(
            intercept: Float(parameters.confidenceBase) - 1,
            slope: Float(parameters.confidenceWeight))
    }

    /// λ of a row with `entryCount` entries, `otherCount` rows being on the other side.
    func regularization(entryCount: Int, otherCount: Int) -> Float {
        Float(parameters.regularization(entryCount: entryCount, otherCount: otherCount))
    }
}

/// Rows in chunks of at most `largestCount` rows and about as many entries, which is what a step of a
/// descent costs; `SweepSchedule` makes the chunks of exact solutions, whose cost grows faster. The
/// bounds depend on the matrix alone.
func boundsByEntries(
    _ matrix: SparseMatrix, rows largestCount: Int, entries: Int
) -> [Int] {
    var bounds = [0]
    var first = 0
    for row in 0..<matrix.rowCount {
        let count = row + 1 - first
        let work = matrix.rowOffsets[row + 1] - matrix.rowOffsets[first]
        if count == largestCount || work >= entries {
            bounds.append(row + 1)
            first = row + 1
        }
    }
    if first < matrix.rowCount { bounds.append(matrix.rowCount) }
    return bounds
}
