import Numerical

/// The bit pattern of a number of 4 or 8 bytes, and which kernels decode it.
protocol LanePattern: FixedWidthInteger, UnsignedInteger, BitwiseCopyable, Sendable {
    /// Unpacks 512 numbers, or two whole groups, and adds a reference.
    static func unpack(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: UInt64,
        into values: UnsafeMutablePointer<Self>,
        _ memory: DecodeMemory)
    /// Unpacks 512 integers, or two whole groups, and divides them by 10^exponent.
    static func unpackDecimals(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: Int64, exponent: Int,
        into values: UnsafeMutablePointer<Self>, _ memory: DecodeMemory)
    static func lookUp(
        _ codes: UnsafeBufferPointer<UInt32>, in table: UnsafeRawBufferPointer,
        into values: UnsafeMutableBufferPointer<Self>, _ memory: DecodeMemory)
    static func spread(
        _ bits: UnsafeRawBufferPointer, others: UnsafeBufferPointer<Self>, frequent: Self,
        into values: UnsafeMutableBufferPointer<Self>, _ memory: DecodeMemory)
    /// Integers that give values back, bit for bit, over a power of ten; 0 where there is none.
    /// - Returns: how many have none.
    static func decimals(
        _ values: UnsafePointer<Self>, count: Int, exponent: Int,
        integers: UnsafeMutablePointer<Int64>, isExact: UnsafeMutablePointer<Bool>
    ) -> Int
    /// Integer over a power of ten as a float, rounded to nearest.
    static func decimal(_ integer: Int64, exponent: Int) -> Self
    /// The largest magnitudes of a decimal's reference, the widest numbers, the highest exponent.
    static var decimalReferenceLimit: Int64 { get }
    static var decimalWidthLimit: Int { get }
    static var decimalExponentLimit: Int { get }
}

extension UInt32: LanePattern {
    static func unpack(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: UInt64,
        into values: UnsafeMutablePointer<UInt32>, _ memory: DecodeMemory
    ) {
        packed.unpack(
            group: group, groupCount: groupCount,
            reference: UInt32(truncatingIfNeeded: reference), into: values, memory)
    }

    static func unpackDecimals(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: Int64, exponent: Int,
        into values: UnsafeMutablePointer<UInt32>, _ memory: DecodeMemory
    ) {
        // The patterns of floats are written as floats; both are 4 bytes of any content.
        let floats = UnsafeMutableRawPointer(values).assumingMemoryBound(to: Float.self)
        packed.withGroup(group, groupCount: groupCount, memory) { bytes, width in
            memory.kernels.unpackDecimals(
                bytes, groupCount: groupCount, width: width,
                reference: Int32(truncatingIfNeeded: reference), exponent: exponent,
                into: UnsafeMutableBufferPointer(
                    start: floats, count: groupCount * LanePacking.groupCount))
        }
    }

    static func lookUp(
        _ codes: UnsafeBufferPointer<UInt32>, in table: UnsafeRawBufferPointer,
        into values: UnsafeMutableBufferPointer<UInt32>, _ memory: DecodeMemory
    ) { memory.kernels.lookUp(codes, in: table, into: values) }

    static func spread(
        _ bits: UnsafeRawBufferPointer, others: UnsafeBufferPointer<UInt32>, frequent: UInt32,
        into values: UnsafeMutableBufferPointer<UInt32>, _ memory: DecodeMemory
    ) { memory.kernels.spread(bits, others: others, frequent: frequent, into: values) }

    static func decimals(
        _ values: UnsafePointer<UInt32>, count: Int, exponent: Int,
        integers: UnsafeMutablePointer<Int64>, isExact: UnsafeMutablePointer<Bool>
    ) -> Int {
        let power = powerOfTen(exponent)
        let floatPower = Float(power)
        let limit = Double(decimalReferenceLimit)
        var inexactCount = 0
        for row in 0..<count {
            // Adding the origin rounds to the nearest integer and leaves it in the low bits.
            let shifted = Double(Float(bitPattern: values[row])) * power + decimalOrigin
            let rounded = shifted - decimalOrigin
            let back = Float(rounded) / floatPower
            let exact = back.bitPattern == values[row] && abs(rounded) <= limit
            let integer = Int64(bitPattern: shifted.bitPattern &- decimalOrigin.bitPattern)
            integers[row] = exact ? integer : 0
            isExact[row] = exact
            inexactCount &+= exact ? 0 : 1
        }
        return inexactCount
    }

    static func decimal(_ integer: Int64, exponent: Int) -> UInt32 {
        (Float(integer) / Float(powerOfTen(exponent))).bitPattern
    }

    static var decimalReferenceLimit: Int64 { 1 << 24 }
    static var decimalWidthLimit: Int { 24 }
    static var decimalExponentLimit: Int { 7 }
}

extension UInt64: LanePattern {
    static func unpack(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: UInt64,
        into values: UnsafeMutablePointer<UInt64>, _ memory: DecodeMemory
    ) {
        packed.unpack(
            group: group, groupCount: groupCount, reference: reference, into: values, memory)
    }

    static func unpackDecimals(
        _ packed: LanePacked, group: Int, groupCount: Int, reference: Int64, exponent: Int,
        into values: UnsafeMutablePointer<UInt64>, _ memory: DecodeMemory
    ) {
        for index in 0..<groupCount {
            let place = values + index * LanePacking.groupCount
            packed.unpack(
                group: group + index,
                reference: UInt64(bitPattern: reference) &+ KernelTable.decimalOrigin,
                into: place, memory)
            memory.kernels.divideDecimals(
                UnsafeMutableBufferPointer(start: place, count: LanePacking.groupCount),
                exponent: exponent)
        }
    }

    static func lookUp(
        _ codes: UnsafeBufferPointer<UInt32>, in table: UnsafeRawBufferPointer,
        into values: UnsafeMutableBufferPointer<UInt64>, _ memory: DecodeMemory
    ) { memory.kernels.lookUp(codes, in: table, into: values) }

    static func spread(
        _ bits: UnsafeRawBufferPointer, others: UnsafeBufferPointer<UInt64>, frequent: UInt64,
        into values: UnsafeMutableBufferPointer<UInt64>, _ memory: DecodeMemory
    ) { memory.kernels.spread(bits, others: others, frequent: frequent, into: values) }

    static func decimals(
        _ values: UnsafePointer<UInt64>, count: Int, exponent: Int,
        integers: UnsafeMutablePointer<Int64>, isExact: UnsafeMutablePointer<Bool>
    ) -> Int {
        let power = powerOfTen(exponent)
        let limit = Double(decimalReferenceLimit)
        var inexactCount = 0
        for row in 0..<count {
            let shifted = Double(bitPattern: values[row]) * power + decimalOrigin
            let rounded = shifted - decimalOrigin
            let exact = (rounded / power).bitPattern == values[row] && abs(rounded) <= limit
            let integer = Int64(bitPattern: shifted.bitPattern &- decimalOrigin.bitPattern)
            integers[row] = exact ? integer : 0
            isExact[row] = exact
            inexactCount &+= exact ? 0 : 1
        }
        return inexactCount
    }

    static func decimal(_ integer: Int64, exponent: Int) -> UInt64 {
        (Double(integer) / powerOfTen(exponent)).bitPattern
    }

    static var decimalReferenceLimit: Int64 { 1 << 50 }
    static var decimalWidthLimit: Int { 50 }
    static var decimalExponentLimit: Int { 15 }
}

/// 1.5 · 2^52: numbers within ±2^51 that it is added to have no bits left behind the point.
private let decimalOrigin = 0x1.8p52

/// 10^exponent, exact up to 22.
@inline(__always)
func powerOfTen(_ exponent: Int) -> Double { powersOfTen[exponent] }

private let powersOfTen: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
]
