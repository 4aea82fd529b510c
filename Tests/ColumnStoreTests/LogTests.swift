import ByteCoding
import ColumnStore
import Foundation
import Testing

@Suite struct LogTests {
    /// Lines of which every column says something.
    static func lines(_ count: Int, seed: Int = 0, isOfTexts: Bool = false) -> LoggedLines {
        let rows = 0..<count
        let ids = rows.map { Int64(17_850 + ($0 + seed) % 3) }
        func text(_ values: [String], _ code: (Int) -> UInt32) -> CodedText {
            CodedText(codes: rows.map(code), values: TextArray(values))
        }
        return LoggedLines(
            customerIDs: isOfTexts ? .texts(TextArray(ids.map { "c\($0)" })) : .integers(ids),
            times: rows.map { 1_291_192_000 + Int64($0 * 60 + seed) },
            amounts: rows.map { 153_000 - Int64($0) * 1_000 }, margins: rows.map { Int64($0) - 1 },
            quantities: rows.map { Float($0) + 0.5 },
            texts: [
                text(["536365", "536366"]) { UInt32($0 % 2) }, text(["85123A"]) { _ in 0 }, nil,
                text([]) { _ in CodedText.missing },
                text(["web", "größe"]) { $0 % 3 == 2 ? CodedText.missing : UInt32($0 % 3) },
            ])
    }

    static func key(_ number: UInt64) -> LogKey { LogKey(first: number, second: 7) }

    /// A log of records of one to five lines, of files of a few records each.
    private func writeLog(
        _ folder: String, records: Range<Int>, rotation: Int = 64 << 20
    ) throws -> LogPosition {
        let writer = try LogWriter(folder: folder, rotationByteCount: rotation)
        for number in records {
            let entry = try LogEntry(
                Self.lines(number % 5 + 1, seed: number, isOfTexts: number % 2 == 1),
                key: number % 3 == 0 ? .none : Self.key(UInt64(number)))
            let (count, failure) = writer.append([entry])
            #expect(count == 1 && failure == nil)
        }
        return writer.position
    }

    private func read(
        _ folder: String, from start: LogPosition = .start
    ) throws -> (records: [LogRecord], end: LogPosition) {
        var cursor = LogCursor(folder: folder, from: start)
        var records: [LogRecord] = []
        while let record = try cursor.next() { records.append(record) }
        return (records, cursor.position)
    }

    @Test(arguments: [0, 1, 3, 254, 255, 256, 65_534, 65_535, 65_600])
    func linesOf(count: Int) throws {
        var lines = Self.lines(count)
        // As many different texts as lines: codes of one, two and four bytes.
        lines.texts[2] = CodedText(
            codes: (0..<count).map { UInt32($0) },
            values: TextArray((0..<count).map { "\($0)" }))
        let entry = try LogEntry(lines)
        #expect(
            try LoggedLines(decoding: entry.body, path: "log", base: 0) == lines,
            "\(count) lines")
    }

    @Test func linesThatDoNotFitAreRefused() {
        var lines = Self.lines(3)
        lines.amounts.removeLast()
        #expect(throws: StoreError.self) { try LogEntry(lines) }
        lines = Self.lines(3)
        lines.texts[1] = CodedText(codes: [0, 1, 0], values: TextArray(["a"]))
        #expect(throws: StoreError.self) { try LogEntry(lines) }
    }

    @Test(arguments: [1, 700, 64 << 20]) func recordsComeBackInOrder(rotation: Int) throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let log = folder.file("live")
        let end = try writeLog(log, records: 0..<20, rotation: rotation)
        let (records, position) = try read(log)
        #expect(position == end && records.map(\.sequence) == Array(0..<20))
        for (number, record) in records.enumerated() {
            let expected = Self.lines(number % 5 + 1, seed: number, isOfTexts: number % 2 == 1)
            #expect(try record.lines() == expected)
            #expect(record.key == (number % 3 == 0 ? .none : Self.key(UInt64(number))))
        }
        let fileCount = LogFormat.fileNumbers(in: log).count
        #expect(rotation == 1 ? fileCount == 20 : rotation == 700 ? fileCount > 3 : fileCount == 1)
        // From any record on, and goes on with the next one.
        var cursor = LogCursor(folder: log, from: .start)
        for number in 0..<20 {
            #expect(try read(log, from: cursor.position).records.count == 20 - number)
            _ = try cursor.next()
        }
        #expect(try cursor.next() == nil)
        #expect(try writeLog(log, records: 20..<22, rotation: rotation).sequence == 22)
        #expect(try read(log, from: position).records.map(\.sequence) == [20, 21])
        // Without its first files it is still a log, from there on.
        let first = try #require(LogFormat.fileNumbers(in: log).first)
        if rotation == 1 {
            for number in first..<first + 5 {
                try FileManager.default.removeItem(atPath: "\(log)/\(LogFormat.fileName(number))")
            }
            #expect(try LogFormat.firstPosition(in: log)?.sequence == 5)
            #expect(try writeLog(log, records: 22..<23, rotation: 1).sequence == 23)
            #expect(throws: StoreError.self) { try read(log) }
            try FileManager.default.removeItem(atPath: "\(log)/\(LogFormat.fileName(12))")
            #expect(throws: StoreError.self) { try LogWriter(folder: log) }
        }
    }

    @Test func oneProcessAppends() throws {
        let folder = try TemporaryFolder()
        let log = folder.file("live")
        let writer = try LogWriter(folder: log)
        #expect {
            try LogWriter(folder: log)
        } throws: { error in
            if case .locked? = error as? StoreError { true } else { false }
        }
        #expect(writer.position.sequence == 0)
    }

    /// Cut at every byte, as a crash leaves it, the log has the records that are whole and goes on
    /// behind them; so it does where zeros are in place of the bytes.
    @Test(arguments: [false, true]) func everyUnfinishedEnd(hasZeros: Bool) throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let log = folder.file("live")
        _ = try writeLog(log, records: 0..<4)
        let name = "live/\(LogFormat.fileName(1))"
        let bytes = try folder.bytes(name)
        var ends = [LogFormat.fileHeaderByteCount]
        for record in try read(log).records {
            ends.append(record.byteOffset + LogFormat.recordByteCount(body: record.body.count))
        }
        #expect(ends.last == bytes.count)
        for length in stride(from: ends[1], to: bytes.count, by: 1) {
            let zeros = [UInt8](repeating: 0, count: hasZeros ? bytes.count - length : 0)
            // The last byte of a record is no zero: so many are as good as none.
            try folder.write(Array(bytes[..<length]) + zeros, name)
            let whole = ends.lastIndex { $0 <= length } ?? 0
            // A reader beside the writer sees the same.
            #expect(try read(log).records.count == whole, "\(length) bytes")
            let writer = try LogWriter(folder: log)
            #expect(writer.position.byteOffset == ends[whole], "\(length) bytes")
            #expect(try folder.bytes(name).count == ends[whole], "\(length) bytes")
            let entry = try LogEntry(Self.lines(2, seed: 99), key: Self.key(99))
            #expect(writer.append([entry, entry]).count == 2)
            #expect(try read(log).records.count == whole + 2, "\(length) bytes")
        }
    }

    /// A flipped bit anywhere is an error that names the file and a byte, never other lines.
    @Test func everyFlippedBit() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let log = folder.file("live")
        _ = try writeLog(log, records: 0..<3)
        let name = "live/\(LogFormat.fileName(1))"
        let bytes = try folder.bytes(name)
        for place in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[place] ^= 1 << bit
                try folder.write(damaged, name)
                #expect(throws: StoreError.self, "byte \(place) bit \(bit)") { try read(log) }
                if bit == place % 8 {
                    #expect(throws: StoreError.self) { try LogWriter(folder: log) }
                }
            }
        }
        try folder.write(bytes, name)
        #expect(try read(log).records.count == 3)
    }

    /// A record that is damaged and then followed by one that was written after it was durable is
    /// never cut off, whatever the file ends with.
    @Test func damageBeforeLaterRecordsIsNoUnfinishedEnd() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let log = folder.file("live")
        _ = try writeLog(log, records: 0..<3)
        let name = "live/\(LogFormat.fileName(1))"
        var bytes = try folder.bytes(name)
        let second = try read(log).records[1].byteOffset
        for place in [second, second + 20, second + 70] {
            let kept = bytes[place]
            bytes[place] ^= 1
            try folder.write(bytes + [UInt8](repeating: 0, count: 100), name)
            #expect(throws: StoreError.self) { try LogWriter(folder: log) }
            #expect(throws: StoreError.self) { try read(log) }
            bytes[place] = kept
        }
        try folder.write(bytes + [UInt8](repeating: 0, count: 100), name)
        #expect(try LogWriter(folder: log).position.sequence == 3)
    }

    // MARK: Erasures

    private func erasure(_ ids: IDColumn, time: Int64 = 1_797_441_600) -> LoggedErasure {
        LoggedErasure(customerIDs: ids, time: time)
    }

    @Test(arguments: [1, 2, 3, 1_000]) func erasureOf(count: Int) throws {
        for ids in [
            IDColumn.integers((0..<count).map { Int64($0 * 7 - 500) }),
            .texts(TextArray((0..<count).map { "Größe \($0)" })),
        ] {
            let sent = erasure(ids)
            let body = try LogEntry(sent).body
            let read = try LoggedErasure(decoding: body, path: "log", base: 0)
            #expect(read == sent && read.count == count)
            #expect(read.hash == sent.hash)
            // Cut anywhere, or longer: an error.
            for length in 0..<min(body.count, 200) {
                #expect(throws: StoreError.self, "\(length) bytes") {
                    try LoggedErasure(decoding: Array(body[..<length]), path: "log", base: 0)
                }
            }
            #expect(throws: StoreError.self) {
                try LoggedErasure(decoding: body + [0], path: "log", base: 0)
            }
        }
        let both = erasure(.integers([9, -3, 9, 4]))
        #expect(both.customerIDs == .integers([-3, 4, 9]))
        #expect(both.hash == erasure(.integers([4, 9, -3]), time: 1).hash)
        #expect(both.hash != erasure(.integers([4, 9, -2])).hash)
    }

    /// Files with erasures have a version that releases without them refuse, and end with them: what was
    /// said of the customers can be removed with whole files.
    @Test func anErasureEndsAFileOfVersionTwo() throws {
        let folder = try TemporaryFolder(isInMemory: true)
        let log = folder.file("live")
        _ = try writeLog(log, records: 0..<3)
        func version(_ number: Int) throws -> UInt8 {
            try folder.bytes("live/\(LogFormat.fileName(number))")[8]
        }
        do {
            let writer = try LogWriter(folder: log)
            let entry = try LogEntry(erasure(.integers([17_850])), key: Self.key(50))
            #expect(writer.append([entry]).count == 1)
            #expect(LogFormat.fileNumbers(in: log) == [1, 2, 3])
            #expect(try [version(1), version(2), version(3)] == [1, 2, 2])
            #expect(writer.position == LogPosition(file: 3, byteOffset: 64, sequence: 4))
            #expect(writer.append([try LogEntry(Self.lines(1))]).count == 1)
            // Of version 2 already: no file of its own before it.
            #expect(writer.append([try LogEntry(Self.lines(2)), entry]).count == 2)
            #expect(LogFormat.fileNumbers(in: log) == [1, 2, 3, 4])
        }
        let (records, position) = try read(log)
        #expect(
            records.map(\.kind) == [.lines, .lines, .lines, .erasure, .lines, .lines, .erasure])
        #expect(try records[3].erasure() == erasure(.integers([17_850])))
        #expect(throws: StoreError.self) { try records[3].lines() }
        #expect(throws: StoreError.self) { try records[2].erasure() }
        #expect(position == LogPosition(file: 4, byteOffset: 64, sequence: 7))
        // A crash before the next file is made: whoever opens the log makes it.
        try FileManager.default.removeItem(atPath: "\(log)/\(LogFormat.fileName(4))")
        #expect(try LogWriter(folder: log).position == position)
        // In a file of version 1 there is none.
        let name = "live/\(LogFormat.fileName(2))"
        let sound = try folder.bytes(name)
        var bytes = sound
        bytes[8] = 1
        bytes.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        var writer = ByteWriter()
        writer.append(CRC32C.checksum(Array(bytes[..<64])))
        bytes.replaceSubrange(12..<16, with: writer.bytes)
        try folder.write(bytes, name)
        #expect(throws: StoreError.self) { try read(log) }
        bytes = sound
        for place in bytes.indices {
            bytes[place] ^= 1 << UInt8(place % 8)
            try folder.write(bytes, name)
            #expect(throws: StoreError.self, "byte \(place)") { try read(log) }
            bytes[place] = sound[place]
        }
    }
}
