import CLZ4
import Numerical

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Column chunks like those of a segment file, as they are and LZ4-compressed.
///
/// Amounts in cents as 32-bit integers, half of them zero: what a sparse column of money looks like
/// before compression.
struct LZ4Sample: Sendable {
    /// 16,384 values of four bytes, as a block of a segment file has them.
    static let chunkByteCount = 65_536

    /// Of `chunkByteCount` bytes each.
    let chunks: [[UInt8]]
    let compressed: [[UInt8]]

    /// Bytes of all chunks.
    var byteCount: Int { chunks.count * Self.chunkByteCount }

    init(chunkCount: Int) {
        precondition(chunkCount >= 1)
        chunks = (0..<chunkCount).map { Self.chunk(UInt64($0)) }
        compressed = chunks.map(Self.compress)
    }

    private static func chunk(_ number: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: 1, stream: number)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(chunkByteCount)
        for _ in 0..<chunkByteCount / 4 {
            let uniform = random.uniform()
            // An exponential distribution around 30.00.
            let cents = uniform < 0.5 ? 0 : UInt32(-3_000 * log(2 * (1 - uniform)))
            for shift in [0, 8, 16, 24] as [UInt32] {
                bytes.append(UInt8(truncatingIfNeeded: cents >> shift))
            }
        }
        return bytes
    }

    private static func compress(_ chunk: [UInt8]) -> [UInt8] {
        let bound = Int(LZ4_compressBound(Int32(chunk.count)))
        return [UInt8](unsafeUninitializedCapacity: bound) { target, count in
            // The target has the size that always suffices.
            chunk.withUnsafeBytes { source in
                count = Int(
                    LZ4_compress_default(
                        source.baseAddress, target.baseAddress, Int32(source.count), Int32(bound)))
            }
        }
    }

    /// Decodes every chunk `rounds` times into the same memory.
    /// - Precondition: `target.count == chunkByteCount`.
    func decode(rounds: Int, into target: inout [UInt8]) {
        precondition(target.count == Self.chunkByteCount)
        target.withUnsafeMutableBytes { target in
            for _ in 0..<rounds {
                for chunk in compressed {
                    // LZ4_decompress_safe writes at most the given number of bytes.
                    let written = chunk.withUnsafeBytes { source in
                        LZ4_decompress_safe(
                            source.baseAddress, target.baseAddress, Int32(source.count),
                            Int32(target.count))
                    }
                    precondition(Int(written) == target.count, "the sample is a valid block")
                }
            }
        }
    }

    /// Decodes one block by a bare call.
    static func decode(_ compressed: [UInt8], into target: inout [UInt8]) {
        target.withUnsafeMutableBytes { target in
            compressed.withUnsafeBytes { source in
                _ = LZ4_decompress_safe(
                    source.baseAddress, target.baseAddress, Int32(source.count),
                    Int32(target.count))
            }
        }
    }

    /// Copies every chunk `rounds` times into the same memory.
    /// - Precondition: `target.count == chunkByteCount`.
    func copy(rounds: Int, into target: inout [UInt8]) {
        precondition(target.count == Self.chunkByteCount)
        target.withUnsafeMutableBytes { target in
            for _ in 0..<rounds {
                for chunk in chunks { chunk.withUnsafeBytes { target.copyMemory(from: $0) } }
            }
        }
    }
}
