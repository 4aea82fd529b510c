/// The type of the elements of an array in an array file; the raw value is what the file holds.
package enum ElementType: UInt8, Sendable, Equatable, CaseIterable {
    case uint8 = 1
    case int32, uint32, int64, uint64, float32, float64

    package var byteCount: Int {
        switch self {
        case .uint8: 1
        case .int32, .uint32, .float32: 4
        case .int64, .uint64, .float64: 8
        }
    }
}

/// A type whose arrays an array file can hold: fixed width, any bit pattern valid, no padding.
package protocol ArrayElement: BitwiseCopyable, Sendable {
    static var elementType: ElementType { get }
}

extension UInt8: ArrayElement { package static var elementType: ElementType { .uint8 } }
extension Int32: ArrayElement { package static var elementType: ElementType { .int32 } }
extension UInt32: ArrayElement { package static var elementType: ElementType { .uint32 } }
extension Int64: ArrayElement { package static var elementType: ElementType { .int64 } }
extension UInt64: ArrayElement { package static var elementType: ElementType { .uint64 } }
extension Float: ArrayElement { package static var elementType: ElementType { .float32 } }
extension Double: ArrayElement { package static var elementType: ElementType { .float64 } }
