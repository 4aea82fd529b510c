import Numerical

/// What the chunks of a pass of many queries over prepared items share.
struct TopPass: Sendable {
    let items: TopItems
    /// `[blockCount]`: places that may be answers of every query.
    let allowed: [UInt64]
    let excluding: SparseMatrix?
    let width: Int

    /// The memory of a thread.
    struct Scratch: Sendable {
        var candidates: TopCandidates
        /// `[queryCapacity × blockCount]` where queries differ in what they may get.
        var allowed: [UInt64]

        init(_ pass: TopPass, queryCapacity: Int, factorCount: Int) {
            candidates = TopCandidates(
                queryCapacity: queryCapacity, featureCount: factorCount, limit: pass.width)
            let wordCount = pass.excluding == nil ? 0 : queryCapacity * pass.items.blockCount
            allowed = [UInt64](repeating: 0, count: wordCount)
        }
    }

    /// Fills a chunk's `[rows × width]` entries, which hold none before.
    func answer(
        _ rows: Range<Int>, _ queries: Span<Float>, lengths: Span<Float>, _ scratch: inout Scratch,
        into slice: inout MutableSpan<TopN.Entry>, _ kernels: KernelTable
    ) {
        let blockCount = items.blockCount
        if let excluding { exclude(excluding, rows, &scratch.allowed) }
        let stride = excluding == nil ? 0 : blockCount
        scratch.candidates.begin(queries, lengths: lengths)
        scratch.candidates.collect(
            items.matrix, blockCount: blockCount, ids: items.ids, reaches: items.reaches,
            allowed: excluding == nil ? allowed : scratch.allowed, allowedStride: stride,
            takesTies: items.isByLength, kernels: kernels)
        scratch.candidates.finish()
        for q in 0..<rows.count {
            if lengths[q] == 0 {
                var next = 0
                for place in q * width..<(q + 1) * width {
                    guard
                        let item = items.nextAllowed(
                            from: next, excluding == nil ? allowed : scratch.allowed,
                            firstWord: q * stride)
                    else { break }
                    slice[place] = TopN.Entry(item: Int32(item), score: 0)
                    next = item + 1
                }
                continue
            }
            for place in 0..<scratch.candidates.count(of: q) {
                let entry = scratch.candidates.entry(q, place)
                slice[q * width + place] = TopN.Entry(item: entry.id, score: entry.score)
            }
        }
    }

    private func exclude(_ excluding: SparseMatrix, _ rows: Range<Int>, _ words: inout [UInt64]) {
        let (blockCount, columns) = (items.blockCount, excluding.columnIndices.span)
        for q in 0..<rows.count {
            let firstWord = q * blockCount
            for block in 0..<blockCount { words[firstWord + block] = allowed[block] }
            for i in excluding.entries(of: rows.lowerBound + q) {
                items.forbid(columns[i], &words, firstWord: firstWord)
            }
        }
    }
}

extension TopItems {
    /// Takes an item out of the places that may be answers.
    func forbid(_ item: Int32, _ words: inout [UInt64], firstWord: Int) {
        let place = Int(places[Int(item)])
        if place < 0 { return }
        words[firstWord + (place >> 6)] &= ~(1 << UInt64(place & 63))
    }

    /// The first item, from one on, that may be an answer. A query of length 0 gets the first ones:
    /// every item scores 0.
    func nextAllowed(from start: Int, _ allowed: [UInt64], firstWord: Int) -> Int? {
        var item = start
        while item < places.count {
            let place = Int(places[item])
            if place >= 0, allowed[firstWord + (place >> 6)] >> UInt64(place & 63) & 1 != 0 {
                return item
            }
            item += 1
        }
        return nil
    }
}

/// Lengths of rows of factors, and what must hold of them before a pass.
enum Lengths {
    /// Of each row, rounded up; 0 for a row of zeros alone.
    /// - Throws: `nonFiniteValue` for the first NaN or infinity.
    static func of(
        _ factors: Span<Float>, factorCount: Int, what: String, threadCount: Int,
        kernels: KernelTable
    ) throws(ModelError) -> [Float] {
        let rowCount = factors.count / factorCount
        var lengths = [Float](repeating: 0, count: rowCount)
        parallelFill(&lengths, chunkRows: 4096, threadCount: threadCount) { rows, slice in
            for row in rows {
                let values = factors.extracting(row * factorCount..<(row + 1) * factorCount)
                slice[row - rows.lowerBound] = length(values, kernels)
            }
        }
        for row in lengths.indices where !lengths[row].isFinite {
            for j in 0..<factorCount where !factors[row * factorCount + j].isFinite {
                throw .nonFiniteValue(what: what, row: row, column: j)
            }
            throw .outOfRange(
                what: "the length of row \(row) of \(what)", actual: .infinity,
                allowed: "at most 3e38")
        }
        return lengths
    }

    /// Rounded up; not finite where a value is not.
    static func length(_ values: Span<Float>, _ kernels: KernelTable) -> Float {
        let quick = kernels.dot(values, values)
        // Relative error below n units in the last place, doubled by nothing: the root halves it.
        if quick > 0x1p-80 && quick < 0x1p120 {
            return quick.squareRoot() * (1 + Float(values.count + 4) * 0x1p-23)
        }
        var sum = 0.0
        for i in values.indices { sum += Double(values[i]) * Double(values[i]) }
        return sum == 0 ? 0 : Float(sum.squareRoot()).nextUp
    }

    /// Whether no sum of products of vectors of these lengths leaves single precision.
    static func areSafe(_ length: Float, _ longest: Float) -> Bool {
        Double(length) * Double(longest) < 1e38
    }

    /// No sum of products of one query and one item may leave single precision.
    static func checkProducts(_ lengths: [Float], with longest: Float) throws(ModelError) {
        for row in lengths.indices {
            guard areSafe(lengths[row], longest) else {
                throw .outOfRange(
                    what: "the largest possible score of row \(row) of customer factors",
                    actual: Double(lengths[row]) * Double(longest),
                    allowed: "below 1e38; scale the factors down")
            }
        }
    }
}
