import ColumnStore
import Synchronization

/// Which orders the segments of a workspace may have. To know it, all order ids are read, which takes
/// seconds for a large workspace; until then, of the segments not read yet, the answer is that they may
/// have any: whoever asks then looks, and finds the same in more time.
final class OrderFilters: Sendable {
    /// With order ids; of each, the filter is under its path.
    private let segments: [PurchaseSegment]
    private let filters: Mutex<[String: KnownOrders]>

    /// Without those that are read later: `complete`.
    /// - Parameter earlier: of the same workspace, whose segments need not be read again.
    init(_ segments: [PurchaseSegment], goingOnFrom earlier: OrderFilters?) {
        self.segments = segments.filter { $0.columns.contains(.orders) }
        let paths = Set(self.segments.map(\.reader.path))
        let known = earlier?.filters.withLock { $0 } ?? [:]
        filters = Mutex(known.filter { paths.contains($0.key) })
    }

    /// A look at what is known now; for many questions at once.
    struct Look {
        fileprivate let filters: [KnownOrders]
        fileprivate let isComplete: Bool

        /// Says no where no segment has the order, and now and then yes where none has it either.
        func mayHave(_ key: UInt64) -> Bool {
            !isComplete || filters.contains { $0.mayHave(key) }
        }
    }

    var look: Look {
        let filters = filters.withLock { $0 }
        return Look(filters: Array(filters.values), isComplete: filters.count == segments.count)
    }

    /// Reads the order ids of the segments that are not known yet.
    func complete() throws(EngineError) {
        for segment in segments {
            let path = segment.reader.path
            if filters.withLock({ $0[path] != nil }) { continue }
            let filter = try KnownOrders(segment)
            filters.withLock { $0[path] = filter }
        }
    }
}
