// Scalar twins of the vector loops of growing trees.
#if !KERNELS_AVX2 && !KERNELS_AVX512
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Scalar twin of `logisticGradients`: pairs to rounding, packed sums to a unit.
@inline(never)
package func scalarLogisticGradients(
    _ scores: UnsafePointer<Float>, _ targets: UnsafePointer<Float>,
    _ weights: UnsafePointer<Float>, _ count: Int, _ firstRow: UInt32, _ seed: UInt32,
    _ gradientScale: Float, _ hessianScale: Float, _ pairs: UnsafeMutablePointer<Float>,
    _ packed: UnsafeMutablePointer<UInt64>
) {
    for i in 0..<count {
        let p = 1 / (1 + expf(-scores[i]))
        let g = (p - targets[i]) * weights[i]
        let h = p * (1 - p) * weights[i]
        pairs[2 * i] = g
        pairs[2 * i + 1] = h
        var x = ((firstRow &+ UInt32(i)) &* 0x9E37_79B1) ^ seed
        x ^= x >> 15
        x = x &* 0x85EB_CA77
        x ^= x >> 13
        let y = x &* 0xC2B2_AE3D
        let u = Float(bitPattern: x >> 9 | 0x3F80_0000) - 1.5
        let v = Float(bitPattern: y >> 9 | 0x3F80_0000) - 1.5
        let gUnits = Int64((g * gradientScale + u).rounded(.toNearestOrEven))
        let hUnits = Int64((h * hessianScale + v).rounded(.toNearestOrEven))
        packed[i] = UInt64(bitPattern: gUnits << 37 + hUnits << 13 + 1)
    }
}

/// Scalar twin of `bestSplit`, bit for bit.
@inline(never)
package func scalarBestSplit(
    _ gradients: UnsafePointer<Double>, _ hessians: UnsafePointer<Double>,
    _ rows: UnsafePointer<Double>, _ count: Int, _ totals: UnsafePointer<Double>,
    _ extra: UnsafePointer<Double>, _ limits: UnsafePointer<Double>,
    _ best: UnsafeMutablePointer<Double>
) {
    best[0] = -1
    best[1] = 0
    for i in 0..<count {
        let (g, h, n) = (gradients[i] + extra[0], hessians[i] + extra[1], rows[i] + extra[2])
        let (rightG, rightH) = (totals[0] - g, totals[1] - h)
        guard n >= limits[0], totals[2] - n >= limits[0], h >= limits[1], rightH >= limits[1]
        else { continue }
        let gain = g * g / (h + limits[2]) + rightG * rightG / (rightH + limits[2])
        if gain > best[0] {
            best[0] = gain
            best[1] = Double(i)
        }
    }
}
#endif
