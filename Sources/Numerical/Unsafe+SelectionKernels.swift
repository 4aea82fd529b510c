import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that compare and add unpacked values, of one instruction-set level.
struct SelectionKernels: Sendable {
    let selectWords:
        @Sendable (UnsafePointer<UInt32>, UInt32, UInt32, UnsafeMutablePointer<UInt32>) -> Void
    let selectLongs:
        @Sendable (UnsafePointer<UInt64>, UInt64, UInt64, UnsafeMutablePointer<UInt32>) -> Void
    let selectFloats:
        @Sendable (UnsafePointer<Float>, Float, Float, UnsafeMutablePointer<UInt32>) -> Void
    let selectDoubles:
        @Sendable (UnsafePointer<Double>, Double, Double, UnsafeMutablePointer<UInt32>) -> Void
    let sumFloats:
        @Sendable (UnsafePointer<Float>, UnsafePointer<UInt32>, UnsafeMutablePointer<Double>) ->
            Void
    let sumDoubles:
        @Sendable (UnsafePointer<Double>, UnsafePointer<UInt32>, UnsafeMutablePointer<Double>) ->
            Void
    let sumLongs:
        @Sendable (UnsafePointer<UInt64>, UnsafePointer<UInt32>, UnsafeMutablePointer<UInt64>) ->
            Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            selectWords = scalarSelectWords
            selectLongs = scalarSelectLongs
            selectFloats = scalarSelectFloats
            selectDoubles = scalarSelectDoubles
            sumFloats = scalarSumFloats
            sumDoubles = scalarSumDoubles
            sumLongs = scalarSumLongs
        case .baseline:
            selectWords = Kernels.selectWords
            selectLongs = Kernels.selectLongs
            selectFloats = Kernels.selectFloats
            selectDoubles = Kernels.selectDoubles
            sumFloats = Kernels.sumFloats
            sumDoubles = Kernels.sumDoubles
            sumLongs = Kernels.sumLongs
        #if arch(x86_64)
        case .avx2:
            selectWords = KernelsAVX2.selectWords
            selectLongs = KernelsAVX2.selectLongs
            selectFloats = KernelsAVX2.selectFloats
            selectDoubles = KernelsAVX2.selectDoubles
            sumFloats = KernelsAVX2.sumFloats
            sumDoubles = KernelsAVX2.sumDoubles
            sumLongs = KernelsAVX2.sumLongs
        case .avx512:
            selectWords = KernelsAVX512.selectWords
            selectLongs = KernelsAVX512.selectLongs
            selectFloats = KernelsAVX512.selectFloats
            selectDoubles = KernelsAVX512.selectDoubles
            sumFloats = KernelsAVX512.sumFloats
            sumDoubles = KernelsAVX512.sumDoubles
            sumLongs = KernelsAVX512.sumLongs
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// The checked edge. A selection is `[16]` words in lane order: bit r of word l stands for value
// 16 r + l. All values are `[512]`.

extension KernelTable {
    /// Selects the values of a range.
    package func select(
        _ values: UnsafeBufferPointer<UInt32>, _ range: ClosedRange<UInt32>,
        _ selection: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(values.count == Self.groupCount && selection.count == 16)
        selectionKernels.selectWords(
            address(values), range.lowerBound, range.upperBound - range.lowerBound,
            address(selection))
    }

    /// Selects the values, as bit patterns of Int64, of a range.
    package func select(
        _ values: UnsafeBufferPointer<UInt64>, _ range: ClosedRange<Int64>,
        _ selection: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(values.count == Self.groupCount && selection.count == 16)
        let lower = UInt64(bitPattern: range.lowerBound)
        selectionKernels.selectLongs(
            address(values), lower, UInt64(bitPattern: range.upperBound) &- lower,
            address(selection))
    }

    /// Selects the values of a range, never NaN.
    package func select(
        _ values: UnsafeBufferPointer<Float>, _ range: ClosedRange<Float>,
        _ selection: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(values.count == Self.groupCount && selection.count == 16)
        selectionKernels.selectFloats(
            address(values), range.lowerBound, range.upperBound, address(selection))
    }

    /// Selects the values of a range, never NaN.
    package func select(
        _ values: UnsafeBufferPointer<Double>, _ range: ClosedRange<Double>,
        _ selection: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(values.count == Self.groupCount && selection.count == 16)
        selectionKernels.selectDoubles(
            address(values), range.lowerBound, range.upperBound, address(selection))
    }

    /// Adds the selected values to 16 sums, one a lane, in the order of the rows.
    package func addSelected(
        _ values: UnsafeBufferPointer<Float>, _ selection: UnsafeBufferPointer<UInt32>,
        to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(
            values.count == Self.groupCount && selection.count == 16 && sums.count == 16)
        selectionKernels.sumFloats(address(values), address(selection), address(sums))
    }

    /// Adds the selected values to 16 sums, one a lane, in the order of the rows.
    package func addSelected(
        _ values: UnsafeBufferPointer<Double>, _ selection: UnsafeBufferPointer<UInt32>,
        to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(
            values.count == Self.groupCount && selection.count == 16 && sums.count == 16)
        selectionKernels.sumDoubles(address(values), address(selection), address(sums))
    }

    /// Adds the selected values, bit patterns of Int64, with 2^63 added, to 16 sums of their low 32
    /// bits and then 16 of their high ones.
    package func addSelected(
        _ values: UnsafeBufferPointer<UInt64>, _ selection: UnsafeBufferPointer<UInt32>,
        to sums: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(
            values.count == Self.groupCount && selection.count == 16 && sums.count == 32)
        selectionKernels.sumLongs(address(values), address(selection), address(sums))
    }
}
