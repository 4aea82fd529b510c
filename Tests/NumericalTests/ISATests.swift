import Numerical
import Testing

@Suite struct ISATests {
    @Test func choosesTheBestUnlessForced() throws {
        let available = ISALevel.available
        #expect(available.starts(with: [.scalar, .baseline]))
        #expect(available == available.sorted())
        for automatic in [nil, "", "auto"] {
            #expect(try ISALevel.choose(forced: automatic) == available.last)
        }
        for level in available {
            #expect(try ISALevel.choose(forced: level.rawValue) == level)
            #expect(KernelTable(level).level == level)
        }
    }

    @Test func refusesUnknownAndMissingLevels() {
        #expect(throws: ISAError.unknownLevel("sse9")) { try ISALevel.choose(forced: "sse9") }
        for level in ISALevel.allCases where !ISALevel.available.contains(level) {
            #expect(throws: ISAError.notSupported(level)) {
                try ISALevel.choose(forced: level.rawValue)
            }
        }
        #expect(ISAError.unknownLevel("sse9").description.contains("scalar, baseline"))
        #expect(ISAError.notSupported(.avx512).description.contains("avx512"))
    }
}
