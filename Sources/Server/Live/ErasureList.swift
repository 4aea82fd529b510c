import ByteCoding
import Engine
import Synchronization

/// Who was erased, as far as the workspace's log says, for whatever answers from a snapshot: each
/// snapshot looks up its rows of those that have come since it was scored. Any thread.
final class ErasureList: Sendable {
    /// In the order of their numbers.
    private let all: Mutex<[RecordedErasure]>
    private let number: Atomic<Int>

    init(_ erasures: [RecordedErasure] = []) {
        all = Mutex(erasures)
        number = Atomic(erasures.count)
    }

    /// How many there are; never falls.
    var count: Int { number.load(ordering: .acquiring) }

    /// Adds those that are not known yet.
    /// - Parameter erasures: in the order of their numbers.
    /// - Returns: whether there were some.
    @discardableResult
    func add(_ erasures: [RecordedErasure]) -> Bool {
        all.withLock { all in
            let last = all.last?.sequence ?? -1
            let fresh = erasures.filter { $0.sequence > last }
            all += fresh
            number.store(all.count, ordering: .releasing)
            return !fresh.isEmpty
        }
    }

    /// Those from a place on.
    func erasures(from index: Int) -> ArraySlice<RecordedErasure> {
        all.withLock { $0[min(index, $0.count)...] }
    }
}

/// Which rows of a snapshot are nobody's any more, because their customers were erased since it was
/// scored.
struct ErasedRows: Sendable {
    /// A bit a row; empty as long as there is none.
    private(set) var marks: [UInt64] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    func contains(_ row: Int) -> Bool {
        count > 0 && marks[row >> 6] >> UInt64(row & 63) & 1 == 1
    }

    /// The bits of 64 rows from one on, 1 where a row is nobody's; rows past the last are 0.
    func bits(from row: Int) -> UInt64 {
        if count == 0 { return 0 }
        let (word, shift) = (row >> 6, UInt64(row & 63))
        let low = word < marks.count ? marks[word] >> shift : 0
        if shift == 0 { return low }
        return low | (word + 1 < marks.count ? marks[word + 1] << (64 - shift) : 0)
    }

    mutating func insert(_ row: Int, of rowCount: Int) {
        if marks.isEmpty { marks = [UInt64](repeating: 0, count: (rowCount + 63) / 64) }
        let bit: UInt64 = 1 << UInt64(row & 63)
        if marks[row >> 6] & bit == 0 {
            marks[row >> 6] |= bit
            count += 1
        }
    }
}
