import Numerical
import Testing

/// Every level beside the plain way: one byte after the other.
@Suite struct TextScanTests {
    @Test(arguments: ISALevel.available, [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65])
    func equalsTheByteLoop(level: ISALevel, blockCount: Int) {
        let kernels = KernelTable(level)
        var random = SeededRandom(seed: UInt64(blockCount))
        // None, few, many and nothing but bytes that are looked for; then every byte there is.
        let alphabets: [[UInt8]] = [
            Array("abc:.-".utf8), Array("0123456789,abcdefghi\n".utf8), Array(",\"\n;\rx".utf8),
            Array(",;\"\n".utf8), Array(0...255), [0x00, 0x01, 0x7F, 0x80, 0xFF, 0x2C, 0xAC],
        ]
        for (round, alphabet) in alphabets.enumerated() {
            for separators in [(0x2C, 0x2C), (0x20, 0x09), (0x3B, 0x2C)] as [(UInt8, UInt8)] {
                let bytes = (0..<64 * blockCount).map { _ in alphabet[random.below(alphabet.count)]
                }
                var positions = [UInt32](
                    repeating: .max, count: bytes.count + KernelTable.textScanSlack + 3)
                var flags = [UInt8](repeating: 9, count: blockCount + 1)
                var positionSpan = positions.mutableSpan
                var flagSpan = flags.mutableSpan
                let count = kernels.scanText(
                    bytes.span, separators: separators, base: 1_000, positions: &positionSpan,
                    flags: &flagSpan)
                let expected = bytes.indices.filter {
                    [separators.0, separators.1, 0x22, 0x0A].contains(bytes[$0])
                }
                #expect(
                    positions[..<count].elementsEqual(expected.map { UInt32($0 + 1_000) }),
                    "alphabet \(round)")
                #expect(positions[(positions.count - 3)...].allSatisfy { $0 == .max })
                for block in 0..<blockCount {
                    let isStrange = bytes[64 * block..<64 * block + 64].contains {
                        $0 == 0 || $0 >= 128
                    }
                    #expect((flags[block] != 0) == isStrange, "alphabet \(round) block \(block)")
                }
                #expect(flags[blockCount] == 9)
            }
        }
    }
}
