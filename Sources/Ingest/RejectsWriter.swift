import ColumnStore

/// Writes the lines that were left out, as a CSV file:
///
///     file,line,column,reason,value
///     sales.csv,17,InvoiceDate,unparseableTime,2011-02-30 08:00
///
/// One row a reason of a line: the physical line where the record starts (from 1), the column by
/// its name or number (empty where the whole line is meant), the reason's raw value, and the start
/// of the field's bytes (at most `Limits.excerptByteCount`; control bytes become blanks, bytes that
/// are no UTF-8 become `\xNN`, and a value that a spreadsheet would run as a formula gets an
/// apostrophe in front).
///
/// Not for use by several threads at once. The file appears under its name, whole, with `finish`;
/// a writer that is released before leaves nothing.
package final class RejectsWriter {
    package let path: String
    /// Rows asked for; those beyond `Limits.rejectRowCount` are not written.
    package private(set) var rowCount = 0
    private let file: AtomicFile
    private var buffer: [UInt8] = []

    package init(path: String) throws(IngestError) {
        self.path = path
        do throws(StoreError) {
            file = try AtomicFile(path: path)
        } catch {
            throw .rejectsFile(error)
        }
        buffer.reserveCapacity(80 << 10)
        buffer.append(contentsOf: "file,line,column,reason,value\n".utf8)
    }

    /// Makes the file visible and durable, in place of an earlier one. The last call.
    package func finish() throws(IngestError) {
        try flush()
        do throws(StoreError) {
            try file.commit()
        } catch {
            throw .rejectsFile(error)
        }
    }

    func add(
        file name: String, line: Int, column: String, reason: RejectReason, value: [UInt8]
    ) throws(IngestError) {
        rowCount += 1
        guard rowCount <= Limits.rejectRowCount else { return }
        appendField(name.utf8)
        buffer.append(UInt8(ascii: ","))
        buffer.append(contentsOf: String(line).utf8)
        buffer.append(UInt8(ascii: ","))
        appendField(column.utf8)
        buffer.append(UInt8(ascii: ","))
        buffer.append(contentsOf: reason.rawValue.utf8)
        buffer.append(UInt8(ascii: ","))
        appendField(sanitizedExcerpt(value))
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= 64 << 10 { try flush() }
    }

    private func flush() throws(IngestError) {
        do throws(StoreError) {
            try file.write(buffer)
        } catch {
            throw .rejectsFile(error)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    private func appendField(_ bytes: some Collection<UInt8>) {
        let quote = UInt8(ascii: "\"")
        var isPlain = true
        for byte in bytes where byte == quote || byte == 0x2C || byte == 0x0A || byte == 0x0D {
            isPlain = false
        }
        guard !isPlain else {
            buffer.append(contentsOf: bytes)
            return
        }
        buffer.append(quote)
        for byte in bytes {
            if byte == quote { buffer.append(quote) }
            buffer.append(byte)
        }
        buffer.append(quote)
    }
}

/// A value's first bytes, made harmless; see `RejectsWriter`.
func sanitizedExcerpt(_ value: [UInt8]) -> [UInt8] {
    let bytes = value.prefix(Limits.excerptByteCount)
    // A spreadsheet takes these as the start of a formula; plain signed numbers are left alone.
    var result: [UInt8] = []
    if let first = bytes.first, "=+-@".utf8.contains(first),
        !bytes.dropFirst().allSatisfy({ "0123456789.,eE+-".utf8.contains($0) })
    {
        result.append(UInt8(ascii: "'"))
    }
    let whole = Array(bytes)
    var index = 0
    while index < whole.count {
        let length = scalarLength(whole.span, at: index, end: whole.count)
        if length == 0 {
            // A code point that the excerpt's end cuts is dropped, not reported as bad bytes.
            let isCut = value.count > whole.count && whole.count - index < 4 && whole[index] >= 0xC2
            if isCut { break }
            let digits = String(whole[index], radix: 16, uppercase: true)
            result.append(contentsOf: "\\x\(digits.count < 2 ? "0" : "")\(digits)".utf8)
            index += 1
        } else {
            if length == 1 && (whole[index] < 0x20 || whole[index] == 0x7F) {
                result.append(UInt8(ascii: " "))
            } else {
                result.append(contentsOf: whole[index..<index + length])
            }
            index += length
        }
    }
    return result
}
