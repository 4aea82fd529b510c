import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of normal equations, of one instruction-set level.
struct NormalKernels: Sendable {
    let gatherRows:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void
    let addOuterProducts:
        @Sendable (UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>) -> Void
    let solvePositiveDefinite:
        @Sendable (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int, Float) -> Int32
    let addWeightedRows:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, UnsafePointer<Float>, Int, Int, Float,
            Float, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let multiplyTriangle:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, Int32,
            UnsafeMutablePointer<Float>
        ) -> Void
    let scoreEntries:
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int,
            UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            gatherRows = scalarGatherRows
            addOuterProducts = scalarAddOuterProducts
            solvePositiveDefinite = scalarSolvePositiveDefinite
            addWeightedRows = scalarAddWeightedRows
            multiplyTriangle = scalarMultiplyTriangle
            scoreEntries = scalarScoreEntries
        case .baseline:
            gatherRows = Kernels.gatherRows
            addOuterProducts = Kernels.addOuterProducts
            solvePositiveDefinite = Kernels.solvePositiveDefinite
            addWeightedRows = Kernels.addWeightedRows
            multiplyTriangle = Kernels.multiplyTriangle
            scoreEntries = Kernels.scoreEntries
        #if arch(x86_64)
        case .avx2:
            gatherRows = KernelsAVX2.gatherRows
            addOuterProducts = KernelsAVX2.addOuterProducts
            solvePositiveDefinite = KernelsAVX2.solvePositiveDefinite
            addWeightedRows = KernelsAVX2.addWeightedRows
            multiplyTriangle = KernelsAVX2.multiplyTriangle
            scoreEntries = KernelsAVX2.scoreEntries
        case .avx512:
            gatherRows = KernelsAVX512.gatherRows
            addOuterProducts = KernelsAVX512.addOuterProducts
            solvePositiveDefinite = KernelsAVX512.solvePositiveDefinite
            addWeightedRows = KernelsAVX512.addWeightedRows
            multiplyTriangle = KernelsAVX512.multiplyTriangle
            scoreEntries = KernelsAVX512.scoreEntries
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive.

extension KernelTable {
    ///   - panel: at least `indices.count × width` values, out.
    package func gather(
        _ rows: Span<Float>, indices: Span<Int32>, scales: Span<Float>, weights: Span<Float>,
        panel: inout AlignedFloats, rightSide: inout AlignedFloats
    ) {
        let width = rightSide.count
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(scales.count == indices.count && weights.count == indices.count)
        precondition(panel.count >= indices.count * width)
        let rowCount = rows.count / width
        if indices.isEmpty { return }
        rows.withUnsafeBufferPointer { rows in
            indices.withUnsafeBufferPointer { indices in
                checkBounds(indices, rowCount)
                scales.withUnsafeBufferPointer { scales in
                    weights.withUnsafeBufferPointer { weights in
                        panel.withUnsafeMutableBufferPointer { panel in
                            rightSide.withUnsafeMutableBufferPointer { rightSide in
                                normalKernels.gatherRows(
                                    address(rows), width, address(indices), indices.count,
                                    address(scales), address(weights), address(panel),
                                    address(rightSide))
                            }
                        }
                    }
                }
            }
        }
    }

    ///   - matrix: `[width × width]`, row-major, in and out; see the kernel.
    package func addOuterProducts(
        _ panel: Span<Float>, rowCount: Int, width: Int, matrix: inout MutableSpan<Float>
    ) {
        precondition(width % 16 == 0 && rowCount >= 0 && panel.count >= rowCount * width)
        precondition(matrix.count == width * width)
        if rowCount == 0 || width == 0 { return }
        panel.withUnsafeBufferPointer { panel in
            matrix.withUnsafeMutableBufferPointer { matrix in
                normalKernels.addOuterProducts(address(panel), rowCount, width, address(matrix))
            }
        }
    }

    /// - Returns: false where the matrix is not positive definite (then `rightSide` is undefined).
    package func solvePositiveDefinite(
        _ matrix: inout AlignedFloats, _ rightSide: inout AlignedFloats, smallestPivot: Float
    ) -> Bool {
        let width = rightSide.count
        precondition(width % 16 == 0 && matrix.count == width * width)
        if width == 0 { return true }
        return matrix.withUnsafeMutableBufferPointer { matrix in
            rightSide.withUnsafeMutableBufferPointer { rightSide in
                normalKernels.solvePositiveDefinite(
                    address(matrix), address(rightSide), width, smallestPivot) != 0
            }
        }
    }

    /// Adds entries to a row's normal equations; see the kernel.
    /// - Parameters:
    ///   - rows: `[… × width]` with `width` = `rightSide.count`, a multiple of 16.
    ///   - indices, values: of all entries of a matrix.
    ///   - entries: those to add. The rows of the entries after them are asked for meanwhile.
    ///   - scratch: any memory; grown where it is too small.
    package func addWeightedRows(
        _ rows: Span<Float>, indices: Span<Int32>, values: Span<Float>, entries: Range<Int>,
        alpha: Float, base: Float, scratch: inout AlignedFloats, matrix: inout AlignedFloats,
        rightSide: inout AlignedFloats
    ) {
        let width = rightSide.count
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(values.count == indices.count && matrix.count == width * width)
        precondition(entries.lowerBound >= 0 && entries.upperBound <= indices.count)
        if entries.isEmpty { return }
        let following = min(Self.rowsAhead, indices.count - entries.upperBound)
        let scratchCount = Kernels.weightedRowsScratchCount(width)
        if scratch.count < scratchCount { scratch = AlignedFloats(count: scratchCount) }
        rows.withUnsafeBufferPointer { rows in
            indices.withUnsafeBufferPointer { indices in
                let range = entries.lowerBound..<entries.upperBound + following
                let own = UnsafeBufferPointer(rebasing: indices[range])
                checkBounds(own, rows.count / width)
                values.withUnsafeBufferPointer { values in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        matrix.withUnsafeMutableBufferPointer { matrix in
                            rightSide.withUnsafeMutableBufferPointer { rightSide in
                                normalKernels.addWeightedRows(
                                    address(rows), width, address(own),
                                    address(values) + entries.lowerBound, entries.count,
                                    following, alpha, base, address(scratch),
                                    address(matrix), address(rightSide))
                            }
                        }
                    }
                }
            }
        }
    }

    /// Rows that are asked for ahead: a panel at few factors.
    private static let rowsAhead = 64

    /// `output = rows · matrix`, the matrix `[width × width]` upper or lower triangular.
    package func multiplyTriangle(
        _ rows: Span<Float>, matrix: Span<Float>, isUpper: Bool, width: Int,
        output: inout MutableSpan<Float>
    ) {
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(matrix.count == width * width && output.count == rows.count)
        if rows.isEmpty { return }
        rows.withUnsafeBufferPointer { rows in
            matrix.withUnsafeBufferPointer { matrix in
                output.withUnsafeMutableBufferPointer { output in
                    normalKernels.multiplyTriangle(
                        address(rows), rows.count / width, width, address(matrix),
                        isUpper ? 1 : 0, address(output))
                }
            }
        }
    }

    /// Scalar products of one row with the rows of its entries.
    /// - Parameters:
    ///   - x: `[width]`, a multiple of 16.
    ///   - scores: at least `[indices.count]`, out.
    package func scoreEntries(
        _ x: Span<Float>, _ rows: Span<Float>, indices: Span<Int32>,
        scores: inout AlignedFloats
    ) {
        let width = x.count
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(scores.count >= indices.count)
        if indices.isEmpty { return }
        x.withUnsafeBufferPointer { x in
            rows.withUnsafeBufferPointer { rows in
                indices.withUnsafeBufferPointer { indices in
                    checkBounds(indices, rows.count / width)
                    scores.withUnsafeMutableBufferPointer { scores in
                        normalKernels.scoreEntries(
                            address(x), address(rows), width, address(indices), indices.count,
                            address(scores))
                    }
                }
            }
        }
    }
}

/// One pass of vector comparisons: a kernel trusts what it is given.
func checkBounds(_ indices: UnsafeBufferPointer<Int32>, _ rowCount: Int) {
    var largest: UInt32 = 0
    for index in indices { largest = max(largest, UInt32(bitPattern: index)) }
    precondition(Int(largest) < rowCount, "an index is out of range")
}
