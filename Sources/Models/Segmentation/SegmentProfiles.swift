import Numerical

/// What the customers of each segment are like beside everybody: means, shares and how far they
/// stand out, for any columns, whether the segmentation was fitted on them or not.
package struct SegmentProfiles: Sendable, Equatable, Codable {
    /// A column of numbers in one segment.
    package struct Number: Sendable, Equatable, Codable {
        /// Of the values that are there; nil where there is none.
        package let mean: Double?
        /// 100 × mean / everybody's mean; nil where that is not above 0, or there is no mean.
        package let index: Double?
        /// (mean - everybody's mean) / everybody's standard deviation; 0 where the column does not
        /// vary, or there is no mean.
        package let difference: Double
        /// 0 for an empty segment.
        package let missingShare: Double
    }

    package struct NumberColumn: Sendable, Equatable, Codable {
        package let name: String
        /// nil where no value is there.
        package let mean: Double?
        package let standardDeviation: Double
        package let missingShare: Double
        /// `[segmentCount]`.
        package let segments: [Number]
    }

    /// A category in one segment.
    package struct Share: Sendable, Equatable, Codable {
        package let category: String
        /// Of the segment's customers whose category is known; 0 where there are none.
        package let share: Double
        /// Of everybody whose category is known.
        package let overallShare: Double
        /// 100 × share / overallShare.
        package let index: Double
        /// (share - overallShare) / √(overallShare · (1 - overallShare)): as for numbers, of a column
        /// that is 1 for the category and 0 for others. 0 where all have the category, or the
        /// segment has no known one.
        package let difference: Double
    }

    package struct CategoryColumnProfile: Sendable, Equatable, Codable {
        package let name: String
        package let missingShare: Double
        /// `[segmentCount]`.
        package let missingShares: [Double]
        /// `[segmentCount]`: the categories that stand out most, by the size of their difference;
        /// ties to the lowest code.
        package let segments: [[Share]]
    }

    /// One thing that sets a segment apart: what its name can be made of.
    package struct Distinction: Sendable, Equatable, Codable {
        package let column: String
        /// nil for numbers.
        package let category: String?
        /// In standard deviations; above 0: more than everybody.
        package let difference: Double
    }

    /// `[segmentCount]`: customers.
    package let sizes: [Int]
    package let numbers: [NumberColumn]
    package let categories: [CategoryColumnProfile]

    package var segmentCount: Int { sizes.count }

    /// Measures columns against an assignment, each in one pass, several at a time.
    package init(
        assignments: [Int32], segmentCount: Int, names: [String], columns: [[Float]],
        valid: [[Bool]?] = [], categories: [CategoryColumn] = [], mostCategories: Int = 8,
        threadCount: Int
    ) throws(ModelError) {
        guard names.count == columns.count else {
            throw .countMismatch(
                what: "feature names", actual: names.count, expected: columns.count)
        }
        guard valid.isEmpty || valid.count == columns.count else {
            throw .countMismatch(
                what: "validity columns", actual: valid.count, expected: columns.count)
        }
        try self.init(
            assignments: assignments, segmentCount: segmentCount, names: names,
            categories: categories, mostCategories: mostCategories, threadCount: threadCount
        ) { (columns[$0], valid.isEmpty ? nil : valid[$0]) }
    }

    /// The same of columns that are made when they are wanted, one a thread at a time.
    /// - Parameters:
    ///   - assignments: `[rowCount]`: segments; below 0: in none, which counts nowhere.
    ///   - column: the `[rowCount]` values of a name's place, and a flag a value; nil where all are
    ///     valid.
    ///   - mostCategories: kept of each category column and segment.
    /// - Throws: `countMismatch`; `outOfRange`; `nonFiniteValue` for a valid value; `badColumn` for a
    ///   code without a name.
    /// - Complexity: O(rows × columns), and O(categories × segments) for those that occur; besides
    ///   the columns 4 bytes a row and thread. The same for any thread count.
    package init(
        assignments: [Int32], segmentCount: Int, names: [String],
        categories: [CategoryColumn] = [], mostCategories: Int = 8, threadCount: Int,
        column: @Sendable (Int) -> (values: [Float], valid: [Bool]?)
    ) throws(ModelError) {
        precondition(segmentCount >= 1 && mostCategories >= 0 && threadCount >= 1)
        var sizes = [Int](repeating: 0, count: segmentCount)
        for (row, segment) in assignments.enumerated() where segment >= 0 {
            guard segment < segmentCount else {
                throw .outOfRange(
                    what: "the segment of row \(row)", actual: Double(segment),
                    allowed: "below \(segmentCount), or -1 for none")
            }
            sizes[Int(segment)] += 1
        }
        self.sizes = sizes
        let groups = ProfileGroups(assignments: assignments, sizes: sizes)
        let numberResults = parallelMap(
            count: names.count, chunkSize: 1, threadCount: threadCount
        ) { feature, _ -> Result<NumberColumn, ModelError> in
            let (values, valid) = column(feature)
            do throws(ModelError) {
                return .success(try groups.profile(feature, names[feature], values, valid))
            } catch {
                return .failure(error)
            }
        }
        let categoryResults = parallelMap(
            count: categories.count, chunkSize: 1, threadCount: threadCount
        ) { index, _ -> Result<CategoryColumnProfile, ModelError> in
            do throws(ModelError) {
                return .success(try groups.profile(categories[index], most: mostCategories))
            } catch {
                return .failure(error)
            }
        }
        var numbers: [NumberColumn] = []
        for result in numberResults { numbers.append(try result.get()) }
        var profiles: [CategoryColumnProfile] = []
        for result in categoryResults { profiles.append(try result.get()) }
        self.numbers = numbers
        self.categories = profiles
    }

    /// What sets a segment apart, most first: numbers and categories by the size of their
    /// difference; ties in the order of the columns, numbers first, then of the codes.
    /// - Parameters:
    ///   - most: how many at most.
    ///   - least: differences smaller than this are left out.
    package func distinctions(of segment: Int, most: Int, least: Double = 0.2) -> [Distinction] {
        var found: [Distinction] = numbers.map {
            Distinction(
                column: $0.name, category: nil, difference: $0.segments[segment].difference)
        }
        for column in categories {
            found += column.segments[segment].map {
                Distinction(
                    column: column.name, category: $0.category, difference: $0.difference)
            }
        }
        let kept = found.enumerated().filter {
            $0.element.difference != 0 && abs($0.element.difference) >= least
        }.sorted {
            let (a, b) = (abs($0.element.difference), abs($1.element.difference))
            return a != b ? a > b : $0.offset < $1.offset
        }
        return kept.prefix(most).map(\.element)
    }
}

/// The assignment that all columns are measured against.
private struct ProfileGroups: Sendable {
    let assignments: [Int32]
    let sizes: [Int]

    private struct Sums {
        var count = 0
        var sum = 0.0
        var squares = 0.0
    }

    func profile(
        _ feature: Int, _ name: String, _ column: [Float], _ valid: [Bool]?
    ) throws(ModelError) -> SegmentProfiles.NumberColumn {
        guard column.count == assignments.count, valid?.count ?? column.count == column.count
        else {
            throw .countMismatch(
                what: "rows of column \"\(name)\"", actual: min(valid?.count ?? .max, column.count),
                expected: assignments.count)
        }
        var sums = [Sums](repeating: Sums(), count: sizes.count)
        // About the first value, so that no digits are lost far from 0 and a constant has no
        // deviation.
        var origin: Double?
        let (values, segments) = (column.span, assignments.span)
        for row in values.indices where segments[row] >= 0 && valid?[row] ?? true {
            guard values[row].isFinite else {
                throw .nonFiniteValue(what: "column \"\(name)\"", row: row, column: feature)
            }
            let value = Double(values[row])
            let centre = origin ?? value
            origin = centre
            let segment = Int(segments[row])
            sums[segment].count += 1
            sums[segment].sum += value - centre
            sums[segment].squares += (value - centre) * (value - centre)
        }
        var all = Sums()
        for part in sums {
            all.count += part.count
            all.sum += part.sum
            all.squares += part.squares
        }
        let total = sizes.reduce(0, +)
        guard let origin else {
            return SegmentProfiles.NumberColumn(
                name: name, mean: nil, standardDeviation: 0, missingShare: total > 0 ? 1 : 0,
                segments: sizes.map {
                    SegmentProfiles.Number(
                        mean: nil, index: nil, difference: 0, missingShare: $0 > 0 ? 1 : 0)
                })
        }
        let offset = all.sum / Double(all.count)
        let deviation = max(0, all.squares / Double(all.count) - offset * offset).squareRoot()
        let mean = origin + offset
        return SegmentProfiles.NumberColumn(
            name: name, mean: mean, standardDeviation: deviation,
            missingShare: 1 - Double(all.count) / Double(total),
            segments: zip(sums, sizes).map { part, size in
                let missing = size > 0 ? 1 - Double(part.count) / Double(size) : 0
                guard part.count > 0 else {
                    return SegmentProfiles.Number(
                        mean: nil, index: nil, difference: 0, missingShare: missing)
                }
                let own = part.sum / Double(part.count)
                return SegmentProfiles.Number(
                    mean: origin + own, index: mean > 0 ? 100 * (origin + own) / mean : nil,
                    difference: deviation > 0 ? (own - offset) / deviation : 0,
                    missingShare: missing)
            })
    }

    func profile(
        _ column: CategoryColumn, most: Int
    ) throws(ModelError) -> SegmentProfiles.CategoryColumnProfile {
        guard column.codes.count == assignments.count else {
            throw .countMismatch(
                what: "rows of column \"\(column.name)\"", actual: column.codes.count,
                expected: assignments.count)
        }
        let codeCount = Int32(clamping: column.categories.count)
        let segments = assignments.span
        // Rows in no segment are as if they were missing.
        var codes = column.codes
        var known = [Int](repeating: 0, count: sizes.count)
        var target = codes.mutableSpan
        for row in target.indices {
            guard target[row] < codeCount else {
                throw .badColumn(
                    name: column.name,
                    reason: """
                        row \(row) has the code \(target[row]), but there are \(codeCount) \
                        categories; use -1 for a missing one
                        """)
            }
            if segments[row] < 0 { target[row] = -1 }
            if target[row] >= 0 { known[Int(segments[row])] += 1 }
        }
        let order = CodeOrder(codes, codeCount: Int(codeCount))
        let knownCount = known.reduce(0, +)
        var best = [[SegmentProfiles.Share]](repeating: [], count: sizes.count)
        var counts = [Int](repeating: 0, count: sizes.count)
        for i in order.codes.indices {
            for place in Int(order.starts[i])..<Int(order.starts[i + 1]) {
                counts[Int(segments[Int(order.rows[place])])] += 1
            }
            let overall = Double(order.starts[i + 1] - order.starts[i]) / Double(knownCount)
            let deviation = (overall * (1 - overall)).squareRoot()
            for segment in sizes.indices {
                let share =
                    known[segment] > 0 ? Double(counts[segment]) / Double(known[segment]) : 0
                counts[segment] = 0
                let difference =
                    known[segment] > 0 && deviation > 0 ? (share - overall) / deviation : 0
                // Codes ascend, so an equal difference comes later.
                var place = best[segment].count
                while place > 0 && abs(best[segment][place - 1].difference) < abs(difference) {
                    place -= 1
                }
                if place >= most { continue }
                best[segment].insert(
                    SegmentProfiles.Share(
                        category: column.categories[Int(order.codes[i])], share: share,
                        overallShare: overall, index: 100 * share / overall,
                        difference: difference), at: place)
                if best[segment].count > most { best[segment].removeLast() }
            }
        }
        let total = sizes.reduce(0, +)
        return SegmentProfiles.CategoryColumnProfile(
            name: column.name,
            missingShare: total > 0 ? 1 - Double(knownCount) / Double(total) : 0,
            missingShares: zip(known, sizes).map { $1 > 0 ? 1 - Double($0) / Double($1) : 0 },
            segments: best)
    }
}
