import Numerical

extension ExactSweep {
    /// What a thread works in during a half-sweep.
    struct Scratch: Sendable {
        private let width: Int
        /// One row's normal equations; the right side becomes the solution.
        var matrix: AlignedFloats
        var rightSide: AlignedFloats
        var panel = AlignedFloats(count: 0)
        /// Memory of the kernel of rows with few entries, and a batch's factors.
        var few: FewEntriesBatch
        /// A chunk's rows with few entries, by entry count.
        private(set) var order: [Int] = []
        private var positions: [Int]
        /// The first row that could not be solved.
        var failedRow = Int.max

        init(width: Int, fewEntries: Int, kernels: KernelTable) {
            self.width = width
            matrix = AlignedFloats(count: width * width)
            rightSide = AlignedFloats(count: width)
            few = FewEntriesBatch(width: width, kernels: kernels)
            positions = [Int](repeating: 0, count: fewEntries + 2)
        }

        /// Rows with 1 ... `limit` entries in `order`, by counting: those with fewest first, and
        /// ascending where they have equally many.
        mutating func sort(_ rows: Range<Int>, _ offsets: Span<Int>, _ limit: Int) {
            for n in positions.indices { positions[n] = 0 }
            for row in rows {
                let n = offsets[row + 1] - offsets[row]
                if n > 0 && n <= limit { positions[n + 1] += 1 }
            }
            for n in 1..<positions.count { positions[n] += positions[n - 1] }
            let count = positions[limit + 1]
            if order.count > count { order.removeLast(order.count - count) }
            while order.count < count { order.append(0) }
            for row in rows {
                let n = offsets[row + 1] - offsets[row]
                if n > 0 && n <= limit {
                    order[positions[n]] = row
                    positions[n] += 1
                }
            }
        }

        mutating func start(_ gram: AlignedFloats, diagonal: Float, _ factorCount: Int) {
            let (source, width) = (gram.span, width)
            var target = matrix.mutableSpan
            for i in source.indices { target[i] = source[i] }
            if diagonal != 0 {
                for j in 0..<factorCount { target[j * width + j] += diagonal }
            }
            var side = rightSide.mutableSpan
            for j in side.indices { side[j] = 0 }
        }

        mutating func clear() {
            var target = matrix.mutableSpan
            for i in target.indices { target[i] = 0 }
            var side = rightSide.mutableSpan
            for j in side.indices { side[j] = 0 }
        }

        /// Matrix and right side, one after the other.
        func copySums(to slice: inout MutableSpan<Float>) {
            let (matrix, side) = (matrix.span, rightSide.span)
            for i in matrix.indices { slice[i] = matrix[i] }
            for j in side.indices { slice[matrix.count + j] = side[j] }
        }

        mutating func addSums(_ sums: AlignedFloats, at first: Int) {
            let source = sums.span
            let count = width * width
            var target = matrix.mutableSpan
            for i in 0..<count { target[i] += source[first + i] }
            var side = rightSide.mutableSpan
            for j in side.indices { side[j] += source[first + count + j] }
        }

        /// Puts the largest diagonal entry of the first `count` rows on the diagonal of the padding,
        /// which then passes for a pivot whatever the magnitude of the factors.
        /// - Returns: that entry.
        mutating func fillPadding(after count: Int) -> Float {
            let width = width
            var matrix = matrix.mutableSpan
            var largest: Float = 0
            for j in 0..<count { largest = max(largest, matrix[j * width + j]) }
            for j in count..<width { matrix[j * width + j] = largest }
            return largest
        }

        mutating func solve(smallestPivot: Float, _ kernels: KernelTable) -> Bool {
            kernels.solvePositiveDefinite(&matrix, &rightSide, smallestPivot: smallestPivot)
        }
    }
}
