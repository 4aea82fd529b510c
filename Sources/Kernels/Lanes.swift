// The one place that knows how wide a register is. The three builds of this folder differ only in
// their -march flag and in the condition that Package.swift defines for them (KERNELS_AVX2,
// KERNELS_AVX512); the vector types are internal, so that no two builds share a type or a symbol.

#if KERNELS_AVX512
typealias Lanes = SIMD16<Float>
typealias LaneIndices = SIMD16<Int32>
typealias BitLanes = SIMD16<UInt32>
typealias DoubleLanes = SIMD8<Double>
typealias DoubleBitLanes = SIMD8<UInt64>
let laneCount = 16
let doubleLaneCount = 8
#elseif KERNELS_AVX2
typealias Lanes = SIMD8<Float>
typealias LaneIndices = SIMD8<Int32>
typealias BitLanes = SIMD8<UInt32>
typealias DoubleLanes = SIMD4<Double>
typealias DoubleBitLanes = SIMD4<UInt64>
let laneCount = 8
let doubleLaneCount = 4
#else
typealias Lanes = SIMD4<Float>
typealias LaneIndices = SIMD4<Int32>
typealias BitLanes = SIMD4<UInt32>
typealias DoubleLanes = SIMD2<Double>
typealias DoubleBitLanes = SIMD2<UInt64>
let laneCount = 4
let doubleLaneCount = 2
#endif

/// Rows of a feature-major block: the points of one block are `[featureCount × blockRowCount]`.
let blockRowCount = 64

/// Centroids or queries that are interleaved in one group: `[featureCount × groupWidth]` each.
let groupWidth = 4

@inline(__always)
func load(_ source: UnsafePointer<Float>) -> Lanes {
    UnsafeRawPointer(source).loadUnaligned(as: Lanes.self)
}

@inline(__always)
func store(_ value: Lanes, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: Lanes.self)
}

@inline(__always)
func load(_ source: UnsafePointer<Int32>) -> LaneIndices {
    UnsafeRawPointer(source).loadUnaligned(as: LaneIndices.self)
}

@inline(__always)
func store(_ value: LaneIndices, _ target: UnsafeMutablePointer<Int32>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: LaneIndices.self)
}

@inline(__always)
func load(_ source: UnsafePointer<Double>) -> DoubleLanes {
    UnsafeRawPointer(source).loadUnaligned(as: DoubleLanes.self)
}

@inline(__always)
func store(_ value: DoubleLanes, _ target: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: DoubleLanes.self)
}

/// `sum + a * b`, fused where the machine has the instruction. Without it `addProduct` would call
/// libm once a lane.
@inline(__always)
func multiplyAdd(_ sum: Lanes, _ a: Lanes, _ b: Lanes) -> Lanes {
    #if KERNELS_AVX512 || KERNELS_AVX2 || arch(arm64)
    return sum.addingProduct(a, b)
    #else
    return sum + a * b
    #endif
}

@inline(__always)
func multiplyAdd(_ sum: DoubleLanes, _ a: DoubleLanes, _ b: DoubleLanes) -> DoubleLanes {
    #if KERNELS_AVX512 || KERNELS_AVX2 || arch(arm64)
    return sum.addingProduct(a, b)
    #else
    return sum + a * b
    #endif
}

@inline(__always)
func splat(_ value: Float) -> Lanes { Lanes(repeating: value) }

/// Sum of the lanes, as a tree: the same order whatever the compiler does.
@inline(__always)
func horizontalSum(_ value: Lanes) -> Float {
    #if KERNELS_AVX512
    let eight = value.lowHalf + value.highHalf
    let four = eight.lowHalf + eight.highHalf
    #elseif KERNELS_AVX2
    let four = value.lowHalf + value.highHalf
    #else
    let four = value
    #endif
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

/// As for `Float`.
@inline(__always)
func horizontalSum(_ value: DoubleLanes) -> Double {
    #if KERNELS_AVX512
    let four = value.lowHalf + value.highHalf
    let two = four.lowHalf + four.highHalf
    #elseif KERNELS_AVX2
    let two = value.lowHalf + value.highHalf
    #else
    let two = value
    #endif
    return two.x + two.y
}
