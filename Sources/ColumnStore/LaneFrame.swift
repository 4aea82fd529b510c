import ByteCoding

/// A reference and a width for integers, and which of them stay outside as exceptions.
struct LaneFrame {
    let reference: Int64
    let width: Int
    /// How many do not fit.
    let exceptionCount: Int
    private let count: Int

    /// Finds the reference and the width of fewest bytes.
    /// - Parameters:
    ///   - integers: at least one.
    ///   - isExact: which of them count at all; the others are exceptions in any case.
    init(
        _ integers: [Int64], isExact: [Bool]? = nil, elementByteCount: Int, widthLimit: Int
    ) {
        count = integers.count
        let exact = isExact.map { isExact in
            integers.indices.lazy.filter { isExact[$0] }.map { integers[$0] }
        }
        let inexactCount = exact.map { integers.count - $0.count } ?? 0
        let smallest = exact.map { $0.min() ?? 0 } ?? integers.min() ?? 0
        var best = Self.width(
            integers, isExact, smallest, inexactCount, elementByteCount, widthLimit)
        var reference = smallest
        // A few low outliers widen all others: try what lies at the lower end of a sample.
        let step = max(1, integers.count / 256)
        let sample = stride(from: 0, to: integers.count, by: step).filter { isExact?[$0] ?? true }
            .map { integers[$0] }.sorted()
        if sample.count >= 64, sample[sample.count / 64] > smallest {
            let low = sample[sample.count / 64]
            let other = Self.width(
                integers, isExact, low, inexactCount, elementByteCount, widthLimit)
            if other.byteCount < best.byteCount { (best, reference) = (other, low) }
        }
        self.reference = reference
        width = best.width
        exceptionCount = best.exceptionCount
    }

    /// The width of fewest bytes for a reference: integers below it or too far above stay outside.
    private static func width(
        _ integers: [Int64], _ isExact: [Bool]?, _ reference: Int64, _ inexactCount: Int,
        _ elementByteCount: Int, _ widthLimit: Int
    ) -> (width: Int, exceptionCount: Int, byteCount: Int) {
        var counts = [Int](repeating: 0, count: 65)
        if let isExact {
            for row in integers.indices where isExact[row] {
                counts[BitPacking.width(of: UInt64(bitPattern: integers[row] &- reference))] += 1
            }
        } else {
            for integer in integers {
                counts[BitPacking.width(of: UInt64(bitPattern: integer &- reference))] += 1
            }
        }
        var best = (width: 0, exceptionCount: 0, byteCount: Int.max)
        var inside = 0
        for width in 0...widthLimit {
            inside += counts[width]
            let exceptionCount = integers.count - inside
            let byteCount = byteCount(
                integers.count, width, exceptionCount, elementByteCount)
            if byteCount < best.byteCount { best = (width, exceptionCount, byteCount) }
        }
        return best
    }

    private static func byteCount(
        _ count: Int, _ width: Int, _ exceptionCount: Int, _ elementByteCount: Int
    ) -> Int {
        LanePacking.byteCount(count: count, width: width)
            + (exceptionCount * 2).roundedUp(to: 8)
            + (exceptionCount * elementByteCount).roundedUp(to: 8)
    }

    /// Bytes of the numbers and the exceptions.
    func byteCount(elementByteCount: Int) -> Int {
        Self.byteCount(count, width, exceptionCount, elementByteCount)
    }

    /// Appends the exception count, the numbers and the exceptions.
    /// - Parameters:
    ///   - values: the bit patterns of what the integers stand for.
    ///   - exponent: of decimals; nil for integers that are the values.
    func append<W: LanePattern>(
        _ values: [W], _ integers: [Int64], exponent: Int?, to payload: inout ByteWriter
    ) {
        let mask = width == 64 ? UInt64.max : 1 << UInt64(width) - 1
        var rows: [UInt16] = []
        let numbers = integers.indices.map { row -> UInt64 in
            let number = UInt64(bitPattern: integers[row] &- reference)
            let isExact =
                exponent.map { W.decimal(integers[row], exponent: $0) == values[row] } ?? true
            if number <= mask && isExact { return number }
            rows.append(UInt16(row))
            return 0
        }
        payload.append(UInt16(rows.count))
        payload.append(UInt32(0))
        payload.append(contentsOf: LanePacking.pack(numbers, width: width))
        payload.append(lanes: rows)
        payload.pad(to: 8)
        payload.append(lanes: rows.map { values[Int($0)] })
        payload.pad(to: 8)
    }
}

/// Floats as integers over a power of ten.
struct Decimals {
    let exponent: Int
    /// 0 where a value is none.
    let integers: [Int64]
    let frame: LaneFrame

    /// Chooses the exponent by a sample of 64 values.
    /// - Returns: nil where most of the sample are no decimals.
    init?<W: LanePattern>(_ values: [W]) {
        let step = max(1, values.count / 64)
        let sample = stride(from: 0, to: values.count, by: step).map { values[$0] }
        let bits = MemoryLayout<W>.size * 8
        var best: (exponent: Int, cost: Int)?
        for exponent in 0...W.decimalExponentLimit {
            let integers = sample.compactMap { Self.integer($0, exponent) }
            guard integers.count * 2 > sample.count, let low = integers.min(),
                let high = integers.max()
            else { continue }
            let width = BitPacking.width(of: UInt64(bitPattern: high &- low))
            let cost = sample.count * width + (sample.count - integers.count) * (bits + 16)
            if cost < best?.cost ?? .max { best = (exponent, cost) }
        }
        guard let best else { return nil }
        exponent = best.exponent
        var isExact = [Bool](repeating: true, count: values.count)
        var integers = [Int64](repeating: 0, count: values.count)
        var isAnyInexact = false
        for row in values.indices {
            if let integer = Self.integer(values[row], best.exponent) {
                integers[row] = integer
            } else {
                isExact[row] = false
                isAnyInexact = true
            }
        }
        self.integers = integers
        frame = LaneFrame(
            integers, isExact: isAnyInexact ? isExact : nil,
            elementByteCount: MemoryLayout<W>.size, widthLimit: W.decimalWidthLimit)
    }

    /// The integer that gives exactly this value, nil where there is none.
    private static func integer<W: LanePattern>(_ value: W, _ exponent: Int) -> Int64? {
        let number =
            MemoryLayout<W>.size == 4
            ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: value)))
            : Double(bitPattern: UInt64(truncatingIfNeeded: value))
        let scaled = (number * powerOfTen(exponent)).rounded()
        let limit = Double(W.decimalReferenceLimit)
        guard scaled >= -limit, scaled <= limit else { return nil }
        let integer = Int64(scaled)
        return W.decimal(integer, exponent: exponent) == value ? integer : nil
    }
}
