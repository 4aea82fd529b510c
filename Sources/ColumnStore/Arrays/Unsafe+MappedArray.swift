import Numerical

/// One array of an array file, read from the mapping, which it keeps alive.
package struct MappedArray<Element: ArrayElement>: Sendable {
    /// Row-major dimensions.
    package let shape: [Int]
    package let count: Int
    @usableFromInline let file: MappedFile
    /// `count` elements within `file`, aligned; read-only memory, safe to share between threads.
    @usableFromInline nonisolated(unsafe) let start: UnsafePointer<Element>?

    /// Views part of a mapped file.
    /// - Throws: `truncated` outside the file; `corrupt` where the offset is not aligned.
    init(file: MappedFile, byteOffset: Int, shape: [Int]) throws(StoreError) {
        let size = MemoryLayout<Element>.stride
        guard let count = ArrayFile.elementCount(shape), count <= Int.max / size,
            byteOffset % size == 0
        else {
            throw .corrupt(
                path: file.path, byteOffset: byteOffset, reason: "an array is not aligned")
        }
        _ = try file.buffer(at: byteOffset, count: count * size)
        self.file = file
        self.shape = shape
        self.count = count
        start = file.base.map { ($0 + byteOffset).assumingMemoryBound(to: Element.self) }
    }

    package var isEmpty: Bool { count == 0 }

    /// Traps outside `0 ..< count`.
    @inlinable
    package subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count, "index outside the mapped array")
        defer { extendLifetime(file) }
        // start is nil only for an empty file, whose count is 0.
        return start.unsafelyUnwrapped[index]
    }

    /// Lends the elements. The mapping lives at least as long as the call, because self does.
    @inlinable
    package func withSpan<Result, Failure: Error>(
        _ body: (Span<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { extendLifetime(file) }
        return try body(UnsafeBufferPointer(start: start, count: count).span)
    }

    /// Lends row `index` of an array of at least one dimension: the elements of all its other
    /// dimensions. Traps outside `0 ..< shape[0]`.
    @inlinable
    package func withRow<Result, Failure: Error>(
        _ index: Int, _ body: (Span<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(index >= 0 && index < shape[0], "row outside the mapped array")
        defer { extendLifetime(file) }
        let width = count / shape[0]
        return try body(
            UnsafeBufferPointer(start: start.map { $0 + index * width }, count: width).span)
    }

    /// Gives the memory of the array's pages back to the system until they are read again.
    package func forget() {
        guard let start, let base = file.base else { return }
        file.forget(
            at: UnsafeRawPointer(start) - UnsafeRawPointer(base),
            count: count * MemoryLayout<Element>.stride)
    }

    /// Copies the elements.
    package func toArray() -> [Element] {
        defer { extendLifetime(file) }
        return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            useLargePages(buffer.baseAddress, byteCount: count * MemoryLayout<Element>.stride)
            _ = buffer.initialize(from: UnsafeBufferPointer(start: start, count: count))
            initialized = count
        }
    }
}
