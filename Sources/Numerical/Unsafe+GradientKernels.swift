import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of conjugate gradients, of one instruction-set level.
struct GradientKernels: Sendable {
    let addPulls:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, UnsafePointer<Float>, Int, Int, Float,
            Float, Float, Float, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let rowProducts:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
            UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void
    let prepareDescent:
        @Sendable (
            UnsafePointer<Float>, Int, Float, Float, Float, UnsafePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    let startDescent: @Sendable (UnsafeMutablePointer<Float>, Int) -> Float
    let stepDescent:
        @Sendable (UnsafeMutablePointer<Float>, Int, UnsafeMutablePointer<Float>, Float) -> Float
    let descendRow:
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, UnsafePointer<Float>, Int, Int, Float,
            Float, UnsafePointer<Float>, Float, Float, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>, Int, Float
        ) -> Int32
    let multiplyRows:
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            addPulls = scalarAddPulls
            rowProducts = scalarRowProducts
            prepareDescent = scalarPrepareDescent
            startDescent = scalarStartDescent
            stepDescent = scalarStepDescent
            descendRow = scalarDescendRow
            multiplyRows = scalarMultiplyRows
        case .baseline:
            addPulls = Kernels.addPulls
            rowProducts = Kernels.rowProducts
            prepareDescent = Kernels.prepareDescent
            startDescent = Kernels.startDescent
            stepDescent = Kernels.stepDescent
            descendRow = Kernels.descendRow
            multiplyRows = Kernels.multiplyRows
        #if arch(x86_64)
        case .avx2:
            addPulls = KernelsAVX2.addPulls
            rowProducts = KernelsAVX2.rowProducts
            prepareDescent = KernelsAVX2.prepareDescent
            startDescent = KernelsAVX2.startDescent
            stepDescent = KernelsAVX2.stepDescent
            descendRow = KernelsAVX2.descendRow
            multiplyRows = KernelsAVX2.multiplyRows
        case .avx512:
            addPulls = KernelsAVX512.addPulls
            rowProducts = KernelsAVX512.rowProducts
            prepareDescent = KernelsAVX512.prepareDescent
            startDescent = KernelsAVX512.startDescent
            stepDescent = KernelsAVX512.stepDescent
            descendRow = KernelsAVX512.descendRow
            multiplyRows = KernelsAVX512.multiplyRows
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// The linear confidence c = 1 + `intercept` + `slope` · r of an entry r.
package struct LinearConfidence: Sendable, Equatable {
    package var intercept: Float
    package var slope: Float

    package init(intercept: Float, slope: Float) {
        self.intercept = intercept
        self.slope = slope
    }

    /// c - 1.
    package func excess(_ value: Float) -> Float { intercept + slope * value }
}

/// The side that a half-sweep holds fixed, in the axes in which its Gram matrix is diagonal.
package struct DiagonalSide: Sendable {
    /// `[rowCount × width]`, row-major, padding zero; longer memory is as good.
    package var rows: AlignedFloats
    /// `[width]`: the diagonal of rowsᵀ rows, at least 0.
    package var axes: AlignedFloats
    /// The least diagonal element that the preconditioner divides by, above 0.
    package var floor: Float

    package init(rows: AlignedFloats, axes: AlignedFloats, floor: Float) {
        self.rows = rows
        self.axes = axes
        self.floor = floor
    }

    package var width: Int { axes.count }
}

/// What conjugate gradients remember of one row from step to step.
package struct DescentState: Sendable {
    fileprivate var values: AlignedFloats
    package let width: Int
    /// ρ of the last step over ρ of the first: the square of what is left of the residual.
    package private(set) var remainder: Float = 1
    private var first: Float = 0
    fileprivate private(set) var rho: Float = 0

    package init(width: Int) {
        precondition(width % 16 == 0 && width >= 0)
        self.width = width
        values = AlignedFloats(count: 5 * width + 320)
    }

    fileprivate mutating func start(_ rho: Float) {
        first = rho
        self.rho = rho
        remainder = rho > 0 ? 1 : 0
    }

    fileprivate mutating func advance(to rho: Float) {
        self.rho = rho
        remainder = rho > 0 ? rho / first : 0
    }
}

// The checked edge: spans and arrays in, one check of every count, then pointers. A pointer never
// outlives the call; inputs and outputs cannot overlap because an `inout` is exclusive. A
// SparseMatrix has only columns below its column count, so one check of that bounds every gather.

extension KernelTable {
    /// Conjugate gradients on one row of a half-sweep, in the axes of the fixed side.
    /// - Parameters:
    ///   - row: the row of `matrix`, `[rowCount × fixed row count]`.
    ///   - factors: `[… × width]`; the vector at `position` is where the row starts from, in, and
    ///     better factors, out.
    ///   - state: of any row; overwritten.
    ///   - steps: at most; fewer where the square of the residual has fallen to `tolerance`.
    /// - Returns: false where the factors are no longer finite.
    package func descend(
        _ matrix: SparseMatrix, row: Int, against fixed: DiagonalSide,
        confidence: LinearConfidence, regularization: Float, steps: Int, tolerance: Float,
        factors: inout AlignedFloats, at position: Int, state: inout DescentState
    ) -> Bool {
        let (entries, width) = (matrix.entries(of: row), fixed.width)
        precondition(position >= 0 && (position + 1) * width <= factors.count)
        precondition(state.width == width && width % 16 == 0)
        precondition(fixed.rows.count >= matrix.columnCount * width && fixed.floor > 0)
        if width == 0 { return true }
        return fixed.rows.withUnsafeBufferPointer { rows in
            fixed.axes.withUnsafeBufferPointer { axes in
                matrix.columnIndices.withUnsafeBufferPointer { columns in
                    matrix.values.withUnsafeBufferPointer { values in
                        factors.withUnsafeMutableBufferPointer { factors in
                            state.values.withUnsafeMutableBufferPointer { state in
                                gradientKernels.descendRow(
                                    address(rows), width, address(columns) + entries.lowerBound,
                                    address(values) + entries.lowerBound, entries.count,
                                    matrix.valueCount - entries.upperBound,
                                    confidence.intercept, confidence.slope, address(axes),
                                    regularization, fixed.floor,
                                    address(factors) + position * width, address(state), steps,
                                    tolerance) != 0
                            }
                        }
                    }
                }
            }
        }
    }

    /// `output = input · matrix`.
    /// - Parameters:
    ///   - input: `[rowCount × width]`, row-major.
    ///   - output: as `input`, or longer: the rest stays as it is.
    ///   - matrix: `[width × width]`, row-major; `width` a multiple of 16.
    package func multiplyRows(
        _ input: Span<Float>, width: Int, by matrix: AlignedFloats,
        _ output: inout MutableSpan<Float>
    ) {
        precondition(width % 16 == 0 && matrix.count == width * width)
        precondition(output.count >= input.count)
        if input.isEmpty { return }
        precondition(width > 0 && input.count % width == 0)
        input.withUnsafeBufferPointer { input in
            matrix.withUnsafeBufferPointer { matrix in
                output.withUnsafeMutableBufferPointer { output in
                    gradientKernels.multiplyRows(
                        address(input), input.count / width, width, address(matrix),
                        address(output))
                }
            }
        }
    }

    /// Products of the fixed rows that `entries` of `matrix` name with `vector`.
    /// - Parameters:
    ///   - rows: `[columnCount × width]`, row-major.
    ///   - products: `[entries.count]` or longer, out.
    ///   - scratch: at least 320 values.
    package func rowProducts(
        _ rows: AlignedFloats, _ matrix: SparseMatrix, entries: Range<Int>,
        with vector: Span<Float>, products: inout [Float], scratch: inout AlignedFloats
    ) {
        let width = vector.count
        precondition(width % 16 == 0 && rows.count == matrix.columnCount * width)
        precondition(entries.lowerBound >= 0 && entries.upperBound <= matrix.valueCount)
        precondition(products.count >= entries.count && scratch.count >= 320)
        if entries.isEmpty { return }
        rows.withUnsafeBufferPointer { rows in
            matrix.columnIndices.withUnsafeBufferPointer { columns in
                vector.withUnsafeBufferPointer { vector in
                    products.withUnsafeMutableBufferPointer { products in
                        scratch.withUnsafeMutableBufferPointer { scratch in
                            gradientKernels.rowProducts(
                                address(rows), width, address(columns) + entries.lowerBound,
                                entries.count, address(vector), address(products),
                                address(scratch))
                        }
                    }
                }
            }
        }
    }
}

/// A range of one row's entries.
package struct PullPiece: Sendable {
    package var position: Int
    package var entries: Range<Int>
    package var scale: Float

    package init(position: Int, entries: Range<Int>, scale: Float) {
        self.position = position
        self.entries = entries
        self.scale = scale
    }
}

// The parts of `descend`, for rows whose entries are added piece by piece.

extension KernelTable {
    /// Adds, for several rows of `matrix`, the pull of a range of entries on a vector.
    ///
    /// With `isResidual` the sum of all entries' pulls on x, added to minus diagonal times x, is the
    /// residual; without, it is minus the system times the vector.
    /// - Parameters:
    ///   - pieces: of each row its number among the vectors, its entries, and what all of its system
    ///     is multiplied by.
    ///   - vectors: `[… × width]`.
    ///   - output: `[… × width]`, in and out.
    ///   - scratch: at least 320 values.
    package func addPulls(
        _ matrix: SparseMatrix, _ pieces: Span<PullPiece>, of fixed: DiagonalSide,
        confidence: LinearConfidence, isResidual: Bool, on vectors: AlignedFloats,
        to output: inout MutableSpan<Float>, scratch: inout AlignedFloats
    ) {
        let width = fixed.width
        precondition(fixed.rows.count >= matrix.columnCount * width && width % 16 == 0)
        precondition(scratch.count >= 320)
        for i in pieces.indices {
            let (piece, end) = (pieces[i], (pieces[i].position + 1) * width)
            precondition(piece.entries.lowerBound >= 0 && piece.position >= 0)
            precondition(piece.entries.upperBound <= matrix.valueCount)
            precondition(end <= vectors.count && end <= output.count)
        }
        if pieces.isEmpty || width == 0 { return }
        fixed.rows.withUnsafeBufferPointer { rows in
            matrix.columnIndices.withUnsafeBufferPointer { columns in
                matrix.values.withUnsafeBufferPointer { values in
                    vectors.withUnsafeBufferPointer { vectors in
                        output.withUnsafeMutableBufferPointer { output in
                            scratch.withUnsafeMutableBufferPointer { scratch in
                                for i in pieces.indices {
                                    let (entries, at) = (
                                        pieces[i].entries, pieces[i].position * width
                                    )
                                    let scale = pieces[i].scale
                                    gradientKernels.addPulls(
                                        address(rows), width,
                                        address(columns) + entries.lowerBound,
                                        address(values) + entries.lowerBound, entries.count,
                                        isResidual ? 0 : -1,
                                        confidence.intercept * scale, confidence.slope * scale,
                                        isResidual ? scale : 0, isResidual ? 1 : 0,
                                        address(vectors) + at, address(output) + at,
                                        address(scratch))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Sets the state of a row at `x`, without its entries.
    package func prepareDescent(
        _ fixed: DiagonalSide, regularization: Float, scale: Float, x: Span<Float>,
        _ state: inout DescentState
    ) {
        let width = fixed.width
        precondition(x.count == width && state.width == width && width % 16 == 0)
        if width == 0 { return }
        fixed.axes.withUnsafeBufferPointer { axes in
            x.withUnsafeBufferPointer { x in
                state.values.withUnsafeMutableBufferPointer { state in
                    gradientKernels.prepareDescent(
                        address(axes), width, regularization, scale, fixed.floor, address(x),
                        address(state))
                }
            }
        }
    }

    /// Takes the image, by now the residual, and chooses the first direction.
    package func startDescent(_ state: inout DescentState) {
        let width = state.width
        let rho: Float = state.values.withUnsafeMutableBufferPointer { values in
            width == 0 ? 0 : gradientKernels.startDescent(address(values), width)
        }
        state.start(rho)
    }

    /// One step along the direction, whose image is complete.
    /// - Parameter factors: `[… × width]`; the vector at `position` is moved.
    package func stepDescent(
        _ state: inout DescentState, factors: inout AlignedFloats, at position: Int
    ) {
        let width = state.width
        precondition(position >= 0 && (position + 1) * width <= factors.count)
        if width == 0 { return }
        let before = state.rho
        let rho: Float = factors.withUnsafeMutableBufferPointer { factors in
            state.values.withUnsafeMutableBufferPointer { values in
                gradientKernels.stepDescent(
                    address(values), width, address(factors) + position * width, before)
            }
        }
        state.advance(to: rho)
    }
}

extension DescentState {
    /// Copies the direction of the next step to the vector at `position`.
    /// - Parameter target: `[… × width]`.
    package func copyDirection(to target: inout AlignedFloats, at position: Int) {
        let (width, first) = (width, position * width)
        precondition(first >= 0 && first + width <= target.count)
        values.withUnsafeBufferPointer { values in
            target.withUnsafeMutableBufferPointer { target in
                for k in 0..<width { target[first + k] = values[3 * width + k] }
            }
        }
    }

    /// Adds a part of the direction's image, or of the first residual.
    /// - Parameter parts: `[… × width]`; the vector at `position` is the part.
    package mutating func addToImage(_ parts: AlignedFloats, at position: Int) {
        let (width, first) = (width, position * width)
        precondition(first >= 0 && first + width <= parts.count)
        parts.withUnsafeBufferPointer { parts in
            values.withUnsafeMutableBufferPointer { values in
                for k in 0..<width { values[4 * width + k] += parts[first + k] }
            }
        }
    }
}
