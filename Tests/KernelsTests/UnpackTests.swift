import Numerical
import Testing

/// Lane-packed numbers by the words of protocol/STORE.md: bit by bit.
private func packed(_ numbers: [UInt32], width: Int) -> [UInt32] {
    var words = [UInt32](repeating: 0, count: 16 * width)
    for (index, number) in numbers.enumerated() {
        for bit in 0..<width where number >> UInt32(bit) & 1 == 1 {
            let position = index / 16 * width + bit
            words[position / 32 * 16 + index % 16] |= 1 << UInt32(position % 32)
        }
    }
    return words
}

private func random(_ count: Int, width: Int, seed: UInt64) -> [UInt32] {
    var random = SeededRandom(seed: seed, stream: UInt64(width))
    let mask = width == 0 ? 0 : UInt32.max >> UInt32(32 - width)
    return (0..<count).map { _ in UInt32(truncatingIfNeeded: random.next()) & mask }
}

@Suite struct UnpackTests {
    @Test(arguments: ISALevel.available) func everyWidth(level: ISALevel) {
        let kernels = KernelTable(level)
        for width in 0...32 {
            var numbers = random(512, width: width, seed: 3)
            if width > 0 { numbers[511] = .max >> UInt32(32 - width) }
            let words = packed(numbers, width: width)
            var short = [UInt32](repeating: 7, count: 512)
            var long = [UInt64](repeating: 7, count: 512)
            words.withUnsafeBytes { bytes in
                short.withUnsafeMutableBufferPointer {
                    kernels.unpack(bytes, width: width, reference: 0xFFFF_FFF0, into: $0)
                }
                long.withUnsafeMutableBufferPointer {
                    kernels.unpack(bytes, width: width, reference: .max - 9, into: $0)
                }
            }
            #expect(short == numbers.map { $0 &+ 0xFFFF_FFF0 }, "width \(width)")
            let more = random(512, width: width, seed: 31)
            var pair = [UInt32](repeating: 7, count: 1_024)
            (words + packed(more, width: width)).withUnsafeBytes { bytes in
                pair.withUnsafeMutableBufferPointer {
                    kernels.unpack(bytes, width: width, reference: 3, into: $0)
                }
            }
            #expect(pair == (numbers + more).map { $0 &+ 3 }, "width \(width)")
            var longPair = [UInt64](repeating: 7, count: 1_024)
            (words + packed(more, width: width)).withUnsafeBytes { bytes in
                longPair.withUnsafeMutableBufferPointer {
                    kernels.unpack(bytes, width: width, reference: 1 << 40, into: $0)
                }
            }
            #expect(longPair == (numbers + more).map { UInt64($0) + (1 << 40) }, "width \(width)")
            #expect(long == numbers.map { UInt64($0) &+ (.max - 9) }, "width \(width)")
        }
    }

    /// Integers all over the range, whose quotients are found without a division.
    @Test(arguments: ISALevel.available) func quotients(level: ISALevel) {
        let kernels = KernelTable(level)
        let numbers = (0..<512).map { UInt32($0) }
        let words = packed(numbers, width: 9)
        var values = [Float](repeating: -1, count: 512)
        for reference in stride(from: -(1 << 24) as Int32, to: 1 << 24, by: 131_071) {
            var power: Float = 1
            for exponent in 0...7 {
                words.withUnsafeBytes { bytes in
                    values.withUnsafeMutableBufferPointer {
                        kernels.unpackDecimals(
                            bytes, width: 9, reference: reference, exponent: exponent, into: $0)
                    }
                }
                let isSame = (0..<512).allSatisfy {
                    values[$0] == Float(reference + Int32($0)) / power
                }
                #expect(isSame, "\(reference) e \(exponent)")
                power *= 10
            }
        }
    }

    /// Every exponent and width, contiguous and into a tile, equals one division a value.
    @Test(arguments: ISALevel.available) func decimals(level: ISALevel) {
        let kernels = KernelTable(level)
        for width in 0...24 {
            let numbers = random(512, width: width, seed: 4)
            let words = packed(numbers, width: width)
            let reference: Int32 = width % 2 == 0 ? -(1 << 24) : 5
            for exponent in 0...7 {
                var power: Float = 1
                for _ in 0..<exponent { power *= 10 }
                let expected = numbers.map { Float(Int32($0) + reference) / power }
                for (runStride, groupCount) in [(64, 1), (64, 2), (192, 1), (192, 2)] {
                    let runCount = 8 * groupCount
                    var values = [Float](repeating: -1, count: runCount * runStride)
                    (groupCount == 1 ? words : words + words).withUnsafeBytes { bytes in
                        values.withUnsafeMutableBufferPointer {
                            kernels.unpackDecimals(
                                bytes, groupCount: groupCount, width: width, reference: reference,
                                exponent: exponent, into: $0, runStride: runStride)
                        }
                    }
                    let found = (0..<512 * groupCount).map {
                        values[$0 / 64 * runStride + $0 % 64].bitPattern
                    }
                    let wanted = (groupCount == 1 ? expected : expected + expected)
                    #expect(found == wanted.map(\.bitPattern), "width \(width) e \(exponent)")
                    if runStride > 64 {
                        #expect((0..<runCount).allSatisfy { values[$0 * runStride + 64] == -1 })
                    }
                }
            }
        }
    }

    /// All integers that single precision holds, in steps that meet every low bit pattern.
    @Test(arguments: ISALevel.available) func quotientsAreRoundedCorrectly(level: ISALevel) {
        let kernels = KernelTable(level)
        let zeros = [UInt8](repeating: 0, count: 0)
        let identity = packed((0..<512).map(UInt32.init), width: 9)
        var values = [Float](repeating: 0, count: 512)
        var misses = 0
        for (exponent, power) in [1: 10, 2: 100, 3: 1_000, 5: 100_000, 7: 10_000_000]
            as [Int: Float]
        {
            for start in stride(from: Int32(0), to: 1 << 24, by: 101 * 512) {
                identity.withUnsafeBytes { bytes in
                    values.withUnsafeMutableBufferPointer {
                        kernels.unpackDecimals(
                            bytes, width: 9, reference: start, exponent: exponent, into: $0)
                    }
                }
                for i in 0..<512 where values[i] != Float(start + Int32(i)) / power { misses += 1 }
            }
        }
        #expect(misses == 0)
        // Width 0 reads no bytes.
        zeros.withUnsafeBytes { bytes in
            values.withUnsafeMutableBufferPointer {
                kernels.unpackDecimals(bytes, width: 0, reference: 150, exponent: 2, into: $0)
            }
        }
        #expect(values.allSatisfy { $0 == 1.5 })
    }

    @Test(arguments: ISALevel.available) func doubles(level: ISALevel) {
        let kernels = KernelTable(level)
        var random = SeededRandom(seed: 8, stream: 0)
        var power = 1.0
        for exponent in 0...15 {
            var integers = (0..<512).map { _ in Int64(bitPattern: random.next()) >> 13 }
            integers[0] = 1 << 50
            integers[1] = -(1 << 50)
            integers[2] = 0
            var values = integers.map { UInt64(bitPattern: $0) &+ KernelTable.decimalOrigin }
            values.withUnsafeMutableBufferPointer {
                kernels.divideDecimals($0, exponent: exponent)
            }
            let expected = integers.map { (Double($0) / power).bitPattern }
            #expect(values == expected, "exponent \(exponent)")
            power *= 10
        }
    }

    @Test(arguments: ISALevel.available) func sumsTablesAndSpreads(level: ISALevel) {
        let kernels = KernelTable(level)
        for count in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1_000] {
            var random = SeededRandom(seed: 9, stream: UInt64(count))
            let deltas = (0..<count).map { _ in random.next() }
            var sums = deltas
            sums.withUnsafeMutableBufferPointer { kernels.sumUp($0, first: 77, step: 5) }
            var expected: [UInt64] = [77]
            for delta in deltas.dropFirst() {
                expected.append(expected[expected.count - 1] &+ delta &+ 5)
            }
            #expect(sums == expected)

            let table = (0..<9).map { _ in random.next() }
            let halves = table.map { UInt32(truncatingIfNeeded: $0) }
            let codes = (0..<count).map { _ in UInt32(random.next() % 9) }
            var bits = (0..<(count + 63) / 64).map { _ in random.next() }
            if count % 64 > 0 { bits[count / 64] &= 1 << UInt64(count % 64) - 1 }
            let words = bits
            let isOther = (0..<count).map { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
            let others = (0...count).map { _ in random.next() }
            let otherHalves = others.map { UInt32(truncatingIfNeeded: $0) }
            var long = [UInt64](repeating: 0, count: count)
            var short = [UInt32](repeating: 0, count: count)
            func run(
                _ body: (UnsafeMutableBufferPointer<UInt64>, UnsafeMutableBufferPointer<UInt32>) ->
                    Void
            ) {
                long.withUnsafeMutableBufferPointer { long in
                    short.withUnsafeMutableBufferPointer { short in body(long, short) }
                }
            }
            run { long, short in
                codes.withUnsafeBufferPointer { codes in
                    table.withUnsafeBytes { kernels.lookUp(codes, in: $0, into: long) }
                    halves.withUnsafeBytes { kernels.lookUp(codes, in: $0, into: short) }
                }
            }
            #expect(long == codes.map { table[Int($0)] } && short == codes.map { halves[Int($0)] })
            run { long, short in
                bits.withUnsafeBytes { bits in
                    others.withUnsafeBufferPointer {
                        kernels.spread(bits, others: $0, frequent: 4, into: long)
                    }
                    otherHalves.withUnsafeBufferPointer {
                        kernels.spread(bits, others: $0, frequent: 4, into: short)
                    }
                }
            }
            var next = 0
            let spread = isOther.map { isOther -> UInt64 in
                if !isOther { return 4 }
                defer { next += 1 }
                return others[next]
            }
            #expect(long == spread)
            #expect(
                zip(short, isOther).enumerated().allSatisfy { row, pair in
                    pair.1 ? pair.0 == UInt32(truncatingIfNeeded: spread[row]) : pair.0 == 4
                })
        }
    }
}

@Suite struct SelectionKernelTests {
    private static let special: [Double] = [
        .nan, .infinity, -.infinity, 0, -0.0, 1, -1, 2.5, .leastNonzeroMagnitude, 1e30,
    ]

    private func selected(_ words: [UInt32]) -> [Bool] {
        (0..<512).map { words[$0 % 16] >> UInt32($0 / 16) & 1 == 1 }
    }

    @Test(arguments: ISALevel.available) func ranges(level: ISALevel) {
        let kernels = KernelTable(level)
        var random = SeededRandom(seed: 5, stream: 0)
        let longs = (0..<512).map { _ in
            Int64(bitPattern: random.next()) >> Int64(random.next() % 63)
        }
        let words = longs.map { UInt32(truncatingIfNeeded: $0) }
        let doubles = (0..<512).map { _ in Self.special[Int(random.next() % 10)] }
        let floats = doubles.map { Float($0) }
        var selection = [UInt32](repeating: 9, count: 16)
        func select(_ body: (UnsafeMutableBufferPointer<UInt32>) -> Void) -> [Bool] {
            selection.withUnsafeMutableBufferPointer { body($0) }
            return selected(selection)
        }
        for range in [Int64.min...Int64.max, -5...5, 0...0, .min ... -1, 3...(.max)] {
            let found = select { selection in
                longs.map { UInt64(bitPattern: $0) }.withUnsafeBufferPointer {
                    kernels.select($0, range, selection)
                }
            }
            #expect(found == longs.map(range.contains))
        }
        for range in [0...UInt32.max, 0...0, 5...1_000, 0x8000_0000...(.max)] {
            let found = select { selection in
                words.withUnsafeBufferPointer { kernels.select($0, range, selection) }
            }
            #expect(found == words.map(range.contains))
        }
        for range in [-Double.infinity...(.infinity), 0...0, -1...1, 2...1e31] {
            let found = select { selection in
                doubles.withUnsafeBufferPointer { kernels.select($0, range, selection) }
            }
            #expect(found == doubles.map(range.contains))
            let small = Float(range.lowerBound)...Float(range.upperBound)
            let foundFloats = select { selection in
                floats.withUnsafeBufferPointer { kernels.select($0, small, selection) }
            }
            #expect(foundFloats == floats.map(small.contains))
        }
    }

    /// Sums have the same bits at every level; integers are exact.
    @Test func sums() {
        var random = SeededRandom(seed: 6, stream: 0)
        let doubles = (0..<512).map { _ in random.uniform() * 1e6 - 5e5 }
        let floats = doubles.map { Float($0) }
        let longs = (0..<512).map { _ in random.next() }
        let selection = (0..<16).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        var results: [[UInt64]] = []
        for level in ISALevel.available {
            let kernels = KernelTable(level)
            var sums = [Double](repeating: 0.5, count: 32)
            var integers = [UInt64](repeating: 1, count: 32)
            selection.withUnsafeBufferPointer { selection in
                sums.withUnsafeMutableBufferPointer { sums in
                    let (low, high) = (
                        UnsafeMutableBufferPointer(rebasing: sums[..<16]),
                        UnsafeMutableBufferPointer(rebasing: sums[16...])
                    )
                    doubles.withUnsafeBufferPointer {
                        kernels.addSelected($0, selection, to: low)
                    }
                    floats.withUnsafeBufferPointer {
                        kernels.addSelected($0, selection, to: high)
                    }
                }
                integers.withUnsafeMutableBufferPointer { integers in
                    longs.withUnsafeBufferPointer {
                        kernels.addSelected($0, selection, to: integers)
                    }
                }
            }
            results.append(sums.map(\.bitPattern) + integers)
            let isSelected = selected(selection)
            let exact = zip(longs, isSelected).reduce(Int128(0)) {
                $1.1 ? $0 + Int128($1.0 ^ 1 << 63) : $0
            }
            let total =
                integers[..<16].reduce(Int128(0)) { $0 + Int128($1) }
                + integers[16...].reduce(Int128(0)) { $0 + Int128($1) << 32 }
            #expect(total == exact + 16 + 16 << 32)
        }
        #expect(results.allSatisfy { $0 == results[0] })
    }
}
