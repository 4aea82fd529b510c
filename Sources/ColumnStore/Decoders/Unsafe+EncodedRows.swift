internal import CPlatform

/// Columns of one segment of which whole rows are read, one at a time: all features of a customer.
///
/// A value lies behind a chain of cache misses: what is known of the block, a packed number, and for
/// a sparse column its bits before that. Here all that is not the number itself is kept in memory of
/// its own, block by block, and each step of all columns asks for the cache lines that the next step
/// reads, so that the misses of the columns overlap.
package struct EncodedRows: Sendable {
    private let columns: [EncodedColumn]
    private let cells: Cells
    package let rowCount: Int

    /// - Parameter columns: of the same rows.
    package init(_ columns: [EncodedColumn]) {
        rowCount = columns.first?.rowCount ?? 0
        precondition(columns.allSatisfy { $0.rowCount == columns[0].rowCount })
        self.columns = columns
        cells = Cells(
            columns, blockCount: (rowCount + Limits.blockRowCount - 1) / Limits.blockRowCount)
    }

    package var columnCount: Int { columns.count }

    /// Reads a row. Traps outside the columns.
    /// - Parameters:
    ///   - patterns: one a column, out: as `EncodedColumn.pattern(row:)`; 0 where there is no value.
    ///   - isValid: one a column, out: whether the row has a value.
    package func read(
        row: Int, into patterns: inout MutableSpan<UInt64>, isValid: inout MutableSpan<Bool>
    ) {
        precondition(row >= 0 && row < rowCount, "row outside the columns")
        precondition(patterns.count == columns.count && isValid.count == columns.count)
        defer { extendLifetime(self) }
        let block = row / Limits.blockRowCount
        let (cells, place) = (cells.block(block), row % Limits.blockRowCount)
        withUnsafeTemporaryAllocation(of: Step.self, capacity: cells.count) { steps in
            var count = 0
            for column in cells.indices {
                if cells[column].prefetchBits(place) { continue }
                steps.initializeElement(at: count, to: cells[column].step(place, column))
                count += 1
            }
            // The steps of sparse columns follow, of those that have another value than the frequent.
            for column in cells.indices where cells[column].bits != nil {
                patterns[column] = cells[column].frequent
                guard let rank = cells[column].rank(place) else { continue }
                steps.initializeElement(at: count, to: cells[column].step(rank, column))
                count += 1
            }
            for index in 0..<count {
                steps[index].number = cells[steps[index].column].number(steps[index])
            }
            for index in 0..<count {
                let column = steps[index].column
                patterns[column] = cells[column].pattern(steps[index])
            }
        }
        for column in cells.indices {
            isValid[column] = cells[column].isValid(place)
            if !isValid[column] { patterns[column] = 0 }
        }
        // Those that take more than one read of one place: runs, deltas and unusual widths.
        for column in cells.indices where cells[column].kind == .other {
            patterns[column] = columns[column].pattern(row: row) ?? 0
        }
    }
}

/// How far the reading of a column has come.
private struct Step {
    let column: Int
    /// The word with the first bits of the number, or the number itself.
    let address: UnsafeRawPointer
    /// Which of the word's bits is the number's first.
    let shift: Int
    /// Where the value is among the packed numbers.
    let place: Int
    var number: UInt64 = 0
}

/// What reading a value of a column's block takes, but the packed number. Non-owning: the pointers
/// lie in the column and in the side memory of `Cells`.
private struct Cell {
    enum Kind: UInt8 {
        case constant, decimal4, decimal8, dictionary4, dictionary8, other, packed, raw4, raw8
    }

    var kind = Kind.other
    /// Whether exceptions are sought only for a number of 0: all of them are written as 0.
    var exceptionsAreZero = false
    var exceptionCount = 0
    /// The lane-packed numbers of 1 to 32 bits.
    var numbers: UnsafeRawPointer
    var width = 0
    var mask: UInt64 = 0
    var reference: UInt64 = 0
    var power = 1.0
    var floatPower: Float = 1
    /// Raw numbers, the values of a dictionary or of the exceptions.
    var values: UnsafeRawPointer
    /// UInt16, ascending.
    var exceptionRows: UnsafeRawPointer
    /// UInt16 a vector and one more: the exceptions before it.
    var exceptionStarts: UnsafePointer<UInt16>?
    var validity: UnsafeRawPointer?
    /// A bit a row of a sparse column.
    var bits: UnsafeRawPointer?
    /// UInt16 for every four words of the bits: those set before.
    var ranks: UnsafePointer<UInt16>?
    var frequent: UInt64 = 0

    /// Asks for the bits of a row of a sparse column, and for the validity.
    /// - Returns: whether it is one.
    @inline(__always)
    func prefetchBits(_ row: Int) -> Bool {
        if let validity { patron_prefetch_first(validity + row / 8) }
        guard let bits else { return false }
        let word = bits + row / 256 * 32
        patron_prefetch_first(word)
        patron_prefetch_first(word + 31)
        return true
    }

    /// Where the value of a row of a sparse column is among the others; nil for the frequent one.
    @inline(__always)
    func rank(_ row: Int) -> Int? {
        guard let bits, let ranks else { return nil }
        let word = row / 64
        let last = bits.loadUnaligned(fromByteOffset: 8 &* word, as: UInt64.self)
        let bit = UInt64(row % 64)
        guard last &>> bit & 1 == 1 else { return nil }
        var rank = Int(ranks[row / 256]) &+ (last & (1 &<< bit &- 1)).nonzeroBitCount
        for index in row / 256 * 4..<word {
            rank &+=
                bits.loadUnaligned(fromByteOffset: 8 &* index, as: UInt64.self).nonzeroBitCount
        }
        return rank
    }

    /// Asks for the number at a place.
    @inline(__always)
    func step(_ place: Int, _ column: Int) -> Step {
        let address: UnsafeRawPointer
        var shift = 0
        switch kind {
        case .constant, .other: address = numbers
        case .raw4: address = values + 4 &* place
        case .raw8: address = values + 8 &* place
        case .decimal4, .decimal8, .dictionary4, .dictionary8, .packed:
            let bit = (place &>> 4 & 31) &* width
            let group = numbers + (place &>> 9) &* 64 &* width
            address = group + ((bit &>> 5) &* 64 &+ (place & 15) &* 4)
            shift = bit & 31
            patron_prefetch_first(address + lastWord(shift))
        }
        patron_prefetch_first(address)
        return Step(column: column, address: address, shift: shift, place: place)
    }

    /// How far the word with the number's last bits is behind the one with its first: by arithmetic,
    /// because whether they are two is as good as random.
    @inline(__always)
    private func lastWord(_ shift: Int) -> Int { (shift &+ width &- 1) &>> 5 &* 64 }

    /// The number; asks for what has to be read beside it.
    @inline(__always)
    func number(_ step: Step) -> UInt64 {
        switch kind {
        case .constant, .other: return 0
        case .raw4: return UInt64(step.address.loadUnaligned(as: UInt32.self))
        case .raw8: return step.address.loadUnaligned(as: UInt64.self)
        case .dictionary4:
            let code = packedNumber(step)
            patron_prefetch_first(values + 4 &* Int(code))
            return code
        case .dictionary8:
            let code = packedNumber(step)
            patron_prefetch_first(values + 8 &* Int(code))
            return code
        case .decimal4, .decimal8, .packed:
            let number = packedNumber(step)
            if mayBeException(number), let exceptionStarts {
                let first = Int(exceptionStarts[step.place / 1_024])
                patron_prefetch_first(exceptionRows + 2 &* first)
            }
            return number
        }
    }

    @inline(__always)
    private func packedNumber(_ step: Step) -> UInt64 {
        let first = UInt64(step.address.loadUnaligned(as: UInt32.self))
        let last = UInt64(
            step.address.loadUnaligned(fromByteOffset: lastWord(step.shift), as: UInt32.self))
        // Where both are one word, what comes from the second lies above the mask.
        return (first | last &<< 32) &>> UInt64(step.shift) & mask
    }

    @inline(__always)
    private func mayBeException(_ number: UInt64) -> Bool {
        exceptionCount > 0 && (number == 0 || !exceptionsAreZero)
    }

    /// The exception at a place.
    private func exception(_ place: Int) -> Int? {
        guard let exceptionStarts else { return nil }
        let vector = place / 1_024
        var index = Int(exceptionStarts[vector])
        for other in index..<Int(exceptionStarts[vector + 1]) {
            index += exceptionRow(other) < place ? 1 : 0
        }
        return index < exceptionCount && exceptionRow(index) == place ? index : nil
    }

    @inline(__always)
    private func exceptionRow(_ index: Int) -> Int {
        Int(exceptionRows.loadUnaligned(fromByteOffset: 2 &* index, as: UInt16.self))
    }

    @inline(__always)
    func isValid(_ row: Int) -> Bool {
        guard let validity else { return true }
        return validity.load(fromByteOffset: row / 8, as: UInt8.self) >> UInt8(row % 8) & 1 == 1
    }

    /// The value that the number gives.
    @inline(__always)
    func pattern(_ step: Step) -> UInt64 {
        let (number, place) = (step.number, step.place)
        switch kind {
        case .constant, .other: return reference
        case .raw4, .raw8: return number
        case .dictionary4: return value4(Int(number))
        case .dictionary8: return value8(Int(number))
        case .packed:
            if mayBeException(number), let index = exception(place) { return value8(index) }
            return reference &+ number
        case .decimal4:
            if mayBeException(number), let index = exception(place) { return value4(index) }
            let integer = Int64(bitPattern: reference &+ number)
            return UInt64((Float(integer) / floatPower).bitPattern)
        case .decimal8:
            if mayBeException(number), let index = exception(place) { return value8(index) }
            return (Double(Int64(bitPattern: reference &+ number)) / power).bitPattern
        }
    }

    @inline(__always)
    private func value4(_ index: Int) -> UInt64 {
        UInt64(values.loadUnaligned(fromByteOffset: 4 &* index, as: UInt32.self))
    }

    @inline(__always)
    private func value8(_ index: Int) -> UInt64 {
        values.loadUnaligned(fromByteOffset: 8 &* index, as: UInt64.self)
    }
}

extension Cell {
    /// Gathers what a block says.
    init<Pattern: LanePattern>(_ block: EncodedColumn.Block<Pattern>, _ side: SideMemory) {
        // Any address does where no number is read.
        values = UnsafeRawPointer(side.base)
        exceptionRows = values
        numbers = values
        validity = block.validity
        switch block.chunk.body {
        case .direct(let chunk):
            set(chunk, side)
        case .sparse(let sparse):
            set(sparse.others, side)
            if kind == .other { return }
            bits = sparse.bits.baseAddress
            ranks = side.ranks(sparse)
            frequent = UInt64(sparse.frequent)
        case .packedDelta, .runEnds:
            break
        }
    }

    private mutating func set<Pattern: LanePattern>(
        _ chunk: DirectChunk<Pattern>, _ side: SideMemory
    ) {
        let isWide = MemoryLayout<Pattern>.size == 8
        switch chunk.body {
        case .constant(let value):
            kind = .constant
            reference = UInt64(value)
        case .raw(let source):
            kind = isWide ? .raw8 : .raw4
            values = source
        case .packed(let source, let reference, let exceptions):
            guard set(source) else { return }
            kind = .packed
            self.reference = reference
            set(exceptions, source, side)
        case .packedDictionary(let codes, let table):
            guard set(codes) else { return }
            kind = isWide ? .dictionary8 : .dictionary4
            values = table.baseAddress ?? values
        case .decimal(let source, let reference, let exponent, let exceptions):
            guard set(source) else { return }
            kind = isWide ? .decimal8 : .decimal4
            self.reference = UInt64(bitPattern: reference)
            power = powerOfTen(exponent)
            floatPower = Float(power)
            set(exceptions, source, side)
        }
    }

    /// - Returns: false for widths that are not read here.
    private mutating func set(_ source: LanePacked) -> Bool {
        guard (1...32).contains(source.width) else { return false }
        numbers = source.base
        width = source.width
        mask = 1 << UInt64(width) - 1
        return true
    }

    private mutating func set<Pattern: LanePattern>(
        _ exceptions: Exceptions<Pattern>, _ source: LanePacked, _ side: SideMemory
    ) {
        exceptionCount = exceptions.count
        if exceptionCount == 0 { return }
        (exceptionRows, values) = (exceptions.rows, exceptions.values)
        exceptionStarts = side.starts(exceptions)
        exceptionsAreZero = (0..<exceptionCount).allSatisfy { source[exceptions.row($0)] == 0 }
    }
}

/// Small tables that cells point to. Written while the cells are made, only read after that.
private final class SideMemory: @unchecked Sendable {
    private static let startCount = Limits.blockRowCount / Limits.vectorRowCount + 1
    private static let rankCount = Limits.blockRowCount / 256

    let base: UnsafeMutablePointer<UInt16>
    private var count = 0
    private let capacity: Int

    /// - Parameter cellCount: each takes at most one table of either kind.
    init(cellCount: Int) {
        capacity = max(1, cellCount) * (Self.startCount + Self.rankCount)
        base = .allocate(capacity: capacity)
        base.initialize(repeating: 0, count: capacity)
    }

    deinit { base.deallocate() }

    private func take(_ size: Int) -> UnsafeMutablePointer<UInt16> {
        precondition(count + size <= capacity)
        defer { count += size }
        return base + count
    }

    func starts<Pattern>(_ exceptions: Exceptions<Pattern>) -> UnsafePointer<UInt16> {
        let starts = take(Self.startCount)
        for vector in 0..<Self.startCount {
            starts[vector] = UInt16(exceptions.lowerBound(vector * Limits.vectorRowCount))
        }
        return UnsafePointer(starts)
    }

    func ranks<Pattern>(_ sparse: NumberChunk<Pattern>.Sparse) -> UnsafePointer<UInt16> {
        let ranks = take(Self.rankCount)
        var rank = 0
        for word in 0..<sparse.bits.count / 8 {
            if word % 4 == 0 { ranks[word / 4] = UInt16(rank) }
            rank += sparse.word(word).nonzeroBitCount
        }
        return UnsafePointer(ranks)
    }
}

/// The cells of all blocks, those of one block together. Never written after init.
private final class Cells: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Cell>
    private let count: Int
    private let columnCount: Int
    private let side: SideMemory

    init(_ columns: [EncodedColumn], blockCount: Int) {
        columnCount = columns.count
        count = blockCount * columnCount
        side = SideMemory(cellCount: count)
        base = .allocate(capacity: max(1, count))
        for block in 0..<blockCount {
            for (index, column) in columns.enumerated() {
                let cell =
                    switch column.storage {
                    case .four(let blocks): Cell(blocks[block], side)
                    case .eight(let blocks): Cell(blocks[block], side)
                    }
                (base + (block * columnCount + index)).initialize(to: cell)
            }
        }
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    @inline(__always)
    func block(_ index: Int) -> UnsafeBufferPointer<Cell> {
        UnsafeBufferPointer(start: base + index * columnCount, count: columnCount)
    }
}
