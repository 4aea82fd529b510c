import ByteCoding
package import Numerical

/// What `SegmentWriter.finish` made.
package struct SegmentSummary: Sendable, Equatable {
    package let path: String
    package let rowCount: Int
    package let byteCount: Int
    /// CRC-32C of the whole file.
    package let checksum: UInt32
}

/// Writes a segment file block by block, in memory for a few blocks a thread; visible only after
/// `finish`.
///
/// The bytes depend on the schema and the rows alone, not on how they are cut into batches or on how
/// many threads encode them.
package final class SegmentWriter {
    private let file: AtomicFile
    private var footer: SegmentFooter
    /// The rows of a block that is not full yet.
    private var stages: [ColumnStage]
    private var stagedRowCount = 0
    private var encoders: [ChunkPress]
    /// What threads encode, and what they have encoded the time before.
    private var jobs: [ChunkJob] = []
    private var encodedJobs: [ChunkJob] = []

    /// Chunks that a thread encodes while those before are written.
    private static let jobsPerThread = 24

    /// - Parameter threadCount: threads that encode, 1 and more.
    /// - Throws: `invalidInput` for an empty schema or names that are empty, too long or repeated.
    package init(
        path: String, schema: [ColumnSchema], threadCount: Int = 1
    ) throws(StoreError) {
        guard (1...Limits.columnCount).contains(schema.count) else {
            throw .invalidInput(path: path, reason: "a segment has 1 to 4096 columns")
        }
        guard Set(schema.map(\.name)).count == schema.count,
            schema.allSatisfy({
                (1...Limits.nameByteCount).contains($0.name.utf8.count)
                    && $0.unit.utf8.count <= Limits.nameByteCount
            })
        else {
            throw .invalidInput(
                path: path, reason: "a column's name is empty, too long or repeated")
        }
        file = try AtomicFile(path: path)
        footer = SegmentFooter(schema: schema)
        encoders = (0..<threadCount).map { _ in ChunkPress() }
        stages = schema.map { ColumnStage(type: $0.type) }
        try file.write(SegmentFormat.header())
    }

    package var path: String { file.path }
    package var rowCount: Int { footer.rowCount + stagedRowCount }

    /// Appends rows.
    /// - Parameter columns: one a schema column, in schema order, all of the same count.
    /// - Throws: `invalidInput` where they do not fit the schema, and then nothing is appended;
    ///   `limitExceeded` for texts over 16 MiB and `system` where the disk is full, and then the
    ///   writer is abandoned.
    package func append(_ columns: [Column]) throws(StoreError) {
        let count = try validate(columns)
        try append(.columns(columns), count: count)
    }

    /// Appends sorted rows, whose columns are made block by block.
    /// - Parameter columns: one a schema column, in schema order.
    /// - Throws: as above.
    package func append(_ rows: SortedRows, _ columns: [SortedColumn]) throws(StoreError) {
        guard columns.count == footer.schema.count else {
            throw .invalidInput(
                path: path,
                reason: "\(columns.count) columns for a schema of \(footer.schema.count)")
        }
        try append(.sorted(rows, columns), count: rows.count)
    }

    private func append(_ source: RowSource, count: Int) throws(StoreError) {
        try requireOpen()
        var start = 0
        if stagedRowCount > 0 {
            start = min(count, Limits.blockRowCount - stagedRowCount)
            try stage(source, 0..<start)
        }
        let blockCount = (count - start) / Limits.blockRowCount
        try writeBlocks(of: source, from: start, blockCount)
        try stage(source, start + blockCount * Limits.blockRowCount..<count)
    }

    /// Takes rows that do not pass the end of a block.
    private func stage(_ source: RowSource, _ rows: Range<Int>) throws(StoreError) {
        if rows.isEmpty { return }
        do throws(StoreError) {
            for index in stages.indices {
                try stages[index].append(source, column: index, rows: rows, path: path)
            }
        } catch {
            // Some columns have the rows and some have not.
            file.abandon()
            throw error
        }
        stagedRowCount += rows.count
        if stagedRowCount == Limits.blockRowCount { try writeStagedBlock() }
    }

    /// How a file comes to its end.
    package enum Ending: Sendable {
        /// As `AtomicFile.commit` leaves it: under its name and durable.
        case visible
        /// The same, but a signal removes it until a manifest that names it is committed.
        case provisional
        /// A temporary file, which goes with `abandon` or the writer.
        case temporary
    }

    /// Writes the last block and the footer and makes the file visible.
    /// - Returns: the path is that of the temporary file for `.temporary`.
    package func finish(_ ending: Ending = .visible) throws(StoreError) -> SegmentSummary {
        try requireOpen()
        if stagedRowCount > 0 { try writeStagedBlock() }
        let bytes = footer.encoded()
        guard bytes.count <= Limits.footerByteCount else {
            file.abandon()
            throw .limitExceeded(
                path: path, byteOffset: file.byteCount, what: "the footer's byte count",
                actual: bytes.count, limit: Limits.footerByteCount)
        }
        let footerOffset = file.byteCount
        try file.write(bytes)
        try file.write(SegmentFormat.trailer(footerOffset: footerOffset, footer: bytes))
        let (byteCount, checksum) = (file.byteCount, file.checksum)
        var path = path
        // A writer may live on for its temporary file.
        (stages, encoders, jobs, encodedJobs) = ([], [], [], [])
        switch ending {
        case .visible: try file.commit()
        case .provisional: try file.commit(isProvisional: true)
        case .temporary: path = try file.seal()
        }
        return SegmentSummary(
            path: path, rowCount: footer.rowCount, byteCount: byteCount, checksum: checksum)
    }

    /// Drops everything; nothing stays behind. The same happens where a writer is released before
    /// `finish`.
    package func abandon() { file.abandon() }

    private func requireOpen() throws(StoreError) {
        guard file.isOpen else {
            throw .invalidInput(path: path, reason: "the writer is finished or abandoned")
        }
    }

    private func validate(_ columns: [Column]) throws(StoreError) -> Int {
        func invalid(_ reason: String) -> StoreError { .invalidInput(path: path, reason: reason) }
        guard columns.count == footer.schema.count, let count = columns.first?.count else {
            throw invalid("\(columns.count) columns for a schema of \(footer.schema.count)")
        }
        for (column, schema) in zip(columns, footer.schema) {
            guard column.name == schema.name, column.data.type == schema.type else {
                throw invalid(
                    "column \(column.name) of type \(column.data.type) where the schema has "
                        + "\(schema.name) of type \(schema.type)")
            }
            guard column.count == count, column.validity.map({ $0.count == count }) ?? true else {
                throw invalid("column \(column.name) has not \(count) rows")
            }
            if case .coded(let coded) = column.data {
                let valueCount = UInt32(clamping: coded.values.count)
                guard coded.codes.allSatisfy({ $0 < valueCount || $0 == CodedText.missing }) else {
                    throw invalid("column \(column.name) has a code without a value")
                }
            }
        }
        return count
    }

    /// Encodes and writes the staged rows, at least one.
    private func writeStagedBlock() throws(StoreError) {
        for (column, schema) in footer.schema.enumerated() {
            var job = ChunkJob(column: column)
            encoders[0].press(&stages[column], schema, into: &job)
            try write(&job)
            stages[column].removeAll()
        }
        footer.rowCount += stagedRowCount
        stagedRowCount = 0
    }

    /// Encodes blocks of rows in parallel and writes them in order, beside the encoding of the next.
    private func writeBlocks(
        of source: RowSource, from first: Int, _ blockCount: Int
    ) throws(StoreError) {
        let (schema, path) = (footer.schema, path)
        let chunkCount = blockCount * schema.count
        // A block at least.
        let most = max(schema.count, Self.jobsPerThread * encoders.count)
        for start in stride(from: 0, to: chunkCount, by: most) {
            let count = min(most, chunkCount - start)
            jobs.removeAll(keepingCapacity: true)
            for index in start..<start + count {
                let (block, column) = index.quotientAndRemainder(dividingBy: schema.count)
                let row = first + block * Limits.blockRowCount
                jobs.append(ChunkJob(column: column, rows: row..<row + Limits.blockRowCount))
            }
            var failure: StoreError?
            func writeBefore() {
                do throws(StoreError) {
                    try writeEncoded()
                } catch {
                    failure = error
                }
            }
            parallelFor(&jobs, scratches: &encoders, beside: writeBefore) { job, encoder in
                encoder.press(source, schema[job.column], path, into: &job)
            }
            if let failure { throw failure }
            swap(&jobs, &encodedJobs)
        }
        try writeEncoded()
    }

    private func writeEncoded() throws(StoreError) {
        for index in encodedJobs.indices {
            if encodedJobs[index].column == 0 { footer.rowCount += encodedJobs[index].rows.count }
            try write(&encodedJobs[index])
        }
        encodedJobs.removeAll(keepingCapacity: true)
    }

    private func write(_ job: inout ChunkJob) throws(StoreError) {
        do throws(StoreError) {
            if let error = job.error { throw error }
            guard var entry = job.entry else { return }
            guard entry.plainByteCount <= Limits.chunkByteCount else {
                throw .limitExceeded(
                    path: path, byteOffset: file.byteCount,
                    what: "a block of column \(footer.schema[job.column].name)",
                    actual: entry.plainByteCount, limit: Limits.chunkByteCount)
            }
            entry.byteOffset = file.byteCount
            footer.entries.append(entry)
            try file.write(job.stored)
            let padding = job.stored.count.roundedUp(to: SegmentFormat.alignment) - job.stored.count
            if padding > 0 { try file.write([UInt8](repeating: 0, count: padding)) }
        } catch {
            file.abandon()
            throw error
        }
    }
}

/// A chunk on its way into a file: which rows of a column, and what became of them.
private struct ChunkJob: Sendable {
    var column: Int
    var rows = 0..<0
    /// The bytes and what the footer says of them but their place; nil after an error.
    var stored: [UInt8] = []
    var entry: ChunkEntry?
    var error: StoreError?
}

/// Makes chunks of rows: what a thread needs for it.
private struct ChunkPress: Sendable {
    private let encoder = LaneEncoder()
    private var stages = ColumnType.allCases.map { ColumnStage(type: $0) }
    private static let triedByteCount = 4_096

    /// Makes a chunk of the job's rows.
    mutating func press(
        _ source: RowSource, _ schema: ColumnSchema, _ path: String, into job: inout ChunkJob
    ) {
        job.error = nil
        job.entry = nil
        guard let place = stages.firstIndex(where: { $0.type == schema.type }) else { return }
        // Taken out, so that it is held once and changes in place.
        var stage = ColumnStage(type: schema.type)
        swap(&stage, &stages[place])
        defer { swap(&stage, &stages[place]) }
        stage.removeAll()
        do throws(StoreError) {
            try stage.append(source, column: job.column, rows: job.rows, path: path)
            press(&stage, schema, into: &job)
        } catch {
            job.error = error
        }
    }

    /// Makes a chunk of staged rows, at least one.
    mutating func press(
        _ stage: inout ColumnStage, _ schema: ColumnSchema, into job: inout ChunkJob
    ) {
        let chunk = stage.encode(encoder, isHot: schema.isHot)
        let compressed = compressed(chunk, schema)
        job.stored = compressed ?? chunk.plain
        job.entry = ChunkEntry(
            byteOffset: 0, storedByteCount: job.stored.count,
            plainByteCount: chunk.plain.count, checksum: CRC32C.checksum(job.stored),
            encoding: chunk.encoding, isCompressed: compressed != nil, hasZones: chunk.hasZones,
            zone: chunk.zone)
    }

    /// The bytes after LZ4, where it pays: 15 % of plain numbers and texts, half of encodings that
    /// decode in registers and lose that; never of hot columns.
    private func compressed(_ chunk: ColumnStage.Chunk, _ schema: ColumnSchema) -> [UInt8]? {
        guard chunk.plain.count <= Limits.chunkByteCount, !schema.isHot else { return nil }
        let isPlain = chunk.encoding == .raw || schema.type == .text
        if isPlain { return LZ4.compress(chunk.plain, maximumShare: 0.85) }
        // Packed numbers seldom repeat, and a part of them tells it.
        let middle = chunk.plain.count / 2
        let isWorthTrying =
            chunk.plain.count < 4 * Self.triedByteCount
            || LZ4.compress(
                Array(chunk.plain[middle..<middle + Self.triedByteCount]), maximumShare: 0.75)
                != nil
        return isWorthTrying ? LZ4.compress(chunk.plain, maximumShare: 0.5) : nil
    }
}
