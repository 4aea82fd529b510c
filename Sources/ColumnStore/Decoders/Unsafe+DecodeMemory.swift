package import Numerical

/// The memory that decoding needs besides its result, and the kernels it uses; one a thread.
package final class DecodeMemory {
    let kernels: KernelTable
    /// 2 KiB: the bytes of a packed group, filled up with zeros.
    let packed: UnsafeMutableRawBufferPointer
    /// 512 codes, or the low and the high halves of 512 numbers.
    let words: UnsafeMutableBufferPointer<UInt32>
    /// A vector of values of up to 8 bytes.
    let vector: UnsafeMutableRawPointer
    /// The others of a whole sparse block, in whole groups, and one more.
    private(set) lazy var others: UnsafeMutableRawPointer = {
        let byteCount = 8 * (Limits.blockRowCount + 1)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        hasOthers = true
        return memory
    }()
    private var hasOthers = false
    /// The bytes of a chunk after LZ4.
    private var plain = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    package init(kernels: KernelTable = .current) {
        self.kernels = kernels
        packed = .allocate(byteCount: 2_048, alignment: 64)
        words = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 64)
            .bindMemory(to: UInt32.self)
        vector = .allocate(byteCount: 8_192, alignment: 64)
        // Values behind a shorter group are read, if never used: they must be initialised.
        packed.initializeMemory(as: UInt8.self, repeating: 0)
        words.initialize(repeating: 0)
        vector.initializeMemory(as: UInt8.self, repeating: 0, count: 8_192)
    }

    deinit {
        packed.deallocate()
        words.deallocate()
        vector.deallocate()
        if hasOthers { others.deallocate() }
        plain.deallocate()
    }

    /// Undoes LZ4 into memory of this object: first touched once, not once a chunk. Valid until the
    /// next call.
    /// - Returns: the bytes; nil where `stored` is not a block of exactly `byteCount` bytes.
    /// - Precondition: `byteCount` is at most `Limits.chunkByteCount`.
    func decompress(
        _ stored: UnsafeRawBufferPointer, byteCount: Int
    ) -> UnsafeRawBufferPointer? {
        precondition(byteCount >= 0 && byteCount <= Limits.chunkByteCount)
        if plain.count < byteCount {
            plain.deallocate()
            plain = .allocate(byteCount: max(byteCount, 131_072), alignment: 64)
        }
        let target = UnsafeMutableRawBufferPointer(rebasing: plain[..<byteCount])
        return LZ4.decompress(stored, into: target) ? UnsafeRawBufferPointer(target) : nil
    }
}
