/// The `capacity` best of any number of offers, in O(log capacity) an accepted offer and one
/// comparison a refused one. Ties go to the lower row, so the result does not depend on the order
/// of the offers.
package struct TopList: Sendable {
    package struct Entry: Sendable, Equatable {
        package var row: Int
        package var score: Float

        package init(row: Int, score: Float) {
            self.row = row
            self.score = score
        }
    }

    private let capacity: Int
    /// A binary heap with the worst kept entry on top.
    private var heap: [Entry] = []

    package init(capacity: Int) {
        precondition(capacity >= 0)
        self.capacity = capacity
        heap.reserveCapacity(min(capacity, 1024))
    }

    package mutating func offer(row: Int, score: Float) {
        let entry = Entry(row: row, score: score)
        if heap.count < capacity {
            heap.append(entry)
            siftUp(heap.count - 1)
        } else if wouldKeep(row: row, score: score) {
            heap[0] = entry
            siftDown(0)
        }
    }

    /// Whether `offer` would take it.
    package func wouldKeep(row: Int, score: Float) -> Bool {
        guard heap.count == capacity else { return true }
        return capacity > 0 && Self.isWorse(heap[0], than: Entry(row: row, score: score))
    }

    /// Everything kept, best first.
    package var sorted: [Entry] { heap.sorted { Self.isWorse($1, than: $0) } }

    private static func isWorse(_ a: Entry, than b: Entry) -> Bool {
        a.score < b.score || (a.score == b.score && a.row > b.row)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.isWorse(heap[child], than: heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var worst = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if Self.isWorse(heap[child], than: heap[worst]) { worst = child }
            }
            if worst == parent { return }
            heap.swapAt(parent, worst)
            parent = worst
        }
    }
}
