import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels of one instruction-set level as function pointers. Callers use the checked methods
/// in Unsafe+Kernels.swift; nothing here checks a bound.
package struct KernelTable: Sendable {
    package let level: ISALevel

    let assignRows: AssignRows
    let accumulateRows: AccumulateRows
    let scoreBlock: ScoreBlock
    let squaredDistancesBlock: SquaredDistancesBlock
    let dot: Dot
    let axpy: Axpy
    let matrixVector: MatrixVector
    let gatherRows: GatherRows
    let addOuterProducts: AddOuterProducts
    let solvePositiveDefinite: SolvePositiveDefinite

    /// The table of the level that the machine and `PATRON_ISA` ask for, chosen once.
    ///
    /// A wrong `PATRON_ISA` ends the process with the reason; a program that wants to report it
    /// calls `ISALevel.choose` first.
    package static let current: KernelTable = {
        do {
            return KernelTable(try ISALevel.choose(forced: ISALevel.forcedByEnvironment))
        } catch {
            preconditionFailure("\(ISALevel.environmentName): \(error)")
        }
    }()

    /// The table of a level that the machine has.
    package init(_ level: ISALevel) {
        precondition(ISALevel.available.contains(level), "the machine lacks \(level.rawValue)")
        self.level = level
        switch level {
        case .scalar:
            assignRows = scalarAssignRows
            accumulateRows = scalarAccumulateRows
            scoreBlock = scalarScoreBlock
            squaredDistancesBlock = scalarSquaredDistancesBlock
            dot = scalarDot
            axpy = scalarAxpy
            matrixVector = scalarMatrixVector
            gatherRows = scalarGatherRows
            addOuterProducts = scalarAddOuterProducts
            solvePositiveDefinite = scalarSolvePositiveDefinite
        #if arch(x86_64)
        case .avx2:
            assignRows = KernelsAVX2.assignRows
            accumulateRows = KernelsAVX2.accumulateRows
            scoreBlock = KernelsAVX2.scoreBlock
            squaredDistancesBlock = KernelsAVX2.squaredDistancesBlock
            dot = KernelsAVX2.dot
            axpy = KernelsAVX2.axpy
            matrixVector = KernelsAVX2.matrixVector
            gatherRows = KernelsAVX2.gatherRows
            addOuterProducts = KernelsAVX2.addOuterProducts
            solvePositiveDefinite = KernelsAVX2.solvePositiveDefinite
        case .avx512:
            assignRows = KernelsAVX512.assignRows
            accumulateRows = KernelsAVX512.accumulateRows
            scoreBlock = KernelsAVX512.scoreBlock
            squaredDistancesBlock = KernelsAVX512.squaredDistancesBlock
            dot = KernelsAVX512.dot
            axpy = KernelsAVX512.axpy
            matrixVector = KernelsAVX512.matrixVector
            gatherRows = KernelsAVX512.gatherRows
            addOuterProducts = KernelsAVX512.addOuterProducts
            solvePositiveDefinite = KernelsAVX512.solvePositiveDefinite
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        case .baseline:
            assignRows = Kernels.assignRows
            accumulateRows = Kernels.accumulateRows
            scoreBlock = Kernels.scoreBlock
            squaredDistancesBlock = Kernels.squaredDistancesBlock
            dot = Kernels.dot
            axpy = Kernels.axpy
            matrixVector = Kernels.matrixVector
            gatherRows = Kernels.gatherRows
            addOuterProducts = Kernels.addOuterProducts
            solvePositiveDefinite = Kernels.solvePositiveDefinite
        }
    }

    typealias AssignRows =
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int,
            UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Float>
        ) -> Void
    typealias AccumulateRows =
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Int32>, Int,
            UnsafeMutablePointer<Double>, UnsafeMutablePointer<Int64>
        ) -> Void
    typealias ScoreBlock =
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>,
            UnsafeMutablePointer<Float>
        ) -> Void
    typealias SquaredDistancesBlock =
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>
        ) -> Void
    typealias Dot = @Sendable (UnsafePointer<Float>, UnsafePointer<Float>, Int) -> Float
    typealias Axpy =
        @Sendable (Float, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    typealias MatrixVector =
        @Sendable (
            UnsafePointer<Float>, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void
    typealias GatherRows =
        @Sendable (
            UnsafePointer<Float>, Int, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
        ) -> Void
    typealias AddOuterProducts =
        @Sendable (UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>) -> Void
    typealias SolvePositiveDefinite =
        @Sendable (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int, Float) -> Int32
}
