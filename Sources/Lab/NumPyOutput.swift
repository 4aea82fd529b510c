import ColumnStore

/// A .npy file being written: opened before the work that makes its content, so that a wrong path
/// is found early, and visible only when it is whole.
package struct NumPyOutput {
    private let file: AtomicFile

    package init(_ path: String) throws(LabError) {
        do { file = try AtomicFile(path: path) } catch { throw .store(error) }
    }

    /// Makes files visible that are filled: all, or none where one cannot be finished.
    package static func publish(_ outputs: [NumPyOutput]) throws(LabError) {
        do throws(StoreError) {
            try AtomicFile.commit(outputs.map(\.file))
        } catch {
            throw .store(error)
        }
    }

    // MARK: - Filled, not visible yet

    package func fill(_ values: [Float], shape: [Int]) throws(LabError) {
        try fill(values.span.bytes, .float32, shape)
    }

    package func fill(_ values: [Double], shape: [Int]) throws(LabError) {
        try fill(values.span.bytes, .float64, shape)
    }

    package func fill(_ values: [Int32], shape: [Int]) throws(LabError) {
        try fill(values.span.bytes, .int32, shape)
    }

    // MARK: - Whole files

    package func write(_ values: [Float], shape: [Int]) throws(LabError) {
        try fill(values, shape: shape)
        try Self.publish([self])
    }

    package func write(_ values: [Double], shape: [Int]) throws(LabError) {
        try fill(values, shape: shape)
        try Self.publish([self])
    }

    package func write(_ values: [Int32], shape: [Int]) throws(LabError) {
        try fill(values, shape: shape)
        try Self.publish([self])
    }

    package func write(_ values: [Int64], shape: [Int]) throws(LabError) {
        try fill(values.span.bytes, .int64, shape)
        try Self.publish([self])
    }

    private func fill(
        _ bytes: RawSpan, _ element: NumPyElement, _ shape: [Int]
    ) throws(LabError) {
        precondition(bytes.byteCount == shape.reduce(element.byteCount, *))
        do throws(StoreError) {
            try file.write(NumPyHeader.bytes(element, shape: shape))
            try file.write(bytes)
        } catch {
            throw .store(error)
        }
    }
}
