package import Numerical

/// How many rows matched and what their values add up to.
package struct ColumnTotal: Sendable, Equatable {
    /// Rows that match and have a value in the added column.
    package var count = 0
    /// Of an int64 column, exact.
    package var integer: Int128 = 0
    /// Of a column of floats: added in double precision, lane by lane and vector by vector in a
    /// fixed order, so that the bits do not depend on threads or instruction sets.
    package var number = 0.0

    package init() {}
}

extension EncodedColumn {
    /// Adds the values of the rows that match all conditions.
    ///
    /// Vectors are the unit: one that a zone rules out is not decoded in any column, and the added
    /// column is decoded only where a row is left. Same result for 1 and N threads.
    /// - Parameter conditions: columns of the same segment (of the same rows) and what is asked of
    ///   them.
    package func sum(
        where conditions: [(column: EncodedColumn, predicate: Predicate)], threadCount: Int,
        kernels: KernelTable = .current
    ) -> ColumnTotal {
        precondition(conditions.allSatisfy { $0.column.rowCount == rowCount })
        // Four blocks a chunk.
        let parts = parallelMap(count: vectorCount, chunkSize: 64, threadCount: threadCount) {
            _, vectors in
            let memory = DecodeMemory(kernels: kernels)
            var sums = LaneSums()
            var (selection, other) = (Selection(), Selection())
            var tests: [PackedTest] = []
            for vector in vectors {
                // Chunks of vectors begin where blocks do.
                if vector % 16 == 0 {
                    tests = conditions.map {
                        $0.column.packedTest($0.predicate, block: vector / 16)
                    }
                }
                if tests.contains(where: \.isNone) { continue }
                if conditions.isEmpty {
                    selection.set(all: true, rowCount: rows(ofVector: vector).count)
                }
                for (index, (column, predicate)) in conditions.enumerated() {
                    if index == 0 {
                        column.select(
                            predicate, tests[0], vector: vector, into: &selection, memory)
                    } else {
                        column.select(
                            predicate, tests[index], vector: vector, into: &other, memory)
                        selection.formIntersection(other)
                    }
                    if selection.isEmpty { break }
                }
                if !selection.isEmpty { add(vector, &selection, to: &sums, memory) }
            }
            return sums.total(schema.type)
        }
        var total = ColumnTotal()
        for part in parts {
            total.count += part.count
            total.integer += part.integer
            total.number += part.number
        }
        return total
    }

    private func add(
        _ vector: Int, _ selection: inout Selection, to sums: inout LaneSums,
        _ memory: DecodeMemory
    ) {
        defer { extendLifetime(file) }
        switch storage {
        case .four(let blocks):
            let values = blocks[vector / 16].decode(vector % 16, &selection, memory)
            let floats = UnsafeRawPointer(values).assumingMemoryBound(to: Float.self)
            sums.add(selection) { group, words, numbers, _ in
                memory.kernels.addSelected(
                    UnsafeBufferPointer(
                        start: floats + group * LanePacking.groupCount,
                        count: LanePacking.groupCount), words, to: numbers)
            }
        case .eight(let blocks):
            let values = blocks[vector / 16].decode(vector % 16, &selection, memory)
            let doubles = UnsafeRawPointer(values).assumingMemoryBound(to: Double.self)
            sums.add(selection) { group, words, numbers, integers in
                let start = group * LanePacking.groupCount
                if schema.type == .int64 {
                    memory.kernels.addSelected(
                        UnsafeBufferPointer(start: values + start, count: LanePacking.groupCount),
                        words, to: integers)
                } else {
                    memory.kernels.addSelected(
                        UnsafeBufferPointer(start: doubles + start, count: LanePacking.groupCount),
                        words, to: numbers)
                }
            }
        }
    }
}

extension EncodedColumn.Block {
    /// Takes the rows without a value out and decodes a vector.
    /// - Returns: its values, in `memory.vector`.
    fileprivate func decode(
        _ vector: Int, _ selection: inout Selection, _ memory: DecodeMemory
    ) -> UnsafeMutablePointer<Pattern> {
        restrict(&selection, vector)
        let values = memory.vector.assumingMemoryBound(to: Pattern.self)
        chunk.decode(vector: vector, into: values, memory)
        return values
    }
}

/// The sums of 16 lanes.
private struct LaneSums {
    private var count = 0
    private var numbers = [Double](repeating: 0, count: 16)
    /// Low and high halves, each value with 2^63 added.
    private var integers = [UInt64](repeating: 0, count: 32)

    mutating func add(
        _ selection: Selection,
        _ body: (
            _ group: Int, UnsafeBufferPointer<UInt32>, UnsafeMutableBufferPointer<Double>,
            UnsafeMutableBufferPointer<UInt64>
        ) -> Void
    ) {
        count += selection.count
        selection.words.withUnsafeBufferPointer { words in
            numbers.withUnsafeMutableBufferPointer { numbers in
                integers.withUnsafeMutableBufferPointer { integers in
                    for group in 0..<2 {
                        body(
                            group,
                            UnsafeBufferPointer(rebasing: words[group * 16..<group * 16 + 16]),
                            numbers, integers)
                    }
                }
            }
        }
    }

    func total(_ type: ColumnType) -> ColumnTotal {
        var total = ColumnTotal()
        total.count = count
        for lane in 0..<16 {
            total.number += numbers[lane]
            total.integer += Int128(integers[lane]) + Int128(integers[16 + lane]) << 32
        }
        if type == .int64 { total.integer -= Int128(count) << 63 }
        return total
    }
}
