import ByteCoding

/// What `SegmentWriter.finish` made.
package struct SegmentSummary: Sendable, Equatable {
    package let path: String
    package let rowCount: Int
    package let byteCount: Int
    /// CRC-32C of the whole file.
    package let checksum: UInt32
}

/// Writes a segment file block by block, in memory for one block; visible only after `finish`.
///
/// The bytes depend on the schema and the rows alone, not on how they are cut into batches.
package final class SegmentWriter {
    private let file: AtomicFile
    private var footer: SegmentFooter
    private var stages: [ColumnStage]
    private var stagedRowCount = 0
    private var encoder: BlockEncoder

    /// - Parameter version: an older one for readers of that time.
    /// - Throws: `invalidInput` for an empty schema or names that are empty, too long or repeated.
    package init(
        path: String, schema: [ColumnSchema], version: SegmentVersion = .latest
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
        footer = SegmentFooter(schema: schema, version: version)
        encoder = BlockEncoder(version: version)
        stages = schema.map { ColumnStage(type: $0.type) }
        try file.write(SegmentFormat.header(version))
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
        try requireOpen()
        var start = 0
        while start < count {
            let end = min(count, start + Limits.blockRowCount - stagedRowCount)
            do throws(StoreError) {
                for index in columns.indices {
                    try stages[index].append(columns[index], rows: start..<end, path: path)
                }
            } catch {
                // Some columns have the rows and some have not.
                file.abandon()
                throw error
            }
            stagedRowCount += end - start
            start = end
            if stagedRowCount == Limits.blockRowCount { try writeBlock() }
        }
    }

    /// Writes the last block and the footer and makes the file visible.
    package func finish() throws(StoreError) -> SegmentSummary {
        try requireOpen()
        if stagedRowCount > 0 { try writeBlock() }
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
        let summary = SegmentSummary(
            path: path, rowCount: footer.rowCount, byteCount: file.byteCount,
            checksum: file.checksum)
        try file.commit()
        return summary
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
        guard columns.count == stages.count, let count = columns.first?.count else {
            throw invalid("\(columns.count) columns for a schema of \(stages.count)")
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

    private func writeBlock() throws(StoreError) {
        for index in stages.indices {
            let chunk = stages[index].encode(&encoder, isHot: footer.schema[index].isHot)
            guard chunk.plain.count <= Limits.chunkByteCount else {
                file.abandon()
                throw .limitExceeded(
                    path: path, byteOffset: file.byteCount,
                    what: "a block of column \(footer.schema[index].name)",
                    actual: chunk.plain.count, limit: Limits.chunkByteCount)
            }
            let schema = footer.schema[index]
            let compressed = compressed(chunk, schema)
            let stored = compressed ?? chunk.plain
            footer.entries.append(
                ChunkEntry(
                    byteOffset: file.byteCount, storedByteCount: stored.count,
                    plainByteCount: chunk.plain.count, checksum: CRC32C.checksum(stored),
                    encoding: chunk.encoding, isCompressed: compressed != nil,
                    hasZones: chunk.hasZones, zone: chunk.zone))
            try file.write(stored)
            let padding = stored.count.roundedUp(to: SegmentFormat.alignment) - stored.count
            try file.write([UInt8](repeating: 0, count: padding))
            stages[index].removeAll()
        }
        footer.rowCount += stagedRowCount
        stagedRowCount = 0
    }

    /// The bytes after LZ4, where it pays: 15 % of plain numbers and texts, half of encodings that
    /// decode in registers and lose that; never of hot columns.
    private func compressed(_ chunk: ColumnStage.Chunk, _ schema: ColumnSchema) -> [UInt8]? {
        if footer.version == .one { return LZ4.compress(chunk.plain, maximumShare: 0.85) }
        if schema.isHot { return nil }
        let isPlain = chunk.encoding == .raw || schema.type == .text
        return LZ4.compress(chunk.plain, maximumShare: isPlain ? 0.85 : 0.5)
    }
}
