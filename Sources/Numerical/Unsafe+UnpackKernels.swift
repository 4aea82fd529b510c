import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernels that turn packed numbers into values, of one instruction-set level.
struct UnpackKernels: Sendable {
    let unpackWords:
        @Sendable (UnsafeRawPointer, Int, Int, UInt32, UnsafeMutablePointer<UInt32>) -> Void
    let unpackLongs:
        @Sendable (UnsafeRawPointer, Int, Int, UInt64, UnsafeMutablePointer<UInt64>) -> Void
    let joinLongs:
        @Sendable (
            UnsafePointer<UInt32>, UnsafePointer<UInt32>, UInt64, UnsafeMutablePointer<UInt64>
        ) -> Void
    let unpackFloats:
        @Sendable (
            UnsafeRawPointer, UnsafePointer<UInt32>, UInt32, Int, UInt32, Float,
            UnsafeMutablePointer<Float>, Int
        ) -> Void
    let divideLongs: @Sendable (UnsafeMutablePointer<UInt64>, Double) -> Void
    let runningSum: @Sendable (UnsafeMutablePointer<UInt64>, Int, UInt64, UInt64) -> Void
    let lookUpWords:
        @Sendable (UnsafePointer<UInt32>, Int, UnsafeRawPointer, UnsafeMutablePointer<UInt32>) ->
            Void
    let lookUpLongs:
        @Sendable (UnsafePointer<UInt32>, Int, UnsafeRawPointer, UnsafeMutablePointer<UInt64>) ->
            Void
    let spreadWords:
        @Sendable (
            UnsafeRawPointer, Int, UnsafePointer<UInt32>, UInt32, UnsafeMutablePointer<UInt32>
        ) -> Void
    let spreadLongs:
        @Sendable (
            UnsafeRawPointer, Int, UnsafePointer<UInt64>, UInt64, UnsafeMutablePointer<UInt64>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            unpackWords = scalarUnpackWords
            unpackLongs = scalarUnpackLongs
            joinLongs = scalarJoinLongs
            unpackFloats = scalarUnpackFloats
            divideLongs = scalarDivideLongs
            runningSum = scalarRunningSum
            lookUpWords = scalarLookUpWords
            lookUpLongs = scalarLookUpLongs
            spreadWords = scalarSpreadWords
            spreadLongs = scalarSpreadLongs
        case .baseline:
            unpackWords = Kernels.unpackWords
            unpackLongs = Kernels.unpackLongs
            joinLongs = Kernels.joinLongs
            unpackFloats = Kernels.unpackFloats
            divideLongs = Kernels.divideLongs
            runningSum = Kernels.runningSum
            lookUpWords = Kernels.lookUpWords
            lookUpLongs = Kernels.lookUpLongs
            spreadWords = Kernels.spreadWords
            spreadLongs = Kernels.spreadLongs
        #if arch(x86_64)
        case .avx2:
            unpackWords = KernelsAVX2.unpackWords
            unpackLongs = KernelsAVX2.unpackLongs
            joinLongs = KernelsAVX2.joinLongs
            unpackFloats = KernelsAVX2.unpackFloats
            divideLongs = KernelsAVX2.divideLongs
            runningSum = KernelsAVX2.runningSum
            lookUpWords = KernelsAVX2.lookUpWords
            lookUpLongs = KernelsAVX2.lookUpLongs
            spreadWords = KernelsAVX2.spreadWords
            spreadLongs = KernelsAVX2.spreadLongs
        case .avx512:
            unpackWords = KernelsAVX512.unpackWords
            unpackLongs = KernelsAVX512.unpackLongs
            joinLongs = KernelsAVX512.joinLongs
            unpackFloats = KernelsAVX512.unpackFloats
            divideLongs = KernelsAVX512.divideLongs
            runningSum = KernelsAVX512.runningSum
            lookUpWords = KernelsAVX512.lookUpWords
            lookUpLongs = KernelsAVX512.lookUpLongs
            spreadWords = KernelsAVX512.spreadWords
            spreadLongs = KernelsAVX512.spreadLongs
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

/// Where each row of lane-packed numbers lies, for every width: `[33 × 32 × 4]`.
///
/// A row's entry is the byte offset of the word with its first bit, the offset of the word with its
/// last one, the right shift of the first and the left shift of the last. Where both are one word
/// the left shift moves it out of the mask; where the row starts a word both shifts are 0.
enum UnpackSteps {
    /// 32 entries of a width, read by the kernels; lives as long as the process.
    static func of(width: Int) -> UnsafePointer<UInt32> { UnsafePointer(table + width * 128) }

    nonisolated(unsafe) private static let table: UnsafeMutablePointer<UInt32> = {
        let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 33 * 128)
        for width in 0...32 {
            for row in 0..<32 {
                let bit = row * width
                let (word, shift) = (bit / 32, bit % 32)
                let entry = table + (width * 128 + row * 4)
                entry[0] = UInt32(word * 64)
                entry[1] = UInt32((shift + width > 32 ? word + 1 : word) * 64)
                entry[2] = UInt32(shift)
                entry[3] = UInt32((32 - shift) % 32)
            }
        }
        return table
    }()
}

// The checked edge: raw bytes in, one check of every count, then pointers. A pointer never outlives
// the call. `packed` is 64 times the width bytes for each whole group of 512 numbers.

extension KernelTable {
    /// Numbers of a group of lane-packed numbers (protocol/STORE.md).
    package static let groupCount = 512

    /// Unpacks one or two groups of numbers of `width` bits, 0 to 32, and adds a reference, modulo
    /// 2^32.
    /// - Parameters:
    ///   - packed: 64 times the width bytes a group.
    ///   - values: `[512]` or `[1024]`, out.
    package func unpack(
        _ packed: UnsafeRawBufferPointer, width: Int, reference: UInt32,
        into values: UnsafeMutableBufferPointer<UInt32>
    ) {
        let isPair = values.count == 2 * Self.groupCount
        precondition(isPair || values.count == Self.groupCount)
        let source = checked(packed, width, groupCount: isPair ? 2 : 1)
        guard width > 0 else { return values.update(repeating: reference) }
        unpackKernels.unpackWords(source, width, isPair ? 2 : 1, reference, address(values))
    }

    /// Unpacks one or two groups of numbers of `width` bits, 0 to 32, and adds a reference, modulo
    /// 2^64.
    /// - Parameters:
    ///   - packed: 64 times the width bytes a group.
    ///   - values: `[512]` or `[1024]`, out.
    package func unpack(
        _ packed: UnsafeRawBufferPointer, width: Int, reference: UInt64,
        into values: UnsafeMutableBufferPointer<UInt64>
    ) {
        let isPair = values.count == 2 * Self.groupCount
        precondition(isPair || values.count == Self.groupCount)
        let source = checked(packed, width, groupCount: isPair ? 2 : 1)
        guard width > 0 else { return values.update(repeating: reference) }
        unpackKernels.unpackLongs(source, width, isPair ? 2 : 1, reference, address(values))
    }

    /// Joins 512 low and high halves and adds a reference, modulo 2^64.
    /// - Parameter values: `[512]`, out; not where the halves are.
    package func join(
        low: UnsafeBufferPointer<UInt32>, high: UnsafeBufferPointer<UInt32>, reference: UInt64,
        into values: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(low.count == Self.groupCount && high.count == Self.groupCount)
        precondition(values.count == Self.groupCount)
        unpackKernels.joinLongs(address(low), address(high), reference, address(values))
    }

    /// Unpacks one or two groups of numbers, adds a reference modulo 2^32, takes the sums as Int32,
    /// converts them to single precision and divides by 10^exponent; both steps round to nearest,
    /// ties to even.
    /// - Parameters:
    ///   - packed: 64 times the width bytes a group.
    ///   - groupCount: 1 or 2.
    ///   - exponent: 0 ... 7.
    ///   - values: out, eight runs a group of 64 values that start `runStride` values apart, which
    ///     is at least 64. A column of feature-major blocks has a stride of 64 times the features.
    package func unpackDecimals(
        _ packed: UnsafeRawBufferPointer, groupCount: Int = 1, width: Int, reference: Int32,
        exponent: Int, into values: UnsafeMutableBufferPointer<Float>, runStride: Int = 64
    ) {
        precondition(groupCount == 1 || groupCount == 2)
        precondition(
            runStride >= 64 && values.count >= (8 * groupCount - 1) * runStride + 64)
        precondition((0...7).contains(exponent))
        let source = checked(packed, width, groupCount: groupCount)
        // A width of 0 has no bytes to tell two groups by: one after the other.
        let callCount = width == 0 ? groupCount : 1
        for call in 0..<callCount {
            unpackKernels.unpackFloats(
                source, UnpackSteps.of(width: width), lowBits(width),
                groupCount == 2 ? 64 * width : 0, UInt32(bitPattern: reference),
                Self.floatPowers[exponent], address(values) + call * 8 * runStride, runStride)
        }
    }

    /// Turns 512 integers within ±2^51, given with `decimalOrigin` added, into doubles and divides
    /// by 10^exponent, rounded to nearest, in place.
    /// - Parameter exponent: 0 ... 15.
    package func divideDecimals(
        _ values: UnsafeMutableBufferPointer<UInt64>, exponent: Int
    ) {
        precondition(values.count == Self.groupCount && (0...15).contains(exponent))
        unpackKernels.divideLongs(address(values), Self.doublePowers[exponent])
    }

    /// What `divideDecimals` expects to be added to the integers: the bits of 1.5 · 2^52.
    package static let decimalOrigin = (0x1.8p52 as Double).bitPattern

    private static let floatPowers: [Float] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7]
    private static let doublePowers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ]

    /// Replaces differences by running sums, modulo 2^64: the first value becomes `first`, every
    /// other one adds `step` and itself to the one before.
    package func sumUp(
        _ values: UnsafeMutableBufferPointer<UInt64>, first: UInt64, step: UInt64
    ) {
        if values.isEmpty { return }
        unpackKernels.runningSum(address(values), values.count, first, step)
    }

    /// The table's values by code. The caller knows that every code is within the table.
    /// - Parameter table: unaligned values of 32 bits.
    package func lookUp(
        _ codes: UnsafeBufferPointer<UInt32>, in table: UnsafeRawBufferPointer,
        into values: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(values.count == codes.count)
        guard let table = table.baseAddress else { return }
        unpackKernels.lookUpWords(address(codes), codes.count, table, address(values))
    }

    /// The same of 64 bits.
    package func lookUp(
        _ codes: UnsafeBufferPointer<UInt32>, in table: UnsafeRawBufferPointer,
        into values: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(values.count == codes.count)
        guard let table = table.baseAddress else { return }
        unpackKernels.lookUpLongs(address(codes), codes.count, table, address(values))
    }

    /// Spreads values over the rows whose bit is set; the other rows get `frequent`.
    /// - Parameters:
    ///   - bits: whole words of 64 rows, none set behind the rows, which the caller knows.
    ///   - others: at least as many as bits are set, which the caller knows.
    package func spread(
        _ bits: UnsafeRawBufferPointer, others: UnsafeBufferPointer<UInt32>, frequent: UInt32,
        into values: UnsafeMutableBufferPointer<UInt32>
    ) {
        precondition(bits.count >= (values.count + 63) / 64 * 8)
        guard let bits = bits.baseAddress else { return }
        unpackKernels.spreadWords(
            bits, values.count, address(others), frequent, address(values))
    }

    /// The same of 64 bits.
    package func spread(
        _ bits: UnsafeRawBufferPointer, others: UnsafeBufferPointer<UInt64>, frequent: UInt64,
        into values: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(bits.count >= (values.count + 63) / 64 * 8)
        guard let bits = bits.baseAddress else { return }
        unpackKernels.spreadLongs(
            bits, values.count, address(others), frequent, address(values))
    }

    private func checked(
        _ packed: UnsafeRawBufferPointer, _ width: Int, groupCount: Int = 1
    ) -> UnsafeRawPointer {
        precondition((0...32).contains(width) && packed.count == 64 * width * groupCount)
        // A kernel may read 64 bytes even of width 0, and masks them out.
        guard width > 0, let base = packed.baseAddress else {
            return UnsafeRawPointer(UnpackSteps.of(width: 0))
        }
        return base
    }

    private func lowBits(_ width: Int) -> UInt32 { width == 32 ? .max : 1 << UInt32(width) - 1 }
}
