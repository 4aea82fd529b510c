/// Rows of `Float` features in the order that the kernels read: blocks of 64 rows, each block
/// feature-major, so that neighbouring lanes are neighbouring rows.
///
///     storage  [blockCount × featureCount × 64], blockCount = ceil(rowCount / 64)
///     (row, feature) is at ((row / 64) · featureCount + feature) · 64 + row % 64
///
/// The rows that fill the last block up are zero. 64 rows and not more, because a block of 32
/// features is then 8 KiB without large strides and stays in the first-level cache.
package struct FeatureMatrix: Sendable, Equatable {
    /// Rows of a block.
    package static let blockRowCount = 64

    package let rowCount: Int
    package let featureCount: Int
    /// `[blockCount × featureCount × 64]`.
    package internal(set) var storage: AlignedFloats

    package var blockCount: Int { Self.blockCount(rowCount) }

    /// All zero.
    package init(rowCount: Int, featureCount: Int) {
        precondition(rowCount >= 0 && featureCount >= 0)
        self.rowCount = rowCount
        self.featureCount = featureCount
        storage = AlignedFloats(
            count: Self.blockCount(rowCount) * Self.blockRowCount * featureCount)
    }

    /// From one array a feature, all of the same count.
    package init(columns: [[Float]]) {
        self.init(rowCount: columns.first?.count ?? 0, featureCount: columns.count)
        for (feature, column) in columns.enumerated() {
            setColumn(feature, column.span)
        }
    }

    /// From `[rowCount × featureCount]` row-major values.
    package init(rowMajor values: [Float], rowCount: Int, featureCount: Int) {
        precondition(values.count == rowCount * featureCount)
        self.init(rowCount: rowCount, featureCount: featureCount)
        let source = values.span
        var target = storage.mutableSpan
        for row in 0..<rowCount {
            let first = Self.position(row, 0, featureCount)
            for feature in 0..<featureCount {
                target[first + feature * Self.blockRowCount] = source[row * featureCount + feature]
            }
        }
    }

    package subscript(row: Int, feature: Int) -> Float {
        get {
            precondition(row < rowCount && feature < featureCount)
            return storage[Self.position(row, feature, featureCount)]
        }
        set {
            precondition(row < rowCount && feature < featureCount)
            storage[Self.position(row, feature, featureCount)] = newValue
        }
    }

    /// The features of one row.
    package func row(_ row: Int) -> [Float] {
        (0..<featureCount).map { self[row, $0] }
    }

    /// Replaces one feature of all rows.
    package mutating func setColumn(_ feature: Int, _ values: Span<Float>) {
        precondition(values.count == rowCount && feature < featureCount)
        let featureCount = featureCount
        var target = storage.mutableSpan
        for row in values.indices {
            target[Self.position(row, feature, featureCount)] = values[row]
        }
    }

    /// Fills the blocks in parallel; the rows that fill the last block up stay as `body` leaves
    /// them and should be zero.
    /// - Parameters:
    ///   - chunkBlocks: blocks a chunk, independent of the thread count.
    ///   - body: gets a chunk's rows and its `[blocks × featureCount × 64]` values.
    package mutating func fillBlocks(
        chunkBlocks: Int, threadCount: Int,
        _ body: @Sendable (_ rows: Range<Int>, _ values: inout MutableSpan<Float>) -> Void
    ) {
        if featureCount == 0 { return }
        let rowCount = rowCount
        parallelFill(
            &storage, rowWidth: featureCount * Self.blockRowCount, chunkRows: chunkBlocks,
            threadCount: threadCount
        ) { blocks, values in
            let first = blocks.lowerBound * Self.blockRowCount
            body(first..<min(rowCount, blocks.upperBound * Self.blockRowCount), &values)
        }
    }

    /// Replaces the first rows; those that fill their last block up become zero, later blocks stay.
    /// - Parameter rows: `[at most rowCount × featureCount]`, row-major.
    package mutating func pack(_ rows: Span<Float>, kernels: KernelTable) {
        let featureCount = featureCount
        var blocks = storage.mutableSpan
        kernels.transpose(rows, featureCount: featureCount, into: &blocks)
    }

    static func blockCount(_ rowCount: Int) -> Int {
        (rowCount + blockRowCount - 1) / blockRowCount
    }

    /// Where a value of a matrix of `featureCount` features is.
    package static func position(_ row: Int, _ feature: Int, _ featureCount: Int) -> Int {
        (row / blockRowCount * featureCount + feature) * blockRowCount + row % blockRowCount
    }
}

/// A few vectors (centroids, queries) interleaved by four, as the kernels broadcast them.
///
///     storage  [groupCount × featureCount × 4], groupCount = ceil(count / 4); padding is zero
///     offsets  [groupCount × 4]: -|v|²/2, minus infinity for the padding
package struct VectorGroups: Sendable {
    /// Vectors of a group.
    package static let width = 4

    package let count: Int
    package let featureCount: Int
    let storage: [Float]
    let offsets: [Float]

    package var groupCount: Int { offsets.count / Self.width }

    /// From `[count × featureCount]` row-major values.
    package init(rowMajor values: Span<Float>, count: Int, featureCount: Int) {
        precondition(values.count == count * featureCount)
        let groupCount = (count + Self.width - 1) / Self.width
        var storage = [Float](repeating: 0, count: groupCount * featureCount * Self.width)
        var offsets = [Float](repeating: -.infinity, count: groupCount * Self.width)
        for i in 0..<count {
            var squares = 0.0
            let first = i / Self.width * featureCount * Self.width + i % Self.width
            for j in 0..<featureCount {
                let value = values[i * featureCount + j]
                storage[first + j * Self.width] = value
                squares += Double(value) * Double(value)
            }
            offsets[i] = Float(-squares / 2)
        }
        self.count = count
        self.featureCount = featureCount
        self.storage = storage
        self.offsets = offsets
    }
}
