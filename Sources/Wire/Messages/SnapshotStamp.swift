package import ByteCoding

/// Which snapshot an answer comes from: its generation, as-of day, currency and the versions of
/// the models behind it. It opens the body of every answer that tells about customers, products,
/// segments or columns.
///
///      0  u32 stampBytes (a multiple of 64)    4  i32 asOfDay, days since 1970-01-01
///      8  u64 generation, from 1              16  u16 modelCount    18  u16 zero    20  u32 zero
///     24  8 bytes currency, UTF-8, zero-padded
///     32  models: u32 version, u32 checksum, u16 nameBytes, u16 zero, name
///         zeros to stampBytes
package struct SnapshotStamp: Sendable, Equatable {
    package struct Model: Sendable, Equatable {
        package var name: String
        package var version: UInt32
        /// CRC-32C of the model's file.
        package var checksum: UInt32

        package init(name: String, version: UInt32, checksum: UInt32) {
            self.name = name
            self.version = version
            self.checksum = checksum
        }
    }

    package var generation: UInt64
    /// Days since 1970-01-01 in the plan's time zone.
    package var asOfDay: Int32
    /// The unit of every amount of money in the answer; at most 8 bytes of UTF-8.
    package var currency: String
    package var models: [Model]

    package init(generation: UInt64, asOfDay: Int32, currency: String, models: [Model]) {
        self.generation = generation
        self.asOfDay = asOfDay
        self.currency = currency
        self.models = models
    }

    /// The stamp's bytes: the same for every answer of a snapshot, so made once and appended.
    /// Names are clipped to 4,096 bytes, the currency to 8; models past the 64th are left out.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        encode(into: &writer)
        return writer.bytes
    }

    func encode(into writer: inout ByteWriter) {
        let start = writer.count
        let listed = models.prefix(WireLimits.models)
        writer.append(UInt32(0))
        writer.append(asOfDay)
        writer.append(generation)
        writer.append(UInt16(listed.count))
        writer.appendZeros(6)
        let unit = ByteWriter.clipped(currency, to: 8)
        writer.append(contentsOf: unit.utf8)
        writer.appendZeros(8 - unit.utf8.count)
        for model in listed {
            let name = ByteWriter.clipped(model.name, to: WireLimits.textBytes)
            writer.append(model.version)
            writer.append(model.checksum)
            writer.append(UInt16(name.utf8.count))
            writer.append(UInt16(0))
            writer.append(contentsOf: name.utf8)
        }
        writer.appendZeros((64 - (writer.count - start) % 64) % 64)
        writer.overwrite(UInt32(writer.count - start), at: start)
    }

    /// Reads the stamp at the start of `body`; `end` becomes the offset of what follows.
    init(decoding body: RawSpan, end: inout Int) throws(WireError) {
        let byteCount = Int(try body.read(.stampBytes, at: 0, as: UInt32.self))
        guard byteCount >= 64, byteCount % 64 == 0 else {
            throw .valueOutOfRange(
                field: .stampBytes, actual: Int64(byteCount), range: 64...Int64(UInt32.max),
                byteOffset: 0)
        }
        try body.requireBytes(.stampBytes, at: 0, count: byteCount)
        let stamp = body.extracting(0..<byteCount)
        asOfDay = try stamp.read(.stampBytes, at: 4)
        generation = try stamp.read(.stampBytes, at: 8)
        let modelCount = try stamp.readCount(
            .modelCount, at: 16, as: UInt16.self, limit: WireLimits.models)
        try stamp.requireZero(at: 18, count: 6)
        var currencyBytes = 0
        while currencyBytes < 8,
            try stamp.read(.currency, at: 24 + currencyBytes, as: UInt8.self) != 0
        {
            currencyBytes += 1
        }
        try stamp.requireZero(.currency, at: 24 + currencyBytes, count: 8 - currencyBytes)
        currency = try stamp.readText(.currency, at: 24, count: currencyBytes)
        models = []
        var offset = 32
        for _ in 0..<modelCount {
            let version: UInt32 = try stamp.read(.modelName, at: offset)
            let checksum: UInt32 = try stamp.read(.modelName, at: offset + 4)
            let nameBytes = try stamp.readCount(
                .modelName, at: offset + 8, as: UInt16.self, limit: WireLimits.textBytes)
            try stamp.requireZero(at: offset + 10, count: 2)
            let name = try stamp.readText(.modelName, at: offset + 12, count: nameBytes)
            models.append(Model(name: name, version: version, checksum: checksum))
            offset += 12 + nameBytes
        }
        guard byteCount - offset < 64 else {
            throw .valueOutOfRange(
                field: .stampBytes, actual: Int64(byteCount),
                range: 64...Int64((offset + 63) / 64 * 64), byteOffset: 0)
        }
        try stamp.requireZero(at: offset, count: byteCount - offset)
        end = byteCount
    }
}

/// The answer to LOOKUP, TOP_PRODUCTS, TOP_CUSTOMERS and SEGMENTS: a stamp and a table.
package struct TableAnswer: Sendable, Equatable {
    package var stamp: SnapshotStamp
    package var table: Table

    package init(stamp: SnapshotStamp, table: Table) {
        self.stamp = stamp
        self.table = table
    }

    /// Appends the body. A server that answers many requests from one snapshot appends
    /// `stamp.encoded` itself and uses `TableWriter`.
    package func encode(bodyStart: Int, into writer: inout ByteWriter) {
        stamp.encode(into: &writer)
        table.encode(bodyStart: bodyStart, into: &writer)
    }

    package init(
        decoding body: RawSpan, limits: WireLimits = .standard
    ) throws(WireError) {
        var end = 0
        stamp = try SnapshotStamp(decoding: body, end: &end)
        table = try Table(decoding: body, from: end, limits: limits)
    }
}
