import Numerical
import Testing

/// Rows with fewer entries than factors, and what else a half-sweep of matrix factorization calls.
@Suite struct FewEntriesTests {
    /// A matrix of rows with `counts` entries over `columnCount` columns, as offsets, indices and
    /// values.
    private func entries(
        _ counts: [Int], columnCount: Int
    ) -> (offsets: [Int], indices: [Int32], values: [Float]) {
        let offsets = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
        let indices = (0..<offsets[counts.count]).map { Int32($0 * 7 % columnCount) }
        return (offsets, indices, integers(indices.count, stream: 5).map { abs($0) })
    }

    private func identity(_ width: Int) -> [Float] {
        (0..<width * width).map { $0 % (width + 1) == 0 ? 1 : 0 }
    }

    /// x = Zᵀ (I + D Z Zᵀ)⁻¹ c in double precision, by elimination.
    private func reference(
        _ rows: [Float], _ width: Int, _ indices: ArraySlice<Int32>, _ values: ArraySlice<Float>,
        _ alpha: Double, _ base: Double
    ) -> [Double] {
        let (indices, values) = (Array(indices), Array(values))
        let n = indices.count
        var system = [[Double]](repeating: [Double](repeating: 0, count: n + 1), count: n)
        for i in 0..<n {
            let confidence = base + alpha * Double(values[i])
            for j in 0..<n {
                let product = (0..<width).reduce(0.0) {
                    $0 + Double(rows[Int(indices[i]) * width + $1])
                        * Double(rows[Int(indices[j]) * width + $1])
                }
                system[i][j] = (confidence - 1) * product + (i == j ? 1 : 0)
            }
            system[i][n] = confidence
        }
        for pivot in 0..<n {
            for r in 0..<n where r != pivot {
                let factor = system[r][pivot] / system[pivot][pivot]
                for c in pivot...n { system[r][c] -= factor * system[pivot][c] }
            }
        }
        var x = [Double](repeating: 0, count: width)
        for i in 0..<n {
            for f in 0..<width {
                x[f] += system[i][n] / system[i][i] * Double(rows[Int(indices[i]) * width + f])
            }
        }
        return x
    }

    @Test(arguments: [16, 32, 48, 64, 80, 144]) func solvesWhatTheReferenceSolves(width: Int) {
        let columnCount = 97
        let rows = reals(columnCount * width, stream: width).map { $0 / Float(width).squareRoot() }
        let counts = sizes + [2, 4, 5, 20]
        let (offsets, indices, values) = entries(counts, columnCount: columnCount)
        for (alpha, base) in [(Float(2), Float(1)), (1, 1), (0, 1)] {
            let expected = counts.indices.map { row in
                let range = offsets[row]..<offsets[row + 1]
                return reference(
                    rows, width, indices[range], values[range], Double(alpha), Double(base))
            }
            for level in ISALevel.available {
                let kernels = KernelTable(level)
                var batch = FewEntriesBatch(width: width, kernels: kernels)
                for first in stride(from: 0, to: counts.count, by: kernels.fewEntriesBatch) {
                    kernels.solveFewEntries(
                        rows.span, fromWhite: identity(width).span, indices: indices.span,
                        values: values.span,
                        entries: { index in
                            let row = first + index
                            return row < counts.count ? offsets[row]..<offsets[row + 1] : nil
                        }, alpha: alpha, base: base, &batch)
                    for index in 0..<min(kernels.fewEntriesBatch, counts.count - first) {
                        #expect(batch.margins[index] > 0)
                        for f in 0..<width {
                            // The condition is at most 1 + largest d · |ZZᵀ|, about 100.
                            let actual = Double(batch.solutions[index * width + f])
                            let (row, scale) = (first + index, 1 + abs(expected[first + index][f]))
                            #expect(
                                abs(actual - expected[row][f]) < 2e-4 * scale,
                                "\(level) \(width) \(counts[row]) \(f)")
                        }
                    }
                }
            }
        }
    }

    /// A lane's bytes depend on its own row alone.
    @Test func neighboursChangeNothing() {
        let width = 32
        let rows = reals(50 * width, stream: 3)
        let (offsets, indices, values) = entries([7, 30, 1, 12, 0, 29, 8, 3], columnCount: 50)
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            var batch = FewEntriesBatch(width: width, kernels: kernels)
            func solve(_ order: [Int]) -> [[Float]] {
                kernels.solveFewEntries(
                    rows.span, fromWhite: identity(width).span, indices: indices.span,
                    values: values.span,
                    entries: {
                        $0 < order.count ? offsets[order[$0]]..<offsets[order[$0] + 1] : nil
                    },
                    alpha: 3, base: 1, &batch)
                return order.indices.map { index in
                    (0..<width).map { batch.solutions[index * width + $0] }
                }
            }
            let alone = (0..<8).map { solve([$0])[0] }
            for order in [[3, 1, 0, 5], [5, 2, 1, 4], [6, 7, 3, 1]] {
                for (row, solution) in zip(order, solve(order)) {
                    #expect(solution == alone[row], "\(level) \(row)")
                }
            }
        }
    }

    /// Equal rows with confidences so large that the identity is lost in their product.
    @Test func reportsSystemsWithoutCorrectDigits() {
        let width = 16
        let rows = [Float](repeating: 1, count: 4 * width)
        let (indices, values) = ([0, 1, 2, 3] as [Int32], [1e12, 1e12, 1, 1] as [Float])
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            var batch = FewEntriesBatch(width: width, kernels: kernels)
            kernels.solveFewEntries(
                rows.span, fromWhite: identity(width).span, indices: indices.span,
                values: values.span, entries: { $0 < 2 ? 2 * $0..<2 * $0 + 2 : nil }, alpha: 1,
                base: 1, &batch)
            #expect(!(batch.margins[0] > 0), "\(level)")
            #expect(batch.margins[1] > 0, "\(level)")
        }
    }

    @Test(arguments: sizes) func weightedRowsAgreeWithScalar(count: Int) {
        for width in [16, 48, 64, 80] {
            let rows = integers(70 * width, stream: width)
            let all = (0..<2 * count + 3).map { Int32($0 * 11 % 70) }
            // α r is a square: its root is exact to an ulp or two.
            let values = all.indices.map { Float([0, 1, 4, 16][$0 % 4]) }
            func run(_ level: ISALevel) -> (side: [Float], matrix: [Float]) {
                var scratch = AlignedFloats(count: 0)
                var matrix = AlignedFloats(integers(width * width, stream: 11).span)
                var side = AlignedFloats(integers(width, stream: 12).span)
                KernelTable(level).addWeightedRows(
                    rows.span, indices: all.span, values: values.span, entries: 1..<count + 1,
                    alpha: 1, base: 1, scratch: &scratch, matrix: &matrix, rightSide: &side)
                return (
                    (0..<width).map { side[$0] },
                    (0..<width).flatMap { r in (r..<width).map { matrix[r * width + $0] } }
                )
            }
            let expected = run(.scalar)
            for level in ISALevel.available {
                let actual = run(level)
                #expect(actual.side == expected.side, "\(level) \(count) \(width)")
                // Terms up to 16 · 4 · 4, each off by a few units in the last place.
                let tolerance = Float(count + 1) * 256 * 8 * Float.ulpOfOne
                let isClose = zip(actual.matrix, expected.matrix)
                    .allSatisfy { abs($0 - $1) <= tolerance }
                #expect(isClose, "\(level) \(count) \(width)")
            }
        }
    }

    @Test(arguments: sizes) func trianglesAndScoresAgreeWithScalar(rowCount: Int) {
        for width in [16, 32, 48, 64, 80] {
            let rows = integers(rowCount * width, stream: width)
            let dense = integers(width * width, stream: 4)
            for isUpper in [true, false] {
                let matrix = dense.indices.map { i -> Float in
                    let (r, c) = (i / width, i % width)
                    return (isUpper ? r <= c : r >= c) ? dense[i] : 0
                }
                func product(_ level: ISALevel) -> [Float] {
                    var output = [Float](repeating: .nan, count: rows.count)
                    var span = output.mutableSpan
                    KernelTable(level).multiplyTriangle(
                        rows.span, matrix: matrix.span, isUpper: isUpper, width: width,
                        output: &span)
                    return output
                }
                let expected = product(.scalar)
                for level in ISALevel.available {
                    #expect(product(level) == expected, "\(level) \(rowCount) \(width)")
                }
            }
            let indices = (0..<rowCount).map { Int32(rowCount - 1 - $0) }
            func scores(_ level: ISALevel) -> [Float] {
                var scores = AlignedFloats(count: rowCount)
                KernelTable(level).scoreEntries(
                    dense.span.extracting(0..<width), rows.span, indices: indices.span,
                    scores: &scores)
                return (0..<rowCount).map { scores[$0] }
            }
            let expected = scores(.scalar)
            for level in ISALevel.available {
                #expect(scores(level) == expected, "\(level) \(rowCount) \(width)")
            }
        }
    }
}
