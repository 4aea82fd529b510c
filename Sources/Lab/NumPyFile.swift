import ByteCoding
import ColumnStore

/// An array in a .npy file, mapped; the file must not change while it is in use.
///
/// Elements are read as what they are: integers widen, a 64-bit integer becomes a 32-bit one where
/// its value fits, and no float is narrowed.
package struct NumPyFile: Sendable {
    package let header: NumPyHeader
    private let file: MappedFile

    package var path: String { file.path }
    package var shape: [Int] { header.shape }
    package var count: Int { header.count }

    /// Maps a file and checks its head and size.
    /// - Parameter allowed: types that its elements may have, the one to advise first.
    /// - Throws: `badArray`; `store` where it cannot be read.
    package init(
        _ path: String, _ allowed: [NumPyElement] = NumPyElement.allCases
    ) throws(LabError) {
        let file: MappedFile
        do { file = try MappedFile(path: path) } catch { throw .store(error) }
        self.file = file
        header = try file.withBytes { bytes throws(LabError) in
            try NumPyHeader(bytes, path: path, allowed)
        }
    }

    // MARK: - Checks

    /// - Throws: `badArray` unless the array has `count` axes.
    package func requireAxes(_ count: Int, _ meaning: String) throws(LabError) {
        guard shape.count == count else {
            throw .badArray(
                path: path, byteOffset: header.shapeOffset,
                found: "\(shape.count) axes, shape \(shape)", expected: "\(count): \(meaning)",
                advice: "reshape the array and save it again")
        }
    }

    /// - Throws: `badArray` unless the elements are of one of these types.
    package func requireElement(_ allowed: NumPyElement...) throws(LabError) {
        guard !allowed.contains(header.element) else { return }
        throw NumPyElement.refused(
            header.element.rawValue, path: path, byteOffset: header.elementOffset, allowed)
    }

    /// Where element `index` is.
    package func byteOffset(ofElement index: Int) -> Int {
        header.dataOffset + index * header.element.byteCount
    }

    // MARK: - Elements

    /// Lends the elements' bytes.
    package func withElementBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let range = header.dataOffset..<header.dataOffset + count * header.element.byteCount
        return try file.withBytes { bytes throws(Failure) in
            try body(bytes.extracting(range))
        }
    }

    /// Single-precision elements.
    /// - Throws: `badArray` for another type.
    package func floats() throws(LabError) -> [Float] {
        try requireElement(.float32)
        return elements()
    }

    /// Doubles.
    package func doubles() throws(LabError) -> [Double] {
        try requireElement(.float64)
        return elements()
    }

    /// Integers of either width.
    /// - Throws: `badArray` for floats.
    package func integers() throws(LabError) -> [Int] {
        try requireElement(.int64, .int32)
        if header.element == .int64 { return elements(Int64.self).map(Int.init) }
        return elements(Int32.self).map(Int.init)
    }

    /// Integers of either width that fit 32 bits.
    /// - Throws: `badArray` for floats; `badValue` for the first one that does not fit.
    package func shortIntegers() throws(LabError) -> [Int32] {
        try requireElement(.int32, .int64)
        if header.element == .int32 { return elements() }
        let wide: [Int64] = elements()
        var narrow = [Int32](repeating: 0, count: wide.count)
        for (index, value) in wide.enumerated() {
            guard let short = Int32(exactly: value) else {
                throw badValue(index, "\(value)", "a number of 32 bits")
            }
            narrow[index] = short
        }
        return narrow
    }

    /// Single-precision floats, or integers that single precision holds exactly.
    /// - Throws: `badArray` for doubles; `badValue` for the first integer that would be rounded.
    package func exactFloats() throws(LabError) -> [Float] {
        try requireElement(.float32, .int32, .int64)
        if header.element == .float32 { return elements() }
        let wide = try integers()
        var values = [Float](repeating: 0, count: wide.count)
        for (index, value) in wide.enumerated() {
            guard let exact = Float(exactly: value) else {
                throw badValue(index, "\(value)", "a number that single precision holds exactly")
            }
            values[index] = exact
        }
        return values
    }

    /// A value that cannot be used, named by its indices.
    package func badValue(_ index: Int, _ found: String, _ expected: String) -> LabError {
        var rest = index
        var indices: [Int] = []
        for size in shape.reversed() {
            indices.insert(rest % max(1, size), at: 0)
            rest /= max(1, size)
        }
        let place =
            indices.count == 2
            ? "row \(indices[0]), column \(indices[1])"
            : "element " + indices.map { "\($0)" }.joined(separator: ", ")
        return .badValue(
            path: path, byteOffset: byteOffset(ofElement: index), place: place, found: found,
            expected: expected)
    }

    /// - Throws: `badValue` for the first NaN or infinite value of a float array.
    package func requireFinite(_ values: [Float]) throws(LabError) {
        guard let bad = values.firstIndex(where: { !$0.isFinite }) else { return }
        throw badValue(bad, "\(values[bad])", "a finite number")
    }

    /// The header has been checked: the file holds `count` elements of this size.
    private func elements<Element: BitwiseCopyable>(_: Element.Type = Element.self) -> [Element] {
        withElementBytes { $0.lanes(at: 0, count: count, as: Element.self) ?? [] }
    }
}
