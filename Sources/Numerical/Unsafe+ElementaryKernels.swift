import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The elementary functions of one instruction-set level.
struct ElementaryKernels: Sendable {
    typealias Floats = @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    typealias Doubles = @Sendable (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void

    let exponentials: Floats
    let doubleExponentials: Doubles
    let logarithms: Floats
    let doubleLogarithms: Doubles
    let logistics: Floats
    let doubleLogistics: Doubles
    let powerComplements:
        @Sendable (
            UnsafePointer<Double>, UnsafePointer<Double>, Int, UnsafePointer<Double>, Int, Double,
            UnsafeMutablePointer<Double>
        ) -> Void

    init(_ level: ISALevel) {
        switch level {
        case .scalar:
            exponentials = scalarExponentials
            doubleExponentials = scalarExponentials
            logarithms = scalarLogarithms
            doubleLogarithms = scalarLogarithms
            logistics = scalarLogistics
            doubleLogistics = scalarLogistics
            powerComplements = scalarPowerComplements
        case .baseline:
            exponentials = Kernels.exponentials
            doubleExponentials = Kernels.exponentials
            logarithms = Kernels.logarithms
            doubleLogarithms = Kernels.logarithms
            logistics = Kernels.logistics
            doubleLogistics = Kernels.logistics
            powerComplements = Kernels.powerComplements
        #if arch(x86_64)
        case .avx2:
            exponentials = KernelsAVX2.exponentials
            doubleExponentials = KernelsAVX2.exponentials
            logarithms = KernelsAVX2.logarithms
            doubleLogarithms = KernelsAVX2.logarithms
            logistics = KernelsAVX2.logistics
            doubleLogistics = KernelsAVX2.logistics
            powerComplements = KernelsAVX2.powerComplements
        case .avx512:
            exponentials = KernelsAVX512.exponentials
            doubleExponentials = KernelsAVX512.exponentials
            logarithms = KernelsAVX512.logarithms
            doubleLogarithms = KernelsAVX512.logarithms
            logistics = KernelsAVX512.logistics
            doubleLogistics = KernelsAVX512.logistics
            powerComplements = KernelsAVX512.powerComplements
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

// Errors, in units in the last place of the result, at every level, measured against a wider type:
// exponentials at most 1, logarithms 1 (doubles 1.5), logistics 2 (doubles 2.5). NaN stays NaN;
// infinities, zeros and results below the normal range are as the C library's.
extension KernelTable {
    /// `output[i] = e^x[i]`.
    /// - Parameter output: of the count of `x`.
    package func exponentials(_ x: Span<Float>, _ output: inout MutableSpan<Float>) {
        apply(elementaryKernels.exponentials, x, &output)
    }

    /// `output[i] = e^x[i]`, as for `Float`.
    /// - Parameter output: of the count of `x`.
    package func exponentials(_ x: Span<Double>, _ output: inout MutableSpan<Double>) {
        apply(elementaryKernels.doubleExponentials, x, &output)
    }

    /// `output[i] = ln x[i]`: minus infinity at 0, NaN below.
    /// - Parameter output: of the count of `x`.
    package func logarithms(_ x: Span<Float>, _ output: inout MutableSpan<Float>) {
        apply(elementaryKernels.logarithms, x, &output)
    }

    /// `output[i] = ln x[i]`, as for `Float`.
    /// - Parameter output: of the count of `x`.
    package func logarithms(_ x: Span<Double>, _ output: inout MutableSpan<Double>) {
        apply(elementaryKernels.doubleLogarithms, x, &output)
    }

    /// `output[i] = 1 / (1 + e^-x[i])`.
    /// - Parameter output: of the count of `x`.
    package func logistics(_ x: Span<Float>, _ output: inout MutableSpan<Float>) {
        apply(elementaryKernels.logistics, x, &output)
    }

    /// `output[i] = 1 / (1 + e^-x[i])`, as for `Float`.
    /// - Parameter output: of the count of `x`.
    package func logistics(_ x: Span<Double>, _ output: inout MutableSpan<Double>) {
        apply(elementaryKernels.doubleLogistics, x, &output)
    }

    /// `output[j] = Σ weights[i] · (1 − (1 + points[i] · times[j])^(−shape))`, each term to 4 units in
    /// the last place.
    /// - Parameters:
    ///   - points: not negative.
    ///   - weights: of the count of `points`.
    ///   - times: not negative; no product with a point is infinite.
    ///   - shape: not negative.
    ///   - output: of the count of `times`.
    package func powerComplements(
        _ points: Span<Double>, weights: Span<Double>, times: Span<Double>, shape: Double,
        _ output: inout MutableSpan<Double>
    ) {
        precondition(points.count == weights.count && times.count == output.count)
        points.withUnsafeBufferPointer { points in
            weights.withUnsafeBufferPointer { weights in
                times.withUnsafeBufferPointer { times in
                    output.withUnsafeMutableBufferPointer { output in
                        elementaryKernels.powerComplements(
                            address(points), address(weights), points.count, address(times),
                            times.count, shape, address(output))
                    }
                }
            }
        }
    }

    private func apply(
        _ function: ElementaryKernels.Floats, _ x: Span<Float>, _ output: inout MutableSpan<Float>
    ) {
        precondition(x.count == output.count)
        x.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { output in
                function(address(x), address(output), x.count)
            }
        }
    }

    private func apply(
        _ function: ElementaryKernels.Doubles, _ x: Span<Double>,
        _ output: inout MutableSpan<Double>
    ) {
        precondition(x.count == output.count)
        x.withUnsafeBufferPointer { x in
            output.withUnsafeMutableBufferPointer { output in
                function(address(x), address(output), x.count)
            }
        }
    }
}
