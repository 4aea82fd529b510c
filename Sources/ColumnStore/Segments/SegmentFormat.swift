import ByteCoding

/// The fixed parts of a segment file. The whole layout is in protocol/STORE.md:
///
/// ```
/// 0    64  header: magic "PATRNSEG", version u32 (1 or 2), CRC-32C u32, rows a block u32, zeros
/// 64   …   chunks, block after block, column after column, each padded to a multiple of 8
/// …    …   footer: rows u64, blocks u32, columns u32, the schema, the chunks' entries
/// end  32  trailer: footer offset u64, footer bytes u64, footer CRC-32C u32,
///          trailer CRC-32C u32, magic "GESNRTAP"
/// ```
enum SegmentFormat {
    static let magic = Array("PATRNSEG".utf8)
    static let endMagic = Array("GESNRTAP".utf8)
    static let headerByteCount = 64
    static let headerChecksumOffset = 12
    static let trailerByteCount = 32
    static let trailerChecksumOffset = 20
    static let entryByteCount = 48
    static let alignment = 8

    static func header() -> [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: magic)
        writer.append(SegmentVersion.latest.rawValue)
        writer.append(UInt32(0))
        writer.append(UInt32(Limits.blockRowCount))
        writer.pad(to: headerByteCount)
        writer.overwrite(
            headerChecksum(writer.bytes, fieldAt: headerChecksumOffset), at: headerChecksumOffset)
        return writer.bytes
    }

    static func trailer(footerOffset: Int, footer: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(UInt64(footerOffset))
        writer.append(UInt64(footer.count))
        writer.append(CRC32C.checksum(footer))
        writer.append(UInt32(0))
        writer.append(contentsOf: endMagic)
        writer.overwrite(
            headerChecksum(writer.bytes, fieldAt: trailerChecksumOffset),
            at: trailerChecksumOffset)
        return writer.bytes
    }
}

/// What the footer says about one chunk: one column of one block.
struct ChunkEntry: Sendable {
    var byteOffset: Int
    /// Bytes in the file.
    var storedByteCount: Int
    /// Bytes after LZ4.
    var plainByteCount: Int
    var checksum: UInt32
    var encoding: Encoding
    var isCompressed: Bool
    /// Whether the chunk has the bounds of each of its vectors.
    var hasZones: Bool
    var zone: ZoneMap

    /// 48 bytes; see protocol/STORE.md.
    func append(to writer: inout ByteWriter) {
        writer.append(UInt64(byteOffset))
        writer.append(UInt32(storedByteCount))
        writer.append(UInt32(plainByteCount))
        writer.append(checksum)
        writer.append(encoding.rawValue)
        writer.append(isCompressed ? UInt8(1) : 0)
        writer.append(zone.nullCount > 0 ? UInt8(1) : 0)
        writer.append(zone.bounds == nil ? UInt8(0) : 1)
        writer.append(UInt32(zone.nullCount))
        writer.append(hasZones ? UInt32(1) : 0)
        switch zone.bounds {
        case nil:
            writer.append(UInt64(0))
            writer.append(UInt64(0))
        case .float64(let minimum, let maximum):
            writer.append(minimum)
            writer.append(maximum)
        case .int64(let minimum, let maximum):
            writer.append(minimum)
            writer.append(maximum)
        case .textPrefix(let minimum, let maximum):
            writer.append(minimum)
            writer.append(maximum)
        }
    }

    init(
        byteOffset: Int, storedByteCount: Int, plainByteCount: Int, checksum: UInt32,
        encoding: Encoding, isCompressed: Bool, hasZones: Bool, zone: ZoneMap
    ) {
        self.byteOffset = byteOffset
        self.storedByteCount = storedByteCount
        self.plainByteCount = plainByteCount
        self.checksum = checksum
        self.encoding = encoding
        self.isCompressed = isCompressed
        self.hasZones = hasZones
        self.zone = zone
    }

    init(
        reading cursor: inout ByteCursor, _ column: ColumnSchema, rowCount: Int,
        version: SegmentVersion
    ) throws(StoreError) {
        let start = cursor.offset
        byteOffset = try cursor.count("a chunk's offset", limit: Int.max)
        storedByteCount = try cursor.shortCount("a chunk", limit: Limits.chunkByteCount)
        plainByteCount = try cursor.shortCount("a chunk", limit: Limits.chunkByteCount)
        checksum = try cursor.integer(UInt32.self)
        let rawEncoding = try cursor.integer(UInt8.self)
        let compression = try cursor.integer(UInt8.self)
        let hasValidity = try cursor.integer(UInt8.self)
        let hasBounds = try cursor.integer(UInt8.self)
        let nullCount = try cursor.shortCount("a null count", limit: rowCount)
        let zones = try cursor.integer(UInt8.self)
        try cursor.reserved(3)
        let minimum = try cursor.integer(UInt64.self)
        let maximum = try cursor.integer(UInt64.self)
        guard let encoding = Encoding(rawValue: rawEncoding) else {
            throw .unknownField(path: cursor.path, field: "encoding \(rawEncoding)")
        }
        let isHot = column.isHot
        guard encoding.formatVersion <= version, compression <= 1, hasBounds <= 1,
            !isHot || (compression == 0 && (encoding.isRandomAccess || column.type == .text)),
            zones == 0
                || (zones == 1 && version >= .two && column.type != .text && hasBounds == 1
                    && rowCount > Limits.vectorRowCount),
            hasValidity == (nullCount > 0 ? 1 : 0),
            hasBounds == 1 || (minimum == 0 && maximum == 0),
            compression == 1
                ? storedByteCount < plainByteCount
                    && plainByteCount <= storedByteCount * Limits.expansion
                : storedByteCount == plainByteCount
        else { throw cursor.corrupt("a chunk's entry is invalid", at: start) }
        self.encoding = encoding
        isCompressed = compression == 1
        hasZones = zones == 1
        let bounds: ZoneMap.Bounds? =
            switch column.type {
            case _ where hasBounds == 0:
                nil
            case .float32, .float64:
                .float64(
                    minimum: Double(bitPattern: minimum), maximum: Double(bitPattern: maximum))
            case .int64:
                .int64(minimum: Int64(bitPattern: minimum), maximum: Int64(bitPattern: maximum))
            case .text:
                .textPrefix(minimum: minimum, maximum: maximum)
            }
        zone = ZoneMap(rowCount: rowCount, nullCount: nullCount, bounds: bounds)
    }
}

/// The footer: how many rows, which columns, where each chunk is.
struct SegmentFooter: Sendable {
    let version: SegmentVersion
    var rowCount = 0
    var schema: [ColumnSchema] = []
    /// Block after block, column after column.
    var entries: [ChunkEntry] = []

    var blockCount: Int { Self.blockCount(rowCount) }

    static func blockCount(_ rowCount: Int) -> Int {
        (rowCount + Limits.blockRowCount - 1) / Limits.blockRowCount
    }

    func rows(ofBlock block: Int) -> Range<Int> {
        let start = block * Limits.blockRowCount
        return start..<min(rowCount, start + Limits.blockRowCount)
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.append(UInt64(rowCount))
        writer.append(UInt32(blockCount))
        writer.append(UInt32(schema.count))
        for column in schema {
            writer.append(column.type.rawValue)
            writer.append(column.isHot ? UInt8(1) : 0)
            writer.append(UInt16(column.name.utf8.count))
            writer.append(UInt16(column.unit.utf8.count))
            writer.append(UInt16(0))
            writer.append(contentsOf: column.name.utf8)
            writer.append(contentsOf: column.unit.utf8)
        }
        for entry in entries { entry.append(to: &writer) }
        return writer.bytes
    }

    /// The footer of a new file.
    init(schema: [ColumnSchema]) {
        self.schema = schema
        version = .latest
    }

    init(reading cursor: inout ByteCursor, version: SegmentVersion) throws(StoreError) {
        self.version = version
        rowCount = try cursor.count("the row count", limit: Limits.segmentRowCount)
        let blockCount = Int(try cursor.integer(UInt32.self))
        let columnCount = try cursor.shortCount("the column count", limit: Limits.columnCount)
        guard blockCount == Self.blockCount(rowCount), columnCount > 0 else {
            throw cursor.corrupt("\(blockCount) blocks do not fit \(rowCount) rows")
        }
        for _ in 0..<columnCount {
            let start = cursor.offset
            let type = ColumnType(rawValue: try cursor.integer(UInt8.self))
            let flags = try cursor.integer(UInt8.self)
            let nameByteCount = Int(try cursor.integer(UInt16.self))
            let unitByteCount = Int(try cursor.integer(UInt16.self))
            try cursor.reserved(2)
            guard let type, (1...Limits.nameByteCount).contains(nameByteCount),
                unitByteCount <= Limits.nameByteCount, flags <= (version >= .two ? 1 : 0)
            else { throw cursor.corrupt("a column's type or name is invalid", at: start) }
            schema.append(
                ColumnSchema(
                    name: try cursor.text(nameByteCount), type: type,
                    unit: try cursor.text(unitByteCount), isHot: flags == 1))
        }
        guard Set(schema.map(\.name)).count == schema.count else {
            throw cursor.corrupt("a column's name is repeated")
        }
        guard
            cursor.bytes.count - cursor.offset
                == blockCount * columnCount * SegmentFormat.entryByteCount
        else { throw cursor.corrupt("the footer's length does not fit its chunks") }
        for block in 0..<blockCount {
            for column in schema {
                entries.append(
                    try ChunkEntry(
                        reading: &cursor, column, rowCount: rows(ofBlock: block).count,
                        version: version))
            }
        }
    }
}
