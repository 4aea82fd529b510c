#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Values in memory that starts at a cache line, so that no vector load crosses one; large ones
/// start at a huge page and ask for huge pages: first use of fresh memory is what a pass over new
/// data mostly waits for, and one fault then brings 2 MiB instead of 4 KiB.
///
/// A value type with copy on write, as an array is. Starts zeroed.
package struct AlignedFloats: Sendable, Equatable {
    /// Bytes that the first value's address is a multiple of.
    package static let alignment = 64

    private var storage: Storage

    /// Zeros.
    package init(count: Int) {
        precondition(count >= 0)
        storage = Storage(count: count)
    }

    /// A copy.
    package init(_ values: Span<Float>) {
        storage = Storage(count: values.count)
        values.withUnsafeBufferPointer { _ = storage.values.update(fromContentsOf: $0) }
    }

    package var count: Int { storage.values.count }

    package var span: Span<Float> {
        @_lifetime(borrow self)
        borrowing get {
            // The storage lives as long as self, and is written only through a unique owner.
            _overrideLifetime(
                Span(_unsafeElements: UnsafeBufferPointer(storage.values)), borrowing: self)
        }
    }

    package var mutableSpan: MutableSpan<Float> {
        // Not inlined: the 6.3.1 compiler's copy propagation ends with "found ownership error"
        // where it is.
        @inline(never)
        @_lifetime(&self)
        mutating get {
            makeUnique()
            // Unique: nobody else reads or writes the storage while self is borrowed exclusively.
            return _overrideLifetime(MutableSpan(_unsafeElements: storage.values), mutating: &self)
        }
    }

    package subscript(index: Int) -> Float {
        get {
            precondition(index >= 0 && index < count)
            return storage.values[index]
        }
        set {
            precondition(index >= 0 && index < count)
            makeUnique()
            storage.values[index] = newValue
        }
    }

    package static func == (left: AlignedFloats, right: AlignedFloats) -> Bool {
        left.storage === right.storage || left.storage.values.elementsEqual(right.storage.values)
    }

    func withUnsafeBufferPointer<Result>(
        _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(storage) { try body(UnsafeBufferPointer(storage.values)) }
    }

    mutating func withUnsafeMutableBufferPointer<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        makeUnique()
        return try withExtendedLifetime(storage) { try body(storage.values) }
    }

    private mutating func makeUnique() {
        if isKnownUniquelyReferenced(&storage) { return }
        let copy = Storage(count: count)
        _ = copy.values.update(fromContentsOf: storage.values)
        storage = copy
    }

    /// Owns the memory. Written only while uniquely referenced, so it may be shared by threads.
    private final class Storage: @unchecked Sendable {
        let values: UnsafeMutableBufferPointer<Float>
        /// What was mapped; nil where the allocator gave the memory.
        private let mapping: UnsafeMutableRawBufferPointer?

        private static let hugePageSize = 2 << 20

        init(count: Int) {
            let byteCount = count * MemoryLayout<Float>.stride
            if let mapping = Self.mapped(byteCount) {
                self.mapping = mapping
                let address = UInt(bitPattern: mapping.baseAddress)
                let size = UInt(Self.hugePageSize)
                let start = Int((address + size - 1) / size * size - address)
                let memory = UnsafeMutableRawBufferPointer(
                    rebasing: mapping[start..<start + byteCount])
                values = memory.bindMemory(to: Float.self)
            } else {
                mapping = nil
                let memory = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: byteCount, alignment: AlignedFloats.alignment)
                values = memory.bindMemory(to: Float.self)
                values.initialize(repeating: 0)
            }
        }

        deinit {
            if let mapping {
                munmap(mapping.baseAddress, mapping.count)
            } else {
                UnsafeMutableRawBufferPointer(values).deallocate()
            }
        }

        /// Zeroed pages with room to start at a huge page; nil for a small count, or where the
        /// system gives none (then the allocator decides).
        private static func mapped(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
            #if os(Linux)
            guard byteCount >= 2 * hugePageSize else { return nil }
            let length = byteCount + hugePageSize
            guard
                let address = mmap(
                    nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                address != MAP_FAILED
            else { return nil }
            // Advice: the memory is as good without it.
            _ = madvise(address, length, MADV_HUGEPAGE)
            return UnsafeMutableRawBufferPointer(start: address, count: length)
            #else
            return nil
            #endif
        }
    }
}
