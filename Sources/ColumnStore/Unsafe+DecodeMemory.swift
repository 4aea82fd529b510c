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
    }
}
