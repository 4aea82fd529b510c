import ByteCoding
import ColumnStore
import Foundation
import Numerical

/// `patron lab lookup`: one row of many columns at a time, from encoded blocks and from a row strip.
package enum LookupLab {
    package struct Options: Sendable {
        /// `[columnCount × rowCount]`, '<f4', finite.
        package var columnsPath: String
        /// Ids a batch.
        package var batchCount = 256
        /// How many random rows are asked for.
        package var lookupCount = 1_048_576
        /// Whether the ids are texts such as `C-00c0ffee00c0ffee`, not integers.
        package var areTexts = false
        /// Leaves out the encoded blocks, for tables of which only the strip is of interest.
        package var isStripOnly = false
        package var seed: UInt64 = 1

        package init(columnsPath: String) { self.columnsPath = columnsPath }
    }

    /// Ids are numbers that look random, one a row, and are asked for at random with repetition.
    /// Reported are nanoseconds an id or a row, the median of the repeats, on one thread: a look-up
    /// finds the row and reads all of its fields.
    /// - Throws: `LabError` for arrays that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let file = try NumPyFile(options.columnsPath, [.float32])
        try file.requireAxes(2, "columns and rows")
        let columns = try CodecLab.read(options.columnsPath)
        let rowCount = columns.first?.count ?? 0
        var random = SeededRandom(seed: options.seed, stream: 0)
        let rows = (0..<options.lookupCount).map { _ in
            random.below(rowCount)
        }
        var report = LabReport()
        report.add("columns", .integer(columns.count))
        report.add("rows", .integer(rowCount))
        report.add("lookups", .integer(options.lookupCount))
        report.add("batch", .integer(options.batchCount))
        report.add("ids", .text(options.areTexts ? "text" : "integer"))
        report.add("isa", .text(setting.level.rawValue))
        report.add("repeats", .integer(setting.repeatCount))
        let path = CodecLab.temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        do throws(StoreError) {
            if !options.isStripOnly {
                try addEncoded(columns, rows, path, setting, to: &report)
            }
            try addStrip(columns, rows, path, options, setting, to: &report)
        } catch {
            throw .store(error)
        }
        return report
    }

    /// All columns of random rows: together, and one value after the other.
    private static func addEncoded(
        _ columns: [ColumnData], _ rows: [Int], _ path: String, _ setting: LabSetting,
        to report: inout LabReport
    ) throws(StoreError) {
        let summary = try CodecLab.write(columns, to: path, areHot: true)
        let opened = try CodecLab.open(path, setting.threadCount)
        let whole = EncodedRows(opened)
        var patterns = [UInt64](repeating: 0, count: opened.count)
        var isValid = [Bool](repeating: false, count: opened.count)
        var samples: (together: [Double], singly: [Double]) = ([], [])
        var sums: Set<UInt64> = []
        for pass in 0...setting.repeatCount {
            var (together, singly): (UInt64, UInt64) = (0, 0)
            let seconds = timed {
                for row in rows {
                    var targets = patterns.mutableSpan
                    var valid = isValid.mutableSpan
                    whole.read(row: row, into: &targets, isValid: &valid)
                    for pattern in patterns { together &+= pattern }
                }
            }.seconds
            let singleSeconds = timed {
                for row in rows {
                    for column in opened { singly &+= column.pattern(row: row) ?? 0 }
                }
            }.seconds
            sums.formUnion([together, singly])
            // The first pass brings the pages.
            if pass == 0 { continue }
            samples.together.append(seconds / Double(rows.count) * 1e9)
            samples.singly.append(singleSeconds / Double(rows.count) * 1e9)
        }
        report.add("encoded_bytes", .integer(summary.byteCount))
        report.add("encoded_nanoseconds_per_row", .number(median(samples.together)))
        report.add("single_encoded_nanoseconds_per_row", .number(median(samples.singly)))
        var hash = ResultHash()
        hash.add(sums.sorted())
        report.add("encoded_hash", .text(hash.text))
    }

    private static func addStrip(
        _ columns: [ColumnData], _ rows: [Int], _ path: String, _ options: Options,
        _ setting: LabSetting, to report: inout LabReport
    ) throws(StoreError) {
        let rowCount = columns.first?.count ?? 0
        var writer = ArrayFileWriter(kind: "lookup")
        // A bijection of 64 bits: no id twice.
        let ids = (0..<rowCount).map { Int64(bitPattern: StableHash.hash(Int64($0))) }
        func text(_ id: Int64) -> String {
            let digits = String(UInt64(bitPattern: id), radix: 16)
            return "C-" + String(repeating: "0", count: 16 - digits.count) + digits
        }
        try IDIndex.add(
            options.areTexts ? .texts(TextArray(ids.lazy.map(text))) : .integers(ids), to: &writer)
        try RowStrip.add(
            status: [UInt8](repeating: 0, count: rowCount),
            columns: columns.enumerated().compactMap { index, column in
                guard case .float32(let values) = column else { return nil }
                return StripColumn(
                    id: UInt16(index), name: "column \(index)", unit: "1",
                    values: .float32(values))
            }, to: &writer)
        try writer.write(to: path)
        let file = try ArrayFile(path: path)
        let index = try IDIndex(reading: file)
        let strip = try RowStrip(reading: file)
        report.add("strip_bytes_per_row", .integer(strip.schema.stride))
        let wanted = Wanted(
            stride(from: 0, to: rows.count, by: options.batchCount).map { start in
                let batch = rows[start..<min(start + options.batchCount, rows.count)].map {
                    ids[$0]
                }
                return options.areTexts
                    ? .texts(TextArray(batch.map(text))) : .integers(batch)
            })
        var samples: (find: [Double], look: [Double], single: [Double]) = ([], [], [])
        var hashes: Set<UInt64> = []
        for pass in 0...setting.repeatCount {
            let find = timed { hashes.insert(wanted.find(index)) }.seconds
            let look = timed { hashes.insert(wanted.lookUp(index, strip)) }.seconds
            let single = timed { hashes.insert(wanted.findSingly(index)) }.seconds
            if pass == 0 { hashes.removeAll() }
            if pass == 0 { continue }
            let scale = 1e9 / Double(rows.count)
            samples.find.append(find * scale)
            samples.look.append(look * scale)
            samples.single.append(single * scale)
        }
        report.add("find_nanoseconds_per_id", .number(median(samples.find)))
        report.add("lookup_nanoseconds_per_id", .number(median(samples.look)))
        report.add("single_find_nanoseconds_per_id", .number(median(samples.single)))
        var hash = ResultHash()
        hash.add(hashes.sorted())
        report.add("strip_hash", .text(hash.text))
    }
}

/// The ids that are asked for, batch by batch.
private struct Wanted {
    private let batches: [IDColumn]

    init(_ batches: [IDColumn]) { self.batches = batches }

    /// - Returns: the sum of the rows.
    func find(_ index: IDIndex) -> UInt64 {
        var rows: [UInt32] = []
        var sum: UInt64 = 0
        for batch in batches {
            Self.find(batch, index, &rows)
            for row in rows { sum &+= UInt64(row) }
        }
        return sum
    }

    /// Finds rows and reads all of their fields, as a look-up frame of many ids does.
    /// - Returns: the sum of the bits.
    func lookUp(_ index: IDIndex, _ strip: RowStrip) -> UInt64 {
        var rows: [UInt32] = []
        var gathered = GatheredFields()
        let fields = Array(strip.schema.fields.indices)
        var sum: UInt64 = 0
        for batch in batches {
            Self.find(batch, index, &rows)
            gathered.gather(fields, rows: rows.span, of: strip)
            for field in 0..<gathered.count {
                sum &+= gathered.withLanes(field, Self.sum)
            }
        }
        return sum
    }

    private static func sum(_ lanes: RawSpan) -> UInt64 {
        var sum: UInt64 = 0
        var offset = 0
        while let bits: UInt32 = lanes.integer(at: offset) {
            sum &+= UInt64(bits)
            offset += 4
        }
        return sum
    }

    /// One id after the other.
    func findSingly(_ index: IDIndex) -> UInt64 {
        var sum: UInt64 = 0
        for batch in batches {
            switch batch {
            case .integers(let ids):
                for id in ids { sum &+= UInt64(index.find(integer: id) ?? 0) }
            case .texts(let texts):
                let (bytes, offsets) = (texts.bytes, texts.offsets)
                for place in 0..<texts.count {
                    let id = bytes.span.bytes.extracting(offsets[place]..<offsets[place + 1])
                    sum &+= UInt64(index.find(utf8: id) ?? 0)
                }
            }
        }
        return sum
    }

    private static func find(_ batch: IDColumn, _ index: IDIndex, _ rows: inout [UInt32]) {
        if rows.count != batch.count {
            rows = [UInt32](repeating: IDIndex.absent, count: batch.count)
        }
        var found = rows.mutableSpan
        switch batch {
        case .integers(let ids): index.find(integers: ids.span, rows: &found)
        case .texts(let texts): index.find(texts: texts, rows: &found)
        }
    }
}
