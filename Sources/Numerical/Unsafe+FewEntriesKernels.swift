import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernel of rows with fewer entries than factors, of one instruction-set level.
struct FewEntriesKernels: Sendable {
    /// Systems a call solves.
    let batch: Int
    let scratchCount: @Sendable (Int) -> Int
    let solve:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, UnsafePointer<Float>,
            UnsafePointer<Int>, UnsafePointer<Int>, Float, Float, Float,
            UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            batch = Kernels.fewEntriesBatch
            scratchCount = Kernels.fewEntriesScratchCount
            solve = scalarSolveFewEntries
        case .baseline:
            batch = Kernels.fewEntriesBatch
            scratchCount = Kernels.fewEntriesScratchCount
            solve = Kernels.solveFewEntries
        #if arch(x86_64)
        case .avx2:
            batch = KernelsAVX2.fewEntriesBatch
            scratchCount = KernelsAVX2.fewEntriesScratchCount
            solve = KernelsAVX2.solveFewEntries
        case .avx512:
            batch = KernelsAVX512.fewEntriesBatch
            scratchCount = KernelsAVX512.fewEntriesScratchCount
            solve = KernelsAVX512.solveFewEntries
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// Memory of `KernelTable.solveFewEntries`, made once and used for many batches.
package struct FewEntriesBatch: Sendable {
    let width: Int
    /// `[batch]`: a system's first entry and how many it has.
    package fileprivate(set) var starts: [Int]
    package fileprivate(set) var counts: [Int]
    /// `[batch × width]`: the solutions.
    package fileprivate(set) var solutions: AlignedFloats
    fileprivate var whitened: AlignedFloats
    /// `[batch]`: not above 0, or NaN, where the pivots of a system have no correct digit; its
    /// solution is then undefined.
    package fileprivate(set) var margins: AlignedFloats
    fileprivate var scratch: AlignedFloats

    package init(width: Int, kernels: KernelTable) {
        precondition(width > 0 && width % 16 == 0)
        let batch = kernels.fewEntriesKernels.batch
        self.width = width
        starts = [Int](repeating: 0, count: batch)
        counts = starts
        solutions = AlignedFloats(count: batch * width)
        whitened = AlignedFloats(count: batch * width)
        margins = AlignedFloats(count: batch)
        scratch = AlignedFloats(count: 0)
    }
}

extension KernelTable {
    /// Systems that `solveFewEntries` takes at once.
    package var fewEntriesBatch: Int { fewEntriesKernels.batch }

    /// A pivot is at least 1; below this share of its diagonal entry it has no correct digit.
    private static let pivotFloor = 16 * Float.ulpOfOne

    /// Solves the systems of up to `fewEntriesBatch` rows that have fewer entries than factors.
    ///
    /// A row's result depends on its own entries alone, bit for bit.
    /// - Parameters:
    ///   - whitened: `[… × width]`, row-major: L⁻¹ y of the other side's rows.
    ///   - fromWhite: `[width × width]`, lower triangular: L⁻¹.
    ///   - indices, values: of all entries of a matrix; values at least 0.
    ///   - entries: the rows' entries, at most `fewEntriesBatch` ranges.
    ///   - alpha, base: the confidence c = base + alpha · value ≥ 1.
    package func solveFewEntries(
        _ whitened: Span<Float>, fromWhite: Span<Float>, indices: Span<Int32>, values: Span<Float>,
        entries: (_ index: Int) -> Range<Int>?, alpha: Float, base: Float,
        _ batch: inout FewEntriesBatch
    ) {
        let width = batch.width
        let kernels = fewEntriesKernels
        precondition(batch.starts.count == kernels.batch && values.count == indices.count)
        precondition(fromWhite.count == width * width)
        precondition(!whitened.isEmpty && whitened.count % width == 0)
        var largest = 0
        for index in 0..<kernels.batch {
            let range = entries(index) ?? 0..<0
            precondition(range.lowerBound >= 0 && range.upperBound <= indices.count)
            batch.starts[index] = range.lowerBound
            batch.counts[index] = range.count
            largest = max(largest, range.count)
        }
        let scratchCount = kernels.scratchCount(largest)
        if batch.scratch.count < scratchCount {
            batch.scratch = AlignedFloats(count: scratchCount)
        }
        let (starts, counts) = (batch.starts, batch.counts)
        whitened.withUnsafeBufferPointer { whitened in
            indices.withUnsafeBufferPointer { indices in
                for index in 0..<kernels.batch {
                    let range = starts[index]..<starts[index] + counts[index]
                    checkBounds(
                        UnsafeBufferPointer(rebasing: indices[range]), whitened.count / width)
                }
                values.withUnsafeBufferPointer { values in
                    batch.scratch.withUnsafeMutableBufferPointer { scratch in
                        batch.whitened.withUnsafeMutableBufferPointer { solutions in
                            batch.margins.withUnsafeMutableBufferPointer { margins in
                                kernels.solve(
                                    address(whitened), width, address(indices),
                                    address(values), starts, counts, alpha, base,
                                    Self.pivotFloor, address(scratch), address(solutions),
                                    address(margins))
                            }
                        }
                    }
                }
            }
        }
        batch.whitened.withUnsafeBufferPointer { whitened in
            fromWhite.withUnsafeBufferPointer { fromWhite in
                batch.solutions.withUnsafeMutableBufferPointer { solutions in
                    normalKernels.multiplyTriangle(
                        address(whitened), kernels.batch, width, address(fromWhite), 0,
                        address(solutions))
                }
            }
        }
    }
}
