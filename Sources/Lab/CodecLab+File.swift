import ColumnStore
import Foundation
import Numerical

extension CodecLab {
    /// The columns as one segment file: written on one thread, read whole, decoded block by block
    /// into small arrays, and, for single precision, into the tiles of a feature matrix; columns and
    /// rows in parallel.
    static func addFile(
        _ columns: [ColumnData], _ setting: LabSetting, to report: inout LabReport
    ) throws(LabError) {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        do throws(StoreError) {
            let (summary, writeSeconds) = try timed { () throws(StoreError) in
                try write(columns, to: path)
            }
            report.add("file_bytes", .integer(summary.byteCount))
            report.add("file_write_seconds", .number(writeSeconds))
            report.add("file_exact", .truth(try isExact(columns, path)))
            var samples: (read: [Double], block: [Double], open: [Double], tile: [Double])
            samples = ([], [], [], [])
            for _ in 0..<setting.repeatCount {
                samples.read.append(
                    try timed { () throws(StoreError) in
                        try read(path, setting.threadCount)
                    }.seconds)
                samples.block.append(
                    try timed { () throws(StoreError) in
                        try readBlocks(path, setting.threadCount)
                    }.seconds)
                let (opened, openSeconds) = try timed { () throws(StoreError) in
                    try open(path, setting.threadCount)
                }
                samples.open.append(openSeconds)
                if opened.allSatisfy({ $0.schema.type == .float32 }) {
                    samples.tile.append(fillTiles(opened, setting))
                }
            }
            report.add("file_threads", .integer(setting.threadCount))
            report.add("file_read_seconds", .number(median(samples.read)))
            report.add("file_block_seconds", .number(median(samples.block)))
            report.add("file_open_seconds", .number(median(samples.open)))
            if !samples.tile.isEmpty {
                report.add("tile_seconds", .number(median(samples.tile)))
            }
        } catch {
            throw .store(error)
        }
    }

    /// A name of no file among the system's temporary ones.
    static func temporaryPath() -> String {
        FileManager.default.temporaryDirectory
            .appendingPathComponent("patron-lab-\(UUID().uuidString)").path
    }

    static func write(
        _ columns: [ColumnData], to path: String, areHot: Bool = false
    ) throws(StoreError) -> SegmentSummary {
        let names = columns.indices.map { "column \($0)" }
        let writer = try SegmentWriter(
            path: path,
            schema: zip(names, columns).map {
                ColumnSchema(name: $0, type: $1.type, isHot: areHot)
            })
        try writer.append(zip(names, columns).map { Column(name: $0, data: $1) })
        return try writer.finish()
    }

    /// Whether a file's columns are these, bit for bit.
    private static func isExact(_ columns: [ColumnData], _ path: String) throws(StoreError) -> Bool
    {
        let reader = try SegmentReader(path: path)
        for (index, data) in columns.enumerated() {
            let isEqual =
                switch (data, try reader.column(index, blocks: 0..<reader.blockCount).data) {
                case (.float32(let values), .float32(let read)):
                    values.count == read.count
                        && zip(values, read).allSatisfy { $0.bitPattern == $1.bitPattern }
                case (.float64(let values), .float64(let read)):
                    values.count == read.count
                        && zip(values, read).allSatisfy { $0.bitPattern == $1.bitPattern }
                case (.int64(let values), .int64(let read)): values == read
                default: false
                }
            if !isEqual { return false }
        }
        return true
    }

    /// Every column as an array, every checksum and every rule checked.
    private static func read(_ path: String, _ threadCount: Int) throws(StoreError) {
        let reader = try SegmentReader(path: path)
        let failures = parallelMap(
            count: reader.schema.count, chunkSize: 1, threadCount: threadCount
        ) { column, _ -> StoreError? in
            do throws(StoreError) {
                _ = try reader.column(column, blocks: 0..<reader.blockCount)
                return nil
            } catch {
                return error
            }
        }
        for failure in failures { if let failure { throw failure } }
    }

    /// Every block of every column as an array that is dropped at once, as a pass over the file
    /// decodes them; every checksum and every rule checked.
    private static func readBlocks(_ path: String, _ threadCount: Int) throws(StoreError) {
        let reader = try SegmentReader(path: path)
        let columnCount = reader.schema.count
        let failures = parallelMap(
            count: reader.blockCount * columnCount, chunkSize: 8, threadCount: threadCount
        ) { _, parts -> StoreError? in
            do throws(StoreError) {
                for part in parts {
                    _ = try reader.block(part / columnCount, column: part % columnCount)
                }
                return nil
            } catch {
                return error
            }
        }
        for failure in failures { if let failure { throw failure } }
    }

    /// Every column, checked and ready for look-ups.
    static func open(
        _ path: String, _ threadCount: Int
    ) throws(StoreError) -> [EncodedColumn] {
        let reader = try SegmentReader(path: path)
        let results = parallelMap(
            count: reader.schema.count, chunkSize: 1, threadCount: threadCount
        ) { column, _ -> Result<EncodedColumn, StoreError> in
            Result { () throws(StoreError) in
                try EncodedColumn(reader, column: reader.schema[column].name)
            }
        }
        var columns: [EncodedColumn] = []
        for result in results { columns.append(try result.get()) }
        return columns
    }

    /// Seconds of the second of two passes: the first brings the pages of the matrix.
    private static func fillTiles(_ columns: [EncodedColumn], _ setting: LabSetting) -> Double {
        let rowCount = columns[0].rowCount
        var matrix = FeatureMatrix(rowCount: rowCount, featureCount: columns.count)
        let stride = FeatureMatrix.blockRowCount * columns.count
        // A vector is 16 blocks of the matrix; a last one that is not whole is left out.
        func pass() -> Double {
            timed {
                matrix.fillBlocks(chunkBlocks: 64, threadCount: setting.threadCount) {
                    rows, values in
                    let memory = DecodeMemory(kernels: setting.kernels)
                    let first = rows.lowerBound / 1_024
                    for vector in first..<(rows.upperBound + 1_023) / 1_024 {
                        let start = (vector - first) * 16 * stride
                        let isWhole = columns[0].rows(ofVector: vector).count == 1_024
                        for (feature, column) in columns.enumerated() where isWhole {
                            column.decode(
                                vectors: vector..<vector + 1, into: &values,
                                at: start + feature * FeatureMatrix.blockRowCount,
                                runStride: stride, memory)
                        }
                    }
                }
            }.seconds
        }
        _ = pass()
        return pass()
    }
}
