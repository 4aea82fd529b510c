/// xoshiro256**: a small, fast, statistically strong generator with a 2^256 - 1 period.
/// Independent streams come from (seed, stream), so that work split by customer or block draws the
/// same numbers however it is scheduled.
/// Source: D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    package init(seed: UInt64, stream: UInt64 = 0) {
        // splitmix64 over a mix of both words; it never yields four zeros in a row.
        var word = seed &* 0x9E37_79B9_7F4A_7C15 ^ Self.mix(stream &+ 0xD1B5_4A32_D192_ED03)
        func next() -> UInt64 {
            word &+= 0x9E37_79B9_7F4A_7C15
            return Self.mix(word)
        }
        state = (next(), next(), next(), next())
    }

    package mutating func next() -> UInt64 {
        func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
            (value << count) | (value >> (64 - count))
        }
        let result = rotate(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotate(state.3, 45)
        return result
    }

    /// Uniform in [0, 1) with 53 bits.
    package mutating func uniform() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// Uniform in 0 ..< count, without modulo bias (Lemire's multiply-shift with rejection).
    package mutating func below(_ count: Int) -> Int {
        precondition(count > 0, "an empty range has no element to draw")
        return Int.random(in: 0..<count, using: &self)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
