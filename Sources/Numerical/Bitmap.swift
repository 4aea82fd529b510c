/// One bit for each of `count` places, 64 to a word: place i is bit `i % 64` of word `i / 64`. The
/// bits behind the last place are zero.
package struct Bitmap: Sendable, Equatable {
    package let count: Int
    /// `[ceil(count / 64)]`.
    package private(set) var words: [UInt64]

    package init(count: Int, repeating bit: Bool = false) {
        precondition(count >= 0)
        self.count = count
        words = [UInt64](repeating: bit ? .max : 0, count: (count + 63) / 64)
        if bit, count % 64 != 0 { words[words.count - 1] = .max >> UInt64(64 - count % 64) }
    }

    package init(_ bits: [Bool]) {
        self.init(count: bits.count)
        for i in bits.indices where bits[i] { self[i] = true }
    }

    package subscript(index: Int) -> Bool {
        get {
            precondition(index >= 0 && index < count)
            return words[index >> 6] >> UInt64(index & 63) & 1 != 0
        }
        set {
            precondition(index >= 0 && index < count)
            let bit: UInt64 = 1 << UInt64(index & 63)
            if newValue { words[index >> 6] |= bit } else { words[index >> 6] &= ~bit }
        }
    }

    /// Places that are set.
    package var setCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
}
