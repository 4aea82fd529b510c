import ByteCoding
internal import CPlatform

// Look-ups of many ids as a pipeline. A look-up of one id is a chain of two or three cache misses,
// each of which tells where the next one is. Here each id is a few steps behind the one before it,
// every step asks for the cache line that the next step of the same id will need, and so the misses
// of some forty ids overlap.

/// How many ids lie between two steps.
private let lag = 16
/// Places for the ids under way, a power of two above all steps together.
private let ringCount = 64

extension IDIndex {
    /// Finds integer ids; a row is `absent` where there is none.
    static func probe(
        _ ids: Span<Int64>, _ rows: inout MutableSpan<UInt32>, _ slots: Span<UInt64>,
        _ values: Span<Int64>, _ mask: UInt64
    ) {
        guard !slots.isEmpty else { return }
        slots.withUnsafeBufferPointer { slots in
            values.withUnsafeBufferPointer { values in
                var hashes = InlineArray<64, UInt64>(repeating: 0)
                var firstRows = InlineArray<64, UInt32>(repeating: 0)
                for step in 0..<ids.count + 2 * lag {
                    if step < ids.count {
                        let hash = StableHash.hash(ids[step])
                        hashes[step & (ringCount - 1)] = hash
                        prefetch(slots, Int(hash & mask))
                    }
                    let second = step - lag
                    if second >= 0 && second < ids.count {
                        let hash = hashes[second & (ringCount - 1)]
                        let row = UInt32(truncatingIfNeeded: slots[Int(hash & mask)])
                        firstRows[second & (ringCount - 1)] = row
                        prefetch(values, Int(row))
                    }
                    let third = step - 2 * lag
                    if third >= 0 {
                        let row = firstRows[third & (ringCount - 1)]
                        // Most ids sit in their first slot; the id itself decides, without the tag.
                        if Int(row) < values.count, values[Int(row)] == ids[third] {
                            rows[third] = row
                        } else {
                            rows[third] = probe(
                                ids[third], hashes[third & (ringCount - 1)], slots.span,
                                values.span, mask)
                        }
                    }
                }
            }
        }
    }

    /// Finds text ids; a row is `absent` where there is none.
    static func probe(
        _ ids: TextArray, _ slots: Span<UInt64>, _ offsets: Span<UInt64>, _ bytes: Span<UInt8>,
        _ mask: UInt64
    ) -> [UInt32] {
        let wanted = ids.bytes.span.bytes
        var rows = [UInt32](repeating: absent, count: ids.count)
        guard !slots.isEmpty else { return rows }
        slots.withUnsafeBufferPointer { slots in
            offsets.withUnsafeBufferPointer { offsets in
                bytes.withUnsafeBufferPointer { bytes in
                    var hashes = InlineArray<64, UInt64>(repeating: 0)
                    var firstRows = InlineArray<64, UInt32>(repeating: 0)
                    for step in 0..<ids.count + 3 * lag {
                        if step < ids.count {
                            let hash = StableHash.hash(
                                wanted.extracting(ids.offsets[step]..<ids.offsets[step + 1]))
                            hashes[step & (ringCount - 1)] = hash
                            prefetch(slots, Int(hash & mask))
                        }
                        let second = step - lag
                        if second >= 0 && second < ids.count {
                            let hash = hashes[second & (ringCount - 1)]
                            let row = UInt32(truncatingIfNeeded: slots[Int(hash & mask)])
                            firstRows[second & (ringCount - 1)] = row
                            prefetch(offsets, Int(row))
                        }
                        let third = step - 2 * lag
                        if third >= 0 && third < ids.count {
                            let row = Int(firstRows[third & (ringCount - 1)])
                            if row + 1 < offsets.count {
                                prefetch(bytes, Int(clamping: offsets[row]))
                            }
                        }
                        let fourth = step - 3 * lag
                        if fourth >= 0 {
                            rows[fourth] = probe(
                                wanted.extracting(ids.offsets[fourth]..<ids.offsets[fourth + 1]),
                                hashes[fourth & (ringCount - 1)], slots.span, offsets.span,
                                bytes.span, mask)
                        }
                    }
                }
            }
        }
        return rows
    }
}

extension RowStrip {
    /// Asks for the records of some rows, so that the cache misses of reading them overlap. More than
    /// stay in the second-level cache are left alone: they would be gone before they are read.
    package func prefetch(rows: Span<UInt32>) {
        guard rows.count <= (256 << 10) / schema.stride else { return }
        words.withSpan { words in
            words.withUnsafeBufferPointer { words in
                for position in rows.indices where rows[position] != IDIndex.absent {
                    let first = Int(rows[position]) &* wordsPerRow
                    for word in stride(from: first, to: first &+ wordsPerRow, by: 8) {
                        ColumnStore.prefetch(words, word)
                    }
                }
            }
        }
    }
}

/// Asks for the cache line of an element; one outside asks for nothing.
@inline(__always)
private func prefetch<Element>(_ elements: UnsafeBufferPointer<Element>, _ index: Int) {
    guard index < elements.count, let base = elements.baseAddress else { return }
    patron_prefetch_first(base + index)
}
