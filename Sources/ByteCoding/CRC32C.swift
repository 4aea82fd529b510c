import CPlatform

/// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected, initial and final value all ones), as in
/// iSCSI, RFC 3720 appendix B.4. "123456789" gives 0xE3069283.
package struct CRC32C: Sendable {
    private var state: UInt32 = .max

    package init() {}

    /// The checksum of everything added so far.
    package var value: UInt32 { ~state }

    /// Adds bytes; splitting the input into several calls does not change the result.
    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        #if arch(x86_64)
        if Self.hasInstruction {
            state = Self.addByInstruction(
                state, base.assumingMemoryBound(to: UInt8.self), bytes.count)
            return
        }
        #endif
        state = Self.addByTable(state, bytes)
    }

    package mutating func add(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { add($0) }
    }

    package mutating func add(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { add($0) }
    }

    /// Adds bytes whose own checksum is known, without reading them: O(log count).
    ///
    /// Source: M. Adler, crc32_combine of zlib 1.2.12; the remainder of what was added, times
    /// x^(8 count), plus that of the bytes.
    package mutating func add(count: Int, withChecksum checksum: UInt32) {
        state = ~(Self.product(Self.power(bytes: count), value) ^ checksum)
    }

    /// x^(8 count) modulo the polynomial.
    private static func power(bytes count: Int) -> UInt32 {
        var power: UInt32 = 1 << 31
        // x^8, then its squares.
        var square: UInt32 = 1 << 23
        var rest = count
        while rest > 0 {
            if rest & 1 == 1 { power = product(power, square) }
            square = product(square, square)
            rest >>= 1
        }
        return power
    }

    /// The product of two polynomials, bits reflected, modulo that of the checksum.
    private static func product(_ a: UInt32, _ b: UInt32) -> UInt32 {
        var (sum, shifted) = (UInt32(0), b)
        for bit in (UInt32(0)..<32).reversed() {
            if a >> bit & 1 == 1 { sum ^= shifted }
            shifted = (shifted >> 1) ^ (shifted & 1 == 1 ? 0x82F6_3B78 : 0)
        }
        return sum
    }

    package static func checksum(_ bytes: RawSpan) -> UInt32 {
        var crc = CRC32C()
        crc.add(bytes)
        return crc.value
    }

    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        crc.add(bytes)
        return crc.value
    }

    /// The byte-at-a-time twin, which serves machines without the instruction.
    package static func checksumByTable(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { ~addByTable(.max, $0) }
    }

    private static func addByTable(_ state: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var state = state
        for byte in bytes {
            state = table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ (state >> 8)
        }
        return state
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { word, _ in
            (word >> 1) ^ (word & 1 == 1 ? 0x82F6_3B78 : 0)
        }
    }

    #if arch(x86_64)
    /// Source: M. Adler, crc32c.c 1.1 (2013): three runs side by side, then the remainder of one is
    /// moved past the next by a table of what each of its bytes becomes.
    private static func addByInstruction(
        _ state: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> UInt32 {
        var (state, bytes, count) = (state, bytes, count)
        if count >= 3 * longByteCount { add(longRun, &state, &bytes, &count) }
        if count >= 3 * shortByteCount { add(shortRun, &state, &bytes, &count) }
        return patron_crc32c_sse42(state, bytes, count)
    }

    private static func add(
        _ run: Run, _ state: inout UInt32, _ bytes: inout UnsafePointer<UInt8>, _ count: inout Int
    ) {
        while count >= 3 * run.byteCount {
            var states: (UInt32, UInt32, UInt32) = (state, 0, 0)
            withUnsafeMutablePointer(to: &states) { pointer in
                pointer.withMemoryRebound(to: UInt32.self, capacity: 3) {
                    patron_crc32c_sse42_three($0, bytes, run.byteCount)
                }
            }
            state = run.moved(run.moved(states.0) ^ states.1) ^ states.2
            bytes += 3 * run.byteCount
            count -= 3 * run.byteCount
        }
    }

    private static let longByteCount = 4_096
    private static let shortByteCount = 128
    private static let longRun = Run(byteCount: longByteCount)
    private static let shortRun = Run(byteCount: shortByteCount)

    /// What zeros behind it make of a remainder.
    private struct Run {
        let byteCount: Int
        /// Of each value of each byte of it.
        private let table: [UInt32]

        init(byteCount: Int) {
            self.byteCount = byteCount
            let power = CRC32C.power(bytes: byteCount)
            table = (0..<4).flatMap { byte in
                (0..<256).map { CRC32C.product(power, UInt32($0) << UInt32(8 * byte)) }
            }
        }

        @inline(__always)
        func moved(_ state: UInt32) -> UInt32 {
            table.withUnsafeBufferPointer { table in
                table[Int(state & 0xFF)] ^ table[256 + Int(state >> 8 & 0xFF)]
                    ^ table[512 + Int(state >> 16 & 0xFF)] ^ table[768 + Int(state >> 24)]
            }
        }
    }

    private static let hasInstruction: Bool = {
        var registers: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
        return withUnsafeMutablePointer(to: &registers) { pointer in
            pointer.withMemoryRebound(to: UInt32.self, capacity: 4) { words in
                patron_cpuid(1, 0, words) && words[2] & (1 << 20) != 0
            }
        }
    }()
    #endif
}
