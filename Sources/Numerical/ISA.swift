#if arch(x86_64)
import CPlatform
#endif
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The instruction-set level of a build of the kernels, slowest first.
package enum ISALevel: String, CaseIterable, Comparable, Sendable {
    /// The plain reference code, one value at a time.
    case scalar
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on arm64.
    case baseline
    /// x86-64-v3: AVX2, FMA, BMI2, F16C.
    case avx2
    /// x86-64-v4: AVX-512 F, BW, CD, DQ, VL.
    case avx512

    /// The environment variable that forces a level.
    package static let environmentName = "PATRON_ISA"

    package static func < (left: ISALevel, right: ISALevel) -> Bool {
        left.order < right.order
    }

    /// The levels that this machine can run, slowest first; found once.
    package static let available: [ISALevel] = {
        let limit = best
        return allCases.filter { $0 <= limit }
    }()

    /// The level to use: the forced one, else the machine's best.
    /// - Parameter forced: a level's name, or nil, "" or "auto" for the best.
    /// - Throws: `ISAError` where the name is unknown or the machine lacks the level.
    package static func choose(forced: String?) throws(ISAError) -> ISALevel {
        guard let forced, !forced.isEmpty, forced != "auto" else {
            return available.last ?? .scalar
        }
        guard let level = ISALevel(rawValue: forced) else { throw .unknownLevel(forced) }
        guard available.contains(level) else { throw .notSupported(level) }
        return level
    }

    /// The value of `PATRON_ISA`; nil where it is not set.
    package static var forcedByEnvironment: String? {
        getenv(environmentName).map { String(cString: $0) }
    }

    private var order: Int {
        switch self {
        case .scalar: 0
        case .baseline: 1
        case .avx2: 2
        case .avx512: 3
        }
    }

    #if arch(x86_64)
    private static var best: ISALevel {
        let (leaf1C, leaf7B) = (cpuid(1).c, cpuid(7).b)
        let extended1C = cpuid(0x8000_0001).c
        // FMA, MOVBE, OSXSAVE, AVX, F16C
        let v3Leaf1: UInt32 = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29
        // BMI1, AVX2, BMI2
        let v3Leaf7: UInt32 = 1 << 3 | 1 << 5 | 1 << 8
        // F, DQ, CD, BW, VL
        let v4Leaf7: UInt32 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31
        guard leaf1C & v3Leaf1 == v3Leaf1, leaf7B & v3Leaf7 == v3Leaf7,
            extended1C & 1 << 5 != 0  // LZCNT
        else { return .baseline }
        // The instructions are of no use unless the system saves their registers: XMM and
        // YMM for AVX, and the mask and ZMM states for AVX-512.
        let saved = patron_xgetbv()
        guard saved & 0x06 == 0x06 else { return .baseline }
        guard leaf7B & v4Leaf7 == v4Leaf7, saved & 0xE6 == 0xE6 else { return .avx2 }
        return .avx512
    }

    private static func cpuid(_ leaf: UInt32) -> (b: UInt32, c: UInt32) {
        var registers: [UInt32] = [0, 0, 0, 0]
        guard patron_cpuid(leaf, 0, &registers) else { return (0, 0) }
        return (registers[1], registers[2])
    }
    #else
    private static var best: ISALevel { .baseline }
    #endif
}

/// Why a forced instruction-set level cannot be used.
package enum ISAError: Error, Sendable, Equatable, CustomStringConvertible {
    case notSupported(ISALevel)
    case unknownLevel(String)

    package var description: String {
        let choices = ISALevel.available.map(\.rawValue).joined(separator: ", ")
        return switch self {
        case .notSupported(let level):
            "this machine cannot run instruction-set level \(level.rawValue); it has: \(choices)"
        case .unknownLevel(let name):
            "unknown instruction-set level \"\(name)\"; this machine has: auto, \(choices)"
        }
    }
}
