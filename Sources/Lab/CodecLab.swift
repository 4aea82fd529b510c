import ColumnStore
import Numerical

/// `patron lab codec`: what each encoding makes of the columns of an array.
package enum CodecLab {
    package struct Options: Sendable {
        /// Arrays `[columnCount × rowCount]` or one column each, '<f4', '<f8', '<i8' or '<i4' (as
        /// int64), all of the same rows.
        package var columnsPaths: [String]
        /// Leaves out the single encodings and LZ4.
        package var isFileOnly = false

        package init(columnsPaths: [String]) { self.columnsPaths = columnsPaths }
    }

    /// Encodes and decodes every column with every encoding that fits it, and with the one that a
    /// segment file would choose; decodes on one thread into memory that stays in a cache. Then
    /// writes and reads all columns as one segment file, on all threads.
    /// - Throws: `LabError` for an array that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let roofline = try setting.rooflinePath.map(Roofline.init(path:))
        let (columns, loadSeconds) = try timed { () throws(LabError) in
            try readAll(options.columnsPaths)
        }
        var rows: [LabReport] = []
        var chosen = Total()
        var lz4 = Total()
        var direct = Total()
        let gigahertz = ClockGauge.gigahertz()
        for (index, column) in columns.enumerated() where !options.isFileOnly {
            let name = "column \(index)"
            for encoding in [nil] + Encoding.measured {
                guard let (row, total) = measure(column, encoding, name, gigahertz, setting) else {
                    continue
                }
                rows.append(row)
                if encoding == nil { chosen.add(total) }
            }
            let (blocks, encodeSeconds) = timed { LZ4Blocks(column) }
            let (layer, raw) = decodeLZ4(blocks, setting)
            var total = Total(plain: plainBytes(column), stored: blocks.byteCount)
            total.encodeSeconds = encodeSeconds
            total.decodeSeconds = layer
            lz4.add(total)
            total.decodeSeconds = raw
            direct.add(total)
            var row = total.row(name, "lz4", gigahertz, isExact: true)
            let lz4Memory = DecodeMemory(kernels: setting.kernels)
            let cached = cachedRate(setting, blocks.plainByteCount(block: 0), gigahertz) {
                _ = blocks.decode(block: 0, lz4Memory)
            }
            row.add("block_bytes_per_cycle", .number(cached))
            rows.append(row)
        }
        var report = LabReport()
        report.add("columns", .integer(columns.count))
        report.add("rows", .integer(columns.first?.count ?? 0))
        report.add("isa", .text(setting.level.rawValue))
        report.add("repeats", .integer(setting.repeatCount))
        report.add("load_seconds", .number(loadSeconds))
        report.add("clock_gigahertz", .number(gigahertz))
        try addFile(columns, setting, to: &report)
        if options.isFileOnly { return report }
        chosen.add(to: &report, "chosen", gigahertz)
        lz4.add(to: &report, "lz4", gigahertz)
        direct.add(to: &report, "liblz4", gigahertz)
        let demand = Demand(
            operations: 0,
            traffic: [.init(byteCount: Double(chosen.plain), workingByteCount: 131_072)])
        var single = setting
        single.threadCount = 1
        report.add(demand, seconds: chosen.decodeSeconds, roofline, single)
        report.add("encodings", .rows(rows))
        return report
    }

    private static func measure(
        _ column: ColumnData, _ encoding: Encoding?, _ name: String, _ gigahertz: Double,
        _ setting: LabSetting
    ) -> (LabReport, Total)? {
        let memory = DecodeMemory(kernels: setting.kernels)
        let (made, encodeSeconds) = timed { EncodedBlocks(column, as: encoding, memory) }
        guard let blocks = made else { return nil }
        let isExact = blocks.isExact(column, memory)
        var samples: [Double] = []
        for _ in 0..<setting.repeatCount {
            samples.append(timed { blocks.decode(blocks: 0..<blocks.blockCount, memory) }.seconds)
        }
        var total = Total(plain: plainBytes(column), stored: blocks.byteCount)
        total.encodeSeconds = encodeSeconds
        total.decodeSeconds = median(samples)
        let blockBytes = min(column.count, Limits.blockRowCount) * blocks.elementByteCount
        let cached = cachedRate(setting, blockBytes, gigahertz) {
            blocks.decode(blocks: 0..<1, memory)
        }
        let tile = cachedRate(setting, blockBytes, gigahertz) {
            blocks.decodeTiles(block: 0, memory)
        }
        let copied = cachedRate(setting, blockBytes, gigahertz) {
            blocks.copyTiles(block: 0, memory)
        }
        let used = Dictionary(grouping: blocks.encodings) { $0 }
            .max { ($0.value.count, $1.key.rawValue) < ($1.value.count, $0.key.rawValue) }
        let label = encoding.map { "\($0)" } ?? "chosen: \(used.map { "\($0.key)" } ?? "none")"
        var row = total.row(name, label, gigahertz, isExact: isExact)
        row.add("block_bytes_per_cycle", .number(cached))
        row.add("tile_bytes_per_cycle", .number(tile))
        row.add("copied_tile_bytes_per_cycle", .number(copied))
        return (row, total)
    }

    /// Bytes a cycle of the values of one block, again and again, so that nothing comes from memory.
    ///
    /// As a whole a block's values, 64 or 128 KiB, lie in the second-level cache and are written back
    /// to it. Tile by tile, 1,024 values in the same 4 or 8 KiB as kernels take them, they lie in the
    /// first-level one, and a bare copy of such a tile is the limit.
    private static func cachedRate(
        _ setting: LabSetting, _ byteCount: Int, _ gigahertz: Double, _ decode: () -> Void
    ) -> Double {
        let rounds = 64
        var samples: [Double] = []
        for _ in 0..<max(3, setting.repeatCount) {
            samples.append(timed { for _ in 0..<rounds { decode() } }.seconds)
        }
        return Double(rounds * byteCount) / median(samples) / 1e9 / gigahertz
    }

    /// Seconds of the store's own way and of bare calls, taking turns.
    private static func decodeLZ4(
        _ blocks: LZ4Blocks, _ setting: LabSetting
    ) -> (layer: Double, direct: Double) {
        var (layer, direct): ([Double], [Double]) = ([], [])
        let memory = DecodeMemory(kernels: setting.kernels)
        var target = [UInt8](repeating: 0, count: 8 * Limits.blockRowCount)
        for _ in 0..<setting.repeatCount {
            layer.append(
                timed {
                    for block in blocks.blocks.indices { _ = blocks.decode(block: block, memory) }
                }.seconds)
            direct.append(
                timed {
                    for (block, bytes) in blocks.blocks.enumerated()
                    where bytes.count < blocks.plainByteCount(block: block) {
                        LZ4Sample.decode(bytes, into: &target)
                    }
                }.seconds)
        }
        return (median(layer), median(direct))
    }

    private static func plainBytes(_ column: ColumnData) -> Int {
        column.count * (column.type == .float32 ? 4 : 8)
    }

    private static func readAll(_ paths: [String]) throws(LabError) -> [ColumnData] {
        var columns: [ColumnData] = []
        for path in paths {
            columns += try read(path)
            guard columns[columns.count - 1].count == columns[0].count else {
                throw .mismatch(
                    path: path, found: "\(columns[columns.count - 1].count) rows",
                    expected: "\(columns[0].count) are in", other: paths[0])
            }
        }
        return columns
    }

    /// The columns of an array.
    static func read(_ path: String) throws(LabError) -> [ColumnData] {
        let file = try NumPyFile(path)
        if file.shape.count != 1 { try file.requireAxes(2, "columns and rows") }
        try file.requireElement(.float32, .float64, .int64, .int32)
        let rowCount = file.shape.last ?? 0
        guard file.count > 0, rowCount > 0 else {
            throw .badArray(
                path: path, byteOffset: file.header.shapeOffset, found: "the shape \(file.shape)",
                expected: "at least one column and one row", advice: "there is nothing to encode")
        }
        func cut<T>(_ values: [T]) -> [[T]] {
            stride(from: 0, to: values.count, by: rowCount).map {
                Array(values[$0..<$0 + rowCount])
            }
        }
        switch file.header.element {
        case .float32: return cut(try file.floats()).map { .float32($0) }
        case .float64: return cut(try file.doubles()).map { .float64($0) }
        default: return cut(try file.integers()).map { .int64($0.map(Int64.init)) }
        }
    }
}

/// Bytes and seconds of one encoding, of a column or of several.
private struct Total {
    var plain = 0
    var stored = 0
    var encodeSeconds = 0.0
    var decodeSeconds = 0.0

    mutating func add(_ other: Total) {
        plain += other.plain
        stored += other.stored
        encodeSeconds += other.encodeSeconds
        decodeSeconds += other.decodeSeconds
    }

    private func bytesPerSecond(_ gigahertz: Double) -> [(String, LabReport.Value)] {
        let rate = Double(plain) / max(decodeSeconds, 1e-9) / 1e9
        return [
            ("bytes", .integer(stored)), ("ratio", .number(Double(plain) / Double(max(1, stored)))),
            ("encode_seconds", .number(encodeSeconds)),
            ("decode_seconds", .number(decodeSeconds)),
            ("decode_gigabytes_per_second", .number(rate)),
            ("decode_bytes_per_cycle", .number(rate / gigahertz)),
        ]
    }

    func row(
        _ column: String, _ encoding: String, _ gigahertz: Double, isExact: Bool
    ) -> LabReport {
        var report = LabReport()
        report.add("column", .text(column))
        report.add("encoding", .text(encoding))
        for (key, value) in bytesPerSecond(gigahertz) { report.add(key, value) }
        report.add("exact", .truth(isExact))
        return report
    }

    func add(to report: inout LabReport, _ prefix: String, _ gigahertz: Double) {
        for (key, value) in bytesPerSecond(gigahertz) { report.add("\(prefix)_\(key)", value) }
    }
}

extension Encoding {
    /// The encodings of numbers that version 2 writes.
    fileprivate static let measured: [Encoding] = [
        .constant, .raw, .packed, .packedDelta, .packedDictionary, .runEnds, .decimal, .sparse,
    ]
}

/// The clock of the core that this runs on, by a chain of known latency.
enum ClockGauge {
    /// Cycles of one link: a 64-bit multiplication of 3 cycles and an exclusive or of 1, as on every
    /// x86-64 core since 2008 and the arm64 cores of servers.
    private static let cyclesPerLink = 4.0

    /// The best of five runs of about 5 ms, in cycles a nanosecond.
    static func gigahertz() -> Double {
        let links = 5_000_000
        var best = 0.0
        var word: UInt64 = 1
        for _ in 0..<5 {
            let seconds = timed { word = chain(links, word) }.seconds
            best = max(best, cyclesPerLink * Double(links) / max(seconds, 1e-9) / 1e9)
        }
        // The result is used, so that the chain is not left out.
        return word == 0 ? 0 : best
    }

    @inline(never)
    private static func chain(_ links: Int, _ start: UInt64) -> UInt64 {
        var word = start
        for link in 0..<links {
            word = (word &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(truncatingIfNeeded: link)
        }
        return word
    }
}
