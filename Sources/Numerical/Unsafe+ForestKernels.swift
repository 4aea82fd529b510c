// Why unsafe: the stream of a forest's words is followed without a check; `ForestStream` makes it and
// is the only one that can.

import Kernels

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// The kernel that scores forests, of one instruction-set level.
struct ForestKernels: Sendable {
    typealias Score =
        @Sendable (
            UnsafePointer<Float>, UnsafePointer<UInt32>, UnsafePointer<Double>, Int,
            UnsafeMutablePointer<Double>, UnsafeMutablePointer<UInt32>
        ) -> Void

    let score: Score

    init(_ level: ISALevel) {
        switch level {
        case .scalar: score = scalarScoreForestTile
        case .baseline: score = Kernels.scoreForestTile
        #if arch(x86_64)
        case .avx2: score = KernelsAVX2.scoreForestTile
        case .avx512: score = KernelsAVX512.scoreForestTile
        #else
        case .avx2, .avx512: preconditionFailure("x86-64 only")
        #endif
        }
    }
}

extension KernelTable {
    /// Adds the leaf values of all trees to the sums of a tile's 64 rows, tree after tree.
    /// - Parameters:
    ///   - tile: `[slots × 64]`.
    ///   - sums: `[64]`.
    package func score(
        _ tile: Span<Float>, _ forest: ForestStream, into sums: inout MutableSpan<Double>
    ) {
        precondition(tile.count >= 64 * forest.slotCount && sums.count == 64)
        tile.withUnsafeBufferPointer { tile in
            forest.words.withUnsafeBufferPointer { words in
                forest.leaves.withUnsafeBufferPointer { leaves in
                    sums.withUnsafeMutableBufferPointer { sums in
                        withUnsafeTemporaryAllocation(
                            of: UInt32.self, capacity: Kernels.forestScratchCount
                        ) {
                            forestKernels.score(
                                address(tile), address(words), address(leaves), forest.treeCount,
                                address(sums), address($0))
                        }
                    }
                }
            }
        }
    }
}

/// Trees in the order in which the kernels read them.
package struct ForestStream: Sendable {
    /// One split of a tree to be added.
    package struct Split: Sendable {
        /// Of the tile.
        package var slot: Int
        package var rule: Rule
        /// At least 0: a split; below 0: leaf -1 - child.
        package var left: Int
        package var right: Int

        package init(slot: Int, rule: Rule, left: Int, right: Int) {
            self.slot = slot
            self.rule = rule
            self.left = left
            self.right = right
        }
    }

    package enum Rule: Sendable {
        /// Left where the number is at most the threshold.
        case atMost(Float, missingGoesLeft: Bool)
        /// Left where the code's bit is set: bit c % 32 of word c / 32.
        case among([UInt32])
    }

    fileprivate var words: [UInt32] = []
    fileprivate var leaves: [Double] = []
    package private(set) var treeCount = 0
    package private(set) var slotCount = 0

    package init() {}

    /// Adds a tree; the order of its splits and leaves is free, split 0 is the root.
    /// - Precondition: every split but the root and every leaf is the child of exactly one split,
    ///   which has a lower index where it is the parent of a split; there is one leaf more than
    ///   splits.
    package mutating func append(_ splits: [Split], leaves values: [Double]) {
        precondition(values.count == splits.count + 1)
        var seen = [Bool](repeating: false, count: splits.count + values.count)
        for (index, split) in splits.enumerated() {
            precondition(split.slot >= 0)
            slotCount = max(slotCount, split.slot + 1)
            for child in [split.left, split.right] {
                precondition(child < splits.count && -1 - child < values.count)
                precondition(child < 0 || child > index)
                let place = child >= 0 ? child : splits.count - 1 - child
                precondition(!seen[place])
                seen[place] = true
            }
        }
        treeCount += 1
        if values.count > 64 {
            appendWalk(splits, values)
        } else {
            appendMasks(splits, values)
        }
    }

    /// Leaves below each split, numbered from left to right: the first and the one behind the last of
    /// the left branch; and the leaf values in that order.
    private static func numbered(
        _ splits: [Split], _ values: [Double]
    ) -> (left: [Range<Int>], values: [Double]) {
        var ranges = [Range<Int>](repeating: 0..<0, count: splits.count)
        var starts = [Int](repeating: 0, count: splits.count)
        var ordered: [Double] = []
        // Depth first; a split comes twice: before its left and before its right branch.
        var open: [(child: Int, isSecond: Bool)] = [(splits.isEmpty ? -1 : 0, false)]
        while let (child, isSecond) = open.popLast() {
            if child < 0 {
                ordered.append(values[-1 - child])
            } else if isSecond {
                ranges[child] = starts[child]..<ordered.count
            } else {
                starts[child] = ordered.count
                open.append((splits[child].right, false))
                open.append((child, true))
                open.append((splits[child].left, false))
            }
        }
        return (ranges, ordered)
    }

    private mutating func appendMasks(_ splits: [Split], _ values: [Double]) {
        let (left, ordered) = Self.numbered(splits, values)
        var streams: ([UInt32], [UInt32], [UInt32]) = ([], [], [])
        var counts: [UInt32] = [0, 0, 0]
        // By slot: neighbouring splits then read the same line.
        for index in splits.indices.sorted(by: { (splits[$0].slot, $0) < (splits[$1].slot, $1) }) {
            let range = left[index]
            let below = range.upperBound == 64 ? UInt64.max : 1 << UInt64(range.upperBound) - 1
            let struck = below & ~(1 << UInt64(range.lowerBound) - 1)
            let keep = ~struck
            let halves = [UInt32(truncatingIfNeeded: keep), UInt32(truncatingIfNeeded: keep >> 32)]
            let slot = UInt32(64 * splits[index].slot)
            switch splits[index].rule {
            case .atMost(let threshold, missingGoesLeft: true):
                counts[0] += 1
                streams.0 += [slot, threshold.bitPattern] + halves
            case .atMost(let threshold, missingGoesLeft: false):
                counts[1] += 1
                streams.1 += [slot, threshold.bitPattern] + halves
            case .among(let set):
                counts[2] += 1
                streams.2 += [slot, UInt32(set.count)] + halves + set
            }
        }
        words += [values.count <= 32 ? 0 : 1, UInt32(values.count)] + counts + [0, 0, 0]
        words += streams.0 + streams.1 + streams.2
        leaves += ordered
    }

    private mutating func appendWalk(_ splits: [Split], _ values: [Double]) {
        var nodes: [UInt32] = []
        var sets: [UInt32] = []
        for split in splits {
            let (operand, rule): (UInt32, UInt32)
            switch split.rule {
            case .atMost(let threshold, let missingGoesLeft):
                (operand, rule) = (threshold.bitPattern, missingGoesLeft ? 0 : 1)
            case .among(let set):
                precondition(set.count < 256 && sets.count < 1 << 24)
                (operand, rule) = (UInt32(sets.count) | UInt32(set.count) << 24, 2)
                sets += set
            }
            nodes += [
                UInt32(64 * split.slot), operand, UInt32(bitPattern: Int32(split.left)),
                UInt32(bitPattern: Int32(split.right)), rule,
            ]
        }
        words += [2, UInt32(values.count), UInt32(splits.count), 0, UInt32(sets.count), 0, 0, 0]
        words += nodes + sets
        leaves += values
    }
}

/// Copies values into a part of others.
package func copyValues(_ source: Span<Float>, to target: inout MutableSpan<Float>, at place: Int) {
    precondition(place >= 0 && source.count <= target.count - place)
    source.withUnsafeBufferPointer { source in
        target.withUnsafeMutableBufferPointer { target in
            (address(target) + place).update(from: address(source), count: source.count)
        }
    }
}
