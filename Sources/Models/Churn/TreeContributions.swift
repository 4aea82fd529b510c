import Numerical

extension ForestScorer {
    /// Shapley values of each row's score, as the trees' training rows weigh what is not known.
    ///
    /// O(trees · leaves · depth²) a row, 16 · depth² bytes a thread; same bytes for any thread count.
    /// Source: S. Lundberg, G. Erion and S.-I. Lee, "Consistent Individualized Feature Attribution for
    /// Tree Ensembles", 2018, algorithm 2.
    /// - Throws: `badColumn` where the table has not the model's columns; `outOfRange` where an imported
    ///   tree has more than 512 splits above a leaf.
    package func contributions(
        _ table: PredictorTable, threadCount: Int = 1
    ) throws(ModelError) -> Contributions {
        let columns = try table.matched(to: ensemble.schema).columns.map(\.values)
        let ensemble = ensemble
        let width = ensemble.schema.count
        let scale = ensemble.isAveraged ? 1 / Double(max(1, ensemble.trees.count)) : 1
        let depth = ensemble.trees.map(\.depth).max() ?? 0
        guard depth <= DecisionTree.depthLimit else {
            throw .outOfRange(
                what: "the depth of the deepest tree", actual: Double(depth),
                allowed: "at most \(DecisionTree.depthLimit) for contributions")
        }
        let values: [Double] = parallelArray(
            count: table.rowCount * width, chunkRows: 64 * width, threadCount: threadCount
        ) { places, output in
            var path = UnknownPath(depth: depth)
            for place in 0..<places.count / max(1, width) {
                let row = places.lowerBound / width + place
                var sums = [Double](repeating: 0, count: width)
                for tree in ensemble.trees where !tree.splits.isEmpty {
                    tree.addContributions(row: row, columns, &path, &sums)
                }
                for column in 0..<width { output[place * width + column] = sums[column] * scale }
            }
        }
        return Contributions(
            columns: ensemble.schema.map(\.name), base: ensemble.expectedScore, values: values)
    }
}

extension TreeEnsemble {
    /// The raw score of a row that nothing is known of: the mean over the training rows.
    var expectedScore: Double {
        let sum = trees.reduce(0) { $0 + $1.expectedValue }
        return (isAveraged ? sum / Double(max(1, trees.count)) : sum) + baseScore
    }
}

/// The columns on the way from the root to a node, and the chances of the subsets of them: levels of
/// one array, each a copy of the one above and one element longer.
private struct UnknownPath {
    struct Element {
        var column: Int
        /// Share of the paths that go this way where the column is not known.
        var zeroFraction: Double
        /// Where it is known: 1 or 0.
        var oneFraction: Double
        var weight: Double
    }

    var elements: [Element]

    init(depth: Int) {
        let levels = depth + 2
        elements = [Element](
            repeating: Element(column: -1, zeroFraction: 0, oneFraction: 0, weight: 0),
            count: levels * (levels + 1) / 2 + levels)
    }

    /// Copies a level's elements to the next one and adds one.
    mutating func extend(
        from parent: Int, _ count: Int, _ column: Int, zero: Double, one: Double
    ) -> Int {
        let start = parent + count
        for index in 0..<count { elements[start + index] = elements[parent + index] }
        elements[start + count] = Element(
            column: column, zeroFraction: zero, oneFraction: one, weight: count == 0 ? 1 : 0)
        let length = Double(count + 1)
        for index in stride(from: count - 1, through: 0, by: -1) {
            let weight = elements[start + index].weight
            elements[start + index + 1].weight += one * weight * Double(index + 1) / length
            elements[start + index].weight = zero * weight * Double(count - index) / length
        }
        return start
    }

    /// Takes an element out of a level of `count` elements.
    mutating func unwind(_ start: Int, _ count: Int, _ place: Int) {
        let depth = count - 1
        let (one, zero) = (
            elements[start + place].oneFraction, elements[start + place].zeroFraction
        )
        var next = elements[start + depth].weight
        let length = Double(count)
        for index in stride(from: depth - 1, through: 0, by: -1) {
            let weight = elements[start + index].weight
            if one != 0 {
                let value = next * length / (Double(index + 1) * one)
                elements[start + index].weight = value
                next = weight - value * zero * Double(depth - index) / length
            } else {
                elements[start + index].weight =
                    zero == 0 ? 0 : weight * length / (zero * Double(depth - index))
            }
        }
        for index in place..<depth {
            elements[start + index].column = elements[start + index + 1].column
            elements[start + index].zeroFraction = elements[start + index + 1].zeroFraction
            elements[start + index].oneFraction = elements[start + index + 1].oneFraction
        }
    }

    /// The sum of the weights that `unwind` would leave.
    func unwoundSum(_ start: Int, _ count: Int, _ place: Int) -> Double {
        let depth = count - 1
        let (one, zero) = (
            elements[start + place].oneFraction, elements[start + place].zeroFraction
        )
        var next = elements[start + depth].weight
        var total = 0.0
        let length = Double(count)
        for index in stride(from: depth - 1, through: 0, by: -1) {
            if one != 0 {
                let value = next * length / (Double(index + 1) * one)
                total += value
                next =
                    elements[start + index].weight
                    - value * zero * Double(depth - index) / length
            } else if zero != 0 {
                total += elements[start + index].weight / zero * length / Double(depth - index)
            }
        }
        return total
    }
}

extension DecisionTree {
    /// Most splits above a leaf.
    var depth: Int {
        var deepest = 0
        var depths = [Int](repeating: 1, count: splits.count)
        for (index, split) in splits.enumerated() {
            deepest = max(deepest, depths[index])
            for child in [split.left, split.right] where child >= 0 {
                depths[child] = depths[index] + 1
            }
        }
        return deepest
    }

    /// The mean of the leaf values over the training rows.
    var expectedValue: Double {
        let total = leafRowCounts.reduce(0, +)
        guard total > 0 else { return leafValues.reduce(0, +) / Double(max(1, leafCount)) }
        return zip(leafValues, leafRowCounts).reduce(0) { $0 + $1.0 * $1.1 / total }
    }

    private func rowCount(_ child: Int) -> Double {
        child >= 0 ? splits[child].rowCount : leafRowCounts[-1 - child]
    }

    fileprivate func addContributions(
        row: Int, _ columns: [PredictorTable.Values], _ path: inout UnknownPath,
        _ sums: inout [Double]
    ) {
        visit(0, row, columns, &path, parent: 0, count: 0, -1, zero: 1, one: 1, &sums)
    }

    private func visit(
        _ node: Int, _ row: Int, _ columns: [PredictorTable.Values], _ path: inout UnknownPath,
        parent: Int, count parentCount: Int, _ column: Int, zero: Double, one: Double,
        _ sums: inout [Double]
    ) {
        let start = path.extend(from: parent, parentCount, column, zero: zero, one: one)
        var count = parentCount + 1
        if node < 0 {
            let value = leafValues[-1 - node]
            for place in 1..<max(1, count) {
                let element = path.elements[start + place]
                sums[element.column] +=
                    path.unwoundSum(start, count, place)
                    * (element.oneFraction - element.zeroFraction) * value
            }
            return
        }
        let split = splits[node]
        let goesLeft = split.goesLeft(row: row, columns[split.column])
        let (hot, cold) = goesLeft ? (split.left, split.right) : (split.right, split.left)
        let total = rowCount(node)
        var (zeroAbove, oneAbove) = (1.0, 1.0)
        // A column that was split on before is counted once, with both splits.
        for place in 1..<max(1, count) where path.elements[start + place].column == split.column {
            zeroAbove = path.elements[start + place].zeroFraction
            oneAbove = path.elements[start + place].oneFraction
            path.unwind(start, count, place)
            count -= 1
            break
        }
        let hotShare = total > 0 ? rowCount(hot) / total : 0.5
        let coldShare = total > 0 ? rowCount(cold) / total : 0.5
        visit(
            hot, row, columns, &path, parent: start, count: count, split.column,
            zero: hotShare * zeroAbove, one: oneAbove, &sums)
        visit(
            cold, row, columns, &path, parent: start, count: count, split.column,
            zero: coldShare * zeroAbove, one: 0, &sums)
    }
}
