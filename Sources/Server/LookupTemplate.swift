import ByteCoding
import ColumnStore
import Wire

/// The answer to look-ups of one customer by the same columns of one snapshot. Every number of such
/// an answer stands in a descriptor, so that all answers have the same bytes but for the request's
/// id, the status of the row, the values and the checksums: those are filled in.
///
/// A class: a request that waits holds one reference.
final class LookupTemplate: Sendable {
    /// Where a field stands in a record and in the frame.
    private struct Slot {
        /// The word of the record with the bit that says whether there is a value.
        let validityWord: Int
        let validityShift: UInt64
        let valueWord: Int
        let valueShift: UInt64
        let valueMask: UInt64
        /// Of the column's descriptor.
        let place: Int
    }

    /// The snapshot's.
    let generation: UInt64
    let fields: [LookupField]
    /// The first four bytes of the bodies that ask for it: kind of the ids, options and the number of
    /// columns.
    private let head: UInt32
    /// The columns that those bodies name, with the zeros after them, eight bytes each.
    private let columnWords: [UInt64]
    private let frame: [UInt8]
    private let slots: [Slot]
    private let statusWord: Int
    private let statusPlace: Int

    /// - Parameters:
    ///   - layout: of a body that asks for it.
    ///   - fields: what the body names, with what is unknown left out.
    init(
        _ layout: LookupLayout, _ body: RawSpan, _ fields: [LookupField], of served: ServedSnapshot
    ) {
        generation = served.generation
        self.fields = fields
        head = body.integer(at: 0) ?? 0
        columnWords = stride(from: 8, to: layout.columnsEnd, by: 8).map {
            body.integer(at: $0) ?? 0
        }
        let schema = served.snapshot.strip.schema
        statusWord = schema.statusOffset / 8
        var writer = ByteWriter()
        let open = writer.beginFrame(
            rawOpcode: Opcode.lookup.rawValue | Opcode.responseBit, requestID: 0,
            aux: Status.ok.rawValue)
        writer.append(lanes: served.stampBytes)
        var table = TableWriter(
            rowCount: 1, columnCount: fields.count + 1, bodyStart: open.bodyStart, into: &writer)
        statusPlace = table.nextDescriptor
        table.addConstant(.rowStatus, .int32(0), into: &writer)
        var slots: [Slot] = []
        for field in fields {
            let stored = schema.fields[field.index]
            slots.append(
                Slot(
                    validityWord: field.index >> 6, validityShift: UInt64(field.index & 63),
                    valueWord: stored.offset >> 3, valueShift: UInt64(stored.offset & 4) * 8,
                    valueMask: stored.type.byteCount == 8 ? .max : UInt64(UInt32.max),
                    place: table.nextDescriptor))
            table.addConstant(field.id, field.zero, into: &writer)
        }
        writer.finishFrame(open)
        self.slots = slots
        frame = writer.bytes
    }

    var frameByteCount: Int { frame.count }

    /// Whether a body asks for the same columns in the same way.
    func fits(_ body: RawSpan) -> Bool {
        guard body.integer(at: 0, as: UInt32.self) == head else { return false }
        for index in columnWords.indices
        where body.integer(at: 8 + index * 8, as: UInt64.self) != columnWords[index] {
            return false
        }
        return true
    }

    /// The id of a body that asks by one integer id and is otherwise the template's; nil for all other
    /// bodies, right or wrong.
    func onlyInteger(_ body: RawSpan) -> Int64? {
        let idsOffset = 8 + columnWords.count * 8
        guard body.byteCount == idsOffset + 8, head & 0xFF == UInt32(IDKind.integer.rawValue),
            body.integer(at: 4, as: UInt32.self) == 1, fits(body)
        else { return nil }
        return body.integer(at: idsOffset)
    }

    /// Writes an answer.
    /// - Parameters:
    ///   - output: at least `start + frameByteCount` bytes.
    ///   - records: of the row strip.
    ///   - record: where the customer's begins in it; nil where the customer is unknown.
    func fill(
        _ output: inout MutableRawSpan, at start: Int, requestID: UInt32, _ records: Span<UInt64>,
        record: Int?
    ) {
        output.replace(at: start, by: frame)
        output.storeBytes(of: requestID.littleEndian, toByteOffset: start + 12, as: UInt32.self)
        let valuePlace = TableWriter.constantValueOffset
        if let record {
            let status = UInt64(UInt8(truncatingIfNeeded: records[record + statusWord]))
            output.storeBytes(
                of: status.littleEndian, toByteOffset: start + statusPlace + valuePlace,
                as: UInt64.self)
            for slot in slots {
                if records[record + slot.validityWord] >> slot.validityShift & 1 == 1 {
                    let bits =
                        records[record + slot.valueWord] >> slot.valueShift & slot.valueMask
                    output.storeBytes(
                        of: bits.littleEndian, toByteOffset: start + slot.place + valuePlace,
                        as: UInt64.self)
                } else {
                    output.storeBytes(
                        of: ColumnFlags.allMissing,
                        toByteOffset: start + slot.place + TableWriter.flagsOffset, as: UInt8.self)
                }
            }
        } else {
            output.storeBytes(
                of: UInt64(Wire.ScoreStatus.unknownCustomer.rawValue).littleEndian,
                toByteOffset: start + statusPlace + valuePlace, as: UInt64.self)
            for slot in slots {
                output.storeBytes(
                    of: ColumnFlags.allMissing,
                    toByteOffset: start + slot.place + TableWriter.flagsOffset, as: UInt8.self)
            }
        }
        let bodyCRC = CRC32C.checksum(
            output.bytes.extracting(start + FrameHeader.byteCount..<start + frame.count))
        output.storeBytes(of: bodyCRC.littleEndian, toByteOffset: start + 24, as: UInt32.self)
        let headerCRC = CRC32C.checksum(output.bytes.extracting(start..<start + 28))
        output.storeBytes(of: headerCRC.littleEndian, toByteOffset: start + 28, as: UInt32.self)
    }
}

/// The templates of an event loop's latest look-ups: clients ask for the same columns again and
/// again.
struct LookupTemplates {
    private var latest: [LookupTemplate] = []
    private static let largestCount = 32

    /// The template for a body.
    mutating func template(
        _ layout: LookupLayout, _ body: RawSpan, of served: ServedSnapshot
    ) throws(WireError) -> LookupTemplate {
        for template in latest
        where template.generation == served.generation && template.fits(body) {
            return template
        }
        let new = LookupTemplate(layout, body, try served.fields(layout, body), of: served)
        latest.removeAll { $0.generation != served.generation }
        if latest.count == Self.largestCount { latest.removeFirst() }
        latest.append(new)
        return new
    }
}
