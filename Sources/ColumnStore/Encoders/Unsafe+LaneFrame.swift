import ByteCoding

/// A reference and a width for integers, and how many of them stay outside as exceptions.
struct LaneFrame {
    let reference: Int64
    let width: Int
    /// How many do not fit.
    let exceptionCount: Int
    private let count: Int

    /// Finds the reference and the width of fewest bytes.
    /// - Parameters:
    ///   - integers: at least one.
    ///   - isExact: which of them count at all; the others are exceptions in any case. All do where
    ///     nil.
    init(
        _ integers: UnsafeBufferPointer<Int64>, isExact: UnsafePointer<Bool>?,
        elementByteCount: Int, widthLimit: Int, _ memory: EncodeMemory
    ) {
        count = integers.count
        let smallest = Self.smallest(integers, isExact)
        func measure(_ reference: Int64) -> (width: Int, exceptionCount: Int, byteCount: Int) {
            Self.countWidths(integers, isExact, reference, memory.widthCounts)
            return Self.width(
                memory.widthCounts, integers.count, elementByteCount, widthLimit)
        }
        var best = measure(smallest)
        var reference = smallest
        // A few low outliers widen all others: try what lies at the lower end of a sample.
        let step = max(1, integers.count / 256)
        var sample: [Int64] = []
        sample.reserveCapacity(512)
        for row in stride(from: 0, to: integers.count, by: step) where isExact?[row] ?? true {
            sample.append(integers[row])
        }
        sample.sort()
        if sample.count >= 64, sample[sample.count / 64] > smallest {
            let low = sample[sample.count / 64]
            let other = measure(low)
            if other.byteCount < best.byteCount { (best, reference) = (other, low) }
        }
        self.reference = reference
        width = best.width
        exceptionCount = best.exceptionCount
    }

    private static func smallest(
        _ integers: UnsafeBufferPointer<Int64>, _ isExact: UnsafePointer<Bool>?
    ) -> Int64 {
        var smallest = Int64.max
        guard let isExact else {
            for integer in integers { smallest = min(smallest, integer) }
            return smallest
        }
        var isAny = false
        for row in 0..<integers.count where isExact[row] {
            isAny = true
            smallest = min(smallest, integers[row])
        }
        return isAny ? smallest : 0
    }

    /// How many integers need how many bits above a reference; those below it need 64.
    private static func countWidths(
        _ integers: UnsafeBufferPointer<Int64>, _ isExact: UnsafePointer<Bool>?,
        _ reference: Int64, _ counts: UnsafeMutablePointer<UInt32>
    ) {
        counts.update(repeating: 0, count: 4 * 65)
        func width(_ row: Int) -> Int {
            BitPacking.width(of: UInt64(bitPattern: integers[row] &- reference))
        }
        if let isExact {
            for row in 0..<integers.count where isExact[row] { counts[width(row)] += 1 }
            return
        }
        // Four tables: neighbours of one width would wait for each other's store.
        var row = 0
        while row + 4 <= integers.count {
            counts[width(row)] &+= 1
            counts[65 &+ width(row &+ 1)] &+= 1
            counts[130 &+ width(row &+ 2)] &+= 1
            counts[195 &+ width(row &+ 3)] &+= 1
            row += 4
        }
        while row < integers.count {
            counts[width(row)] &+= 1
            row += 1
        }
        for width in 0..<65 {
            counts[width] += counts[65 + width] + counts[130 + width] + counts[195 + width]
        }
    }

    /// The width of fewest bytes: integers that need more stay outside.
    private static func width(
        _ counts: UnsafePointer<UInt32>, _ count: Int, _ elementByteCount: Int, _ widthLimit: Int
    ) -> (width: Int, exceptionCount: Int, byteCount: Int) {
        var best = (width: 0, exceptionCount: 0, byteCount: Int.max)
        var inside = 0
        for width in 0...widthLimit {
            inside += Int(counts[width])
            let byteCount = byteCount(count, width, count - inside, elementByteCount)
            if byteCount < best.byteCount { best = (width, count - inside, byteCount) }
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
    ///   - isExact: as it was given to init.
    func append<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, _ integers: UnsafePointer<Int64>,
        isExact: UnsafePointer<Bool>?, to payload: inout ByteWriter, _ memory: EncodeMemory
    ) {
        let outsideCount = split(integers, isExact, memory)
        payload.append(UInt16(outsideCount))
        payload.append(UInt32(0))
        LanePacking.append(count: count, width: width, to: &payload, memory)
        payload.append(
            bytes: UnsafeRawBufferPointer(
                UnsafeBufferPointer(start: memory.exceptions, count: outsideCount)))
        payload.pad(to: 8)
        payload.append(gathering: memory.exceptions, count: outsideCount, from: values, memory)
    }

    /// Writes the halves of the numbers to pack and the rows outside.
    /// - Returns: how many rows are outside.
    private func split(
        _ integers: UnsafePointer<Int64>, _ isExact: UnsafePointer<Bool>?, _ memory: EncodeMemory
    ) -> Int {
        let (low, high, reference) = (memory.low, memory.high, reference)
        if exceptionCount == 0 {
            for row in 0..<count {
                low[row] = UInt32(truncatingIfNeeded: integers[row] &- reference)
            }
            if width > 32 {
                for row in 0..<count {
                    high[row] = UInt32(truncatingIfNeeded: (integers[row] &- reference) >> 32)
                }
            }
            return 0
        }
        let mask = width == 64 ? UInt64.max : 1 << UInt64(width) - 1
        let rows = memory.exceptions
        var outsideCount = 0
        for row in 0..<count {
            let number = UInt64(bitPattern: integers[row] &- reference)
            let isInside = number <= mask && (isExact?[row] ?? true)
            let kept = isInside ? number : 0
            low[row] = UInt32(truncatingIfNeeded: kept)
            high[row] = UInt32(truncatingIfNeeded: kept >> 32)
            // Written in any case and kept only then: no branch.
            rows[outsideCount] = UInt16(truncatingIfNeeded: row)
            outsideCount += isInside ? 0 : 1
        }
        return outsideCount
    }
}

/// Floats as integers over a power of ten.
struct Decimals {
    let exponent: Int
    /// Whether all values are, so that `EncodeMemory.isExact` need not be asked.
    let areAllExact: Bool
    let frame: LaneFrame

    /// Chooses the exponent by a sample of 64 values and fills `memory.integers`.
    /// - Returns: nil where most of the sample are no decimals.
    init?<W: LanePattern>(_ values: UnsafeBufferPointer<W>, _ memory: EncodeMemory) {
        guard let base = values.baseAddress,
            let exponent = Self.exponent(values, memory)
        else { return nil }
        self.exponent = exponent
        areAllExact =
            W.decimals(
                base, count: values.count, exponent: exponent, integers: memory.integers,
                isExact: memory.isExact) == 0
        frame = LaneFrame(
            UnsafeBufferPointer(start: memory.integers, count: values.count),
            isExact: areAllExact ? nil : UnsafePointer(memory.isExact),
            elementByteCount: MemoryLayout<W>.size, widthLimit: W.decimalWidthLimit, memory)
    }

    private static func exponent<W: LanePattern>(
        _ values: UnsafeBufferPointer<W>, _ memory: EncodeMemory
    ) -> Int? {
        let step = max(1, values.count / 64)
        let sample = stride(from: 0, to: values.count, by: step).map { values[$0] }
        let bits = MemoryLayout<W>.size * 8
        var best: (exponent: Int, cost: Int)?
        sample.withUnsafeBufferPointer { sample in
            guard let base = sample.baseAddress else { return }
            for exponent in 0...W.decimalExponentLimit {
                let inexactCount = W.decimals(
                    base, count: sample.count, exponent: exponent, integers: memory.integers,
                    isExact: memory.isExact)
                guard (sample.count - inexactCount) * 2 > sample.count else { continue }
                var (low, high) = (Int64.max, Int64.min)
                for index in 0..<sample.count where memory.isExact[index] {
                    low = min(low, memory.integers[index])
                    high = max(high, memory.integers[index])
                }
                let width = BitPacking.width(of: UInt64(bitPattern: high &- low))
                let cost = sample.count * width + inexactCount * (bits + 16)
                if cost < best?.cost ?? .max { best = (exponent, cost) }
            }
        }
        return best?.exponent
    }
}
