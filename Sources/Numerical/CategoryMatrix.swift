/// Rows of category codes in the order that the kernels read: blocks of 64 rows, each block
/// column-major, as `FeatureMatrix` has them; every column as narrow as its codes allow.
///
///     bytes   [blockCount × byteColumns × 64]   codes up to 254
///     shorts  [blockCount × shortColumns × 64]  codes up to 65534
///     words   [blockCount × wordColumns × 64]   the others
///
/// What is stored is the code + 1; 0 is a missing category, and the rows that fill the last block
/// up. A kernel gets 64 rows of every column widened to four bytes, in the first-level cache: the
/// matrix is what memory has to deliver, one byte a row and column of most categories.
package struct CategoryMatrix: Sendable, Equatable {
    package let rowCount: Int
    /// `[columnCount]`: one more than a column's largest code; 0 where all are missing.
    package let codeCounts: [Int]
    let places: [Place]
    private(set) var bytes: [UInt8]
    private(set) var shorts: [UInt16]
    private(set) var words: [UInt32]

    enum Width: Sendable, Equatable, CaseIterable {
        case byte, short, word
    }

    /// Where a column is: the how manieth of those of its width.
    struct Place: Sendable, Equatable {
        let width: Width
        let slot: Int
    }

    package var columnCount: Int { codeCounts.count }
    package var blockCount: Int { FeatureMatrix.blockCount(rowCount) }

    /// - Parameters:
    ///   - columns: codes, one array a column; below 0: missing.
    ///   - rows: rows of the columns, one a row of the matrix; all where nil.
    ///   - rowCount: of the matrix, where there may be no column to tell.
    package init(columns: [[Int32]], rows: [Int]? = nil, rowCount: Int) {
        precondition(rowCount >= 0 && rows.map { $0.count == rowCount } ?? true)
        var counts: [Width: Int] = [:]
        var places: [Place] = []
        var codeCounts: [Int] = []
        for column in columns {
            precondition(rows != nil || column.count == rowCount)
            var largest: Int32 = -1
            let codes = column.span
            for position in 0..<rowCount {
                largest = max(largest, codes[rows?[position] ?? position])
            }
            let width: Width = largest < 255 ? .byte : largest < 65535 ? .short : .word
            places.append(Place(width: width, slot: counts[width, default: 0]))
            counts[width, default: 0] += 1
            codeCounts.append(Int(largest) + 1)
        }
        let paddedCount = FeatureMatrix.blockCount(rowCount) * FeatureMatrix.blockRowCount
        bytes = [UInt8](repeating: 0, count: paddedCount * counts[.byte, default: 0])
        shorts = [UInt16](repeating: 0, count: paddedCount * counts[.short, default: 0])
        words = [UInt32](repeating: 0, count: paddedCount * counts[.word, default: 0])
        self.rowCount = rowCount
        self.codeCounts = codeCounts
        self.places = places
        for (column, place) in zip(columns, places) {
            let columnCount = counts[place.width, default: 0]
            switch place.width {
            case .byte:
                Self.fill(&bytes, column, rows, rowCount, place.slot, columnCount)
            case .short:
                Self.fill(&shorts, column, rows, rowCount, place.slot, columnCount)
            case .word:
                Self.fill(&words, column, rows, rowCount, place.slot, columnCount)
            }
        }
    }

    /// A row's code in a column; -1: missing.
    package subscript(row: Int, column: Int) -> Int32 {
        precondition(row >= 0 && row < rowCount)
        let place = places[column]
        let index = FeatureMatrix.position(row, place.slot, columnCount(place.width))
        switch place.width {
        case .byte: return Int32(bytes[index]) - 1
        case .short: return Int32(shorts[index]) - 1
        case .word: return Int32(truncatingIfNeeded: words[index]) &- 1
        }
    }

    /// `[rowCount]`: the codes of one column.
    package func column(_ column: Int) -> [Int32] {
        let place = places[column]
        let count = columnCount(place.width)
        return switch place.width {
        case .byte: read(bytes, place.slot, count)
        case .short: read(shorts, place.slot, count)
        case .word: read(words, place.slot, count)
        }
    }

    private func read<Stored: FixedWidthInteger>(
        _ storage: [Stored], _ slot: Int, _ columnCount: Int
    ) -> [Int32] {
        var codes = [Int32](repeating: -1, count: rowCount)
        let source = storage.span
        var target = codes.mutableSpan
        for row in 0..<rowCount {
            let stored = source[FeatureMatrix.position(row, slot, columnCount)]
            target[row] = Int32(truncatingIfNeeded: stored) &- 1
        }
        return codes
    }

    /// The codes of one row.
    package func row(_ row: Int) -> [Int32] {
        (0..<columnCount).map { self[row, $0] }
    }

    /// Columns of a width.
    func columnCount(_ width: Width) -> Int {
        let paddedCount = blockCount * FeatureMatrix.blockRowCount
        if paddedCount == 0 { return 0 }
        return switch width {
        case .byte: bytes.count / paddedCount
        case .short: shorts.count / paddedCount
        case .word: words.count / paddedCount
        }
    }

    private static func fill<Stored: FixedWidthInteger>(
        _ storage: inout [Stored], _ column: [Int32], _ rows: [Int]?, _ rowCount: Int, _ slot: Int,
        _ columnCount: Int
    ) {
        let codes = column.span
        var target = storage.mutableSpan
        for row in 0..<rowCount {
            let code = codes[rows?[row] ?? row]
            target[FeatureMatrix.position(row, slot, columnCount)] =
                Stored(truncatingIfNeeded: max(code, -1) &+ 1)
        }
    }
}
